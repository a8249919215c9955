//! A store as one file that can be carried away, and what such a file holds, taken over.

use std::path::{Path, PathBuf};

use super::error::{At, Result, StoreError};
use super::{Note, Store};

/// Contents that are taken over in one transaction.
const AT_ONCE: usize = 256;

/// What was taken over from another store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Paths that were not known, or held other bytes.
    pub files: u64,
    /// Sounds that gained vectors.
    pub contents: u64,
    /// Vectors that were not there.
    pub windows: u64,
}

impl Store {
    /// Writes all of it, as of one moment, into a new store at `to`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] where there is something, and as writing to the disk fails.
    pub fn export(&self, to: &Path) -> Result<()> {
        if to.exists() {
            return Err(StoreError::Exists { path: to.into() });
        }
        let name = to
            .to_str()
            .ok_or_else(|| StoreError::Name { path: to.into() })?;
        let copied = self
            .connection
            .execute("VACUUM INTO ?1", [name])
            .at(to, "write");
        if copied.is_err() {
            let _ = std::fs::remove_file(to); // half a copy is none
        }
        copied.map(drop)
    }

    /// Takes over what the store at `from` knows and this one does not: files, vectors of every space,
    /// tags and notes. `moved`: paths below the first begin with the second here. What both know stays
    /// as it is here, but for vectors and notes that are missing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where either cannot be read, at the first row that is damaged, or where this one
    /// cannot be written. Every batch before that is kept.
    pub fn import(&mut self, from: &Path, moved: Option<(&Path, &Path)>) -> Result<Imported> {
        let other = Self::open_read_only(from)?;
        let mut files = other.known_below(Path::new("/"), None)?;
        files.sort_by(|a, b| {
            a.content
                .id
                .cmp(&b.content.id)
                .then_with(|| a.path.cmp(&b.path))
        });
        let spaces = other.spaces()?;
        let mut imported = Imported::default();
        let groups: Vec<_> = files
            .chunk_by(|a, b| a.content.id == b.content.id)
            .collect();
        for batch in groups.chunks(AT_ONCE) {
            let mut unknown: Vec<Vec<bool>> = Vec::with_capacity(batch.len());
            for files in batch {
                let each = files.iter().map(|file| {
                    let here = self.known_file(&relocated(&file.path, moved), None)?;
                    Ok(here.is_none_or(|here| here.content.hash != file.content.hash))
                });
                unknown.push(each.collect::<Result<_>>()?);
            }
            let mut missing = Vec::new();
            for files in batch {
                let hash = &files[0].content.hash;
                let mut its = Vec::new();
                for space in &spaces {
                    let ours = self.space(space.key())?;
                    let here = self.content(hash, ours.as_ref())?;
                    if !here.is_some_and(|here| here.embedded) {
                        its.push(space);
                    }
                }
                missing.push(its);
            }
            let notes: Vec<Note> = (batch.iter())
                .map(|files| match self.content(&files[0].content.hash, None)? {
                    Some(here) => self.note(&here.content),
                    None => Ok(Note::default()),
                })
                .collect::<Result<_>>()?;
            let writer = self.write()?;
            for (((files, unknown), missing), ours) in
                batch.iter().zip(unknown).zip(missing).zip(notes)
            {
                let theirs = &files[0];
                let content =
                    writer.content(&theirs.content.hash, theirs.state.size, &theirs.sound)?;
                let mut gained = false;
                for space in missing {
                    let known = other.content(&theirs.content.hash, Some(space))?;
                    if !known.is_some_and(|known| known.embedded) {
                        continue;
                    }
                    let windows = other.windows(space, &theirs.content)?;
                    let space = writer.space(space.key())?;
                    for (span, embedding) in &windows {
                        writer.window(&space, &content, *span, embedding)?;
                    }
                    writer.complete(&space, &content, windows.len())?;
                    imported.windows += windows.len() as u64;
                    gained = true;
                }
                imported.contents += u64::from(gained);
                let tags = other.tags(&theirs.content)?;
                writer.add_tags(&content, &tags)?;
                let note = other.note(&theirs.content)?;
                let merged = Note {
                    note: ours.note.or(note.note),
                    caption: ours.caption.or(note.caption),
                };
                writer.set_note(&content, &merged)?;
                for (file, unknown) in files.iter().zip(unknown) {
                    if unknown {
                        let path = relocated(&file.path, moved);
                        writer.file(&path, &file.state, file.checked_ns, &content)?;
                        imported.files += 1;
                    }
                }
            }
            writer.commit()?;
        }
        Ok(imported)
    }

    /// Every path at or below `from` begins with `to` from now on; a path that is known there already
    /// wins. Returns how many moved.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the database cannot be read or written.
    pub fn relink(&mut self, from: &Path, to: &Path) -> Result<u64> {
        let mut files = self.known_below(from, None)?;
        files.extend(self.known_file(from, None)?);
        let roots = self.roots()?;
        let taken: Vec<bool> = (files.iter())
            .map(|file| {
                let there = relocated(&file.path, Some((from, to)));
                Ok(self.known_file(&there, None)?.is_some())
            })
            .collect::<Result<_>>()?;
        let writer = self.write()?;
        for root in roots.iter().filter(|root| root.path.starts_with(from)) {
            writer.root(&relocated(&root.path, Some((from, to))))?;
            writer.forget_root(&root.path)?;
        }
        for (file, taken) in files.iter().zip(taken) {
            writer.forget_path(file.id)?;
            if !taken {
                let there = relocated(&file.path, Some((from, to)));
                writer.file(&there, &file.state, file.checked_ns, &file.content)?;
            }
        }
        writer.commit()?;
        Ok(files.len() as u64)
    }
}

fn relocated(path: &Path, moved: Option<(&Path, &Path)>) -> PathBuf {
    match moved {
        Some((from, to)) => match path.strip_prefix(from) {
            Ok(rest) if rest.as_os_str().is_empty() => to.to_path_buf(),
            Ok(rest) => to.join(rest),
            Err(_) => path.to_path_buf(),
        },
        None => path.to_path_buf(),
    }
}
