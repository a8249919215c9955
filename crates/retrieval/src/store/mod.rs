//! What has been heard before: files, their contents and the vectors made of them, in one SQLite
//! database.
//!
//! ```text
//! file (path, size, mtime) ──► content (hash of the bytes) ──► window (space, span, vector)
//!                                       └──► failure (why these bytes could not be read)
//! ```
//!
//! Vectors hang on the hash of a file's bytes, never on its name: a file that is moved, renamed or
//! copied keeps them, a changed one gets new ones, and a drive that is not there loses nothing,
//! since only [`Store::forget`] deletes. A [`Space`] is everything that makes vectors comparable;
//! several live side by side.
//!
//! Beside that stand what people look for by: tags from the bytes, from names and from people, notes
//! and captions, all in one full-text index; the roots that are kept up to date; and the jobs that did
//! so. `sealed` vectors are made from the windows and lie beside the database.
//!
//! Every row carries a seal (`seal`) over its meaning, so a damaged database is an error or work
//! done again, never a wrong answer. Writing is one transaction at a time, synced at commit: what
//! [`Writer::commit`] has returned for survives `kill -9` and power loss. Readers never wait.
//!
//! The vectors are the dear part and can always be made again from the sounds; nothing else is
//! here, so deleting the whole database costs time and nothing more.

mod catalogue;
pub(crate) mod changes;
pub(crate) mod error;
mod file_state;
mod filter;
mod import;
mod jobs;
mod repair;
mod roots;
mod schema;
mod seal;
mod summary;
mod tags;
mod windows;
mod words;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

pub use catalogue::{Content, ContentHash, Failure, FileId, Known, Sound, StoredContent};
pub use error::StoreError;
pub use file_state::FileState;
pub use filter::{Filter, TagFilter};
pub use import::Imported;
pub use jobs::{Job, JobState};
pub use repair::{Inspection, Repair};
pub use roots::Root;
pub use summary::{FailedFile, SpaceSummary, Summary};
pub use tags::{Note, Tag, TagCount, TagSource};
pub use words::WordHit;
pub use writer::Writer;

use error::{At, Result};

/// How long a writer waits for another process to finish its transaction.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that makes two vectors comparable. Vectors of different spaces never meet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpaceKey {
    /// Of weights, adapter, prompt, pooling, front end and arithmetic, as the model gives it.
    pub fingerprint: String,
    /// How sounds are cut, such as `480000/400000` (length and hop in samples) or `whole`.
    pub window: String,
    /// Numbers in a vector.
    pub dim: usize,
    /// The model's name, for people.
    pub model: String,
}

/// A [`SpaceKey`] the store knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    pub(crate) id: i64,
    key: SpaceKey,
}

impl SpaceKey {
    /// Digest of what makes vectors comparable, for files beside the database.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for part in [&self.fingerprint, &self.window] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&(self.dim as u64).to_le_bytes());
        *hasher.finalize().as_bytes()
    }
}

impl Space {
    /// What it stands for.
    pub fn key(&self) -> &SpaceKey {
        &self.key
    }
}

/// The database. One value per thread; several threads or processes open the same path.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    read_only: bool,
}

impl Store {
    /// Opens the store at `path`, making it and the folders above it where there is none. Falls
    /// back to [`Store::open_read_only`] where the place cannot be written to.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotAStore`], [`StoreError::Newer`] and [`StoreError::Damaged`] for a file that
    /// is not ours, is from a later version, or is broken; [`StoreError::Folder`] where the folder
    /// cannot be made.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(StoreError::NotAStore { path: path.into() });
        }
        if let Some(folder) = path.parent()
            && !folder.as_os_str().is_empty()
            && !path.exists()
        {
            std::fs::create_dir_all(folder).map_err(|source| StoreError::Folder {
                path: folder.to_path_buf(),
                source,
            })?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags)
            .at(path, "open")
            .and_then(|connection| {
                let store = Self::settle(connection, path, false)?;
                if store.connection.is_readonly("main").at(path, "open")? {
                    return Err(StoreError::ReadOnly { path: path.into() });
                }
                schema::prepare(&store.connection, path)?;
                Ok(store)
            });
        match opened {
            Err(StoreError::ReadOnly { .. } | StoreError::Open { .. }) if path.is_file() => {
                Self::open_read_only(path)
            }
            other => other,
        }
    }

    /// Opens an existing store for reading alone: on media that cannot be written to, or to look
    /// without touching. Writing is then [`StoreError::ReadOnly`].
    ///
    /// # Errors
    ///
    /// As [`Store::open`], and [`StoreError::Open`] where there is no file.
    pub fn open_read_only(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let plain = Connection::open_with_flags(path, flags)
            .at(path, "open")
            .and_then(|connection| Self::checked(connection, path));
        match plain {
            // Reading beside a writer needs a file next to the database. Where even that cannot be
            // made nobody is writing, and SQLite may take the file as it is.
            Err(StoreError::Open { .. } | StoreError::ReadOnly { .. }) if path.is_file() => {
                let connection = Connection::open_with_flags(
                    immutable_uri(path),
                    flags | OpenFlags::SQLITE_OPEN_URI,
                )
                .at(path, "open")?;
                Self::checked(connection, path)
            }
            other => other,
        }
    }

    fn checked(connection: Connection, path: &Path) -> Result<Self> {
        let store = Self::settle(connection, path, true)?;
        schema::check(&store.connection, path)?;
        Ok(store)
    }

    fn settle(connection: Connection, path: &Path, read_only: bool) -> Result<Self> {
        connection.busy_timeout(PATIENCE).at(path, "open")?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Self {
            connection,
            path: path.to_path_buf(),
            read_only,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing can be added.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Leaves it to the system when commits reach the disk: a crash of the program loses nothing, one
    /// of the machine may. For stores that need not outlive it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the database cannot be read.
    pub fn trust_the_system(&self) -> Result<()> {
        (self.connection)
            .execute_batch("PRAGMA synchronous = OFF")
            .at(&self.path, "open")
    }

    /// Starts one transaction; nothing of it is there until [`Writer::commit`]. Waits up to a
    /// minute for another process's.
    ///
    /// # Errors
    ///
    /// [`StoreError::ReadOnly`] and [`StoreError::Busy`].
    pub fn write(&mut self) -> Result<Writer<'_>> {
        if self.read_only {
            return Err(StoreError::ReadOnly {
                path: self.path.clone(),
            });
        }
        Writer::begin(&mut self.connection, &self.path)
    }

    /// Every space there is, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the database cannot be read.
    pub fn spaces(&self) -> Result<Vec<Space>> {
        windows::spaces(&self.connection, &self.path)
    }

    /// The space that serves: what [`Writer::serve`] named, else the only one there is.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the database cannot be read.
    pub fn serving(&self) -> Result<Option<Space>> {
        let named = changes::counter(&self.connection, &self.path, "space")?;
        let mut spaces = self.spaces()?;
        match spaces.iter().position(|space| space.id == named) {
            Some(at) => Ok(Some(spaces.swap_remove(at))),
            None if spaces.len() == 1 => Ok(spaces.pop()),
            None => Ok(None),
        }
    }

    /// The space of `key`, if anything was ever written in it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`], also where the space is known with another dimension.
    pub fn space(&self, key: &SpaceKey) -> Result<Option<Space>> {
        windows::space(&self.connection, &self.path, key)
    }
}

/// `path` as a URI with every byte that means something in a URI escaped.
fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_uri_keeps_no_byte_that_means_something_there() {
        assert_eq!(
            immutable_uri(Path::new("/a b/c?d#e%.sqlite")),
            "file:/a%20b/c%3Fd%23e%25.sqlite?immutable=1"
        );
    }
}
