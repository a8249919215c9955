//! What is kept, under which names, and who may look.

use aurola_retrieval::store::{Failure, FileState, Sound, SpaceKey, Store, StoreError};
use aurola_retrieval::{Candidate, Embedding, Query, Span, rank};

use crate::*;

#[test]
fn what_was_saved_is_there_after_reopening_and_can_be_searched() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("deep/er/store.sqlite");
    for n in 0..5 {
        save(&mut Store::open(&at).unwrap(), n);
    }
    let store = Store::open(&at).unwrap();
    for n in 0..5 {
        assert_saved(&store, n);
    }
    let space = store.space(&key()).unwrap().unwrap();
    let known = store.known_below(below_sounds(), Some(&space)).unwrap();
    let contents: Vec<_> = known.iter().map(|k| k.content).collect();
    let vectors = store.vectors(&space, &contents).unwrap();
    assert_eq!(vectors.len(), 10);
    let candidates: Vec<Candidate> = known
        .iter()
        .map(|k| Candidate {
            path: k.path.clone(),
            content: k.content.id,
        })
        .collect();
    let (span, like) = windows(3).remove(1);
    let hits = rank(&vectors, &Query::like(&like), &candidates, 1);
    assert_eq!(candidates[hits[0].candidate].path, path(3));
    assert_eq!(hits[0].best.span, span);
    assert!((hits[0].best.score - 1.0).abs() < 1e-6);
}

#[test]
fn a_moved_file_and_a_copy_share_the_vectors_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("s")).unwrap();
    let (space, content) = save(&mut store, 1);
    let known = store.content(&hash(1), Some(&space)).unwrap().unwrap();
    assert!(known.embedded);
    assert_eq!(known.content, content);
    let writer = store.write().unwrap();
    for name in ["/elsewhere/copy.wav", "/sounds/moved.wav"] {
        writer
            .file(Path::new(name), &state(1), CHECKED_NS, &content)
            .unwrap();
    }
    writer.commit().unwrap();
    let copy = store.known_file(Path::new("/elsewhere/copy.wav"), Some(&space));
    assert!(copy.unwrap().unwrap().embedded);
    assert_eq!(store.summary().unwrap().spaces[0].windows, 2);
}

#[test]
fn only_what_lies_below_a_folder_is_found_there_and_other_spaces_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("s")).unwrap();
    let (space, content) = save(&mut store, 1);
    let writer = store.write().unwrap();
    for name in ["/soundscape/a.wav", "/sounds-old/a.wav", "/sounds.wav"] {
        let name = Path::new(name);
        writer.file(name, &state(1), CHECKED_NS, &content).unwrap();
    }
    writer.commit().unwrap();
    let below = store.known_below(below_sounds(), Some(&space)).unwrap();
    assert_eq!(below.len(), 1);
    assert_eq!(store.known_below(Path::new("/"), None).unwrap().len(), 4);

    let other = SpaceKey {
        window: "whole".into(),
        ..key()
    };
    assert!(store.space(&other).unwrap().is_none());
    let writer = store.write().unwrap();
    let other = writer.space(&other).unwrap();
    writer.commit().unwrap();
    let seen = store.known_file(&path(1), Some(&other)).unwrap().unwrap();
    assert!(!seen.embedded);
    assert!(store.vectors(&other, &[content]).unwrap().is_empty());
}

#[test]
fn an_unfinished_long_file_keeps_its_windows_and_is_not_searched() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("s")).unwrap();
    let writer = store.write().unwrap();
    let space = writer.space(&key()).unwrap();
    let content = writer.content(&hash(1), 7, &Sound::default()).unwrap();
    let (span, embedding) = windows(1).remove(0);
    writer.window(&space, &content, span, &embedding).unwrap();
    writer.commit().unwrap();
    assert_eq!(
        store.windows(&space, &content).unwrap(),
        [(span, embedding)]
    );
    assert!(store.vectors(&space, &[content]).unwrap().is_empty());
    assert!(
        !store
            .content(&hash(1), Some(&space))
            .unwrap()
            .unwrap()
            .embedded
    );
}

#[test]
fn a_failure_is_remembered_until_the_bytes_are_read_after_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("s")).unwrap();
    let failure = Failure {
        reader: "aurola 1".into(),
        reason: "damaged 12.48 s in".into(),
    };
    let writer = store.write().unwrap();
    let content = writer.content(&hash(1), 7, &Sound::default()).unwrap();
    writer.failure(&content, &failure).unwrap();
    writer
        .file(&path(1), &state(1), CHECKED_NS, &content)
        .unwrap();
    writer.commit().unwrap();
    let known = store.known_file(&path(1), None).unwrap().unwrap();
    assert_eq!(known.failure, Some(failure));
    let failed = store.summary().unwrap().failed;
    assert_eq!(failed[0].path, path(1));
    assert_eq!(failed[0].reason, "damaged 12.48 s in");

    save(&mut store, 1);
    assert_eq!(
        store.known_file(&path(1), None).unwrap().unwrap().failure,
        None
    );
}

#[test]
fn forgetting_a_folder_drops_what_only_it_held() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("s")).unwrap();
    let (space, shared) = save(&mut store, 1);
    save(&mut store, 2);
    let writer = store.write().unwrap();
    let elsewhere = Path::new("/elsewhere/1.wav");
    writer
        .file(elsewhere, &state(1), CHECKED_NS, &shared)
        .unwrap();
    writer.commit().unwrap();

    assert_eq!(store.forget(below_sounds()).unwrap(), 2);
    assert!(
        store
            .known_file(elsewhere, Some(&space))
            .unwrap()
            .unwrap()
            .embedded
    );
    assert!(store.content(&hash(2), Some(&space)).unwrap().is_none());
    assert_eq!(store.summary().unwrap().spaces[0].windows, 2);
}

#[cfg(unix)]
#[test]
fn a_name_that_is_not_unicode_comes_back_byte_for_byte() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("s")).unwrap();
    let (_, content) = save(&mut store, 1);
    let name = Path::new(OsStr::from_bytes(b"/sounds/caf\xe9\n.wav"));
    let writer = store.write().unwrap();
    writer.file(name, &state(2), CHECKED_NS, &content).unwrap();
    writer.commit().unwrap();
    assert_eq!(store.known_file(name, None).unwrap().unwrap().path, name);
}

#[test]
fn a_store_opened_for_reading_reads_and_refuses_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("s");
    save(&mut Store::open(&at).unwrap(), 1);
    let mut store = Store::open_read_only(&at).unwrap();
    assert!(store.is_read_only());
    assert_saved(&store, 1);
    assert!(matches!(store.write(), Err(StoreError::ReadOnly { .. })));
    assert!(matches!(
        Store::open_read_only(&folder.path().join("none")),
        Err(StoreError::Open { .. })
    ));
}

#[test]
fn other_files_and_later_versions_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter.txt");
    std::fs::write(&letter, "Dear store, ".repeat(200)).unwrap();
    assert!(matches!(
        Store::open(&letter),
        Err(StoreError::NotAStore { .. })
    ));
    assert_eq!(std::fs::read(&letter).unwrap().len(), 2400);
    assert!(matches!(
        Store::open(folder.path()),
        Err(StoreError::NotAStore { .. })
    ));

    let foreign = folder.path().join("foreign.sqlite");
    let connection = rusqlite::Connection::open(&foreign).unwrap();
    connection.execute_batch("CREATE TABLE mail (id)").unwrap();
    drop(connection);
    assert!(matches!(
        Store::open(&foreign),
        Err(StoreError::NotAStore { .. })
    ));

    let later = folder.path().join("later.sqlite");
    drop(Store::open(&later).unwrap());
    let connection = rusqlite::Connection::open(&later).unwrap();
    connection
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    drop(connection);
    assert!(matches!(
        Store::open(&later),
        Err(StoreError::Newer {
            found: 99,
            known: 2,
            ..
        })
    ));
}

#[test]
fn eight_threads_write_at_once_and_nothing_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("s");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let at = &at;
            scope.spawn(move || {
                let mut store = Store::open(at).unwrap();
                // Each file is saved by two threads.
                for n in (thread / 2) * 10..(thread / 2) * 10 + 10 {
                    save(&mut store, n);
                }
            });
        }
    });
    let store = Store::open(&at).unwrap();
    for n in 0..40 {
        assert_saved(&store, n);
    }
    let summary = store.summary().unwrap();
    assert_eq!((summary.files, summary.contents), (40, 40));
    assert_eq!(summary.spaces.len(), 1);
    assert_eq!(summary.spaces[0].windows, 80);
}

#[test]
fn a_vector_of_another_dimension_never_enters_a_space() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("s")).unwrap();
    save(&mut store, 1);
    let wider = SpaceKey {
        dim: DIM + 1,
        ..key()
    };
    assert!(matches!(
        store.space(&wider),
        Err(StoreError::Damaged { .. })
    ));
    let mixed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let writer = store.write().unwrap();
        let space = writer.space(&key()).unwrap();
        let content = writer.content(&hash(1), 7, &Sound::default()).unwrap();
        let short = Embedding::normalize(vec![1.0]).unwrap();
        let _ = writer.window(&space, &content, Span { start: 0, end: 1 }, &short);
    }));
    assert!(mixed.is_err());
    assert_saved(&store, 1);
}

#[test]
fn a_changed_file_points_to_its_new_content() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("s")).unwrap();
    save(&mut store, 1);
    let (space, second) = save(&mut store, 2);
    let now = FileState {
        size: 99,
        ..state(1)
    };
    let writer = store.write().unwrap();
    writer.file(&path(1), &now, CHECKED_NS, &second).unwrap();
    writer.commit().unwrap();
    let known = store.known_file(&path(1), Some(&space)).unwrap().unwrap();
    assert_eq!((known.state, known.content), (now, second));
    // The old content waits: the change may be undone.
    assert!(
        store
            .content(&hash(1), Some(&space))
            .unwrap()
            .unwrap()
            .embedded
    );
}
