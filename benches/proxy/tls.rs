//! The mock upstream over TLS: a thread per connection, and a certificate authority made at run time.
//! Also the yardstick for a handshake: what a client with one shared context pays for the same exchange.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslConnector, SslMethod};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509Builder, X509NameBuilder, X509};

use crate::payload::{self, Model, CHUNK_BYTES};
use crate::request::{self, Asked};

/// Beside them our own authority goes into the roots file, so that loading it costs what it costs users.
const SYSTEM_ROOTS: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
const STACK_BYTES: usize = 128 * 1024;

/// Serves until standard input ends. Writes the roots to trust to `roots`, then prints the port.
pub fn serve(roots: &Path) -> io::Result<()> {
    let acceptor = Arc::new(acceptor(roots)?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(move || {
        // Whatever ends the bench ends this pipe.
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0)
    });
    for stream in listener.incoming() {
        let (stream, acceptor) = (stream?, Arc::clone(&acceptor));
        thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            // A client that leaves early is the client's affair; a wrong answer shows at the load generator.
            let _ = connection(stream, &acceptor);
        })?;
    }
    Ok(())
}

fn connection(stream: TcpStream, acceptor: &SslAcceptor) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).map_err(io::Error::other)?;
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    let asked = loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
        if let Some(asked) = request::parse(&request) {
            break asked;
        }
    };
    let answer = match asked {
        // Closed after every answer: each request needs a connection of its own.
        Asked::Chat(Model::Small) => {
            let body = Model::Small.answer_body();
            [payload::json_head(body.len(), true), body].concat()
        }
        Asked::Chat(Model::Hold) => {
            [&payload::stream_head()[..], &payload::stream_chunks()[..CHUNK_BYTES]].concat()
        }
        _ => b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec(),
    };
    stream.write_all(&answer)?;
    if asked == Asked::Chat(Model::Hold) {
        // Silent until the proxy leaves.
        let _ = stream.read(&mut buffer)?;
    }
    match stream.shutdown() {
        Ok(_) => Ok(()),
        Err(error) => Err(error.into_io_error().unwrap_or_else(io::Error::other)),
    }
}

fn acceptor(roots: &Path) -> io::Result<SslAcceptor> {
    let (authority_key, authority) = certificate(None)?;
    let (key, leaf) = certificate(Some((&authority_key, &authority)))?;
    let mut trusted = authority.to_pem()?;
    for system in SYSTEM_ROOTS {
        trusted.extend(fs::read(system).unwrap_or_default());
    }
    fs::write(roots, trusted)?;
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    acceptor.set_private_key(&key)?;
    acceptor.set_certificate(&leaf)?;
    Ok(acceptor.build())
}

/// A self-signed authority, or a certificate for 127.0.0.1 signed by `issuer`.
fn certificate(
    issuer: Option<(&PKey<Private>, &X509)>,
) -> Result<(PKey<Private>, X509), ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(
        Nid::COMMONNAME,
        if issuer.is_none() { "bench authority" } else { "127.0.0.1" },
    )?;
    let name = name.build();
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    let serial = BigNum::from_u32(if issuer.is_none() { 1 } else { 2 })?.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(issuer.map_or(&*name, |(_, authority)| authority.subject_name()))?;
    builder.set_pubkey(&key)?;
    let (yesterday, tomorrow) = (Asn1Time::from_unix(now() - 86_400)?, Asn1Time::days_from_now(1)?);
    builder.set_not_before(&yesterday)?;
    builder.set_not_after(&tomorrow)?;
    match issuer {
        None => {
            builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
            builder.append_extension(KeyUsage::new().critical().key_cert_sign().build()?)?;
        }
        Some((_, authority)) => {
            let names = SubjectAlternativeName::new()
                .ip("127.0.0.1")
                .build(&builder.x509v3_context(Some(authority), None))?;
            builder.append_extension(names)?;
        }
    }
    builder.sign(issuer.map_or(&key, |(authority, _)| authority), MessageDigest::sha256())?;
    Ok((key, builder.build()))
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// CPU time of one exchange over a new connection, for a client with one shared context: connect,
/// handshake, request, answer, close. The mean of `count`.
pub fn bare_exchange(port: u16, roots: &Path, count: u32) -> io::Result<Duration> {
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_ca_file(roots)?;
    let connector = connector.build();
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let request = Model::Small.request("127.0.0.1");
    let before = thread_cpu()?;
    for _ in 0..count {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        let mut stream = connector.connect("127.0.0.1", stream).map_err(io::Error::other)?;
        stream.write_all(&request)?;
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) if answer.starts_with(b"HTTP/1.1 200") => {}
            Ok(_) => return Err(ErrorKind::InvalidData.into()),
            Err(error) => return Err(error),
        }
    }
    Ok((thread_cpu()? - before) / count)
}

/// CPU time of this thread; a pause first, because the kernel books it when the thread goes to sleep.
fn thread_cpu() -> io::Result<Duration> {
    thread::sleep(Duration::from_millis(2));
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split(' ').next().and_then(|text| text.parse().ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| ErrorKind::InvalidData.into())
}
