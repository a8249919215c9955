//! TensorBoard's event files: curves, in the framing of TFRecord and the encoding of protobuf.
//!
//! ```text
//! file   = record*
//! record = u64 length │ u32 masked crc of the length │ Event │ u32 masked crc of the Event
//! Event  { 1: double wall_time, 2: int64 step,
//!          3: string file_version | 5: Summary | 7: SessionLog { 1: status } }
//! Summary { 1: Value { 1: string tag, 2: float simple_value } * }
//! ```
//!
//! Written by hand from `event.proto` and `summary.proto` of TensorFlow: five fields do not need a
//! protobuf library.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::crc32c::masked;
use super::error::ReportError;
use super::metrics::unix_s;
use super::record::Record;
use super::state::host;

/// Tells the files of one process apart.
static FILES: AtomicU64 = AtomicU64::new(0);

/// `SessionLog.status` of a run that starts; what was written of this step and later is void.
const START: u64 = 1;

/// An event file, to be written.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// A new file in `folder`, which is made where it is missing:
    /// `events.out.tfevents.<unix seconds>.<host>.<pid>.<n>`.
    ///
    /// # Errors
    ///
    /// [`ReportError::Io`].
    pub fn create(folder: &Path) -> Result<Self, ReportError> {
        std::fs::create_dir_all(folder).map_err(ReportError::io(folder, "create"))?;
        let now = unix_s();
        let path = folder.join(format!(
            "events.out.tfevents.{:010}.{}.{}.{}",
            now as u64,
            host(),
            std::process::id(),
            FILES.fetch_add(1, Ordering::Relaxed)
        ));
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(ReportError::io(&path, "create"))?;
        let mut events = Self { path, file };
        events.write(&event(now, 0, &string(3, "brain.Event:2")))?;
        Ok(events)
    }

    /// A new file in `folder` for a run that goes on after `step`: it tells TensorBoard to forget
    /// what earlier files say of later steps.
    ///
    /// # Errors
    ///
    /// [`ReportError::Io`].
    pub fn resume(folder: &Path, step: u64) -> Result<Self, ReportError> {
        let mut events = Self::create(folder)?;
        let mut status = Vec::new();
        key(&mut status, 1, VARINT);
        varint(&mut status, START);
        events.write(&event(unix_s(), step + 1, &bytes(7, &status)))?;
        Ok(events)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes values of one step, each by its tag, such as `train/loss`.
    ///
    /// # Errors
    ///
    /// [`ReportError::Io`], such as on a full disk.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), ReportError> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut one = string(1, tag);
            key(&mut one, 2, FIXED32);
            one.extend((*value as f32).to_le_bytes());
            summary.extend(bytes(1, &one));
        }
        self.write(&event(unix_s(), step, &bytes(5, &summary)))
    }

    /// Writes the numbers of a record: `train/…` of what is learned, `speed/…` of how fast,
    /// `validation/<name>/…` of how well. What happened to a run has none.
    ///
    /// # Errors
    ///
    /// As for [`EventFile::scalars`].
    pub fn record(&mut self, record: &Record) -> Result<(), ReportError> {
        match record {
            Record::Step(step) => {
                let extra: Vec<(String, f64)> = step
                    .extra
                    .iter()
                    .map(|(name, value)| (format!("train/{name}"), *value))
                    .collect();
                let mut values = vec![
                    ("train/loss", step.loss),
                    ("train/learning_rate", step.learning_rate),
                    ("train/gradient_norm", step.gradient_norm),
                    ("train/epoch", step.epoch),
                    ("train/skipped", step.skipped as f64),
                    ("speed/audio_seconds_per_s", step.audio_seconds_per_s),
                    ("speed/pairs_per_s", step.pairs_per_s),
                    ("speed/step_s", step.step_s),
                    ("speed/wait_s", step.wait_s),
                    ("speed/chunk", step.chunk as f64),
                ];
                values.extend(extra.iter().map(|(tag, value)| (tag.as_str(), *value)));
                self.scalars(step.step, &values)
            }
            Record::Validation(validation) => {
                let values: Vec<(String, f64)> = validation
                    .scores
                    .iter()
                    .map(|(score, value)| {
                        (format!("validation/{}/{score}", validation.name), *value)
                    })
                    .collect();
                let values: Vec<(&str, f64)> = values
                    .iter()
                    .map(|(tag, value)| (tag.as_str(), *value))
                    .collect();
                self.scalars(validation.step, &values)
            }
            Record::Event(_) => Ok(()),
        }
    }

    fn write(&mut self, event: &[u8]) -> Result<(), ReportError> {
        let length = (event.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked(&length).to_le_bytes());
        record.extend(event);
        record.extend(masked(event).to_le_bytes());
        self.file
            .write_all(&record)
            .map_err(ReportError::io(&self.path, "write"))
    }
}

/// Wire types of protobuf.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

fn event(wall_time: f64, step: u64, what: &[u8]) -> Vec<u8> {
    let mut event = Vec::new();
    key(&mut event, 1, FIXED64);
    event.extend(wall_time.to_le_bytes());
    key(&mut event, 2, VARINT);
    varint(&mut event, step);
    event.extend(what);
    event
}

fn key(to: &mut Vec<u8>, field: u64, wire_type: u64) {
    varint(to, field << 3 | wire_type);
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(content.len() + 6);
    key(&mut all, field, LENGTH);
    varint(&mut all, content.len() as u64);
    all.extend(content);
    all
}

fn string(field: u64, text: &str) -> Vec<u8> {
    bytes(field, text.as_bytes())
}
