//! A run on disk: everything it needs to go on as if it had not stopped.
//!
//! ```text
//! runs/NAME/checkpoint-000400/
//!   parameters.safetensors   what is trained, f32
//!   optimizer.safetensors    its running moments
//!   checkpoint.json          steps done, what was skipped, the recipe's fingerprint
//! ```
//!
//! The data's position and everything random follow from the number of steps and the recipe's seed. A
//! checkpoint is written beside its place, synced, and renamed: after any crash a folder of its name is
//! whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::optimizer::Moments;
use crate::thinker::Parameters;

const PREFIX: &str = "checkpoint-";
const PARAMETERS: &str = "parameters.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "checkpoint.json";

/// What else a run remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopState {
    /// Steps done.
    pub step: u64,
    /// Examples left out so far.
    pub skipped: u64,
    /// Items that go through the model together since the memory was not enough for the recipe's number.
    #[serde(default)]
    pub chunk: Option<usize>,
    /// Of the resolved recipe: another one cannot go on from here.
    pub recipe: String,
}

/// A checkpoint, read.
#[derive(Debug)]
pub struct Saved {
    /// The loop's state.
    pub state: LoopState,
    /// The optimizer's moments, parameter by parameter.
    pub moments: Vec<Moments>,
}

/// Saves a checkpoint in `run_dir` and returns its folder.
///
/// # Errors
///
/// [`TrainError::Io`]: a full disk among others. Older checkpoints are as they were.
pub fn save(
    run_dir: &Path,
    state: &LoopState,
    parameters: &Parameters,
    moments: &[Moments],
) -> Result<PathBuf, TrainError> {
    let dir = run_dir.join(format!("{PREFIX}{:08}", state.step));
    let beside = run_dir.join(format!(".{PREFIX}{:08}.partial", state.step));
    let written = write_all(&beside, state, parameters, moments).and_then(|()| {
        remove_whole(&dir)?;
        fs::rename(&beside, &dir).map_err(TrainError::io(&dir))?;
        sync_folder(run_dir)
    });
    if let Err(error) = written {
        // What could not be finished is in nobody's way.
        let _ = fs::remove_dir_all(&beside);
        return Err(error);
    }
    Ok(dir)
}

fn write_all(
    dir: &Path,
    state: &LoopState,
    parameters: &Parameters,
    moments: &[Moments],
) -> Result<(), TrainError> {
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(TrainError::io(dir))?;
    }
    fs::create_dir_all(dir).map_err(TrainError::io(dir))?;
    let tensors = parameters
        .iter()
        .map(|p| (p.name.clone(), p.shape.clone(), &p.values[..]));
    write_tensors(&dir.join(PARAMETERS), tensors)?;
    let halves = parameters.iter().zip(moments).flat_map(|(p, m)| {
        [("first", &m.first[..]), ("second", &m.second[..])]
            .map(|(half, values)| (format!("{half}.{}", p.name), p.shape.clone(), values))
    });
    write_tensors(&dir.join(OPTIMIZER), halves)?;
    let path = dir.join(STATE);
    let text = serde_json::to_string_pretty(state).expect("a state is JSON") + "\n";
    write_synced(&path, text.as_bytes())?;
    sync_folder(dir)
}

/// Reads what else the run of the checkpoint in `dir` remembers.
///
/// # Errors
///
/// [`TrainError::Checkpoint`] where it is damaged.
pub fn state(dir: &Path) -> Result<LoopState, TrainError> {
    let path = dir.join(STATE);
    let text = read(&path)?;
    serde_json::from_slice(&text).map_err(|e| damaged(&path, &e))
}

/// Reads the checkpoint in `dir` into `parameters`.
///
/// # Errors
///
/// [`TrainError::Checkpoint`] where it is damaged or of another model.
pub fn load(dir: &Path, parameters: &mut Parameters) -> Result<Saved, TrainError> {
    let state = state(dir)?;
    let names: Vec<(String, Vec<usize>)> = parameters
        .iter()
        .map(|p| (p.name.clone(), p.shape.clone()))
        .collect();
    let path = dir.join(PARAMETERS);
    let bytes = read(&path)?;
    let tensors = parse(&path, &bytes)?;
    for ((name, shape), values) in names.iter().zip(parameters.values_mut()) {
        values.copy_from_slice(&numbers(&path, &tensors, name, shape)?);
    }
    let path = dir.join(OPTIMIZER);
    let bytes = read(&path)?;
    let tensors = parse(&path, &bytes)?;
    let moments = names
        .iter()
        .map(|(name, shape)| {
            Ok(Moments {
                first: numbers(&path, &tensors, &format!("first.{name}"), shape)?,
                second: numbers(&path, &tensors, &format!("second.{name}"), shape)?,
            })
        })
        .collect::<Result<_, TrainError>>()?;
    Ok(Saved { state, moments })
}

/// The checkpoints in `run_dir`, oldest first: steps and folder.
///
/// # Errors
///
/// [`TrainError::Io`] where the folder cannot be read.
pub fn list(run_dir: &Path) -> Result<Vec<(u64, PathBuf)>, TrainError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(run_dir).map_err(TrainError::io(run_dir))? {
        let path = entry.map_err(TrainError::io(run_dir))?.path();
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        if let Some(step) = name.strip_prefix(PREFIX).and_then(|s| s.parse().ok()) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes all but the newest `keep` checkpoints, and what a crash left unfinished.
///
/// # Errors
///
/// [`TrainError::Io`].
pub fn prune(run_dir: &Path, keep: usize) -> Result<(), TrainError> {
    let found = list(run_dir)?;
    for (_, path) in &found[..found.len().saturating_sub(keep)] {
        remove_whole(path)?;
    }
    for entry in fs::read_dir(run_dir).map_err(TrainError::io(run_dir))? {
        let path = entry.map_err(TrainError::io(run_dir))?.path();
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        if name.starts_with(&format!(".{PREFIX}")) {
            fs::remove_dir_all(&path).map_err(TrainError::io(&path))?;
        }
    }
    Ok(())
}

/// Removes a checkpoint so that after a crash it is there as a whole or not at all.
fn remove_whole(dir: &Path) -> Result<(), TrainError> {
    if !dir.exists() {
        return Ok(());
    }
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let aside = dir.with_file_name(format!(".{name}.removed"));
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(TrainError::io(&aside))?;
    }
    fs::rename(dir, &aside).map_err(TrainError::io(dir))?;
    fs::remove_dir_all(&aside).map_err(TrainError::io(&aside))
}

/// Writes `f32` tensors as safetensors, synced.
pub(crate) fn write_tensors<'t>(
    path: &Path,
    tensors: impl Iterator<Item = (String, Vec<usize>, &'t [f32])>,
) -> Result<(), TrainError> {
    let owned: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .map(|(name, shape, values)| {
            (
                name,
                shape,
                values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            )
        })
        .collect();
    let views = owned.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (name.as_str(), view.expect("as many numbers as the shape"))
    });
    let bytes = safetensors::serialize(views, None).map_err(|e| TrainError::Checkpoint {
        path: path.to_owned(),
        reason: e.to_string(),
    })?;
    write_synced(path, &bytes)
}

/// Writes a file whose bytes are on the disk when it returns.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let mut file = File::create(path).map_err(TrainError::io(path))?;
    file.write_all(bytes).map_err(TrainError::io(path))?;
    file.sync_all().map_err(TrainError::io(path))
}

fn sync_folder(dir: &Path) -> Result<(), TrainError> {
    if cfg!(unix) {
        let file = File::open(dir).map_err(TrainError::io(dir))?;
        file.sync_all().map_err(TrainError::io(dir))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, TrainError> {
    fs::read(path).map_err(|e| damaged(path, &e))
}

fn damaged(path: &Path, error: &dyn std::fmt::Display) -> TrainError {
    let dir = path.parent().unwrap_or(path);
    TrainError::Checkpoint {
        path: path.to_owned(),
        reason: format!(
            "damaged: {error}; remove the folder {}, and the run goes on from the checkpoint before it",
            dir.display()
        ),
    }
}

fn parse<'b>(path: &Path, bytes: &'b [u8]) -> Result<safetensors::SafeTensors<'b>, TrainError> {
    safetensors::SafeTensors::deserialize(bytes).map_err(|e| damaged(path, &e))
}

fn numbers(
    path: &Path,
    tensors: &safetensors::SafeTensors<'_>,
    name: &str,
    shape: &[usize],
) -> Result<Vec<f32>, TrainError> {
    let refuse = |reason: String| TrainError::Checkpoint {
        path: path.to_owned(),
        reason,
    };
    let view = tensors
        .tensor(name)
        .map_err(|_| refuse(format!("no tensor {name}; the recipe trains another model")))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(refuse(format!(
            "{name} is {:?} {:?}; the recipe's model has F32 {shape:?}",
            view.dtype(),
            view.shape()
        )));
    }
    Ok(view
        .data()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect())
}
