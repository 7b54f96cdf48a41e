//! What a server's certificate says: who signed it, for whom, until when.

use native_tls::TlsStream;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::nid::Nid;
use openssl::x509::X509;

use super::record::Record;
use super::text::clean;
use crate::runtime::UnderTls;
use crate::wire::date;

/// Names of a certificate that are shown.
const NAMES_MAX: usize = 3;
/// Characters of such a name.
const NAME_CHARS_MAX: usize = 60;
const DAY: i64 = 24 * 3600;
/// A certificate that has this long left, in seconds, is not renewed in time, unless it lives for a
/// few days only.
const SOON: i64 = 7 * DAY;

/// Writes down what the server's certificate says. Returns whether it should have been renewed by
/// now.
pub fn see(stream: &TlsStream<UnderTls>, record: &Record) -> bool {
    let der = stream.peer_certificate().ok().flatten().and_then(|shown| shown.to_der().ok());
    der.and_then(|der| read(&der, record)).unwrap_or(false)
}

fn read(der: &[u8], record: &Record) -> Option<bool> {
    let certificate = X509::from_der(der).ok()?;
    let mut issuer = "?".to_owned();
    // The organisation, or else the common name.
    for nid in [Nid::COMMONNAME, Nid::ORGANIZATIONNAME] {
        let entry = certificate.issuer_name().entries_by_nid(nid).next();
        if let Some(name) = entry.and_then(|entry| entry.data().to_string().ok()) {
            issuer = clean(&name, NAME_CHARS_MAX);
        }
    }
    record.see("issuer", &issuer);
    let mut names = Vec::new();
    for name in certificate.subject_alt_names().iter().flatten().take(NAMES_MAX) {
        let address = name.ipaddress().and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        let address = address.map(|bytes| std::net::Ipv4Addr::from(bytes).to_string());
        names.extend(name.dnsname().map(|dns| clean(dns, NAME_CHARS_MAX)).or(address));
    }
    record.see("names", &names.join(", "));
    let (begins, ends) = (unix(certificate.not_before())?, unix(certificate.not_after())?);
    record.see("begins", &date(begins));
    record.see("expires", &date(ends));
    let left = ends - unix(Asn1Time::days_from_now(0).ok()?.as_ref())?;
    record.count("days", left.div_euclid(DAY));
    Some(left < SOON.min((ends - begins) / 4))
}

/// Seconds since 1970.
fn unix(time: &Asn1TimeRef) -> Option<i64> {
    let since = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    Some(i64::from(since.days) * DAY + i64::from(since.secs))
}

#[cfg(test)]
mod tests;
