//! Times, as requests and answers write them: RFC 3339 in UTC, or a date.

use crate::fault::Fault;

const DAY: i64 = 86_400;
const NANO: i64 = 1_000_000_000;

/// Days from 1970-01-01 to a date (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// `2024-05-01T10:00:00Z`.
pub(crate) fn write(ns: i64) -> String {
    let s = ns.div_euclid(NANO);
    let ((year, month, day), of_day) = (date(s.div_euclid(DAY)), s.rem_euclid(DAY));
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The same for a moment of the system's clock.
pub(crate) fn system(time: std::time::SystemTime) -> String {
    let since = time
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    write(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// `2024-05-01`, the beginning of that day, or `2024-05-01T10:00:00Z`, in nanoseconds since 1970.
pub(crate) fn read(text: &str, field: &str) -> Result<i64, Fault> {
    parse(text).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        Fault::bad(format!(
            "{field}: {shown:?} is neither 2024-05-01 nor 2024-05-01T10:00:00Z"
        ))
    })
}

fn parse(text: &str) -> Option<i64> {
    let (day, clock) = match text.split_once('T') {
        Some((day, clock)) => (day, clock.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let numbers = |text: &str, by: char, widths: [usize; 3]| -> Option<[i64; 3]> {
        let mut parts = text.split(by);
        let mut read = |width: usize| -> Option<i64> {
            let part = parts.next()?;
            let is_plain = part.len() == width && part.bytes().all(|b| b.is_ascii_digit());
            is_plain.then(|| part.parse().ok())?
        };
        let read = [read(widths[0])?, read(widths[1])?, read(widths[2])?];
        parts.next().is_none().then_some(read)
    };
    let [year, month, of_month] = numbers(day, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let day = days(year, month, of_month);
    // A 30th of February is some other day.
    if date(day) != (year, month, of_month) {
        return None;
    }
    (day * DAY + hour * 3_600 + minute * 60 + second).checked_mul(NANO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_by_hand() {
        assert_eq!(write(0), "1970-01-01T00:00:00Z");
        assert_eq!(write(951_782_400 * NANO), "2000-02-29T00:00:00Z");
        assert_eq!(read("2000-02-29", "t").unwrap(), 951_782_400 * NANO);
        assert_eq!(
            read("2024-05-01T10:00:01Z", "t").unwrap(),
            1_714_557_601 * NANO
        );
        for odd in [
            "",
            "2024",
            "2024-13-01",
            "2023-02-29",
            "2024-05-01T25:00:00Z",
            "2024-05-1",
            "2024-05-01 10:00",
            "2024-05-00",
            "9999-99-99",
            "+024-05-01",
            "2300-01-01",
        ] {
            assert!(read(odd, "t").is_err(), "{odd}");
        }
    }
}
