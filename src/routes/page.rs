//! The status page, for whoever opens `/` in a browser: one text, made when the program is built.
//! Nothing of a request or of the configuration is ever written into it; its script asks the same
//! endpoints as everybody else does. Must not know the proxy's state.

use crate::wire::Reply;

/// The files of `page/` in their order.
const FILES: &str = concat!(
    include_str!("page/head.html"),
    "<style>",
    include_str!("page/style.css"),
    "</style>\n",
    include_str!("page/body.html"),
    "<script>",
    include_str!("page/words.js"),
    include_str!("page/status.js"),
    include_str!("page/chat.js"),
    "</script>\n",
);
const PAGE_BYTES: usize = squeeze::<0>(FILES).1;
static PAGE: [u8; PAGE_BYTES] = squeeze(FILES).0;

/// The page may run its own script and style, known by their SHA-256, and talk to this origin.
/// tests/routes/status_page.rs computes both anew.
const POLICY: &str = "default-src 'none'; \
    script-src 'sha256-snNL8AjGhkOYwG3xsSwS4TQBEtcbX7+JmMLAcjARU2k='; \
    style-src 'sha256-Nz2rVEo+xhI3E0un/X8Isbax3X+BbLygTxIlxOBmthE='; \
    img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The answer to a browser.
pub fn reply() -> Reply {
    Reply::html(&PAGE)
        .with("content-security-policy", POLICY)
        .with("x-content-type-options", "nosniff")
        .with("referrer-policy", "no-referrer")
        .with("cache-control", "no-cache")
}

/// `text` without indentation, empty lines and lines that are only a comment, as far as it fits;
/// and how long that is in all. The files can be read, and the answer stays small.
const fn squeeze<const N: usize>(text: &str) -> ([u8; N], usize) {
    let text = text.as_bytes();
    let mut kept = [0; N];
    let (mut from, mut to) = (0, 0);
    while from < text.len() {
        while text[from] == b' ' {
            from += 1;
        }
        let start = from;
        while text[from] != b'\n' {
            from += 1;
        }
        from += 1;
        if from - start == 1 || is_comment(text, start) {
            continue;
        }
        let mut at = start;
        while at < from {
            if to < N {
                kept[to] = text[at];
            }
            to += 1;
            at += 1;
        }
    }
    (kept, to)
}

/// `//` and `/** … */`, which here never goes on behind its line.
const fn is_comment(text: &[u8], start: usize) -> bool {
    text[start] == b'/' && matches!(text[start + 1], b'/' | b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indentation_comments_and_empty_lines_are_left_out_and_nothing_else() {
        let text = "a  b\n\n  // no\n  c // stays\n/** no */\n    http://d\n";
        let kept = "a  b\nc // stays\nhttp://d\n";
        let (bytes, length) = squeeze::<64>(text);
        assert_eq!(std::str::from_utf8(&bytes[..length]), Ok(kept));
        assert_eq!(squeeze::<0>(text).1, kept.len());
    }

    #[test]
    fn comments_of_the_page_end_on_their_line() {
        for line in FILES.lines().filter(|line| line.trim_start().starts_with("/*")) {
            assert!(line.contains("*/"), "{line}");
        }
    }
}
