//! What can go wrong between a recipe's data section and a batch: each with the file, the line and the
//! id, and what would help.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

/// Where a row was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file; for scenes, the name of their source.
    pub file: Arc<Path>,
    /// The place in it.
    pub at: At,
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The file as a whole.
    Whole,
    /// Counted from 1, as editors do.
    Line(u64),
    /// Counted from 0, where a file has no lines: JSON arrays, Parquet, archives.
    Record(u64),
}

impl Place {
    /// The file as a whole.
    pub fn whole(file: &Path) -> Self {
        Self {
            file: file.into(),
            at: At::Whole,
        }
    }

    pub(super) fn record(file: &Arc<Path>, record: u64) -> Self {
        Self {
            file: Arc::clone(file),
            at: At::Record(record),
        }
    }

    pub(super) fn line(file: &Arc<Path>, line: u64) -> Self {
        Self {
            file: Arc::clone(file),
            at: At::Line(line),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.at {
            At::Whole => write!(f, "{file}"),
            At::Line(line) => write!(f, "{file}:{line}"),
            At::Record(record) => write!(f, "{file}, record {record}"),
        }
    }
}

/// An error of a run's data.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file of the recipe cannot be read.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A row says something that cannot be used.
    #[error("{place}: {reason}")]
    Row {
        /// Where.
        place: Place,
        /// What is wrong with it.
        reason: String,
    },
    /// A row's sound is nowhere.
    #[error(
        "{place}: no audio for `{id}` under {roots}; give another folder, or set `missing = \"skip\"`"
    )]
    Missing {
        /// Where the row is.
        place: Place,
        /// The row.
        id: String,
        /// Where its sound was looked for.
        roots: String,
    },
    /// Two rows of a source have one id.
    #[error(
        "{place}: `{id}` is already in {first}; set `merge = true` if they are captions of one clip"
    )]
    Duplicate {
        /// The second.
        place: Place,
        /// The first.
        first: Place,
        /// Their id.
        id: String,
    },
    /// A setting that cannot be.
    #[error("{setting}: {reason}")]
    Setting {
        /// The setting, as recipes name it.
        setting: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A source holds nothing.
    #[error("source `{name}`: no rows are left ({filtered} filtered out, {skipped} skipped)")]
    Empty {
        /// The source.
        name: String,
        /// Rows that its filter left out.
        filtered: usize,
        /// Rows that were skipped.
        skipped: usize,
    },
    /// A clip cannot be made into an example. What `unreadable = "skip"` skips, and nothing else.
    #[error("source `{name}`, `{id}` ({place}): {reason}")]
    Unreadable {
        /// The source.
        name: String,
        /// The row.
        id: String,
        /// Where the row is.
        place: Place,
        /// What decoding ran into, with the file's name.
        reason: String,
    },
    /// No other row could be told from this one by its caption.
    #[error(
        "source `{name}`, `{id}`: every other row has a caption or a tag of its own; no negative is left"
    )]
    NoNegative {
        /// The source.
        name: String,
        /// The row.
        id: String,
    },
    /// A worker panicked. A defect, brought out by this row.
    #[error("step {step}, slot {slot}: making the example failed: {message}")]
    Panicked {
        /// The step.
        step: u64,
        /// The slot of its batch.
        slot: usize,
        /// What the panic said.
        message: String,
    },
}

impl DataError {
    pub(super) fn file(path: &Path, reason: impl fmt::Display) -> Self {
        Self::File {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn row(place: &Place, reason: impl fmt::Display) -> Self {
        Self::Row {
            place: place.clone(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn setting(setting: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Setting {
            setting: setting.to_string(),
            reason: reason.to_string(),
        }
    }
}
