//! The program as its users meet it: the real binary, real files, the tiny checkpoint.

mod commands;
mod conventions;
mod demo;
mod ending;
mod indexing;
mod searching;
mod serving;
mod settings;
mod train;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::Value;

/// A folder of sounds, and a data folder of its own.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// `<hertz>.wav` for each, a second long.
    fn of_tones(tones: &[u32]) -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(world.sounds()).unwrap();
        for hertz in tones {
            write_wav(
                &world.sound(format!("{hertz}.wav")),
                16_000,
                &tone(*hertz, 16_000),
            );
        }
        world
    }

    fn sounds(&self) -> PathBuf {
        self.folder.path().join("sounds")
    }

    fn sound(&self, name: impl AsRef<Path>) -> PathBuf {
        self.sounds().join(name)
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("data/aurola/library.sqlite")
    }

    /// The program in this world: none of our own settings reach it.
    fn aurola(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aurola"));
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if ["AUROLA_", "HF_", "XDG_"]
                .iter()
                .any(|p| name_text.starts_with(p))
            {
                command.env_remove(&name);
            }
        }
        command
            .args(arguments)
            .env("XDG_DATA_HOME", self.folder.path().join("data"))
            .env("XDG_CACHE_HOME", self.folder.path().join("cache"))
            .env("HF_HOME", self.folder.path().join("hub"))
            .env("HF_HUB_OFFLINE", "1")
            .env_remove("CI")
            .env_remove("NO_COLOR")
            .env_remove("FORCE_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it with the tiny checkpoint.
    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.aurola(arguments).env("AUROLA_MODEL", checkpoint()))
    }
}

/// How a run ended and what it said.
struct Run {
    code: Option<i32>,
    out: Vec<u8>,
    err: String,
}

impl Run {
    fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    fn out(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// Standard output as JSON lines.
    fn lines(&self) -> Vec<Value> {
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.out().lines().map(parse).collect()
    }

    #[track_caller]
    fn ends_with(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout: {:?}\nstderr: {}",
            self.out,
            self.err
        );
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: output.stdout,
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Random weights in the published layout; see its `ORIGIN.md` for what wrote it.
fn checkpoint() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/checkpoints/tiny")
}

/// `samples` samples of a sine at half of full scale, 16 kHz.
fn tone(hertz: u32, samples: u32) -> Vec<i16> {
    let step = f64::from(hertz) * std::f64::consts::TAU / 16_000.0;
    (0..samples)
        .map(|n| (16_000.0 * (f64::from(n) * step).sin()) as i16)
        .collect()
}

/// Writes 16-bit mono.
fn write_wav(path: &Path, rate: u32, samples: &[i16]) {
    let data = samples.len() as u32 * 2;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0, 1, 0]); // PCM, one channel
    file.extend(rate.to_le_bytes());
    file.extend((rate * 2).to_le_bytes());
    file.extend([2, 0, 16, 0]); // bytes and bits of a sample
    file.extend(b"data");
    file.extend(data.to_le_bytes());
    for sample in samples {
        file.extend(sample.to_le_bytes());
    }
    std::fs::write(path, file).unwrap();
    // An hour ago: bytes hashed within a clock step of their change are hashed again next time.
    let written = std::fs::File::options().write(true).open(path).unwrap();
    let before = SystemTime::now() - Duration::from_secs(3600);
    written.set_modified(before).unwrap();
}

/// The names of an object's members, in order.
fn keys(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}
