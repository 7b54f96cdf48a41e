//! The dates of HTTP and of certificates. Pure.

use chrono::{DateTime, Datelike, NaiveDate};

const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
/// Years of two digits from here on are of the century before.
const CENTURY_TURNS: u32 = 70;

/// The seconds since 1970 of a date in one of the three forms of RFC 9110 §5.6.7: `Sun, 06 Nov 1994 08:49:37
/// GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`. chrono's own readers would bring
/// tens of KB of code.
pub fn parse_date(text: &str) -> Option<i64> {
    let mut parts = [""; 6];
    let mut count = 0;
    for part in text.split([' ', ',', '-']).filter(|part| !part.is_empty()) {
        *parts.get_mut(count)? = part;
        count += 1;
    }
    let (day, month, year, time) = match (&parts[..count], text.contains(',')) {
        ([_, day, month, year, time, "GMT"], true) => (day, month, year, time),
        ([_, month, day, time, year], false) => (day, month, year, time),
        _ => return None,
    };
    let month = MONTHS.find(month).filter(|at| at % 3 == 0 && month.len() == 3)? as u32 / 3 + 1;
    let year = match (number(year)?, year.len()) {
        (year, 4) => year,
        (year, 2) if year < CENTURY_TURNS => 2000 + year,
        (year, 2) => 1900 + year,
        _ => return None,
    };
    let mut clock = time.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let day = NaiveDate::from_ymd_opt(year as i32, month, number(day)?)?;
    clock.next().is_none().then_some(())?;
    Some(day.and_hms_opt(hour, minute, second)?.and_utc().timestamp())
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
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
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Thursday, 29-Feb-24 23:59:59 GMT", Some(1_709_251_199)),
            ("Mon, 01 Mar 2100 00:00:00 GMT", Some(4_107_542_400)),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 06 ovD 1994 08:49:37 GMT", None),
            ("Sun, +6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 94 8:49 GMT", None),
            ("Sun, 06 Nov 19940 08:49:37 GMT", None),
            ("Sun, 31 Feb 2024 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 25:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37:1 GMT", None),
            ("äöüäöüäöüäöüäö", None),
            ("120", None),
            ("", None),
        ] {
            assert_eq!(parse_date(text), seconds, "{text}");
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
