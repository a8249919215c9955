//! Sounds, found by a clip's names whatever their extension.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use aurola_audio::extensions::AUDIO_EXTENSIONS;

use super::{Task, without_extension};
use crate::error::{EvalError, Place};

/// A task and where its sounds are.
#[derive(Debug, Clone)]
pub struct Located {
    /// The clips that were found, and what is said of them.
    pub task: Task,
    /// For each clip, its file.
    pub files: Vec<PathBuf>,
    /// Ids of the clips that were not found.
    pub missing: Vec<String>,
}

pub(crate) fn is_sound(extension: &str) -> bool {
    AUDIO_EXTENSIONS
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

/// Looks for every clip of `task` at or below `folder`: by its path within it, else by its file name.
///
/// # Errors
///
/// [`EvalError`] where the folder cannot be read, or where one name is in two places with different bytes: splits of
/// Clotho share names and not sounds, so they must not lie in one folder.
pub fn find(task: Task, folder: &Path) -> Result<Located, EvalError> {
    let mut by_name: HashMap<String, Vec<PathBuf>> = HashMap::new();
    for path in sounds(folder)? {
        let Ok(relative) = path.strip_prefix(folder) else {
            continue;
        };
        // A name that is not UTF-8 is none of a benchmark's.
        let Some(relative) = relative.to_str() else {
            continue;
        };
        let relative = without_extension(relative).replace('\\', "/");
        let base = relative.rsplit('/').next().unwrap_or(&relative).to_owned();
        if base != relative {
            by_name.entry(base).or_default().push(path.clone());
        }
        by_name.entry(relative).or_default().push(path);
    }
    let (mut files, mut missing, mut keep) = (Vec::new(), Vec::new(), Vec::new());
    for clip in &task.clips {
        let found = clip.names.iter().find_map(|name| by_name.get(name));
        keep.push(found.is_some());
        match found.map(Vec::as_slice) {
            None | Some([]) => missing.push(clip.id.clone()),
            Some([one]) => files.push(one.clone()),
            Some([first, others @ ..]) => {
                for other in others {
                    if !same_bytes(first, other)? {
                        return Err(EvalError::input(
                            folder,
                            Place::Whole,
                            format!(
                                "clip `{}` is {} and {}",
                                clip.id,
                                first.display(),
                                other.display()
                            ),
                            "these are different sounds under one name: give --audio the folder of this split only",
                        ));
                    }
                }
                files.push(first.clone());
            }
        }
    }
    Ok(Located {
        task: task.restricted(&keep),
        files,
        missing,
    })
}

/// All files below `folder` that are named like sounds, in order; names that begin with a dot are left alone.
fn sounds(folder: &Path) -> Result<Vec<PathBuf>, EvalError> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(&below).map_err(EvalError::reading(&below))? {
            let path = entry.map_err(EvalError::reading(&below))?.path();
            if path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
            {
                continue;
            }
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            }; // a link to nothing
            if metadata.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .and_then(OsStr::to_str)
                .is_some_and(is_sound)
            {
                found.insert(path, ());
            }
        }
    }
    Ok(found.into_keys().collect())
}

fn same_bytes(a: &Path, b: &Path) -> Result<bool, EvalError> {
    let hash = |path: &Path| -> Result<blake3::Hash, EvalError> {
        let mut hasher = blake3::Hasher::new();
        let file = fs::File::open(path).map_err(EvalError::reading(path))?;
        hasher
            .update_reader(file)
            .map_err(EvalError::reading(path))?;
        Ok(hasher.finalize())
    };
    Ok(hash(a)? == hash(b)?)
}
