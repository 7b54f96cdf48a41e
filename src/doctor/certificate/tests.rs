//! Certificates made here: what is read of them.

use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::X509Name;

use super::*;

fn name(parts: &[(Nid, &str)]) -> X509Name {
    let mut name = X509Name::builder().unwrap();
    for (nid, text) in parts {
        name.append_entry_by_nid(*nid, text).unwrap();
    }
    name.build()
}

/// A certificate that begins and ends so many seconds from now, in DER.
fn certificate(issuer: &[(Nid, &str)], begins: i64, ends: i64) -> Vec<u8> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let now = unix(Asn1Time::days_from_now(0).unwrap().as_ref()).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_issuer_name(&name(issuer)).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(now + begins).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(now + ends).unwrap()).unwrap();
    let mut names = SubjectAlternativeName::new();
    names.dns("a.test").ip("192.0.2.1").dns("b.test").dns("c.test");
    let names = names.build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    builder.build().to_der().unwrap()
}

#[test]
fn issuer_names_and_days_are_read() {
    let both = [(Nid::COMMONNAME, "R11"), (Nid::ORGANIZATIONNAME, "Some\u{1b}[31m CA")];
    for (issuer, begins, ends, expected) in [
        (&both[..], -60 * DAY, 30 * DAY + 60, ["Some [31m CA", "a.test, 192.0.2.1, b.test", "30"]),
        (&both[..1], -DAY, DAY + 60, ["R11", "a.test, 192.0.2.1, b.test", "1"]),
        (&[], -DAY, -1, ["?", "a.test, 192.0.2.1, b.test", "-1"]),
    ] {
        let record = Record::new();
        assert!(read(&certificate(issuer, begins, ends), &record).is_some());
        let facts = ["issuer", "names", "days"].map(|name| record.fact(name).unwrap());
        assert_eq!(facts, expected);
    }
    for broken in [b"", &b"0\x82"[..], &certificate(&both, -DAY, DAY)[..200]] {
        assert!(read(broken, &Record::new()).is_none());
    }
}

#[test]
fn a_certificate_ends_soon_a_week_before_or_in_its_last_quarter() {
    for (begins, ends, soon) in [
        (-80, 10, false),
        (-84, 6, true),
        (-300, 8, false),
        // Those that live for six days are renewed every few.
        (-4, 2, false),
        (-5, 1, true),
        (-10, -1, true),
    ] {
        let der = certificate(&[], begins * DAY, ends * DAY + 60);
        assert_eq!(read(&der, &Record::new()), Some(soon), "{begins} {ends}");
    }
}

#[test]
fn dates_before_and_after_2050_are_read() {
    let now = unix(Asn1Time::days_from_now(0).unwrap().as_ref()).unwrap();
    for (seconds, date) in
        [(0, "1970-01-01"), (1_000_086_400, "2001-09-10"), (2_600_000_000, "2052-05-22")]
    {
        let record = Record::new();
        assert!(read(&certificate(&[], seconds - now, seconds - now), &record).is_some());
        assert_eq!(record.fact("expires").as_deref(), Some(date));
        assert_eq!(record.fact("begins").as_deref(), Some(date));
    }
}
