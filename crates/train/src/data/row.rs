//! A row of a manifest: a sound, what is said of it, and what it is easily confused with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::DataError;
use super::error::Place;
use super::manifest::ParquetColumn;

/// A row.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name, the only one of its source.
    pub id: String,
    /// Its sound.
    pub audio: Audio,
    /// What is said of it.
    pub captions: Captions,
    /// Its tags, as written. Where nothing else gives them, the tag caption split at its commas.
    pub tags: Vec<String>,
    /// The text that means the same, in a source of pairs of texts.
    pub pair: Option<String>,
    /// Rows of the same source whose sound is easily taken for this one's.
    pub hard_audio: Vec<usize>,
    /// Captions that are easily taken for this row's.
    pub hard_text: Vec<HardText>,
    /// Where the row was written.
    pub place: Place,
}

/// A caption that is easily taken for a row's, and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HardText {
    /// A caption of this row of the same source.
    Row(usize),
    /// These words.
    Words(String),
}

/// Where a sound is.
#[derive(Debug, Clone)]
pub enum Audio {
    /// A file.
    File(PathBuf),
    /// A stretch of an archive (WebDataset tar).
    Member {
        /// The archive.
        archive: Arc<Path>,
        /// First byte.
        offset: u64,
        /// Bytes.
        len: u64,
        /// The member's name.
        name: String,
    },
    /// A cell of a Parquet file, read when it is needed.
    Cell {
        /// The column that holds the bytes.
        column: Arc<ParquetColumn>,
        /// The row.
        row: u64,
    },
    /// A scene of the generator.
    Scene {
        /// What it is drawn from.
        seed: u64,
    },
    /// None: a pair of texts.
    None,
}

impl Audio {
    /// What messages call it.
    pub fn shown(&self) -> String {
        match self {
            Audio::File(path) => path.display().to_string(),
            Audio::Member { archive, name, .. } => format!("{}: {name}", archive.display()),
            Audio::Cell { column, row } => format!("{}, record {row}", column.path().display()),
            Audio::Scene { seed } => format!("scene {seed}"),
            Audio::None => "no audio".into(),
        }
    }
}

/// What is said of a sound. Every text here has a character that is not white space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captions {
    /// In full sentences.
    pub long: Option<String>,
    /// In one.
    pub short: Option<String>,
    /// Comma-separated tags.
    pub tag: Option<String>,
    /// Of no stated granularity. Rows of one class share theirs.
    pub plain: Arc<[String]>,
}

/// Which caption of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CaptionKind {
    /// [`Captions::long`].
    Long,
    /// [`Captions::short`].
    Short,
    /// [`Captions::tag`].
    Tag,
    /// One of [`Captions::plain`], by its place.
    Plain(usize),
}

impl Captions {
    /// The caption, where there is one.
    pub fn get(&self, kind: CaptionKind) -> Option<&str> {
        match kind {
            CaptionKind::Long => self.long.as_deref(),
            CaptionKind::Short => self.short.as_deref(),
            CaptionKind::Tag => self.tag.as_deref(),
            CaptionKind::Plain(at) => self.plain.get(at).map(String::as_str),
        }
    }

    /// All of them, in the order of [`CaptionKind`].
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let told = [&self.long, &self.short, &self.tag];
        let told = told.into_iter().filter_map(|c| c.as_deref());
        told.chain(self.plain.iter().map(String::as_str))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }
}

/// `text` without white space around it.
///
/// # Errors
///
/// [`DataError::Row`] where nothing is left: `what` is empty.
pub(super) fn not_empty(text: &str, what: &str, place: &Place) -> Result<String, DataError> {
    match text.trim() {
        "" => Err(DataError::row(place, format!("`{what}` is empty"))),
        text => Ok(text.to_owned()),
    }
}

/// The tags of a comma-separated list, trimmed; empty ones are the list's own typing and no tags.
pub(super) fn split_tags(list: &str) -> Vec<String> {
    let tags = list.split(',').map(str::trim);
    tags.filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect()
}
