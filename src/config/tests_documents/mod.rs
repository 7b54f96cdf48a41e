//! The schema, the tables of docs/configuration.md and the entries of the manual page say what the tables of
//! keys say. `UPDATE=1 cargo test --lib documents` writes them; an entry of the manual page only
//! when there is none.

mod schema;

use super::keys::{Key, Kind, Presence, ALIAS_KEYS, KEYS, PROVIDER_KEYS};
use super::{Alias, Config, Provider};
use crate::language::Language;

/// A table of keys, and what is the same for all of its rows.
struct Table<'a, T: 'static> {
    keys: &'static [Key<T>],
    defaults: &'a T,
}

fn of_file<R>(run: impl Fn(Table<'_, Config>) -> R) -> R {
    Language::English.speak(|| run(Table { keys: KEYS, defaults: &Config::default() }))
}

fn of_provider<R>(run: impl Fn(Table<'_, Provider>) -> R) -> R {
    Language::English.speak(|| run(Table { keys: PROVIDER_KEYS, defaults: &Provider::default() }))
}

fn of_alias<R>(run: impl Fn(Table<'_, Alias>) -> R) -> R {
    Language::English.speak(|| run(Table { keys: ALIAS_KEYS, defaults: &Alias::default() }))
}

/// Asserts that a file of the repository reads as `expected` makes it, or makes it so.
fn agrees(name: &str, expected: impl Fn(&str) -> String) {
    let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    let found = std::fs::read_to_string(&path).expect("part of the repository");
    let expected = expected(&found);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, expected).expect("writable");
    } else if let Some((line, (found, expected))) =
        lines(&found).zip(lines(&expected)).enumerate().find(|(_, (one, other))| one != other)
    {
        panic!(
            "{name}, line {}\nsays        {found:?}\nand not     {expected:?}\n\
             UPDATE=1 cargo test --lib documents writes what the table of keys says",
            line + 1
        );
    }
}

/// All lines, and a sign of the end.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').chain(["(end)"])
}

fn json_string(text: &str) -> String {
    serde_json::to_string(text).expect("a string")
}

/// The default as JSON; `None` where there is nothing to say.
fn default_json<T>(key: &Key<T>, defaults: &T) -> Option<String> {
    let shown = (key.show)(defaults);
    match key.doc.kind {
        _ if ["language", "retries"].contains(&key.name) => None,
        Kind::Integer(..) | Kind::Boolean | Kind::SwitchOrUrl => Some(shown),
        Kind::Size => shown.strip_suffix(" bytes").map(str::to_owned),
        Kind::Seconds | Kind::SecondsOrZero => Some(match shown.strip_suffix(" s") {
            Some(seconds) => format!("{:?}", seconds.parse::<f64>().expect("a number")),
            None => "0".to_owned(),
        }),
        Kind::Text(_) | Kind::Word => (!shown.is_empty()).then(|| json_string(&shown)),
        Kind::List(_) | Kind::Lines(_) | Kind::Mixed => Some("[]".to_owned()),
        Kind::Named => Some("{}".to_owned()),
        Kind::StringOrList | Kind::Targets => None,
    }
}

fn is_expected<T>(key: &Key<T>) -> bool {
    !matches!(key.presence, Presence::Optional)
}

/// The rows of the names that are there, in their order, then all others.
fn in_order<'k, T>(keys: &'k [Key<T>], names: &[&str]) -> Vec<&'k Key<T>> {
    let known = names.iter().filter_map(|name| keys.iter().find(|key| key.name == *name));
    let new = keys.iter().filter(|key| !names.contains(&key.name));
    known.chain(new).collect()
}

/// A sentence in English without Markdown.
fn plain<T>(key: &Key<T>) -> String {
    if !key.doc.schema.is_empty() {
        return key.doc.schema.to_owned();
    }
    let text = key.doc.english.replace('`', "").replace("\\|", "|");
    assert!(!text.contains("]("), "{}: a schema has no links, give its row a text", key.name);
    let mut rest = text.chars();
    rest.next()
        .map(|first| format!("{}{}.", first.to_uppercase(), rest.as_str()))
        .unwrap_or_default()
}

mod pages {
    use super::*;

    #[test]
    fn the_tables_of_the_english_page_are_those_of_the_keys() {
        agrees("docs/configuration.md", |text| {
            let text = of_file(|table| table.written(text, "| key | type | default | meaning |"));
            let text = of_provider(|table| table.written(&text, "| key | type | meaning |"));
            of_alias(|table| table.written(&text, "| key of an alias | type | meaning |"))
        });
    }

    #[test]
    fn the_tables_of_the_chinese_page_are_those_of_the_keys() {
        agrees("docs/zh-CN/configuration.md", |text| {
            let text = of_file(|table| table.written(text, "| 键 | 类型 | 默认值 | 含义 |"));
            let text = of_provider(|table| table.written(&text, "| 键 | 类型 | 含义 |"));
            of_alias(|table| table.written(&text, "| 别名的键 | 类型 | 含义 |"))
        });
    }

    impl<T> Table<'_, T> {
        /// The text with the table of this head written anew, in the order that it has.
        fn written(&self, text: &str, head: &str) -> String {
            let (before, rest) = text.split_once(head).expect("the table is there");
            let (old, after) = rest.split_once("\n\n").expect("something follows the table");
            let names: Vec<_> = old.lines().filter_map(|row| row.split('`').nth(1)).collect();
            let (chinese, defaults) = (head.contains('键'), head.matches('|').count() == 5);
            let mut written = format!("{before}{head}\n{}", "| --- ".repeat(3));
            written.push_str(if defaults { "| --- |" } else { "|" });
            for key in in_order(self.keys, &names) {
                if !key.name.starts_with('$') {
                    written.push_str(&self.row(key, chinese, defaults));
                }
            }
            format!("{written}\n\n{after}")
        }

        fn row(&self, key: &Key<T>, chinese: bool, defaults: bool) -> String {
            let pick = |(one, other): (&str, &str)| if chinese { other } else { one }.to_owned();
            let mut cells = pick(kind_words(key));
            let required = matches!(key.presence, Presence::Required);
            let wanted = matches!(key.presence, Presence::Wanted);
            if defaults {
                let default = match default_json(key, self.defaults) {
                    Some(json) if wanted => pick((
                        &format!("required; without it `{json}` and a warning"),
                        &format!("必填；缺省按 `{json}` 处理，并有警告"),
                    )),
                    _ if required => pick(("required", "必填")),
                    Some(json) => format!("`{json}`"),
                    None if key.name == "retries" => {
                        pick(("by the number of keys and targets", "由密钥和目标的数量决定"))
                    }
                    None => pick(("from the environment", "由环境变量决定")),
                };
                cells.push_str(&format!(" | {default}"));
            } else if required {
                cells.push_str(&pick((", required", "，必填")));
            }
            let meaning = pick((key.doc.english, key.doc.chinese));
            format!("\n| `{}` | {cells} | {meaning} |", key.name)
        }
    }
}

fn kind_words<T>(key: &Key<T>) -> (&'static str, &'static str) {
    match key.doc.kind {
        Kind::Integer(..) => ("integer", "整数"),
        Kind::Size => ("bytes", "字节"),
        Kind::Seconds | Kind::SecondsOrZero => ("seconds", "秒"),
        Kind::Boolean => ("boolean", "布尔"),
        Kind::SwitchOrUrl => ("boolean or URL", "布尔或网址"),
        Kind::Text(_) | Kind::Word => ("string", "字符串"),
        Kind::StringOrList => ("string or array of strings", "字符串或字符串数组"),
        Kind::Mixed => ("array", "数组"),
        Kind::Targets => ("string or array", "字符串或数组"),
        Kind::Named => ("object", "对象"),
        Kind::List(_) => ("array of strings", "字符串数组"),
        Kind::Lines(_) => ("array", "数组"),
    }
}

mod manual {
    use super::*;

    #[test]
    fn the_manual_page_has_an_entry_for_each_key() {
        agrees("deploy/ai_proxy.1", |text| {
            let (file, provider) = text.split_once("\nA provider is an object").expect("a list");
            let (provider, alias) = provider.split_once("\nAn alias").expect("three lists");
            let (before, file) = file.split_once("\n.Sh CONFIGURATION").expect("a section");
            let file = of_file(|table| table.entries(file));
            let file = format!("{before}\n.Sh CONFIGURATION{file}");
            let provider = of_provider(|table| table.entries(provider));
            let alias = of_alias(|table| table.entries(alias));
            format!("{file}\nA provider is an object{provider}\nAn alias{alias}")
        });
    }

    impl<T> Table<'_, T> {
        /// The text with the first lines of all entries as they should be, and with new entries.
        fn entries(&self, text: &str) -> String {
            let mut text = text.to_owned();
            for key in self.keys {
                let name = format!(".It Cm {}", key.name);
                let entry = format!("{name}{}", self.form(key));
                let old = text
                    .lines()
                    .find(|line| *line == name || line.starts_with(&format!("{name} ")));
                text = match old.map(str::to_owned) {
                    Some(old) => text.replacen(&old, &entry, 1),
                    None => text.replacen("\n.El", &format!("\n{entry}\n{}\n.El", plain(key)), 1),
                };
            }
            text
        }

        /// Type and default; words of an array are not told from others here.
        fn form(&self, key: &Key<T>) -> String {
            let kind = kind_words(key).0.split(' ').next().unwrap_or_default();
            let default =
                default_json(key, self.defaults).filter(|json| !["[]", "{}"].contains(&&**json));
            let default =
                default.map(|json| json.trim_matches('"').trim_end_matches(".0").to_owned());
            match (key.presence, default) {
                _ if key.name == "$schema" => "".to_owned(),
                (Presence::Required, _) => format!(" Pq \"{kind}, required\""),
                (_, Some(default)) if default != "none" => {
                    format!(" Pq \"{kind}, {default} by default\"")
                }
                _ => format!(" Pq {kind}"),
            }
        }
    }
}
