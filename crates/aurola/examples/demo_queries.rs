//! Where the answers of written-down questions come in the list: by words, by meaning, by both.
//!
//! `demo_queries MODEL LIBRARY QUERIES.jsonl STORE`: embeds LIBRARY with the checkpoint in MODEL into
//! STORE, and asks every line `{"query_id", "text", "relevant": [paths below LIBRARY]}`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aurola::{Cancel, Event, Index, Mode, Options, SearchRequest};
use aurola_model::{LoadOptions, Model};
use serde_json::Value;

/// An answer counts that comes no later than this.
const FIRST: usize = 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [model, library, queries, store] = &arguments[..] else {
        return Err("demo_queries MODEL LIBRARY QUERIES.jsonl STORE".into());
    };
    let model = Arc::new(Model::load(model, &LoadOptions::default())?);
    let index = Index::open(store, model, Options::default())?;
    let added = index.add(
        std::slice::from_ref(library),
        &Cancel::default(),
        &mut |event| {
            if let Event::Moved(progress) = event
                && progress.files_done % 100 == 0
            {
                eprintln!("{} of {} files", progress.files_done, progress.files);
            }
        },
    )?;
    println!(
        "{} files, {} skipped",
        added.files.len(),
        added.skipped.len()
    );
    let known: HashSet<PathBuf> = added
        .files
        .iter()
        .map(|file| file.absolute.clone())
        .collect();
    let top = std::fs::canonicalize(library)?;
    let mut within = [0; 3];
    let mut asked = 0;
    println!("{:>4} {:>4} {:>4}  question", "both", "mean", "word");
    for line in std::fs::read_to_string(queries)?.lines() {
        let line: Value = serde_json::from_str(line)?;
        let text = line["text"].as_str().ok_or("no text")?;
        let relevant: HashSet<PathBuf> = line["relevant"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|path| Some(top.join(Path::new(path.as_str()?))))
            .filter(|path| known.contains(path))
            .collect();
        let rank = |mode: Mode| -> Result<Option<usize>, aurola::EngineError> {
            let request = SearchRequest {
                mode,
                ..SearchRequest::words(text, 1_000)
            };
            let hits = index.search(&request)?.hits;
            Ok(hits
                .iter()
                .position(|hit| relevant.contains(&hit.path))
                .map(|at| at + 1))
        };
        let ranks = [rank(Mode::Both)?, rank(Mode::Meaning)?, rank(Mode::Words)?];
        asked += 1;
        for (within, rank) in within.iter_mut().zip(ranks) {
            *within += usize::from(rank.is_some_and(|rank| rank <= FIRST));
        }
        let shown = ranks.map(|rank| rank.map_or("-".into(), |rank| rank.to_string()));
        println!("{:>4} {:>4} {:>4}  {text}", shown[0], shown[1], shown[2]);
    }
    println!(
        "within the first {FIRST} of {asked}: both {}, meaning {}, words {}",
        within[0], within[1], within[2]
    );
    Ok(())
}
