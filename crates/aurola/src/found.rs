//! What an index answers.

use std::path::PathBuf;
use std::time::Duration;

use aurola_retrieval::store::{Content, FileId, Sound, Tag};

use crate::progress::Skipped;
use crate::search::Moment;

/// The best files, and how the answer was made.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchAnswer {
    /// In the order that was asked for, no more than were asked for.
    pub hits: Vec<SearchHit>,
    /// Whether there are more behind the last one.
    pub more: bool,
    /// Files of the index that passed the filter.
    pub searched: u64,
    /// Which vectors were searched; none for an index without any.
    pub space: Option<SpaceInfo>,
    /// Where the time went.
    pub timing: Timing,
    /// Files that were to be judged and could not be read again; they keep their cosine.
    pub skipped: Vec<Skipped>,
}

/// A file that answers.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchHit {
    /// For [`crate::Index::file`], and `What::Clip`.
    pub id: FileId,
    /// Absolute.
    pub path: PathBuf,
    /// Its bytes: what vectors, tags and notes hang on.
    pub content: Content,
    /// What the list is ordered by under [`crate::Sort::Relevance`]: fused ranks, or cosine plus the
    /// judge's word. Comparable within one answer only.
    pub score: f32,
    /// Of its best window with the question; none where words alone ranked.
    pub cosine: Option<f32>,
    /// The probability the judge gives that the best window matches the words, where it was asked.
    pub p_yes: Option<f32>,
    /// How sure the match is; none where nothing was asked.
    pub relevance: Option<Relevance>,
    /// Whether all words of the question stand in its names, tags, captions or notes.
    pub by_words: bool,
    /// Parts of the sound that match, best first: windows that answer nearly as well as the best one,
    /// joined where they touch.
    pub spans: Vec<Moment>,
    /// The best window itself: what a judge hears.
    pub best: Option<Moment>,
    /// Every window with its score, in order of time; filled in for `explain`.
    pub heat: Vec<Moment>,
    /// Length of the whole file in seconds.
    pub duration_s: Option<f64>,
    /// What a decoder said of it.
    pub sound: Sound,
    /// Bytes.
    pub size: u64,
    /// Last change, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// From the file, its name, and people.
    pub tags: Vec<Tag>,
    /// The value of its licence tag.
    pub licence: Option<String>,
    /// Whether the file was not there when it was last looked for, such as on a drive that is away.
    pub away: bool,
    /// Further files that were folded into this one by [`crate::GroupBy`].
    pub folded: usize,
}

/// How a score compares with those of questions that have nothing to do with the sounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Relevance {
    /// Its place among scores of random questions with random sounds of this index, in `[0, 1]`: 0.5 is
    /// the middle one, 0.99 is above 99 of 100.
    pub score: f32,
    /// In one word.
    pub label: Label,
}

/// A relevance in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// Within what random questions score.
    Weak,
    /// Above [`Relevance::LIKELY`] of them, or all words of the question are in its names.
    Likely,
    /// Above [`Relevance::STRONG`] of them.
    Strong,
}

impl Relevance {
    /// From here on a match is likely.
    pub const LIKELY: f32 = 0.99;
    /// From here on it is strong.
    pub const STRONG: f32 = 0.999;

    pub(crate) fn of(score: f32) -> Self {
        let label = match score {
            s if s >= Self::STRONG => Label::Strong,
            s if s >= Self::LIKELY => Label::Likely,
            _ => Label::Weak,
        };
        Self { score, label }
    }
}

impl Label {
    /// `strong`, `likely` or `weak`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strong => "strong",
            Self::Likely => "likely",
            Self::Weak => "weak",
        }
    }
}

/// The header of the vectors that are searched: everything that makes them comparable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceInfo {
    /// Digest of weights, adapter, prompt, pooling, front end and arithmetic.
    pub fingerprint: String,
    /// The model's name, for people.
    pub model: String,
    /// How sounds are cut.
    pub window: String,
    /// Numbers in a vector.
    pub dim: usize,
}

/// Where the time of a search went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// The question's parts, as vectors: decoding and the model.
    pub embed: Duration,
    /// Filter, scan, words, files.
    pub search: Duration,
    /// The judge.
    pub rerank: Duration,
}
