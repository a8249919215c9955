//! `aurola train`: a recipe, carried out; runs, resumed and watched; adapters, merged.

use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use aurola_train::TrainError;
use aurola_train::collective::{self, SocketOptions};
use aurola_train::export;
use aurola_train::mine::{self, MineConfig, Mined, Phase, Progress, Rule, Tally};
use aurola_train::recipe::Recipe;
use aurola_train::report::{Dashboard, Ending as Watched, Style, attach};
use aurola_train::run::{self, Ending as Ended};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::Common;
use crate::exit::{AppError, Ending};
use crate::interrupt::Interrupts;
use crate::model::ModelArgs;
use crate::present::{Format, json};
use crate::present::{clock, printable};

const EXAMPLES: &str = "\
Examples:
  aurola train recipes/nano-audio.toml
  aurola train resume runs/nano-audio
  aurola train attach runs/nano-audio
  aurola train merge --base Qwen2.5-Omni-3B --adapter runs/audio/adapter --out AuroLA-3B
  aurola train mine --model AuroLA-3B --data recipes/aurola-3b.toml --out data/mined.json
  torchrun --no-python --nproc-per-node 2 aurola train recipes/nano-audio.toml

Launched as several processes (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT), they share each batch and
its negatives.";

/// Train a model by a recipe, or go on with a run.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Train {
    #[command(subcommand)]
    command: Option<Command>,
    /// The recipe: a TOML file
    #[arg(required = true)]
    recipe: Option<PathBuf>,
    /// The run's folder [default: runs/NAME, by the recipe's name]
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Go on with a run from its newest checkpoint
    Resume {
        /// The run's folder
        run: PathBuf,
    },
    /// Watch a run
    Attach {
        /// The run's folder
        run: PathBuf,
    },
    /// Add an adapter's changes to its base and write a whole model
    Merge {
        /// The base model's folder
        #[arg(long, value_name = "DIR")]
        base: PathBuf,
        /// The adapter's folder
        #[arg(long, value_name = "DIR")]
        adapter: PathBuf,
        /// The folder to write
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    Mine(Box<Mine>),
}

const MINED: &str = "\
For each row, the captions nearest to its clip and the clips nearest to its captions become its hard
negatives, but for those that are known or likely to be right: the same sound, id, caption or tags; above
--guard of the row's own similarity; above --same the same thing once more. Counts tell what each dropped.

The file is of kind \"aurola\": a source of the re-ranker's recipe.";

/// Find the hard negatives that the re-ranker's stage is trained on
#[derive(Debug, Args)]
#[command(after_help = MINED)]
struct Mine {
    #[command(flatten)]
    model: ModelArgs,
    /// The recipe whose sources are mined
    #[arg(long, value_name = "RECIPE")]
    data: PathBuf,
    /// The file to write, ending in .json
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Most hard negatives of a row, each way
    #[arg(long, value_name = "N", default_value = "10")]
    top: NonZeroUsize,
    /// Least similarity of a hard negative, -1 to 1
    #[arg(long, value_name = "COSINE", default_value_t = Rule::default().least, allow_negative_numbers = true)]
    least: f32,
    /// Greatest similarity, as a share of the row's own; inf for any
    #[arg(long, value_name = "SHARE", default_value_t = Rule::default().guard)]
    guard: f32,
    /// Cosine above which two captions, or two clips, are the same thing; 1 for never
    #[arg(long, value_name = "COSINE", default_value_t = Rule::default().same)]
    same: f32,
    /// Seconds of a clip that are listened to, from its start [default: the recipe's]
    #[arg(long, value_name = "SECONDS")]
    max_s: Option<f64>,
}

impl Train {
    /// Does what was asked; a run that was interrupted is saved.
    pub(crate) fn run(
        self,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        match (self.command, self.recipe) {
            (None, Some(recipe)) => {
                let run_dir = match self.run {
                    Some(dir) => dir,
                    None => {
                        let (read, _) = Recipe::read(&recipe)?;
                        Path::new("runs").join(read.name)
                    }
                };
                carry_out(&recipe, &run_dir, common, interrupts, out)
            }
            (Some(Command::Resume { run }), _) => {
                let recipe = recipe_of(&run)?;
                carry_out(&recipe, &run, common, interrupts, out)
            }
            (Some(Command::Attach { run }), _) => {
                match attach(&run, &AtomicBool::new(false)).map_err(TrainError::from)? {
                    Watched::Finished => common.note("the run is finished"),
                    Watched::Stopped { reason } => {
                        common.note(format!("the run was stopped: {reason}"))
                    }
                    Watched::Gone { step, .. } => {
                        common.note(format!(
                            "the run's process is gone after step {step}; `aurola train resume {}` goes on",
                            run.display()
                        ));
                        return Ok(Ending::Nothing);
                    }
                    Watched::Left => {}
                }
                Ok(Ending::Done)
            }
            (
                Some(Command::Merge {
                    base,
                    adapter,
                    out: to,
                }),
                _,
            ) => {
                export::merge(&to, &base, &adapter)?;
                made(&to, common, out)?;
                Ok(Ending::Done)
            }
            (Some(Command::Mine(mine)), _) => mine.run(common, interrupts, out),
            (None, None) => unreachable!("clap asks for a recipe"),
        }
    }
}

impl Mine {
    fn run(
        self,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        let (recipe, folder) = Recipe::read(&self.data)?;
        let mut data = recipe.data;
        data.max_s = self.max_s.unwrap_or(data.max_s);
        let rule = Rule {
            top: self.top.get(),
            least: self.least,
            guard: self.guard,
            same: self.same,
        };
        rule.check()?;
        let config = MineConfig {
            rule,
            batch: recipe.compute.chunk,
        };
        let (model, _) = self.model.load(common, interrupts)?;
        let mut shown = MineMeter::new(common);
        let mined = interrupts.patiently(|cancel| {
            mine::mine(
                &data,
                &folder,
                &model,
                &self.out,
                &config,
                &mut |progress| {
                    shown.show(progress);
                    match cancel.is_cancelled() {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                },
            )
        });
        shown.bar.finish_and_clear();
        let Some(mined) = mined? else {
            common.note("stopped; nothing was written");
            return Ok(Ending::Interrupted(interrupts.signal()));
        };
        told(&mined, common);
        made(&self.out, common, out)?;
        Ok(match mined.unreadable.is_empty() {
            true => Ending::Done,
            false => Ending::Skipped,
        })
    }
}

/// What was found and what was dropped, for people.
fn told(mined: &Mined, common: &Common) {
    for row in &mined.unreadable {
        let (source, id) = (printable(&row.source), printable(&row.id));
        common.note(format!(
            "left out: {source}, {id}: {}",
            printable(&row.reason)
        ));
    }
    let left_out = mined.unreadable.len();
    common.note(format!(
        "{} rows, {} of sound; {left_out} rows left out; similarity to their own {:.3} on average",
        mined.rows,
        clock(mined.audio_seconds),
        mined.own
    ));
    for (what, tally) in [("hard texts", &mined.texts), ("hard audios", &mined.audios)] {
        let Tally {
            kept,
            positive,
            too_near,
            same_caption,
            same_clip,
            without,
            no_room,
        } = tally;
        common.note(format!(
            "{what}: {kept} kept; dropped {positive} positives, {too_near} nearer than the guard, {same_caption} by \
             the same caption, {same_clip} by the same clip; {without} rows have none, {no_room} of them since their \
             own is too far"
        ));
    }
    if mined.hidden_plain > 0 {
        common.note(format!(
            "note: {} rows have plain captions beside long, short and tag captions; kind \"aurola\" does not read them",
            mined.hidden_plain
        ));
    }
    let roots: Vec<String> = mined.roots.iter().map(|root| format!("{root:?}")).collect();
    common.note(format!(
        "a source that reads it: kind = \"aurola\", audio = [{}]",
        roots.join(", ")
    ));
}

/// How far mining is: a bar where a person watches, a line every ten seconds where nobody does.
struct MineMeter<'a> {
    common: &'a Common,
    started: Instant,
    last_line: Instant,
    bar: ProgressBar,
}

impl<'a> MineMeter<'a> {
    fn new(common: &'a Common) -> Self {
        let bar = match common.has_bar() {
            true => ProgressBar::new(0),
            false => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {msg}") {
            bar.set_style(style);
        }
        Self {
            common,
            started: Instant::now(),
            last_line: Instant::now(),
            bar,
        }
    }

    fn show(&mut self, progress: &Progress) {
        let (done, of) = (progress.done, progress.of);
        let line = match progress.phase {
            Phase::Clips => format!(
                "{done}/{of} clips · {} of sound · {:.1}× real time",
                clock(progress.audio_seconds),
                progress.audio_seconds / self.started.elapsed().as_secs_f64().max(1e-3)
            ),
            Phase::Captions => format!("{done}/{of} captions"),
            Phase::Texts => format!("captions near {done}/{of} clips"),
            Phase::Audios => format!("clips near the captions of {done}/{of}"),
        };
        self.bar.set_length(of as u64);
        self.bar.set_position(done as u64);
        let is_due = self.last_line.elapsed() >= Duration::from_secs(10);
        if !self.common.has_bar() && is_due {
            self.last_line = Instant::now();
            self.common.progress_line(&line);
        }
        self.bar.set_message(line);
    }
}

fn carry_out(
    recipe: &Path,
    run_dir: &Path,
    common: &Common,
    interrupts: &Interrupts,
    out: &mut impl Write,
) -> Result<Ending, AppError> {
    let (read, _) = Recipe::read(recipe)?;
    let options = SocketOptions::default();
    let mut ranks = collective::from_env(&read.fingerprint(), options).map_err(TrainError::from)?;
    let style = if ranks.rank() > 0 || common.is_quiet() {
        Style::Quiet
    } else if common.has_bar() {
        Style::of_stderr()
    } else {
        Style::Lines
    };
    let mut dashboard = Dashboard::new(0, style);
    let ended = interrupts.patiently(|cancel| {
        let stop = || cancel.is_cancelled();
        run::train(recipe, run_dir, &stop, &mut *ranks, &mut dashboard)
    })?;
    match ended {
        Ended::Done(model) => {
            if ranks.rank() == 0 {
                made(&model, common, out)?;
            }
            Ok(Ending::Done)
        }
        Ended::Stopped(step) => {
            if ranks.rank() == 0 {
                common.note(format!(
                    "stopped after step {step}, saved; `aurola train resume {}` goes on",
                    run_dir.display()
                ));
            }
            Ok(Ending::Interrupted(interrupts.signal()))
        }
    }
}

/// What was made.
#[derive(Debug, Serialize)]
struct JsonMade {
    folder: json::JsonPath,
}

/// Tells the folder of what was made.
fn made(folder: &Path, common: &Common, out: &mut impl Write) -> Result<(), AppError> {
    let document = || JsonMade {
        folder: json::JsonPath::from(folder),
    };
    match common.format() {
        Format::Json => json::document(out, &document())?,
        Format::Jsonl => json::line(out, &document())?,
        Format::Quiet => {}
        Format::Auto | Format::Human | Format::Csv => writeln!(out, "{}", folder.display())?,
    }
    Ok(())
}

/// The recipe that a run was begun with, where it was begun.
fn recipe_of(run_dir: &Path) -> Result<PathBuf, AppError> {
    let path = run_dir.join("recipe.toml");
    if path.exists() {
        return Ok(path);
    }
    Err(AppError::Usage {
        message: format!(
            "{}: no recipe.toml, so this is not a run",
            run_dir.display()
        ),
        help: "aurola train RECIPE begins one",
    })
}
