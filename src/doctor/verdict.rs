//! From what was seen to what it means: errors and responses become codes, codes a culprit. Pure.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::record::{Finding, Record, Stage};
use super::words::{Code, Status};
use crate::config::BaseUrl;
use crate::language::Language;
use crate::upstream::{ConnectError, Error};
use crate::wire::HeadError;

/// A list that takes longer is slow.
const LIST_TIME_MAX: Duration = Duration::from_secs(2);
/// Clocks further apart, in seconds, are a warning.
const SKEW_MAX: i64 = 120;
/// Clocks that differ from ours by the same, give or take so many seconds, are right.
const SKEW_ALIKE: i64 = 60;

/// Why there is no connection. `local`: the host is this machine.
pub fn of_connecting(error: &ConnectError, stage: Stage, local: bool) -> Code {
    match error {
        ConnectError::Timeout(_) => match stage {
            Stage::Dns => Code::DnsSilent,
            Stage::Tcp => Code::TcpTimeout,
            _ => Code::TlsTimeout,
        },
        // EAI_AGAIN has no kind of its own, and such a text in every C library.
        ConnectError::Resolve(_, error) if mentions(&error.to_string(), &["temporary", "try"]) => {
            Code::DnsSilent
        }
        ConnectError::Resolve(..) => Code::DnsFailed,
        ConnectError::Tcp(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused if local => Code::LocalRefused,
            io::ErrorKind::ConnectionRefused => Code::Refused,
            io::ErrorKind::TimedOut => Code::TcpTimeout,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Code::Unreachable,
            _ => Code::ConnectFailed,
        },
        ConnectError::Tls(text) => of_tls(&text.get(Language::English)),
    }
}

/// OpenSSL's words, in any of its versions, the more exact first.
const OF_TLS: [(&str, Code); 13] = [
    ("not yet valid", Code::CertificateNotYetValid),
    ("has expired", Code::CertificateExpired),
    ("hostname mismatch", Code::CertificateWrongHost),
    ("ip address mismatch", Code::CertificateWrongHost),
    ("certificate verify failed", Code::CertificateUntrusted),
    ("self-signed", Code::CertificateUntrusted),
    ("self signed", Code::CertificateUntrusted),
    ("no application protocol", Code::Http2Only),
    ("wrong version number", Code::NotTls),
    ("http request", Code::NotTls),
    ("packet length too long", Code::NotTls),
    ("record layer failure", Code::NotTls),
    ("unknown protocol", Code::NotTls),
];

fn of_tls(text: &str) -> Code {
    let found = OF_TLS.iter().find(|(words, _)| mentions(text, &[words]));
    found.map_or(Code::TlsFailed, |(_, code)| *code)
}

/// Whether one of the words, in small letters, stands in a text.
#[inline(never)]
pub fn mentions(text: &str, words: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// Whether the certificate is the matter, and worth a look.
pub fn is_of_certificate(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        CertificateUntrusted | CertificateExpired | CertificateNotYetValid | CertificateWrongHost
    )
}

/// Whether what came of a TLS connection shows that TLS is spoken there.
pub fn speaks_tls<T>(result: &Result<T, Error>) -> bool {
    match result {
        Err(Error::Connect(ConnectError::Tls(text))) => {
            is_of_certificate(of_tls(&text.get(Language::English)))
        }
        Err(Error::Connect(_)) => false,
        _ => true,
    }
}

/// Where the API is to which a redirect of its `/models` leads.
pub fn base_of_redirect(target: &str, from: &BaseUrl) -> Option<String> {
    let base = target.trim_end_matches('/').strip_suffix("/models")?;
    let origin = BaseUrl { path: String::new(), ..from.clone() };
    Some(if base.contains("//") { base.to_owned() } else { format!("{origin}{base}") })
}

/// Why a connection brought no response.
pub fn of_exchange(error: &Error) -> Code {
    match error {
        Error::Timeout(_) => Code::AnswerTimeout,
        Error::Head(HeadError::Http2 | HeadError::Version) => Code::Http2Only,
        Error::Head(HeadError::Tls) => Code::SpeaksTls,
        Error::Redirect(..) => Code::RedirectElsewhere,
        Error::Closed(_) | Error::Io(_) => Code::Closed,
        _ => Code::BadAnswer,
    }
}

/// What the provider's clock tells, if it is this many seconds ahead of ours.
pub fn of_clock(skew: i64) -> Option<Code> {
    (skew.unsigned_abs() > SKEW_MAX.unsigned_abs()).then_some(Code::ClockSkew)
}

/// What the status of a response tells of the key: `None` if it was not looked at.
pub fn of_key(status: u16, has_key: bool, is_page: bool) -> Option<Code> {
    match status {
        401 if has_key => Some(Code::Unauthorized),
        401 => Some(Code::NoKey),
        403 if is_page => Some(Code::ForbiddenPage),
        403 => Some(Code::Forbidden),
        _ => None,
    }
}

/// What the status of a response to `GET /models` tells of the server.
pub fn of_status(status: u16) -> Option<Code> {
    match status {
        // RFC 9110 §15.6.6: HTTP Version Not Supported.
        505 => Some(Code::Http2Only),
        500.. => Some(Code::ServerError),
        200 | 401 | 403 | 404 | 405 | 429 => None,
        _ => Some(Code::UnexpectedStatus),
    }
}

/// What there is to say of a list that is one, beside its models.
pub fn of_list(took: Duration, compressed: bool) -> Option<Code> {
    match () {
        () if took > LIST_TIME_MAX => Some(Code::SlowList),
        () if compressed => Some(Code::GzipList),
        () => None,
    }
}

/// Whether a fault of the list does no harm where the models are named in the configuration.
pub fn is_of_list_alone(code: Code) -> bool {
    use Code::*;
    matches!(code, NoList | NotAList | SlowList | SlowListGivenUp | ListTooLarge | CutList)
}

/// What the status of a chat tells, if it was refused.
pub fn of_chat(status: u16, has_key: bool) -> Option<Code> {
    match status {
        200 => None,
        402 => Some(Code::NoCredit),
        429 => Some(Code::RateLimited),
        500.. => Some(Code::ServerError),
        _ => of_key(status, has_key, false).or(Some(Code::ChatRefused)),
    }
}

/// What was seen of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Streamed {
    /// Events, `[DONE]` left out.
    pub events: usize,
    /// In how many pieces they came.
    pub pieces: usize,
    /// It broke off.
    pub cut: bool,
    /// It was not over in time.
    pub late: bool,
    /// One of its events is an error.
    pub error: bool,
    /// `[DONE]` came.
    pub done: bool,
    /// Usage came.
    pub usage: bool,
}

/// Why a stream is of no use.
pub fn of_stream(seen: &Streamed) -> Option<Code> {
    match () {
        () if seen.error => Some(Code::ErrorInChat),
        // What comes behind the final event is of no use to anybody.
        () if seen.cut && !seen.done => Some(Code::CutStream),
        () if seen.late && !seen.done => Some(Code::SlowChat),
        () if seen.events == 0 => Some(Code::NotAStream),
        () => None,
    }
}

/// What is wrong with one that is: how it came, its end, and its usage.
pub fn of_stream_in_use(seen: &Streamed) -> [Option<Code>; 3] {
    let burst = seen.pieces <= 1 && seen.events > 1;
    [
        burst.then_some(Code::OneBurst),
        (!seen.done).then_some(Code::NoEndMark),
        (!seen.usage).then_some(Code::NoUsage),
    ]
}

/// Which stage is to blame: the first that fails, else the first that warns.
pub fn culprit(findings: &[Finding]) -> Option<usize> {
    let first = |status| findings.iter().position(|finding| finding.status == status);
    first(Status::Fail).or_else(|| first(Status::Warn))
}

/// A fault that is this machine's when several providers show it: what it is then, the stage, and
/// how providers show it.
const OF_MACHINE: [(Code, Stage, &[Code]); 5] = [
    (Code::MachineDns, Stage::Dns, &[Code::DnsFailed, Code::DnsSilent]),
    (Code::MachineNetwork, Stage::Tcp, &[Code::TcpTimeout, Code::Unreachable]),
    (Code::MachineTrust, Stage::Tls, &[Code::CertificateUntrusted]),
    (Code::NoCa, Stage::Tls, &[Code::NoCa]),
    (Code::MachineClock, Stage::Clock, &[Code::ClockSkew]),
];

/// What is wrong with this machine and not with its providers: the code, the stage, and which of
/// them show it. Two that fail alike, and none that does not, are no chance.
pub fn of_machine(records: &[Rc<Record>]) -> Vec<(Code, Stage, Vec<usize>)> {
    let mut found = Vec::new();
    for (code, stage, shown_by) in OF_MACHINE {
        let (mut ill, mut any_well) = (Vec::new(), false);
        for (index, record) in records.iter().enumerate() {
            let shows = record.code(stage).is_some_and(|code| shown_by.contains(&code));
            // This machine itself says nothing of names, networks and proxies.
            let tells = matches!(code, Code::NoCa | Code::MachineClock)
                || !record.fact("host").is_some_and(|host| is_local(&host));
            if tells && shows {
                ill.push(index);
            } else if tells {
                any_well |= matches!(record.status(stage), Status::Ok | Status::Warn);
            }
        }
        let several = ill.iter().any(|index| place(&records[*index]) != place(&records[ill[0]]));
        let alike = ill.iter().all(|index| are_alike(code, &records[*index], &records[ill[0]]));
        if alike && !any_well && (several || code == Code::NoCa && !ill.is_empty()) {
            found.push((code, stage, ill));
        }
    }
    found
}

fn place(record: &Record) -> [Option<String>; 2] {
    [record.fact("host"), record.fact("port")]
}

/// Whether two providers show the same fault in the same way.
fn are_alike(code: Code, one: &Record, other: &Record) -> bool {
    let skew = |record: &Record| {
        let skew = record.fact("clock_skew_seconds").and_then(|skew| skew.parse::<i64>().ok());
        skew.unwrap_or_default()
    };
    match code {
        Code::MachineTrust => one.fact("issuer") == other.fact("issuer"),
        Code::MachineClock => (skew(one) - skew(other)).abs() <= SKEW_ALIKE,
        _ => true,
    }
}

/// Whether a host is this machine.
pub fn is_local(host: &str) -> bool {
    host == "localhost" || host == "::1" || host.starts_with("127.")
}

#[cfg(test)]
mod tests;
