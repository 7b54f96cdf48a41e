//! Field lines that were kept, looked at again.

use super::trim;

/// The values of all fields of this name.
pub fn fields<'l>(lines: &'l [u8], name: &'l str) -> impl Iterator<Item = &'l [u8]> {
    lines.split(|byte| *byte == b'\n').filter_map(move |line| value_of(line, name))
}

/// Takes out every field of this name.
pub fn remove_field(lines: &mut Vec<u8>, name: &str) {
    let kept =
        lines.split_inclusive(|byte| *byte == b'\n').filter(|line| value_of(line, name).is_none());
    *lines = kept.flatten().copied().collect();
}

fn value_of<'l>(line: &'l [u8], name: &str) -> Option<&'l [u8]> {
    let (found, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(b":")?;
    found.eq_ignore_ascii_case(name.as_bytes()).then(|| trim(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_and_taken_out_by_its_whole_name() {
        let mut lines =
            b"X-Content-Type: a\r\ncontent-type:  b \r\nContent-Type: c\r\nX: content-type: d\r\n"
                .to_vec();
        let found = |name| fields(&lines, name).collect::<Vec<_>>();
        assert_eq!(found("content-type"), [b"b", b"c"]);
        assert_eq!(found("content"), [b""; 0]);
        remove_field(&mut lines, "Content-Type");
        assert_eq!(lines, b"X-Content-Type: a\r\nX: content-type: d\r\n");
    }
}
