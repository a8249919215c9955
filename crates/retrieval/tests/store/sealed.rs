//! Sealed vectors and snapshots: the same answers as the plain scan, whatever is sealed, newer or gone.

use std::collections::HashSet;

use aurola_retrieval::store::Store;
use aurola_retrieval::{
    Candidate, ContentHit, ContentId, Embedding, Query, Snapshot, Vectors, rank,
};

use crate::*;

/// Some vectors around a few centres, as sounds lie.
fn clustered(state: &mut u64, dim: usize, centres: u64) -> Embedding {
    let centre = random(state, centres);
    let mut own = centre.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1;
    let values = (0..dim)
        .map(|_| {
            let near = random(&mut own, 2_001) as f32 / 1_000.0 - 1.0;
            let noise = random(state, 2_001) as f32 / 1_000.0 - 1.0;
            0.4 + near + 0.7 * noise
        })
        .collect();
    Embedding::normalize(values).unwrap()
}

fn wide(dim: usize) -> SpaceKey {
    SpaceKey { dim, ..key() }
}

/// File `n` with these windows of half a minute.
fn save_vectors(store: &mut Store, key: &SpaceKey, n: u64, vectors: &[Embedding]) -> Content {
    let writer = store.write().unwrap();
    let space = writer.space(key).unwrap();
    let content = writer.content(&hash(n), 1, &Sound::default()).unwrap();
    for (w, vector) in vectors.iter().enumerate() {
        let start = w as u64 * 400_000;
        let span = Span {
            start,
            end: start + 480_000,
        };
        writer.window(&space, &content, span, vector).unwrap();
    }
    writer.complete(&space, &content, vectors.len()).unwrap();
    writer
        .file(&path(n), &state(n), CHECKED_NS, &content)
        .unwrap();
    writer.commit().unwrap();
    content
}

/// The plain scan of the same, through [`rank`].
fn plain(
    store: &Store,
    key: &SpaceKey,
    query: &Query,
    most: usize,
    among: Option<&[ContentId]>,
) -> Vec<ContentHit> {
    let space = store.space(key).unwrap().unwrap();
    let mut known = store.known_below(below_sounds(), Some(&space)).unwrap();
    known.retain(|file| among.is_none_or(|among| among.contains(&file.content.id)));
    known.sort_by_key(|file| file.content.id);
    let contents: Vec<Content> = known.iter().map(|file| file.content).collect();
    let vectors: Vectors = store.vectors(&space, &contents).unwrap();
    // Ordered by number as a snapshot is: the path of a candidate orders equals.
    let candidates: Vec<Candidate> = (contents.iter().enumerate())
        .map(|(at, content)| Candidate {
            path: format!("{at:09}").into(),
            content: content.id,
        })
        .collect();
    (rank(&vectors, query, &candidates, most).into_iter())
        .map(|hit| ContentHit {
            content: candidates[hit.candidate].content,
            best: hit.best,
        })
        .collect()
}

#[test]
fn a_snapshot_answers_as_the_plain_scan_whatever_is_sealed_newer_or_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("s.sqlite")).unwrap();
    let key = wide(64);
    let mut state = 7;
    let mut snapshot: Option<Snapshot> = None;
    for round in 0..6 {
        for n in round * 40..round * 40 + 40 {
            let vectors: Vec<Embedding> = (0..1 + random(&mut state, 4))
                .map(|_| clustered(&mut state, 64, 12))
                .collect();
            save_vectors(&mut store, &key, n, &vectors);
        }
        if round > 0 {
            // One file goes, and one comes back with other vectors.
            store.forget(&path(round * 7)).unwrap();
            store.forget(&path(round * 11 + 1)).unwrap();
            let other = clustered(&mut state, 64, 12);
            save_vectors(&mut store, &key, round * 11 + 1, &[other]);
        }
        let space = store.space(&key).unwrap().unwrap();
        if round % 2 == 1 {
            let sealing = store.seal(&space, &[], true).unwrap().unwrap();
            assert!(sealing.recall >= 0.99, "{sealing:?}");
        }
        let now = match snapshot.take() {
            Some(before) => before.refreshed(&store).unwrap().unwrap_or(before),
            None => Snapshot::load(&store, &space).unwrap(),
        };
        let anew = Snapshot::load(&store, &space).unwrap();
        let unsealed = Snapshot::unsealed(&store, &space).unwrap();
        for _ in 0..10 {
            let query = Query::like(&clustered(&mut state, 64, 12));
            let some: Vec<ContentId> = {
                let known = store.known_below(below_sounds(), None).unwrap();
                let mut ids: Vec<ContentId> = (known.iter())
                    .filter(|_| random(&mut state, 5) == 0)
                    .map(|file| file.content.id)
                    .collect();
                ids.sort_unstable();
                ids
            };
            for among in [None, Some(some.as_slice())] {
                let truth = plain(&store, &key, &query, 10, among);
                for snapshot in [&now, &anew, &unsealed] {
                    assert_eq!(snapshot.best(&query, 10, among).unwrap(), truth);
                }
            }
        }
        snapshot = Some(now);
    }
}

#[test]
fn the_first_pass_goes_as_deep_as_ten_nearest_need() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("s.sqlite");
    let mut store = Store::open(&at).unwrap();
    let key = wide(128);
    let mut state = 99;
    let writer = store.write().unwrap();
    let space = writer.space(&key).unwrap();
    for n in 0..6_000 {
        let content = writer.content(&hash(n), 1, &Sound::default()).unwrap();
        let span = Span {
            start: 0,
            end: 480_000,
        };
        let vector = clustered(&mut state, 128, 60);
        writer.window(&space, &content, span, &vector).unwrap();
        writer.complete(&space, &content, 1).unwrap();
    }
    writer.commit().unwrap();
    assert!(store.wants_sealing(&space).unwrap());
    let probes: Vec<Embedding> = (0..8).map(|_| clustered(&mut state, 128, 60)).collect();
    let sealing = store.seal(&space, &probes, false).unwrap().unwrap();
    println!("{sealing:?}");
    assert!(
        sealing.recall >= 0.99 && sealing.depth < 6_000,
        "{sealing:?}"
    );
    assert!(!store.wants_sealing(&space).unwrap());
    let sealed = Snapshot::load(&store, &space).unwrap();
    let exact = Snapshot::unsealed(&store, &space).unwrap();
    let (mut found, mut wanted) = (0, 0);
    for _ in 0..50 {
        let query = Query::like(&clustered(&mut state, 128, 60));
        let best: HashSet<ContentId> = sealed
            .best(&query, 10, None)
            .unwrap()
            .iter()
            .map(|hit| hit.content)
            .collect();
        let truth = exact.best(&query, 10, None).unwrap();
        wanted += truth.len();
        found += truth
            .iter()
            .filter(|hit| best.contains(&hit.content))
            .count();
    }
    assert!(found * 100 >= wanted * 99, "{found} of {wanted}");
}

#[test]
fn sealed_vectors_that_are_gone_or_another_stores_are_made_of_the_catalogue() {
    let folder = tempfile::tempdir().unwrap();
    let (at, other) = (
        folder.path().join("a.sqlite"),
        folder.path().join("b.sqlite"),
    );
    let mut store = Store::open(&at).unwrap();
    for n in 0..20 {
        save(&mut store, n);
    }
    let space = store.space(&key()).unwrap().unwrap();
    store.seal(&space, &[], true).unwrap();
    let (_, vector) = windows(3).remove(0);
    let query = Query::like(&vector);
    let truth = Snapshot::load(&store, &space)
        .unwrap()
        .best(&query, 5, None)
        .unwrap();

    // Another store's vectors under this one's name: passed over.
    let mut second = Store::open(&other).unwrap();
    for n in 100..110 {
        save(&mut second, n);
    }
    let theirs = second.space(&key()).unwrap().unwrap();
    second.seal(&theirs, &[], true).unwrap();
    std::fs::copy(
        folder.path().join("b.sqlite.vectors-1"),
        folder.path().join("a.sqlite.vectors-1"),
    )
    .unwrap();
    let without = Snapshot::load(&store, &space).unwrap();
    assert!(without.sealing().is_none());
    assert_eq!(without.best(&query, 5, None).unwrap(), truth);
    store.unseal(&space).unwrap();
    assert_eq!(
        Snapshot::load(&store, &space)
            .unwrap()
            .best(&query, 5, None)
            .unwrap(),
        truth
    );
    // And after a repair, which numbers the store anew.
    store.seal(&space, &[], true).unwrap();
    drop(store);
    Store::repair(&at).unwrap();
    let store = Store::open(&at).unwrap();
    let repaired = Snapshot::load(&store, &space).unwrap();
    assert!(repaired.sealing().is_none());
    assert_eq!(repaired.best(&query, 5, None).unwrap(), truth);
}

#[test]
fn one_writes_and_many_search() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("s.sqlite");
    save(&mut Store::open(&at).unwrap(), 0);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                let store = Store::open_read_only(&at).unwrap();
                let space = store.space(&key()).unwrap().unwrap();
                let mut snapshot = Snapshot::load(&store, &space).unwrap();
                let (_, vector) = windows(0).remove(0);
                let mut seen = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    if let Some(newer) = snapshot.refreshed(&store).unwrap() {
                        snapshot = newer;
                    }
                    assert!(snapshot.len() >= seen, "windows are lost between two looks");
                    seen = snapshot.len();
                    let best = snapshot.best(&Query::like(&vector), 1, None).unwrap();
                    assert!((best[0].best.score - 1.0).abs() < 1e-5);
                }
            });
        }
        let mut store = Store::open(&at).unwrap();
        for n in 1..120 {
            let (space, _) = save(&mut store, n);
            if n % 15 == 0 {
                store.seal(&space, &[], true).unwrap();
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
