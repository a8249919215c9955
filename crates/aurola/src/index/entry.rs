//! What an index knows of one file, and of itself; and what people add to it.

use std::path::PathBuf;

use aurola_retrieval::store::{Content, FailedFile, FileId, Note, Sound, SpaceKey, Tag, TagSource};

use super::{Index, unpoisoned};
use crate::EngineError;
use crate::found::SpaceInfo;
use crate::listen::seconds;
use crate::tags;

/// Everything about one file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileEntry {
    /// Its number.
    pub id: FileId,
    /// Absolute.
    pub path: PathBuf,
    /// Its bytes: what vectors, tags and notes hang on.
    pub content: Content,
    /// Bytes.
    pub size: u64,
    /// Last change, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// Whether it is not there now.
    pub away: bool,
    /// What a decoder said of it.
    pub sound: Sound,
    /// Length in seconds.
    pub duration_s: Option<f64>,
    /// From the file, its name, and people.
    pub tags: Vec<Tag>,
    /// A person's remark.
    pub note: Option<String>,
    /// What is heard, in a sentence.
    pub caption: Option<String>,
    /// The value of its licence tag.
    pub licence: Option<String>,
    /// Why it could not be read, where that is so.
    pub failure: Option<String>,
    /// Whether it can be found by meaning.
    pub embedded: bool,
}

/// What a person changes about a sound. It stays with the sound, whatever its file is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// Keywords to add.
    pub add_tags: Vec<String>,
    /// Keywords of people to take away.
    pub remove_tags: Vec<String>,
    /// The remark from now on; `Some(None)` takes it away.
    pub note: Option<Option<String>>,
    /// The caption from now on; `Some(None)` takes it away.
    pub caption: Option<Option<String>>,
}

/// What an index holds.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexStatus {
    /// The database.
    pub path: PathBuf,
    /// Paths known.
    pub files: u64,
    /// Different contents.
    pub contents: u64,
    /// Vectors of this model.
    pub windows: u64,
    /// Files that were found to be gone.
    pub away: u64,
    /// Files that could not be read.
    pub failed: Vec<FailedFile>,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// What is kept up to date.
    pub roots: Vec<RootStatus>,
    /// Containers among the sounds, in order.
    pub formats: Vec<String>,
    /// The vectors of this model; none before the first.
    pub space: Option<SpaceInfo>,
    /// Whether nothing can be added.
    pub read_only: bool,
}

/// A folder that is kept up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootStatus {
    /// Absolute.
    pub path: PathBuf,
    /// Paths known at or below it.
    pub files: u64,
    /// Whether it is there now.
    pub present: bool,
}

impl SpaceInfo {
    pub(super) fn of(key: &SpaceKey) -> Self {
        Self {
            fingerprint: key.fingerprint.clone(),
            model: key.model.clone(),
            window: key.window.clone(),
            dim: key.dim,
        }
    }
}

pub(super) fn licence(tags: &[Tag]) -> Option<String> {
    let by_name = |name: &str| tags.iter().find(|tag| tag.name == name);
    by_name("licence")
        .or_else(|| by_name("copyright"))
        .map(|tag| tag.value.clone())
}

impl Index {
    /// Everything about one file; none where the index does not know it.
    ///
    /// # Errors
    ///
    /// [`EngineError::Store`].
    pub fn file(&self, id: FileId) -> Result<Option<FileEntry>, EngineError> {
        self.reading(|store| {
            let space = store.space(&self.key)?;
            let Some(known) = store.known_id(id, space.as_ref())? else {
                return Ok(None);
            };
            let tags = store.tags(&known.content)?;
            let Note { note, caption } = store.note(&known.content)?;
            Ok(Some(FileEntry {
                id,
                content: known.content,
                size: known.state.size,
                modified_ns: known.state.mtime_ns,
                away: std::fs::symlink_metadata(&known.path).is_err(),
                duration_s: known.sound.samples.map(seconds),
                licence: licence(&tags),
                tags,
                note,
                caption,
                failure: known.failure.map(|failure| failure.reason),
                embedded: known.embedded,
                sound: known.sound,
                path: known.path,
            }))
        })
    }

    /// What the index holds.
    ///
    /// # Errors
    ///
    /// [`EngineError::Store`].
    pub fn status(&self) -> Result<IndexStatus, EngineError> {
        self.reading(|store| {
            let summary = store.summary()?;
            let space = store.space(&self.key)?;
            let roots = (store.roots()?.into_iter())
                .map(|root| {
                    Ok(RootStatus {
                        files: store.count_below(&root.path)?,
                        present: root.path.exists(),
                        path: root.path,
                    })
                })
                .collect::<Result<_, EngineError>>()?;
            Ok(IndexStatus {
                path: self.path.clone(),
                files: summary.files,
                contents: summary.contents,
                windows: match &space {
                    Some(space) => store.window_count(space)?,
                    None => 0,
                },
                away: store.away()?,
                failed: summary.failed,
                disk_bytes: summary.disk_bytes,
                roots,
                formats: store.formats()?,
                space: space.as_ref().map(|space| SpaceInfo::of(space.key())),
                read_only: self.read_only,
            })
        })
    }

    /// Changes what people say of a sound.
    ///
    /// # Errors
    ///
    /// [`EngineError::NoSuchFile`], and [`EngineError::Store`].
    pub fn edit(&self, id: FileId, edit: &Edit) -> Result<(), EngineError> {
        let _writing = unpoisoned(&self.writing);
        let mut store = self.open_for_writing()?;
        let known = store
            .known_id(id, None)?
            .ok_or(EngineError::NoSuchFile { id })?;
        let mut tags = store.tags(&known.content)?;
        tags.retain(|tag| {
            tag.source == TagSource::User
                && !edit
                    .remove_tags
                    .iter()
                    .any(|gone| gone.eq_ignore_ascii_case(&tag.value))
        });
        tags.extend(edit.add_tags.iter().filter_map(|tag| tags::keyword(tag)));
        let mut note = store.note(&known.content)?;
        let own = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        if let Some(new) = &edit.note {
            note.note = own(new);
        }
        if let Some(new) = &edit.caption {
            note.caption = own(new);
        }
        let writer = store.write()?;
        writer.set_tags(&known.content, TagSource::User, &tags)?;
        writer.set_note(&known.content, &note)?;
        writer.commit()?;
        Ok(())
    }
}
