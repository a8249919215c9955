//! A question, as ranked files with the spans that answer it.

use std::path::PathBuf;

use aurola_model::Input;
use aurola_retrieval::store::Content;
use aurola_retrieval::{Candidate, Embedding, Query, QueryError, Span, rank};

use crate::EngineError;
use crate::found::Relevance;
use crate::library::{Engine, Library, LibraryFile};
use crate::listen::{Listener, reason, seconds};
use crate::progress::{Cancel, Skipped};

/// What to look for.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// In words.
    pub text: Option<String>,
    /// Like these sounds; one that is longer than a window counts as the mean of its windows.
    pub like: Vec<PathBuf>,
    /// But not like this, in words.
    pub not: Vec<String>,
    /// How much each of [`Question::not`] counts against, above 0; see [`Query`] for the formula.
    pub not_weight: f32,
    /// How many files to answer with.
    pub limit: usize,
    /// How many of the best files to judge anew by the re-ranker's reading of words and sound
    /// together; 0 for none.
    pub rerank: usize,
}

impl Question {
    /// Whether anything sensible is asked, told before a model is loaded.
    ///
    /// # Errors
    ///
    /// [`EngineError::Query`] where nothing is wanted or a weight is not above 0, and
    /// [`EngineError::NothingToJudgeBy`] for re-ranking without words.
    pub fn check(&self) -> Result<(), EngineError> {
        if self.text.is_none() && self.like.is_empty() {
            return Err(QueryError::NothingWanted.into());
        }
        if self.rerank > 0 && self.text.is_none() {
            return Err(EngineError::NothingToJudgeBy);
        }
        if !(self.not_weight.is_finite() && self.not_weight > 0.0) {
            let weight = self.not_weight;
            return Err(QueryError::Weight { weight }.into());
        }
        Ok(())
    }

    /// [`Question::not_weight`] where nothing else is said: half as strong as what is wanted.
    pub const NOT_WEIGHT: f32 = 0.5;

    /// The `limit` best for some words.
    pub fn words(text: impl Into<String>, limit: usize) -> Self {
        Self {
            text: Some(text.into()),
            like: Vec::new(),
            not: Vec::new(),
            not_weight: Self::NOT_WEIGHT,
            limit,
            rerank: 0,
        }
    }
}

/// The best files, best first, and what went wrong on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// No more than were asked for.
    pub hits: Vec<FileHit>,
    /// Files that were to be judged anew and could not be read again; they keep their cosine.
    pub skipped: Vec<Skipped>,
}

/// A file that answers.
#[derive(Debug, Clone, PartialEq)]
pub struct FileHit {
    /// Which.
    pub file: LibraryFile,
    /// What the order goes by: [`FileHit::cosine`], plus [`FileHit::p_yes`] where it was judged.
    /// Every judged file gets its probability added, whatever it is, so a judge that is no use
    /// shuffles among the judged and cannot favour the right ones.
    pub score: f32,
    /// Score of the best window by vectors alone.
    pub cosine: f32,
    /// The probability the model gives that the best window matches the words.
    pub p_yes: Option<f32>,
    /// The best window.
    pub best: Moment,
    /// Other good windows, best first, none overlapping a better one.
    pub others: Vec<Moment>,
    /// Length of the whole file in seconds.
    pub duration_s: Option<f64>,
    /// How sure the match is, where that was asked of an [`crate::Index`].
    pub relevance: Option<Relevance>,
    /// Every window with its score, where that was asked for.
    pub heat: Vec<Moment>,
}

/// A part of a sound, in seconds, and its score by vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// From.
    pub start_s: f64,
    /// To.
    pub end_s: f64,
    /// Its own score.
    pub score: f32,
}

impl Engine<'_> {
    /// The files of `library` that best answer `question`.
    ///
    /// # Errors
    ///
    /// [`EngineError::Query`] where nothing is asked for, [`EngineError::NothingToJudgeBy`] for
    /// re-ranking without words, [`EngineError::Unreadable`] for a sound of the question that
    /// cannot be read, and whatever the model and the store give.
    pub fn search(
        &mut self,
        library: &Library,
        question: &Question,
    ) -> Result<Answer, EngineError> {
        question.check()?;
        let judged = question.rerank;
        let query = self.query(question)?;
        let Some(space) = self.space()? else {
            return Ok(Answer {
                hits: Vec::new(),
                skipped: Vec::new(),
            });
        };
        let contents: Vec<Content> = library.files.iter().map(|file| file.content).collect();
        let vectors = self.store.vectors(&space, &contents)?;
        let candidates: Vec<Candidate> = library
            .files
            .iter()
            .map(|file| Candidate {
                path: file.absolute.clone(),
                content: file.content.id,
            })
            .collect();
        let mut spans = Vec::new();
        let mut hits: Vec<FileHit> =
            rank(&vectors, &query, &candidates, question.limit.max(judged))
                .into_iter()
                .map(|hit| {
                    spans.push(hit.best.span);
                    let file = library.files[hit.candidate].clone();
                    FileHit {
                        duration_s: file.sound.samples.map(seconds),
                        file,
                        score: hit.best.score,
                        cosine: hit.best.score,
                        p_yes: None,
                        best: Moment::of(hit.best.span, hit.best.score),
                        others: (hit.others.iter())
                            .map(|other| Moment::of(other.span, other.score))
                            .collect(),
                        relevance: None,
                        heat: Vec::new(),
                    }
                })
                .collect();
        let mut skipped = Vec::new();
        if let (1.., Some(text)) = (judged, &question.text) {
            let judged = judged.min(hits.len());
            skipped = self.judge(text, &mut hits[..judged], &spans)?;
            // The judged ones first: what was added is at least 0, and they were the best before.
            hits[..judged].sort_by(|a, b| {
                (b.score.total_cmp(&a.score)).then_with(|| a.file.absolute.cmp(&b.file.absolute))
            });
        }
        hits.truncate(question.limit);
        Ok(Answer { hits, skipped })
    }

    fn query(&mut self, question: &Question) -> Result<Query, EngineError> {
        let texts: Vec<Input<'_>> = question
            .text
            .iter()
            .chain(&question.not)
            .map(|text| Input::Text(text))
            .collect();
        let mut embeddings = if texts.is_empty() {
            Vec::new()
        } else {
            self.model.embed(&texts)?
        };
        let unwanted = embeddings.split_off(usize::from(question.text.is_some()));
        let mut wanted: Vec<(Embedding, f32)> =
            embeddings.into_iter().map(|words| (words, 1.0)).collect();
        for like in &question.like {
            wanted.push((self.like(like)?, 1.0));
        }
        let unwanted: Vec<_> = unwanted
            .into_iter()
            .map(|words| (words, question.not_weight))
            .collect();
        Ok(Query::new(&wanted, &unwanted)?)
    }

    /// One vector for a whole sound, from the store where it is there.
    fn like(&mut self, path: &PathBuf) -> Result<Embedding, EngineError> {
        let example = self.library(std::slice::from_ref(path), &Cancel::default(), &mut |_| {})?;
        let unreadable = |reason: String| EngineError::Unreadable {
            path: path.clone(),
            reason,
        };
        let file = match (example.files.as_slice(), example.skipped.first()) {
            ([file], _) => file,
            (_, Some(skipped)) => return Err(unreadable(skipped.reason.clone())),
            _ => return Err(unreadable("a folder; name one sound in it".into())),
        };
        let space = self.space()?;
        let windows = match &space {
            Some(space) => self.store.windows(space, &file.content)?,
            None => Vec::new(),
        };
        let mut sum = vec![0.0_f32; self.model.dim()];
        for (_, window) in &windows {
            for (sum, value) in sum.iter_mut().zip(window.as_slice()) {
                *sum += value;
            }
        }
        if let [(_, only)] = windows.as_slice() {
            return Ok(only.clone());
        }
        Embedding::normalize(sum).map_err(|error| unreadable(error.to_string()))
    }

    /// Adds to each hit the probability that its best window matches `text`.
    fn judge(
        &mut self,
        text: &str,
        hits: &mut [FileHit],
        spans: &[Span],
    ) -> Result<Vec<Skipped>, EngineError> {
        let mut listener = Listener::new(&self.options.listening, self.reranker.mel_config())?;
        let mut skipped = Vec::new();
        for (hit, span) in hits.iter_mut().zip(spans) {
            let mel = match listener.window(&hit.file.absolute, *span) {
                Ok(mel) => mel,
                Err(error) => {
                    skipped.push(Skipped {
                        path: hit.file.shown.clone(),
                        reason: reason(&error, &hit.file.absolute),
                    });
                    continue;
                }
            };
            // One at a time: a window's spectrogram is large, and the model shares nothing but a
            // few tokens between clips.
            let verdict = self
                .reranker
                .rerank(&Input::Text(text), &[Input::Audio(&mel)])?
                .swap_remove(0);
            hit.p_yes = Some(verdict.p_yes());
            hit.score = hit.cosine + verdict.p_yes();
        }
        Ok(skipped)
    }
}

impl Moment {
    fn of(span: Span, score: f32) -> Self {
        Self {
            start_s: seconds(span.start),
            end_s: seconds(span.end),
            score,
        }
    }
}
