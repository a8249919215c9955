//! Who is right: which clips a text is true of, and which texts a clip.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::{EvalError, Place};

/// What is looked for in what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Queries are texts, answers clips.
    TextToAudio,
    /// Queries are clips, answers texts.
    AudioToText,
}

impl Side {
    /// Both, in the order in which figures are given.
    pub const BOTH: [Self; 2] = [Self::TextToAudio, Self::AudioToText];

    /// `text_to_audio` or `audio_to_text`.
    pub fn name(self) -> &'static str {
        match self {
            Self::TextToAudio => "text_to_audio",
            Self::AudioToText => "audio_to_text",
        }
    }
}

/// What is ranked against what: distinct clips, and texts with the clips they are true of.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    clips: Vec<String>,
    /// For each text, its clips, ascending; never empty.
    text_clips: Vec<Vec<usize>>,
    /// For each clip, its texts, ascending; never empty.
    clip_texts: Vec<Vec<usize>>,
}

/// Why clips and texts are not a [`Pool`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAPool {
    /// There are no clips, or no texts.
    Empty,
    /// Two clips have one id: the first and the second.
    SameId(usize, usize),
    /// This text is true of no clip.
    TextWithoutClip(usize),
    /// This clip has no text.
    ClipWithoutText(usize),
}

impl Pool {
    /// Clips by id, and for each text the clips it is true of.
    ///
    /// # Errors
    ///
    /// [`NotAPool`] where a figure could not be complete.
    ///
    /// # Panics
    ///
    /// Where a text names a clip past the last, which is our bug.
    pub fn new(clips: Vec<String>, mut text_clips: Vec<Vec<usize>>) -> Result<Self, NotAPool> {
        if clips.is_empty() || text_clips.is_empty() {
            return Err(NotAPool::Empty);
        }
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (index, id) in clips.iter().enumerate() {
            if let Some(first) = seen.insert(id, index) {
                return Err(NotAPool::SameId(first, index));
            }
        }
        let mut clip_texts = vec![Vec::new(); clips.len()];
        for (text, right) in text_clips.iter_mut().enumerate() {
            right.sort_unstable();
            right.dedup();
            if right.is_empty() {
                return Err(NotAPool::TextWithoutClip(text));
            }
            for clip in right {
                clip_texts[*clip].push(text);
            }
        }
        match clip_texts.iter().position(Vec::is_empty) {
            Some(clip) => Err(NotAPool::ClipWithoutText(clip)),
            None => Ok(Self {
                clips,
                text_clips,
                clip_texts,
            }),
        }
    }

    /// Reads `{"audio": [...], "text": [...]}`: ids of the clips, in the order of the columns, and for each
    /// text, in the order of the rows, the id of its clip. An id is a string or a whole number.
    ///
    /// # Errors
    ///
    /// [`EvalError`] naming the file, the entry and what would help.
    pub fn read_ids(path: &Path) -> Result<Self, EvalError> {
        let bytes = fs::read(path).map_err(EvalError::reading(path))?;
        let document: Value = serde_json::from_slice(&bytes).map_err(|error| {
            EvalError::input(
                path,
                Place::Line(error.line()),
                format!("is not JSON ({error})"),
                FORM,
            )
        })?;
        let audio = ids(path, &document, "audio")?;
        let text = ids(path, &document, "text")?;
        let index: HashMap<&str, usize> = (audio.iter().enumerate())
            .map(|(at, id)| (id.as_str(), at))
            .collect();
        let text_clips: Vec<Vec<usize>> = text
            .iter()
            .map(|id| index.get(id.as_str()).copied().into_iter().collect())
            .collect();
        Self::new(audio.clone(), text_clips).map_err(|reason| match reason {
            NotAPool::Empty => EvalError::input(path, Place::Whole, "names no clip or no text", FORM),
            NotAPool::SameId(first, second) => EvalError::input(
                path,
                Place::Member(format!("audio[{second}]")),
                format!("is `{}` again, as audio[{first}]", audio[second]),
                "each column is a clip of its own: give clips distinct ids or leave one column out",
            ),
            NotAPool::TextWithoutClip(at) => EvalError::input(
                path,
                Place::Member(format!("text[{at}]")),
                format!("is `{}`, which is none of the {} clips", text[at], audio.len()),
                "`text` holds, for each row, the id of the clip it describes: leave that row out or add its clip",
            ),
            NotAPool::ClipWithoutText(at) => EvalError::input(
                path,
                Place::Member(format!("audio[{at}]")),
                format!("is `{}`, which no text describes", audio[at]),
                "leave that column out, or add its captions: a clip without one has no place in audio to text",
            ),
        })
    }

    /// Ids, in the order of the columns.
    pub fn clips(&self) -> &[String] {
        &self.clips
    }

    /// How many texts.
    pub fn texts(&self) -> usize {
        self.text_clips.len()
    }

    /// The clips that text `text` is true of.
    pub fn clips_of(&self, text: usize) -> &[usize] {
        &self.text_clips[text]
    }

    /// The texts that are true of clip `clip`.
    pub fn texts_of(&self, clip: usize) -> &[usize] {
        &self.clip_texts[clip]
    }

    /// How many queries.
    pub fn queries(&self, side: Side) -> usize {
        match side {
            Side::TextToAudio => self.text_clips.len(),
            Side::AudioToText => self.clips.len(),
        }
    }

    /// The right answers to a query, ascending.
    pub fn right(&self, side: Side, query: usize) -> &[usize] {
        match side {
            Side::TextToAudio => &self.text_clips[query],
            Side::AudioToText => &self.clip_texts[query],
        }
    }

    /// What is drawn anew for an interval: a text's clip, where it is true of one, and the query itself elsewhere.
    pub fn unit(&self, side: Side, query: usize) -> usize {
        match side {
            Side::TextToAudio if self.is_one_clip_each() => self.text_clips[query][0],
            _ => query,
        }
    }

    /// Whether every text is true of a single clip, as captions are and class names are not.
    pub fn is_one_clip_each(&self) -> bool {
        self.text_clips.iter().all(|clips| clips.len() == 1)
    }

    /// A name for exactly these clips with as many texts each; see [`fingerprint`].
    pub fn fingerprint(&self) -> String {
        let entries =
            (self.clips.iter().zip(&self.clip_texts)).map(|(id, texts)| (id.as_str(), texts.len()));
        fingerprint(entries.collect())
    }
}

/// A name for a set of clips, each with a number of texts, in any order: BLAKE3, 16 hex digits.
pub fn fingerprint(mut clips: Vec<(&str, usize)>) -> String {
    clips.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for (id, texts) in clips {
        hasher.update(&(id.len() as u64).to_le_bytes());
        hasher.update(id.as_bytes());
        hasher.update(&(texts as u64).to_le_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

const FORM: &str =
    r#"the form is {"audio": [id of each column], "text": [id of the clip each row describes]}"#;

fn ids(path: &Path, document: &Value, name: &str) -> Result<Vec<String>, EvalError> {
    let list = document.get(name).and_then(Value::as_array);
    let list = list.ok_or_else(|| {
        let what = match document.get(name) {
            None => "is missing",
            Some(_) => "is not a list",
        };
        EvalError::input(path, Place::Member(name.into()), what, FORM)
    })?;
    (list.iter().enumerate())
        .map(|(at, value)| {
            id(value).ok_or_else(|| {
                EvalError::input(
                    path,
                    Place::Member(format!("{name}[{at}]")),
                    format!("is {value}"),
                    "an id is a string or a whole number",
                )
            })
        })
        .collect()
}

/// An id as a string: a number by its digits, so that `7` and `"7"` are one clip.
pub(crate) fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<Pool, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids.json");
        fs::write(&path, content).unwrap();
        Pool::read_ids(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn ids_are_matched_whether_they_are_words_or_numbers() {
        let pool = read(r#"{"audio": ["rain", 7], "text": ["7", "rain", 7]}"#).unwrap();
        assert_eq!(pool.clips_of(0), [1]);
        assert_eq!(pool.texts_of(1), [0, 2]);
        assert_eq!(pool.texts_of(0), [1]);
    }

    #[test]
    fn the_name_of_a_pool_does_not_depend_on_the_order_of_its_clips() {
        let one = read(r#"{"audio": ["a", "b"], "text": ["a", "b", "b"]}"#).unwrap();
        let other = read(r#"{"audio": ["b", "a"], "text": ["b", "b", "a"]}"#).unwrap();
        let third = read(r#"{"audio": ["a", "b"], "text": ["a", "a", "b"]}"#).unwrap();
        assert_eq!(one.fingerprint(), other.fingerprint());
        assert_ne!(one.fingerprint(), third.fingerprint());
    }

    #[test]
    fn mistakes_are_told_by_entry_and_remedy() {
        for (content, expected) in [
            (
                r#"{"audio": ["a", "a"], "text": ["a"]}"#,
                "`audio[1]`: is `a` again, as audio[0]; ",
            ),
            (
                r#"{"audio": ["a"], "text": ["a", "b"]}"#,
                "`text[1]`: is `b`, which is none of the 1 clips; ",
            ),
            (
                r#"{"audio": ["a", "b"], "text": ["a"]}"#,
                "`audio[1]`: is `b`, which no text describes; ",
            ),
            (r#"{"audio": ["a"]}"#, "`text`: is missing; "),
            (r#"{"audio": "a", "text": []}"#, "`audio`: is not a list; "),
            (r#"{"audio": [1.5], "text": []}"#, "`audio[0]`: is 1.5; "),
            (r#"{"audio": [], "text": []}"#, "names no clip"),
            ("{\n\"audio\": [", "line 2: is not JSON"),
        ] {
            let error = read(content).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
