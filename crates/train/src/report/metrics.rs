//! `metrics.jsonl`: everything a run said, one JSON object per line.
//!
//! A line is whole once its newline is there. Each is handed to the system in one write, so after a
//! `kill -9` at most the last is torn, and a torn line never was.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::error::ReportError;
use super::record::Record;

/// The log's name in the folder of a run.
pub const METRICS_FILE: &str = "metrics.jsonl";

/// A record and when it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricsLine {
    /// Seconds since 1970, UTC.
    pub unix_s: f64,
    /// What was written.
    #[serde(flatten)]
    pub record: Record,
}

/// The log of a run, to be written.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Begins the log of a new run.
    ///
    /// # Errors
    ///
    /// [`ReportError::Exists`] where there is one; [`ReportError::Io`].
    pub fn create(path: &Path) -> Result<Self, ReportError> {
        match OpenOptions::new().append(true).create_new(true).open(path) {
            Ok(file) => Ok(Self {
                path: path.to_owned(),
                file,
            }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(ReportError::Exists {
                    path: path.to_owned(),
                })
            }
            Err(error) => Err(ReportError::io(path, "create")(error)),
        }
    }

    /// Continues the log of a run that goes on after `step`: forgets everything from the first record
    /// of a later step on, and a torn last line. Begins one where there is none.
    ///
    /// # Errors
    ///
    /// [`ReportError::Line`] for a whole line that is no record; [`ReportError::Io`].
    pub fn resume(path: &Path, step: u64) -> Result<Self, ReportError> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(ReportError::io(path, "open"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(ReportError::io(path, "read"))?;
        let mut kept = 0;
        for (line, text) in whole_lines(&bytes).enumerate() {
            let parsed = parse(text).map_err(|source| ReportError::Line {
                path: path.to_owned(),
                line: line + 1,
                source,
            })?;
            if parsed.record.step() > step {
                break;
            }
            kept += text.len();
        }
        file.set_len(kept as u64)
            .map_err(ReportError::io(path, "shorten"))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Writes one record, with the time.
    ///
    /// # Errors
    ///
    /// [`ReportError::Io`], such as on a full disk.
    pub fn append(&mut self, record: &Record) -> Result<(), ReportError> {
        let line = MetricsLine {
            unix_s: unix_s(),
            record: record.clone(),
        };
        let mut text = serde_json::to_vec(&line)
            .map_err(io::Error::from)
            .map_err(ReportError::io(&self.path, "write"))?;
        text.push(b'\n');
        self.file
            .write_all(&text)
            .map_err(ReportError::io(&self.path, "write"))
    }
}

/// Everything in a log; a torn last line is left out.
///
/// # Errors
///
/// [`ReportError::Line`] for a whole line that is no record; [`ReportError::Io`].
pub fn read_metrics(path: &Path) -> Result<Vec<MetricsLine>, ReportError> {
    let bytes = std::fs::read(path).map_err(ReportError::io(path, "read"))?;
    whole_lines(&bytes)
        .enumerate()
        .map(|(line, text)| {
            parse(text).map_err(|source| ReportError::Line {
                path: path.to_owned(),
                line: line + 1,
                source,
            })
        })
        .collect()
}

/// A log that is being written, read as it grows.
#[derive(Debug)]
pub struct MetricsTail {
    path: PathBuf,
    /// Up to where lines were read.
    offset: u64,
    lines: usize,
    /// How the last line read ends, to notice a log that was shortened and grew again.
    mark: Vec<u8>,
}

impl MetricsTail {
    /// A reader at the beginning of a log, which need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            offset: 0,
            lines: 0,
            mark: Vec::new(),
        }
    }

    /// The lines that came since the last call, and whether they begin anew: a resumed run forgets
    /// its last steps, and then everything is read again.
    ///
    /// # Errors
    ///
    /// As for [`read_metrics`].
    pub fn poll(&mut self) -> Result<(bool, Vec<MetricsLine>), ReportError> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((self.begin_anew(), Vec::new()));
            }
            Err(error) => return Err(ReportError::io(&self.path, "open")(error)),
        };
        let from = self.offset - self.mark.len() as u64;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from))
            .and_then(|_| file.read_to_end(&mut bytes))
            .map_err(ReportError::io(&self.path, "read"))?;
        let mut anew = false;
        if !bytes.starts_with(&self.mark) {
            anew = self.begin_anew();
            bytes.clear();
            file.rewind()
                .and_then(|()| file.read_to_end(&mut bytes))
                .map_err(ReportError::io(&self.path, "read"))?;
        }
        let mut records = Vec::new();
        for text in whole_lines(&bytes[self.mark.len()..]) {
            self.lines += 1;
            records.push(parse(text).map_err(|source| ReportError::Line {
                path: self.path.clone(),
                line: self.lines,
                source,
            })?);
            self.offset += text.len() as u64;
        }
        if let Some(last) = whole_lines(&bytes[self.mark.len()..]).last() {
            self.mark = last.to_vec();
        }
        Ok((anew, records))
    }

    /// Whether there was anything to forget.
    fn begin_anew(&mut self) -> bool {
        let anew = self.offset > 0;
        *self = Self::new(&self.path);
        anew
    }
}

/// Lines with their newline; what comes after the last newline is none.
fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split_inclusive(|&byte| byte == b'\n')
        .filter(|line| line.ends_with(b"\n"))
}

fn parse(line: &[u8]) -> Result<MetricsLine, serde_json::Error> {
    serde_json::from_slice(line)
}

pub(super) fn unix_s() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
