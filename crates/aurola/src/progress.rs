//! What a long piece of work tells while it runs, and how it is stopped.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A file that was passed over, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// As the person would name it.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Something about a file that was used nevertheless: what was left out of it, or assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// As the person would name it.
    pub path: PathBuf,
    /// In words.
    pub note: String,
}

/// What happens while sounds are embedded.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The folders have been looked through.
    Planned {
        /// Sounds in all.
        files: usize,
        /// Sounds among them whose vectors are not there yet.
        new: usize,
    },
    /// Something was finished.
    Moved(Progress<'a>),
    /// A file was passed over.
    Skipped(&'a Skipped),
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress<'a> {
    /// New files that are done or were skipped.
    pub files_done: usize,
    /// New files in all.
    pub files: usize,
    /// Of those done, how many were skipped.
    pub skipped: usize,
    /// Seconds of sound heard so far.
    pub seconds_done: f64,
    /// Seconds in all, estimated from the bytes that are left and how many bytes a second took so
    /// far in files of the same kind; none before the first file is through.
    pub seconds: Option<f64>,
    /// The file whose sound was heard last.
    pub current: &'a Path,
}

/// Stops work from outside: what is under way is finished and saved, nothing new is begun.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many seconds of sound there are in files not opened yet, guessed from those that were.
#[derive(Debug, Default, Clone)]
pub(crate) struct Estimate {
    kinds: HashMap<OsString, Kind>,
}

/// A file that is being heard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InPart<'f> {
    pub(crate) path: &'f Path,
    pub(crate) bytes: u64,
    /// Its length, as its header has it.
    pub(crate) seconds: f64,
    /// How much of that was heard.
    pub(crate) heard: f64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Kind {
    bytes_left: u64,
    bytes_heard: u64,
    seconds_heard: f64,
}

impl Estimate {
    pub(crate) fn expect(&mut self, path: &Path, bytes: u64) {
        self.kind(path).bytes_left += bytes;
    }

    /// A file of `bytes` turned out to hold `seconds`; none where it was skipped.
    pub(crate) fn heard(&mut self, path: &Path, bytes: u64, seconds: Option<f64>) {
        let kind = self.kind(path);
        kind.bytes_left = kind.bytes_left.saturating_sub(bytes);
        if let Some(seconds) = seconds {
            kind.bytes_heard += bytes;
            kind.seconds_heard += seconds;
        }
    }

    /// Seconds in the files that are left; none while no file has been heard.
    ///
    /// `underway`: files between their first and their last window, whose headers say how long they
    /// are; so an archive of one long recording is not guessed from what was heard before it.
    pub(crate) fn seconds_left<'f>(
        &self,
        underway: impl Iterator<Item = InPart<'f>>,
    ) -> Option<f64> {
        let mut known = 0.0;
        let mut kinds = self.kinds.clone();
        for file in underway {
            known += (file.seconds - file.heard).max(0.0);
            if let Some(kind) = kinds.get_mut(&kind_of(file.path)) {
                kind.bytes_left = kind.bytes_left.saturating_sub(file.bytes);
                kind.bytes_heard += file.bytes;
                kind.seconds_heard += file.seconds;
            }
        }
        Self { kinds }.seconds_unopened().map(|left| known + left)
    }

    fn seconds_unopened(&self) -> Option<f64> {
        let all = self.kinds.values().fold(Kind::default(), |all, kind| Kind {
            bytes_left: all.bytes_left + kind.bytes_left,
            bytes_heard: all.bytes_heard + kind.bytes_heard,
            seconds_heard: all.seconds_heard + kind.seconds_heard,
        });
        if all.bytes_left == 0 {
            return Some(0.0);
        }
        let rate = |kind: &Kind| {
            (kind.bytes_heard > 0).then(|| kind.seconds_heard / kind.bytes_heard as f64)
        };
        let overall = rate(&all)?;
        Some(
            self.kinds
                .values()
                .map(|kind| kind.bytes_left as f64 * rate(kind).unwrap_or(overall))
                .sum(),
        )
    }

    fn kind(&mut self, path: &Path) -> &mut Kind {
        self.kinds.entry(kind_of(path)).or_default()
    }
}

/// Files of one extension take about as many bytes a second.
fn kind_of(path: &Path) -> OsString {
    path.extension().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> impl Iterator<Item = InPart<'static>> {
        std::iter::empty()
    }

    #[test]
    fn a_file_whose_header_says_its_length_is_not_guessed() {
        let (long, other) = (Path::new("long.wav"), Path::new("other.wav"));
        let mut estimate = Estimate::default();
        estimate.expect(long, 8_000);
        estimate.expect(other, 2_000);
        let underway = InPart {
            path: long,
            bytes: 8_000,
            seconds: 100.0,
            heard: 30.0,
        };
        // 70 s of the long one, and the other at its rate: 2,000 of 8,000 bytes, 25 s.
        let left = estimate.seconds_left([underway].into_iter()).unwrap();
        assert!((left - 95.0).abs() < 1e-9, "{left}");
        // A header that said too little takes nothing away.
        let longer = InPart {
            heard: 120.0,
            ..underway
        };
        let left = estimate.seconds_left([longer].into_iter()).unwrap();
        assert!((left - 25.0).abs() < 1e-9, "{left}");
    }

    #[test]
    fn each_kind_of_file_is_estimated_by_its_own_rate() {
        let (wav, mp3, ogg) = (Path::new("a.wav"), Path::new("b.MP3"), Path::new("c.ogg"));
        let mut estimate = Estimate::default();
        estimate.expect(wav, 3_000);
        estimate.expect(mp3, 200);
        estimate.expect(ogg, 110);
        assert_eq!(estimate.seconds_left(none()), None);
        estimate.heard(wav, 1_000, Some(1.0)); // 1,000 bytes a second
        estimate.heard(mp3, 100, Some(10.0)); // 10 bytes a second
        // 2,000 bytes of wav, 100 of mp3, and 110 of ogg at the rate of all: 1,100 bytes in 11 s.
        let left = estimate.seconds_left(none()).unwrap();
        assert!((left - (2.0 + 10.0 + 1.1)).abs() < 1e-9, "{left}");
        estimate.heard(wav, 2_000, None);
        estimate.heard(mp3, 100, Some(9.0));
        estimate.heard(ogg, 110, Some(1.0));
        assert_eq!(estimate.seconds_left(none()), Some(0.0));
    }

    #[test]
    fn a_clone_hears_the_cancel() {
        let cancel = Cancel::default();
        let worker = cancel.clone();
        assert!(!worker.is_cancelled());
        cancel.cancel();
        assert!(worker.is_cancelled());
    }
}
