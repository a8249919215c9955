//! The small model that comes with the program, so that the first search finds something.
//!
//! ```text
//! crates/nano/model, reranker ─► bytes in the program ─► UNPACK ─► <cache>/nano-<hash>/{model,reranker}
//! ```
//!
//! The folders are checkpoints in the published layout, and are loaded as any other. The re-ranker is a
//! language model of its own behind the embedder's audio tower: what both have in common is here once, and is
//! unpacked into both folders. [`MODEL_CARD`] says what the model was trained on and how well it hears.
//!
//! Knows nobody, and nothing of what is in the files.

mod unpack;

use std::path::{Path, PathBuf};

pub use unpack::{Unpacked, unpack};

/// What people call the model.
pub const NAME: &str = "aurola-nano";

/// Rises with every new training of the weights.
pub const VERSION: &str = "2";

/// Of the weights; [`ATTRIBUTION`] names the clips they were trained on.
pub const LICENCE: &str = "MIT OR Apache-2.0";

/// What it is, what it was trained on, how well it hears, and its limits: Markdown.
pub const MODEL_CARD: &str = include_str!("../README.md");

/// Every recorded clip of the training data, with author and licence: Markdown.
pub const ATTRIBUTION: &str = include_str!("../ATTRIBUTION.md");

/// A file of a checkpoint.
#[derive(Debug, Clone, Copy)]
struct File {
    name: &'static str,
    bytes: &'static [u8],
}

// `MODEL`: the embedder's folder. `RERANKER`: what the re-ranker has in the place of the embedder's files of
// the same names; empty where there is none.
include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The model's folder below `cache`, where [`unpack`] has put it or would put it.
pub fn folder(cache: &Path) -> PathBuf {
    unpack::root(cache).join("model")
}

/// Bytes of both folders, unpacked.
pub fn bytes() -> u64 {
    let all = MODEL.iter().copied().chain(reranker());
    all.map(|file| file.bytes.len() as u64).sum()
}

/// Whether there is a re-ranker.
pub fn has_reranker() -> bool {
    !RERANKER.is_empty()
}

/// The re-ranker's folder: its own files, and the embedder's where it has none. Empty without a re-ranker.
fn reranker() -> Vec<File> {
    if !has_reranker() {
        return Vec::new();
    }
    let own = |name| RERANKER.iter().any(|file| file.name == name);
    let shared = MODEL.iter().filter(|file| !own(file.name));
    RERANKER.iter().chain(shared).copied().collect()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_weights_are_here_and_the_card_speaks_of_them() {
        assert!(MODEL.iter().any(|file| file.name == "config.json"));
        assert!(MODEL.iter().any(|file| file.name.ends_with(".safetensors")));
        assert!(bytes() < 40_000_000, "{} bytes in every program", bytes());
        assert!(MODEL_CARD.contains(NAME) && ATTRIBUTION.contains("CC-BY"));
    }

    /// `examples/pack.rs` writes the list along with the files.
    #[test]
    fn the_list_of_sums_is_of_these_files() {
        let mut listed = String::new();
        for (folder, files) in [("model", MODEL), ("reranker", RERANKER)] {
            for file in files {
                let sum = Sha256::digest(file.bytes);
                let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
                listed.push_str(&format!("{hex}  {folder}/{}\n", file.name));
            }
        }
        assert_eq!(listed, include_str!("../SHA256SUMS"));
    }
}
