//! Which files count at all: conditions, as SQL over the catalogue.

use std::path::PathBuf;

use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::Store;
use super::catalogue::FileId;
use super::error::{At, Result};
use super::file_state::path_bytes;
use crate::vectors::ContentId;

/// Conditions on files. All that are given must hold; ranges include both ends, and an end that is none
/// is open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// At or below one of these absolute paths.
    pub below: Vec<PathBuf>,
    /// With this in their path, whatever the case of ASCII letters.
    pub path_has: Option<String>,
    /// With one of these extensions or containers: `wav`, `flac`.
    pub formats: Vec<String>,
    /// Length in seconds.
    pub duration_s: (Option<f64>, Option<f64>),
    /// Samples a second in the file.
    pub sample_rate: (Option<u32>, Option<u32>),
    /// Channels in the file.
    pub channels: (Option<u32>, Option<u32>),
    /// Last change, in nanoseconds since 1970.
    pub modified_ns: (Option<i64>, Option<i64>),
    /// With all of these tags.
    pub tags: Vec<TagFilter>,
    /// Among these.
    pub ids: Option<Vec<FileId>>,
}

/// A tag that must be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagFilter {
    /// Of this kind; of any, where none.
    pub name: Option<String>,
    /// Equal to this but for the case of ASCII letters.
    pub value: String,
}

/// Samples a second that [`super::Sound::samples`] counts.
const RATE: f64 = 16_000.0;

impl Filter {
    /// Whether nothing is asked, so that every file passes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// # Errors
    ///
    /// In words, the first condition that cannot be meant.
    pub fn check(&self) -> std::result::Result<(), String> {
        for end in [self.duration_s.0, self.duration_s.1].into_iter().flatten() {
            if !end.is_finite() || end < 0.0 {
                return Err(format!("a duration of {end} s"));
            }
        }
        if let Some(path) = self.below.iter().find(|path| !path.is_absolute()) {
            return Err(format!("{} is not absolute", path.display()));
        }
        if let Some(format) = self.formats.iter().find(|format| format.is_empty()) {
            return Err(format!("a format of no letters: {format:?}"));
        }
        Ok(())
    }

    fn conditions(&self) -> Result<(Vec<String>, Vec<Value>)> {
        let mut all = Conditions::default();
        all.any(self.below.iter().map(|path| {
            let own = path_bytes(path)?.to_vec();
            let mut from = own.clone();
            if from.last() != Some(&b'/') {
                from.push(b'/');
            }
            let mut to = from.clone();
            *to.last_mut().expect("just pushed") = b'0';
            Ok((
                "f.path = ? OR (f.path >= ? AND f.path < ?)".to_owned(),
                vec![own.into(), from.into(), to.into()],
            ))
        }))?;
        if let Some(part) = &self.path_has {
            all.one(
                "instr(lower(CAST(f.path AS TEXT)), ?)",
                part.to_ascii_lowercase(),
            );
        }
        all.any(self.formats.iter().map(|format| {
            let format = format.trim_start_matches('.').to_ascii_lowercase();
            let ending = format!(".{format}");
            let length = ending.chars().count();
            Ok((
                format!("c.container = ? OR lower(substr(CAST(f.path AS TEXT), -{length})) = ?"),
                vec![format.into(), ending.into()],
            ))
        }))?;
        let samples = |seconds: f64| (seconds * RATE).min(i64::MAX as f64) as i64;
        let (shortest, longest) = self.duration_s;
        all.range(
            "c.samples",
            shortest.map(|s| samples(s.max(0.0))),
            longest.map(samples),
        );
        let (low, high) = self.sample_rate;
        all.range("c.sample_rate", low.map(i64::from), high.map(i64::from));
        let (few, many) = self.channels;
        all.range("c.channels", few.map(i64::from), many.map(i64::from));
        all.range("f.mtime_ns", self.modified_ns.0, self.modified_ns.1);
        for tag in &self.tags {
            let value = Value::from(tag.value.clone());
            let (name, values) = match &tag.name {
                Some(name) => (" AND name = ?", vec![value, name.to_lowercase().into()]),
                None => ("", vec![value]),
            };
            all.push(
                format!(
                    "f.content IN (SELECT content FROM tag WHERE value = ? COLLATE NOCASE{name})"
                ),
                values,
            );
        }
        if let Some(ids) = &self.ids {
            let numbers: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
            all.push(format!("f.id IN ({})", numbers.join(",")), Vec::new());
        }
        Ok((all.sql, all.values))
    }
}

#[derive(Default)]
struct Conditions {
    sql: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    fn push(&mut self, sql: String, values: Vec<Value>) {
        self.sql.push(format!("({sql})"));
        self.values.extend(values);
    }

    fn one(&mut self, sql: &str, value: impl Into<Value>) {
        self.push(sql.to_owned(), vec![value.into()]);
    }

    fn range(&mut self, column: &str, low: Option<i64>, high: Option<i64>) {
        if let Some(low) = low {
            self.one(&format!("{column} >= ?"), low);
        }
        if let Some(high) = high {
            self.one(&format!("{column} <= ?"), high);
        }
    }

    /// At least one of several; no condition where there are none.
    fn any(&mut self, each: impl Iterator<Item = Result<(String, Vec<Value>)>>) -> Result<()> {
        let (mut sql, mut values) = (Vec::new(), Vec::new());
        for one in each {
            let (condition, its) = one?;
            sql.push(condition);
            values.extend(its);
        }
        if !sql.is_empty() {
            self.push(sql.join(" OR "), values);
        }
        Ok(())
    }
}

impl Store {
    /// The files that pass `filter` with what they hold, in no order. Files that were away when last
    /// looked for are among them.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be read.
    pub fn matching(&self, filter: &Filter) -> Result<Vec<(FileId, ContentId)>> {
        let (conditions, values) = filter.conditions()?;
        let mut sql = "SELECT f.id, f.content FROM file f".to_owned();
        if conditions.iter().any(|condition| condition.contains("c.")) {
            sql += " JOIN content c ON c.id = f.content";
        }
        if !conditions.is_empty() {
            sql += " WHERE ";
            sql += &conditions.join(" AND ");
        }
        let read = || -> rusqlite::Result<Vec<(FileId, ContentId)>> {
            (self.connection.prepare(&sql)?)
                .query_map(params_from_iter(values), |row| {
                    Ok((FileId(row.get(0)?), ContentId(row.get(1)?)))
                })?
                .collect()
        };
        read().at(&self.path, "read")
    }
}
