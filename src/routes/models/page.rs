//! Which part of the model list the query of an Anthropic client asks for. Pure.

use std::ops::Range;

use percent_encoding::percent_decode_str;

use super::render;
use crate::language::{Text, Words};
use crate::report::Error;
use crate::state::Visible;
use crate::text;

/// The longest page, and the page of who does not say.
const LIMIT_MAX: usize = 1000;

/// The body of this page.
///
/// # Errors
/// The limit is none, or no model has that id.
pub fn page(models: &[Visible], query: &str) -> Result<String, Error> {
    let place = |id: &str| models.iter().position(|model| *model.id == *id);
    let (range, has_more) = part(models.len(), place, query).map_err(Error::BadRequest)?;
    Ok(render::anthropic_page(&models[range], has_more))
}

/// Which of `count` models stand on the page, and whether there are more in its direction. `place` finds
/// an id.
fn part(
    count: usize,
    place: impl Fn(&str) -> Option<usize>,
    query: &str,
) -> Result<(Range<usize>, bool), Text> {
    let limit = match value(query, "limit") {
        None => LIMIT_MAX,
        Some(text) => limit(&text).ok_or(Words(
            "limit无效，应为1到1000的整数",
            "limit must be a whole number from 1 to 1000",
        ))?,
    };
    let at = |key: &str| match value(query, key) {
        None => Ok(None),
        Some(id) => place(&id).map(Some).ok_or_else(|| {
            text!("{key}不是列表中的模型", "{key} is the id of no model on the list")
        }),
    };
    match (at("after_id")?, at("before_id")?) {
        (Some(_), Some(_)) => {
            Err(Words("after_id和before_id只能有一个", "after_id and before_id exclude each other")
                .into())
        }
        (after, None) => {
            let start = after.map_or(0, |at| at + 1);
            let end = count.min(start + limit);
            Ok((start..end, end < count))
        }
        (None, Some(end)) => {
            let start = end.saturating_sub(limit);
            Ok((start..end, start > 0))
        }
    }
}

fn limit(text: &str) -> Option<usize> {
    // `parse` would take a sign, too.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|limit| plain && (1..=LIMIT_MAX).contains(limit))
}

/// The value of a key of the query, decoded as forms are. The first one counts; an empty one is as good as
/// none.
fn value(query: &str, key: &str) -> Option<String> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let found = pairs.into_iter().find(|(name, _)| decoded(name) == key);
    found.map(|(_, value)| decoded(value)).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 5] = ["p/a", "p/b c", "q/d:e", "q/名", "q/+"];

    fn asked(query: &str) -> Result<(Range<usize>, bool), Text> {
        part(IDS.len(), |id| IDS.iter().position(|known| *known == id), query)
    }

    #[test]
    fn pages_know_their_ends() {
        for (query, page, more) in [
            ("", 0..5, false),
            ("limit=1000", 0..5, false),
            ("limit=5", 0..5, false),
            ("limit=4", 0..4, true),
            ("limit=1", 0..1, true),
            ("limit=2&after_id=p/a", 1..3, true),
            ("limit=2&after_id=q/d:e", 3..5, false),
            ("limit=2&after_id=q/%2B", 5..5, false),
            ("after_id=p/b+c", 2..5, false),
            ("limit=2&before_id=q/%2b", 2..4, true),
            ("limit=2&before_id=q/d:e", 0..2, false),
            ("limit=2&before_id=p/b%20c", 0..1, false),
            ("limit=2&before_id=p/a", 0..0, false),
            ("before_id=q%2F%E5%90%8D", 0..3, false),
        ] {
            assert_eq!(asked(query), Ok((page, more)), "{query}");
        }
        let none = |query| part(0, |_| None, query);
        assert_eq!(none("limit=3"), Ok((0..0, false)));
        assert!(none("after_id=p/a").is_err());
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for (query, word) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=%2B5", "limit"),
            ("limit=+5", "limit"),
            ("limit=5%00", "limit"),
            ("limit=18446744073709551617", "limit"),
            ("after_id=p/b", "after_id"),
            ("before_id=P/a", "before_id"),
            ("after_id=p%252Fa", "after_id"),
            ("after_id=p/a&before_id=q/+", "before_id"),
            ("after_id=p/a&before_id=q/%2B", "exclude"),
        ] {
            let reason = asked(query).expect_err(query);
            assert!(reason.contains(word), "{query}: {reason}");
        }
    }

    #[test]
    fn the_first_value_counts_and_an_empty_one_is_none() {
        for (query, expected) in [
            ("limit=1&limit=2", Some("1")),
            ("limit=&limit=2", None),
            ("limit&limit=2", None),
            ("&&a=b&limit=2=3&", Some("2=3")),
            ("%6Cimit=%32+1", Some("2 1")),
            ("Limit=2&limits=3&xlimit=4", None),
            ("limit=%zz%FF", Some("%zz\u{fffd}")),
        ] {
            assert_eq!(value(query, "limit").as_deref(), expected, "{query}");
        }
    }
}
