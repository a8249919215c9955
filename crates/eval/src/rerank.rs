//! Re-ranking, fused so that only knowledge helps.
//!
//! ```text
//! similarity ─► first N of each query ─► re-ranker ─► p_yes ─► similarity + weight · p_yes ─► places
//!                                                     every candidate, right or wrong
//! ```
//!
//! Both directions have a matrix of their own: what is learnt from one does not leak into the other. The weight is
//! chosen on a validation split ([`choose_weight`]), before anything is known of the test. A re-ranker that says
//! the same of everything changes no place, and one that rolls dice cannot gain.
//!
//! Sums are taken in `f64`: `0.4 + 1e9` has no room for a similarity in `f32`, and a constant would make ties.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bootstrap::{Difference, compare};
use crate::error::{EvalError, Place};
use crate::metrics::{Figures, NAMES, Outcome};
use crate::places::{outcomes, places};
use crate::pool::{Pool, Side, id};
use crate::released::text_names;
use crate::similarity::Similarity;

/// For each query, the candidates that were judged and the probability of Yes.
pub type Verdicts = Vec<Vec<(usize, f32)>>;

/// Weights that are tried, ascending; 0 leaves the order as it is.
pub const WEIGHTS: [f64; 13] = [
    0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 5.0,
];

/// The largest weight that is taken from outside.
const MAX_WEIGHT: f64 = 1_000.0;

/// The best `depth` of each row, best first, equals in the order of columns.
pub fn candidates(oriented: &Similarity, depth: usize) -> Vec<Vec<usize>> {
    (0..oriented.texts())
        .into_par_iter()
        .map(|query| {
            let row = oriented.row(query);
            let mut order: Vec<usize> = (0..row.len()).collect();
            let better = |a: &usize, b: &usize| row[*b].total_cmp(&row[*a]).then(a.cmp(b));
            if depth < order.len() {
                if depth > 0 {
                    order.select_nth_unstable_by(depth - 1, better);
                }
                order.truncate(depth);
            }
            order.sort_unstable_by(better);
            order
        })
        .collect()
}

/// Every query's part in the figures after `weight · p_yes` was added to every judged candidate.
pub fn fused(
    oriented: &Similarity,
    pool: &Pool,
    side: Side,
    verdicts: &Verdicts,
    weight: f64,
) -> Vec<Outcome> {
    (0..pool.queries(side))
        .into_par_iter()
        .map(|query| {
            let mut row: Vec<f64> = oriented.row(query).iter().map(|s| f64::from(*s)).collect();
            for (candidate, p_yes) in &verdicts[query] {
                row[*candidate] += weight * f64::from(*p_yes);
            }
            let places = places(&row, pool.right(side, query));
            Outcome::of(pool.unit(side, query), &places)
        })
        .collect()
}

/// A weight and what it was chosen for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// What is used from here on.
    pub weight: f64,
    /// The weight with the best mean of R@1, R@5 and R@10 on the validation split.
    pub best: f64,
    /// What that one gains there, with its interval.
    pub gain: Difference,
}

/// Chooses a weight on a validation split: the best of [`WEIGHTS`], if the interval of its gain in the mean
/// of R@1, R@5 and R@10 is above 0, and else none (0). A gain that may be luck is not carried over.
pub fn choose_weight(
    oriented: &Similarity,
    pool: &Pool,
    side: Side,
    verdicts: &Verdicts,
) -> Choice {
    let before = outcomes(oriented, pool, side);
    let mean = |outcomes: &[Outcome]| Figures::of(outcomes).mean;
    let mut best = (0.0, before.clone());
    for weight in WEIGHTS {
        let after = fused(oriented, pool, side, verdicts, weight);
        // Of equals, the smaller weight.
        if mean(&after) > mean(&best.1) {
            best = (weight, after);
        }
    }
    let (best, after) = best;
    let gains = compare(&before, &after).expect("the same queries in the same order");
    let gain = gains[NAMES.iter().position(|name| *name == "mean").unwrap_or(0)];
    let is_sure = gain.interval.low > 0.0;
    Choice {
        weight: if is_sure { best } else { 0.0 },
        best,
        gain,
    }
}

/// What a re-ranker said, as a file: what the released path records.
#[derive(Debug, Clone, PartialEq)]
pub struct RerankFile {
    text_to_audio: Judged,
    audio_to_text: Judged,
}

/// One direction of a [`RerankFile`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judged {
    pub(crate) alpha: f64,
    index: Vec<String>,
    candidates: Vec<String>,
    scores: Vec<f32>,
    depth: usize,
}

impl Judged {
    /// Each query with its candidates and their scores.
    pub(crate) fn queries(
        &self,
    ) -> impl Iterator<Item = (&String, impl Iterator<Item = (&String, f32)>)> {
        let named = self.candidates.chunks(self.depth);
        let scored = self.scores.chunks(self.depth);
        (self.index.iter().zip(named.zip(scored)))
            .map(|(query, (named, scored))| (query, named.iter().zip(scored.iter().copied())))
    }
}

impl RerankFile {
    /// Reads a JSON object. For each direction, `a2t` (queries are clips) and `t2a` (queries are texts):
    ///
    /// | key | what |
    /// |---|---|
    /// | `alpha_a2t`, `alpha_t2a` | the weight, `[0, 1000]`; 1 where it is not said |
    /// | `a2t_index` | the number of each query's clip |
    /// | `a2t_candidates` | texts as `clip:n`, the n-th text from 0 of that clip; the same number for each query |
    /// | `a2t_scores` | the probability of Yes for each candidate |
    /// | `t2a_index` | each query as `clip:n` |
    /// | `t2a_candidates` | ids of clips |
    /// | `t2a_scores` | as above |
    ///
    /// Lists are flat or one list for each query. The released program's own names are taken too
    /// (`audio2text_rerank_index_list`, `audio2text_rerank_total_candidate_ids_list`,
    /// `audio2text_rerank_scores` and their like). Other keys are left alone: the released file has the
    /// matrix beside them.
    ///
    /// # Errors
    ///
    /// [`EvalError`] naming file, key and remedy.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        let bytes = fs::read(path).map_err(EvalError::reading(path))?;
        let document: Value = serde_json::from_slice(&bytes).map_err(|error| {
            EvalError::input(
                path,
                Place::Line(error.line()),
                format!("is not JSON ({error})"),
                FORM,
            )
        })?;
        Ok(Self {
            text_to_audio: judged(path, &document, "t2a", "text2audio")?,
            audio_to_text: judged(path, &document, "a2t", "audio2text")?,
        })
    }

    /// One direction.
    pub(crate) fn side(&self, side: Side) -> &Judged {
        match side {
            Side::TextToAudio => &self.text_to_audio,
            Side::AudioToText => &self.audio_to_text,
        }
    }

    /// The weight the file names.
    pub fn weight(&self, side: Side) -> f64 {
        self.side(side).alpha
    }

    /// How many candidates each query has.
    pub fn depth(&self, side: Side) -> usize {
        self.side(side).depth
    }

    /// The verdicts by place in `pool`; a query that was not judged has none. `path` is named in errors.
    ///
    /// # Errors
    ///
    /// [`EvalError`] for a query or candidate that is not in the pool, and for one that comes twice.
    pub fn verdicts(&self, path: &Path, pool: &Pool, side: Side) -> Result<Verdicts, EvalError> {
        let names = text_names(pool);
        let texts: HashMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
        let clips: HashMap<&str, usize> =
            pool.clips().iter().map(String::as_str).zip(0..).collect();
        let (queries, answers, short) = match side {
            Side::TextToAudio => (&texts, &clips, "t2a"),
            Side::AudioToText => (&clips, &texts, "a2t"),
        };
        let unknown = |key: String, name: &str, what: &str| {
            EvalError::input(
                path,
                Place::Member(key),
                format!("is `{name}`, which is no {what} of the pool"),
                "the ids of --ids and of --rerank must come from one run; a text is `clip:n`, counted from 0",
            )
        };
        let kinds = match side {
            Side::TextToAudio => ("text", "clip"),
            Side::AudioToText => ("clip", "text"),
        };
        let mut verdicts: Verdicts = vec![Vec::new(); pool.queries(side)];
        for (at, (query, candidates)) in self.side(side).queries().enumerate() {
            let key = || format!("{short}_index[{at}]");
            let row = *queries
                .get(query.as_str())
                .ok_or_else(|| unknown(key(), query, kinds.0))?;
            if !verdicts[row].is_empty() {
                return Err(twice(path, key(), query));
            }
            let mut judged = Vec::with_capacity(self.depth(side));
            let mut seen = std::collections::HashSet::new();
            for (n, (candidate, p_yes)) in candidates.enumerate() {
                let key = || format!("{short}_candidates[{}]", at * self.depth(side) + n);
                let column = *(answers.get(candidate.as_str()))
                    .ok_or_else(|| unknown(key(), candidate, kinds.1))?;
                if !seen.insert(column) {
                    return Err(twice(path, key(), candidate));
                }
                judged.push((column, p_yes));
            }
            verdicts[row] = judged;
        }
        Ok(verdicts)
    }
}

fn twice(path: &Path, key: String, name: &str) -> EvalError {
    EvalError::input(
        path,
        Place::Member(key),
        format!("is `{name}` a second time"),
        "each query, and each candidate of a query, is judged once: leave the other one out",
    )
}

const FORM: &str = "the form is {\"alpha_a2t\": 0.5, \"a2t_index\": [...], \"a2t_candidates\": [...], \
                    \"a2t_scores\": [...], and the same for t2a}";

fn judged(path: &Path, document: &Value, short: &str, long: &str) -> Result<Judged, EvalError> {
    let alpha_key = format!("alpha_{short}");
    let alpha = match document.get(&alpha_key) {
        None => 1.0,
        Some(value) => match value.as_f64() {
            Some(alpha) if (0.0..=MAX_WEIGHT).contains(&alpha) => alpha,
            _ => {
                return Err(EvalError::input(
                    path,
                    Place::Member(alpha_key),
                    format!("is {value}"),
                    format!("a weight is a number from 0 to {MAX_WEIGHT}"),
                ));
            }
        },
    };
    let list = |name: &str, other: &str| -> Result<(String, Vec<&Value>), EvalError> {
        let names = [format!("{short}_{name}"), format!("{long}_rerank_{other}")];
        for key in names {
            if let Some(value) = document.get(&key) {
                let Some(items) = value.as_array() else {
                    return Err(EvalError::input(
                        path,
                        Place::Member(key),
                        "is not a list",
                        FORM,
                    ));
                };
                let flat = items.iter().flat_map(|item| match item {
                    Value::Array(inner) => inner.iter().collect(),
                    other => vec![other],
                });
                return Ok((key, flat.collect()));
            }
        }
        let key = Place::Member(format!("{short}_{name}"));
        Err(EvalError::input(path, key, "is missing", FORM))
    };
    let names = |name, other| -> Result<Vec<String>, EvalError> {
        let (key, values) = list(name, other)?;
        (values.into_iter().enumerate())
            .map(|(at, value)| {
                id(value).ok_or_else(|| {
                    let place = Place::Member(format!("{key}[{at}]"));
                    EvalError::input(
                        path,
                        place,
                        format!("is {value}"),
                        "an id is a string or a whole number",
                    )
                })
            })
            .collect()
    };
    let index = names("index", "index_list")?;
    let candidates = names("candidates", "total_candidate_ids_list")?;
    let (key, scores) = list("scores", "scores")?;
    let scores: Vec<f32> = (scores.into_iter().enumerate())
        .map(|(at, value)| match value.as_f64() {
            Some(p) if (0.0..=1.0).contains(&p) => Ok(p as f32),
            _ => Err(EvalError::input(
                path,
                Place::Member(format!("{key}[{at}]")),
                format!("is {value}"),
                "a score is the probability of Yes, from 0 to 1",
            )),
        })
        .collect::<Result<_, _>>()?;
    let depth = candidates.len().checked_div(index.len()).unwrap_or(0);
    if depth == 0 || candidates.len() != depth * index.len() || scores.len() != candidates.len() {
        return Err(EvalError::input(
            path,
            Place::Member(format!("{short}_candidates")),
            format!(
                "has {} entries for {} queries and {} scores",
                candidates.len(),
                index.len(),
                scores.len()
            ),
            "each query has the same number of candidates, and each candidate a score",
        ));
    }
    Ok(Judged {
        alpha,
        index,
        candidates,
        scores,
        depth,
    })
}
