use std::fs;
use std::os::unix::fs::symlink;

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::{X509Builder, X509NameBuilder};

use super::*;

/// A directory of one test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let name = format!("ai_proxy-roots-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("certs")).unwrap();
        Dir(path)
    }

    fn certs(&self) -> PathBuf {
        self.0.join("certs")
    }

    fn bundle(&self, parts: &[&str]) {
        fs::write(self.0.join("bundle.crt"), parts.concat()).unwrap();
    }

    /// A file of the directory, and the links `suffixes` to it that its first certificate's name
    /// asks for.
    fn link(&self, file: &str, pem: &str, suffixes: &[&str]) {
        fs::write(self.certs().join(file), pem).unwrap();
        for suffix in suffixes {
            symlink(file, self.certs().join(hash(pem) + suffix)).unwrap();
        }
    }

    fn places(&self) -> Option<Places> {
        Places::of(ProbeResult {
            cert_file: Some(self.0.join("bundle.crt")),
            cert_dir: vec![self.0.join("absent"), self.certs()],
        })
    }

    /// What a context must be given: nothing, all of the bundle, or an error.
    fn missing(&self) -> &'static str {
        let places = Places { bundle: self.0.join("bundle.crt"), directories: vec![self.certs()] };
        match places.missing() {
            Ok(None) => "nothing",
            Ok(Some(pem)) if pem == fs::read(&places.bundle).unwrap() => "the bundle",
            Ok(Some(_)) => "something else",
            Err(_) => "an error",
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A certificate for that name; no two are the same.
fn certificate(name: &str) -> String {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let mut builder = X509Builder::new().unwrap();
    builder.set_subject_name(&subject.build()).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    String::from_utf8(builder.build().to_pem().unwrap()).unwrap()
}

fn hash(pem: &str) -> String {
    format!("{:08x}", X509::from_pem(pem.as_bytes()).unwrap().subject_name_hash())
}

#[test]
fn a_directory_that_has_all_of_the_bundle_is_enough() {
    let dir = Dir::new("all");
    let (one, two) = (certificate("one"), certificate("two"));
    dir.bundle(&["# a comment\n", &one, &two.replace('\n', "\r\n")]);
    dir.link("one.pem", &one, &[".0"]);
    assert_eq!(dir.missing(), "the bundle", "it lacks two");
    dir.link("two.pem", &two, &[".0"]);
    dir.link("more.pem", &certificate("an administrator's own"), &[".0"]);
    assert_eq!(dir.missing(), "nothing");
    assert!(dir.places().is_some());
}

#[test]
fn whatever_the_directory_lacks_has_the_whole_bundle_read() {
    let (one, two) = (certificate("one"), certificate("two"));
    let renewed = certificate("one");
    let both = [one.as_str(), two.as_str()].concat();
    // What lies in the directory, behind which links, in place of `two`'s.
    let cases: [(&str, &str, &[&str]); 6] = [
        ("no link", &two, &[]),
        ("a link out of reach", &two, &[".1"]),
        ("a certificate revocation list's link", &two, &[".r0"]),
        ("another of the same name", &renewed, &[".1"]),
        ("a file with several, found by the first only", &both, &[".1"]),
        ("no certificate", "", &[]),
    ];
    for (case, pem, suffixes) in cases {
        let dir = Dir::new("lacks");
        dir.bundle(&[&one, &two]);
        dir.link("one.pem", &one, &[".0"]);
        dir.link("two.pem", pem, suffixes);
        assert_eq!(dir.missing(), "the bundle", "{case}");
    }
    let dir = Dir::new("dangling");
    dir.bundle(&[&one, &two]);
    dir.link("one.pem", &one, &[".0"]);
    dir.link("two.pem", &two, &[".0"]);
    assert_eq!(dir.missing(), "nothing");
    fs::remove_file(dir.certs().join("two.pem")).unwrap();
    assert_eq!(dir.missing(), "the bundle", "a dangling link");
}

#[test]
fn names_made_in_another_way_are_no_hashes() {
    let dir = Dir::new("old");
    let one = certificate("one");
    dir.bundle(&[&one]);
    fs::write(dir.certs().join("0badcafe.0"), &one).unwrap();
    assert_eq!(dir.missing(), "the bundle");
}

#[test]
fn two_certificates_of_one_name_are_both_found() {
    let dir = Dir::new("same");
    let (old, new) = (certificate("same"), certificate("same"));
    dir.bundle(&[&old, &new]);
    dir.link("old.pem", &old, &[".0"]);
    assert_eq!(dir.missing(), "the bundle");
    dir.link("new.pem", &new, &[".1"]);
    assert_eq!(dir.missing(), "nothing");
}

#[test]
fn a_machine_that_loses_its_certificates_while_we_run_is_an_error() {
    let dir = Dir::new("lost");
    let one = certificate("one");
    dir.link("one.pem", &one, &[".0"]);
    assert_eq!(dir.missing(), "nothing", "no bundle, but the directory");
    fs::remove_file(dir.certs().join(hash(&one) + ".0")).unwrap();
    assert_eq!(dir.missing(), "an error");
    dir.bundle(&[]);
    assert_eq!(dir.missing(), "an error");
    dir.bundle(&[&one]);
    assert_eq!(dir.missing(), "the bundle");
}

#[test]
fn native_tls_reads_a_bundle_beside_which_no_directory_is_hashed_or_that_is_not_plain() {
    let one = certificate("one");
    let dir = Dir::new("native");
    assert!(dir.places().is_none(), "nothing there");
    dir.bundle(&[&one]);
    assert!(dir.places().is_none(), "no link");
    dir.link("one.pem", &one, &[".0"]);
    assert!(dir.places().is_some());
    for kind in ["TRUSTED CERTIFICATE", "X509 CRL"] {
        dir.bundle(&[&one, &one.replace("CERTIFICATE", kind)]);
        assert!(dir.places().is_none(), "{kind}");
    }
}

/// Hands out so many bytes at a time.
struct Pieces<'b>(&'b [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(buffer.len());
        self.0.read(&mut buffer[..count])
    }
}

#[test]
fn blocks_that_are_no_plain_certificates_are_seen_in_any_pieces() {
    let plain = "# a comment\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let other = "-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n-----END TRUSTED CERTIFICATE-----\n";
    for (text, expected) in [
        (plain.repeat(300), true),
        (plain.repeat(300) + other + plain, false),
        (other.to_owned(), false),
        (String::new(), true),
    ] {
        for size in [1, 7, 26, 27, 28, 4096, usize::MAX] {
            assert_eq!(is_plain(Pieces(text.as_bytes(), size)).unwrap(), expected, "{size}");
        }
    }
}
