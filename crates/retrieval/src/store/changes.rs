//! What has become of the windows since somebody last looked: what a search in memory goes by.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::catalogue::{Content, ContentHash};
use super::error::{At, Result, StoreError};
use super::windows::{bytes_vector, window_seal};
use super::{Space, Store};
use crate::embedding::Embedding;
use crate::vectors::{ContentId, Span};

/// How far somebody has followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The store's own number: another one after a repair.
    pub(crate) store: i64,
    /// Windows up to this one.
    pub(crate) window: i64,
    /// Deletions up to this one.
    pub(crate) gone: i64,
}

/// One stored window.
pub(crate) struct StoredWindow {
    pub(crate) id: i64,
    pub(crate) content: ContentId,
    pub(crate) span: Span,
    pub(crate) embedding: Embedding,
}

pub(super) fn counter(connection: &Connection, path: &Path, name: &str) -> Result<i64> {
    connection
        .prepare_cached("SELECT value FROM counter WHERE name = ?1")
        .and_then(|mut statement| statement.query_row([name], |row| row.get(0)).optional())
        .at(path, "read")?
        .ok_or_else(|| StoreError::damaged(path, format!("counter {name} is missing")))
}

impl Store {
    /// A number that changes whenever another connection has committed something.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the database cannot be read.
    pub fn change_number(&self) -> Result<i64> {
        (self.connection)
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .at(&self.path, "read")
    }

    /// Where the store stands now.
    pub(crate) fn mark(&self) -> Result<Mark> {
        let last_gone: Option<i64> = self
            .connection
            .query_row("SELECT max(seq) FROM gone", [], |row| row.get(0))
            .at(&self.path, "read")?;
        let trimmed = self.trimmed()?;
        Ok(Mark {
            store: counter(&self.connection, &self.path, "store")?,
            window: counter(&self.connection, &self.path, "window")?,
            gone: last_gone.unwrap_or(trimmed).max(trimmed),
        })
    }

    /// Deletions up to here are told to nobody any more: who has not followed so far reads everything
    /// anew.
    pub(crate) fn trimmed(&self) -> Result<i64> {
        counter(&self.connection, &self.path, "gone")
    }

    /// Reads `what` as of one moment, whatever others write meanwhile.
    pub(crate) fn at_one_moment<T>(&self, what: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let moment = self
            .connection
            .unchecked_transaction()
            .at(&self.path, "read")?;
        let result = what(self)?;
        moment.finish().at(&self.path, "read")?;
        Ok(result)
    }

    /// Windows of `space` that were deleted after `seq`.
    pub(crate) fn gone_after(&self, space: &Space, seq: i64) -> Result<Vec<i64>> {
        let read = || -> rusqlite::Result<Vec<i64>> {
            (self.connection)
                .prepare_cached("SELECT window FROM gone WHERE seq > ?1 AND space = ?2")?
                .query_map(params![seq, space.id], |row| row.get(0))?
                .collect()
        };
        read().at(&self.path, "read")
    }

    /// How many windows `space` has.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the database cannot be read.
    pub fn window_count(&self, space: &Space) -> Result<u64> {
        (self.connection)
            .query_row(
                "SELECT count(*) FROM window WHERE space = ?1",
                [space.id],
                |row| row.get::<_, i64>(0),
            )
            .map(|n| n as u64)
            .at(&self.path, "read")
    }

    /// How many windows there are after number `after`, all spaces together.
    pub(crate) fn windows_after_count(&self, after: i64) -> Result<u64> {
        (self.connection)
            .query_row(
                "SELECT count(*) FROM window WHERE id > ?1",
                [after],
                |row| row.get::<_, i64>(0),
            )
            .map(|n| n as u64)
            .at(&self.path, "read")
    }

    /// Shows `each` the windows of `space` after number `after`; all of them sorted by content and time
    /// where that is none.
    pub(crate) fn each_window(
        &self,
        space: &Space,
        after: Option<i64>,
        each: &mut dyn FnMut(StoredWindow) -> Result<()>,
    ) -> Result<()> {
        let columns = "SELECT w.id, w.content, w.first, w.past, w.vector, w.seal, c.hash
                       FROM window w JOIN content c ON c.id = w.content WHERE w.space = ?1";
        let sql = match after {
            Some(after) => format!("{columns} AND w.id > {after} ORDER BY w.id"),
            None => format!("{columns} ORDER BY w.content, w.first, w.past"),
        };
        let mut statement = (self.connection.prepare_cached(&sql)).at(&self.path, "read")?;
        let mut rows = statement.query([space.id]).at(&self.path, "read")?;
        while let Some(row) = rows.next().at(&self.path, "read")? {
            let read = || -> rusqlite::Result<Option<StoredWindow>> {
                let span = Span {
                    start: row.get::<_, i64>(2)? as u64,
                    end: row.get::<_, i64>(3)? as u64,
                };
                let Some(hash) = ContentHash::from_blob(row.get_ref(6)?.as_blob()?) else {
                    return Ok(None);
                };
                let vector = row.get_ref(4)?.as_blob()?;
                let whole =
                    window_seal(space, &hash, span, vector) == *row.get_ref(5)?.as_blob()?;
                let embedding = bytes_vector(vector, space.key().dim).filter(|_| whole);
                let (id, content) = (row.get(0)?, ContentId(row.get(1)?));
                Ok(embedding.map(|embedding| StoredWindow {
                    id,
                    content,
                    span,
                    embedding,
                }))
            };
            let window = read().at(&self.path, "read")?.ok_or_else(|| {
                let id: i64 = row.get(0).unwrap_or_default();
                StoreError::damaged(&self.path, format!("window {id} is not what was written"))
            })?;
            each(window)?;
        }
        Ok(())
    }

    /// Deletions up to `seq` need not be told any more, since sealed vectors were made after them.
    pub(crate) fn trim(&mut self, seq: i64) -> Result<()> {
        let writer = self.write()?;
        writer.run("DELETE FROM gone WHERE seq <= ?1", [seq])?;
        writer.run(
            "UPDATE counter SET value = max(value, ?1) WHERE name = 'gone'",
            [seq],
        )?;
        writer.commit()
    }

    /// A content by its number.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the database cannot be read.
    pub fn content_of(&self, id: ContentId) -> Result<Option<Content>> {
        let hash: Option<Vec<u8>> = (self.connection)
            .prepare_cached("SELECT hash FROM content WHERE id = ?1")
            .and_then(|mut s| s.query_row([id.0], |row| row.get(0)).optional())
            .at(&self.path, "read")?;
        Ok(hash
            .and_then(|hash| ContentHash::from_blob(&hash))
            .map(|hash| Content { id, hash }))
    }
}
