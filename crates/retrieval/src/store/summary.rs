//! What is in a store, for people; and forgetting.

use std::path::{Path, PathBuf};

use rusqlite::params;

use super::Store;
use super::catalogue::{ContentHash, read_failure};
use super::error::{At, Result};
use super::file_state::{bytes_path, path_bytes};

/// How much a store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Paths known.
    pub files: u64,
    /// Different contents among them, and of files since gone.
    pub contents: u64,
    /// By space.
    pub spaces: Vec<SpaceSummary>,
    /// Files whose bytes could not be read.
    pub failed: Vec<FailedFile>,
    /// Bytes on disk, log included.
    pub disk_bytes: u64,
}

/// How much a space holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceSummary {
    /// The model's name.
    pub model: String,
    /// The model's fingerprint.
    pub fingerprint: String,
    /// How sounds are cut.
    pub window: String,
    /// Numbers in a vector.
    pub dim: u64,
    /// Contents embedded completely.
    pub contents: u64,
    /// Vectors.
    pub windows: u64,
}

/// A file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedFile {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

impl Store {
    /// Counts what is there.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be read.
    pub fn summary(&self) -> Result<Summary> {
        let count = |sql: &str| -> Result<u64> {
            (self
                .connection
                .query_row(sql, [], |row| row.get::<_, i64>(0)))
            .at(&self.path, "read")
            .map(|n| n as u64)
        };
        let spaces = self
            .connection
            .prepare_cached(
                "SELECT model, fingerprint, window, dim,
                        (SELECT count(*) FROM embedded e WHERE e.space = s.id),
                        (SELECT count(*) FROM window w WHERE w.space = s.id)
                 FROM space s ORDER BY id",
            )
            .and_then(|mut statement| {
                statement
                    .query_map([], |row| {
                        Ok(SpaceSummary {
                            model: row.get(0)?,
                            fingerprint: row.get(1)?,
                            window: row.get(2)?,
                            dim: row.get::<_, i64>(3)? as u64,
                            contents: row.get::<_, i64>(4)? as u64,
                            windows: row.get::<_, i64>(5)? as u64,
                        })
                    })?
                    .collect()
            })
            .at(&self.path, "read")?;
        Ok(Summary {
            files: count("SELECT count(*) FROM file")?,
            contents: count("SELECT count(*) FROM content")?,
            spaces,
            failed: self.failed()?,
            disk_bytes: self.disk_bytes(),
        })
    }

    /// How many files are known.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be read.
    pub fn file_count(&self) -> Result<u64> {
        (self.connection.prepare_cached("SELECT count(*) FROM file"))
            .and_then(|mut count| count.query_row([], |row| row.get::<_, i64>(0)))
            .map(|n| n as u64)
            .at(&self.path, "read")
    }

    /// How many files are known at or below `path` (absolute).
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be read.
    pub fn count_below(&self, path: &Path) -> Result<u64> {
        let (own, from, to) = below(path)?;
        let sql = "SELECT count(*) FROM file WHERE path = ?1 OR (path >= ?2 AND path < ?3)";
        (self.connection)
            .query_row(sql, params![own, from, to], |row| row.get::<_, i64>(0))
            .map(|n| n as u64)
            .at(&self.path, "read")
    }

    /// Containers among the sounds, in order.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be read.
    pub fn formats(&self) -> Result<Vec<String>> {
        let sql = "SELECT DISTINCT container FROM content WHERE container IS NOT NULL ORDER BY 1";
        let read = || -> rusqlite::Result<Vec<String>> {
            (self.connection.prepare_cached(sql)?)
                .query_map([], |row| row.get(0))?
                .collect()
        };
        read().at(&self.path, "read")
    }

    fn failed(&self) -> Result<Vec<FailedFile>> {
        let sql = "SELECT f.path, c.hash, x.reader, x.reason, x.at_ns, x.seal
                   FROM failure x JOIN content c ON c.id = x.content
                   JOIN file f ON f.content = c.id ORDER BY f.path";
        let mut statement = (self.connection.prepare_cached(sql)).at(&self.path, "read")?;
        let mut rows = statement.query([]).at(&self.path, "read")?;
        let mut failed = Vec::new();
        while let Some(row) = rows.next().at(&self.path, "read")? {
            let hash = ContentHash::from_blob(
                row.get_ref(1)
                    .at(&self.path, "read")?
                    .as_blob()
                    .unwrap_or_default(),
            );
            let Some(hash) = hash else { continue };
            if let Some(failure) = read_failure(row, 2, &hash).at(&self.path, "read")? {
                failed.push(FailedFile {
                    path: bytes_path(row.get(0).at(&self.path, "read")?)?,
                    reason: failure.reason,
                });
            }
        }
        Ok(failed)
    }

    fn disk_bytes(&self) -> u64 {
        ["", "-wal"]
            .iter()
            .map(|suffix| {
                let mut name = self.path.clone().into_os_string();
                name.push(suffix);
                std::fs::metadata(name).map_or(0, |metadata| metadata.len())
            })
            .sum()
    }

    /// Forgets every file at or below `path` (absolute), and every content that no file holds any
    /// more with its vectors. Returns how many files were forgotten. The sounds are not touched.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn forget(&mut self, path: &Path) -> Result<u64> {
        let at = self.path.clone();
        let (own, from, to) = below(path)?;
        let writer = self.write()?;
        let forgotten = writer.delete(
            "DELETE FROM file WHERE path = ?1 OR (path >= ?2 AND path < ?3)",
            params![own, from, to],
        )?;
        for table in ["window", "embedded", "failure", "tag", "tagged", "note"] {
            writer.delete(
                &format!("DELETE FROM {table} WHERE content NOT IN (SELECT content FROM file)"),
                [],
            )?;
        }
        writer.delete(
            "DELETE FROM content WHERE id NOT IN (SELECT content FROM file)",
            [],
        )?;
        writer.delete(
            "DELETE FROM root WHERE path = ?1 OR (path >= ?2 AND path < ?3)",
            params![own, from, to],
        )?;
        writer.commit()?;
        self.connection
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA incremental_vacuum;")
            .at(&at, "write")?;
        Ok(forgotten)
    }
}

/// A path, and the first and the one past the last of all that lie below it: `/` and `0` are
/// neighbours.
fn below(path: &Path) -> Result<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let own = path_bytes(path)?.to_vec();
    let mut from = own.clone();
    if from.last() != Some(&b'/') {
        from.push(b'/');
    }
    let mut to = from.clone();
    *to.last_mut().expect("just pushed") = b'0';
    Ok((own, from, to))
}
