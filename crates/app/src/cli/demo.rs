//! `aurola demo`: a folder of generated sounds, searched.
//!
//! ```text
//! seed ─► scenes ─► scene-01.wav … , captions.csv ─► the engine, as in search ─► three answers, and the truth
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aurola::{Engine, EngineError, FileHit, Library, Listening, Options, Question};
use aurola_retrieval::Store;
use aurola_scenes::{Scene, SceneConfig};
use clap::Args;
use serde::Serialize;

use super::Common;
use super::search::list_skipped;
use crate::exit::{AppError, Ending};
use crate::interrupt::Interrupts;
use crate::listening::isolated;
use crate::model::ModelArgs;
use crate::places::cache_folder;
use crate::present::json::{self, JsonPath};
use crate::present::{Format, csv_field, printable};
use crate::progress::Meter;
use crate::wav::wav;

/// How many scenes are looked for.
const QUERIES: usize = 3;
/// How many hits are shown for each.
const SHOWN: usize = 3;
/// Scenes of the demonstration begin here. Training and validation draw theirs below: what is searched was
/// never heard.
const FIRST_SCENE: u64 = 1 << 40;
/// Scenes that belong to one `--seed`.
const SCENES_OF_A_SEED: u64 = 1 << 20;

const CAPTIONS: &str = "captions.csv";

/// Search a folder of sounds made on the spot, and compare with what is really in them.
///
/// Writes generated sounds whose names say nothing, looks for three of them in other words than they are
/// listed by, and shows for every hit what the sound was made of. Your own sounds and your store are not
/// touched.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Folder for the sounds, new or empty or of an earlier demo [default: one in
    /// $XDG_CACHE_HOME/aurola]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// How many sounds
    #[arg(
        long,
        value_name = "N",
        default_value_t = 24,
        value_parser = clap::value_parser!(u16).range(QUERIES as i64..=1000)
    )]
    count: u16,
    /// Another seed makes other sounds, the same one the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,
    #[command(flatten)]
    model: ModelArgs,
}

/// One sound of the folder.
struct Sample {
    name: String,
    scene: Scene,
    /// What `captions.csv` says.
    caption: String,
}

/// What [`Format::Json`] writes.
#[derive(Serialize)]
struct Document<'a> {
    model: &'a str,
    #[serde(flatten)]
    folder: JsonPath,
    files: usize,
    seed: u32,
    found_first: usize,
    found_in_first_3: usize,
    queries: Vec<Finding>,
    next: &'a str,
}

/// A scene that was looked for.
#[derive(Serialize)]
struct Finding {
    query: String,
    /// The file it was made of.
    wanted: String,
    /// Its place among all files; none where it could not be read.
    rank: Option<usize>,
    hits: Vec<Hit>,
}

#[derive(Serialize)]
struct Hit {
    rank: usize,
    file: String,
    score: f32,
    caption: String,
    right: bool,
}

impl Demo {
    /// Makes, searches, compares. Ends with 0 however well it found: that is what it shows.
    pub(crate) fn run(
        self,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        let (count, seed) = (usize::from(self.count), self.seed);
        let folder = match &self.to {
            Some(folder) => folder.clone(),
            None => cache_folder()?.join(format!("demo-{seed}-{count}")),
        };
        let samples = draw(seed, count);
        write(&folder, &samples)?;
        let (model, _) = self.model.load(common, interrupts)?;
        let options = Options {
            listening: Listening {
                decoding: isolated()?,
                ..Listening::default()
            },
            name: self.model.name().to_owned(),
            readers: common.readers(),
            ..Options::default()
        };
        let store = Store::open(&folder.join("library.sqlite"))?;
        let mut engine = Engine::new(&model, store, options);
        // File by file: what somebody put beside them is none of the demonstration.
        let paths: Vec<PathBuf> = samples
            .iter()
            .map(|sample| folder.join(&sample.name))
            .collect();
        let mut meter = Meter::new(common);
        let library = interrupts
            .patiently(|cancel| engine.library(&paths, cancel, &mut |event| meter.show(&event)));
        meter.finish();
        let library = library?;
        if library.interrupted {
            return Ok(Ending::Interrupted(interrupts.signal()));
        }
        let wanted = (0..QUERIES).map(|i| count * (2 * i + 1) / (2 * QUERIES));
        let findings = wanted
            .map(|wanted| find(&mut engine, &library, &samples, wanted))
            .collect::<Result<Vec<Finding>, EngineError>>()?;
        let within = |most: usize| {
            let ranks = findings.iter().filter_map(|finding| finding.rank);
            ranks.filter(|rank| *rank <= most).count()
        };
        let document = Document {
            model: self.model.name(),
            folder: JsonPath::from(folder.as_path()),
            files: library.files.len(),
            seed,
            found_first: within(1),
            found_in_first_3: within(SHOWN),
            queries: findings,
            next: "aurola search \"a dog barking\" ~/Sounds",
        };
        document.write(&folder, common.format(), out)?;
        out.flush()?;
        list_skipped(common, &library.skipped);
        Ok(if library.skipped.is_empty() {
            Ending::Done
        } else {
            Ending::Skipped
        })
    }
}

/// `count` scenes, no two of which a listener would describe alike.
fn draw(seed: u32, count: usize) -> Vec<Sample> {
    let config = SceneConfig::default();
    let from = FIRST_SCENE + u64::from(seed) * SCENES_OF_A_SEED;
    let digits = count.to_string().len();
    let mut outlines = BTreeSet::new();
    (from..)
        .map(|seed| Scene::draw(seed, &config))
        .filter(|scene| outlines.insert(scene.outline()))
        .take(count)
        .enumerate()
        .map(|(i, scene)| Sample {
            name: format!("scene-{:0digits$}.wav", i + 1),
            caption: scene.captions(0).short,
            scene,
        })
        .collect()
}

/// Makes `folder` hold `samples` and their captions. What is there already keeps its date.
fn write(folder: &Path, samples: &[Sample]) -> Result<(), AppError> {
    let table: String = std::iter::once("file,caption\n".to_owned())
        .chain(
            samples
                .iter()
                .map(|Sample { name, caption, .. }| format!("{name},{}\n", csv_field(caption))),
        )
        .collect();
    let refuse = |source| AppError::Path {
        path: folder.to_owned(),
        source,
    };
    fs::create_dir_all(folder).map_err(refuse)?;
    let ours = fs::read(folder.join(CAPTIONS)).is_ok_and(|old| old == table.as_bytes());
    if !ours && fs::read_dir(folder).map_err(refuse)?.next().is_some() {
        return Err(AppError::Usage {
            message: format!(
                "{}: there is something in it, and not the demo of this seed and count",
                folder.display()
            ),
            help: "--to DIR takes a folder that is new, empty, or of the same demo",
        });
    }
    // The table first: it marks the folder as ours, should we not come to the end.
    write_if_new(&folder.join(CAPTIONS), table.as_bytes())?;
    for sample in samples {
        let samples = sample.scene.render();
        let samples: Vec<i16> = samples
            .iter()
            .map(|s| (s * 32_767.0).round() as i16)
            .collect();
        write_if_new(&folder.join(&sample.name), &wav(&samples))?;
    }
    Ok(())
}

fn write_if_new(path: &Path, bytes: &[u8]) -> Result<(), AppError> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).map_err(|source| AppError::Path {
        path: path.to_owned(),
        source,
    })
}

/// Looks for the sample at `wanted` in words that it is not listed by.
fn find(
    engine: &mut Engine<'_>,
    library: &Library,
    samples: &[Sample],
    wanted: usize,
) -> Result<Finding, EngineError> {
    let Sample {
        name,
        scene,
        caption,
    } = &samples[wanted];
    let query = (1..100)
        .map(|wording| scene.captions(wording).short)
        .find(|query| query != caption)
        .unwrap_or_else(|| caption.clone());
    let answer = engine.search(library, &Question::words(query.clone(), samples.len()))?;
    let is = |hit: &FileHit, sample: &Sample| hit.file.shown.ends_with(&sample.name);
    let rank = answer.hits.iter().position(|hit| is(hit, &samples[wanted]));
    let sample_of = |hit: &FileHit| samples.iter().find(|sample| is(hit, sample));
    let hits = (answer.hits.iter().zip(1..).take(SHOWN))
        .filter_map(|(hit, rank)| {
            let sample = sample_of(hit)?;
            Some(Hit {
                rank,
                file: sample.name.clone(),
                score: hit.score,
                caption: sample.caption.clone(),
                right: sample.name == *name,
            })
        })
        .collect();
    Ok(Finding {
        query,
        wanted: name.clone(),
        rank: rank.map(|index| index + 1),
        hits,
    })
}

impl Document<'_> {
    fn write(&self, folder: &Path, format: Format, out: &mut impl Write) -> io::Result<()> {
        match format {
            Format::Json => json::document(out, self),
            Format::Jsonl => self
                .queries
                .iter()
                .try_for_each(|query| json::line(out, query)),
            Format::Csv => self.csv(out),
            Format::Auto | Format::Human => self.tell(folder, out),
            Format::Quiet => Ok(()),
        }
    }

    fn csv(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "query,rank,file,score,caption,right")?;
        for Finding { query, hits, .. } in &self.queries {
            for Hit {
                rank,
                file,
                score,
                caption,
                right,
            } in hits
            {
                let (query, caption) = (csv_field(query), csv_field(caption));
                writeln!(out, "{query},{rank},{file},{score},{caption},{right}")?;
            }
        }
        Ok(())
    }

    fn tell(&self, folder: &Path, out: &mut impl Write) -> io::Result<()> {
        let folder = folder.to_string_lossy();
        let folder = printable(&folder);
        writeln!(out, "{} generated sounds in {folder}", self.files)?;
        for finding in &self.queries {
            writeln!(out, "\nlooking for: {}", finding.query)?;
            for Hit {
                rank,
                file,
                score,
                caption,
                right,
            } in &finding.hits
            {
                let mark = if *right { "►" } else { " " };
                writeln!(out, "{mark} {rank}  {score:.3}  {file}  {caption}")?;
            }
            let wanted = &finding.wanted;
            match finding.rank {
                Some(1) => writeln!(out, "  right: {wanted} comes first")?,
                Some(rank) => writeln!(
                    out,
                    "  not first: {wanted} is number {rank} of {}",
                    self.files
                )?,
                None => writeln!(out, "  {wanted} could not be searched")?,
            }
        }
        let of = self.queries.len();
        writeln!(
            out,
            "\n{} of {of} come first, {} of {of} among the first {SHOWN}; {CAPTIONS} lists what every sound is",
            self.found_first, self.found_in_first_3
        )?;
        writeln!(out, "\nnow your own:  {}", self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_sounds_and_no_two_are_alike() {
        let (one, again, other) = (draw(1, 24), draw(1, 24), draw(2, 24));
        let captions = |samples: &[Sample]| -> Vec<String> {
            samples
                .iter()
                .map(|sample| sample.caption.clone())
                .collect()
        };
        assert_eq!(captions(&one), captions(&again));
        assert_ne!(captions(&one), captions(&other));
        let outlines: BTreeSet<String> = one.iter().map(|s| s.scene.outline()).collect();
        assert_eq!(outlines.len(), 24);
        assert_eq!(one[6].name, "scene-07.wav");
        assert!(one.iter().all(|sample| sample.scene.seed() >= FIRST_SCENE));
    }
}
