//! Collections: lists of sounds by name, in one small file beside the index.
//!
//! The file is written whole and put in place at once, so it is the old one or the new one whatever
//! happens. A sound is kept by its number, and by its path for whoever reads the file.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Kind};

/// Collections of one index.
const MOST: usize = 1_000;

/// Sounds of one collection.
const SOUNDS: usize = 10_000;

/// The file.
pub(crate) struct Collections {
    path: PathBuf,
    // Held over reading and writing, so that of two changes none is lost.
    changing: Mutex<()>,
}

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Collection {
    pub(crate) title: String,
    pub(crate) clips: Vec<Clip>,
}

/// A sound in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Clip {
    pub(crate) id: String,
    pub(crate) path: String,
}

type All = BTreeMap<String, Collection>;

impl Collections {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self {
            path,
            changing: Mutex::new(()),
        }
    }

    pub(crate) fn all(&self) -> Result<All, Fault> {
        read(&self.path)
    }

    pub(crate) fn get(&self, name: &str) -> Result<Collection, Fault> {
        self.all()?.remove(name).ok_or_else(|| none(name))
    }

    /// Makes one, or gives it another title; true where it is new.
    pub(crate) fn put(&self, name: &str, title: Option<String>) -> Result<bool, Fault> {
        check(name)?;
        self.change(|all| {
            let is_new = !all.contains_key(name);
            if is_new && all.len() >= MOST {
                return Err(Fault::unprocessable(format!(
                    "{MOST} collections are the most"
                )));
            }
            let collection = all.entry(name.to_owned()).or_default();
            match title {
                Some(title) => collection.title = title,
                None if is_new => collection.title = name.to_owned(),
                None => {}
            }
            Ok(is_new)
        })
    }

    pub(crate) fn delete(&self, name: &str) -> Result<(), Fault> {
        self.change(|all| all.remove(name).map(drop).ok_or_else(|| none(name)))
    }

    /// Puts a sound in; it is there once.
    pub(crate) fn add(&self, name: &str, clip: Clip) -> Result<(), Fault> {
        self.change(|all| {
            let collection = all.get_mut(name).ok_or_else(|| none(name))?;
            if collection.clips.iter().any(|known| known.id == clip.id) {
                return Ok(());
            }
            if collection.clips.len() >= SOUNDS {
                return Err(Fault::unprocessable(format!(
                    "{SOUNDS} sounds are the most"
                )));
            }
            collection.clips.push(clip);
            Ok(())
        })
    }

    pub(crate) fn remove(&self, name: &str, id: &str) -> Result<(), Fault> {
        self.change(|all| {
            let collection = all.get_mut(name).ok_or_else(|| none(name))?;
            collection.clips.retain(|clip| clip.id != id);
            Ok(())
        })
    }

    fn change<T>(&self, how: impl FnOnce(&mut All) -> Result<T, Fault>) -> Result<T, Fault> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = read(&self.path)?;
        let done = how(&mut all)?;
        write(&self.path, &all).map_err(|error| {
            tracing::error!(%error, "collections could not be written");
            Fault::new(Kind::Unavailable, "collections cannot be written just now")
        })?;
        Ok(done)
    }
}

fn read(path: &Path) -> Result<All, Fault> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(All::new()),
        Err(error) => return Err(unreadable(&error)),
    };
    serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::fmt::Display) -> Fault {
    tracing::error!(%error, "collections could not be read");
    Fault::new(
        Kind::Unavailable,
        "collections cannot be read; the log says why",
    )
}

fn write(path: &Path, all: &All) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&serde_json::to_vec_pretty(all)?)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn check(name: &str) -> Result<(), Fault> {
    let is_plain = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    match is_plain {
        true => Ok(()),
        false => Err(
            Fault::bad("a collection's name is 1 to 64 of a-z, 0-9, _ and -")
                .help("its title may be anything"),
        ),
    }
}

fn none(name: &str) -> Fault {
    let shown: String = name.chars().take(64).collect();
    Fault::not_found(format!("there is no collection {shown:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_there_once_and_until_it_is_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let collections = Collections::at(folder.path().join("c.json"));
        assert!(collections.put("rain", Some("Rain!".into())).unwrap());
        assert!(!collections.put("rain", None).unwrap());
        let clip = Clip {
            id: "01".into(),
            path: "/a".into(),
        };
        collections.add("rain", clip.clone()).unwrap();
        collections.add("rain", clip.clone()).unwrap();
        let again = Collections::at(folder.path().join("c.json"));
        let rain = again.get("rain").unwrap();
        assert_eq!((rain.title.as_str(), rain.clips.len()), ("Rain!", 1));
        again.remove("rain", "01").unwrap();
        assert!(again.get("rain").unwrap().clips.is_empty());
        again.delete("rain").unwrap();
        assert!(again.get("rain").is_err());
        for odd in ["", "../x", "A", "a b", &"x".repeat(65)] {
            assert!(again.put(odd, None).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_damaged_file_is_told_and_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.json");
        std::fs::write(&path, b"{").unwrap();
        let collections = Collections::at(path.clone());
        assert!(collections.put("rain", None).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"{");
    }
}
