//! Days and the dates of HTTP. Pure.

const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// The seconds since 1970 of an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that is
/// still sent (RFC 9110 §5.6.7).
pub fn parse(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok().map(i64::from);
    let month = MONTHS.find(text.get(8..11)?)?;
    if text.len() != 29 || !text.ends_with(" GMT") || month % 3 != 0 {
        return None;
    }
    let day = day_number(number(12, 16)?, month as i64 / 3 + 1, number(5, 7)?);
    Some(((day * 24 + number(17, 19)?) * 60 + number(20, 22)?) * 60 + number(23, 25)?)
}

/// Days since 1970. A year begins in March here, so that a leap day is its last.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// The date of a moment, such as `1994-11-06`.
pub fn date(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400);
    // The estimate is at most one too high.
    let mut year = 1970 + days.div_euclid(365);
    while day_number(year, 1, 1) > days {
        year -= 1;
    }
    let mut month = 12;
    while day_number(year, month, 1) > days {
        month -= 1;
    }
    format!("{year:04}-{month:02}-{:02}", days - day_number(year, month, 1) + 1)
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
        ] {
            assert_eq!(date(seconds), expected);
        }
        for day in 0..40_000 {
            let text = date(day * 86_400);
            let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap();
            assert_eq!(day_number(number(0, 4), number(5, 7), number(8, 10)), day, "{text}");
        }
    }
}
