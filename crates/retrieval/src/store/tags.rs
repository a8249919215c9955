//! What is said of a sound in words: tags from its bytes, from its names and from people, a note and a
//! caption. All of it hangs on the content, so it moves with the sound.

use std::path::PathBuf;

use rusqlite::{OptionalExtension, params};

use super::catalogue::{Content, ContentHash};
use super::error::{At, Result};
use super::seal::Seal;
use super::words;
use super::{Store, Writer};
use crate::vectors::ContentId;

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TagSource {
    /// The file's own bytes.
    File,
    /// A name it has or had.
    Name,
    /// A person.
    User,
}

/// One thing said of a sound.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag {
    /// Who says so.
    pub source: TagSource,
    /// Of what kind, in lower case: `title`, `artist`, `keyword`, `licence`.
    pub name: String,
    /// What.
    pub value: String,
}

/// What people, or a model, wrote about a sound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// A person's remark.
    pub note: Option<String>,
    /// What is heard, in a sentence.
    pub caption: Option<String>,
}

/// A value and how many sounds carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagCount {
    /// Of a keyword, genre or category.
    pub value: String,
    /// Different sounds.
    pub sounds: u64,
}

impl TagSource {
    pub(super) fn number(self) -> i64 {
        self as i64
    }

    pub(super) fn of(number: i64) -> Option<Self> {
        [Self::File, Self::Name, Self::User]
            .into_iter()
            .find(|s| s.number() == number)
    }
}

pub(super) fn tag_seal(hash: &ContentHash, tag: &Tag) -> [u8; 8] {
    Seal::of("tag")
        .bytes(hash.as_bytes())
        .number(tag.source.number())
        .bytes(tag.name.as_bytes())
        .bytes(tag.value.as_bytes())
        .close()
}

pub(super) fn note_seal(hash: &ContentHash, note: &Note) -> [u8; 8] {
    Seal::of("note")
        .bytes(hash.as_bytes())
        .maybe_text(note.note.as_deref())
        .maybe_text(note.caption.as_deref())
        .close()
}

impl Store {
    /// What is said of `content`; rows that are damaged are left out.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be read.
    pub fn tags(&self, content: &Content) -> Result<Vec<Tag>> {
        let sql = "SELECT source, name, value, seal FROM tag WHERE content = ?1
                   ORDER BY source, name, value";
        let read = || -> rusqlite::Result<Vec<Tag>> {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query([content.id.0])?;
            let mut tags = Vec::new();
            while let Some(row) = rows.next()? {
                let Some(source) = TagSource::of(row.get(0)?) else {
                    continue;
                };
                let tag = Tag {
                    source,
                    name: row.get(1)?,
                    value: row.get(2)?,
                };
                if tag_seal(&content.hash, &tag) == *row.get_ref(3)?.as_blob()? {
                    tags.push(tag);
                }
            }
            Ok(tags)
        };
        read().at(&self.path, "read")
    }

    /// What was written about `content`.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be read.
    pub fn note(&self, content: &Content) -> Result<Note> {
        let sql = "SELECT note, caption, seal FROM note WHERE content = ?1";
        let found = (self.connection.prepare_cached(sql))
            .at(&self.path, "read")?
            .query_row([content.id.0], |row| {
                let note = Note {
                    note: row.get(0)?,
                    caption: row.get(1)?,
                };
                Ok(
                    (note_seal(&content.hash, &note) == *row.get_ref(2)?.as_blob()?)
                        .then_some(note),
                )
            })
            .optional()
            .at(&self.path, "read")?;
        Ok(found.flatten().unwrap_or_default())
    }

    /// Contents with a file whose bytes no `reader` has looked through for tags yet.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be read.
    pub fn untagged(&self, reader: &str) -> Result<Vec<ContentId>> {
        let sql = "SELECT c.id FROM content c LEFT JOIN tagged t ON t.content = c.id
                   WHERE t.reader IS NOT ?1 AND EXISTS (SELECT 1 FROM file f WHERE f.content = c.id)";
        let read = || -> rusqlite::Result<Vec<ContentId>> {
            (self.connection.prepare_cached(sql)?)
                .query_map([reader], |row| row.get(0).map(ContentId))?
                .collect()
        };
        read().at(&self.path, "read")
    }

    /// The most frequent keywords, genres and categories.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be read.
    pub fn tag_counts(&self, most: usize) -> Result<Vec<TagCount>> {
        let sql = "SELECT min(value), count(DISTINCT content) AS sounds FROM tag
                   WHERE name IN ('keyword', 'genre', 'category', 'subcategory')
                   GROUP BY value COLLATE NOCASE ORDER BY sounds DESC, 1 LIMIT ?1";
        let read = || -> rusqlite::Result<Vec<TagCount>> {
            (self.connection.prepare_cached(sql)?)
                .query_map([most as i64], |row| {
                    Ok(TagCount {
                        value: row.get(0)?,
                        sounds: row.get::<_, i64>(1)? as u64,
                    })
                })?
                .collect()
        };
        read().at(&self.path, "read")
    }
}

impl Writer<'_> {
    /// Replaces what `source` says of `content` by those of `tags` that come from it.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn set_tags(&self, content: &Content, source: TagSource, tags: &[Tag]) -> Result<()> {
        self.run(
            "DELETE FROM tag WHERE content = ?1 AND source = ?2",
            params![content.id.0, source.number()],
        )?;
        let own: Vec<Tag> = tags
            .iter()
            .filter(|tag| tag.source == source)
            .cloned()
            .collect();
        self.add_tags(content, &own)
    }

    /// Adds to what is said of `content`; what was said already is not said twice.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn add_tags(&self, content: &Content, tags: &[Tag]) -> Result<()> {
        for tag in tags {
            self.run(
                "INSERT OR IGNORE INTO tag (content, source, name, value, seal)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    content.id.0,
                    tag.source.number(),
                    tag.name,
                    tag.value,
                    tag_seal(&content.hash, tag)
                ],
            )?;
        }
        words::write_content(&self.transaction, self.path, content.id.0)
    }

    /// `reader` has looked through the bytes of `content` for tags.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn tagged(&self, content: &Content, reader: &str) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO tagged (content, reader) VALUES (?1, ?2)",
            params![content.id.0, reader],
        )?;
        Ok(())
    }

    /// Replaces what was written about `content`.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn set_note(&self, content: &Content, note: &Note) -> Result<()> {
        if *note == Note::default() {
            self.run("DELETE FROM note WHERE content = ?1", [content.id.0])?;
        } else {
            self.run(
                "INSERT OR REPLACE INTO note (content, note, caption, seal) VALUES (?1, ?2, ?3, ?4)",
                params![content.id.0, note.note, note.caption, note_seal(&content.hash, note)],
            )?;
        }
        words::write_content(&self.transaction, self.path, content.id.0)
    }
}

impl Store {
    /// Gives the files at these absolute paths captions, in place of those they had. How many of the
    /// paths are known.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be read or written; then none is changed.
    pub fn set_captions(&mut self, captions: &[(PathBuf, String)]) -> Result<u64> {
        let mut notes = Vec::new();
        for (path, caption) in captions {
            if let Some(known) = self.known_file(path, None)? {
                let mut note = self.note(&known.content)?;
                note.caption = Some(caption.clone());
                notes.push((known.content, note));
            }
        }
        let writer = self.write()?;
        for (content, note) in &notes {
            writer.set_note(content, note)?;
        }
        writer.commit()?;
        Ok(notes.len() as u64)
    }
}
