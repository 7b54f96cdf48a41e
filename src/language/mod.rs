//! Messages in two languages, and which of them is said where. It knows neither files nor HTTP.
//!
//! The log and HTTP say Chinese with its English meaning in brackets, or English alone if the
//! configuration's `language` is `en`. The terminal says one of the two. So a message is made by
//! [`message!`](crate::message) from both texts, and its language is chosen where it is written; what it
//! quotes is in the same one.

mod others;

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

/// How a message is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Chinese, with the English text in brackets.
    #[default]
    Both,
    /// Chinese alone.
    Chinese,
    /// English alone.
    English,
}

pub use self::others::{JsonReason, System};
use Language::{Both, Chinese, English};

static OF_PROGRAM: AtomicU8 = AtomicU8::new(0);
static OF_TERMINAL: AtomicU8 = AtomicU8::new(1);
const ALL: [Language; 3] = [Both, Chinese, English];

thread_local! {
    static OF_CLOSURE: Cell<Option<Language>> = const { Cell::new(None) };
}

impl Language {
    /// That of the log and of HTTP, for the whole process: [`Language::Both`] or
    /// [`Language::English`].
    pub fn set(self) {
        OF_PROGRAM.store(self as u8, Ordering::Relaxed);
    }

    /// That of the terminal, for the whole process.
    pub fn set_of_terminal(self) {
        OF_TERMINAL.store(self as u8, Ordering::Relaxed);
    }

    /// That of the terminal.
    pub fn of_terminal() -> Language {
        ALL[usize::from(OF_TERMINAL.load(Ordering::Relaxed))]
    }

    /// That in which a message is written here and now.
    pub fn current() -> Language {
        OF_CLOSURE.get().unwrap_or_else(|| ALL[usize::from(OF_PROGRAM.load(Ordering::Relaxed))])
    }

    /// What `write` makes, with all messages in this language.
    pub fn speak<T>(self, write: impl FnOnce() -> T) -> T {
        let outer = OF_CLOSURE.replace(Some(self));
        let written = write();
        OF_CLOSURE.set(outer);
        written
    }

    /// The language that the environment asks for (POSIX.1-2017 §8.2): the first of `LC_ALL`,
    /// `LC_MESSAGES` and `LANG` that is set and not empty; Chinese for `zh…`, else English.
    pub fn of_locale(lookup: impl Fn(&str) -> Option<String>) -> Language {
        let names = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter();
        let locale = names.filter_map(lookup).find(|locale| !locale.is_empty());
        match locale.is_some_and(|locale| locale.to_ascii_lowercase().starts_with("zh")) {
            true => Chinese,
            false => English,
        }
    }
}

/// The Chinese text, or the English one where only English is said: for labels, and for strings
/// that are promised without a translation.
pub fn pick(chinese: &'static str, english: &'static str) -> &'static str {
    match Language::current() {
        English => english,
        Both | Chinese => chinese,
    }
}

/// A message whose texts never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words(pub &'static str, pub &'static str);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_in_current(f, &self.0, &self.1)
    }
}

impl std::error::Error for Words {}

/// A message that outlives what it was made of, perhaps behind the place that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    place: String,
    chinese: String,
    english: String,
    both: String,
}

impl Text {
    /// The text in both languages.
    pub fn new(message: impl fmt::Display) -> Text {
        Text::at(String::new(), &message)
    }

    /// The same behind `place`, which stands there once. Control characters, which keys and file names
    /// may hold, become spaces.
    pub fn at(place: String, message: &dyn fmt::Display) -> Text {
        let one_line = |text: String| match text.contains(char::is_control) {
            true => text.replace(char::is_control, " "),
            false => text,
        };
        let said = |language: Language| one_line(language.speak(|| message.to_string()));
        let (chinese, english) = (said(Chinese), said(English));
        let both = if chinese == english { english.clone() } else { said(Both) };
        Text { place: one_line(place), chinese, english, both }
    }

    /// The text in one language.
    pub fn get(&self, language: Language) -> String {
        language.speak(|| self.to_string())
    }
}

/// Several texts in one line.
pub struct Joined<'a>(pub &'a [Text]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, text) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { "; " } else { "" })?;
            text.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
impl Text {
    pub(crate) fn contains(&self, part: &str) -> bool {
        self.to_string().contains(part)
    }

    pub(crate) fn starts_with(&self, part: &str) -> bool {
        self.to_string().starts_with(part)
    }
}

#[cfg(test)]
impl PartialEq<&str> for Text {
    fn eq(&self, text: &&str) -> bool {
        let said = self.to_string();
        said == *text
    }
}

impl From<Words> for Text {
    fn from(words: Words) -> Text {
        Text::new(words)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        f.write_str(match Language::current() {
            Both => &self.both,
            Chinese => &self.chinese,
            English => &self.english,
        })
    }
}

/// What [`message!`](crate::message) makes: two ways to write the same.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// The Chinese text.
    pub chinese: fmt::Arguments<'a>,
    /// The English text.
    pub english: fmt::Arguments<'a>,
    /// What stands in brackets behind the Chinese text in place of the English one, which repeats its
    /// values.
    pub gloss: Option<&'static str>,
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (Language::current(), self.gloss) {
            (Both, Some(gloss)) => {
                Chinese.speak(|| f.write_fmt(self.chinese))?;
                write!(f, " ({gloss})")
            }
            _ => write_in_current(f, &self.chinese, &self.english),
        }
    }
}

/// A message from its Chinese and its English format string; both may name values in scope. It is
/// written when it is shown, in the language that is current then. A gloss and `=>` before the English
/// string are for both languages together, where the English one would say the values again.
#[macro_export]
macro_rules! message {
    ($chinese:literal, $gloss:literal => $english:literal $(, $($argument:tt)*)?) => {
        $crate::language::Message {
            gloss: Some($gloss),
            ..$crate::message!($chinese, $english $(, $($argument)*)?)
        }
    };
    ($chinese:literal, $english:literal $(, $($argument:tt)*)?) => {
        $crate::language::Message {
            chinese: format_args!($chinese $(, $($argument)*)?),
            english: format_args!($english $(, $($argument)*)?),
            gloss: None,
        }
    };
}

/// The same as a [`Text`].
#[macro_export]
macro_rules! text {
    ($($message:tt)*) => { $crate::language::Text::new($crate::message!($($message)*)) };
}

fn write_in_current(
    f: &mut fmt::Formatter<'_>,
    chinese: &dyn fmt::Display,
    english: &dyn fmt::Display,
) -> fmt::Result {
    match Language::current() {
        Chinese => chinese.fmt(f),
        English => english.fmt(f),
        Both => {
            Chinese.speak(|| chinese.fmt(f))?;
            f.write_str(" (")?;
            English.speak(|| english.fmt(f))?;
            f.write_str(")")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_glossed_once_whatever_it_quotes() {
        let inner = Words("连接被拒绝", "connection refused");
        let name = "p";
        let outer = message!("提供商 {name} 请求失败: {inner}", "provider {name} failed: {inner}");
        let both = "提供商 p 请求失败: 连接被拒绝 (provider p failed: connection refused)";
        assert_eq!(Both.speak(|| outer.to_string()), both);
        assert_eq!(Chinese.speak(|| outer.to_string()), "提供商 p 请求失败: 连接被拒绝");
        assert_eq!(English.speak(|| outer.to_string()), "provider p failed: connection refused");
        let kept = Text::new(outer);
        assert_eq!(Both.speak(|| kept.to_string()), both);
        assert_eq!(
            English.speak(|| format!("{kept}{}", pick("秒", "s"))),
            "provider p failed: connection refuseds"
        );
    }

    #[test]
    fn the_locale_is_read_as_posix_has_it() {
        for (set, expected) in [
            (&[][..], English),
            (&[("LANG", "zh_CN.UTF-8")], Chinese),
            (&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")], English),
            (&[("LANG", "en_US.UTF-8"), ("LC_MESSAGES", "zh_TW")], Chinese),
            (&[("LANG", "ZH"), ("LC_ALL", "")], Chinese),
            (&[("LANG", "C.UTF-8")], English),
        ] {
            let lookup =
                |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).to_owned());
            assert_eq!(Language::of_locale(lookup), expected, "{set:?}");
        }
    }
}
