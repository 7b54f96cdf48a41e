//! What is said of each fault: its code, how bad it is, whose it is, and what to do, in both
//! languages. The texts are in words.txt, a block for each code: its names, how bad it is and whose
//! fault; then what is wrong and what to do in Chinese, and the same in English.

use crate::language::Language;

const TEXT: &str = include_str!("words.txt");

/// What became of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All is well; a code beside it is worth knowing and nothing to be mended.
    Ok,
    /// It works, but not as it should.
    Warn,
    /// It does not work.
    Fail,
    /// It could not be tried, or need not be.
    Skipped,
}

impl Status {
    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "fail",
            Status::Skipped => "skipped",
        }
    }
}

/// What can be said of a stage, in the order of words.txt. Some have one name for programs and
/// several wordings for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    QuotedKey,
    UnexpandedKey,
    BaseurlHasEndpoint,
    DnsFailed,
    DnsSilent,
    MachineDns,
    Refused,
    LocalRefused,
    TcpTimeout,
    Unreachable,
    ConnectFailed,
    MachineNetwork,
    NoCa,
    CertificateUntrusted,
    MachineTrust,
    CertificateExpired,
    CertificateNotYetValid,
    CertificateWrongHost,
    CertificateEndsSoon,
    NotTls,
    SpeaksTls,
    TlsTimeout,
    TlsFailed,
    Http2Only,
    AnswerTimeout,
    Closed,
    BadAnswer,
    ClockSkew,
    MachineClock,
    Redirect,
    RedirectElsewhere,
    ServerError,
    UnexpectedStatus,
    Unauthorized,
    NoKey,
    Forbidden,
    ForbiddenPage,
    BaseurlNeedsV1,
    NoList,
    HtmlPage,
    ErrorInList,
    NotAList,
    SlowList,
    SlowListGivenUp,
    GzipList,
    ListTooLarge,
    CutList,
    RateLimited,
    EmptyList,
    AllFiltered,
    ModelNotListed,
    NoChatModel,
    ChatRefused,
    NoCredit,
    SlowChat,
    ErrorInChat,
    BadChat,
    NotAStream,
    OneBurst,
    CutStream,
    NoEndMark,
    NoUsage,
    CancelIgnored,
}

/// All that is to be said of a code.
pub struct Row {
    /// Its name for programs, which stays as it is.
    pub name: &'static str,
    /// How bad it is.
    pub status: Status,
    /// Whose fault it is: `key`, `baseurl`, `configuration`, `provider`, `network` or `machine`.
    pub culprit: &'static str,
    /// What is wrong, and what to do, in Chinese.
    chinese: [&'static str; 2],
    /// The same in English.
    english: [&'static str; 2],
}

impl Row {
    /// What is wrong, and what to do.
    pub fn texts(&self, language: Language) -> [&'static str; 2] {
        if language == Language::Chinese {
            self.chinese
        } else {
            self.english
        }
    }
}

impl Code {
    /// What is to be said of it.
    #[inline(never)]
    pub fn row(self) -> Row {
        // Five lines and an empty one.
        let mut lines = TEXT.lines().skip(6 * self as usize);
        let mut line = || lines.next().unwrap_or_default();
        let mut names = line().split(' ').skip(1);
        let mut name = || names.next().unwrap_or_default();
        Row {
            name: name(),
            status: match name() {
                "ok" => Status::Ok,
                "warn" => Status::Warn,
                _ => Status::Fail,
            },
            culprit: name(),
            chinese: [line(), line()],
            english: [line(), line()],
        }
    }
}

/// A text with its `{blanks}` filled in; `None` if there is nothing for one of them. `${NAME}` is no
/// blank.
#[inline(never)]
pub fn fill(text: &str, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut filled = String::new();
    for (number, part) in text.split('{').enumerate() {
        match part.split_once('}').filter(|_| number > 0) {
            Some((name, rest)) if filled.ends_with('$') => {
                filled.extend(["{", name, "}", rest]);
            }
            Some((name, rest)) => {
                filled.push_str(&value(name)?);
                filled.push_str(rest);
            }
            None => filled.push_str(part),
        }
    }
    Some(filled)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// All that [`super::super::record::Record::words`] can know.
    const BLANKS: [&str; 25] = [
        "address",
        "base",
        "begins",
        "chat_status",
        "count",
        "days",
        "endpoint",
        "events",
        "expires",
        "fix",
        "host",
        "http_status",
        "issuer",
        "limit",
        "missing",
        "model",
        "models",
        "names",
        "port",
        "redirect",
        "said",
        "seconds",
        "skew",
        "way",
        "pieces",
    ];

    fn blanks(texts: [&str; 2]) -> BTreeSet<String> {
        let found = std::cell::RefCell::new(BTreeSet::new());
        for text in texts {
            fill(text, &|name| {
                found.borrow_mut().insert(name.to_owned());
                Some(String::new())
            });
        }
        found.into_inner()
    }

    #[test]
    fn every_code_has_a_block_in_its_place_in_two_languages_with_the_same_blanks() {
        let source = include_str!("words.rs");
        let (_, codes) = source.split_once("pub enum Code {\n").unwrap();
        let codes: Vec<_> = codes.lines().take_while(|line| *line != "}").map(str::trim).collect();
        let blocks: Vec<_> = TEXT.trim_end().split("\n\n").collect();
        assert_eq!(codes.len(), blocks.len());
        for (code, block) in codes.iter().zip(blocks) {
            let lines: Vec<_> = block.lines().collect();
            let [names, what, advice, what_english, advice_english] = lines[..] else {
                panic!("{block}")
            };
            let names: Vec<_> = names.split(' ').collect();
            let [rust, name, status, culprit] = names[..] else { panic!("{block}") };
            assert_eq!(format!("{rust},"), *code);
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(is_name), "{block}");
            assert!(["ok", "warn", "fail"].contains(&status), "{block}");
            let culprits = ["key", "baseurl", "configuration", "provider", "network", "machine"];
            assert!(culprits.contains(&culprit), "{block}");
            for text in [what, advice] {
                assert!(text.chars().any(|c| c > '\u{2e80}'), "{block}");
            }
            for text in [what_english, advice_english] {
                assert!(text.is_ascii() && text.contains(' '), "{block}");
            }
            let named = blanks([what, advice]);
            assert_eq!(named, blanks([what_english, advice_english]), "{block}");
            assert!(named.iter().all(|name| BLANKS.contains(&name.as_str())), "{named:?}");
        }
    }

    #[test]
    fn a_code_finds_its_own_block() {
        let row = Code::NoUsage.row();
        assert_eq!((row.name, row.status, row.culprit), ("no_usage", Status::Warn, "provider"));
        assert!(row.texts(Language::Chinese)[0].contains("用量"));
        assert!(row.texts(Language::English)[1].contains("tokens"));
        assert_eq!(Code::CancelIgnored.row().name, "cancel_ignored");
        assert_eq!(Code::GzipList.row().status, Status::Ok);
    }

    #[test]
    fn blanks_are_filled_and_variables_stay() {
        let value = |name: &str| (name == "host").then(|| "h".to_owned());
        assert_eq!(fill("at {host}, {host}.", &value).as_deref(), Some("at h, h."));
        assert_eq!(fill("${NAME}{host", &value).as_deref(), Some("${NAME}host"));
        assert_eq!(fill("{none}{host}", &value), None);
        assert_eq!(fill("", &value).as_deref(), Some(""));
    }
}
