//! Results as people and programs read them.

pub(crate) mod format;
pub(crate) mod hits;
pub(crate) mod json;

use std::borrow::Cow;

pub(crate) use format::{Format, FormatArgs};

/// Whether what is written to stdout for people may be colored: on a terminal, unless `NO_COLOR`,
/// `TERM=dumb` or `--no-color` forbid it; elsewhere where `CLICOLOR_FORCE` or `FORCE_COLOR` asks
/// for it.
pub(crate) fn colored() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

/// Settles what colors are asked for, once, before anything is written. `forbidden` is
/// `--no-color`; `FORCE_COLOR` is the one variable that the library underneath does not know, and
/// `NO_COLOR` is stronger.
pub(crate) fn settle_colors(forbidden: bool) {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let forced = set("FORCE_COLOR") && std::env::var_os("FORCE_COLOR").is_none_or(|v| v != "0");
    if forbidden {
        anstream::ColorChoice::Never.write_global();
    } else if forced && !set("NO_COLOR") {
        anstream::ColorChoice::Always.write_global();
    }
}

/// Text from outside without anything a terminal would obey: control characters and the marks that
/// turn the direction of writing are spelled out.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.chars().any(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if obeyed(c) {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

/// A time in a sound: `m:ss`, or `h:mm:ss` from an hour on, and with tenths below ten seconds,
/// where a second is much; hundredths where nothing else is left of it.
pub(crate) fn clock(seconds: f64) -> String {
    if seconds > 0.0 && seconds < 0.05 {
        return format!("0:{:05.2}", seconds.max(0.01));
    }
    if (0.05..9.95).contains(&seconds) && (seconds - seconds.round()).abs() >= 0.05 {
        return format!("0:{seconds:04.1}");
    }
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// How long something takes, as one says it: `40 s`, `31 min`, `2.5 h`.
pub(crate) fn spoken(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else if seconds < 5400.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

/// Bytes in the unit that fits, by thousands as disks are sold.
pub(crate) fn bytes(count: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "B";
    for next in units {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    let digits = usize::from(value < 9.95);
    format!("{value:.digits$} {unit}")
}

/// One field of comma-separated values (RFC 4180).
pub(crate) fn csv_field(text: &str) -> Cow<'_, str> {
    if text.contains(['"', ',', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        assert_eq!(printable("caf\u{e9} – 雨.wav"), "café – 雨.wav");
        assert_eq!(printable("a\x1b[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(printable("vaw.\u{202e}evil"), "vaw.\\u{202e}evil");
    }

    #[test]
    fn times_and_sizes_by_hand() {
        assert_eq!(clock(0.0), "0:00");
        assert_eq!(clock(0.04), "0:00.04");
        assert_eq!(clock(0.001), "0:00.01");
        assert_eq!(clock(0.42), "0:00.4");
        assert_eq!(clock(3.37), "0:03.4");
        assert_eq!(clock(2.01), "0:02");
        assert_eq!(clock(9.97), "0:10");
        assert_eq!(clock(59.6), "1:00");
        assert_eq!(clock(3725.0), "1:02:05");
        assert_eq!(spoken(40.0), "40 s");
        assert_eq!(spoken(1860.0), "31 min");
        assert_eq!(spoken(9000.0), "2.5 h");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_400_000_000), "1.4 GB");
        assert_eq!(bytes(31_000_000), "31 MB");
        assert_eq!(bytes(999_999), "1.0 MB");
    }

    #[test]
    fn a_field_with_a_comma_is_quoted() {
        assert_eq!(csv_field("a.wav"), "a.wav");
        assert_eq!(csv_field("a, \"b\".wav"), "\"a, \"\"b\"\".wav\"");
    }
}
