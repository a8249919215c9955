//! One transaction: files, contents, vectors and failures, all of it or nothing.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::catalogue::{
    Content, ContentHash, Failure, Sound, content_seal, embedded_seal, failure_seal, file_seal,
};
use super::error::{At, Result};
use super::file_state::{FileState, now_ns, path_bytes};
use super::windows::{self, vector_bytes, window_seal};
use super::{Space, SpaceKey};
use crate::embedding::Embedding;
use crate::vectors::{ContentId, Span};

/// An open transaction; see [`super::Store::write`]. Dropped without [`Writer::commit`], nothing of it
/// happened.
#[derive(Debug)]
pub struct Writer<'s> {
    pub(super) transaction: Transaction<'s>,
    pub(super) path: &'s Path,
}

impl<'s> Writer<'s> {
    pub(super) fn begin(connection: &'s mut Connection, path: &'s Path) -> Result<Self> {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .at(path, "write")?;
        Ok(Self { transaction, path })
    }

    pub(super) fn run(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize> {
        (self.transaction.prepare_cached(sql))
            .and_then(|mut statement| statement.execute(params))
            .at(self.path, "write")
    }

    /// A number of kind `name` that was never given before.
    fn next(&self, name: &str) -> Result<i64> {
        self.transaction
            .prepare_cached("UPDATE counter SET value = value + 1 WHERE name = ?1 RETURNING value")
            .and_then(|mut statement| statement.query_row([name], |row| row.get(0)))
            .at(self.path, "write")
    }

    /// From now on `space` is the one that serves.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn serve(&self, space: &Space) -> Result<()> {
        self.run(
            "UPDATE counter SET value = ?1 WHERE name = 'space'",
            [space.id],
        )?;
        Ok(())
    }

    /// Forgets `space` and every vector in it.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn drop_space(&self, space: &Space) -> Result<()> {
        for sql in [
            "DELETE FROM window WHERE space = ?1",
            "DELETE FROM embedded WHERE space = ?1",
            "DELETE FROM calibration WHERE space = ?1",
            "DELETE FROM space WHERE id = ?1",
        ] {
            self.run(sql, [space.id])?;
        }
        Ok(())
    }

    /// Deletes rows and says how many.
    pub(super) fn delete(&self, sql: &str, params: impl rusqlite::Params) -> Result<u64> {
        self.run(sql, params).map(|rows| rows as u64)
    }

    /// The space of `key`, new or not.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn space(&self, key: &SpaceKey) -> Result<Space> {
        if let Some(known) = windows::space(&self.transaction, self.path, key)? {
            return Ok(known);
        }
        self.run(
            "INSERT INTO space (fingerprint, window, dim, model) VALUES (?1, ?2, ?3, ?4)",
            params![key.fingerprint, key.window, key.dim as i64, key.model],
        )?;
        Ok(Space {
            id: self.transaction.last_insert_rowid(),
            key: key.clone(),
        })
    }

    /// A content of `bytes` bytes, new or not. What `sound` says replaces what was said before; an
    /// empty one leaves that alone.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn content(&self, hash: &ContentHash, bytes: u64, sound: &Sound) -> Result<Content> {
        let known: Option<i64> = self
            .transaction
            .prepare_cached("SELECT id FROM content WHERE hash = ?1")
            .and_then(|mut s| s.query_row([hash.as_bytes()], |row| row.get(0)).optional())
            .at(self.path, "read")?;
        let bytes = bytes as i64;
        let row = params![
            hash.as_bytes(),
            bytes,
            sound.container,
            sound.codec,
            sound.sample_rate,
            sound.channels,
            sound.samples.map(|n| n as i64),
            content_seal(hash, bytes, sound),
        ];
        let id = match known {
            Some(id) => {
                if *sound != Sound::default() {
                    self.run(
                        "UPDATE content SET bytes = ?2, container = ?3, codec = ?4,
                         sample_rate = ?5, channels = ?6, samples = ?7, seal = ?8 WHERE hash = ?1",
                        row,
                    )?;
                }
                id
            }
            None => {
                self.run(
                    "INSERT INTO content
                     (hash, bytes, container, codec, sample_rate, channels, samples, seal)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    row,
                )?;
                self.transaction.last_insert_rowid()
            }
        };
        Ok(Content {
            id: ContentId(id),
            hash: *hash,
        })
    }

    /// The file at `path` (absolute) looked like `state` and held `content` when it was hashed, at
    /// `checked_ns` (nanoseconds since 1970).
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn file(
        &self,
        path: &Path,
        state: &FileState,
        checked_ns: i64,
        content: &Content,
    ) -> Result<()> {
        let path = path_bytes(path)?;
        let known: Option<i64> = self
            .transaction
            .prepare_cached("SELECT id FROM file WHERE path = ?1")
            .and_then(|mut s| s.query_row([path], |row| row.get(0)).optional())
            .at(self.path, "read")?;
        let id = match known {
            Some(id) => id,
            None => self.next("file")?,
        };
        self.run(
            "INSERT INTO file (path, size, mtime_ns, inode, device, checked_ns, content, seal, id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,
             inode = excluded.inode, device = excluded.device, checked_ns = excluded.checked_ns,
             content = excluded.content, seal = excluded.seal",
            params![
                path,
                state.size as i64,
                state.mtime_ns,
                state.inode as i64,
                state.device as i64,
                checked_ns,
                content.id.0,
                file_seal(path, state, checked_ns, &content.hash),
                id,
            ],
        )?;
        self.run("DELETE FROM away WHERE file = ?1", [id])?;
        super::words::write(&self.transaction, self.path, id)
    }

    /// The vector of one window. The same window again replaces the first; it counts as a new one, so
    /// that whoever holds the old vector learns of it.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    ///
    /// # Panics
    ///
    /// Where the vector's dimension is not the space's: our bug.
    pub fn window(
        &self,
        space: &Space,
        content: &Content,
        span: Span,
        embedding: &Embedding,
    ) -> Result<()> {
        assert_eq!(
            embedding.dim(),
            space.key().dim,
            "vectors of different spaces"
        );
        let vector = vector_bytes(embedding);
        let seal = window_seal(space, &content.hash, span, &vector);
        let (first, past) = (span.start as i64, span.end as i64);
        self.run(
            "DELETE FROM window WHERE space = ?1 AND content = ?2 AND first = ?3 AND past = ?4",
            params![space.id, content.id.0, first, past],
        )?;
        self.run(
            "INSERT INTO window (space, content, first, past, vector, seal, id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                space.id,
                content.id.0,
                first,
                past,
                vector,
                seal,
                self.next("window")?
            ],
        )?;
        Ok(())
    }

    /// All windows of `content` are there: from now on it counts as embedded in `space`, and an
    /// earlier failure to read it is forgotten.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn complete(&self, space: &Space, content: &Content, windows: usize) -> Result<()> {
        let windows = windows as i64;
        self.run(
            "INSERT INTO embedded (space, content, windows, seal) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (space, content)
             DO UPDATE SET windows = excluded.windows, seal = excluded.seal",
            params![
                space.id,
                content.id.0,
                windows,
                embedded_seal(space, &content.hash, windows)
            ],
        )?;
        self.run("DELETE FROM failure WHERE content = ?1", [content.id.0])?;
        Ok(())
    }

    /// The bytes of `content` could not be read.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn failure(&self, content: &Content, failure: &Failure) -> Result<()> {
        let at_ns = now_ns();
        self.run(
            "INSERT INTO failure (content, reader, reason, at_ns, seal) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (content) DO UPDATE SET reader = excluded.reader,
             reason = excluded.reason, at_ns = excluded.at_ns, seal = excluded.seal",
            params![
                content.id.0,
                failure.reader,
                failure.reason,
                at_ns,
                failure_seal(&content.hash, failure, at_ns)
            ],
        )?;
        Ok(())
    }

    /// Makes all of it permanent: when this returns, it is on the disk.
    ///
    /// # Errors
    ///
    /// [`super::StoreError::Full`] and the like; then nothing of it happened.
    pub fn commit(self) -> Result<()> {
        self.transaction.commit().at(self.path, "write")
    }
}
