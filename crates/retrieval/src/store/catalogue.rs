//! Reading what is known of files and contents.

use std::fmt;
use std::io::Read;
use std::num::ParseIntError;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rusqlite::{OptionalExtension, Row, params};

use super::error::{At, Result};
use super::file_state::{FileState, bytes_path, path_bytes};
use super::seal::Seal;
use super::{Space, Store};
use crate::vectors::ContentId;

/// BLAKE3 of a file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Of everything `bytes` still gives.
    ///
    /// # Errors
    ///
    /// Whatever reading gives.
    pub fn of(bytes: impl Read) -> std::io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(bytes)?;
        Ok(Self(*hasher.finalize().as_bytes()))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn from_blob(blob: &[u8]) -> Option<Self> {
        blob.try_into().ok().map(Self)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A path the store knows, for as long as it does; never used for another one. As text: 16 hexadecimal
/// digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub(crate) i64);

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for FileId {
    type Err = ParseIntError;

    /// Of what [`FileId`] displays; whether there is such a file, the store knows.
    fn from_str(text: &str) -> std::result::Result<Self, ParseIntError> {
        let id = u64::from_str_radix(text, 16)?;
        Ok(Self(i64::from_ne_bytes(id.to_ne_bytes())))
    }
}

/// The bytes of one sound, in this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content {
    /// For ranking.
    pub id: ContentId,
    /// What they are.
    pub hash: ContentHash,
}

/// What a decoder says of a content. Everything is missing where nothing could be decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sound {
    /// Such as `wav`.
    pub container: Option<String>,
    /// Such as `pcm_s16le`.
    pub codec: Option<String>,
    /// Samples per second in the file.
    pub sample_rate: Option<u32>,
    /// Channels in the file.
    pub channels: Option<u32>,
    /// Length in samples at the model's rate, once decoded to the end.
    pub samples: Option<u64>,
}

/// A file the store has seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Its number.
    pub id: FileId,
    /// Since when it was not there when it was looked for, in nanoseconds since 1970; none where it
    /// was.
    pub away_since_ns: Option<i64>,
    /// Absolute.
    pub path: PathBuf,
    /// What it looked like when its bytes were hashed, at [`Known::checked_ns`].
    pub state: FileState,
    /// When that was, in nanoseconds since 1970; see [`FileState::still_holds`].
    pub checked_ns: i64,
    /// What it held.
    pub content: Content,
    /// Of that content.
    pub sound: Sound,
    /// Whether every window of it has its vector in the space asked for.
    pub embedded: bool,
    /// Why its bytes could not be read, if `reader` was the one who tried.
    pub failure: Option<Failure>,
}

/// Bytes that could not be read, so that nobody tries again before they or the reader change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which program tried, down to the version.
    pub reader: String,
    /// What it said.
    pub reason: String,
}

pub(super) fn content_seal(hash: &ContentHash, bytes: i64, sound: &Sound) -> [u8; 8] {
    Seal::of("content")
        .bytes(hash.as_bytes())
        .number(bytes)
        .maybe_text(sound.container.as_deref())
        .maybe_text(sound.codec.as_deref())
        .maybe(sound.sample_rate.map(i64::from))
        .maybe(sound.channels.map(i64::from))
        .maybe(sound.samples.map(|n| n as i64))
        .close()
}

pub(super) fn file_seal(
    path: &[u8],
    state: &FileState,
    checked_ns: i64,
    hash: &ContentHash,
) -> [u8; 8] {
    Seal::of("file")
        .bytes(path)
        .number(state.size as i64)
        .number(state.mtime_ns)
        .number(state.inode as i64)
        .number(state.device as i64)
        .number(checked_ns)
        .bytes(hash.as_bytes())
        .close()
}

pub(super) fn failure_seal(hash: &ContentHash, failure: &Failure, at_ns: i64) -> [u8; 8] {
    Seal::of("failure")
        .bytes(hash.as_bytes())
        .bytes(failure.reader.as_bytes())
        .bytes(failure.reason.as_bytes())
        .number(at_ns)
        .close()
}

pub(super) fn embedded_seal(space: &Space, hash: &ContentHash, windows: i64) -> [u8; 8] {
    Seal::of("embedded")
        .bytes(space.key().fingerprint.as_bytes())
        .bytes(space.key().window.as_bytes())
        .bytes(hash.as_bytes())
        .number(windows)
        .close()
}

/// The columns of one known file, in the order in which [`known`] reads them.
const KNOWN: &str = "
    SELECT f.path, f.size, f.mtime_ns, f.inode, f.device, f.checked_ns, f.seal,
           c.id, c.hash, c.bytes, c.container, c.codec, c.sample_rate, c.channels, c.samples, c.seal,
           e.windows, e.seal, x.reader, x.reason, x.at_ns, x.seal, f.id, a.since_ns
    FROM file f
    JOIN content c ON c.id = f.content
    LEFT JOIN away a ON a.file = f.id
    LEFT JOIN embedded e ON e.content = c.id AND e.space = ?1
    LEFT JOIN failure x ON x.content = c.id";

impl Store {
    /// Every file below `folder` (absolute), in no order, with how things stand in `space`. Rows
    /// that are damaged are left out: their files count as new and are hashed again.
    ///
    /// # Errors
    ///
    /// [`crate::store::StoreError`] where the database cannot be read.
    pub fn known_below(&self, folder: &Path, space: Option<&Space>) -> Result<Vec<Known>> {
        // `/` and `0` are neighbours, so this is every path that goes on with a separator.
        let mut from = path_bytes(folder)?.to_vec();
        if from.last() != Some(&b'/') {
            from.push(b'/');
        }
        let mut to = from.clone();
        *to.last_mut().expect("just pushed") = b'0';
        self.known(
            &format!("{KNOWN} WHERE f.path >= ?2 AND f.path < ?3"),
            params![space.map(|s| s.id), from, to],
            space,
        )
    }

    /// One file by its absolute path.
    ///
    /// # Errors
    ///
    /// [`crate::store::StoreError`] where the database cannot be read.
    pub fn known_file(&self, path: &Path, space: Option<&Space>) -> Result<Option<Known>> {
        let bytes = path_bytes(path)?;
        let sql = format!("{KNOWN} WHERE f.path = ?2");
        Ok(self
            .known(&sql, params![space.map(|s| s.id), bytes], space)?
            .pop())
    }

    /// One file by its number.
    ///
    /// # Errors
    ///
    /// [`crate::store::StoreError`] where the database cannot be read.
    pub fn known_id(&self, id: FileId, space: Option<&Space>) -> Result<Option<Known>> {
        let sql = format!("{KNOWN} WHERE f.id = ?2");
        Ok(self
            .known(&sql, params![space.map(|s| s.id), id.0], space)?
            .pop())
    }

    /// The files that hold `content`, in order of their paths.
    ///
    /// # Errors
    ///
    /// [`crate::store::StoreError`] where the database cannot be read.
    pub fn known_of(&self, content: ContentId, space: Option<&Space>) -> Result<Vec<Known>> {
        let sql = format!("{KNOWN} WHERE f.content = ?2 ORDER BY f.path");
        self.known(&sql, params![space.map(|s| s.id), content.0], space)
    }

    fn known(
        &self,
        sql: &str,
        params: &[&dyn rusqlite::ToSql],
        space: Option<&Space>,
    ) -> Result<Vec<Known>> {
        let mut statement = (self.connection.prepare_cached(sql)).at(&self.path, "read")?;
        let mut rows = statement.query(params).at(&self.path, "read")?;
        let mut known = Vec::new();
        while let Some(row) = rows.next().at(&self.path, "read")? {
            if let Some(file) = read_known(row, space).at(&self.path, "read")? {
                known.push(Known {
                    path: bytes_path(file.0)?,
                    ..file.1
                });
            }
        }
        Ok(known)
    }

    /// A content by the hash of its bytes, and whether all of it is embedded in `space`.
    ///
    /// # Errors
    ///
    /// [`crate::store::StoreError`] where the database cannot be read.
    pub fn content(
        &self,
        hash: &ContentHash,
        space: Option<&Space>,
    ) -> Result<Option<StoredContent>> {
        let sql =
            "SELECT c.id, c.bytes, c.container, c.codec, c.sample_rate, c.channels, c.samples,
                          c.seal, e.windows, e.seal, x.reader, x.reason, x.at_ns, x.seal
                   FROM content c
                   LEFT JOIN embedded e ON e.content = c.id AND e.space = ?2
                   LEFT JOIN failure x ON x.content = c.id
                   WHERE c.hash = ?1";
        let mut statement = (self.connection.prepare_cached(sql)).at(&self.path, "read")?;
        statement
            .query_row(params![hash.as_bytes(), space.map(|s| s.id)], |row| {
                let sound = read_sound(row, 2)?;
                let sealed = content_seal(hash, row.get(1)?, &sound);
                Ok(
                    (sealed == *row.get_ref(7)?.as_blob()?).then_some(StoredContent {
                        content: Content {
                            id: ContentId(row.get(0)?),
                            hash: *hash,
                        },
                        sound,
                        embedded: read_embedded(row, 8, space, hash)?,
                        failure: read_failure(row, 10, hash)?,
                    }),
                )
            })
            .optional()
            .at(&self.path, "read")
            .map(Option::flatten)
    }
}

/// A content the store has seen, under whatever names.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredContent {
    /// Which one.
    pub content: Content,
    /// What a decoder said of it.
    pub sound: Sound,
    /// Whether every window of it has its vector in the space asked for.
    pub embedded: bool,
    /// Why its bytes could not be read.
    pub failure: Option<Failure>,
}

/// The path's bytes beside the rest, whose path is still empty; `None` where a seal is broken.
fn read_known(row: &Row<'_>, space: Option<&Space>) -> rusqlite::Result<Option<(Vec<u8>, Known)>> {
    let path: Vec<u8> = row.get(0)?;
    let state = FileState {
        size: row.get::<_, i64>(1)? as u64,
        mtime_ns: row.get(2)?,
        inode: row.get::<_, i64>(3)? as u64,
        device: row.get::<_, i64>(4)? as u64,
    };
    let checked_ns = row.get(5)?;
    let Some(hash) = ContentHash::from_blob(row.get_ref(8)?.as_blob()?) else {
        return Ok(None);
    };
    let sound = read_sound(row, 10)?;
    let whole = file_seal(&path, &state, checked_ns, &hash) == *row.get_ref(6)?.as_blob()?
        && content_seal(&hash, row.get(9)?, &sound) == *row.get_ref(15)?.as_blob()?;
    if !whole {
        return Ok(None);
    }
    let known = Known {
        id: FileId(row.get(22)?),
        away_since_ns: row.get(23)?,
        path: PathBuf::new(),
        state,
        checked_ns,
        content: Content {
            id: ContentId(row.get(7)?),
            hash,
        },
        sound,
        embedded: read_embedded(row, 16, space, &hash)?,
        failure: read_failure(row, 18, &hash)?,
    };
    Ok(Some((path, known)))
}

pub(super) fn read_sound(row: &Row<'_>, at: usize) -> rusqlite::Result<Sound> {
    Ok(Sound {
        container: row.get(at)?,
        codec: row.get(at + 1)?,
        sample_rate: row.get(at + 2)?,
        channels: row.get(at + 3)?,
        samples: row.get::<_, Option<i64>>(at + 4)?.map(|n| n as u64),
    })
}

fn read_embedded(
    row: &Row<'_>,
    at: usize,
    space: Option<&Space>,
    hash: &ContentHash,
) -> rusqlite::Result<bool> {
    let (Some(windows), Some(space)) = (row.get::<_, Option<i64>>(at)?, space) else {
        return Ok(false);
    };
    Ok(embedded_seal(space, hash, windows) == *row.get_ref(at + 1)?.as_blob()?)
}

pub(super) fn read_failure(
    row: &Row<'_>,
    at: usize,
    hash: &ContentHash,
) -> rusqlite::Result<Option<Failure>> {
    let Some(reader) = row.get(at)? else {
        return Ok(None);
    };
    let failure = Failure {
        reader,
        reason: row.get(at + 1)?,
    };
    let sealed =
        failure_seal(hash, &failure, row.get(at + 2)?) == *row.get_ref(at + 3)?.as_blob()?;
    Ok(sealed.then_some(failure))
}
