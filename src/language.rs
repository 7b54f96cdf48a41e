//! Messages in two languages, and which of them is said where. It knows neither files nor HTTP.
//!
//! The log and HTTP say Chinese with its English meaning in brackets, or English alone if the
//! configuration's `language` is `en`. The terminal says one of the two. So a message is made by
//! [`message!`](crate::message) from both texts, and its language is chosen where it is written; what it
//! quotes is in the same one.

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
        write_in_current(f, |f| f.write_str(self.0), |f| f.write_str(self.1))
    }
}

/// A message that outlives what it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    chinese: String,
    english: String,
}

impl Text {
    /// The text in both languages.
    pub fn new(message: impl fmt::Display) -> Text {
        let (chinese, english) =
            (Chinese.speak(|| message.to_string()), English.speak(|| message.to_string()));
        Text { chinese, english }
    }

    /// The text in one language: Chinese, or else English.
    pub fn get(&self, language: Language) -> &str {
        if language == Chinese {
            &self.chinese
        } else {
            &self.english
        }
    }

    /// The same with `change` made to both texts.
    #[must_use]
    pub fn map(&self, change: impl Fn(&str) -> String) -> Text {
        Text { chinese: change(&self.chinese), english: change(&self.english) }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.chinese == self.english {
            return f.write_str(&self.english);
        }
        write_in_current(f, |f| f.write_str(&self.chinese), |f| f.write_str(&self.english))
    }
}

/// What [`message!`](crate::message) makes: two ways to write the same.
pub struct Message<C, E>(pub C, pub E);

impl<C, E> fmt::Display for Message<C, E>
where
    C: Fn(&mut fmt::Formatter<'_>) -> fmt::Result,
    E: Fn(&mut fmt::Formatter<'_>) -> fmt::Result,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_in_current(f, &self.0, &self.1)
    }
}

/// A message from its Chinese and its English format string; both may name values in scope. It is
/// written when it is shown, in the language that is current then.
#[macro_export]
macro_rules! message {
    ($chinese:literal, $english:literal $(, $($argument:tt)*)?) => {
        $crate::language::Message(
            |f: &mut std::fmt::Formatter<'_>| f.write_fmt(format_args!($chinese $(, $($argument)*)?)),
            |f: &mut std::fmt::Formatter<'_>| f.write_fmt(format_args!($english $(, $($argument)*)?)),
        )
    };
}

fn write_in_current(
    f: &mut fmt::Formatter<'_>,
    chinese: impl Fn(&mut fmt::Formatter<'_>) -> fmt::Result,
    english: impl Fn(&mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    match Language::current() {
        Chinese => chinese(f),
        English => english(f),
        Both => {
            Chinese.speak(|| chinese(f))?;
            f.write_str(" (")?;
            English.speak(|| english(f))?;
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
        let kept = Text::new(&outer);
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
