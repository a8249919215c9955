//! `aurola rerank`: does a sound match a sentence?

use std::io::Write;
use std::path::{Path, PathBuf};

use aurola::{Listener, Listening, Skipped};
use aurola_model::{Input, Model, YesNo};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Common;
use super::search::list_skipped;
use crate::exit::{AppError, Ending};
use crate::interrupt::Interrupts;
use crate::listening::isolated;
use crate::model::ModelArgs;
use crate::present::{Format, csv_field, json, printable};

/// Judge how well candidates match a query: the model reads both together and says Yes or No.
#[derive(Debug, Args)]
pub(crate) struct Rerank {
    /// What is looked for in what
    #[arg(long, value_enum, env = "AUROLA_DIRECTION")]
    direction: Direction,
    /// A sound's path, or a sentence, as the direction has it
    #[arg(long, value_name = "Q", allow_hyphen_values = true)]
    query: String,
    /// A sentence, or a sound's path; may be repeated
    #[arg(
        long = "candidate",
        value_name = "C",
        required = true,
        allow_hyphen_values = true
    )]
    candidates: Vec<String>,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    /// The query is a sound, candidates are sentences
    AudioToText,
    /// The query is a sentence, candidates are sounds
    TextToAudio,
}

/// One verdict, exactly as the command contract has it.
#[derive(Serialize)]
struct Verdict<'a> {
    index: usize,
    candidate: &'a str,
    logit_yes: f32,
    logit_no: f32,
    p_yes: f32,
}

impl Rerank {
    /// Judges.
    pub(crate) fn run(
        self,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        // A pair is read once, so of a long sound its first window is heard, as in the released
        // re-ranking; who wants another names it by cutting the file, or searches with --rerank.
        let listening = Listening {
            decoding: isolated()?,
            ..Listening::default()
        };
        let model = self.model.load_judge(common, interrupts)?;
        let mut listener = Listener::new(&listening, model.mel_config())?;
        let mut skipped = Vec::new();
        let verdicts = match self.direction {
            Direction::AudioToText => self.sentences(common, &model, &mut listener)?,
            Direction::TextToAudio => self.sounds(common, &model, &mut listener, &mut skipped)?,
        };
        let verdicts: Vec<Verdict<'_>> = verdicts
            .into_iter()
            .map(|(index, verdict)| Verdict {
                index,
                candidate: &self.candidates[index],
                logit_yes: verdict.logit_yes,
                logit_no: verdict.logit_no,
                p_yes: verdict.p_yes(),
            })
            .collect();
        write(verdicts, common.format(), out)?;
        out.flush()?;
        list_skipped(common, &skipped);
        Ok(if skipped.is_empty() {
            Ending::Done
        } else {
            Ending::Skipped
        })
    }

    fn sentences(
        &self,
        common: &Common,
        model: &Model,
        listener: &mut Listener<'_>,
    ) -> Result<Vec<(usize, YesNo)>, AppError> {
        let path = Path::new(&self.query);
        let query = listener.beginning(path)?;
        common.notes_on(path, &query.notes);
        let candidates: Vec<Input<'_>> = self
            .candidates
            .iter()
            .map(|text| Input::Text(text))
            .collect();
        let verdicts = model.rerank(&Input::Audio(&query.mel), &candidates)?;
        Ok(verdicts.into_iter().enumerate().collect())
    }

    fn sounds(
        &self,
        common: &Common,
        model: &Model,
        listener: &mut Listener<'_>,
        skipped: &mut Vec<Skipped>,
    ) -> Result<Vec<(usize, YesNo)>, AppError> {
        let mut verdicts = Vec::new();
        for (index, candidate) in self.candidates.iter().enumerate() {
            let path = PathBuf::from(candidate);
            match listener.beginning(&path) {
                Ok(sound) => {
                    common.notes_on(&path, &sound.notes);
                    let query = Input::Text(&self.query);
                    let mut verdict = model.rerank(&query, &[Input::Audio(&sound.mel)])?;
                    verdicts.push((index, verdict.swap_remove(0)));
                }
                Err(error) => {
                    let reason = aurola::reason(&error, &path);
                    skipped.push(Skipped { path, reason });
                }
            }
        }
        Ok(verdicts)
    }
}

/// In the order of the command line for programs, best first for people.
fn write(
    mut verdicts: Vec<Verdict<'_>>,
    format: Format,
    out: &mut impl Write,
) -> std::io::Result<()> {
    match format {
        Format::Jsonl => verdicts
            .iter()
            .try_for_each(|verdict| json::line(out, verdict)),
        Format::Json => json::document(out, &verdicts),
        Format::Csv => {
            writeln!(out, "index,candidate,logit_yes,logit_no,p_yes")?;
            for Verdict {
                index,
                candidate,
                logit_yes,
                logit_no,
                p_yes,
            } in &verdicts
            {
                let candidate = csv_field(candidate);
                writeln!(out, "{index},{candidate},{logit_yes},{logit_no},{p_yes}")?;
            }
            Ok(())
        }
        Format::Auto | Format::Human => {
            // Stable, so that equals stay in the order given.
            verdicts.sort_by(|a, b| b.p_yes.total_cmp(&a.p_yes));
            for verdict in &verdicts {
                let candidate = printable(verdict.candidate);
                writeln!(out, "{:5.1} %  {candidate}", verdict.p_yes * 100.0)?;
            }
            Ok(())
        }
        Format::Quiet => Ok(()),
    }
}
