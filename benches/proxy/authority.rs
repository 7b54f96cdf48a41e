//! The upstream's side of TLS: a certificate authority made at run time, and the chain that a provider
//! sends: a leaf signed by an intermediate, which a root signed.

use std::fs;
use std::io;
use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{
    SslAcceptor, SslAcceptorBuilder, SslContext, SslMethod, SslOptions, SslSessionCacheMode,
};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509Builder, X509NameBuilder, X509};

/// Beside them our own root goes into the roots file, so that loading it costs what it costs users.
const SYSTEM_ROOTS: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
/// Names that the leaf is valid for; nginx and HAProxy compare no addresses.
pub const HOST: &str = "localhost";
const ADDRESS: &str = "127.0.0.1";

/// How the upstream treats its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It keeps them, as providers do.
    Keeps,
    /// It closes each after a small answer; the next one may resume the session.
    Closes,
    /// The same, but it resumes no session: every handshake is a full one.
    Forgets,
}

impl Manner {
    const ALL: [Manner; 3] = [Manner::Keeps, Manner::Closes, Manner::Forgets];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Manner::Keeps => "keeps",
            Manner::Closes => "closes",
            Manner::Forgets => "forgets",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Manner> {
        Manner::ALL.into_iter().find(|manner| manner.name() == name)
    }
}

struct Identity {
    key: PKey<Private>,
    certificate: X509,
}

/// Makes the chain, with RSA keys of 2048 bits or with P-256, and writes the roots to trust to `roots`.
pub fn context(roots: &Path, manner: Manner, rsa: bool) -> io::Result<SslContext> {
    let root = identity("bench root", None, rsa)?;
    let intermediate = identity("bench intermediate", Some(&root), rsa)?;
    let leaf = identity(HOST, Some(&intermediate), rsa)?;
    let mut trusted = root.certificate.to_pem()?;
    for system in SYSTEM_ROOTS {
        trusted.extend(fs::read(system).unwrap_or_default());
    }
    fs::write(roots, trusted)?;
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    acceptor.set_private_key(&leaf.key)?;
    acceptor.set_certificate(&leaf.certificate)?;
    acceptor.add_extra_chain_cert(intermediate.certificate)?;
    if manner == Manner::Forgets {
        forget(&mut acceptor);
    }
    Ok(acceptor.build().into_context())
}

/// Clients still get tickets, which then name a session that nobody knows.
fn forget(acceptor: &mut SslAcceptorBuilder) {
    acceptor.set_options(SslOptions::NO_TICKET);
    acceptor.set_session_cache_mode(SslSessionCacheMode::OFF);
}

/// A root without `issuer`, the leaf when the name is [`HOST`], else an intermediate.
fn identity(name: &str, issuer: Option<&Identity>, rsa: bool) -> Result<Identity, ErrorStack> {
    let key = if rsa {
        PKey::from_rsa(Rsa::generate(2048)?)?
    } else {
        PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?)?)?
    };
    let mut subject = X509NameBuilder::new()?;
    subject.append_entry_by_nid(Nid::COMMONNAME, name)?;
    let subject = subject.build();
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    let serial = BigNum::from_u32(std::process::id())?.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&subject)?;
    builder
        .set_issuer_name(issuer.map_or(&*subject, |issuer| issuer.certificate.subject_name()))?;
    builder.set_pubkey(&key)?;
    let (yesterday, tomorrow) = (Asn1Time::from_unix(now() - 86_400)?, Asn1Time::days_from_now(1)?);
    builder.set_not_before(&yesterday)?;
    builder.set_not_after(&tomorrow)?;
    if name == HOST {
        let issuer = issuer.map(|issuer| &*issuer.certificate);
        let names = SubjectAlternativeName::new()
            .ip(ADDRESS)
            .dns(HOST)
            .build(&builder.x509v3_context(issuer, None))?;
        builder.append_extension(names)?;
    } else {
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().build()?)?;
    }
    builder.sign(issuer.map_or(&key, |issuer| &issuer.key), MessageDigest::sha256())?;
    Ok(Identity { key, certificate: builder.build() })
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}
