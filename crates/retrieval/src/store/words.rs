//! Words: names, folders, tags, captions and notes in one full-text index.
//!
//! ```text
//! RAINMetl_Shed Roof_07.wav ──► rain metl shed roof 07 ──► FTS5, stemmed ──► files that share words
//! ```
//!
//! A name is cut where a person would read a new word: at signs, between letters and digits, and where
//! a capital begins one. A small number is also spelt out, since `7_george.wav` is a person saying
//! seven. The index is made of the other tables, so a damaged one is made again.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use super::catalogue::FileId;
use super::error::{At, Result};
use super::file_state::bytes_path;
use crate::vectors::ContentId;

/// How much a word counts by where it stands: name, folder, tags, text.
const WEIGHTS: &str = "8.0, 2.0, 5.0, 4.0";

/// Folders above a file whose names are words for it.
const FOLDERS: usize = 3;

/// Files looked at for one word of a question.
const MOST: i64 = 50_000;

/// Words that say nothing of a sound.
const STOP: [&str; 32] = [
    "a",
    "an",
    "and",
    "are",
    "as",
    "at",
    "be",
    "by",
    "for",
    "from",
    "in",
    "into",
    "is",
    "it",
    "its",
    "of",
    "on",
    "or",
    "s",
    "some",
    "something",
    "sound",
    "sounds",
    "that",
    "the",
    "this",
    "to",
    "with",
    "someone",
    "noise",
    "number",
    "audio",
];

const NUMBERS: [&str; 13] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
];

/// A file that shares words with a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WordHit {
    /// Which.
    pub file: FileId,
    /// What it holds.
    pub content: ContentId,
    /// BM25 of the words it shares, times their share among the question's: greater is better.
    pub score: f32,
    /// Whether it shares all of them.
    pub all: bool,
}

/// The words of a name, in lower case.
pub(crate) fn split(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let letters: Vec<char> = name.chars().collect();
    for (at, &letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| letters[at]);
        let after = letters.get(at + 1);
        let begins = match before {
            Some(before) if before.is_alphanumeric() => {
                before.is_numeric() != letter.is_numeric()
                    || (letter.is_uppercase() && before.is_lowercase())
                    // The last capital of several begins the word that follows: RAINMetl.
                    || (letter.is_uppercase()
                        && before.is_uppercase()
                        && after.is_some_and(|after| after.is_lowercase()))
            }
            _ => true,
        };
        if (begins || !letter.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// [`split`], with the pieces also as they stood together and small numbers spelt out.
fn readable(name: &str) -> String {
    let mut text = name.to_lowercase();
    for word in split(name) {
        text.push(' ');
        text.push_str(&word);
        if let Some(spelt) = word.parse().ok().and_then(|n: usize| NUMBERS.get(n)) {
            text.push(' ');
            text.push_str(spelt);
        }
    }
    text
}

/// Name, folder, tags and text of a file, as the index holds them.
type Document = [String; 4];

fn document(connection: &Connection, file: i64) -> rusqlite::Result<Option<Document>> {
    let found: Option<(Vec<u8>, i64)> = connection
        .prepare_cached("SELECT path, content FROM file WHERE id = ?1")?
        .query_row([file], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((path, content)) = found else {
        return Ok(None);
    };
    let path = bytes_path(path).unwrap_or_default();
    let name = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let folders: Vec<String> = (path.ancestors().skip(1))
        .filter_map(|folder| Some(readable(&folder.file_name()?.to_string_lossy())))
        .take(FOLDERS)
        .collect();
    let tags: Vec<String> = connection
        .prepare_cached("SELECT value FROM tag WHERE content = ?1 ORDER BY source, name, value")?
        .query_map([content], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<_>>()?;
    let text: Option<(Option<String>, Option<String>)> = connection
        .prepare_cached("SELECT note, caption FROM note WHERE content = ?1")?
        .query_row([content], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (note, caption) = text.unwrap_or_default();
    let text = [caption, note]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ");
    Ok(Some([
        readable(&name),
        folders.join(" "),
        tags.join(" "),
        text,
    ]))
}

/// Puts the words of one file into the index, in place of what was there of it.
pub(super) fn write(connection: &Connection, path: &Path, file: i64) -> Result<()> {
    let put = || -> rusqlite::Result<()> {
        let words = document(connection, file)?;
        connection
            .prepare_cached("DELETE FROM words WHERE rowid = ?1")?
            .execute([file])?;
        if let Some([name, folder, tags, text]) = words {
            connection
                .prepare_cached(
                    "INSERT INTO words (rowid, name, folder, tags, text) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![file, name, folder, tags, text])?;
        }
        Ok(())
    };
    put().at(path, "write")
}

/// The same for every file that holds `content`.
pub(super) fn write_content(connection: &Connection, path: &Path, content: i64) -> Result<()> {
    let files = || -> rusqlite::Result<Vec<i64>> {
        (connection.prepare_cached("SELECT id FROM file WHERE content = ?1")?)
            .query_map([content], |row| row.get(0))?
            .collect()
    };
    for file in files().at(path, "read")? {
        write(connection, path, file)?;
    }
    Ok(())
}

/// Makes the index anew.
pub(super) fn rebuild(connection: &Connection, path: &Path) -> Result<()> {
    let files = || -> rusqlite::Result<Vec<i64>> {
        connection.execute("DELETE FROM words", [])?;
        (connection.prepare("SELECT id FROM file")?)
            .query_map([], |row| row.get(0))?
            .collect()
    };
    for file in files().at(path, "write")? {
        write(connection, path, file)?;
    }
    Ok(())
}

/// How many files the index has other words for than it should.
pub(super) fn differing(connection: &Connection) -> rusqlite::Result<u64> {
    let mut stored: HashMap<i64, Document> = HashMap::new();
    let mut statement = connection.prepare("SELECT rowid, name, folder, tags, text FROM words")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        stored.insert(
            row.get(0)?,
            [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?],
        );
    }
    let mut wrong = 0;
    let files: Vec<i64> = (connection.prepare("SELECT id FROM file")?)
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for file in files {
        if document(connection, file)? != stored.remove(&file) {
            wrong += 1;
        }
    }
    Ok(wrong + stored.len() as u64)
}

/// The words of a question that say something: each with the forms under which it may stand.
fn terms(question: &str) -> Vec<Vec<String>> {
    let all = split(question);
    let telling = |word: &String| !STOP.contains(&word.as_str());
    let words: Vec<String> = if all.iter().any(telling) {
        all.into_iter().filter(telling).collect()
    } else {
        all
    };
    let mut terms: Vec<Vec<String>> = words.iter().map(|word| vec![word.clone()]).collect();
    // Two words may be written as one: mouse click, mouseclick.
    for (at, pair) in words.windows(2).enumerate() {
        let joined = pair.concat();
        terms[at].push(joined.clone());
        terms[at + 1].push(joined);
    }
    terms.dedup();
    terms
}

impl Store {
    /// The `most` files that share most with the words of `question`, best first.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be read.
    pub fn by_words(&self, question: &str, most: usize) -> Result<Vec<WordHit>> {
        let terms = terms(question);
        let mut found: HashMap<i64, (i64, f64, usize)> = HashMap::new();
        for term in &terms {
            let quoted: Vec<String> = term.iter().map(|form| format!("\"{form}\"")).collect();
            let mut rows = self.matches(&quoted.join(" OR "))?;
            if rows.is_empty() && term[0].chars().count() >= 3 {
                // A word that is still being typed, or the beginning of a longer one.
                rows = self.matches(&format!("\"{}\"*", term[0]))?;
            }
            for (file, content, score) in rows {
                let entry = found.entry(file).or_insert((content, 0.0, 0));
                entry.1 += score;
                entry.2 += 1;
            }
        }
        let mut hits: Vec<WordHit> = found
            .into_iter()
            .map(|(file, (content, score, shared))| WordHit {
                file: FileId(file),
                content: ContentId(content),
                score: (score * shared as f64 / terms.len() as f64) as f32,
                all: shared == terms.len(),
            })
            .collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.file.cmp(&b.file)));
        hits.truncate(most);
        Ok(hits)
    }

    /// File, content and BM25 (greater is better) of what matches an FTS5 expression.
    fn matches(&self, expression: &str) -> Result<Vec<(i64, i64, f64)>> {
        let sql = format!(
            "SELECT w.rowid, f.content, -bm25(words, {WEIGHTS}) FROM words w
             JOIN file f ON f.id = w.rowid WHERE words MATCH ?1 LIMIT {MOST}"
        );
        let read = || -> rusqlite::Result<Vec<(i64, i64, f64)>> {
            (self.connection.prepare_cached(&sql)?)
                .query_map([expression], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?
                .collect()
        };
        read().at(&self.path, "read")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_where_a_person_reads_a_new_word() {
        assert_eq!(
            split("RAINMetl_Shed Roof_07"),
            ["rain", "metl", "shed", "roof", "07"]
        );
        assert_eq!(split("mouseClick1"), ["mouse", "click", "1"]);
        assert_eq!(split("ÉtéÀParis"), ["été", "à", "paris"]);
        assert_eq!(split("--"), Vec::<String>::new());
        assert_eq!(readable("7_x"), "7_x 7 seven x");
    }

    #[test]
    fn a_question_keeps_the_words_that_tell_something() {
        assert_eq!(terms("the sound of rain"), [["rain"]]);
        assert_eq!(
            terms("mouse click"),
            [["mouse", "mouseclick"], ["click", "mouseclick"]]
        );
        assert_eq!(terms("the"), [["the"]]);
        assert!(terms("\"'*()-").is_empty());
    }
}
