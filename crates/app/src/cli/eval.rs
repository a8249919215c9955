//! `aurola eval`: figures that can be trusted, from a matrix or from a benchmark's own files.

mod bench;
mod run;
mod scenes;

use std::io::{self, Write};
use std::path::PathBuf;

use aurola_eval::benchmark::BENCHMARKS;
use aurola_eval::rerank::RerankFile;
use aurola_eval::score::{self, as_released, exact};
use aurola_eval::{Pool, Side, Similarity};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::Common;
use crate::exit::{AppError, Ending};
use crate::interrupt::Interrupts;
use crate::present::{Format, json};

/// Measure retrieval: recalls both ways with intervals, honest re-ranking, reports.
#[derive(Debug, Args)]
pub(crate) struct Eval {
    #[command(subcommand)]
    command: EvalCommand,
}

#[derive(Debug, Subcommand)]
enum EvalCommand {
    Run(Box<run::Run>),
    Score(Score),
    Compare(Compare),
    /// The benchmarks that have a reader, and the file that each takes
    Ls,
}

/// Compare two evaluations of one pool: gains, intervals, and how likely luck is.
#[derive(Debug, Args)]
struct Compare {
    /// Folder that `aurola eval run` wrote
    #[arg(value_name = "A")]
    first: PathBuf,
    /// Another one
    #[arg(value_name = "B")]
    second: PathBuf,
}

/// Score a saved similarity matrix: rows are texts, columns clips.
///
/// Figures are in percent, the median rank counts from 1. `exact` lets ties count against and, with
/// --rerank, fuses every candidate, each direction in a matrix of its own. `released` gives the released
/// code's numbers to the digit, with its leak: for comparison only.
#[derive(Debug, Args)]
struct Score {
    /// A .npy file, or a .safetensors file with the key `similarity`
    #[arg(value_name = "MATRIX")]
    matrix: PathBuf,
    /// JSON: {"audio": [id of each column], "text": [id of the clip each row describes]}
    #[arg(long, value_name = "IDS.json")]
    ids: PathBuf,
    /// Which reading of the figures
    #[arg(long, value_enum, default_value_t = Mode::Exact)]
    mode: Mode,
    /// What a re-ranker said, in the form the released path records: for a2t and t2a each, *_index,
    /// *_candidates, *_scores and the weight alpha_*
    #[arg(long, value_name = "FILE.json")]
    rerank: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Honest
    Exact,
    /// As the released code computes them, mistakes included
    Released,
}

impl Eval {
    /// Measures.
    pub(crate) fn run(
        self,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        match self.command {
            EvalCommand::Run(run) => run.run(common, interrupts, out),
            EvalCommand::Score(score) => score.run(common, out),
            EvalCommand::Compare(compare) => compare.run(common, out),
            EvalCommand::Ls => {
                for (name, _, file) in BENCHMARKS {
                    writeln!(out, "{name:16} {file}")?;
                }
                writeln!(
                    out,
                    "{:16} no file: sounds that are generated, --scenes N",
                    "scenes"
                )?;
                Ok(Ending::Done)
            }
        }
    }
}

impl Compare {
    fn run(self, common: &Common, out: &mut impl Write) -> Result<Ending, AppError> {
        let compared = aurola_eval::report::compare(&self.first, &self.second)?;
        match common.format() {
            Format::Json => json::document(out, &compared.json())?,
            Format::Jsonl => json::line(out, &compared.json())?,
            Format::Quiet => {}
            _ => write!(out, "{}", compared.text())?,
        }
        Ok(Ending::Done)
    }
}

impl Score {
    fn run(self, common: &Common, out: &mut impl Write) -> Result<Ending, AppError> {
        let (similarity, notes) = Similarity::read(&self.matrix)?;
        for note in &notes {
            common.note(format!("note: {}: {note}", self.matrix.display()));
        }
        let pool = Pool::read_ids(&self.ids)?;
        score::fits(&self.matrix, &similarity, &pool)?;
        let file = self.rerank.as_deref().map(RerankFile::read).transpose()?;
        let rerank = self.rerank.as_deref().zip(file.as_ref());
        if let (Some((path, file)), Mode::Released) = (rerank, self.mode) {
            // The released fusion passes over ids it does not know; a mistake would look like a figure.
            for side in Side::BOTH {
                file.verdicts(path, &pool, side)?;
            }
        }
        let scored = match self.mode {
            Mode::Exact => exact(&similarity, &pool, rerank)?,
            Mode::Released => as_released(&similarity, &pool, file.as_ref()),
        };
        match common.format() {
            Format::Json => json::document(out, &scored)?,
            Format::Jsonl => json::line(out, &scored)?,
            Format::Csv => csv(&scored, out)?,
            Format::Auto | Format::Human => table(&scored, out)?,
            Format::Quiet => {}
        }
        Ok(Ending::Done)
    }
}

/// The figures that are shown, and what they are called.
const SHOWN: [(&str, &str); 7] = [
    ("r1", "R@1"),
    ("r5", "R@5"),
    ("r10", "R@10"),
    ("mean", "mean"),
    ("median_rank", "median rank"),
    ("map10", "mAP@10"),
    ("ndcg10", "nDCG@10"),
];

fn csv(scored: &Value, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "direction,figure,value,low,high")?;
    for side in Side::BOTH.map(Side::name) {
        for (name, _) in SHOWN {
            if let Some(value) = scored[side][name].as_f64() {
                let interval = &scored[side]["intervals"][name];
                let end = |at: usize| {
                    interval[at]
                        .as_f64()
                        .map(|v| v.to_string())
                        .unwrap_or_default()
                };
                writeln!(out, "{side},{name},{value},{},{}", end(0), end(1))?;
            }
        }
    }
    Ok(())
}

fn table(scored: &Value, out: &mut impl Write) -> io::Result<()> {
    let pool = &scored["pool"];
    writeln!(
        out,
        "{} clips, {} texts; {}",
        pool["clips"],
        pool["texts"],
        scored["ties"].as_str().unwrap_or_default()
    )?;
    writeln!(
        out,
        "\n{:12} {:>24} {:>24}",
        "", "text to audio", "audio to text"
    )?;
    for (name, title) in SHOWN {
        let cell = |side: Side| {
            let figures = &scored[side.name()];
            let value = figures[name].as_f64()?;
            let interval = &figures["intervals"][name];
            let ends = interval[0].as_f64().zip(interval[1].as_f64());
            Some(match ends {
                Some((low, high)) => format!("{value:.1}  [{low:.1}, {high:.1}]"),
                None => format!("{value:.1}"),
            })
        };
        if let (Some(text), Some(audio)) = (cell(Side::TextToAudio), cell(Side::AudioToText)) {
            writeln!(out, "{title:12} {text:>24} {audio:>24}")?;
        }
    }
    if let Some(leak) = scored["rerank"]["leak"].as_str() {
        writeln!(out, "\nwith the released leak: {leak}")?;
    }
    Ok(())
}
