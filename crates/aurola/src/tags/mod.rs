//! What a file says of itself, in words: tags of every format, and its name.
//!
//! ```text
//! bytes ─┬─ ID3, Vorbis comments, MP4, AIFF text (lofty) ─┐
//!        └─ RIFF INFO, BEXT, iXML ────────────────────────┼─► kind and value
//! name ──── UCS: CatID_FXName_CreatorID_SourceID ─────────┘
//! ```
//!
//! Tags are strangers too: values are cut to [`LONGEST`] bytes and [`MOST`] of them, a reader that
//! panics has read nothing, and a file whose tags make no sense has none. None of that keeps the sound
//! from being found.

mod ucs;
mod wave;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use aurola_retrieval::store::{Tag, TagSource};
use lofty::config::{GlobalOptions, ParseOptions, ParsingMode, apply_global_options};
use lofty::file::TaggedFileExt;
use lofty::probe::Probe;
use lofty::tag::ItemKey;

/// Which program reads tags, and how: contents read by another are read again.
pub(crate) const READER: &str = "1";

/// Bytes of a value that are kept.
const LONGEST: usize = 2_000;
/// Tags of a file that are kept.
const MOST: usize = 100;
/// Bytes that a reader may ask for at once.
const ALLOCATION: usize = 4 << 20;

/// What the bytes of the file at `path` say. Empty where they say nothing, or cannot be read.
pub(crate) fn of_bytes(path: &Path) -> Vec<Tag> {
    let mut pairs = BTreeSet::new();
    // Their state is dropped with the panic, so nothing half-done is seen.
    let _ = catch_unwind(AssertUnwindSafe(|| wave::read(path, &mut pairs)));
    let _ = catch_unwind(AssertUnwindSafe(|| with_lofty(path, &mut pairs)));
    tags(TagSource::File, pairs)
}

/// What the name of the file at `path` says.
pub(crate) fn of_name(path: &Path) -> Vec<Tag> {
    let mut pairs = BTreeSet::new();
    ucs::read(path, &mut pairs);
    tags(TagSource::Name, pairs)
}

/// A keyword that a person gives.
pub(crate) fn keyword(value: &str) -> Option<Tag> {
    let pairs = [("keyword".to_owned(), value.to_owned())].into();
    tags(TagSource::User, pairs).pop()
}

/// Kinds and values.
type Pairs = BTreeSet<(String, String)>;

/// Adds what is worth keeping of `value`.
fn put(pairs: &mut Pairs, name: &str, value: &str) {
    let many = matches!(name, "keyword" | "genre");
    let parts: Vec<&str> = if many {
        value.split([';', ',', '\0', '/']).collect()
    } else {
        vec![value]
    };
    for part in parts {
        let part = part.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        if !part.is_empty() && pairs.len() < MOST {
            let mut end = part.len().min(LONGEST);
            while !part.is_char_boundary(end) {
                end -= 1;
            }
            pairs.insert((name.to_owned(), part[..end].to_owned()));
        }
    }
}

fn tags(source: TagSource, pairs: Pairs) -> Vec<Tag> {
    let mut clean = BTreeSet::new();
    for (name, value) in pairs {
        // What cannot be seen has no place in a word.
        let value: String = value
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        put(&mut clean, &name, &value);
    }
    (clean.into_iter())
        .map(|(name, value)| Tag {
            source,
            name,
            value,
        })
        .collect()
}

fn with_lofty(path: &Path, pairs: &mut Pairs) -> Option<()> {
    apply_global_options(GlobalOptions::new().allocation_limit(ALLOCATION));
    let mut options = ParseOptions::new();
    options
        .read_properties(false)
        .read_cover_art(false)
        .parsing_mode(ParsingMode::Relaxed);
    let file = BufReader::new(File::open(path).ok()?);
    let probe = Probe::new(file).options(options).guess_file_type().ok()?;
    let file = probe.read().ok()?;
    for item in file.tags().iter().flat_map(|tag| tag.items()) {
        let name = match item.key() {
            ItemKey::TrackTitle => "title",
            ItemKey::TrackSubtitle => "subtitle",
            ItemKey::TrackArtist => "artist",
            ItemKey::AlbumTitle => "album",
            ItemKey::ContentGroup => "group",
            ItemKey::Composer => "composer",
            ItemKey::Genre => "genre",
            ItemKey::Mood | ItemKey::PodcastKeywords => "keyword",
            ItemKey::Comment => "comment",
            ItemKey::Description => "description",
            ItemKey::CopyrightMessage => "copyright",
            ItemKey::License => "licence",
            ItemKey::RecordingDate => "date",
            ItemKey::InitialKey => "key",
            ItemKey::Label | ItemKey::Publisher => "publisher",
            _ => continue,
        };
        if let Some(value) = item.value().text() {
            put(pairs, name, value);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(tags: &[Tag]) -> Vec<(&str, &str)> {
        tags.iter()
            .map(|tag| (tag.name.as_str(), tag.value.as_str()))
            .collect()
    }

    #[test]
    fn a_vorbis_comment_and_an_id3_frame_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let flac = folder.path().join("a.flac");
        let mut comment = 0_u32.to_le_bytes().to_vec();
        comment.extend(2_u32.to_le_bytes());
        for entry in ["TITLE=Regen", "GENRE=Weather; Rain"] {
            comment.extend((entry.len() as u32).to_le_bytes());
            comment.extend(entry.bytes());
        }
        let mut bytes = b"fLaC\0\0\0\x22".to_vec();
        bytes.extend([
            0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x03, 0xE8, 0x00, 0xF0, 0, 0, 0, 0,
        ]);
        bytes.extend([0; 16]);
        bytes.extend([0x84, 0, 0, comment.len() as u8]);
        bytes.extend(comment);
        std::fs::write(&flac, bytes).unwrap();
        let found = of_bytes(&flac);
        assert_eq!(
            pairs(&found),
            [("genre", "Rain"), ("genre", "Weather"), ("title", "Regen")]
        );
        assert!(found.iter().all(|tag| tag.source == TagSource::File));

        // ID3v2.3 before a frame of MPEG-1 layer III, 128 kbit/s, 44.1 kHz.
        let mut bytes = b"ID3\x03\0\0\0\0\0\x0ETIT2\0\0\0\x04\0\0\0dog".to_vec();
        for _ in 0..4 {
            bytes.extend([0xFF, 0xFB, 0x90, 0x00]);
            bytes.extend([0; 413]);
        }
        let mp3 = folder.path().join("a.mp3");
        std::fs::write(&mp3, bytes).unwrap();
        assert_eq!(pairs(&of_bytes(&mp3)), [("title", "dog")]);
    }

    #[test]
    fn what_is_no_sound_says_nothing_and_harms_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        for bytes in [
            &b""[..],
            b"ID3",
            b"RIFF\xFF\xFF\xFF\xFFWAVEbext\xFF\xFF\xFF\xFF",
            b"fLaC\x84",
        ] {
            std::fs::write(&file, bytes).unwrap();
            assert!(of_bytes(&file).is_empty());
        }
        assert!(of_bytes(&folder.path().join("gone")).is_empty());
    }

    #[test]
    fn a_value_is_cut_between_letters_and_signs_that_cannot_be_seen_are_gone() {
        let tag = keyword(&format!("{}é", "x".repeat(LONGEST - 1))).unwrap();
        assert_eq!(tag.value.len(), LONGEST - 1);
        assert_eq!(keyword("a\u{1b}[31m").unwrap().value, "a [31m");
        assert!(keyword(" \0").is_none());
    }
}
