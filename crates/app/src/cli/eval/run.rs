//! `aurola eval run`: a benchmark's own files and a model, as a report.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use aurola::Options;
use aurola_eval::benchmark::{Benchmark, Kind, Located, Text, find, known_pool};
use aurola_eval::evaluation::{self, Evaluation, ModelNote, PoolNote, Reranked};
use aurola_eval::report::{self, Shown};
use aurola_eval::rerank::{Choice, choose_weight};
use aurola_eval::run::Measured;
use aurola_eval::{Side, classes};
use aurola_model::Model;
use clap::Args;

use super::bench::Bench;
use super::scenes;
use crate::cli::Common;
use crate::cli::search::list_skipped;
use crate::exit::{AppError, Ending};
use crate::interrupt::Interrupts;
use crate::listening::CutArgs;
use crate::model::ModelArgs;
use crate::places::{StoreArgs, cache_folder};
use crate::present::{Format, json};

/// Measure a model by a benchmark's own files, and write a report.
///
/// Sounds are found by their ids, whatever their extension; embeddings are kept, so a run that is stopped or killed
/// goes on where it was. The folder that comes out holds result.json, queries.jsonl, report.html, report.md and
/// results in mteb's layout.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// One of `aurola eval ls`, or scenes: sounds that are generated
    #[arg(value_name = "BENCHMARK")]
    benchmark: String,
    /// The file that the benchmark's authors publish; `aurola eval ls` says which
    #[arg(long, value_name = "FILE", required_unless_present = "scenes")]
    annotations: Option<PathBuf>,
    /// Folder of its sounds
    #[arg(long, value_name = "DIR", required_unless_present = "scenes")]
    audio: Option<PathBuf>,
    /// With the benchmark scenes: how many
    #[arg(long, value_name = "N")]
    scenes: Option<usize>,
    /// With the benchmark scenes: two or three sentences for each instead of one
    #[arg(long)]
    long: bool,
    /// Only the clips, or texts, that this list names by id, one a line
    #[arg(long, value_name = "LIST")]
    pool: Option<PathBuf>,
    /// Only this fold
    #[arg(long, value_name = "N")]
    fold: Option<u8>,
    /// What a class name is put into, in the place of {}; may be repeated, embeddings are averaged
    #[arg(long = "template", value_name = "TEXT", default_value = classes::TEMPLATE)]
    templates: Vec<String>,
    /// JSON: {class: words}, for classes that have words of their own
    #[arg(long, value_name = "FILE.json")]
    prompts: Option<PathBuf>,
    /// Go on without clips whose file is missing or unreadable; they are listed and counted
    #[arg(long)]
    skip_missing: bool,
    /// Go on without rows that are broken; they are listed and counted
    #[arg(long)]
    skip_broken: bool,
    /// Judge the first N of every query anew, both ways
    #[arg(long, value_name = "N", default_value_t = 0)]
    rerank: usize,
    /// The model that judges, where it is another
    #[arg(long, value_name = "DIR|NAME")]
    reranker: Option<String>,
    /// A weight that was chosen before; with none, it is chosen on the validation split
    #[arg(long, value_name = "X", conflicts_with = "validation")]
    rerank_weight: Option<f64>,
    /// The annotation file of the validation split, on which the weight is chosen
    #[arg(long, value_name = "FILE", requires = "validation_audio")]
    validation: Option<PathBuf>,
    /// Folder of its sounds
    #[arg(long, value_name = "DIR")]
    validation_audio: Option<PathBuf>,
    /// Folder to write into [default: evaluations/BENCHMARK-MODEL]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many near misses, and failures, the page shows
    #[arg(long, value_name = "N", default_value_t = 8)]
    cards: usize,
    /// Leave sounds out of the page altogether
    #[arg(long, conflicts_with = "players")]
    no_sounds: bool,
    /// Put the shown sounds into the page so that they can be played: such a page is as free as its sounds
    #[arg(long)]
    players: bool,
    #[command(flatten)]
    cut: CutArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    model: ModelArgs,
}

/// A split, read and found.
struct Split {
    benchmark: String,
    located: Located,
    note: PoolNote,
    notes: Vec<String>,
}

impl Run {
    pub(super) fn run(
        self,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        // What is wrong with the files is told before a model is loaded.
        let split = self.split(false)?;
        let validation = self.validation()?;
        let prompts = self.prompts()?;
        let kind = split.located.task.kind;
        if self.rerank > 0 && kind == Kind::Labels {
            return Err(AppError::Usage {
                message: "class names are not re-ranked".into(),
                help: "--rerank is for benchmarks with captions",
            });
        }
        let (model, _) = self.model.load(common, interrupts)?;
        let reranker = match self.rerank {
            0 => None,
            _ => self
                .model
                .load_reranker(self.reranker.as_deref(), common, interrupts)?,
        };
        let options = Options {
            listening: self.cut.listening()?,
            name: self.model.name().to_owned(),
            readers: common.readers(),
            ..Options::default()
        };
        let prompt_of = |text: &Text| match (kind, prompts.get(&text.text)) {
            (Kind::Captions, _) => vec![text.text.clone()],
            (Kind::Labels, Some(words)) => vec![words.clone()],
            (Kind::Labels, None) => {
                let put = |template: &String| template.replace("{}", &text.text);
                self.templates.iter().map(put).collect()
            }
        };
        let bench = Bench {
            common,
            interrupts,
            model: &model,
            options: &options,
            store: self.store.path()?,
            prompt_of: &prompt_of,
        };
        let Some(measured) = bench.measure(split.located)? else {
            return Ok(Ending::Interrupted(interrupts.signal()));
        };
        if !measured.skipped.is_empty() && !self.skip_missing {
            list_skipped(common, &measured.skipped);
            return Err(AppError::Usage {
                message: format!(
                    "{} clips cannot be read, so there are no figures",
                    measured.skipped.len()
                ),
                help: "--skip-missing measures the others, and the report says so",
            });
        }
        let mut result = Evaluation {
            program: format!("aurola {}", env!("CARGO_PKG_VERSION")),
            made: evaluation::now(),
            benchmark: split.benchmark,
            kind,
            model: ModelNote {
                name: self.model.name().to_owned(),
                fingerprint: model.fingerprint().to_owned(),
                dim: model.dim(),
                window: options.listening.cut.to_string(),
                prompt: self.model.prompt_in_words().to_owned(),
            },
            pool: evaluation::pool_note(&measured, split.note),
            ties: evaluation::tie_rule(),
            notes: split.notes,
            text_to_audio: None,
            audio_to_text: None,
            classes: None,
            reranked: BTreeMap::new(),
        };
        result.notes.extend(measured.notes.iter().cloned());
        let directions = evaluation::directions(&measured);
        if kind == Kind::Labels {
            let own = |(class, _): &(&String, &String)| {
                measured.task.texts.iter().any(|text| text.text == **class)
            };
            let own = prompts.iter().filter(own);
            let own = own.map(|(class, words)| (class.clone(), words.clone()));
            let templates = self.templates.clone();
            result.classes = Some(evaluation::labels(&measured, templates, own.collect()));
        }
        if self.rerank > 0 {
            let judge = reranker.as_ref().unwrap_or(&model);
            let reranked = self.reranked(&bench, judge, &measured, &directions, validation)?;
            let Some(reranked) = reranked else {
                return Ok(Ending::Interrupted(interrupts.signal()));
            };
            result.reranked = reranked;
        }
        let lines = directions.lines;
        let [to_audio, to_text] = directions.figures;
        (result.text_to_audio, result.audio_to_text) = (Some(to_audio), Some(to_text));
        let folder = self.out.clone().unwrap_or_else(|| {
            let name = result
                .model
                .name
                .rsplit('/')
                .find(|part| !part.is_empty())
                .unwrap_or("model");
            PathBuf::from("evaluations").join(format!("{}-{name}", result.benchmark))
        });
        let shown = Shown {
            cards: self.cards,
            pictures: !self.no_sounds,
            players: self.players,
        };
        report::write(&folder, &result, &lines, &measured, shown)?;
        match common.format() {
            Format::Json => json::document(out, &result)?,
            Format::Jsonl => json::line(out, &result)?,
            Format::Quiet => {}
            _ => write!(out, "{}", report::text(&result))?,
        }
        common.note(format!("report: {}", folder.join("report.html").display()));
        list_skipped(common, &measured.skipped);
        let whole = measured.skipped.is_empty()
            && result.pool.missing.is_empty()
            && result.pool.broken.is_empty();
        Ok(if whole { Ending::Done } else { Ending::Skipped })
    }

    /// The split that is measured, or the one that a weight is chosen on.
    fn split(&self, validation: bool) -> Result<Split, AppError> {
        if self.benchmark == "scenes" {
            let count = self.scenes.unwrap_or(1_000);
            let (first, count, name) = match validation {
                false => (scenes::TEST_SEEDS, count, "test"),
                true => (scenes::VALIDATION_SEEDS, (count / 4).max(2), "validation"),
            };
            let words = if self.long { "long" } else { "short" };
            let folder = cache_folder()?.join(format!("scenes-{name}-{words}-{count}"));
            scenes::write(&folder, first, count, self.long)?;
            let mut split = self.read(Benchmark::Own, &folder.join("scenes.csv"), &folder)?;
            split.benchmark = "scenes".into();
            split.notes.insert(0, format!("generated scenes from seed {first} on, one {words} caption each; recipes use other seeds"));
            return Ok(split);
        }
        let benchmark: Benchmark = self.benchmark.parse().map_err(|message| AppError::Usage {
            message,
            help: "`aurola eval ls` lists them, with the file that each takes",
        })?;
        let (annotations, audio) = match validation {
            false => (&self.annotations, &self.audio),
            true => (&self.validation, &self.validation_audio),
        };
        let (Some(annotations), Some(audio)) = (annotations, audio) else {
            return Err(AppError::Usage {
                message: format!("{benchmark} needs --annotations FILE and --audio DIR"),
                help: "--scenes N belongs to the benchmark scenes",
            });
        };
        self.read(benchmark, annotations, audio)
    }

    fn read(
        &self,
        benchmark: Benchmark,
        annotations: &Path,
        audio: &Path,
    ) -> Result<Split, AppError> {
        let mut task = benchmark.read(annotations)?;
        if !task.broken.is_empty() && !self.skip_broken {
            let rows: Vec<String> = (task.broken.iter().take(20))
                .map(|row| format!("\n  line {}: {}", row.line, row.what))
                .collect();
            return Err(AppError::Usage {
                message: format!(
                    "{}: {} rows cannot be used{}",
                    annotations.display(),
                    task.broken.len(),
                    rows.concat()
                ),
                help: "mend them, or --skip-broken measures without them, and the report says so",
            });
        }
        if let Some(list) = &self.pool {
            task = task.listed(list)?;
        }
        if let Some(fold) = self.fold {
            task = task.fold(fold)?;
        }
        let bytes = fs::read(&task.annotations).map_err(|source| AppError::Path {
            path: task.annotations.clone(),
            source,
        })?;
        let name = |path: &Path| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let mut note = PoolNote {
            annotations: name(&task.annotations),
            annotations_blake3: aurola_eval::hash(&bytes),
            annotated: known_pool(&task.fingerprint()).map(|pool| pool.name.to_owned()),
            annotated_clips: task.clips.len(),
            annotated_texts: task.texts.len(),
            broken: task.broken.clone(),
            ..PoolNote::default()
        };
        let mut notes = task.notes.clone();
        if let Some(list) = &self.pool {
            notes.push(format!("only what {} names", name(list)));
        }
        if let Some(fold) = self.fold {
            notes.push(format!("only fold {fold}"));
        }
        let located = find(task, audio)?;
        note.missing = located.missing.clone();
        if !note.missing.is_empty() && !self.skip_missing {
            let some: Vec<&str> = note.missing.iter().take(10).map(String::as_str).collect();
            return Err(AppError::Usage {
                message: format!(
                    "{} of {} clips have no file below {}: {}{}",
                    note.missing.len(),
                    note.annotated_clips,
                    audio.display(),
                    some.join(", "),
                    if some.len() < note.missing.len() {
                        ", …"
                    } else {
                        ""
                    }
                ),
                help: "--skip-missing measures the others; the report lists the missing and names the pool that is left",
            });
        }
        Ok(Split {
            benchmark: benchmark.name().to_owned(),
            located,
            note,
            notes,
        })
    }

    /// The split a weight is chosen on, where one is needed.
    fn validation(&self) -> Result<Option<Split>, AppError> {
        if self.rerank == 0 || self.rerank_weight.is_some() {
            return Ok(None);
        }
        if self.benchmark != "scenes" && self.validation.is_none() {
            return Err(AppError::Usage {
                message: "re-ranking needs a weight, and a weight that is chosen on the test set is worth nothing".into(),
                help: "--validation FILE --validation-audio DIR chooses one on another split; --rerank-weight X takes one \
                       that was chosen before",
            });
        }
        self.split(true).map(Some)
    }

    fn prompts(&self) -> Result<BTreeMap<String, String>, AppError> {
        let Some(path) = &self.prompts else {
            return Ok(BTreeMap::new());
        };
        let bytes = fs::read(path).map_err(|source| AppError::Path {
            path: path.clone(),
            source,
        })?;
        serde_json::from_slice(&bytes).map_err(|error| AppError::Usage {
            message: format!(
                "{}: is no JSON object from class to words: {error}",
                path.display()
            ),
            help: r#"the form is {"dog": "a dog barking"}"#,
        })
    }

    fn reranked(
        &self,
        bench: &Bench<'_>,
        reranker: &Model,
        measured: &Measured,
        directions: &evaluation::Directions,
        validation: Option<Split>,
    ) -> Result<Option<BTreeMap<String, Reranked>>, AppError> {
        let mut choices: [Option<Choice>; 2] = [None, None];
        let mut from = "given, chosen before this run".to_owned();
        if let Some(split) = validation {
            let clips = split.located.task.clips.len();
            let name = split
                .note
                .annotated
                .clone()
                .unwrap_or(split.note.annotations);
            from = format!("chosen on {name}, {clips} clips; 0 where the gain there may be luck");
            let Some(other) = bench.measure(split.located)? else {
                return Ok(None);
            };
            let Some(verdicts) = bench.judge(reranker, &other, self.rerank)? else {
                return Ok(None);
            };
            let pool = other.task.pool()?;
            for ((side, verdicts), choice) in Side::BOTH.iter().zip(&verdicts).zip(&mut choices) {
                *choice = Some(choose_weight(
                    &other.similarity.oriented(*side),
                    &pool,
                    *side,
                    verdicts,
                ));
            }
        }
        let Some(verdicts) = bench.judge(reranker, measured, self.rerank)? else {
            return Ok(None);
        };
        let pool = measured.task.pool()?;
        let mut all = BTreeMap::new();
        let sides = Side::BOTH.into_iter().zip(&directions.outcomes);
        for (((side, before), verdicts), choice) in sides.zip(&verdicts).zip(choices) {
            let given = self.rerank_weight.unwrap_or(0.0);
            let weight = choice.as_ref().map_or(given, |choice| choice.weight);
            let (after, gain) =
                evaluation::reranked(measured, &pool, side, before, (verdicts, weight));
            let reranker = (self.reranker.clone())
                .unwrap_or_else(|| format!("the one of {}", self.model.name()));
            let one = Reranked {
                reranker,
                candidates: self.rerank,
                weight,
                weight_from: from.clone(),
                choice,
                after,
                gain,
            };
            all.insert(side.name().to_owned(), one);
        }
        Ok(Some(all))
    }
}
