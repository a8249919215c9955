//! Bytes that change under us: an error, work done again, or a repair; never a wrong answer.

use std::collections::BTreeSet;

use aurola_retrieval::store::{Store, StoreError, Tag, TagSource};
use aurola_retrieval::{Query, Snapshot};

use crate::*;

const FILES: u64 = 30;

/// A closed store of [`FILES`] files in one file, without a log beside it.
fn written(at: &Path) {
    let mut store = Store::open(at).unwrap();
    for n in 0..FILES {
        save(&mut store, n);
    }
    drop(store);
    assert!(
        !at.with_extension("sqlite-wal").exists(),
        "the last one out folds the log in"
    );
}

/// Reads everything there is to read and fails where any of it is not what was written.
/// Returns the files that are there and complete.
fn read_all(at: &Path) -> Result<BTreeSet<u64>, StoreError> {
    let store = Store::open(at)?;
    let Some(space) = store.space(&key())? else {
        return Ok(BTreeSet::new());
    };
    let known = store.known_below(below_sounds(), Some(&space))?;
    let mut complete = BTreeSet::new();
    for file in known {
        let n = (0..FILES)
            .find(|n| path(*n) == file.path)
            .unwrap_or_else(|| panic!("{} was never saved", file.path.display()));
        assert_eq!((file.state, file.content.hash), (state(n), hash(n)));
        if file.embedded {
            let vectors = store.vectors(&space, &[file.content])?;
            assert_eq!(vectors.len(), 2);
            assert_eq!(store.windows(&space, &file.content)?, windows(n));
            complete.insert(n);
        }
    }
    Ok(complete)
}

#[test]
fn a_vector_that_changed_on_disk_is_named_and_a_repair_keeps_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("store.sqlite");
    written(&at);
    let connection = rusqlite::Connection::open(&at).unwrap();
    connection
        .execute(
            "UPDATE window SET vector = zeroblob(length(vector)) WHERE id = 5",
            [],
        )
        .unwrap();
    drop(connection);
    let error = read_all(&at).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { .. }));
    let message = error.to_string();
    assert!(message.contains("store.sqlite"), "{message}");
    assert!(message.contains("samples 0..480000"), "{message}");

    assert_eq!(Store::inspect(&at).unwrap().damaged, 2); // the window, and its content's completeness
    let repair = Store::repair(&at).unwrap();
    assert!(repair.set_aside.is_file());
    let complete = read_all(&at).unwrap();
    assert_eq!(complete.len() as u64, FILES - 1);
    assert!(!complete.contains(&2)); // windows 5 and 6 were its
    assert_eq!(Store::inspect(&at).unwrap().damaged, 0);
}

#[test]
fn two_rows_that_changed_places_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("store.sqlite");
    written(&at);
    let connection = rusqlite::Connection::open(&at).unwrap();
    connection
        .execute_batch(
            "PRAGMA foreign_keys = OFF;
             UPDATE window SET content = 99999 WHERE content = 3;
             UPDATE window SET content = 3 WHERE content = 4;
             UPDATE window SET content = 4 WHERE content = 99999;
             UPDATE file SET content = 7 WHERE content = 6;",
        )
        .unwrap();
    drop(connection);
    assert!(matches!(read_all(&at), Err(StoreError::Damaged { .. })));
    Store::repair(&at).unwrap();
    let complete = read_all(&at).unwrap();
    // Contents 3 and 4 are files 2 and 3; the file that pointed elsewhere is 5.
    assert_eq!(
        complete,
        (0..FILES).filter(|n| ![2, 3, 5].contains(n)).collect()
    );
}

#[test]
fn sixty_random_damages_are_harmless_named_or_mended() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original.sqlite");
    written(&original);
    let good = std::fs::read(&original).unwrap();
    let mut random = 20_261_123_u64; // fixed: a failure here must come back
    let mut next = move |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) as usize % below
    };
    let (mut harmless, mut named) = (0, 0);
    for case in 0..60 {
        let mut bytes = good.clone();
        match case % 3 {
            0 => bytes.truncate(next(good.len())),
            1 => {
                let at = next(bytes.len());
                bytes[at] ^= 1 << next(8);
            }
            _ => {
                let at = next(bytes.len());
                let end = (at + 1 + next(3000)).min(bytes.len());
                bytes[at..end].fill(next(256) as u8);
            }
        }
        let at = folder.path().join(format!("case-{case}.sqlite"));
        std::fs::write(&at, &bytes).unwrap();
        match read_all(&at) {
            Ok(_) => harmless += 1,
            Err(error) => {
                named += 1;
                let message = error.to_string();
                assert!(
                    message.contains(&format!("case-{case}.sqlite")),
                    "{message}"
                );
                if matches!(error, StoreError::Damaged { .. }) {
                    Store::repair(&at).unwrap_or_else(|e| panic!("case {case}: {e}"));
                    read_all(&at).unwrap_or_else(|e| panic!("case {case} after repair: {e}"));
                    // And it is a store again: what is missing can be saved.
                    let mut store = Store::open(&at).unwrap();
                    for n in 0..FILES {
                        save(&mut store, n);
                    }
                    drop(store);
                    assert_eq!(read_all(&at).unwrap().len() as u64, FILES);
                }
            }
        }
    }
    println!("{harmless} harmless, {named} named");
    assert!(
        named > 10,
        "damage went unnoticed: {harmless} harmless, {named} named"
    );
}

/// Everything that a search of `at` finds, by meaning and by words, or the first error.
fn search_all(at: &Path) -> Result<BTreeSet<u64>, StoreError> {
    let complete = read_all(at)?;
    let store = Store::open(at)?;
    let Some(space) = store.space(&key())? else {
        return Ok(complete);
    };
    let snapshot = Snapshot::load(&store, &space)?;
    for n in &complete {
        let (span, vector) = windows(*n).remove(0);
        let query = Query::like(&vector);
        let content = store
            .content(&hash(*n), None)?
            .expect("it is complete")
            .content;
        let its = snapshot.windows(content.id, &query)?;
        assert_eq!(its.len(), 2, "file {n}");
        assert_eq!(its[0].span, span);
        assert!((its[0].score - 1.0).abs() < 1e-5, "file {n}: {its:?}");
        let best = snapshot.best(&query, 1, None)?;
        assert!(
            (best[0].best.score - 1.0).abs() < 1e-5,
            "file {n} is not found: {best:?}"
        );
        let named = store.by_words(&format!("{n:06}"), 5)?;
        let known = store.known_file(&path(*n), None)?.expect("it is complete");
        assert!(
            named.iter().any(|hit| hit.file == known.id),
            "file {n} is not found by name"
        );
        assert_eq!(store.tags(&content)?, tags(*n));
    }
    Ok(complete)
}

fn tags(n: u64) -> Vec<Tag> {
    vec![Tag {
        source: TagSource::User,
        name: "keyword".into(),
        value: format!("kind {}", n % 3),
    }]
}

#[test]
fn damages_to_any_file_are_harmless_named_or_mended() {
    damage_any(40);
}

#[test]
#[ignore = "minutes: run by hand or at night"]
fn four_hundred_damages_to_any_file() {
    damage_any(400);
}

/// Flipped bits, cut ends and overwritten runs in database and sealed vectors: each is harmless, or an
/// error that names the file, or found by looking through; after a repair nothing is wrong.
fn damage_any(cases: usize) {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original.sqlite");
    let mut store = Store::open(&original).unwrap();
    for n in 0..FILES {
        let (_, content) = save(&mut store, n);
        let writer = store.write().unwrap();
        writer.add_tags(&content, &tags(n)).unwrap();
        writer.commit().unwrap();
    }
    let space = store.space(&key()).unwrap().unwrap();
    store.seal(&space, &[], true).unwrap();
    drop(store);
    let sealed_name = |at: &Path| {
        let mut name = at.as_os_str().to_owned();
        name.push(format!(".vectors-{}", 1));
        PathBuf::from(name)
    };
    let good = [
        std::fs::read(&original).unwrap(),
        std::fs::read(sealed_name(&original)).unwrap(),
    ];
    let seed = fresh_seed();
    println!("seed {seed}");
    let mut state = seed;
    let (mut harmless, mut named, mut looked, mut mended) = (0, 0, 0, 0);
    for case in 0..cases {
        let at = folder.path().join(format!("case-{case}.sqlite"));
        let mut bytes = good.clone();
        let hurt = &mut bytes[usize::from(random(&mut state, 2) == 1)];
        let length = hurt.len() as u64;
        match random(&mut state, 3) {
            0 => hurt.truncate(random(&mut state, length) as usize),
            1 => {
                for _ in 0..8 {
                    let byte = random(&mut state, length) as usize;
                    hurt[byte] ^= 1 << random(&mut state, 8);
                }
            }
            _ => {
                let from = random(&mut state, length) as usize;
                let to = (from + 4096).min(hurt.len());
                hurt[from..to].fill(0);
            }
        }
        std::fs::write(&at, &bytes[0]).unwrap();
        std::fs::write(sealed_name(&at), &bytes[1]).unwrap();
        // A wrong answer that looking through does not notice is what must not be.
        let searched = std::panic::catch_unwind(|| search_all(&at));
        let inspected = Store::inspect(&at);
        let whole = matches!(&inspected, Ok(inspection) if inspection.damaged == 0);
        let sealed_whole = whole && {
            let store = Store::open(&at).unwrap();
            let space = store.space(&key()).unwrap();
            space.is_none_or(|space| store.inspect_sealed(&space).is_ok())
        };
        match &searched {
            Ok(Ok(_)) => harmless += 1,
            Ok(Err(error)) => {
                named += 1;
                let message = error.to_string();
                assert!(
                    message.contains(&format!("case-{case}.sqlite")),
                    "{message}"
                );
            }
            Err(_) => {
                looked += 1;
                assert!(
                    !(whole && sealed_whole),
                    "case {case}: wrong, and nobody notices"
                );
            }
        }
        if whole && sealed_whole && matches!(searched, Ok(Ok(_))) {
            continue;
        }
        mended += 1;
        if !whole {
            Store::repair(&at).unwrap_or_else(|e| panic!("case {case}: {e}"));
        }
        let mut store = Store::open(&at).unwrap();
        if let Some(space) = store.space(&key()).unwrap()
            && store.inspect_sealed(&space).is_err()
        {
            store.unseal(&space).unwrap();
            store.seal(&space, &[], true).unwrap();
        }
        for n in 0..FILES {
            let (_, content) = save(&mut store, n);
            let writer = store.write().unwrap();
            writer
                .set_tags(&content, TagSource::User, &tags(n))
                .unwrap();
            writer.commit().unwrap();
        }
        drop(store);
        let complete = search_all(&at).unwrap_or_else(|e| panic!("case {case}, mended: {e}"));
        assert_eq!(complete.len() as u64, FILES, "case {case}");
        assert_eq!(Store::inspect(&at).unwrap().damaged, 0, "case {case}");
    }
    println!(
        "{harmless} answered rightly, {named} named, {looked} found by looking, {mended} mended"
    );
}
