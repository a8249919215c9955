//! Looking through every row, and making a damaged store whole again.
//!
//! A repair copies every row that can be read and whose seal holds into a new database, moves the
//! damaged one aside and puts the new one in its place. What did not survive is embedded again by
//! the next run, since its content no longer counts as complete. Which files were away, and whose tags
//! have been read, is not carried over: the next update finds out. The index of words is made anew.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};

use super::catalogue::{
    Content, ContentHash, Failure, content_seal, embedded_seal, failure_seal, file_seal, read_sound,
};
use super::error::{At, Result, StoreError};
use super::file_state::{FileState, now_ns};
use super::roots::root_seal;
use super::tags::{note_seal, tag_seal};
use super::windows::{bytes_vector, window_seal};
use super::{Note, Space, SpaceKey, Store, Tag, TagSource, words};
use crate::vectors::{ContentId, Span};

/// What looking through a store found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Rows that are whole.
    pub whole: u64,
    /// One line for each thing that is not, at most [`Inspection::LINES`] of them.
    pub damage: Vec<String>,
    /// How many things are not whole.
    pub damaged: u64,
}

impl Inspection {
    /// How many lines of damage are kept.
    pub const LINES: usize = 50;

    fn note(&mut self, line: impl Into<String>) {
        self.damaged += 1;
        if self.damage.len() < Self::LINES {
            self.damage.push(line.into());
        }
    }
}

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// What was found; what is whole there is in the new store.
    pub found: Inspection,
    /// Where the damaged database was moved.
    pub set_aside: PathBuf,
}

impl Store {
    /// Reads every row and checks its seal, and SQLite's own structure.
    ///
    /// # Errors
    ///
    /// [`StoreError`] only where the file cannot be opened; damage is what the result tells.
    pub fn inspect(path: &Path) -> Result<Inspection> {
        let store = match Self::open_read_only(path) {
            Ok(store) => store,
            Err(StoreError::Damaged { what, .. }) => {
                let mut found = Inspection::default();
                found.note(what);
                return Ok(found);
            }
            Err(error) => return Err(error),
        };
        let mut found = Inspection::default();
        let structure: rusqlite::Result<Vec<String>> = store
            .connection
            .prepare("PRAGMA integrity_check(20)")
            .and_then(|mut check| check.query_map([], |row| row.get(0))?.collect());
        match structure {
            Ok(lines) if lines == ["ok"] => {}
            Ok(lines) => lines.into_iter().for_each(|line| found.note(line)),
            Err(error) => found.note(error.to_string()),
        }
        Survivors::gather(&store.connection, &mut found, |_| Ok(()))?;
        match words::differing(&store.connection) {
            Ok(0) => {}
            Ok(wrong) => found.note(format!("the words of {wrong} files")),
            Err(error) => found.note(format!("the index of words: {error}")),
        }
        Ok(found)
    }

    /// Copies what is whole into a new store and puts that in place of the damaged one, which stays
    /// beside it under another name. Nothing else may be writing meanwhile: what it would add is
    /// lost with the old file (and embedded again later).
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Replace`]; the damaged store is then where it was.
    pub fn repair(path: &Path) -> Result<Repair> {
        let fresh = sibling(path, &format!(".repair-{}", std::process::id()));
        remove_database(&fresh);
        let salvaged = salvage(path, &fresh);
        let found = match salvaged {
            Ok(found) => found,
            Err(error) => {
                remove_database(&fresh);
                return Err(error);
            }
        };
        let set_aside = sibling(path, &format!(".damaged-{}", now_ns() / 1_000_000));
        for suffix in ["-wal", "-shm", ""] {
            let from = sibling(path, suffix);
            if from.exists() {
                rename(&from, &sibling(&set_aside, suffix))?;
            }
        }
        rename(&fresh, path)?;
        Ok(Repair { found, set_aside })
    }
}

fn salvage(path: &Path, fresh: &Path) -> Result<Inspection> {
    let mut found = Inspection::default();
    let mut new = Store::open(fresh)?;
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    match Connection::open_with_flags(path, flags) {
        Ok(old) => {
            new.connection
                .execute_batch("PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF")
                .at(fresh, "write")?;
            let transaction = new.connection.transaction().at(fresh, "write")?;
            Survivors::gather(&old, &mut found, |row| {
                row.insert(&transaction).at(fresh, "write")
            })?;
            for name in ["window", "file"] {
                let highest = format!(
                    "UPDATE counter SET value = (SELECT coalesce(max(id), 0) FROM {name}) WHERE name = '{name}'"
                );
                transaction.execute(&highest, []).at(fresh, "write")?;
            }
            // Which space serves is a preference: without it the only one does, or none until asked.
            if let Ok(space) = super::changes::counter(&old, path, "space") {
                transaction
                    .execute(
                        "UPDATE counter SET value = ?1 WHERE name = 'space'",
                        [space],
                    )
                    .at(fresh, "write")?;
            }
            words::rebuild(&transaction, fresh)?;
            transaction.commit().at(fresh, "write")?;
        }
        Err(error) => found.note(error.to_string()),
    }
    // Everything into the one file that will be moved, and that file onto the disk.
    new.connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)")
        .at(fresh, "write")?;
    drop(new);
    Ok(found)
}

/// A row that is whole, as the statement and values that write it again.
struct Survivor<'r> {
    table: &'static str,
    row: &'r Row<'r>,
}

impl Survivor<'_> {
    fn insert(&self, into: &Connection) -> rusqlite::Result<()> {
        let columns = self.row.as_ref().column_count();
        let marks = vec!["?"; columns].join(", ");
        let sql = format!("INSERT OR IGNORE INTO {} VALUES ({marks})", self.table);
        let values: Vec<rusqlite::types::Value> = (0..columns)
            .map(|column| self.row.get(column))
            .collect::<rusqlite::Result<_>>()?;
        into.prepare_cached(&sql)?
            .execute(rusqlite::params_from_iter(values))?;
        Ok(())
    }
}

/// What has been found whole so far: rows that others point to.
#[derive(Default)]
struct Survivors {
    spaces: HashMap<i64, Space>,
    contents: HashMap<i64, Content>,
    /// Whole windows by space and content.
    windows: HashMap<(i64, i64), i64>,
}

impl Survivors {
    /// Every row of every table, those that are whole to `keep`.
    fn gather(
        from: &Connection,
        found: &mut Inspection,
        mut keep: impl FnMut(Survivor<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut seen = Self::default();
        let tables: [(&'static str, Check); 10] = [
            ("space", Self::space),
            ("content", Self::content),
            ("file", Self::file),
            ("window", Self::window),
            ("embedded", Self::embedded),
            ("failure", Self::failure),
            ("root", Self::root),
            ("tag", Self::tag),
            ("note", Self::note),
            ("job", Self::job),
        ];
        for (table, check) in tables {
            let (forward, backward) = match table {
                "embedded" => ("space, content", "space DESC, content DESC"),
                _ => ("rowid", "rowid DESC"),
            };
            // From both ends where need be: a broken page in the middle then hides only itself.
            let mut done = HashSet::new();
            for order in [forward, backward] {
                let sql = format!("SELECT * FROM {table} ORDER BY {order}");
                let scanned = scan(from, &sql, |row| {
                    // The first two columns tell the rows of every table apart.
                    let second = row.get_ref(1)?.as_i64().ok();
                    if !done.insert((row.get_ref(0)?.as_i64().ok(), second)) {
                        return Ok(Ok(()));
                    }
                    match check(&mut seen, row) {
                        Ok(true) => {
                            found.whole += 1;
                            Ok(keep(Survivor { table, row }))
                        }
                        Ok(false) | Err(_) => {
                            found.note(format!("table {table}, row {}", done.len()));
                            Ok(Ok(()))
                        }
                    }
                });
                match scanned {
                    Ok(kept) => {
                        kept?;
                        break;
                    }
                    Err(error) => {
                        found.note(format!("table {table}, after {} rows: {error}", done.len()));
                    }
                }
            }
        }
        Ok(())
    }

    fn space(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let key = SpaceKey {
            fingerprint: row.get(1)?,
            window: row.get(2)?,
            dim: row.get::<_, i64>(3)? as usize,
            model: row.get(4)?,
        };
        let id = row.get(0)?;
        self.spaces.insert(id, Space { id, key });
        Ok(true)
    }

    fn content(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let id: i64 = row.get(0)?;
        let Some(hash) = ContentHash::from_blob(row.get_ref(1)?.as_blob()?) else {
            return Ok(false);
        };
        let seal = content_seal(&hash, row.get(2)?, &read_sound(row, 3)?);
        let whole = seal == *row.get_ref(8)?.as_blob()?;
        if whole {
            let id_of = ContentId(id);
            self.contents.insert(id, Content { id: id_of, hash });
        }
        Ok(whole)
    }

    fn file(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let Some(content) = self.contents.get(&row.get(7)?) else {
            return Ok(false);
        };
        let state = FileState {
            size: row.get::<_, i64>(2)? as u64,
            mtime_ns: row.get(3)?,
            inode: row.get::<_, i64>(4)? as u64,
            device: row.get::<_, i64>(5)? as u64,
        };
        let path = row.get_ref(1)?.as_blob()?;
        let seal = file_seal(path, &state, row.get(6)?, &content.hash);
        Ok(seal == *row.get_ref(8)?.as_blob()?)
    }

    fn window(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let at: (i64, i64) = (row.get(1)?, row.get(2)?);
        let (Some(space), Some(content)) = (self.spaces.get(&at.0), self.contents.get(&at.1))
        else {
            return Ok(false);
        };
        let span = Span {
            start: row.get::<_, i64>(3)? as u64,
            end: row.get::<_, i64>(4)? as u64,
        };
        let vector = row.get_ref(5)?.as_blob()?;
        let whole = window_seal(space, &content.hash, span, vector)
            == *row.get_ref(6)?.as_blob()?
            && bytes_vector(vector, space.key.dim).is_some();
        if whole {
            *self.windows.entry(at).or_default() += 1;
        }
        Ok(whole)
    }

    /// Only where all its windows survived; else the content is embedded again.
    fn embedded(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let at: (i64, i64) = (row.get(0)?, row.get(1)?);
        let windows: i64 = row.get(2)?;
        let (Some(space), Some(content)) = (self.spaces.get(&at.0), self.contents.get(&at.1))
        else {
            return Ok(false);
        };
        let seal = embedded_seal(space, &content.hash, windows);
        Ok(seal == *row.get_ref(3)?.as_blob()?
            && self.windows.get(&at).copied().unwrap_or(0) == windows)
    }

    fn failure(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let Some(content) = self.contents.get(&row.get(0)?) else {
            return Ok(false);
        };
        let failure = Failure {
            reader: row.get(1)?,
            reason: row.get(2)?,
        };
        let seal = failure_seal(&content.hash, &failure, row.get(3)?);
        Ok(seal == *row.get_ref(4)?.as_blob()?)
    }
}

impl Survivors {
    fn root(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let seal = root_seal(row.get_ref(1)?.as_blob()?, row.get(2)?);
        Ok(seal == *row.get_ref(3)?.as_blob()?)
    }

    fn tag(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let (Some(content), Some(source)) =
            (self.contents.get(&row.get(1)?), TagSource::of(row.get(2)?))
        else {
            return Ok(false);
        };
        let tag = Tag {
            source,
            name: row.get(3)?,
            value: row.get(4)?,
        };
        Ok(tag_seal(&content.hash, &tag) == *row.get_ref(5)?.as_blob()?)
    }

    fn note(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let Some(content) = self.contents.get(&row.get(0)?) else {
            return Ok(false);
        };
        let note = Note {
            note: row.get(1)?,
            caption: row.get(2)?,
        };
        Ok(note_seal(&content.hash, &note) == *row.get_ref(3)?.as_blob()?)
    }

    /// History: whatever can be read is kept.
    fn job(&mut self, _: &Row<'_>) -> rusqlite::Result<bool> {
        Ok(true)
    }
}

/// Shows every row to `look` until that has an error of its own, the inner one; the outer one is the
/// database's.
fn scan(
    from: &Connection,
    sql: &str,
    mut look: impl FnMut(&Row<'_>) -> rusqlite::Result<Result<()>>,
) -> rusqlite::Result<Result<()>> {
    let mut statement = from.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Err(error) = look(row)? {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

type Check = fn(&mut Survivors, &Row<'_>) -> rusqlite::Result<bool>;

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|source| StoreError::Replace {
        path: from.to_path_buf(),
        source,
    })
}

/// A half-made repair of an earlier process of this number, if there is one.
fn remove_database(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        // Nothing there is what we want; anything else shows when the new one is opened.
        let _ = std::fs::remove_file(sibling(path, suffix));
    }
}
