//! Two evaluations of one pool, side by side.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::markdown::cell;
use super::{SHOWN, pool_sentence, read};
use crate::bootstrap::{Difference, compare as differences};
use crate::error::{EvalError, Place};
use crate::evaluation::{Direction, Evaluation, QueryLine};
use crate::metrics::{NAMES, Outcome};
use crate::pool::Side;
use crate::score::gain_json;

/// Both evaluations, and how the second differs.
pub struct Comparison {
    first: Evaluation,
    second: Evaluation,
    sides: Vec<(Side, [Difference; 7])>,
}

/// Compares two folders that [`super::write`] wrote, query by query.
///
/// # Errors
///
/// [`EvalError`] where one of them is none, or they are not of one pool and one set of queries: figures of different
/// pools do not compare.
pub fn compare(first: &Path, second: &Path) -> Result<Comparison, EvalError> {
    let (one, one_lines) = read(first)?;
    let (two, two_lines) = read(second)?;
    if one.pool.fingerprint != two.pool.fingerprint {
        let what = format!(
            "is of another pool: {}, and the first of {}",
            pool_sentence(&two),
            pool_sentence(&one)
        );
        return Err(EvalError::input(
            second,
            Place::Whole,
            what,
            "measure both by the same clips; --pool takes a list",
        ));
    }
    let mut sides = Vec::new();
    for side in Side::BOTH {
        let queries = |lines: &[QueryLine]| -> Vec<QueryLine> {
            lines
                .iter()
                .filter(|line| line.side == side.name())
                .cloned()
                .collect()
        };
        let (a, b) = (queries(&one_lines), queries(&two_lines));
        if a.is_empty() && b.is_empty() {
            continue;
        }
        // By what was asked, not by its place in a file.
        let mut by_name: HashMap<(&str, usize), Vec<Outcome>> = HashMap::new();
        for line in b.iter().rev() {
            by_name
                .entry((&line.name, line.outcome.unit))
                .or_default()
                .push(line.outcome);
        }
        let own: Vec<Outcome> = a.iter().map(|line| line.outcome).collect();
        let other: Option<Vec<Outcome>> = a
            .iter()
            .map(|line| {
                by_name
                    .get_mut(&(line.name.as_str(), line.outcome.unit))?
                    .pop()
            })
            .collect();
        let gains = other
            .filter(|_| a.len() == b.len())
            .and_then(|other| differences(&own, &other));
        let gains = gains.ok_or_else(|| {
            let what = format!(
                "asks other queries {} than the first",
                side.name().replace('_', " ")
            );
            EvalError::input(
                second,
                Place::Whole,
                what,
                "measure both by the same annotation file, in the same order of clips",
            )
        })?;
        sides.push((side, gains));
    }
    if sides.is_empty() {
        let what = "has no queries to compare";
        return Err(EvalError::input(
            second,
            Place::Whole,
            what,
            "give folders of two finished evaluations",
        ));
    }
    Ok(Comparison {
        first: one,
        second: two,
        sides,
    })
}

impl Comparison {
    /// As Markdown: both figures, the gain, its interval and how likely luck is.
    pub fn text(&self) -> String {
        let (first, second) = (&self.first, &self.second);
        let mut out = format!(
            "# {}: {} and {}\n\n{}\n",
            first.benchmark,
            first.model.name,
            second.model.name,
            pool_sentence(first)
        );
        for (side, gains) in &self.sides {
            let (Some(a), Some(b)) = (direction(first, *side), direction(second, *side)) else {
                continue;
            };
            let _ = write!(
                out,
                "\n## {}\n\n| figure | {} | {} | gain | p |\n|---|---:|---:|---:|---:|\n",
                side.name().replace('_', " "),
                first.model.name,
                second.model.name
            );
            for (name, title) in SHOWN {
                let at = NAMES.iter().position(|known| *known == name).unwrap_or(0);
                let gain = &gains[at];
                let _ = writeln!(
                    out,
                    "| {title} | {} | {} | {:+.1} [{:+.1}, {:+.1}] | {:.3} |",
                    cell(a, name),
                    cell(b, name),
                    gain.gain,
                    gain.interval.low,
                    gain.interval.high,
                    gain.p
                );
            }
        }
        out
    }

    /// By direction and figure.
    pub fn json(&self) -> Value {
        let mut sides = Map::new();
        for (side, gains) in &self.sides {
            let told = json!({
                "first": direction(&self.first, *side), "second": direction(&self.second, *side), "gain": gain_json(gains),
            });
            sides.insert(side.name().to_owned(), told);
        }
        json!({
            "benchmark": self.first.benchmark, "pool": self.first.pool.fingerprint,
            "models": [self.first.model, self.second.model], "sides": sides,
        })
    }
}

fn direction(evaluation: &Evaluation, side: Side) -> Option<&Direction> {
    match side {
        Side::TextToAudio => evaluation.text_to_audio.as_ref(),
        Side::AudioToText => evaluation.audio_to_text.as_ref(),
    }
}
