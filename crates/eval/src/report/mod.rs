//! An evaluation, as people and other programs read it.
//!
//! ```text
//! evaluation, queries ─► page (one HTML file), Markdown, mteb's result files
//! two evaluations ─────► comparison
//! ```

mod cards;
mod comparison;
mod html;
mod markdown;
mod mteb;
mod picture;

use std::fs;
use std::path::Path;

use crate::error::{EvalError, Place};
use crate::evaluation::{Evaluation, QueryLine};
use crate::run::Measured;

pub use cards::Shown;
pub use comparison::{Comparison, compare};

/// Writes `result.json`, `queries.jsonl`, `report.html`, `report.md` and mteb's files into a folder.
///
/// # Errors
///
/// [`EvalError::Io`] where one of them cannot be written.
pub fn write(
    folder: &Path,
    evaluation: &Evaluation,
    lines: &[QueryLine],
    measured: &Measured,
    shown: Shown,
) -> Result<(), EvalError> {
    fs::create_dir_all(folder).map_err(writing(folder))?;
    let json = serde_json::to_string_pretty(evaluation).expect("plain data is JSON");
    put(&folder.join("result.json"), json.as_bytes())?;
    let mut queries = String::new();
    for line in lines {
        queries += &serde_json::to_string(line).expect("plain data is JSON");
        queries.push('\n');
    }
    put(&folder.join("queries.jsonl"), queries.as_bytes())?;
    put(
        &folder.join("report.html"),
        html::page(evaluation, lines, measured, shown).as_bytes(),
    )?;
    put(
        &folder.join("report.md"),
        markdown::page(evaluation).as_bytes(),
    )?;
    for (name, result) in mteb::files(evaluation) {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(writing(parent))?;
        }
        put(
            &path,
            serde_json::to_string_pretty(&result)
                .expect("plain data is JSON")
                .as_bytes(),
        )?;
    }
    Ok(())
}

/// What [`write()`] wrote.
///
/// # Errors
///
/// [`EvalError`] where the folder is not one of an evaluation.
pub fn read(folder: &Path) -> Result<(Evaluation, Vec<QueryLine>), EvalError> {
    let remedy = "give the folder that `aurola eval run --out` wrote";
    let wrong = |path: &Path, line: usize, error: serde_json::Error| {
        EvalError::input(
            path,
            Place::Line(line),
            format!("is not what an evaluation writes ({error})"),
            remedy,
        )
    };
    let path = folder.join("result.json");
    let bytes = fs::read(&path).map_err(EvalError::reading(&path))?;
    let evaluation =
        serde_json::from_slice(&bytes).map_err(|error| wrong(&path, error.line(), error))?;
    let path = folder.join("queries.jsonl");
    let text = fs::read_to_string(&path).map_err(EvalError::reading(&path))?;
    let lines = (text.lines().zip(1..))
        .map(|(line, number)| {
            serde_json::from_str(line).map_err(|error| wrong(&path, number, error))
        })
        .collect::<Result<_, _>>()?;
    Ok((evaluation, lines))
}

/// The figures as Markdown.
pub fn text(evaluation: &Evaluation) -> String {
    markdown::page(evaluation)
}

fn writing(path: &Path) -> impl FnOnce(std::io::Error) -> EvalError {
    let path = path.to_path_buf();
    move |source| EvalError::Io {
        path,
        doing: "written",
        source,
    }
}

/// Whole or not at all: a reader never sees half a report.
fn put(path: &Path, bytes: &[u8]) -> Result<(), EvalError> {
    let beside = path.with_added_extension("part");
    fs::write(&beside, bytes)
        .and_then(|()| fs::rename(&beside, path))
        .map_err(writing(path))
}

/// A pool in a sentence: what was ranked, of what, and what is missing.
fn pool_sentence(evaluation: &Evaluation) -> String {
    let pool = &evaluation.pool;
    let mut sentence = format!("{} clips and {} texts", pool.clips, pool.texts);
    if pool.clips < pool.annotated_clips {
        sentence += &format!(" of {} and {}", pool.annotated_clips, pool.annotated_texts);
    }
    sentence += &match (&pool.known, &pool.annotated) {
        (Some(known), _) => format!(": {known}"),
        (None, Some(annotated)) => {
            format!(": a part of {annotated}, so not comparable with its figures")
        }
        (None, None) => ": a pool of its own".to_owned(),
    };
    let lost = [
        (pool.missing.len(), "without a file"),
        (pool.unreadable.len(), "unreadable"),
    ];
    for (count, what) in lost.into_iter().filter(|(count, _)| *count > 0) {
        sentence += &format!("; {count} clips {what}");
    }
    if !pool.broken.is_empty() {
        sentence += &format!("; {} broken rows left out", pool.broken.len());
    }
    sentence + &format!(" (list {})", pool.fingerprint)
}

/// The figures that tables show, and what they are called.
const SHOWN: [(&str, &str); 7] = [
    ("r1", "R@1"),
    ("r5", "R@5"),
    ("r10", "R@10"),
    ("mean", "mean of the three"),
    ("median_rank", "median rank"),
    ("map10", "mAP@10"),
    ("ndcg10", "nDCG@10"),
];
