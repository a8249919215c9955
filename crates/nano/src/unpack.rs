//! From bytes in the program to folders on the disk, once.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::{File, MODEL, RERANKER, reranker};

/// Where the model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The embedder: a checkpoint's folder.
    pub model: PathBuf,
    /// The re-ranker, where there is one: a checkpoint's folder as well.
    pub reranker: Option<PathBuf>,
}

/// Makes sure that the model is below `cache`, whole: in `nano-<hash of its contents>`, so that versions lie
/// beside each other.
///
/// Files that are there are compared byte by byte, and one that differs is replaced; what does not belong
/// there is removed, since some names would change what a checkpoint means. Each file appears under its
/// name at once and whole, so several processes may do this together, and one that reads is not disturbed.
///
/// # Errors
///
/// Where `cache` can be neither made nor written although something is missing; the message names the place.
pub fn unpack(cache: &Path) -> io::Result<Unpacked> {
    let root = root(cache);
    let model = root.join("model");
    fill(&root, &model, MODEL)?;
    let second = reranker();
    let reranker = (!second.is_empty()).then(|| root.join("reranker"));
    if let Some(folder) = &reranker {
        fill(&root, folder, &second)?;
    }
    Ok(Unpacked { model, reranker })
}

/// `nano-<hash>` below `cache`.
pub(crate) fn root(cache: &Path) -> PathBuf {
    static HASH: LazyLock<String> = LazyLock::new(|| {
        let mut hasher = blake3::Hasher::new();
        for (folder, files) in [("model", MODEL), ("reranker", RERANKER)] {
            for file in files {
                // Lengths first, so that no name can run over into a file.
                let heading = format!("{folder}/{} {}\n", file.name, file.bytes.len());
                hasher.update(heading.as_bytes()).update(file.bytes);
            }
        }
        hasher.finalize().to_hex()[..16].to_owned()
    });
    cache.join(format!("nano-{}", *HASH))
}

/// Makes `folder` hold exactly `files`. What is being written lies in `root`, out of its way.
fn fill(root: &Path, folder: &Path, files: &[File]) -> io::Result<()> {
    let named = |path: &Path, error: io::Error| {
        let reason = format!(
            "{}: the model that comes along cannot be unpacked: {error}",
            path.display()
        );
        io::Error::new(error.kind(), reason)
    };
    let is_folder = fs::symlink_metadata(folder).map(|metadata| metadata.is_dir());
    if matches!(is_folder, Ok(false)) {
        fs::remove_file(folder).map_err(|error| named(folder, error))?;
    }
    fs::create_dir_all(folder).map_err(|error| named(folder, error))?;
    for file in files {
        let path = folder.join(file.name);
        if !is_whole(&path, file.bytes) {
            write(root, &path, file.bytes).map_err(|error| named(folder, error))?;
        }
    }
    remove_others(folder, files).map_err(|error| named(folder, error))
}

fn is_whole(path: &Path, bytes: &[u8]) -> bool {
    let length = fs::symlink_metadata(path)
        .ok()
        .filter(fs::Metadata::is_file)
        .map(|m| m.len());
    length == Some(bytes.len() as u64) && fs::read(path).is_ok_and(|found| found == bytes)
}

fn write(root: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = tempfile::Builder::new()
        .prefix(".writing-")
        .tempfile_in(root)?;
    beside.write_all(bytes)?;
    beside.persist(path)?;
    Ok(())
}

fn remove_others(folder: &Path, files: &[File]) -> io::Result<()> {
    let ours: BTreeSet<&str> = files.iter().map(|file| file.name).collect();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_str()
            .is_some_and(|name| ours.contains(name))
        {
            continue;
        }
        let removed = if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        match removed {
            // Another process was first.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name and bytes of everything in `folder`.
    fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
        let mut all: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect();
        all.sort();
        all
    }

    fn expected(files: &[File]) -> Vec<(String, Vec<u8>)> {
        let mut all: Vec<_> = files
            .iter()
            .map(|file| (file.name.to_owned(), file.bytes.to_vec()))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn the_folders_hold_what_the_program_holds_and_are_written_once() {
        let cache = tempfile::tempdir().unwrap();
        let place = cache.path().join("not/yet/there");
        let first = unpack(&place).unwrap();
        assert_eq!(first.model, crate::folder(&place));
        assert!(contents(&first.model) == expected(MODEL));
        assert_eq!(first.reranker.is_some(), crate::has_reranker());
        if let Some(folder) = &first.reranker {
            assert!(contents(folder) == expected(&reranker()));
        }
        let config = first.model.join("config.json");
        let written = fs::metadata(&config).unwrap().modified().unwrap();
        assert_eq!(unpack(&place).unwrap(), first);
        assert_eq!(fs::metadata(&config).unwrap().modified().unwrap(), written);
        let beside = fs::read_dir(first.model.parent().unwrap()).unwrap().count();
        assert_eq!(
            beside,
            1 + usize::from(crate::has_reranker()),
            "nothing half-written is left"
        );
    }

    #[test]
    fn what_is_damaged_missing_or_strange_is_put_right() {
        let cache = tempfile::tempdir().unwrap();
        let model = unpack(cache.path()).unwrap().model;
        let weights = MODEL.iter().max_by_key(|file| file.bytes.len()).unwrap();
        let mut flipped = weights.bytes.to_vec();
        flipped[weights.bytes.len() / 2] ^= 1;
        fs::write(model.join(weights.name), flipped).unwrap();
        fs::write(model.join("config.json"), "{").unwrap();
        fs::remove_file(model.join("tokenizer.json")).unwrap();
        fs::write(model.join("adapter_config.json"), "{}").unwrap();
        fs::create_dir(model.join("1_Pooling")).unwrap();
        fs::write(model.join("1_Pooling/config.json"), "{}").unwrap();
        unpack(cache.path()).unwrap();
        assert!(contents(&model) == expected(MODEL));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_replaced_and_what_it_led_to_is_left_alone() {
        let cache = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("letter"), "Dear model").unwrap();
        let model = crate::folder(cache.path());
        fs::create_dir_all(model.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), &model).unwrap();
        unpack(cache.path()).unwrap();
        assert!(contents(&model) == expected(MODEL));
        assert_eq!(contents(elsewhere.path()).len(), 1);
    }

    #[test]
    fn several_at_once_agree() {
        let cache = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let model = unpack(cache.path()).unwrap().model;
                    assert!(contents(&model) == expected(MODEL));
                });
            }
        });
    }

    #[test]
    fn a_place_that_cannot_be_made_is_named() {
        let cache = tempfile::tempdir().unwrap();
        let file = cache.path().join("file");
        fs::write(&file, "").unwrap();
        let error = unpack(&file.join("cache")).unwrap_err().to_string();
        assert!(error.starts_with(&*file.to_string_lossy()), "{error}");
        assert!(error.contains("cannot be unpacked"), "{error}");
    }
}
