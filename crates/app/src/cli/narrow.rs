//! Which files count, from the command line.

use std::path::PathBuf;

use aurola::{Filter, TagFilter};
use clap::Args;

/// Conditions on files; all that are given must hold.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct Narrow {
    /// Only these formats, such as wav; may be repeated
    #[arg(long, value_name = "EXT")]
    ext: Vec<String>,
    /// Only paths that contain this, whatever the case
    #[arg(long = "path", value_name = "TEXT")]
    path_has: Option<String>,
    /// Only lengths from MIN to MAX seconds, as in 2..10, 2.. or ..10
    #[arg(long, value_name = "MIN..MAX", value_parser = range::<f64>)]
    duration: Option<Range<f64>>,
    /// Only sample rates from MIN to MAX, or exactly one, as in 48000
    #[arg(long, value_name = "HZ", value_parser = range::<u32>)]
    rate: Option<Range<u32>>,
    /// Only this many channels, as in 2 or 2..
    #[arg(long, value_name = "N", value_parser = range::<u32>)]
    channels: Option<Range<u32>>,
    /// Only with this tag, as in rain or artist=Smith; may be repeated
    #[arg(long, value_name = "[KIND=]VALUE")]
    tag: Vec<String>,
    /// Only with this licence
    #[arg(long, value_name = "TEXT", alias = "licence")]
    license: Option<String>,
    /// Only changed on or after this day
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    since: Option<i64>,
}

/// Two ends, each of which may be open.
type Range<T> = (Option<T>, Option<T>);

impl Narrow {
    /// The conditions, for files at or below `paths` (absolute).
    pub(crate) fn filter(&self, paths: Vec<PathBuf>) -> Filter {
        let mut tags: Vec<TagFilter> = (self.tag.iter())
            .map(|tag| match tag.split_once('=') {
                Some((name, value)) => TagFilter {
                    name: Some(name.to_owned()),
                    value: value.to_owned(),
                },
                None => TagFilter {
                    name: None,
                    value: tag.clone(),
                },
            })
            .collect();
        tags.extend(self.license.iter().map(|licence| TagFilter {
            name: Some("licence".into()),
            value: licence.clone(),
        }));
        Filter {
            below: paths,
            path_has: self.path_has.clone(),
            formats: self.ext.clone(),
            duration_s: self.duration.unwrap_or_default(),
            sample_rate: self.rate.unwrap_or_default(),
            channels: self.channels.unwrap_or_default(),
            modified_ns: (self.since, None),
            tags,
            ids: None,
        }
    }
}

fn range<T: std::str::FromStr + Copy + PartialOrd>(text: &str) -> Result<Range<T>, String> {
    let end = |text: &str| match text {
        "" => Ok(None),
        number => {
            (number.parse().map(Some)).map_err(|_| format!("{number:?} is not such a number"))
        }
    };
    let (low, high) = match text.split_once("..") {
        Some((low, high)) => (end(low)?, end(high)?),
        None => (end(text)?, end(text)?),
    };
    match (low, high) {
        (None, None) => Err("both ends are open; leave it out".into()),
        (Some(low), Some(high)) if low > high => Err("the first is greater than the second".into()),
        ends => Ok(ends),
    }
}

/// A day of the Gregorian calendar, as nanoseconds since 1970 at its beginning (UTC).
fn day(text: &str) -> Result<i64, String> {
    let wrong = || "a day is needed, such as 2026-03-31".to_owned();
    let numbers: Vec<i64> = (text.splitn(3, '-'))
        .map(|part| part.parse().map_err(|_| wrong()))
        .collect::<Result<_, _>>()?;
    let [year, month, day] = numbers[..] else {
        return Err(wrong());
    };
    if !(1970..=2261).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(wrong());
    }
    // Years that begin in March, so that the day a leap year adds comes last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    const EPOCH: i64 = 719_468; // of 1970-01-01 by the same count
    Ok((days - EPOCH) * 86_400 * 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_ranges_by_hand() {
        assert_eq!(day("1970-01-01"), Ok(0));
        assert_eq!(day("2000-03-01"), Ok(951_868_800_000_000_000));
        assert!(day("yesterday").is_err() && day("2026-13-01").is_err());
        assert_eq!(range::<f64>("2..10"), Ok((Some(2.0), Some(10.0))));
        assert_eq!(range::<u32>("2.."), Ok((Some(2), None)));
        assert_eq!(range::<u32>("48000"), Ok((Some(48_000), Some(48_000))));
        assert!(range::<u32>("9..3").is_err() && range::<u32>("..").is_err());
    }
}
