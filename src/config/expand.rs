//! `${NAME}` and `${NAME:-default}` inside one string; a look-up function gives the values. Errors
//! name a variable, never a piece of the text around it, for that may be a secret.

use crate::language::{Text, Words};
use crate::text;

/// Replaces every reference in `text`:
///
/// - `${NAME}` becomes the variable's value;
/// - `${NAME:-default}` becomes `default` when the variable is unset or empty, as in a shell;
/// - `$${` becomes a literal `${`; a `$` before anything else is itself.
///
/// Values are taken as they are: references inside them are not expanded again. A default ends at
/// the first `}` and holds no reference.
///
/// # Errors
///
/// The reason, in one line: an unset variable without a default, or a `${` that begins no
/// reference.
pub(super) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, Text> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$${") {
            expanded.push_str("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let (name, default, after) = reference(after).ok_or(Words(
                "${ 后面应为 NAME} 或 NAME:-默认值}，字面的 ${ 请写成 $${",
                "malformed ${…} reference; write $${ for a literal ${",
            ))?;
            expanded.push_str(&value(name, default, lookup)?);
            rest = after;
        } else {
            expanded.push('$');
            rest = &rest[1..];
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Splits what follows `${` into the name, the default if any, and the text after the `}`.
fn reference(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let name_end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
    let (name, rest) = text.split_at(name_end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((name, None, rest));
    }
    let (default, rest) = rest.strip_prefix(":-")?.split_once('}')?;
    (!default.contains("${")).then_some((name, Some(default), rest))
}

fn value(
    name: &str,
    default: Option<&str>,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Text> {
    match (lookup(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => {
            Err(text!("环境变量 {name} 未设置", "environment variable {name} is not set"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, Text> {
        expand(text, &|name| match name {
            "KEY" => Some("sk-1".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${KEY}".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn references_become_values_and_defaults_fill_unset_or_empty_ones() {
        for (text, wanted) in [
            ("plain", "plain"),
            ("${KEY}", "sk-1"),
            ("a|${KEY}|${KEY}b", "a|sk-1|sk-1b"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${MISSING:-https://h/v1?a=b:-c}", "https://h/v1?a=b:-c"),
            ("${MISSING:-}", ""),
            ("${KEY:-x}", "sk-1"),
            ("${NESTED}", "${KEY}"),
            ("测${KEY}试", "测sk-1试"),
        ] {
            assert_eq!(expanded(text).expect(text), wanted);
        }
    }

    #[test]
    fn a_doubled_dollar_keeps_the_brace_literal_and_other_dollars_are_themselves() {
        for (text, wanted) in [
            ("$${KEY}", "${KEY}"),
            ("$$${KEY}", "$${KEY}"),
            ("^gpt-4$", "^gpt-4$"),
            ("$KEY $$ $", "$KEY $$ $"),
        ] {
            assert_eq!(expanded(text).expect(text), wanted);
        }
    }

    #[test]
    fn an_unset_variable_is_named() {
        let reason = expanded("sk-private${NO_SUCH}").expect_err("NO_SUCH is not set");
        assert!(reason.contains("NO_SUCH"), "{reason}");
        assert!(!reason.contains("private"), "{reason}");
    }

    #[test]
    fn a_malformed_reference_is_refused_without_showing_it() {
        for text in [
            "${A:-${KEY}}",
            "${",
            "${}",
            "${KEY",
            "${KEY:-x",
            "${KEY-x}",
            "${sk-1}",
            "${1A}",
            "${键}",
        ] {
            let reason = expanded(text).expect_err(text);
            assert!(reason.contains("$${") && !reason.contains("sk-1"), "{reason}");
        }
    }
}
