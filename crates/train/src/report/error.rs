//! What can go wrong in writing down a run, or reading it back.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// An error of the reports. Each names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file that cannot be read or written.
    #[error("{path}: cannot {doing}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried, such as `write`.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A new run where one was written already.
    #[error("{path}: there already; resume that run, or give another folder", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A line that is whole and makes no sense.
    #[error("{path}: line {line}: {source}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A folder that holds no run.
    #[error("{path}: no such file; is this the folder of a run that has started?", path = path.display())]
    NotARun {
        /// The file that would be there.
        path: PathBuf,
    },
    /// A state that makes no sense.
    #[error("{path}: {source}", path = path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl ReportError {
    /// For `map_err`.
    pub(super) fn io(
        path: impl Into<PathBuf>,
        doing: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            path,
            doing,
            source,
        }
    }
}
