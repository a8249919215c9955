//! Runs from outside: whole recipes in folders of their own, on models so small that a step takes
//! milliseconds.

mod cache;
mod learning;
mod ranks;
mod refusals;
mod resume;
mod whole;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use aurola_train::TrainError;
use aurola_train::collective::{Alone, Collective};
use aurola_train::report::{Dashboard, Record, StepRecord, Style, read_metrics};
use aurola_train::run::{self, Ending};

/// A new model of 1,100 ids and towers of one layer, on scenes of at most a second.
const SMALL: &str = r#"
name = "small"
seed = 3

[model.new]
vocabulary = 1100
audio_width = 16
audio_layers = 1
audio_heads = 2
audio_inner = 16
width = 16
layers = 1
heads = 2
kv_heads = 1
inner = 16

[data]
max_s = 1.0
sources = [{ name = "scenes", kind = "scenes", count = 24, min_s = 0.5, max_s = 1.0, max_events = 1 }]

[loss.hybrid_nce]
temperature = 0.1

[schedule]
learning_rate = 3e-3
warmup = 0.0
steps = 6
batch_size = 6

[compute]
loader = { workers = 1 }

[checkpoint]
every = 2
"#;

/// The tiny checkpoint under low-rank changes with dropout.
const LORA: &str = r#"
model.train.lora = { r = 4, lora_alpha = 8.0, lora_dropout = 0.2 }
schedule.steps = 4
schedule.batch_size = 4
"#;

/// Scores on eight of the scenes.
const VALIDATION: &str = r#"
[[validation]]
name = "scenes"
every = 4
data.max_s = 1.0
data.sources = [{ name = "scenes", kind = "scenes", count = 8, min_s = 0.5, max_s = 1.0, max_events = 1 }]
"#;

fn tiny() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/checkpoints/tiny")
}

/// A recipe in a folder of its own, and a place for runs of it.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// [`SMALL`] with these keys changed, and the tiny checkpoint's tokenizer: half a second less.
    fn small(edits: &[&str]) -> Self {
        let tokenizer = format!("model.tokenizer = {:?}", tiny());
        Self::of(&edited(&[&[&*tokenizer], edits].concat()))
    }

    fn of(recipe: &str) -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        world.write("recipe.toml", recipe);
        world
    }

    /// [`LORA`] with these keys changed.
    fn lora(edits: &[&str]) -> Self {
        let mut table: toml::Table = toml::from_str(SMALL).unwrap();
        let base = tiny().to_str().unwrap().to_owned();
        table.insert("model".into(), toml::toml! { base = base }.into());
        for edit in [LORA].iter().chain(edits) {
            merge(&mut table, toml::from_str(edit).unwrap());
        }
        Self::of(&table.to_string())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn recipe(&self) -> PathBuf {
        self.at("recipe.toml")
    }

    /// Carries the recipe out in the folder `run`, which is returned with how it ended.
    fn train(&self, run: &str) -> Result<PathBuf, TrainError> {
        let dir = self.at(run);
        train(&self.recipe(), &dir).map(|_| dir)
    }

    /// The message with which the recipe is refused.
    #[track_caller]
    fn refused(&self) -> String {
        self.train("run").unwrap_err().to_string()
    }
}

/// [`SMALL`] with these keys changed.
fn edited(edits: &[&str]) -> String {
    let mut table: toml::Table = toml::from_str(SMALL).unwrap();
    for edit in edits {
        merge(&mut table, toml::from_str(edit).unwrap());
    }
    table.to_string()
}

fn merge(into: &mut toml::Table, edit: toml::Table) {
    for (key, value) in edit {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// Carries out a recipe alone, on one thread, to its end.
fn train(recipe: &Path, run_dir: &Path) -> Result<Ending, TrainError> {
    train_until(recipe, run_dir, u64::MAX)
}

/// As [`train`], and stops after the `last`th step of this call.
fn train_until(recipe: &Path, run_dir: &Path, last: u64) -> Result<Ending, TrainError> {
    let asked = AtomicU64::new(0);
    let stop = || asked.fetch_add(1, Ordering::Relaxed) + 1 >= last;
    train_with(recipe, run_dir, &stop, &mut Alone)
}

/// Carries out a recipe on one thread, as one of several ranks.
fn train_with(
    recipe: &Path,
    run_dir: &Path,
    stop: &(dyn Fn() -> bool + Sync),
    collective: &mut dyn Collective,
) -> Result<Ending, TrainError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    pool.unwrap().install(|| {
        let mut dashboard = Dashboard::new(0, Style::Quiet);
        run::train(recipe, run_dir, stop, collective, &mut dashboard)
    })
}

/// The newest checkpoint of a run.
fn newest(run_dir: &Path) -> PathBuf {
    let all = aurola_train::checkpoint::list(run_dir).unwrap();
    all.last().expect("a checkpoint").1.clone()
}

/// Every number of the newest checkpoint, by file.
fn saved(run_dir: &Path) -> [Vec<u8>; 3] {
    let dir = newest(run_dir);
    [
        "parameters.safetensors",
        "optimizer.safetensors",
        "checkpoint.json",
    ]
    .map(|file| std::fs::read(dir.join(file)).unwrap())
}

/// Every parameter of the newest checkpoint, one after the other, in order of name.
fn parameters(run_dir: &Path) -> Vec<f32> {
    let bytes = std::fs::read(newest(run_dir).join("parameters.safetensors")).unwrap();
    let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names = read.names();
    names.sort_unstable();
    let tensors = names.into_iter().map(|name| read.tensor(name).unwrap());
    tensors.flat_map(|t| floats(t.data())).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|b| f32::from_le_bytes(*b)).collect()
}

/// What a run said of its steps, but for how long they took.
fn steps(run_dir: &Path) -> Vec<StepRecord> {
    let lines = read_metrics(&run_dir.join("metrics.jsonl")).unwrap();
    let steps = lines.into_iter().filter_map(|line| match line.record {
        Record::Step(step) => Some(StepRecord {
            audio_seconds_per_s: 0.0,
            pairs_per_s: 0.0,
            step_s: 0.0,
            wait_s: 0.0,
            ..step
        }),
        _ => None,
    });
    steps.collect()
}

/// A run's scores, in order.
fn scores(run_dir: &Path) -> Vec<(u64, String, f64)> {
    let lines = read_metrics(&run_dir.join("metrics.jsonl")).unwrap();
    let tried = lines.into_iter().filter_map(|line| match line.record {
        Record::Validation(tried) => Some(tried),
        _ => None,
    });
    tried
        .flat_map(|v| {
            v.scores
                .into_iter()
                .map(move |(name, score)| (v.step, name, score))
        })
        .collect()
}

/// ‖a − b‖ / ‖b‖.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |v: f64| v * v;
    let difference: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(a - b))).sum();
    let length: f64 = b.iter().map(|b| square(f64::from(*b))).sum();
    (difference / length).sqrt()
}

/// A second of a tone, as a WAV of 16 bits at 16 kHz.
fn wav(hz: f32) -> Vec<u8> {
    let mut file = b"RIFF".to_vec();
    file.extend((36 + 32_000_u32).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0, 1, 0]); // PCM, one channel
    file.extend(16_000_u32.to_le_bytes());
    file.extend(32_000_u32.to_le_bytes());
    file.extend([2, 0, 16, 0]); // bytes and bits of a sample
    file.extend(b"data");
    file.extend(32_000_u32.to_le_bytes());
    for n in 0..16_000 {
        let at = (n as f32 * hz * std::f32::consts::TAU / 16_000.0).sin();
        file.extend(((at * 8_000.0) as i16).to_le_bytes());
    }
    file
}
