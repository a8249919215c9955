//! One model's folder in the shared cache: where things lie, and whether all of them do.
//!
//! ```text
//! models--org--name/
//!   blobs/<hash>                the bytes; <hash>.incomplete while they arrive
//!   snapshots/<commit>/<file>   a link to ../../blobs/<hash>
//!   refs/<revision>             a commit, as text
//!   .aurola/<commit>            ours: the files that make the model whole, one per line
//! .locks/models--org--name/<hash>.lock
//! ```
//!
//! All but `.aurola` is the layout of `huggingface_hub`, which reads past what it does not know.
//! That list is there because a snapshot alone does not tell whether it is whole: another program
//! may have fetched only the files it wanted, and a model without, say, its
//! sentence-transformers files would load, and embed differently.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;

use crate::HubError;
use crate::name::{ModelName, is_commit};

/// The start of the name of every model's folder.
pub(crate) const MODEL_PREFIX: &str = "models--";

/// One model's folder in the cache, which need not exist yet.
#[derive(Debug, Clone)]
pub(crate) struct ModelCache {
    folder: PathBuf,
    locks: PathBuf,
}

/// What the cache knows of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cached {
    /// Every file that the hub lists and we use.
    Whole(PathBuf),
    /// Fetched by another program: what every model needs is there, and the rest may be.
    Usable(PathBuf),
    /// Nothing, or not enough; the files known to be missing where some are there.
    Not(Vec<String>),
}

impl ModelCache {
    pub(crate) fn new(cache: &Path, name: &ModelName) -> Self {
        let folder = format!("{MODEL_PREFIX}{}", name.id().replace('/', "--"));
        Self {
            locks: cache.join(".locks").join(&folder),
            folder: cache.join(folder),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn locks(&self) -> &Path {
        &self.locks
    }

    pub(crate) fn blob(&self, hash: &str) -> PathBuf {
        self.folder.join("blobs").join(hash)
    }

    /// The same name that Python gives a download under way, so that either goes on with the
    /// other's.
    pub(crate) fn incomplete(&self, hash: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{hash}.incomplete"))
    }

    pub(crate) fn lock(&self, hash: &str) -> PathBuf {
        self.locks.join(format!("{hash}.lock"))
    }

    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    fn whole_list(&self, commit: &str) -> PathBuf {
        self.folder.join(".aurola").join(commit)
    }

    /// What is here of the revision that `name` asks for.
    pub(crate) fn find(&self, name: &ModelName) -> Cached {
        let reference = || fs::read_to_string(self.folder.join("refs").join(name.revision())).ok();
        let commit = match name.pinned_commit() {
            Some(commit) => commit.to_owned(),
            None => match reference() {
                Some(text) => text.trim().to_owned(),
                None => return Cached::Not(Vec::new()),
            },
        };
        if is_commit(&commit) {
            self.find_commit(&commit)
        } else {
            Cached::Not(Vec::new())
        }
    }

    /// What is here of one commit.
    pub(crate) fn find_commit(&self, commit: &str) -> Cached {
        let snapshot = self.snapshot(commit);
        if !snapshot.is_dir() {
            return Cached::Not(Vec::new());
        }
        let Ok(list) = fs::read_to_string(self.whole_list(commit)) else {
            let missing = missing_at_least(&snapshot);
            return if missing.is_empty() {
                Cached::Usable(snapshot)
            } else {
                Cached::Not(missing)
            };
        };
        let is_missing = |file: &&str| !snapshot.join(file).is_file();
        let missing: Vec<String> = list.lines().filter(is_missing).map(str::to_owned).collect();
        if missing.is_empty() {
            Cached::Whole(snapshot)
        } else {
            Cached::Not(missing)
        }
    }

    /// Makes `file` of the snapshot point at a blob that is there.
    pub(crate) fn link(&self, commit: &str, file: &str, hash: &str) -> Result<(), HubError> {
        let pointer = self.snapshot(commit).join(file);
        if pointer.is_file() {
            return Ok(());
        }
        // A link whose blob was deleted is there and yet leads nowhere.
        if pointer.symlink_metadata().is_ok() {
            fs::remove_file(&pointer).map_err(HubError::disk(&pointer, "replace"))?;
        }
        create_parent(&pointer)?;
        let up = "../".repeat(2 + file.matches('/').count());
        let target = format!("{up}blobs/{hash}");
        match symlink(Path::new(&target), &pointer) {
            Ok(()) => Ok(()),
            // Another process was faster.
            Err(_) if pointer.is_file() => Ok(()),
            // No links on this disk: the file itself takes the place of the link, as Python does.
            Err(_) => {
                fs::rename(self.blob(hash), &pointer).map_err(HubError::disk(&pointer, "create"))
            }
        }
    }

    /// Writes down that the snapshot is whole, and what the revision points at. The last step of
    /// a download: before it, nothing names the snapshot.
    pub(crate) fn seal(
        &self,
        name: &ModelName,
        commit: &str,
        files: impl Iterator<Item = String>,
    ) -> Result<(), HubError> {
        let list: String = files.flat_map(|file| [file, "\n".to_owned()]).collect();
        self.write(&self.whole_list(commit), list.as_bytes())?;
        if name.pinned_commit().is_none() {
            let reference = self.folder.join("refs").join(name.revision());
            self.write(&reference, commit.as_bytes())?;
        }
        Ok(())
    }

    /// Writes a small file so that it is there wholly or not at all.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), HubError> {
        create_parent(path)?;
        // Beside our own lists, never in `refs`, where Python would take it for a revision.
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let nth = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let scratch = self
            .folder
            .join(".aurola")
            .join(format!("writing.{}.{nth}", std::process::id()));
        create_parent(&scratch)?;
        let written = File::create(&scratch).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written
            .and_then(|()| fs::rename(&scratch, path))
            .and_then(|()| sync_folder_of(path))
            .map_err(HubError::disk(path, "write"))
    }
}

/// The folder above `path`, made where it is missing.
pub(crate) fn create_parent(path: &Path) -> Result<(), HubError> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(HubError::disk(parent, "create")),
        None => Ok(()),
    }
}

/// Makes a rename into the folder of `path` outlast a power cut.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if cfg!(unix) => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    let target: PathBuf = target.components().collect();
    std::os::windows::fs::symlink_file(target, link)
}

/// The files that every model we load needs and `folder` lacks: those of a base model, or those
/// of an adapter.
fn missing_at_least(folder: &Path) -> Vec<String> {
    let here = |name: &str| folder.join(name).is_file();
    if here("adapter_config.json") && !here("config.json") {
        let weights = "adapter_model.safetensors";
        let missing = !here(weights);
        return missing.then(|| weights.to_owned()).into_iter().collect();
    }
    let mut needed: BTreeSet<String> = ["config.json", "tokenizer.json"]
        .map(str::to_owned)
        .into_iter()
        .collect();
    if !here("model.safetensors") {
        match shards(&folder.join("model.safetensors.index.json")) {
            Some(shards) => needed.extend(shards),
            None => {
                needed.insert("model.safetensors".to_owned());
            }
        }
    }
    needed.into_iter().filter(|name| !here(name)).collect()
}

/// The files an index of shards names; none where it cannot be read.
fn shards(index: &Path) -> Option<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::HashMap<String, String>,
    }
    let index: Index = serde_json::from_slice(&fs::read(index).ok()?).ok()?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    (!shards.is_empty()).then_some(shards)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn put(folder: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = folder.join(name);
            create_parent(&path).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn a_snapshot_lacks_its_tokenizer_and_the_shards_its_index_names() {
        let dir = tempfile::tempdir().unwrap();
        let missing = || missing_at_least(dir.path());
        assert_eq!(
            missing(),
            ["config.json", "model.safetensors", "tokenizer.json"]
        );
        let index = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
        put(
            dir.path(),
            &[
                ("config.json", "{}"),
                ("model.safetensors.index.json", index),
                ("model-1.safetensors", ""),
            ],
        );
        assert_eq!(missing(), ["model-2.safetensors", "tokenizer.json"]);
        put(
            dir.path(),
            &[("model-2.safetensors", ""), ("tokenizer.json", "{}")],
        );
        assert!(missing().is_empty());
    }

    #[test]
    fn an_adapter_needs_its_configuration_and_its_weights() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), &[("adapter_config.json", "{}")]);
        assert_eq!(missing_at_least(dir.path()), ["adapter_model.safetensors"]);
        put(dir.path(), &[("adapter_model.safetensors", "")]);
        assert!(missing_at_least(dir.path()).is_empty());
    }

    #[test]
    fn a_snapshot_is_whole_once_sealed_and_until_a_file_goes() {
        let dir = tempfile::tempdir().unwrap();
        let name: ModelName = "a/b".parse().unwrap();
        let cache = ModelCache::new(dir.path(), &name);
        assert_eq!(cache.find(&name), Cached::Not(Vec::new()));

        put(&cache.folder, &[("blobs/x", "1"), ("blobs/y", "2")]);
        cache.link(COMMIT, "config.json", "x").unwrap();
        cache.link(COMMIT, "1_Pooling/config.json", "y").unwrap();
        assert_eq!(cache.find(&name), Cached::Not(Vec::new()), "no reference");
        let files = ["config.json", "1_Pooling/config.json"].map(str::to_owned);
        cache.seal(&name, COMMIT, files.into_iter()).unwrap();
        assert_eq!(cache.find(&name), Cached::Whole(cache.snapshot(COMMIT)));
        let nested = cache.snapshot(COMMIT).join("1_Pooling/config.json");
        assert_eq!(fs::read_to_string(nested).unwrap(), "2");

        fs::remove_file(cache.blob("y")).unwrap();
        let missing = vec!["1_Pooling/config.json".to_owned()];
        assert_eq!(cache.find(&name), Cached::Not(missing));
        put(&cache.folder, &[("blobs/z", "3")]);
        cache.link(COMMIT, "1_Pooling/config.json", "z").unwrap();
        assert_eq!(cache.find(&name), Cached::Whole(cache.snapshot(COMMIT)));
    }
}
