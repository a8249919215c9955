//! Paths a person gave, as the sounds below them.
//!
//! - A file that is named is taken, whatever its name ends in.
//! - In a folder, files count whose name ends like a sound's, at any depth. Names that begin with a
//!   dot are passed over: they are caches, trash, and the shadow files some systems leave beside
//!   each sound. `.gitignore` and its kin are not read; they say nothing about sounds.
//! - Links are followed, since libraries are put together from them. A link back to a folder above
//!   it is passed over: what it leads to is already found.
//! - A file reached twice under one name is one file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use aurola_audio::is_audio_path;
use aurola_retrieval::store::FileState;
use ignore::WalkBuilder;

use crate::{EngineError, Skipped};

/// A sound file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundFile {
    /// As the person would name it: what they gave, and the way down from there.
    pub shown: PathBuf,
    /// Absolute, links in the part they gave resolved: the store's name for it.
    pub absolute: PathBuf,
    /// What it looks like now.
    pub state: FileState,
}

/// What lies below the paths a person gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Sounds, in order of their absolute path.
    pub files: Vec<SoundFile>,
    /// What could not be looked at.
    pub skipped: Vec<Skipped>,
    /// The folders among what was given, absolute.
    pub folders: Vec<PathBuf>,
}

/// Looks below each of `paths`.
///
/// # Errors
///
/// [`EngineError::NoSuchPath`] for one that is not there, [`EngineError::NotAFile`] for one that is
/// neither a folder nor a regular file. What goes wrong deeper down is in [`Found::skipped`].
pub fn walk(paths: &[PathBuf]) -> Result<Found, EngineError> {
    let mut found = Found::default();
    for path in paths {
        let no_such_path = |source| EngineError::NoSuchPath {
            path: path.clone(),
            source,
        };
        let absolute = std::fs::canonicalize(path).map_err(no_such_path)?;
        let metadata = std::fs::metadata(&absolute).map_err(no_such_path)?;
        if metadata.is_dir() {
            below(path, &absolute, &mut found);
            found.folders.push(absolute);
        } else if metadata.is_file() {
            found.files.push(SoundFile {
                shown: path.clone(),
                absolute,
                state: FileState::of(&metadata),
            });
        } else {
            return Err(EngineError::NotAFile { path: path.clone() });
        }
    }
    let mut seen = HashSet::new();
    found
        .files
        .retain(|file| seen.insert(file.absolute.clone()));
    found.files.sort_by(|a, b| a.absolute.cmp(&b.absolute));
    Ok(found)
}

fn below(given: &Path, absolute: &Path, found: &mut Found) {
    let mut builder = WalkBuilder::new(absolute);
    builder
        .standard_filters(false)
        .hidden(true)
        .follow_links(true);
    for entry in builder.build() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                if !is_loop(&error) {
                    found.skipped.push(Skipped {
                        path: shown(given, absolute, path_of(&error).unwrap_or(absolute)),
                        reason: reason(&error),
                    });
                }
                continue;
            }
        };
        if !is_audio_path(entry.path()) || entry.file_type().is_some_and(|kind| kind.is_dir()) {
            continue;
        }
        let shown = shown(given, absolute, entry.path());
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => found.files.push(SoundFile {
                shown,
                state: FileState::of(&metadata),
                absolute: entry.into_path(),
            }),
            // A pipe or a device of such a name would be waited for without end.
            Ok(_) => found.skipped.push(Skipped {
                path: shown,
                reason: "not a regular file".into(),
            }),
            Err(error) => found.skipped.push(Skipped {
                path: shown,
                reason: reason(&error),
            }),
        }
    }
}

/// `path`, which lies below `absolute`, the way the person would name it.
fn shown(given: &Path, absolute: &Path, path: &Path) -> PathBuf {
    match path.strip_prefix(absolute) {
        Ok(rest) if given == Path::new(".") => rest.to_path_buf(),
        Ok(rest) if rest.as_os_str().is_empty() => given.to_path_buf(),
        Ok(rest) => given.join(rest),
        Err(_) => path.to_path_buf(),
    }
}

fn is_loop(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } => is_loop(err),
        _ => false,
    }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } => path_of(err),
        _ => None,
    }
}

/// What the system said, without the path: that is shown beside it.
fn reason(error: &ignore::Error) -> String {
    match error {
        ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } => reason(err),
        // Its own message repeats the operation and the path around the system's words.
        ignore::Error::Io(error) => match std::error::Error::source(error) {
            Some(cause) => cause.to_string(),
            None => error.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(found: &Found, top: &Path) -> Vec<String> {
        let relative = |file: &SoundFile| file.shown.strip_prefix(top).unwrap().to_owned();
        let mut names: Vec<String> = found
            .files
            .iter()
            .map(|file| relative(file).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn sounds_at_any_depth_and_named_files_of_any_name_but_no_hidden_ones() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::create_dir_all(top.join(".trash")).unwrap();
        for name in [
            "a/b/1.wav",
            "2.FLAC",
            ".hidden.wav",
            ".trash/3.wav",
            "4.txt",
            ".gitignore",
        ] {
            fs::write(top.join(name), "*").unwrap();
        }
        let found = walk(&[top.to_path_buf()]).unwrap();
        assert_eq!(names(&found, top), ["2.FLAC", "a/b/1.wav"]);
        assert!(found.skipped.is_empty());
        let named = walk(&[
            top.join("4.txt"),
            top.join(".hidden.wav"),
            top.to_path_buf(),
        ])
        .unwrap();
        assert_eq!(
            names(&named, top),
            [".hidden.wav", "2.FLAC", "4.txt", "a/b/1.wav"]
        );
    }

    #[test]
    fn one_file_given_twice_is_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("1.wav");
        fs::write(&file, "").unwrap();
        let found = walk(&[file.clone(), folder.path().to_path_buf(), file]).unwrap();
        assert_eq!(found.files.len(), 1);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let missing = PathBuf::from("no/such/place");
        let error = walk(std::slice::from_ref(&missing)).unwrap_err();
        assert!(matches!(error, EngineError::NoSuchPath { path, .. } if path == missing));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_loops_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        fs::create_dir_all(top.join("sounds/deep")).unwrap();
        fs::create_dir_all(top.join("drive")).unwrap();
        fs::write(top.join("drive/1.wav"), "").unwrap();
        std::os::unix::fs::symlink(top.join("drive"), top.join("sounds/drive")).unwrap();
        std::os::unix::fs::symlink(top.join("sounds"), top.join("sounds/deep/up")).unwrap();
        std::os::unix::fs::symlink(top.join("gone.wav"), top.join("sounds/gone.wav")).unwrap();
        let found = walk(&[top.join("sounds")]).unwrap();
        assert_eq!(names(&found, &top.join("sounds")), ["drive/1.wav"]);
        let skipped: Vec<_> = found.skipped.iter().map(|s| s.path.clone()).collect();
        assert_eq!(skipped, [top.join("sounds/gone.wav")]);
        let reason = &found.skipped[0].reason;
        assert!(
            reason.starts_with("No such file"),
            "the path is said once: {reason}"
        );
    }
}
