//! The laws of loading.

use std::sync::Arc;

use aurola_train::data::{Batch, Example, Loader, LoaderConfig};
use tempfile::tempdir;

use super::{TABLE, run, table_of, write};

fn workers(workers: usize) -> LoaderConfig {
    LoaderConfig { workers, ahead: 3 }
}

/// Batches without the time they were waited for.
fn batches(loader: Loader<Example>) -> Vec<Batch<Example>> {
    let batches = loader.map(|batch| Batch {
        wait_s: 0.0,
        ..batch.unwrap()
    });
    batches.collect()
}

#[test]
fn batches_are_the_same_for_any_number_of_workers_and_any_start() {
    let folder = tempdir().unwrap();
    table_of(folder.path(), 7);
    let recipe = format!("cache_mib = 1\naugment.gain = {{ db = [-6.0, 6.0] }}\n{TABLE}");
    let (sampler, examples) = run(folder.path(), &recipe, 4);
    let load = |steps, slots, n| {
        let (sampler, examples) = (Arc::clone(&sampler), Arc::clone(&examples));
        batches(Loader::pairs(sampler, examples, steps, slots, &workers(n)))
    };
    let plain = load(0..9, 0..4, 0);
    assert_eq!(
        plain.iter().map(|b| b.step).collect::<Vec<_>>(),
        (0..9).collect::<Vec<_>>()
    );
    assert!(
        plain
            .iter()
            .all(|batch| batch.examples.len() == 4 && batch.audio_seconds > 1.2)
    );
    assert_eq!(load(0..9, 0..4, 1), plain);
    assert_eq!(load(0..9, 0..4, 5), plain);
    assert_eq!(load(6..9, 0..4, 3), plain[6..]);
    // Two processes share a batch between them.
    for (one, (first, second)) in
        plain
            .iter()
            .zip(load(0..9, 0..2, 2).iter().zip(load(0..9, 2..4, 2)))
    {
        assert_eq!(one.examples[..2], first.examples);
        assert_eq!(one.examples[2..], second.examples);
    }
    let reranked = |n| {
        let (sampler, examples) = (Arc::clone(&sampler), Arc::clone(&examples));
        let loader = Loader::rerank(sampler, Arc::default(), examples, 0..4, 0..4, &workers(n));
        loader
            .map(|batch| batch.unwrap().examples)
            .collect::<Vec<_>>()
    };
    assert_eq!(reranked(0), reranked(3));
}

#[test]
fn an_unreadable_clip_ends_the_run_or_is_left_out_and_counted() {
    let folder = tempdir().unwrap();
    table_of(folder.path(), 8);
    write(folder.path(), "sounds/r3.wav", "no sound");
    let (sampler, examples) = run(folder.path(), TABLE, 4);
    let bad = (0..2)
        .find(|step| sampler.batch(*step).iter().any(|draw| draw.row == 3))
        .unwrap();
    for n in [0, 3] {
        let (sampler, examples) = (Arc::clone(&sampler), Arc::clone(&examples));
        let loader = Loader::pairs(sampler, examples, 0..2, 0..4, &workers(n));
        let got: Vec<_> = loader.collect();
        assert!(got[1 - bad as usize].is_ok());
        let error = got[bad as usize].as_ref().unwrap_err().to_string();
        for word in [
            "`table`",
            "`r3`",
            "table.csv:5",
            "r3.wav",
            "not a sound file",
        ] {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
    }
    let (sampler, examples) = run(folder.path(), &format!("{TABLE}unreadable = 'skip'\n"), 4);
    let got = batches(Loader::pairs(sampler, examples, 0..2, 0..4, &workers(2)));
    let bad = &got[bad as usize];
    assert_eq!((bad.examples.len(), bad.skipped.len()), (3, 1));
    assert_eq!(bad.skipped[0].id, "r3");
    assert!(
        bad.skipped[0].reason.contains("r3.wav"),
        "{}",
        bad.skipped[0].reason
    );
}

#[test]
fn dropping_a_loader_ends_it_at_once() {
    let folder = tempdir().unwrap();
    table_of(folder.path(), 8);
    let (sampler, examples) = run(folder.path(), TABLE, 4);
    let loader = Loader::pairs(
        sampler,
        Arc::clone(&examples),
        0..1_000_000,
        0..4,
        &workers(3),
    );
    drop(loader);
    // No thread holds them any more.
    assert_eq!(Arc::strong_count(&examples), 1);
    let (sampler, examples) = run(folder.path(), TABLE, 4);
    let mut loader = Loader::pairs(
        sampler,
        Arc::clone(&examples),
        0..1_000_000,
        0..4,
        &workers(3),
    );
    assert_eq!(loader.next().unwrap().unwrap().step, 0);
    drop(loader);
    assert_eq!(Arc::strong_count(&examples), 1);
}
