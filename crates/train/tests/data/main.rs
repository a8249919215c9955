//! The data of a run from outside: every form by hand, the laws of sampling and loading, and real
//! annotation files where they are.

mod examples;
mod forms;
mod loading;
mod real;
mod recipes;
mod refusals;
mod sampling;

use std::f32::consts::TAU;
use std::path::Path;
use std::sync::Arc;

use aurola_audio::{MelConfig, MelFilters};
use aurola_train::data::{Audio, DataConfig, DataError, Examples, Manifest, Sampler};

/// A recipe's data section.
#[track_caller]
fn config(toml: &str) -> DataConfig {
    toml::from_str(toml).unwrap()
}

/// Reads the sources of a recipe in `folder`.
fn read(folder: &Path, toml: &str) -> Result<Arc<[Manifest]>, DataError> {
    config(toml).read(folder)
}

/// Reads the only source of a recipe in `folder`.
#[track_caller]
fn read_one(folder: &Path, toml: &str) -> Manifest {
    let manifests = read(folder, toml).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(manifests.len(), 1);
    manifests[0].clone()
}

/// The message of a recipe in `folder` that cannot be read.
#[track_caller]
fn refused(folder: &Path, toml: &str) -> String {
    read(folder, toml).unwrap_err().to_string()
}

/// A sampler and what realises its draws.
#[track_caller]
fn run(folder: &Path, toml: &str, batch_size: usize) -> (Arc<Sampler>, Arc<Examples>) {
    let config = config(toml);
    let manifests = config
        .read(folder)
        .unwrap_or_else(|error| panic!("{error}"));
    let filters = MelFilters::new(&MelConfig::default()).unwrap();
    let sampler = Sampler::new(Arc::clone(&manifests), batch_size, 7).unwrap();
    let examples = Examples::new(&config, manifests, filters, folder).unwrap();
    (Arc::new(sampler), Arc::new(examples))
}

/// A WAV of a tone: 16 bits, mono, 16 kHz.
fn tone(seconds: f32, hz: f32) -> Vec<u8> {
    let n = (seconds * 16_000.0) as u32;
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + 2 * n).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    for half in [1_u16, 1] {
        wav.extend(half.to_le_bytes());
    }
    for word in [16_000_u32, 32_000] {
        wav.extend(word.to_le_bytes());
    }
    for half in [2_u16, 16] {
        wav.extend(half.to_le_bytes());
    }
    wav.extend(b"data");
    wav.extend((2 * n).to_le_bytes());
    for i in 0..n {
        let sample = (TAU * hz * i as f32 / 16_000.0).sin() * 8_000.0;
        wav.extend((sample as i16).to_le_bytes());
    }
    wav
}

/// Writes a file, and the folders it lies in.
fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Sounds `a.wav`, `b.wav`, … in `folder/sounds`, each of its own pitch, half a second long.
fn sounds(folder: &Path, names: &[&str]) {
    for (at, name) in (0_u8..).zip(names) {
        let hz = 200.0 + 50.0 * f32::from(at);
        write(folder, &format!("sounds/{name}"), tone(0.5, hz));
    }
}

/// A table of `n` rows with a plain caption each, and their sounds.
fn table_of(folder: &Path, n: usize) {
    let mut csv = String::from("id,caption\n");
    for row in 0..n {
        let name = format!("r{row}");
        csv.push_str(&format!("{name},caption {row}\n"));
        write(
            folder,
            &format!("sounds/{name}.wav"),
            tone(0.3 + 0.01 * row as f32, 100.0 + 10.0 * row as f32),
        );
    }
    write(folder, "table.csv", csv);
}

/// The source that [`table_of`] writes.
const TABLE: &str = r#"
[[sources]]
name = "table"
kind = "table"
file = "table.csv"
audio = ["sounds"]
columns = { id = "id", captions = "caption" }
"#;

/// The name of the file that a row's sound is.
#[track_caller]
fn file_name(audio: &Audio) -> String {
    match audio {
        Audio::File(path) => path.file_name().unwrap().to_str().unwrap().to_owned(),
        other => panic!("{other:?} is no file"),
    }
}
