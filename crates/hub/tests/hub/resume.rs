//! Downloads that break, stop, arrive damaged, or happen twice at once.

use std::fs;
use std::thread;
use std::time::Duration;

use aurola_hub::{HubError, Silent, cached, resolve};

use crate::server::Twist;
use crate::{WEIGHTS, World, model, served, witness, witness_until};

const FILE: &str = "model.safetensors";

fn incomplete(world: &World) -> std::path::PathBuf {
    let hash = served(FILE).hash();
    world
        .folder()
        .join("blobs")
        .join(format!("{hash}.incomplete"))
}

fn assert_whole(world: &World) {
    let folder = cached("org/model", &world.options).expect("a whole model");
    assert!(fs::read(folder.join(FILE)).unwrap() == served(FILE).bytes);
    assert!(!incomplete(world).exists());
}

#[test]
fn a_connection_that_drops_is_taken_up_where_it_broke() {
    let world = World::new(model());
    // More drops than attempts in a row are allowed: each of them got somewhere.
    for _ in 0..4 {
        world.hub.twist(FILE, Twist::CutAfter(500_000));
    }
    let mut told = witness();
    resolve("org/model", &world.options, &mut told).unwrap();
    assert_whole(&world);
    let ranges: Vec<_> = world
        .hub
        .asked_for(FILE)
        .iter()
        .map(|a| a.headers.get("range").cloned())
        .collect();
    let from = |n: usize| Some(format!("bytes={}-", n * 500_000));
    assert_eq!(ranges, [None, from(1), from(2), from(3), from(4)]);
    assert!(told.done.is_sorted());
    assert!(!told.waits.is_empty());
}

#[test]
fn an_attempt_that_was_stopped_is_taken_up_by_the_next() {
    let world = World::new(model());
    let mut stop = witness_until(|t| t.file == FILE && t.file_done > 1_000_000);
    let error = resolve("org/model", &world.options, &mut stop).unwrap_err();
    assert!(matches!(error, HubError::Stopped { .. }), "{error}");
    let kept = fs::metadata(incomplete(&world)).unwrap().len();
    assert!(kept > 1_000_000 && kept < WEIGHTS as u64, "{kept}");
    assert_eq!(cached("org/model", &world.options), None);
    assert!(
        !world.folder().join("snapshots").exists(),
        "nothing that looks whole"
    );
    assert!(!world.folder().join("refs").exists());

    let mut told = witness();
    resolve("org/model", &world.options, &mut told).unwrap();
    assert_whole(&world);
    assert_eq!(
        told.plans[0].missing_bytes,
        WEIGHTS as u64 - kept + 2,
        "and `{{}}`"
    );
    let asked = world.hub.asked_for(FILE);
    assert_eq!(asked[1].headers["range"], format!("bytes={kept}-"));
}

#[test]
fn a_server_that_cannot_send_ranges_sends_all_of_it_again() {
    let world = World::new(model());
    world.hub.twist(FILE, Twist::CutAfter(500_000));
    world.hub.twist(FILE, Twist::WholeFile);
    world.resolve("org/model").unwrap();
    assert_whole(&world);
}

#[test]
fn a_range_that_was_not_asked_for_is_not_pasted_in() {
    let world = World::new(model());
    world.hub.twist(FILE, Twist::CutAfter(500_000));
    world.hub.twist(FILE, Twist::WrongRange);
    world.resolve("org/model").unwrap();
    assert_whole(&world);
    assert_eq!(world.hub.asked_for(FILE).len(), 3);
}

#[test]
fn a_server_that_falls_silent_is_left_and_asked_again() {
    let world = World::new(model());
    world.hub.twist(FILE, Twist::SilentAfter(300_000));
    world.resolve("org/model").unwrap();
    assert_whole(&world);
    assert_eq!(
        world.hub.asked_for(FILE)[1].headers["range"],
        "bytes=300000-"
    );
}

#[test]
fn bytes_that_are_not_the_announced_ones_are_refused_and_not_kept() {
    let world = World::new(model());
    world.hub.twist(FILE, Twist::Garbage);
    let error = world.resolve("org/model").unwrap_err();
    let HubError::Integrity { url, expected, .. } = &error else {
        panic!("{error}");
    };
    assert!(url.ends_with(FILE), "{url}");
    assert_eq!(*expected, served(FILE).hash());
    assert!(!incomplete(&world).exists());
    assert_eq!(cached("org/model", &world.options), None);
    world.resolve("org/model").unwrap();
    assert_whole(&world);
}

#[test]
fn a_small_file_is_checked_by_gits_own_hash() {
    let world = World::new(model());
    world.hub.twist("tokenizer.json", Twist::Garbage);
    let error = world.resolve("org/model").unwrap_err();
    assert!(matches!(error, HubError::Integrity { .. }), "{error}");
}

#[test]
fn damaged_remains_of_an_earlier_attempt_are_thrown_away() {
    for remains in [vec![7; 1_000_000], vec![7; WEIGHTS], vec![7; WEIGHTS + 1]] {
        let world = World::new(model());
        fs::create_dir_all(world.folder().join("blobs")).unwrap();
        fs::write(incomplete(&world), &remains).unwrap();
        world.resolve("org/model").unwrap();
        assert_whole(&world);
    }
}

#[test]
fn whole_remains_of_an_earlier_attempt_need_no_request() {
    let world = World::new(model());
    fs::create_dir_all(world.folder().join("blobs")).unwrap();
    fs::write(incomplete(&world), served(FILE).bytes).unwrap();
    world.resolve("org/model").unwrap();
    assert_whole(&world);
    assert!(world.hub.asked_for(FILE).is_empty());
}

#[test]
fn a_file_longer_than_announced_is_refused() {
    let world = World::new(model());
    world.hub.twist(FILE, Twist::TooLong);
    let error = world.resolve("org/model").unwrap_err();
    assert!(matches!(error, HubError::Integrity { .. }), "{error}");
}

#[test]
fn two_at_once_fetch_every_file_once() {
    let world = World::new(model());
    world.hub.answer_slowly(Duration::from_millis(60));
    // A lock belongs to an open file, so two threads are to each other as two processes are.
    thread::scope(|scope| {
        let one = || resolve("org/model", &world.options, &mut Silent).unwrap();
        let (a, b) = (scope.spawn(one), scope.spawn(one));
        assert_eq!(a.join().unwrap(), b.join().unwrap());
    });
    assert_whole(&world);
    for path in crate::NEEDED {
        let fetched = world.hub.asked_for(&format!("/{path}"));
        let expected = if path == "config.json" { 2 } else { 1 };
        assert_eq!(fetched.len(), expected, "{path}: {fetched:?}");
    }
}

#[test]
fn a_download_waits_for_whoever_holds_the_lock() {
    let world = World::new(model());
    let locks = world.cache.path().join(".locks/models--org--model");
    fs::create_dir_all(&locks).unwrap();
    let path = locks.join(format!("{}.lock", served(FILE).hash()));
    let held = fs::File::create(&path).unwrap();
    held.lock().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut told = witness();
            resolve("org/model", &world.options, &mut told).map(|_| told.waits)
        });
        thread::sleep(Duration::from_millis(350));
        assert!(world.hub.asked_for(FILE).is_empty());
        drop(held);
        let waits = waiting.join().unwrap().unwrap();
        assert!(waits.iter().any(|wait| wait.contains(".lock")), "{waits:?}");
    });
    assert_whole(&world);
}
