//! What can go wrong with the store, sorted by who can mend it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
use thiserror::Error;

pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What can go wrong between the engine and the database.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder for the database cannot be made.
    #[error("{path}: cannot make this folder for the store")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be opened at all.
    #[error("{path}: cannot open the store")]
    Open {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// Some other file is in the way.
    #[error("{path}: not a store of aurola; name another place, or move that file away")]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later version.
    #[error(
        "{path}: store version {found}, and this program reads up to {known}; use the newer program"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest one we know.
        known: i64,
    },
    /// Written by an earlier version, in a place that cannot be written to.
    #[error(
        "{path}: store version {found}, and this program reads {known}; open it once where it can be \
         written to, which brings it up to date"
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Bytes on disk are not what was written.
    #[error("{path}: damaged: {what}; a repair keeps every row that is whole")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What does not fit.
        what: String,
        /// What SQLite said, where it noticed first.
        source: Option<rusqlite::Error>,
    },
    /// The place cannot be written to.
    #[error("{path}: the store cannot be written to; name a place that can")]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// Another process has been writing for too long.
    #[error("{path}: another program has been writing for a minute; try again when it is done")]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// No space left.
    #[error("{path}: no space left on the disk; what was saved before is safe")]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// Anything else SQLite reports, such as a failing disk.
    #[error("{path}: cannot {doing} the store")]
    Sql {
        /// The database.
        path: PathBuf,
        /// A verb: open, read, write.
        doing: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A repair could not put its result in place.
    #[error("{path}: cannot put the repaired store in place")]
    Replace {
        /// The file that could not be moved.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A copy was to be written where there is something.
    #[error("{path}: there is something already; name a new file")]
    Exists {
        /// What was named.
        path: PathBuf,
    },
    /// Sealed vectors cannot be read or written.
    #[error("{path}: cannot {doing} the sealed vectors")]
    Sealed {
        /// The file of vectors.
        path: PathBuf,
        /// A verb: read, write.
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A name that this system's store cannot hold.
    #[error(
        "{path}: the name is not Unicode, which the store needs on this system; rename the file"
    )]
    Name {
        /// The file.
        path: PathBuf,
    },
}

impl StoreError {
    /// Whether it is about vectors sealed beside the database at `store`, which can be made again, and
    /// not about the database.
    pub fn is_about_sealed(&self, store: &Path) -> bool {
        matches!(
            self,
            Self::Damaged { path, .. } | Self::Sealed { path, .. } if path != store
        )
    }

    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_path_buf(),
            what: what.into(),
            source: None,
        }
    }
}

/// Adds the place to what SQLite reports.
pub(crate) trait At<T> {
    /// `doing` is a verb: open, read, write.
    fn at(self, path: &Path, doing: &'static str) -> Result<T>;
}

impl<T> At<T> for rusqlite::Result<T> {
    fn at(self, path: &Path, doing: &'static str) -> Result<T> {
        self.map_err(|source| {
            let path = path.to_path_buf();
            // SQLite makes room for the file that readers share when it opens; that it cannot is its
            // own kind of failure to read, and means a full disk.
            if source.sqlite_error().map(|error| error.extended_code) == Some(SQLITE_IOERR_SHMSIZE)
            {
                return StoreError::Full { path };
            }
            match source.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) => StoreError::NotAStore { path },
                Some(ErrorCode::DiskFull) => StoreError::Full { path },
                Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { path },
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    StoreError::Busy { path }
                }
                Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                    StoreError::Open { path, source }
                }
                // Our statements are fixed and tested, so one that no longer compiles, a column of
                // another type or a broken constraint means the file changed under us.
                Some(
                    ErrorCode::DatabaseCorrupt
                    | ErrorCode::Unknown
                    | ErrorCode::TypeMismatch
                    | ErrorCode::ConstraintViolation,
                )
                | None => StoreError::Damaged {
                    path,
                    what: source.to_string(),
                    source: Some(source),
                },
                Some(_) => StoreError::Sql {
                    path,
                    doing,
                    source,
                },
            }
        })
    }
}
