//! Runs that do not end by themselves.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use aurola_retrieval::Store;
use rustix::process::{Pid, Signal, kill_process};

use crate::*;

/// Two sounds of half an hour, at a rate that keeps them small.
fn hours() -> World {
    let world = World::of_tones(&[]);
    for hertz in [30, 40] {
        write_wav(
            &world.sound(format!("{hertz}.wav")),
            1_000,
            &tone(hertz * 16, 1_800_000),
        );
    }
    world
}

fn search(world: &World) -> Command {
    let mut command = world.aurola(&["search", "rain", "sounds", "--format", "jsonl"]);
    command
        .env("AUROLA_MODEL", checkpoint())
        .stdout(Stdio::piped());
    command
}

fn windows(world: &World) -> u64 {
    let Ok(store) = Store::open_read_only(&world.store()) else {
        return 0;
    };
    let spaces = store
        .summary()
        .map(|summary| summary.spaces)
        .unwrap_or_default();
    spaces.iter().map(|space| space.windows).sum()
}

/// A search that has saved something and is far from done.
fn under_way(world: &World) -> Child {
    let before = windows(world);
    let child = search(world).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while windows(world) == before {
        assert!(Instant::now() < deadline, "nothing is saved for a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// 72 windows a file: every 25 s until one reaches 1,800 s.
const ALL_WINDOWS: u64 = 2 * 72;

#[test]
fn an_interrupted_search_saves_and_the_next_one_goes_on() {
    let world = hours();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let child = under_way(&world);
        send(&child, signal);
        let run = Run::from(child.wait_with_output().unwrap()).ends_with(code);
        assert!(run.out.is_empty());
        assert!(run.err.contains("saving what is done"), "{}", run.err);
        assert!(run.err.contains("the same command goes on"), "{}", run.err);
    }
    let saved = windows(&world);
    assert!((1..ALL_WINDOWS).contains(&saved), "{saved}");
    let done = Run::of(&mut search(&world)).ends_with(0);
    assert_eq!(done.lines().len(), 2);
    assert_eq!(windows(&world), ALL_WINDOWS);
}

#[test]
fn a_killed_search_loses_nothing_it_saved() {
    let world = hours();
    let mut child = under_way(&world);
    child.kill().unwrap();
    child.wait().unwrap();
    let saved = windows(&world);
    assert!((1..ALL_WINDOWS).contains(&saved), "{saved}");
    Run::of(&mut search(&world)).ends_with(0);
    assert_eq!(windows(&world), ALL_WINDOWS);
    assert_eq!(Store::inspect(&world.store()).unwrap().damaged, 0);
}

#[test]
fn two_searches_at_once_share_one_store() {
    let tones: Vec<u32> = (1..=30).map(|n| n * 100).collect();
    let world = World::of_tones(&tones);
    let both: Vec<Child> = (0..2)
        .map(|_| search(&world).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    let answers: Vec<Vec<u8>> = both
        .into_iter()
        .map(|child| {
            Run::from(child.wait_with_output().unwrap())
                .ends_with(0)
                .out
        })
        .collect();
    assert_eq!(answers[0], answers[1]);
    assert_eq!(windows(&world), 30);
}
