//! Comma-separated values with a header, row by row with line numbers.

use std::collections::HashMap;
use std::path::Path;

use crate::error::{EvalError, Place};

/// A table whose header has been read.
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Row>,
}

/// One row: its line in the file, and its fields, or why it has none.
pub(crate) struct Row {
    pub(crate) line: usize,
    pub(crate) fields: Result<Vec<String>, String>,
}

impl Table {
    pub(crate) fn read(path: &Path) -> Result<Self, EvalError> {
        let bytes = std::fs::read(path).map_err(EvalError::reading(path))?;
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .has_headers(true)
            .from_reader(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
        let header = reader.headers().map_err(|error| {
            EvalError::input(
                path,
                Place::Line(1),
                format!("is not a header ({error})"),
                "save the file as UTF-8 CSV",
            )
        })?;
        let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        let mut rows = Vec::new();
        let mut record = csv::ByteRecord::new();
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(false) => break,
                Ok(true) => {
                    let line = record.position().map_or(0, |p| p.line() as usize);
                    let fields = if record.len() == header.len() {
                        let texts = record
                            .iter()
                            .map(|field| std::str::from_utf8(field).map(str::to_owned));
                        texts
                            .collect::<Result<Vec<_>, _>>()
                            .map_err(|_| "is not UTF-8".to_owned())
                    } else {
                        Err(format!(
                            "has {} fields where the header has {}",
                            record.len(),
                            header.len()
                        ))
                    };
                    rows.push(Row { line, fields });
                }
                Err(error) => {
                    let line = error.position().map_or(0, |p| p.line() as usize);
                    let what = format!("cannot be read ({error})");
                    return Err(EvalError::input(
                        path,
                        Place::Line(line),
                        what,
                        "save the file as UTF-8 CSV",
                    ));
                }
            }
        }
        Ok(Self { header, rows })
    }

    /// The place of the first of `names` that is a column.
    pub(crate) fn column(&self, names: &[&str]) -> Option<usize> {
        (names.iter()).find_map(|name| self.header.iter().position(|known| known == name))
    }

    /// The same, where there must be one.
    pub(crate) fn needed(&self, path: &Path, names: &[&str]) -> Result<usize, EvalError> {
        self.column(names).ok_or_else(|| {
            EvalError::input(
                path,
                Place::Line(1),
                format!(
                    "there is no column `{}`, but {}",
                    names.join("` or `"),
                    self.header.join(", ")
                ),
                "name the benchmark whose authors publish this file, or rename the column",
            )
        })
    }

    /// Columns whose names begin with `prefix` and end with a number.
    pub(crate) fn numbered(&self, prefix: &str) -> Vec<usize> {
        let is = |name: &String| {
            name.strip_prefix(prefix)
                .is_some_and(|n| n.parse::<u32>().is_ok())
        };
        (self.header.iter().enumerate())
            .filter(|(_, name)| is(name))
            .map(|(at, _)| at)
            .collect()
    }

    pub(crate) fn rows(self) -> Vec<Row> {
        self.rows
    }
}

/// Gives each name a place, in the order in which names come.
#[derive(Default)]
pub(crate) struct Places(HashMap<String, usize>);

impl Places {
    /// The name's place, and whether it is new.
    pub(crate) fn of(&mut self, name: &str) -> (usize, bool) {
        let next = self.0.len();
        match self.0.get(name) {
            Some(place) => (*place, false),
            None => {
                self.0.insert(name.to_owned(), next);
                (next, true)
            }
        }
    }
}
