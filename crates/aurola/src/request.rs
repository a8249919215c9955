//! What an index is asked: parts to be near or far, which files count, and how the list is made.
//!
//! ```text
//! wanted, not ─► one vector ─► filter ─► scan ─► words ─► group ─► sort ─► page ─► judge ─► answer
//! ```

use std::path::PathBuf;
use std::time::Duration;

use aurola_retrieval::QueryError;
use aurola_retrieval::store::{FileId, Filter};

use crate::EngineError;
use crate::search::Question;

/// A search. [`SearchRequest::words`] and [`SearchRequest::browse`] fill in the defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    /// What the sound should be like. Empty: nothing is ranked, and the files that pass
    /// [`SearchRequest::filter`] are listed as [`SearchRequest::sort`] says.
    pub wanted: Vec<Part>,
    /// What it should not be like; see [`aurola_retrieval::Query`] for the formula.
    pub not: Vec<Part>,
    /// By meaning, by words, or both.
    pub mode: Mode,
    /// Which files count at all.
    pub filter: Filter,
    /// The order of the list.
    pub sort: Sort,
    /// What is folded into one hit.
    pub group_by: GroupBy,
    /// How many hits, 1 to [`SearchRequest::MOST`].
    pub limit: usize,
    /// How many hits to pass over first.
    pub offset: usize,
    /// Hits below this relevance are cut off, in `[0, 1]`; see [`crate::Relevance`].
    pub min_relevance: Option<f32>,
    /// Judge the best anew.
    pub rerank: Option<Rerank>,
    /// Fill in [`crate::SearchHit::heat`]: relevance over time.
    pub explain: bool,
}

/// One part of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What.
    pub what: What,
    /// How much it counts beside the others, above 0.
    pub weight: f32,
}

/// What a part is made of.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum What {
    /// Words.
    Text(String),
    /// A sound in a file, indexed or not. It is decoded and embedded, and nothing of it is kept. One
    /// that is longer than a window counts as the mean of its windows.
    Sound(PathBuf),
    /// A file of this index.
    Clip(FileId),
    /// A vector of the index's model, of any length but 0.
    Vector(Vec<f32>),
}

/// What ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Vectors and words, fused by rank. Without a [`What::Text`] there are no words, and vectors alone
    /// rank.
    #[default]
    Both,
    /// Vectors alone.
    Meaning,
    /// Words in names, tags, captions and notes alone: needs no model.
    Words,
}

/// The order of the list. All but [`Sort::Relevance`] order what relevance let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Best first.
    #[default]
    Relevance,
    /// Changed last first.
    Newest,
    /// Shortest first.
    Shortest,
    /// Longest first.
    Longest,
    /// By path.
    Path,
}

/// What is folded into one hit, the best of each group; the others are counted in
/// [`crate::SearchHit::folded`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupBy {
    /// Nothing: every file is a hit.
    #[default]
    File,
    /// Files of one folder.
    Folder,
    /// Files whose best windows have a cosine of [`GroupBy::ALIKE`] or more, copies among them.
    Alike,
}

impl GroupBy {
    /// From this cosine on, two sounds are one to the ear.
    pub const ALIKE: f32 = 0.98;
}

/// Re-ranking: the model reads words and sound together, and `alpha` times the probability of its Yes
/// is added to the cosine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rerank {
    /// How many of the best files, at most [`Rerank::MOST`].
    pub first: usize,
    /// How much the judge's word counts beside the cosine, at least 0. Default 1.
    pub alpha: f32,
    /// No new judgement is begun after this long; those that are missing keep their place below those
    /// that were judged. None: all are judged.
    pub budget: Option<Duration>,
}

impl Rerank {
    /// The most files that are judged for one search.
    pub const MOST: usize = 1_000;

    /// The first `first`, without a limit of time.
    pub fn first(first: usize) -> Self {
        Self {
            first,
            alpha: 1.0,
            budget: None,
        }
    }
}

impl Part {
    /// Words, weight 1.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(What::Text(text.into()))
    }

    /// `what`, weight 1.
    pub fn of(what: What) -> Self {
        Self { what, weight: 1.0 }
    }
}

impl SearchRequest {
    /// The longest page.
    pub const MOST: usize = 10_000;

    /// The `limit` best for some words, by meaning and words.
    pub fn words(text: impl Into<String>, limit: usize) -> Self {
        Self {
            wanted: vec![Part::text(text)],
            ..Self::browse(limit)
        }
    }

    /// The first `limit` files by path.
    pub fn browse(limit: usize) -> Self {
        Self {
            wanted: Vec::new(),
            not: Vec::new(),
            mode: Mode::default(),
            filter: Filter::default(),
            sort: Sort::default(),
            group_by: GroupBy::default(),
            limit,
            offset: 0,
            min_relevance: None,
            rerank: None,
            explain: false,
        }
    }

    /// The words that are wanted, which also rank by name and which a judge reads.
    pub fn text(&self) -> Option<String> {
        let texts: Vec<&str> = (self.wanted.iter())
            .filter_map(|part| match &part.what {
                What::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        (!texts.is_empty()).then(|| texts.join(" "))
    }

    /// Whether it can be answered at all; told before a model is asked.
    ///
    /// # Errors
    ///
    /// [`EngineError::Request`] naming the field, [`EngineError::NothingToJudgeBy`] for re-ranking
    /// without words, [`EngineError::Query`] for weights, and where something is unwanted and nothing
    /// is wanted.
    pub fn check(&self) -> Result<(), EngineError> {
        let refuse =
            |field: &'static str, reason: String| Err(EngineError::Request { field, reason });
        if self.limit == 0 || self.limit > Self::MOST {
            return refuse(
                "limit",
                format!("{} is not in 1 to {}", self.limit, Self::MOST),
            );
        }
        if self.wanted.is_empty() && !self.not.is_empty() {
            return Err(QueryError::NothingWanted.into());
        }
        for part in self.wanted.iter().chain(&self.not) {
            if !(part.weight.is_finite() && part.weight > 0.0) {
                let weight = part.weight;
                return Err(QueryError::Weight { weight }.into());
            }
            match &part.what {
                What::Text(text) if text.trim().is_empty() => {
                    return refuse("query", "there are no words in it".into());
                }
                _ => {}
            }
        }
        if let Some(least) = self.min_relevance
            && !(0.0..=1.0).contains(&least)
        {
            return refuse("min_relevance", format!("{least} is not in 0 to 1"));
        }
        if self.mode == Mode::Words && !self.wanted.is_empty() && self.text().is_none() {
            return refuse("mode", "there are no words to rank by".into());
        }
        if let Some(rerank) = self.rerank.filter(|rerank| rerank.first > 0) {
            if self.text().is_none() {
                return Err(EngineError::NothingToJudgeBy);
            }
            if rerank.first > Rerank::MOST {
                let reason = format!("{} is more than {}", rerank.first, Rerank::MOST);
                return refuse("rerank", reason);
            }
            if !(rerank.alpha.is_finite() && rerank.alpha >= 0.0) {
                return refuse(
                    "alpha",
                    format!("{} is not a number from 0 on", rerank.alpha),
                );
            }
        }
        self.filter
            .check()
            .or_else(|reason| refuse("filter", reason))
    }

    /// What [`Part::weight`] of an unwanted part is where nothing is said.
    pub const NOT_WEIGHT: f32 = Question::NOT_WEIGHT;
}
