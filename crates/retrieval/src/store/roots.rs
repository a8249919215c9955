//! The folders that are kept up to date, and files that are not where they were.

use std::path::{Path, PathBuf};

use rusqlite::params;

use super::catalogue::{FileId, Known};
use super::error::{At, Result};
use super::file_state::{FileState, bytes_path, now_ns, path_bytes};
use super::seal::Seal;
use super::{Store, Writer};

/// A folder, or a file, that is kept up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Absolute.
    pub path: PathBuf,
    /// Since when, in nanoseconds since 1970.
    pub added_ns: i64,
}

pub(super) fn root_seal(path: &[u8], added_ns: i64) -> [u8; 8] {
    Seal::of("root").bytes(path).number(added_ns).close()
}

impl Store {
    /// Every root, by path; rows that are damaged are left out.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be read.
    pub fn roots(&self) -> Result<Vec<Root>> {
        let read = || -> rusqlite::Result<Vec<(Vec<u8>, i64, bool)>> {
            (self
                .connection
                .prepare_cached("SELECT path, added_ns, seal FROM root ORDER BY path")?)
            .query_map([], |row| {
                let (path, added_ns): (Vec<u8>, i64) = (row.get(0)?, row.get(1)?);
                let whole = root_seal(&path, added_ns) == *row.get_ref(2)?.as_blob()?;
                Ok((path, added_ns, whole))
            })?
            .collect()
        };
        (read().at(&self.path, "read")?.into_iter())
            .filter(|(_, _, whole)| *whole)
            .map(|(path, added_ns, _)| {
                Ok(Root {
                    path: bytes_path(path)?,
                    added_ns,
                })
            })
            .collect()
    }

    /// How many files are away.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be read.
    pub fn away(&self) -> Result<u64> {
        (self.connection)
            .query_row("SELECT count(*) FROM away", [], |row| row.get::<_, i64>(0))
            .map(|n| n as u64)
            .at(&self.path, "read")
    }
}

impl Known {
    /// Whether a file that is not at its path any more was deleted or moved, as far as can be told from
    /// here: the nearest folder above it that is there lies on the file system it lay on. Where that is
    /// another one, its drive is away.
    pub fn is_surely_gone(&self) -> bool {
        (self.path.ancestors().skip(1))
            .find_map(|folder| std::fs::metadata(folder).ok())
            .is_some_and(|folder| {
                folder.is_dir() && FileState::of(&folder).device == self.state.device
            })
    }
}

impl Writer<'_> {
    /// Keeps what lies at or below `path` (absolute) up to date from now on.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn root(&self, path: &Path) -> Result<()> {
        let (path, added_ns) = (path_bytes(path)?, now_ns());
        self.run(
            "INSERT OR IGNORE INTO root (path, added_ns, seal) VALUES (?1, ?2, ?3)",
            params![path, added_ns, root_seal(path, added_ns)],
        )?;
        Ok(())
    }

    /// `path` is no root any more; what is known of its files stays.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn forget_root(&self, path: &Path) -> Result<()> {
        self.run("DELETE FROM root WHERE path = ?1", [path_bytes(path)?])?;
        Ok(())
    }

    /// The file was not there when it was looked for. It keeps its vectors, and is found no more until
    /// it is back.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn set_away(&self, file: FileId) -> Result<()> {
        self.run(
            "INSERT OR IGNORE INTO away (file, since_ns) VALUES (?1, ?2)",
            params![file.0, now_ns()],
        )?;
        Ok(())
    }

    /// The file is back.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn set_back(&self, file: FileId) -> Result<()> {
        self.run("DELETE FROM away WHERE file = ?1", [file.0])?;
        Ok(())
    }

    /// Forgets one path; what it held stays.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn forget_path(&self, file: FileId) -> Result<()> {
        self.run("DELETE FROM file WHERE id = ?1", [file.0])?;
        Ok(())
    }
}
