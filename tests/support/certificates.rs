//! A certificate authority made at run time, and the leaves it signs.

use std::net::TcpStream;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslAcceptorBuilder, SslMethod, SslVersion};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509Builder, X509Name, X509};

use super::{Connection, Duplex, Upstream};

/// An authority of one test.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// Which certificate a server shows.
pub struct Leaf<'a> {
    pub dns: &'a [&'a str],
    pub ip: &'a [&'a str],
    pub expired: bool,
}

/// A leaf that is right for an upstream on this machine.
pub const GOOD: Leaf<'_> = Leaf { dns: &["localhost"], ip: &["127.0.0.1"], expired: false };

impl Authority {
    /// Makes a key and a self-signed certificate.
    pub fn new(name: &str) -> Self {
        let key = new_key();
        let subject = subject(name);
        let mut builder = builder(&subject, &subject, &key, false);
        let authority = BasicConstraints::new().critical().ca().build().expect("an extension");
        builder.append_extension(authority).expect("an extension");
        let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build();
        builder.append_extension(usage.expect("an extension")).expect("an extension");
        builder.sign(&key, MessageDigest::sha256()).expect("a signature");
        Self { certificate: builder.build(), key }
    }

    /// The certificate for `SSL_CERT_FILE`.
    pub fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().expect("PEM")
    }

    /// The name of a link to the certificate in a hashed directory.
    pub fn link_name(&self) -> String {
        format!("{:08x}.0", self.certificate.subject_name_hash())
    }

    /// A new certificate signed by this authority, and its key.
    fn sign(&self, leaf: &Leaf<'_>) -> (X509, PKey<Private>) {
        let key = new_key();
        let issuer = self.certificate.subject_name();
        let mut builder = builder(&subject("leaf"), issuer, &key, leaf.expired);
        let mut names = SubjectAlternativeName::new();
        for dns in leaf.dns {
            names.dns(dns);
        }
        for ip in leaf.ip {
            names.ip(ip);
        }
        let names = names.build(&builder.x509v3_context(Some(&self.certificate), None));
        builder.append_extension(names.expect("an extension")).expect("an extension");
        builder.sign(&self.key, MessageDigest::sha256()).expect("a signature");
        (builder.build(), key)
    }

    /// An acceptor, before it is built, that shows a new certificate signed by this authority.
    pub fn openssl(&self, leaf: &Leaf<'_>) -> SslAcceptorBuilder {
        let (certificate, key) = self.sign(leaf);
        let mut builder =
            SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).expect("an acceptor");
        builder.set_certificate(&certificate).expect("a certificate");
        builder.set_private_key(&key).expect("a key");
        builder
    }

    /// An https upstream that shows this leaf; connections whose handshake fails run no script.
    pub fn serve(
        &self,
        leaf: &Leaf<'_>,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Upstream {
        self.serve_at_most(None, leaf, script)
    }

    /// The same, speaking TLS of this version at most.
    pub fn serve_at_most(
        &self,
        version: Option<SslVersion>,
        leaf: &Leaf<'_>,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Upstream {
        let mut builder = self.openssl(leaf);
        builder.set_max_proto_version(version).expect("a version");
        let acceptor = builder.build();
        let wrap = move |socket: TcpStream| {
            let stream = acceptor.accept(socket).ok()?;
            Some(Box::new(stream) as Box<dyn Duplex>)
        };
        Upstream::serve_tls(Box::new(wrap), script)
    }
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("P-256");
    PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key")
}

fn subject(name: &str) -> X509Name {
    let mut subject = X509Name::builder().expect("a name");
    subject.append_entry_by_nid(Nid::COMMONNAME, name).expect("a name");
    subject.build()
}

fn builder(
    subject: &X509Name,
    issuer: &openssl::x509::X509NameRef,
    key: &PKey<Private>,
    expired: bool,
) -> X509Builder {
    let mut builder = X509::builder().expect("a builder");
    builder.set_version(2).expect("version 3");
    let mut serial = BigNum::new().expect("a number");
    serial.rand(64, openssl::bn::MsbOption::MAYBE_ZERO, false).expect("a number");
    builder
        .set_serial_number(&serial.to_asn1_integer().expect("a number"))
        .expect("a serial number");
    builder.set_subject_name(subject).expect("a subject");
    builder.set_issuer_name(issuer).expect("an issuer");
    builder.set_pubkey(key).expect("a key");
    let from = Asn1Time::from_unix(1_000_000_000).expect("a time");
    let until =
        if expired { Asn1Time::from_unix(1_000_086_400) } else { Asn1Time::days_from_now(30) };
    builder.set_not_before(&from).expect("a time");
    builder.set_not_after(&until.expect("a time")).expect("a time");
    builder
}
