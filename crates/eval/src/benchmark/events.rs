//! Sounds within long recordings: HD-EPIC sounds, and EPIC-Sounds in the same columns.

use std::path::Path;

use super::labels::Labelled;
use super::table::Table;
use super::{Clip, Kind, Task};
use crate::error::EvalError;

/// `video_id,start_timestamp,stop_timestamp,…,class,class_id`, times as `HH:MM:SS.mmm`. Sample numbers are not used: they
/// count at 48 kHz in one and at 24 kHz in the other.
pub(super) fn read(path: &Path) -> Result<Task, EvalError> {
    let table = Table::read(path)?;
    let video = table.needed(path, &["video_id"])?;
    let start = table.needed(path, &["start_timestamp"])?;
    let stop = table.needed(path, &["stop_timestamp"])?;
    let class = table.needed(path, &["class"])?;
    let own = table.column(&["annotation_id"]);
    let mut task = Task::empty(Kind::Labels, path);
    let mut labelled = Labelled::default();
    for row in table.rows() {
        let clip = row.fields.and_then(|fields| {
            let (from, to) = (&fields[start], &fields[stop]);
            let (Some(begin), Some(end)) = (seconds(from), seconds(to)) else {
                return Err(format!(
                    "has the times `{from}` and `{to}`, not HH:MM:SS.mmm"
                ));
            };
            if end <= begin {
                return Err(format!("ends at {to}, not after {from}"));
            }
            let (video, class) = (fields[video].trim(), fields[class].trim());
            if video.is_empty() || class.is_empty() {
                return Err("has an empty video_id or class".into());
            }
            let id = match own {
                Some(own) => fields[own].trim().to_owned(),
                None => format!(
                    "{video}_{}_{}",
                    (begin * 1000.0).round(),
                    (end * 1000.0).round()
                ),
            };
            // A clip that was cut out already, by its id; else the recording, of which a part is meant.
            let part = Some((begin, end));
            let clip = Clip {
                part,
                ..Clip::with_names(vec![id, video.to_owned()])
            };
            Ok((clip, class.to_owned()))
        });
        match clip {
            Ok((clip, class)) => {
                let id = clip.id.clone();
                if !labelled.add(&mut task, clip, &class) {
                    task.leave_out(row.line, format!("event `{id}` comes a second time"));
                }
            }
            Err(what) => task.leave_out(row.line, what),
        }
    }
    Ok(task)
}

fn seconds(clock: &str) -> Option<f64> {
    let mut parts = clock.trim().split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let hours: u32 = hours.parse().ok()?;
    let minutes: u32 = minutes.parse().ok().filter(|m| *m < 60)?;
    let seconds: f64 = seconds.parse().ok().filter(|s| (0.0..60.0).contains(s))?;
    parts
        .next()
        .is_none()
        .then(|| f64::from(hours * 3600 + minutes * 60) + seconds)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_clock_by_hand() {
        assert_eq!(seconds("01:02:03.500"), Some(3723.5));
        assert_eq!(seconds("00:60:00"), None);
        assert_eq!(seconds("12.5"), None);
    }
}
