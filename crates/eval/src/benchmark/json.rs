//! Lists of records in JSON, with the line on which each begins.

use std::path::Path;

use serde_json::{Deserializer, Value};

use crate::error::{EvalError, Place};

/// The records of a list, or of the list under `data`, each with its line.
pub(crate) fn records(path: &Path) -> Result<Vec<(usize, Value)>, EvalError> {
    let bytes = std::fs::read(path).map_err(EvalError::reading(path))?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| EvalError::input(path, Place::Whole, "is not UTF-8", "save it as UTF-8"))?;
    let line_at = |at: usize| {
        1 + text.as_bytes()[..at]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
    };
    let wrong = |at: usize, what: String| {
        let remedy = "it must be a list of records, or an object with such a list under `data`";
        EvalError::input(path, Place::Line(line_at(at)), what, remedy)
    };
    let blank = |c: char| c.is_ascii_whitespace() || c == '\u{feff}';
    let mut at = text.len() - text.trim_start_matches(blank).len();
    if text[at..].starts_with('{') {
        let data = text
            .find("\"data\"")
            .ok_or_else(|| wrong(at, "has no `data`".into()))?;
        let list = text[data..]
            .find('[')
            .ok_or_else(|| wrong(data, "has no list under `data`".into()))?;
        at = data + list;
    }
    if !text[at..].starts_with('[') {
        return Err(wrong(at, "is no list".into()));
    }
    at += 1;
    let mut records = Vec::new();
    let (mut line, mut counted) = (1, 0);
    loop {
        // To the next record: a comma, or the end.
        let rest =
            text[at..].trim_start_matches(|c: char| blank(c) || (c == ',' && !records.is_empty()));
        at = text.len() - rest.len();
        if rest.starts_with(']') {
            return Ok(records);
        }
        line += text.as_bytes()[counted..at]
            .iter()
            .filter(|b| **b == b'\n')
            .count();
        counted = at;
        let mut stream = Deserializer::from_str(rest).into_iter::<Value>();
        match stream.next() {
            Some(Ok(value)) => records.push((line, value)),
            Some(Err(error)) => {
                return Err(wrong(
                    at,
                    format!("is not such JSON ({error}, counted from here)"),
                ));
            }
            None => return Err(wrong(at, "ends within the list".into())),
        }
        at += stream.byte_offset();
    }
}
