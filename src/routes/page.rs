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
    include_str!("page/lists.js"),
    include_str!("page/chat.js"),
    "</script>\n",
);
const PAGE_BYTES: usize = squeeze::<0>(FILES).1;
static PAGE: [u8; PAGE_BYTES] = squeeze(FILES).0;

/// The page may run its own script and style, known by their SHA-256, and talk to this origin.
/// tests/routes/status_page.rs computes both anew.
const POLICY: &str = "default-src 'none'; \
    script-src 'sha256-t5X9RX4a8RFsdupkYtd6FbI14qiKwfoPV435V3tfj/8='; \
    style-src 'sha256-tSXrwClcfAY13YwiG1zrOYijPD9OwbM8fQIlTB61H7E='; \
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

/// `text` without indentation, empty lines, lines that are only a comment, line ends that part
/// nothing, and the spaces of the style, as far as it fits; and how long that is in all. The files can
/// be read, and the answer stays small.
const fn squeeze<const N: usize>(text: &str) -> ([u8; N], usize) {
    let text = text.as_bytes();
    let mut kept = [0; N];
    let (mut from, mut to) = (0, 0);
    let mut in_style = false;
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
        in_style = if in_style { text[start] != b'<' } else { is_style(text, start) };
        let mut at = start;
        while at < from {
            let parts_nothing = text[at] == b'\n' && is_in_the_middle(text[at - 1]);
            if !(parts_nothing || in_style && is_space_of_style(text, at)) {
                if to < N {
                    kept[to] = text[at];
                }
                to += 1;
            }
            at += 1;
        }
    }
    (kept, to)
}

/// Whether a script goes on behind this, wherever the line ends.
const fn is_in_the_middle(last: u8) -> bool {
    matches!(last, b';' | b',' | b'{' | b'(' | b'[')
}

const fn is_style(text: &[u8], start: usize) -> bool {
    text[start] == b'<' && text[start + 1] == b's' && text[start + 2] == b't'
}

/// White space that parts nothing there: behind a colon, or beside a brace, for instance.
const fn is_space_of_style(text: &[u8], at: usize) -> bool {
    matches!(text[at], b' ' | b'\n')
        && (matches!(text[at - 1], b':' | b';' | b',' | b'{' | b'}' | b'>')
            || matches!(text[at + 1], b'{' | b'}' | b'>'))
}

/// `//` and `/** … */`, which here never goes on behind its line.
const fn is_comment(text: &[u8], start: usize) -> bool {
    text[start] == b'/' && matches!(text[start + 1], b'/' | b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_parts_nothing_is_left_out_and_nothing_else() {
        let text = "a  b\n\n  // no\n  c // stays\n/** no */\n    http://d;\ne {\n  f: g\n}\n\
            <style>\n  a > b,\n  p { c: d e; f: \"· \" }\n</style>\nx: y\n";
        let kept = "a  b\nc // stays\nhttp://d;e {f: g\n}\n\
            <style>a>b,p{c:d e;f:\"· \"}</style>\nx: y\n";
        let (bytes, length) = squeeze::<128>(text);
        assert_eq!(std::str::from_utf8(&bytes[..length]), Ok(kept));
        assert_eq!(squeeze::<0>(text).1, kept.len());
    }

    #[test]
    fn comments_of_the_page_have_lines_of_their_own() {
        for line in FILES.lines().map(str::trim) {
            assert!(!line.starts_with("/*") || line.ends_with("*/"), "{line}");
            assert!(line.starts_with("//") || !line.contains(" // "), "{line}");
        }
    }
}
