//! Stores of earlier versions: brought up to date, or refused with a message; never misread.

use aurola_retrieval::store::{Store, StoreError};
use aurola_retrieval::{Query, Snapshot};

use crate::*;

/// `testdata/stores/ORIGIN.md` tells what wrote it.
fn old(folder: &Path) -> PathBuf {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/stores/v1.sqlite");
    let at = folder.join("v1.sqlite");
    std::fs::copy(kept, &at).unwrap();
    at
}

#[test]
fn a_store_of_version_1_is_brought_up_to_date_and_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let at = old(folder.path());
    assert!(matches!(
        Store::open_read_only(&at),
        Err(StoreError::Older { found: 1, .. })
    ));
    let store = Store::open(&at).unwrap();
    let space = store.serving().unwrap().expect("its one space");
    assert_eq!(space.key().dim, 80);
    let files = store
        .known_below(Path::new("/tmp/sounds"), Some(&space))
        .unwrap();
    assert_eq!(files.len(), 3);
    assert_eq!(files.iter().filter(|file| file.embedded).count(), 2);
    assert_eq!(
        files.iter().filter(|file| file.failure.is_some()).count(),
        1
    );
    // Its words can be searched, and its vectors.
    let named = store.by_words("440", 5).unwrap();
    let tone = files
        .iter()
        .find(|file| file.path.ends_with("440.wav"))
        .unwrap();
    assert_eq!(named[0].file, tone.id);
    let (_, vector) = store.windows(&space, &tone.content).unwrap().remove(0);
    let snapshot = Snapshot::load(&store, &space).unwrap();
    let best = snapshot.best(&Query::like(&vector), 2, None).unwrap();
    assert_eq!((best.len(), best[0].content), (2, tone.content.id));
    assert_eq!(
        store.untagged("1").unwrap().len(),
        3,
        "tags are read by the next update"
    );
    drop(store);
    assert_eq!(Store::inspect(&at).unwrap().damaged, 0);
    assert!(Store::open_read_only(&at).is_ok());
}

#[test]
fn two_programs_may_bring_it_up_to_date_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = old(folder.path());
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| assert_eq!(Store::open(&at).unwrap().summary().unwrap().files, 3));
        }
    });
    assert_eq!(Store::inspect(&at).unwrap().damaged, 0);
}
