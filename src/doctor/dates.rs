//! The dates of HTTP and of certificates. Pure.

use chrono::{DateTime, Datelike, NaiveDate};

const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// The seconds since 1970 of an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that is
/// still sent (RFC 9110 §5.6.7). Its fields stand in fixed places: chrono's own readers would bring
/// tens of KB of code.
pub fn parse(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    let month = MONTHS.find(text.get(8..11)?)? as u32;
    if text.len() != 29 || !text.ends_with(" GMT") || !month.is_multiple_of(3) {
        return None;
    }
    let day = NaiveDate::from_ymd_opt(number(12, 16)? as i32, month / 3 + 1, number(5, 7)?)?;
    let time = day.and_hms_opt(number(17, 19)?, number(20, 22)?, number(23, 25)?)?;
    Some(time.and_utc().timestamp())
}

/// The date of a moment, such as `1994-11-06`; nothing for one that no calendar has.
pub fn date(seconds: i64) -> String {
    let Some(moment) = DateTime::from_timestamp(seconds, 0) else { return String::new() };
    format!("{:04}-{:02}-{:02}", moment.year(), moment.month(), moment.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read_and_all_else_is_not() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Mon, 01 Mar 2100 00:00:00 GMT", Some(4_107_542_400)),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 06 ovD 1994 08:49:37 GMT", None),
            ("Sun, +6 Xyz 1994 08:49:37 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun Nov  6 08:49:37 1994", None),
            ("Sun, 31 Feb 2024 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 25:49:37 GMT", None),
            ("äöüäöüäöüäöüäö", None),
            ("", None),
        ] {
            assert_eq!(parse(text), seconds, "{text}");
        }
    }

    #[test]
    fn days_have_their_date() {
        for (seconds, expected) in [
            (-1, "1969-12-31"),
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_000_086_400, "2001-09-10"),
            (1_735_689_599, "2024-12-31"),
            (2_600_000_000, "2052-05-22"),
            (253_402_300_799, "9999-12-31"),
            (i64::MAX, ""),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }
}
