//! `state.json`: which process makes a run, and how many steps it will have.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::ReportError;

/// The state's name in the folder of a run.
pub const STATE_FILE: &str = "state.json";

/// What one needs to know of a run to follow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// The run's name.
    pub name: String,
    /// How many steps it will have made in the end.
    pub total_steps: u64,
    /// Its process; of several, that of rank 0.
    pub pid: u32,
    /// When that process began, in the system's own count, where it tells: a number may be given to
    /// another process later.
    #[serde(default)]
    pub pid_began: Option<u64>,
    /// The machine of that process.
    #[serde(default)]
    pub host: String,
}

impl RunState {
    /// A run that this process makes.
    pub fn of_this_process(name: &str, total_steps: u64) -> Self {
        let pid = std::process::id();
        Self {
            name: name.to_owned(),
            total_steps,
            pid,
            pid_began: began(pid),
            host: host(),
        }
    }

    /// Writes it to [`STATE_FILE`] in `run_dir`: beside it, then over it, so that a reader finds the
    /// old one or the new one.
    ///
    /// # Errors
    ///
    /// [`ReportError::Io`].
    pub fn save(&self, run_dir: &Path) -> Result<(), ReportError> {
        let path = run_dir.join(STATE_FILE);
        // Not a temporary file of the usual kind: those are closed to other users, who may want to
        // watch.
        let beside = run_dir.join(format!(".{STATE_FILE}.{}", std::process::id()));
        let write = || {
            let mut text = serde_json::to_vec_pretty(self).map_err(io::Error::from)?;
            text.push(b'\n');
            let mut file = File::create(&beside)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&beside);
            ReportError::io(&path, "write")(error)
        })
    }

    /// Reads that of `run_dir`.
    ///
    /// # Errors
    ///
    /// [`ReportError::NotARun`] where there is none, [`ReportError::State`] where it makes no sense.
    pub fn load(run_dir: &Path) -> Result<Self, ReportError> {
        let path = run_dir.join(STATE_FILE);
        match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|source| ReportError::State { path, source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ReportError::NotARun { path })
            }
            Err(error) => Err(ReportError::io(path, "read")(error)),
        }
    }

    /// Whether the run's process is there; `None` where this machine cannot tell: the process is
    /// another machine's, or the system has no `/proc`.
    pub fn is_alive(&self) -> Option<bool> {
        if self.host != host() || !Path::new("/proc/self/stat").exists() {
            return None;
        }
        Some(match began(self.pid) {
            None => false,
            now => self.pid_began.is_none() || self.pid_began == now,
        })
    }
}

/// When a process began, from `/proc`; `None` for one that is not there, or dead and not yet buried.
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state …`, and the name may hold anything.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok() // field 22 of proc(5): the third is the state
}

/// This machine's name, or `localhost` where it tells none.
pub(super) fn host() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
