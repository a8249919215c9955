//! How far it is, on stderr: a bar where a person watches, a line every ten seconds where nobody
//! does.

use std::time::{Duration, Instant};

use aurola::{Event, Progress};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::Common;
use crate::present::{clock, printable, spoken};

/// Where nobody watches: how long between two lines.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Shows the events of [`aurola::Engine::library`].
pub(crate) struct Meter<'a> {
    common: &'a Common,
    started: Instant,
    last_line: Instant,
    bar: Option<ProgressBar>,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(common: &'a Common) -> Self {
        Self {
            common,
            started: Instant::now(),
            last_line: Instant::now(),
            bar: None,
        }
    }

    /// One event.
    pub(crate) fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Planned { files, new } => self.planned(*files, *new),
            Event::Moved(progress) => self.moved(progress),
            _ => {} // what was skipped is listed at the end, in one piece
        }
    }

    fn planned(&mut self, files: usize, new: usize) {
        self.common
            .detail(|| format!("{files} sounds found, {new} of them new"));
        if new > 0 && self.common.has_bar() {
            let bar = ProgressBar::new(1000);
            if let Ok(style) = ProgressStyle::with_template("{bar:20} {msg}") {
                bar.set_style(style);
            }
            bar.set_message(format!("0/{new} files"));
            self.bar = Some(bar);
        } else if new > 0 {
            self.common
                .note(format!("{new} of {files} sounds are new or changed"));
        }
    }

    fn moved(&mut self, progress: &Progress<'_>) {
        let line = line(progress, self.started.elapsed());
        if let Some(bar) = &self.bar {
            let share = progress.seconds.map_or(0.0, |all| {
                if all > 0.0 {
                    progress.seconds_done / all
                } else {
                    1.0
                }
            });
            bar.set_position((share * 1000.0) as u64);
            let current = progress.current.to_string_lossy();
            bar.set_message(format!("{line}  {}", printable(&current)));
        } else if self.last_line.elapsed() >= BETWEEN_LINES {
            self.last_line = Instant::now();
            self.common.progress_line(&line);
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `812/3412 files · 9:36:00 of 41:00:00 · 62× real time · 31 min left · 2 skipped`.
fn line(progress: &Progress<'_>, elapsed: Duration) -> String {
    let mut line = format!("{}/{} files", progress.files_done, progress.files);
    match progress.seconds {
        Some(all) => {
            line += &format!(
                " · {} of {} of sound",
                clock(progress.seconds_done),
                clock(all)
            )
        }
        None => line += &format!(" · {} of sound", clock(progress.seconds_done)),
    }
    let speed = progress.seconds_done / elapsed.as_secs_f64().max(1e-3);
    if elapsed >= Duration::from_secs(1) && speed > 0.0 {
        line += &format!(" · {speed:.1}× real time");
        if let Some(all) = progress.seconds {
            line += &format!(
                " · {} left",
                spoken((all - progress.seconds_done).max(0.0) / speed)
            );
        }
    }
    if progress.skipped > 0 {
        line += &format!(" · {} skipped", progress.skipped);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_line_counts_seconds_of_sound_and_says_what_is_left() {
        let progress = Progress {
            files_done: 812,
            files: 3412,
            skipped: 2,
            seconds_done: 600.0,
            seconds: Some(2400.0),
            current: Path::new("a.wav"),
        };
        assert_eq!(
            line(&progress, Duration::from_secs(10)),
            "812/3412 files · 10:00 of 40:00 of sound · 60.0× real time · 30 s left · 2 skipped"
        );
        let first = Progress {
            seconds_done: 0.0,
            seconds: None,
            skipped: 0,
            ..progress
        };
        assert_eq!(
            line(&first, Duration::from_millis(10)),
            "812/3412 files · 0:00 of sound"
        );
    }
}
