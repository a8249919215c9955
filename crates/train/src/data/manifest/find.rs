//! Sounds by name: which file under the given folders is meant by an id.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use aurola_audio::is_audio_path;

use super::super::DataError;
use super::super::error::Place;

/// Folders, listed when they are first asked about: a source of millions of rows asks the disk once a
/// folder, and not once an extension.
#[derive(Debug)]
pub(super) struct Finder {
    roots: Vec<PathBuf>,
    listed: HashMap<PathBuf, Listing>,
}

/// The sound files of a folder.
#[derive(Debug, Default)]
struct Listing {
    /// By name.
    names: HashSet<OsString>,
    /// By name without extension.
    stems: HashMap<OsString, Vec<OsString>>,
}

impl Finder {
    /// Looks in `roots`, in turn.
    ///
    /// # Errors
    ///
    /// [`DataError::File`] for a root that is no folder.
    pub(super) fn new(roots: Vec<PathBuf>) -> Result<Self, DataError> {
        for root in &roots {
            if !root.is_dir() {
                return Err(DataError::file(root, "is not a folder of sounds"));
            }
        }
        Ok(Self {
            roots,
            listed: HashMap::new(),
        })
    }

    /// The folders, for messages.
    pub(super) fn roots(&self) -> String {
        let shown: Vec<String> = self.roots.iter().map(|r| r.display().to_string()).collect();
        shown.join(", ")
    }

    /// The file called `name` (which may have folders in it) under the first root that has one: of that
    /// name; else of that name and a sound's extension; else, where `name` itself ends in one, with
    /// another one for it.
    ///
    /// # Errors
    ///
    /// [`DataError::Row`] where two files answer to the name, or it leads out of the root;
    /// [`DataError::File`] where a folder cannot be listed.
    pub(super) fn find(&mut self, name: &str, place: &Place) -> Result<Option<PathBuf>, DataError> {
        let name = Path::new(name);
        let stays = |part| {
            matches!(
                part,
                std::path::Component::Normal(_) | std::path::Component::CurDir
            )
        };
        if !name.components().all(stays) {
            let reason = format!("`{}` leads out of the folders of sounds", name.display());
            return Err(DataError::row(place, reason));
        }
        let Some(file) = name.file_name() else {
            return Ok(None);
        };
        for root in 0..self.roots.len() {
            let folder = match name.parent() {
                Some(parent) => self.roots[root].join(parent),
                None => self.roots[root].clone(),
            };
            let listing = self.list(&folder)?;
            if listing.names.contains(file) {
                return Ok(Some(folder.join(file)));
            }
            let mut stems = vec![file];
            if is_audio_path(name) {
                stems.extend(name.file_stem());
            }
            for stem in stems {
                match listing.stems.get(stem).map(Vec::as_slice) {
                    Some([only]) => return Ok(Some(folder.join(only))),
                    Some([first, second, ..]) => {
                        let reason = format!(
                            "`{}` is both {} and {} in {}",
                            name.display(),
                            first.display(),
                            second.display(),
                            folder.display()
                        );
                        return Err(DataError::row(place, reason));
                    }
                    _ => {}
                }
            }
        }
        Ok(None)
    }

    fn list(&mut self, folder: &Path) -> Result<&Listing, DataError> {
        if !self.listed.contains_key(folder) {
            let listing = read(folder).map_err(|error| DataError::file(folder, error))?;
            self.listed.insert(folder.to_owned(), listing);
        }
        Ok(&self.listed[folder])
    }
}

/// A folder that is not there has no sounds; one that cannot be read is an error.
fn read(folder: &Path) -> std::io::Result<Listing> {
    let mut listing = Listing::default();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(listing),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name();
        let path = Path::new(&name);
        if is_audio_path(path)
            && let Some(stem) = path.file_stem()
        {
            let same = listing.stems.entry(stem.to_owned()).or_default();
            same.push(name.clone());
            same.sort_unstable();
        }
        listing.names.insert(name);
    }
    Ok(listing)
}
