//! Numbers that took long to compute, kept under what they were computed from.
//!
//! One file that is only ever appended to: a header, then records of a key, `width` numbers and a check. A process that is
//! killed leaves at most one record that is not whole; it is cut off when the file is opened again, and computed
//! again. Two processes on one file are kept apart by a lock.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{EvalError, Place};

const MAGIC: &[u8; 8] = b"aurolaJ1";
const HEADER: usize = 12;
const CHECK: usize = 8;

/// What a value is kept under: BLAKE3 of everything it depends on.
pub type Key = [u8; 32];

/// The key of some parts; no two lists of parts have the same bytes.
pub fn key(parts: &[&[u8]]) -> Key {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// An open journal. Its lock ends with it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    width: usize,
    known: HashMap<Key, Vec<f32>>,
}

impl Journal {
    /// Opens or begins the journal at `path`, for `width` numbers a key.
    ///
    /// # Errors
    ///
    /// [`EvalError`] where it cannot be read or written, is in use, or is another kind of file.
    pub fn open(path: &Path, width: usize) -> Result<Self, EvalError> {
        let writing = |source| EvalError::Io {
            path: path.to_path_buf(),
            doing: "written",
            source,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(writing)?;
        }
        let mut file = (OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false))
        .open(path)
        .map_err(writing)?;
        if file.try_lock().is_err() {
            return Err(EvalError::input(
                path,
                Place::Whole,
                "is in use by another evaluation",
                "wait for it to end: both would compute the same",
            ));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(EvalError::reading(path))?;
        let mut header = MAGIC.to_vec();
        header.extend((width as u32).to_le_bytes());
        let mut journal = Self {
            path: path.to_path_buf(),
            file,
            width,
            known: HashMap::new(),
        };
        if bytes.len() < HEADER && header.starts_with(&bytes) {
            // New, or killed while it was begun.
            journal.cut(0)?;
            journal.file.write_all(&header).map_err(writing)?;
            return Ok(journal);
        }
        if !bytes.starts_with(&header) {
            return Err(EvalError::input(
                path,
                Place::Whole,
                format!("is no journal of {width} numbers a key"),
                "it was written by something else: move it away, and it is made anew",
            ));
        }
        let size = 32 + width * 4 + CHECK;
        let mut whole = HEADER;
        for record in bytes[HEADER..].chunks_exact(size) {
            let (said, check) = record.split_at(size - CHECK);
            if blake3::hash(said).as_bytes()[..CHECK] != *check {
                break;
            }
            let (key, numbers) = said.split_at(32);
            let numbers = numbers.as_chunks::<4>().0.iter();
            let key: Key = key.try_into().expect("split at 32");
            journal
                .known
                .insert(key, numbers.map(|b| f32::from_le_bytes(*b)).collect());
            whole += size;
        }
        journal.cut(whole as u64)?;
        Ok(journal)
    }

    fn cut(&mut self, length: u64) -> Result<(), EvalError> {
        let cut = self
            .file
            .set_len(length)
            .and_then(|()| self.file.seek(SeekFrom::Start(length)));
        cut.map(|_| ()).map_err(|source| self.writing(source))
    }

    fn writing(&self, source: std::io::Error) -> EvalError {
        EvalError::Io {
            path: self.path.clone(),
            doing: "written",
            source,
        }
    }

    /// What was computed for a key.
    pub fn get(&self, key: &Key) -> Option<&[f32]> {
        self.known.get(key).map(Vec::as_slice)
    }

    /// Keeps values, and does not return before the system has them.
    ///
    /// # Errors
    ///
    /// [`EvalError::Io`], after which the journal still holds what it held.
    ///
    /// # Panics
    ///
    /// Where a value has another width, which is our bug.
    pub fn keep(&mut self, values: Vec<(Key, Vec<f32>)>) -> Result<(), EvalError> {
        let mut bytes = Vec::with_capacity(values.len() * (32 + self.width * 4 + CHECK));
        for (key, numbers) in &values {
            assert_eq!(numbers.len(), self.width, "numbers of another journal");
            let start = bytes.len();
            bytes.extend_from_slice(key);
            for number in numbers {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            let check = blake3::hash(&bytes[start..]);
            bytes.extend_from_slice(&check.as_bytes()[..CHECK]);
        }
        let written = self
            .file
            .write_all(&bytes)
            .and_then(|()| self.file.sync_data());
        written.map_err(|source| self.writing(source))?;
        self.known.extend(values);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_there_again_and_a_torn_end_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/texts");
        let (a, b) = (key(&[b"a"]), key(&[b"b"]));
        let mut journal = Journal::open(&path, 2).unwrap();
        journal
            .keep(vec![(a, vec![1.0, 2.0]), (b, vec![3.0, 4.0])])
            .unwrap();
        assert!(
            Journal::open(&path, 2)
                .unwrap_err()
                .to_string()
                .contains("in use")
        );
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            let mut journal = Journal::open(&path, 2).unwrap();
            assert_eq!(journal.get(&a).is_some(), end >= HEADER + 48, "{end}");
            assert!(journal.get(&b).is_none());
            journal.keep(vec![(b, vec![3.0, 4.0])]).unwrap();
            drop(journal);
            assert_eq!(
                Journal::open(&path, 2).unwrap().get(&b),
                Some(&[3.0, 4.0][..]),
                "{end}"
            );
        }
        assert!(Journal::open(&path, 3).is_err());
        assert_ne!(key(&[b"ab", b""]), key(&[b"a", b"b"]));
    }
}
