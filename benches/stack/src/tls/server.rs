//! The server, a thread per connection, and the certificate authority made at run time.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::{fs, thread};

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509Builder, X509NameBuilder, X509};

use super::MESSAGE_BYTES;
use crate::{child, Result};

/// Beside them the authority goes into the roots file, so that reading it costs what it costs users.
const SYSTEM_ROOTS: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
const STACK_BYTES: usize = 128 * 1024;
const DAY_SECONDS: i64 = 86_400;

/// Writes the roots to trust to `roots`, prints the port, and serves until it is killed.
pub fn serve(roots: &str) -> Result<()> {
    child::raise_file_limit()?;
    let acceptor = Arc::new(acceptor(roots)?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let (stream, acceptor) = (stream?, Arc::clone(&acceptor));
        thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            // A client that leaves early, or gets nothing, says so itself.
            let _ = echo(stream, &acceptor);
        })?;
    }
    Ok(())
}

/// Sends one message back, and keeps the connection until the client closes it.
fn echo(stream: TcpStream, acceptor: &SslAcceptor) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream)?;
    let mut message = [0; MESSAGE_BYTES];
    stream.read_exact(&mut message)?;
    stream.write_all(&message)?;
    let _end = stream.read(&mut message)?;
    Ok(())
}

fn acceptor(roots: &str) -> Result<SslAcceptor> {
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
) -> std::result::Result<(PKey<Private>, X509), ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let common_name = if issuer.is_none() { "measuring authority" } else { "127.0.0.1" };
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, common_name)?;
    let name = name.build();
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    let serial = BigNum::from_u32(if issuer.is_none() { 1 } else { 2 })?.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(issuer.map_or(&*name, |(_, authority)| authority.subject_name()))?;
    builder.set_pubkey(&key)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs() as i64);
    let (from, to) = (Asn1Time::from_unix(now - DAY_SECONDS)?, Asn1Time::days_from_now(1)?);
    builder.set_not_before(&from)?;
    builder.set_not_after(&to)?;
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
