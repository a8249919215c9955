//! A checkpoint with one damaged file, loaded and used: an error or an embedding, never a panic.
//!
//! The recorded checkpoint `testdata/checkpoints/tiny` is whole; an input says which of its files
//! to damage, and how:
//!
//! ```text
//! file                    one byte: its number in FILES
//! 0, bytes                the file is these bytes
//! 1, (at, len, bytes)*    the file with patches: at in three bytes, len in one
//! 2, size                 the file, cut off: size in three bytes
//! ```
//!
//! Patches keep inputs small while the files are large, so that the fuzzer's changes reach the
//! header of the weights and the middle of the tokenizer alike.

#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use aurola_model::{Input, LoadOptions, Model};
use libfuzzer_sys::{Corpus, fuzz_target};
use tempfile::TempDir;

/// The files that decide what a checkpoint is.
const FILES: [&str; 8] = [
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "preprocessor_config.json",
    "added_tokens.json",
    "generation_config.json",
];

/// A copy of the checkpoint that may be damaged, and the files as they were.
struct Bench {
    dir: TempDir,
    whole: Vec<Vec<u8>>,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/checkpoints/tiny");
    let dir = TempDir::new().expect("a temporary folder");
    for entry in fs::read_dir(&from)
        .expect("the recorded checkpoint")
        .flatten()
    {
        fs::copy(entry.path(), dir.path().join(entry.file_name())).expect("a copy");
    }
    let whole = FILES.map(|name| fs::read(from.join(name)).expect(name));
    Bench {
        dir,
        whole: whole.into(),
    }
});

/// The file as the input wants it; none for an input that says nothing.
fn damaged(whole: &[u8], how: &[u8]) -> Option<Vec<u8>> {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, &b| n << 8 | usize::from(b));
    match how.split_first()? {
        (0, bytes) => Some(bytes.to_vec()),
        (1, mut patches) => {
            let mut file = whole.to_vec();
            while let Some((head, rest)) = patches.split_at_checked(4) {
                let (at, len) = (number(&head[..3]), usize::from(head[3]));
                let (bytes, rest) = rest.split_at(len.min(rest.len()));
                let place = file.iter_mut().skip(at);
                place.zip(bytes).for_each(|(old, &new)| *old = new);
                patches = rest;
            }
            (file != whole).then_some(file)
        }
        (2, size) => Some(whole[..number(size.get(..3)?).min(whole.len())].to_vec()),
        _ => None,
    }
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let bench = &*BENCH;
    let Some((&file, how)) = input.split_first() else {
        return Corpus::Reject;
    };
    let Some(whole) = bench.whole.get(usize::from(file)) else {
        return Corpus::Reject;
    };
    let Some(bytes) = damaged(whole, how) else {
        return Corpus::Reject;
    };
    let path: PathBuf = bench.dir.path().join(FILES[usize::from(file)]);
    fs::write(&path, bytes).expect("a damaged file");
    if let Ok(model) = Model::load(bench.dir.path(), &LoadOptions::default()) {
        // Whether it embeds or refuses is the checkpoint's affair. It may only not panic.
        let _ = model.embed(&[Input::Text("rain on a tin roof")]);
    }
    fs::write(&path, whole).expect("the whole file");
    Corpus::Keep
});
