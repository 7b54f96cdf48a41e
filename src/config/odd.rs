//! What looks wrong about a key or token although it may be meant, in words that hold no piece of
//! it.

use crate::language::Words;

/// `docker --env-file` and `EnvironmentFile` dialects keep the quotes that a shell takes away.
const QUOTED: Words = Words("首尾有引号，会被当作密钥的一部分；docker --env-file 里的值不要加引号", "begins or ends with a quotation mark, which is taken as part of it: docker --env-file wants no quotes");
const UNEXPANDED: Words = Words(
    "像是未展开的变量 $NAME；请写 ${NAME}，或在环境变量和文件里写真正的值",
    "looks like an unexpanded $NAME: write ${NAME} here, or the real value in the variable or file",
);

const QUOTES: [char; 7] = ['"', '\'', '`', '“', '”', '‘', '’'];

/// One line for each thing that is odd about a secret.
pub(super) fn about(secret: &str) -> impl Iterator<Item = Words> {
    let found = [(is_quoted(secret), QUOTED), (is_unexpanded(secret), UNEXPANDED)];
    found.into_iter().filter(|(odd, _)| *odd).map(|(_, line)| line)
}

/// Whether a quotation mark is its first or last character.
pub(super) fn is_quoted(secret: &str) -> bool {
    unquoted(secret).len() < secret.len()
}

/// Whether it is the name of a variable and not its value.
pub(super) fn is_unexpanded(secret: &str) -> bool {
    is_reference(unquoted(secret))
}

/// What stands between quotation marks.
pub(super) fn unquoted(secret: &str) -> &str {
    secret.trim_matches(QUOTES)
}

/// `$NAME`, `${NAME}` or `${NAME:-default}`, and nothing beside it.
fn is_reference(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('$') else { return false };
    let name = match rest.strip_prefix('{') {
        Some(inner) => {
            inner.strip_suffix('}').map(|inner| inner.split(':').next().unwrap_or(inner))
        }
        None => Some(rest),
    };
    name.is_some_and(|name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_around_a_secret_and_whole_references_are_odd_and_nothing_else_is() {
        for (secret, expected) in [
            ("\"sk-a\"", &[QUOTED][..]),
            ("'sk-a'", &[QUOTED]),
            ("“sk-a”", &[QUOTED]),
            ("sk-a\"", &[QUOTED]),
            ("$KEY", &[UNEXPANDED]),
            ("${KEY}", &[UNEXPANDED]),
            ("${_K1:-x}", &[UNEXPANDED]),
            ("'$KEY'", &[QUOTED, UNEXPANDED]),
            ("sk-a", &[]),
            ("a\"b", &[]),
            ("$", &[]),
            ("$1", &[]),
            ("${KEY", &[]),
            ("x$KEY", &[]),
            ("$KEY-x", &[]),
            ("${a-b}", &[]),
        ] {
            assert_eq!(about(secret).collect::<Vec<_>>(), expected, "{secret}");
        }
    }
}
