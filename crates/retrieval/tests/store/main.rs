//! The store as a whole: what it keeps, what it survives, and what it says when it is broken.

mod crash;
mod damage;
mod full;
mod keeping;
mod model;
mod sealed;
mod upgrade;
mod words;

use std::path::{Path, PathBuf};

use aurola_retrieval::store::{Content, ContentHash, FileState, Sound, Space, SpaceKey, Store};
use aurola_retrieval::{Embedding, Span};

/// A long time after any file here was changed.
const CHECKED_NS: i64 = 9_000_000_000_000_000_000;
const DIM: usize = 16;

fn key() -> SpaceKey {
    SpaceKey {
        fingerprint: "f00d".into(),
        window: "480000/400000".into(),
        dim: DIM,
        model: "a test".into(),
    }
}

/// What file number `n` holds; also its name and the source of its vectors.
fn bytes(n: u64) -> Vec<u8> {
    format!("sound {n}").into_bytes()
}

fn path(n: u64) -> PathBuf {
    format!("/sounds/{n:06}.wav").into()
}

fn hash(n: u64) -> ContentHash {
    ContentHash::of(bytes(n).as_slice()).unwrap()
}

fn state(n: u64) -> FileState {
    FileState {
        size: bytes(n).len() as u64,
        mtime_ns: 1_000 + n as i64,
        inode: n,
        device: 1,
    }
}

/// Two windows, different for every `n`.
fn windows(n: u64) -> Vec<(Span, Embedding)> {
    (0..2)
        .map(|w| {
            let values = (0..DIM as u64)
                .map(|i| ((n * 31 + w * 17 + i * i * 7) % 97) as f32 - 48.5)
                .collect();
            let span = Span {
                start: w * 400_000,
                end: w * 400_000 + 480_000,
            };
            (span, Embedding::normalize(values).unwrap())
        })
        .collect()
}

/// Everything about file `n`, in one transaction.
fn save(store: &mut Store, n: u64) -> (Space, Content) {
    let writer = store.write().unwrap();
    let space = writer.space(&key()).unwrap();
    let sound = Sound {
        codec: Some("pcm".into()),
        samples: Some(880_000),
        ..Sound::default()
    };
    let content = writer
        .content(&hash(n), bytes(n).len() as u64, &sound)
        .unwrap();
    for (span, embedding) in windows(n) {
        writer.window(&space, &content, span, &embedding).unwrap();
    }
    writer.complete(&space, &content, 2).unwrap();
    writer
        .file(&path(n), &state(n), CHECKED_NS, &content)
        .unwrap();
    writer.commit().unwrap();
    (space, content)
}

/// Fails unless file `n` is there with exactly what [`save`] wrote.
fn assert_saved(store: &Store, n: u64) {
    let space = store.space(&key()).unwrap().expect("the space");
    let known = store
        .known_file(&path(n), Some(&space))
        .unwrap()
        .unwrap_or_else(|| panic!("file {n} is lost"));
    assert_eq!((known.state, known.content.hash), (state(n), hash(n)));
    assert!(known.embedded, "file {n} is not complete");
    assert_eq!(store.windows(&space, &known.content).unwrap(), windows(n));
}

fn below_sounds() -> &'static Path {
    Path::new("/sounds")
}

/// A number below `below`, the next of a sequence that `state` begins.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// Another seed at every run.
fn fresh_seed() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64
}
