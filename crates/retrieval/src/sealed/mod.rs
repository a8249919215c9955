//! The vectors of one space in one file beside the database, made to be scanned.
//!
//! ```text
//! windows (SQLite) ──► SEALED: vectors, a table of rows, codes ──► rough pass over codes ──► f32 for the best
//! ```
//!
//! The file is written once, synced, and put in place by a rename; it never changes. It is a cache: it
//! carries the number of the store it was made of and how far it followed that store's changes, and
//! whatever does not fit is made again. Table and codes are digested and checked at opening. Each
//! vector carries a check of its own, looked at whenever the vector is read, so a bit that rots is an
//! error and never a wrong score.
//!
//! Table and codes are read through a memory map, shared with every other process that searches. Vectors
//! are read at their place in the file instead: a mapped page counts as memory of this process for as
//! long as it is mapped, and a day of searches would touch them all.

mod codes;
mod format;
mod make;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use aurola_compute::MappedFile;

pub use make::Sealing;

pub(crate) use make::{seal, sweep};

use codes::Code;
pub(crate) use format::Row;
use format::{Header, ROW_BYTES};

use crate::store::changes::Mark;
use crate::store::error::Result;
use crate::store::{Space, StoreError};
use crate::vectors::ContentId;

/// Sealed vectors, opened.
pub(crate) struct Sealed {
    path: PathBuf,
    file: File,
    map: MappedFile,
    header: Header,
    rows: Vec<Row>,
    /// Contents in order, with their first row.
    contents: Vec<(ContentId, u32)>,
    code: Code,
    codes: Range<usize>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed")
            .field("path", &self.path)
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

/// Where the vectors of `space` in the store at `store` are sealed.
pub(crate) fn path_of(store: &Path, space: &Space) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(format!(".vectors-{}", space.id));
    name.into()
}

impl Sealed {
    /// Opens and checks what is sealed at `path` for `space` of store number `store`. `None` where there
    /// is nothing, or it is of another store, space or version.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] where bytes are not what was written, and [`StoreError::Sealed`] where it
    /// cannot be read.
    pub(crate) fn open(path: &Path, space: &Space, store: i64) -> Result<Option<Self>> {
        let unread = |source| StoreError::Sealed {
            path: path.into(),
            doing: "read",
            source,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unread(error)),
        };
        let map = match MappedFile::open(path) {
            Ok(map) => map,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(StoreError::damaged(path, "the sealed vectors are empty"));
            }
            Err(error) => return Err(unread(error)),
        };
        let Some(header) = Header::read(&map).map_err(|what| StoreError::damaged(path, what))?
        else {
            return Ok(None);
        };
        if header.store != store || header.space != space.key().digest() {
            return Ok(None);
        }
        let dim = space.key().dim;
        let layout = header
            .layout(dim)
            .filter(|layout| layout.codes.end == map.len());
        let Some(layout) = layout.filter(|_| header.dim == dim) else {
            return Err(StoreError::damaged(
                path,
                "the sealed vectors are of another length",
            ));
        };
        let table = &map[layout.table.clone()];
        if blake3::hash(table) != header.table
            || blake3::hash(&map[layout.codes.clone()]) != header.codes
        {
            return Err(StoreError::damaged(
                path,
                "the table or the codes of the sealed vectors",
            ));
        }
        let (entries, _) = table.as_chunks::<ROW_BYTES>();
        let rows: Vec<Row> = entries.iter().map(Row::read).collect();
        let mut contents: Vec<(ContentId, u32)> = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            if contents.last().is_none_or(|(last, _)| *last != row.content) {
                contents.push((row.content, at as u32));
            }
        }
        let code = Code::read(header.code, dim, rows.len(), &map[layout.codes.clone()]);
        let codes = layout.codes.start + code.preface()..layout.codes.end;
        Ok(Some(Self {
            path: path.to_path_buf(),
            file,
            map,
            header,
            rows,
            contents,
            code,
            codes,
        }))
    }

    /// How far it follows the store.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            store: self.header.store,
            window: self.header.window,
            gone: self.header.gone,
        }
    }

    /// How many vectors.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many rows the rough pass hands on where nothing is filtered.
    pub(crate) fn depth(&self) -> usize {
        self.header.depth
    }

    /// Row `row` of the table.
    pub(crate) fn row(&self, row: u32) -> &Row {
        &self.rows[row as usize]
    }

    /// The rows of one content.
    pub(crate) fn rows_of(&self, content: ContentId) -> Range<u32> {
        let at = self.contents.partition_point(|(known, _)| *known < content);
        match self.contents.get(at) {
            Some((known, first)) if *known == content => {
                let end = self
                    .contents
                    .get(at + 1)
                    .map_or(self.rows.len() as u32, |next| next.1);
                *first..end
            }
            _ => 0..0,
        }
    }

    /// The `depth` rows, or a few more where several are equally near, that the codes find nearest to
    /// `query`; of those in `among` (ranges of rows in order) where that is given.
    pub(crate) fn candidates(
        &self,
        query: &[f32],
        among: Option<&[Range<u32>]>,
        depth: usize,
    ) -> Vec<u32> {
        let codes = &self.map[self.codes.clone()];
        let width = self.code.width();
        let asked = self.code.ask(query);
        let Some(among) = among else {
            if depth >= self.rows.len() {
                return (0..self.rows.len() as u32).collect();
            }
            let keys = self.code.keys(&asked, codes, 0..self.rows.len());
            return codes::lowest(&keys, depth, self.code.shift());
        };
        let rows: Vec<u32> = among.iter().cloned().flatten().collect();
        if depth >= rows.len() {
            return rows;
        }
        // Most of them: one pass over everything is cheaper than picking them out.
        if rows.len() * 2 > self.rows.len() {
            let all = self.code.keys(&asked, codes, 0..self.rows.len());
            let keys: Vec<u32> = rows.iter().map(|row| all[*row as usize]).collect();
            return picked(&rows, codes::lowest(&keys, depth, self.code.shift()));
        }
        let mut own = Vec::with_capacity(rows.len() * width);
        for range in among {
            own.extend_from_slice(&codes[range.start as usize * width..range.end as usize * width]);
        }
        let keys = self.code.keys_of(&asked, &own, &rows);
        picked(&rows, codes::lowest(&keys, depth, self.code.shift()))
    }

    /// Reads the vector of `row` into `into`, of as many numbers as the space has.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] where it is not what was written, [`StoreError::Sealed`] where the disk
    /// fails.
    pub(crate) fn vector(&self, row: u32, bytes: &mut Vec<u8>, into: &mut [f32]) -> Result<()> {
        let length = into.len() * 4;
        bytes.resize(length, 0);
        let at = format::VECTORS + row as usize * length;
        read_at(&self.file, &self.map, bytes, at).map_err(|source| StoreError::Sealed {
            path: self.path.clone(),
            doing: "read",
            source,
        })?;
        if format::check(bytes) != self.rows[row as usize].check {
            let what = format!("sealed vector {row} is not what was written");
            return Err(StoreError::damaged(&self.path, what));
        }
        for (number, four) in into.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *number = f32::from_le_bytes(*four);
        }
        Ok(())
    }

    /// What was measured when it was made.
    pub(crate) fn sealing(&self) -> Sealing {
        Sealing {
            rows: self.rows.len(),
            code: self.code.name(),
            depth: self.header.depth,
            recall: self.header.recall,
            bytes: self.map.len() as u64,
        }
    }
}

fn picked(rows: &[u32], at: Vec<u32>) -> Vec<u32> {
    at.into_iter().map(|at| rows[at as usize]).collect()
}

#[cfg(unix)]
fn read_at(file: &File, _: &MappedFile, bytes: &mut [u8], at: usize) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at as u64)
}

#[cfg(not(unix))]
fn read_at(_: &File, map: &MappedFile, bytes: &mut [u8], at: usize) -> std::io::Result<()> {
    bytes.copy_from_slice(&map[at..at + bytes.len()]);
    Ok(())
}
