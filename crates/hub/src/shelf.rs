//! The models that are in the cache: what there is, how large, and how to be rid of one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cache::{Cached, MODEL_PREFIX, ModelCache};
use crate::name::is_commit;
use crate::{HubError, HubOptions, ModelName};

/// One commit of a model that lies in the cache, whole enough to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedModel {
    /// `org/name`.
    pub id: String,
    /// The commit.
    pub commit: String,
    /// The branches and tags that point at it.
    pub revisions: Vec<String>,
    /// Its folder.
    pub folder: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
    /// `model_type` of its `config.json`; none for an adapter.
    pub model_type: Option<String>,
}

/// The models in the cache that could be loaded, by name, of whatever architecture: the caller
/// knows which `model_type` it can use. Fetched halfway or pickled ones are not among them.
///
/// # Errors
///
/// [`HubError::Disk`] where the cache is there and cannot be read; one that is not there is empty.
pub fn list(options: &HubOptions) -> Result<Vec<CachedModel>, HubError> {
    let mut models = Vec::new();
    for folder in names_in(&options.cache)? {
        let id = folder
            .strip_prefix(MODEL_PREFIX)
            .map(|id| id.replacen("--", "/", 1));
        let Some(Ok(name)) = id.as_deref().map(str::parse::<ModelName>) else {
            continue;
        };
        let cache = ModelCache::new(&options.cache, &name);
        let revisions = revisions(&cache.folder().join("refs"), "")?;
        for commit in names_in(&cache.folder().join("snapshots"))? {
            if !is_commit(&commit) {
                continue;
            }
            let (Cached::Whole(folder) | Cached::Usable(folder)) = cache.find_commit(&commit)
            else {
                continue;
            };
            let at = revisions.iter().filter(|(_, at)| *at == commit);
            models.push(CachedModel {
                id: name.id().to_owned(),
                revisions: at.map(|(revision, _)| revision.clone()).collect(),
                bytes: bytes_in(&folder)?,
                model_type: model_type(&folder.join("config.json")),
                folder,
                commit,
            });
        }
    }
    Ok(models)
}

/// Deletes a model from the cache, all of its revisions, for Python's programs as well. `name` is
/// `org/name`. Returns how many bytes that freed.
///
/// # Errors
///
/// - [`HubError::NoSuchName`] for what is not a name, or names one revision out of several.
/// - [`HubError::NotCached`] where the cache has no such model.
/// - [`HubError::Disk`] where it cannot be deleted.
pub fn remove(name: &str, options: &HubOptions) -> Result<u64, HubError> {
    let parsed: ModelName = name.parse().map_err(|reason| HubError::NoSuchName {
        name: name.to_owned(),
        reason,
    })?;
    if name.contains('@') {
        return Err(HubError::NoSuchName {
            name: name.to_owned(),
            reason: "a model is deleted with all its revisions, so name none",
        });
    }
    let cache = ModelCache::new(&options.cache, &parsed);
    if !cache.folder().is_dir() {
        return Err(HubError::NotCached {
            name: name.to_owned(),
            cache: options.cache.clone(),
        });
    }
    let bytes = bytes_in(cache.folder())?;
    for folder in [cache.folder(), cache.locks()] {
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(HubError::disk(folder, "delete"))?;
        }
    }
    Ok(bytes)
}

/// The names in a folder, in order; none where there is no folder.
fn names_in(folder: &Path) -> Result<Vec<String>, HubError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let failed = || HubError::disk(folder, "read");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        // What is not Unicode is not ours, nor Python's.
        names.extend(name.into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// Every file under `refs`, as a revision and the commit it points at.
fn revisions(folder: &Path, above: &str) -> Result<Vec<(String, String)>, HubError> {
    let mut found = Vec::new();
    for name in names_in(folder)? {
        let (path, revision) = (folder.join(&name), format!("{above}{name}"));
        if path.is_dir() {
            found.extend(revisions(&path, &format!("{revision}/"))?);
        } else if let Ok(commit) = fs::read_to_string(&path) {
            found.push((revision, commit.trim().to_owned()));
        }
    }
    Ok(found)
}

/// The bytes of all files under a folder, each counted once however often it is linked.
fn bytes_in(folder: &Path) -> Result<u64, HubError> {
    fn visit(folder: &Path, seen: &mut BTreeSet<PathBuf>) -> Result<u64, HubError> {
        let mut bytes = 0;
        for name in names_in(folder)? {
            let path = folder.join(name);
            if path.is_dir() {
                bytes += visit(&path, seen)?;
            } else if let Ok(file) = path.canonicalize()
                && let Ok(meta) = file.metadata()
                && seen.insert(file)
            {
                bytes += meta.len();
            }
        }
        Ok(bytes)
    }
    visit(folder, &mut BTreeSet::new())
}

fn model_type(config: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        model_type: String,
    }
    let config: Config = serde_json::from_slice(&fs::read(config).ok()?).ok()?;
    Some(config.model_type)
}
