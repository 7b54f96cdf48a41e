//! The rules as tables.

use std::time::Duration;

use super::*;
use crate::language::Text;
use crate::runtime::{label, Wait};
use crate::wire::BodyError;

fn wait() -> Wait {
    Wait::new(label::CONNECT, std::time::Instant::now(), Duration::from_secs(1))
}

#[test]
fn a_connection_that_fails_is_known_by_its_error_and_stage() {
    let resolve = |text: &str| ConnectError::Resolve("h".to_owned(), io::Error::other(text));
    let tcp = |kind: io::ErrorKind| ConnectError::Tcp(kind.into());
    let tls = |text: &str| ConnectError::Tls(Text::new(text));
    for (error, stage, code) in [
        (
            resolve("failed to lookup address information: Name or service not known"),
            Stage::Dns,
            Code::DnsFailed,
        ),
        (
            resolve("failed to lookup address information: Name does not resolve"),
            Stage::Dns,
            Code::DnsFailed,
        ),
        (resolve("Temporary failure in name resolution"), Stage::Dns, Code::DnsSilent),
        (resolve("Try again"), Stage::Dns, Code::DnsSilent),
        (wait().into(), Stage::Dns, Code::DnsSilent),
        (wait().into(), Stage::Tcp, Code::TcpTimeout),
        (wait().into(), Stage::Tls, Code::TlsTimeout),
        (tcp(io::ErrorKind::ConnectionRefused), Stage::Tcp, Code::Refused),
        (tcp(io::ErrorKind::TimedOut), Stage::Tcp, Code::TcpTimeout),
        (tcp(io::ErrorKind::HostUnreachable), Stage::Tcp, Code::Unreachable),
        (tcp(io::ErrorKind::NetworkUnreachable), Stage::Tcp, Code::Unreachable),
        (tcp(io::ErrorKind::PermissionDenied), Stage::Tcp, Code::ConnectFailed),
        (
            tls("certificate verify failed: certificate has expired"),
            Stage::Tls,
            Code::CertificateExpired,
        ),
        (
            tls("certificate verify failed: certificate is not yet valid"),
            Stage::Tls,
            Code::CertificateNotYetValid,
        ),
        (
            tls("certificate verify failed: Hostname mismatch"),
            Stage::Tls,
            Code::CertificateWrongHost,
        ),
        (
            tls("certificate verify failed: IP address mismatch"),
            Stage::Tls,
            Code::CertificateWrongHost,
        ),
        (
            tls("certificate verify failed: self-signed certificate"),
            Stage::Tls,
            Code::CertificateUntrusted,
        ),
        (
            tls("certificate verify failed: unable to get local issuer certificate"),
            Stage::Tls,
            Code::CertificateUntrusted,
        ),
        (tls("wrong version number"), Stage::Tls, Code::NotTls),
        (tls("packet length too long"), Stage::Tls, Code::NotTls),
        (tls("tlsv1 alert no application protocol"), Stage::Tls, Code::Http2Only),
        (tls("unexpected EOF"), Stage::Tls, Code::TlsFailed),
    ] {
        assert_eq!(of_connecting(&error, stage, false), code, "{error:?}");
    }
    let refused = tcp(io::ErrorKind::ConnectionRefused);
    assert_eq!(of_connecting(&refused, Stage::Tcp, true), Code::LocalRefused);
}

#[test]
fn a_response_that_does_not_come_is_known_by_its_error() {
    for (error, code) in [
        (Error::Timeout(wait()), Code::AnswerTimeout),
        (Error::Head(HeadError::Http2), Code::Http2Only),
        (Error::Head(HeadError::Tls), Code::SpeaksTls),
        (Error::Head(HeadError::TooLarge), Code::BadAnswer),
        (Error::Body(BodyError::Chunk), Code::BadAnswer),
        (Error::Closed(false), Code::Closed),
        (Error::Closed(true), Code::Closed),
        (Error::Io(io::ErrorKind::ConnectionReset.into()), Code::Closed),
        (Error::Redirect(301, None), Code::RedirectElsewhere),
    ] {
        assert_eq!(of_exchange(&error), code, "{error:?}");
    }
}

#[test]
fn a_redirect_leads_to_a_base_when_it_leads_to_models() {
    let from = BaseUrl::parse("http://u:p@h:81/v1?k=s").unwrap();
    for (target, base) in [
        ("https://o.test/v2/models", Some("https://o.test/v2")),
        ("https://o.test/v2/models/", Some("https://o.test/v2")),
        ("/v2/models", Some("http://h:81/v2")),
        ("//o.test/models", Some("//o.test")),
        ("https://o.test/login", None),
        ("?", None),
    ] {
        assert_eq!(base_of_redirect(target, &from).as_deref(), base, "{target}");
    }
}

#[test]
fn statuses_tell_of_the_key_of_the_server_or_of_the_list() {
    for (status, has_key, is_page, key, server) in [
        (200, true, false, None, None),
        (401, true, false, Some(Code::Unauthorized), None),
        (401, false, false, Some(Code::NoKey), None),
        (403, true, false, Some(Code::Forbidden), None),
        (403, true, true, Some(Code::ForbiddenPage), None),
        (404, true, false, None, None),
        (405, true, true, None, None),
        (429, true, false, None, None),
        (400, true, false, None, Some(Code::UnexpectedStatus)),
        (500, true, true, None, Some(Code::ServerError)),
        (505, true, false, None, Some(Code::Http2Only)),
        (529, true, false, None, Some(Code::ServerError)),
    ] {
        assert_eq!(of_key(status, has_key, is_page), key, "{status}");
        assert_eq!(of_status(status), server, "{status}");
    }
    for (status, code) in [
        (200, None),
        (400, Some(Code::ChatRefused)),
        (401, Some(Code::Unauthorized)),
        (402, Some(Code::NoCredit)),
        (404, Some(Code::ChatRefused)),
        (429, Some(Code::RateLimited)),
        (503, Some(Code::ServerError)),
    ] {
        assert_eq!(of_chat(status, true), code, "{status}");
    }
}

#[test]
fn lists_are_slow_before_they_are_compressed_and_clocks_off_beyond_two_minutes() {
    let ms = Duration::from_millis;
    assert_eq!(of_list(ms(2_000), false), None);
    assert_eq!(of_list(ms(2_001), true), Some(Code::SlowList));
    assert_eq!(of_list(ms(10), true), Some(Code::GzipList));
    for (skew, off) in [(0, false), (120, false), (-120, false), (121, true), (-3_600, true)] {
        assert_eq!(of_clock(skew).is_some(), off, "{skew}");
    }
    assert!(of_clock(i64::MIN).is_some());
}

#[test]
fn streams_are_judged_by_what_came() {
    let good = Streamed { events: 3, pieces: 4, done: true, usage: true, ..Streamed::default() };
    for (seen, expected) in [
        (good, None),
        (Streamed { cut: true, ..good }, None),
        (Streamed { late: true, ..good }, None),
        (Streamed { cut: true, done: false, ..good }, Some(Code::CutStream)),
        (Streamed { late: true, done: false, ..good }, Some(Code::SlowChat)),
        (Streamed { error: true, ..good }, Some(Code::ErrorInChat)),
        (Streamed { events: 0, ..good }, Some(Code::NotAStream)),
    ] {
        assert_eq!(of_stream(&seen), expected, "{seen:?}");
    }
    for (seen, expected) in [
        (good, [None, None, None]),
        (Streamed { events: 1, pieces: 1, ..good }, [None, None, None]),
        (Streamed { pieces: 1, ..good }, [Some(Code::OneBurst), None, None]),
        (Streamed { done: false, ..good }, [None, Some(Code::NoEndMark), None]),
        (Streamed { usage: false, ..good }, [None, None, Some(Code::NoUsage)]),
    ] {
        assert_eq!(of_stream_in_use(&seen), expected, "{seen:?}");
    }
}

#[test]
fn the_first_failure_is_to_blame_and_else_the_first_warning() {
    let of = |codes: &[Code]| {
        let finding = |code: &Code| Finding {
            status: code.row().status,
            took: Duration::ZERO,
            code: Some(*code),
            said: String::new(),
            keys: String::new(),
        };
        culprit(&codes.iter().map(finding).collect::<Vec<_>>())
    };
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[Code::GzipList, Code::NoList]), None);
    assert_eq!(of(&[Code::GzipList, Code::ClockSkew, Code::EmptyList]), Some(1));
    assert_eq!(of(&[Code::ClockSkew, Code::Unauthorized, Code::HtmlPage]), Some(1));
}

/// A provider at a host, with this code at a stage, and its clock.
type Sick = (&'static str, Stage, Option<Code>, i64);

fn machine(sick: &[Sick]) -> Vec<(Code, Vec<usize>)> {
    let record = |(host, stage, code, skew): &Sick| {
        let record = Record::new();
        // An address is not looked up.
        if *stage != Stage::Dns || !host.starts_with(char::is_numeric) {
            record.note(*stage, Duration::ZERO, *code);
        }
        record.see("host", host);
        record.count("port", 443);
        // The first letter.
        record.see("issuer", &&host[..1]);
        record.count("clock_skew_seconds", *skew);
        record
    };
    let found = of_machine(&sick.iter().map(record).collect::<Vec<_>>());
    found.into_iter().map(|(code, _, shown_by)| (code, shown_by)).collect()
}

#[test]
fn what_all_providers_show_alike_is_this_machines() {
    use Stage::{Clock, Dns, Tcp, Tls};
    let failed = Some(Code::DnsFailed);
    let silent = Some(Code::DnsSilent);
    let strange = Some(Code::CertificateUntrusted);
    let skewed = Some(Code::ClockSkew);
    let dead = Some(Code::TcpTimeout);
    let refused = Some(Code::Refused);
    let lost = Some(Code::Unreachable);
    for (sick, expected) in [
        (&[("a", Dns, failed, 0), ("b", Dns, silent, 0)][..], Some((Code::MachineDns, vec![0, 1]))),
        // One is enough to show that names are resolved, unless it needs nobody to resolve it.
        (&[("a", Dns, failed, 0), ("b", Dns, failed, 0), ("c", Dns, None, 0)], None),
        (
            &[
                ("a", Dns, failed, 0),
                ("localhost", Dns, None, 0),
                ("b", Dns, failed, 0),
                ("1.2.3.4", Dns, None, 0),
            ],
            Some((Code::MachineDns, vec![0, 2])),
        ),
        // The same host twice is one.
        (&[("a", Dns, failed, 0), ("a", Dns, failed, 0)], None),
        (&[("a", Dns, failed, 0)], None),
        (&[("a", Tcp, dead, 0), ("1.1", Tcp, lost, 0)], Some((Code::MachineNetwork, vec![0, 1]))),
        (&[("a", Tcp, dead, 0), ("b", Tcp, dead, 0), ("c", Tcp, None, 0)], None),
        (&[("a", Tcp, refused, 0), ("b", Tcp, refused, 0)], None),
        (
            &[("x1", Tls, strange, 0), ("x2", Tls, strange, 0)],
            Some((Code::MachineTrust, vec![0, 1])),
        ),
        (&[("x1", Tls, strange, 0), ("y2", Tls, strange, 0)], None),
        (&[("x1", Tls, strange, 0), ("x2", Tls, strange, 0), ("z", Tls, None, 0)], None),
        (&[("x", Tls, Some(Code::NoCa), 0)], Some((Code::NoCa, vec![0]))),
        (
            &[("a", Clock, skewed, 900), ("b", Clock, skewed, 930)],
            Some((Code::MachineClock, vec![0, 1])),
        ),
        (&[("a", Clock, skewed, 900), ("b", Clock, skewed, -900)], None),
        (&[("a", Clock, skewed, 900), ("b", Clock, skewed, 900), ("c", Clock, None, 0)], None),
        (&[("a", Clock, skewed, 900)], None),
    ] {
        assert_eq!(machine(sick), Vec::from_iter(expected), "{sick:?}");
    }
}
