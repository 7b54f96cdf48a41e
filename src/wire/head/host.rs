//! What `Host` says: a name or an address, and whether it is this machine, whose own user may ask. The
//! address that a request comes from is for others to look at.

use std::net::IpAddr;

use super::fields::Known;
use super::grammar::Fields;
use super::HeadError;
use crate::language::Words;

/// Exactly one `Host`, which HTTP/1.0 may lack (RFC 9112 §3.2).
pub(super) fn check_host(fields: &Fields<'_>, minor: u8) -> Result<(), HeadError> {
    let mut hosts = fields.of(|known| known == Known::Host);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(HeadError::Malformed(&Words("Host重复", "more than one Host")));
    }
    let Some(host) = host else {
        let missing = HeadError::Malformed(&Words("缺少Host", "no Host"));
        return if minor == 0 { Ok(()) } else { Err(missing) };
    };
    if is_authority(host.value()) {
        Ok(())
    } else {
        Err(HeadError::Malformed(&Words("Host无效", "malformed Host")))
    }
}

/// A name or an address, and perhaps a port (RFC 9110 §7.2). The name may be empty.
fn is_authority(value: &[u8]) -> bool {
    let address = value.strip_prefix(b"[");
    let end = match address {
        Some(rest) => rest.iter().position(|byte| *byte == b']').map(|end| end + 2),
        None => Some(value.iter().position(|byte| *byte == b':').unwrap_or(value.len())),
    };
    let Some((host, port)) = end.and_then(|end| value.split_at_checked(end)) else { return false };
    let host = if address.is_some() { &host[1..host.len() - 1] } else { host };
    let plain = |byte: &u8| {
        matches!(byte, b'!'..=b'~')
            && !matches!(byte, b'/' | b'?' | b'#' | b'@' | b',' | b'\\' | b'[' | b']')
    };
    host.iter().all(plain)
        && (port.is_empty() || (port[0] == b':' && port[1..].iter().all(u8::is_ascii_digit)))
}

/// Whether no reverse proxy speaks in the fields, the host is this machine, and no page of another
/// place asks. A page of any name can have its name resolve to this machine (DNS rebinding), and its
/// requests then look as if it asked itself: only the host gives it away.
pub(super) fn may_be_local(fields: &Fields<'_>) -> bool {
    let host = fields.of(|known| known == Known::Host).next();
    let host = host.map_or(&b""[..], |host| host.value());
    // What a user typed is asked by no page.
    let of_ours = |site: &[u8]| matches!(site, b"same-origin" | b"none");
    let is_ours = |origin: &[u8]| {
        let place = origin.strip_prefix(b"http://").or(origin.strip_prefix(b"https://"));
        place.is_some_and(|place| place.eq_ignore_ascii_case(host))
    };
    is_loopback(host)
        && fields.of(|known| known == Known::Front).next().is_none()
        && all(fields, Known::SecFetchSite, of_ours)
        && all(fields, Known::Origin, is_ours)
}

fn all(fields: &Fields<'_>, known: Known, is_good: impl Fn(&[u8]) -> bool) -> bool {
    fields.of(|other| other == known).all(|field| is_good(field.value()))
}

/// Whether an authority is `localhost`, a name below it (RFC 6761 §6.3), or a loopback address, with or
/// without a port.
fn is_loopback(authority: &[u8]) -> bool {
    let Ok(authority) = std::str::from_utf8(authority) else { return false };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    };
    let host = host.unwrap_or_default();
    let name = host.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::grammar::NO_PLACES;
    use super::*;

    fn may(lines: &[(&str, &str)]) -> bool {
        let lines: String =
            lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let bytes = format!("{lines}\r\n").into_bytes();
        may_be_local(&Fields::read(&bytes, 0, false, &mut NO_PLACES.clone()).ok().unwrap())
    }

    #[test]
    fn only_names_and_addresses_of_this_machine_are_its_host() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:8001", true),
            ("app.localhost:1", true),
            ("127.0.0.1:8001", true),
            ("127.9.9.9", true),
            ("[::1]:8001", true),
            ("[::ffff:127.0.0.1]", true),
            ("evil.example", false),
            ("evil.example:8001", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("evillocalhost", false),
            ("192.168.1.2:8001", false),
            ("0.0.0.0", false),
            ("[::]", false),
            ("", false),
            ("2130706433", false),
        ] {
            assert_eq!(may(&[("Host", host)]), expected, "{host}");
        }
        assert!(!may(&[]));
    }

    #[test]
    fn pages_of_other_places_and_reverse_proxies_are_not_local() {
        for (name, value, expected) in [
            ("Sec-Fetch-Site", "same-origin", true),
            ("sec-fetch-site", "none", true),
            ("Sec-Fetch-Site", "same-site", false),
            ("Sec-Fetch-Site", "cross-site", false),
            ("Sec-Fetch-Site", "", false),
            ("Sec-Fetch-Mode", "cors", true),
            ("Origin", "http://localhost:8001", true),
            ("Origin", "https://LOCALHOST:8001", true),
            ("Origin", "http://localhost:3000", false),
            ("Origin", "http://127.0.0.1:8001", false),
            ("Origin", "http://evil.example", false),
            ("Origin", "null", false),
            ("Origin", "", false),
            ("X-Forwarded-For", "127.0.0.1", false),
            ("Forwarded", "for=127.0.0.1", false),
            ("Via", "1.1 front", false),
            ("Referer", "http://evil.example/", true),
            ("Accept-Language", "zh", true),
        ] {
            let field = (name, value);
            assert_eq!(may(&[("Host", "localhost:8001"), field]), expected, "{name}: {value}");
        }
        let both = [("Host", "localhost"), ("Origin", "http://localhost"), ("Origin", "http://x")];
        assert!(!may(&both));
    }
}
