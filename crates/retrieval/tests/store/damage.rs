//! Bytes that change under us: an error, work done again, or a repair; never a wrong answer.

use std::collections::BTreeSet;

use aurola_retrieval::store::{Store, StoreError};

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
