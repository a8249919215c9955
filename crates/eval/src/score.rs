//! A similarity matrix and who is right, as figures.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::bootstrap::{self, DRAWS, Difference, Interval, compare, intervals};
use crate::error::{EvalError, Place};
use crate::metrics::{Figures, NAMES, Outcome};
use crate::places::outcomes;
use crate::pool::{Pool, Side};
use crate::released::{self, ReleasedFigures};
use crate::rerank::{RerankFile, fused};
use crate::similarity::Similarity;

/// How equal scores are ordered, in a sentence for reports.
pub const TIE_RULE: &str = "a wrong answer that scores as high as a right one stands before it";
/// The same for the released code.
pub const RELEASED_TIE_RULE: &str = "equal scores stand in the order of rows and columns";

/// One direction's figures and their intervals.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// In percent, but the median rank.
    pub figures: Figures,
    /// In the order of [`NAMES`].
    pub intervals: [Interval; 7],
    /// What they come from.
    pub outcomes: Vec<Outcome>,
}

impl Scored {
    /// With intervals.
    pub fn of(outcomes: Vec<Outcome>) -> Self {
        Self {
            figures: Figures::of(&outcomes),
            intervals: intervals(&outcomes),
            outcomes,
        }
    }

    /// The figures by name, then `ndcg10`, `queries` and `intervals`.
    pub fn json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        for (name, value) in NAMES.iter().zip(self.figures.values()) {
            object.insert((*name).into(), json!(value));
        }
        object.insert("queries".into(), json!(self.outcomes.len()));
        let intervals = (NAMES.iter().zip(&self.intervals))
            .map(|(name, interval)| ((*name).to_owned(), json!([interval.low, interval.high])));
        object.insert("intervals".into(), Value::Object(intervals.collect()));
        object
    }
}

/// Whether a matrix and a pool are of one size.
///
/// # Errors
///
/// [`EvalError`] naming the matrix, both sizes and what would help.
pub fn fits(path: &Path, similarity: &Similarity, pool: &Pool) -> Result<(), EvalError> {
    let (rows, columns) = (similarity.texts(), similarity.clips());
    let (texts, clips) = (pool.texts(), pool.clips().len());
    if (rows, columns) == (texts, clips) {
        return Ok(());
    }
    let remedy = if (columns, rows) == (texts, clips) {
        "rows are texts and columns clips: save the transposed matrix"
    } else {
        "matrix and ids must be of one run: one row for each entry of `text`, one column for each of `audio`"
    };
    Err(EvalError::input(
        path,
        Place::Whole,
        format!("is {rows} x {columns}, and the ids are of {texts} texts and {clips} clips"),
        remedy,
    ))
}

/// What every score says beside its figures.
fn frame(mode: &str, pool: &Pool, ties: &str) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("mode".into(), json!(mode));
    let pool = json!({"clips": pool.clips().len(), "texts": pool.texts(), "fingerprint": pool.fingerprint()});
    object.insert("pool".into(), pool);
    object.insert("ties".into(), json!(ties));
    object
}

/// Honest figures, and, with a re-ranker's verdicts, those after it beside those before.
///
/// # Errors
///
/// [`EvalError`] where the verdicts are not of this pool.
pub fn exact(
    similarity: &Similarity,
    pool: &Pool,
    rerank: Option<(&Path, &RerankFile)>,
) -> Result<Value, EvalError> {
    let mut document = frame("exact", pool, TIE_RULE);
    let mut reranked = Map::new();
    for side in Side::BOTH {
        let oriented = similarity.oriented(side);
        let before = outcomes(&oriented, pool, side);
        let Some((path, file)) = rerank else {
            document.insert(side.name().into(), Value::Object(Scored::of(before).json()));
            continue;
        };
        let verdicts = file.verdicts(path, pool, side)?;
        let weight = file.weight(side);
        let after = fused(&oriented, pool, side, &verdicts, weight);
        let gains = compare(&before, &after).expect("the same queries in the same order");
        let told = json!({
            "weight": weight, "weight_from": "the file; not chosen here", "candidates": file.depth(side),
            "queries_judged": verdicts.iter().filter(|v| !v.is_empty()).count(),
            "before": Scored::of(before).json(), "gain": gain_json(&gains),
        });
        reranked.insert(side.name().into(), told);
        document.insert(side.name().into(), Value::Object(Scored::of(after).json()));
    }
    if !reranked.is_empty() {
        document.insert("rerank".into(), Value::Object(reranked));
    }
    let note =
        json!({"level": bootstrap::LEVEL, "draws": DRAWS, "unit": "the clip, with all its texts"});
    document.insert("interval".into(), note);
    Ok(Value::Object(document))
}

/// By name.
pub fn gain_json(gains: &[Difference; 7]) -> Value {
    let named = NAMES.iter().zip(gains).map(|(name, gain)| {
        let told = json!({"gain": gain.gain, "interval": [gain.interval.low, gain.interval.high], "p": gain.p});
        ((*name).to_owned(), told)
    });
    Value::Object(named.collect())
}

/// The released code's figures, after both of its fusions where verdicts are given.
pub fn as_released(similarity: &Similarity, pool: &Pool, rerank: Option<&RerankFile>) -> Value {
    let mut document = frame("released", pool, RELEASED_TIE_RULE);
    let before = both_released(similarity, pool);
    let Some(file) = rerank else {
        document.extend(before);
        return Value::Object(document);
    };
    let mut matrix = similarity.clone();
    released::fuse(&mut matrix, pool, file, Side::AudioToText);
    let after_first = both_released(&matrix, pool);
    released::fuse(&mut matrix, pool, file, Side::TextToAudio);
    document.extend(both_released(&matrix, pool));
    let leak = "audio to text adds the re-ranker's score to true captions only, and text to audio is then read \
                from the same matrix: a re-ranker that knows nothing raises these figures";
    document.insert(
        "rerank".into(),
        json!({
            "leak": leak, "alpha_a2t": file.weight(Side::AudioToText), "alpha_t2a": file.weight(Side::TextToAudio),
            "before": before, "after_audio_to_text": after_first,
        }),
    );
    Value::Object(document)
}

/// Recalls as the released code rounds them; it has no median rank and no mAP, so these are ours, of its places.
#[derive(Serialize)]
struct Released {
    #[serde(flatten)]
    figures: ReleasedFigures,
    median_rank: f64,
    map10: f64,
}

fn both_released(similarity: &Similarity, pool: &Pool) -> Map<String, Value> {
    let told = |places: Vec<Vec<u32>>| {
        let outcomes: Vec<Outcome> = (places.iter().enumerate())
            .map(|(unit, places)| Outcome::of(unit, places))
            .collect();
        let ours = Figures::of(&outcomes);
        json!(Released {
            figures: ReleasedFigures::of(&places),
            median_rank: ours.median_rank,
            map10: ours.map10,
        })
    };
    let sides = Side::BOTH.map(|side| side.name().to_owned());
    let figures = released::places(similarity, pool).map(told);
    sides.into_iter().zip(figures).collect()
}
