//! Reading vectors, checked row by row.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::catalogue::{Content, ContentHash};
use super::error::{At, Result};
use super::seal::Seal;
use super::{Space, SpaceKey, Store, StoreError};
use crate::embedding::Embedding;
use crate::vectors::{Span, Vectors};

pub(super) fn space(connection: &Connection, path: &Path, key: &SpaceKey) -> Result<Option<Space>> {
    let found = connection
        .prepare_cached("SELECT id, dim FROM space WHERE fingerprint = ?1 AND window = ?2")
        .at(path, "read")?
        .query_row(params![key.fingerprint, key.window], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()
        .at(path, "read")?;
    match found {
        None => Ok(None),
        Some((id, dim)) if usize::try_from(dim) == Ok(key.dim) => Ok(Some(Space {
            id,
            key: key.clone(),
        })),
        Some((_, dim)) => Err(StoreError::damaged(
            path,
            format!(
                "the space of {} has {dim} dimensions, and the model {}",
                key.model, key.dim
            ),
        )),
    }
}

pub(super) fn spaces(connection: &Connection, path: &Path) -> Result<Vec<Space>> {
    let sql = "SELECT id, fingerprint, window, dim, model FROM space ORDER BY id";
    let read = || -> rusqlite::Result<Vec<Space>> {
        connection
            .prepare_cached(sql)?
            .query_map([], |row| {
                Ok(Space {
                    id: row.get(0)?,
                    key: SpaceKey {
                        fingerprint: row.get(1)?,
                        window: row.get(2)?,
                        dim: row.get::<_, i64>(3)? as usize,
                        model: row.get(4)?,
                    },
                })
            })?
            .collect()
    };
    read().at(path, "read")
}

pub(super) fn window_seal(space: &Space, hash: &ContentHash, span: Span, vector: &[u8]) -> [u8; 8] {
    Seal::of("window")
        .bytes(space.key().fingerprint.as_bytes())
        .bytes(space.key().window.as_bytes())
        .bytes(hash.as_bytes())
        .number(span.start as i64)
        .number(span.end as i64)
        .bytes(vector)
        .close()
}

/// `f32` numbers as little-endian bytes.
pub(super) fn vector_bytes(embedding: &Embedding) -> Vec<u8> {
    let numbers = embedding.as_slice();
    let mut bytes = Vec::with_capacity(numbers.len() * 4);
    for number in numbers {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// The inverse of [`vector_bytes`], for `dim` numbers of unit length.
pub(super) fn bytes_vector(bytes: &[u8], dim: usize) -> Option<Embedding> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if numbers.len() != dim || !rest.is_empty() {
        return None;
    }
    Embedding::from_unit(numbers.iter().map(|n| f32::from_le_bytes(*n)).collect()).ok()
}

/// How many windows a complete content must have; `None` where it is not complete.
const WINDOWS: &str = "SELECT windows FROM embedded WHERE space = ?1 AND content = ?2";

impl Store {
    /// The vectors of those `contents` that are completely embedded in `space`. A content named
    /// twice is read once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] at the first window that is missing or not what was written.
    pub fn vectors(&self, space: &Space, contents: &[Content]) -> Result<Vectors> {
        let mut vectors = Vectors::new(space.key().dim);
        let mut count = (self.connection.prepare_cached(WINDOWS)).at(&self.path, "read")?;
        for content in contents {
            if vectors.rows_of(content.id).is_some() {
                continue;
            }
            let expected: Option<i64> = count
                .query_row(params![space.id, content.id.0], |row| row.get(0))
                .optional()
                .at(&self.path, "read")?;
            let Some(expected) = expected else { continue };
            let windows = self.windows(space, content)?;
            if usize::try_from(expected) != Ok(windows.len()) {
                let found = windows.len();
                return Err(StoreError::damaged(
                    &self.path,
                    format!(
                        "{found} of {expected} windows of content {:?}",
                        content.hash
                    ),
                ));
            }
            vectors.insert(content.id, windows);
        }
        Ok(vectors)
    }

    /// All windows of one content there are so far, in order of time.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] at the first one that is not what was written.
    pub fn windows(&self, space: &Space, content: &Content) -> Result<Vec<(Span, Embedding)>> {
        let sql = "SELECT first, past, vector, seal FROM window
                   WHERE space = ?1 AND content = ?2 ORDER BY first, past";
        let mut statement = (self.connection.prepare_cached(sql)).at(&self.path, "read")?;
        let mut rows = statement
            .query(params![space.id, content.id.0])
            .at(&self.path, "read")?;
        let mut windows = Vec::new();
        while let Some(row) = rows.next().at(&self.path, "read")? {
            let read = || -> rusqlite::Result<(Span, Option<Embedding>)> {
                let span = Span {
                    start: row.get::<_, i64>(0)? as u64,
                    end: row.get::<_, i64>(1)? as u64,
                };
                let vector = row.get_ref(2)?.as_blob()?;
                let seal = window_seal(space, &content.hash, span, vector);
                let whole = seal == *row.get_ref(3)?.as_blob()?;
                Ok((
                    span,
                    bytes_vector(vector, space.key().dim).filter(|_| whole),
                ))
            };
            let (span, embedding) = read().at(&self.path, "read")?;
            let embedding = embedding.ok_or_else(|| {
                StoreError::damaged(
                    &self.path,
                    format!(
                        "the vector of samples {}..{} of content {:?}",
                        span.start, span.end, content.hash
                    ),
                )
            })?;
            windows.push((span, embedding));
        }
        Ok(windows)
    }
}

fn calibration_seal(space: &Space, windows: i64, body: &[u8]) -> [u8; 8] {
    Seal::of("calibration")
        .bytes(&space.key().digest())
        .number(windows)
        .bytes(body)
        .close()
}

impl Store {
    /// What the caller measured of the scores in `space`, and how many windows there were then; `None`
    /// where nothing is kept, or it is damaged.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the database cannot be read.
    pub fn calibration(&self, space: &Space) -> Result<Option<(u64, Vec<u8>)>> {
        let sql = "SELECT windows, body, seal FROM calibration WHERE space = ?1";
        let found = (self.connection.prepare_cached(sql))
            .at(&self.path, "read")?
            .query_row([space.id], |row| {
                let (windows, body): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
                let whole =
                    calibration_seal(space, windows, &body) == *row.get_ref(2)?.as_blob()?;
                Ok(whole.then_some((windows as u64, body)))
            })
            .optional()
            .at(&self.path, "read")?;
        Ok(found.flatten())
    }
}

impl super::Writer<'_> {
    /// Keeps what the caller measured of the scores in `space`, of `windows` windows.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the database cannot be written.
    pub fn calibrate(&self, space: &Space, windows: u64, body: &[u8]) -> Result<()> {
        let windows = windows as i64;
        self.run(
            "INSERT OR REPLACE INTO calibration (space, windows, body, seal) VALUES (?1, ?2, ?3, ?4)",
            params![space.id, windows, body, calibration_seal(space, windows, body)],
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_survives_its_bytes_bit_for_bit() {
        let embedding = Embedding::normalize(vec![3.0, -4.0, 1e-30]).unwrap();
        let bytes = vector_bytes(&embedding);
        assert_eq!(bytes.len(), 12);
        assert_eq!(bytes_vector(&bytes, 3), Some(embedding));
        assert_eq!(bytes_vector(&bytes, 2), None);
        assert_eq!(bytes_vector(&bytes[1..], 3), None);
    }
}
