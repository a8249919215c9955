//! Everything an evaluation found out, as it is written down.
//!
//! ```text
//! similarities, who is right ─► EVALUATION ─► result.json, queries.jsonl ─► reports, comparisons
//! ```

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use serde::{Deserialize, Serialize};

use crate::benchmark::{BrokenRow, Kind, known_pool};
use crate::bootstrap::{Difference, compare, intervals};
use crate::classes::{ClassFigures, figures as class_figures};
use crate::metrics::{Figures, NAMES, Outcome};
use crate::places::places;
use crate::pool::{Pool, Side};
use crate::rerank::{Choice, Verdicts, fused};
use crate::run::Measured;
use crate::score::TIE_RULE;

/// `result.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Evaluation {
    /// Program and version.
    pub program: String,
    /// When, as `2026-11-24 19:00 UTC`.
    pub made: String,
    /// Name of the benchmark.
    pub benchmark: String,
    /// What texts are.
    pub kind: Kind,
    /// What embedded.
    pub model: ModelNote,
    /// What was ranked.
    pub pool: PoolNote,
    /// How equal scores are ordered.
    pub ties: String,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Texts as queries, by embeddings alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_to_audio: Option<Direction>,
    /// Clips as queries, by embeddings alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_to_text: Option<Direction>,
    /// Class names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassNote>,
    /// After re-ranking, by direction.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reranked: BTreeMap<String, Reranked>,
}

/// What embedded the sounds and texts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelNote {
    /// As people call it.
    pub name: String,
    /// Of everything that decides a vector.
    pub fingerprint: String,
    /// Numbers in a vector.
    pub dim: usize,
    /// How long sounds were cut; a clip counts as its best window.
    pub window: String,
    /// The form of the prompts.
    pub prompt: String,
}

/// What was ranked, and what was not.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PoolNote {
    /// Name of the annotation file.
    pub annotations: String,
    /// BLAKE3 of its bytes.
    pub annotations_blake3: String,
    /// See [`crate::pool::fingerprint`].
    pub fingerprint: String,
    /// The published pool it is, if it is one.
    pub known: Option<String>,
    /// The published pool that the annotation file is, if it is one.
    pub annotated: Option<String>,
    /// Clips in it.
    pub clips: usize,
    /// Texts in it.
    pub texts: usize,
    /// Clips that the annotation file names.
    pub annotated_clips: usize,
    /// Texts that it has.
    pub annotated_texts: usize,
    /// Ids of clips without a file.
    pub missing: Vec<String>,
    /// Files that could not be read, and why.
    pub unreadable: Vec<(String, String)>,
    /// Rows that were left out.
    pub broken: Vec<BrokenRow>,
    /// Ids of the clips in it, in the order of the columns.
    pub ids: Vec<String>,
}

/// One direction's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Direction {
    /// In percent but the median rank.
    #[serde(flatten)]
    pub figures: Figures,
    /// How many queries.
    pub queries: usize,
    /// By name, both ends of the 95 % interval.
    pub intervals: BTreeMap<String, [f64; 2]>,
    /// How many queries have their best right answer at these places: from, to, how many.
    pub histogram: Vec<(u32, u32, usize)>,
    /// Mean reciprocal rank among the first 10, `[0, 1]`.
    pub mrr10: f64,
    /// The share of all right answers among the first 1, 5 and 10, `[0, 1]`; mteb's `recall_at_k`.
    pub recall: [f64; 3],
}

/// Class names as prompts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClassNote {
    /// What class names were put into.
    pub templates: Vec<String>,
    /// Classes that had words of their own.
    pub prompts: BTreeMap<String, String>,
    /// In the order of rows.
    pub names: Vec<String>,
    /// Figures.
    #[serde(flatten)]
    pub figures: ClassFigures,
}

/// One direction after re-ranking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reranked {
    /// Who judged.
    pub reranker: String,
    /// Candidates of each query.
    pub candidates: usize,
    /// What `p_yes` was multiplied by.
    pub weight: f64,
    /// Where the weight is from, in words.
    pub weight_from: String,
    /// The choice, where it was made here.
    pub choice: Option<Choice>,
    /// Figures after it.
    #[serde(flatten)]
    pub after: Direction,
    /// By name: gain, both ends of its interval, p.
    pub gain: BTreeMap<String, [f64; 4]>,
}

/// One line of `queries.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryLine {
    /// `text_to_audio` or `audio_to_text`.
    pub side: String,
    /// Number of the query, from 0.
    pub query: usize,
    /// The text, or the clip's id.
    pub name: String,
    /// Its part in the figures.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Places of all right answers, from 1.
    pub places: Vec<u32>,
    /// What came first: the text, or the clip's id.
    pub first: String,
    /// Its score less that of the best right answer; above 0 where the query failed.
    pub margin: f32,
}

impl Direction {
    /// Of the places of every query's right answers.
    pub fn of(outcomes: &[Outcome], places: &[Vec<u32>]) -> Self {
        let named = NAMES.iter().zip(intervals(outcomes));
        let most = outcomes.iter().map(|o| o.place).max().unwrap_or(1);
        let mut histogram = Vec::new();
        let mut from = 1;
        for to in [
            1,
            2,
            3,
            5,
            10,
            20,
            50,
            100,
            200,
            500,
            1_000,
            2_000,
            5_000,
            u32::MAX,
        ] {
            if from > most {
                break;
            }
            let count = outcomes
                .iter()
                .filter(|o| (from..=to).contains(&o.place))
                .count();
            histogram.push((from, to.min(most), count));
            from = to.saturating_add(1);
        }
        let of = outcomes.len().max(1) as f64;
        let reciprocal = |o: &Outcome| {
            if o.place <= 10 {
                1.0 / f64::from(o.place)
            } else {
                0.0
            }
        };
        let share = |k: u32| {
            let one =
                |p: &Vec<u32>| p.iter().filter(|p| **p <= k).count() as f64 / p.len().max(1) as f64;
            places.iter().map(one).sum::<f64>() / of
        };
        Self {
            figures: Figures::of(outcomes),
            queries: outcomes.len(),
            intervals: named
                .map(|(name, i)| ((*name).to_owned(), [i.low, i.high]))
                .collect(),
            histogram,
            mrr10: outcomes.iter().map(reciprocal).sum::<f64>() / of,
            recall: [share(1), share(5), share(10)],
        }
    }
}

/// Both directions of a task, with a line for every query.
pub struct Directions {
    /// Text to audio, audio to text.
    pub figures: [Direction; 2],
    /// The same, query by query.
    pub outcomes: [Vec<Outcome>; 2],
    /// `queries.jsonl`.
    pub lines: Vec<QueryLine>,
}

/// The figures of both directions. Class names are texts that are true of many clips; one that no clip has is asked for
/// nothing, and stays a wrong answer.
pub fn directions(measured: &Measured) -> Directions {
    let texts_of = measured.task.texts_of_clips();
    let clips_of: Vec<Vec<usize>> = measured
        .task
        .texts
        .iter()
        .map(|t| t.clips.clone())
        .collect();
    let mut lines = Vec::new();
    let both = Side::BOTH.map(|side| {
        let oriented = measured.similarity.oriented(side);
        let right = match side {
            Side::TextToAudio => &clips_of,
            Side::AudioToText => &texts_of,
        };
        let asked = right
            .iter()
            .enumerate()
            .filter(|(_, right)| !right.is_empty());
        let side_lines: Vec<QueryLine> = asked
            .map(|(query, right)| line(measured, oriented.row(query), right, side, query))
            .collect();
        let outcomes: Vec<Outcome> = side_lines.iter().map(|line| line.outcome).collect();
        let all: Vec<Vec<u32>> = side_lines.iter().map(|line| line.places.clone()).collect();
        lines.extend(side_lines);
        (Direction::of(&outcomes, &all), outcomes)
    });
    let [(to_audio, a), (to_text, b)] = both;
    Directions {
        figures: [to_audio, to_text],
        outcomes: [a, b],
        lines,
    }
}

/// `right`: the right answers, ascending and not empty.
fn line(measured: &Measured, row: &[f32], right: &[usize], side: Side, query: usize) -> QueryLine {
    let places = places(row, right);
    let best = |of: &mut dyn Iterator<Item = usize>| {
        of.max_by(|a, b| row[*a].total_cmp(&row[*b]).then(b.cmp(a)))
    };
    let first = best(&mut (0..row.len())).unwrap_or(0);
    let wrong = best(&mut (0..row.len()).filter(|at| right.binary_search(at).is_err()));
    let own = right.iter().map(|at| row[*at]).fold(f32::MIN, f32::max);
    let task = &measured.task;
    let clip = |at: usize| task.clips[at].id.clone();
    let text = |at: usize| task.texts[at].text.clone();
    let (name, first) = match side {
        Side::TextToAudio => (text(query), clip(first)),
        Side::AudioToText => (clip(query), text(first)),
    };
    let unit = match (side, task.kind) {
        (Side::TextToAudio, Kind::Captions) => right[0],
        _ => query,
    };
    QueryLine {
        side: side.name().to_owned(),
        query,
        name,
        outcome: Outcome::of(unit, &places),
        places,
        first,
        margin: wrong.map_or(-1.0, |wrong| row[wrong] - own),
    }
}

/// The figures of class names as prompts.
pub fn labels(
    measured: &Measured,
    templates: Vec<String>,
    prompts: BTreeMap<String, String>,
) -> ClassNote {
    ClassNote {
        templates,
        prompts,
        names: measured
            .task
            .texts
            .iter()
            .map(|text| text.text.clone())
            .collect(),
        figures: class_figures(&measured.similarity, &measured.task.texts_of_clips()),
    }
}

/// One direction of captions after `weight · p_yes` was added to every candidate, and what it gains over `before`.
pub fn reranked(
    measured: &Measured,
    pool: &Pool,
    side: Side,
    before: &[Outcome],
    (verdicts, weight): (&Verdicts, f64),
) -> (Direction, BTreeMap<String, [f64; 4]>) {
    let oriented = measured.similarity.oriented(side);
    let after = fused(&oriented, pool, side, verdicts, weight);
    let gains = compare(before, &after).expect("the same queries in the same order");
    // Other right answers than the best are not followed after re-ranking.
    let places: Vec<Vec<u32>> = after.iter().map(|outcome| vec![outcome.place]).collect();
    (Direction::of(&after, &places), by_name(&gains))
}

/// By name: gain, both ends of its interval, p.
pub fn by_name(gains: &[Difference; 7]) -> BTreeMap<String, [f64; 4]> {
    let one = |(name, d): (&&str, &Difference)| {
        (
            (*name).to_owned(),
            [d.gain, d.interval.low, d.interval.high, d.p],
        )
    };
    NAMES.iter().zip(gains).map(one).collect()
}

/// What is ranked in an evaluation, the rest of [`PoolNote`] being of the annotation file.
pub fn pool_note(measured: &Measured, mut note: PoolNote) -> PoolNote {
    let task = &measured.task;
    note.fingerprint = task.fingerprint();
    note.known = known_pool(&note.fingerprint).map(|pool| pool.name.to_owned());
    note.clips = task.clips.len();
    note.texts = task.texts.len();
    note.ids = task.clips.iter().map(|clip| clip.id.clone()).collect();
    note.unreadable = (measured.skipped.iter())
        .map(|skipped| (skipped.path.display().to_string(), skipped.reason.clone()))
        .collect();
    note
}

/// The time, to the minute.
pub fn now() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let date = DateTime::from_timestamp(i64::try_from(seconds).unwrap_or(0), 0).unwrap_or_default();
    date.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// [`TIE_RULE`], owned.
pub fn tie_rule() -> String {
    TIE_RULE.to_owned()
}
