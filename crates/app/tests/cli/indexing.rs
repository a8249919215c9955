//! `aurola index`: added, kept up to date, carried away, moved, migrated and watched.

use std::fs;
use std::io::{BufRead, BufReader};
use std::time::Instant;

use crate::*;

#[test]
fn what_is_added_is_kept_up_to_date() {
    let world = World::of_tones(&[200, 440]);
    let added = world.run(&["index", "add", "sounds"]).ends_with(0);
    assert!(
        added.err.contains("2 sounds known, 2 of them new"),
        "{}",
        added.err
    );
    fs::rename(world.sound("200.wav"), world.sound("Dog Bark.wav")).unwrap();
    fs::remove_file(world.sound("440.wav")).unwrap();
    write_wav(&world.sound("new.wav"), 16_000, &tone(900, 16_000));
    let updated = world.run(&["index", "update"]).ends_with(0);
    assert!(
        updated
            .err
            .contains("2 sounds known, 1 of them new, 2 moved or gone"),
        "{}",
        updated.err
    );
    let words = ["search", "dog bark", "sounds", "--by", "words", "--paths"];
    assert_eq!(
        world.run(&words).ends_with(0).out(),
        "sounds/Dog Bark.wav\n"
    );
    // A drive that is away.
    fs::rename(world.sounds(), world.folder.path().join("away")).unwrap();
    let away = world.run(&["index", "update"]).ends_with(0);
    assert!(
        away.err.contains("not there; what is known of it stays"),
        "{}",
        away.err
    );
    let status = world.run(&["index", "status", "--json"]).ends_with(0);
    let status: Value = serde_json::from_slice(&status.out).unwrap();
    assert_eq!(
        (&status["files"], &status["roots"][0]["present"]),
        (&3.into(), &false.into())
    );
    // It is mounted elsewhere: nothing is embedded again.
    world
        .run(&["index", "relink", "sounds", "away"])
        .ends_with(0);
    let back = world.run(&["index", "update"]).ends_with(0);
    assert!(
        back.err.contains("2 sounds known, 0 of them new"),
        "{}",
        back.err
    );
}

#[test]
fn filters_order_and_relevance_from_the_command_line() {
    let world = World::of_tones(&[200]);
    write_wav(&world.sound("long.wav"), 16_000, &tone(440, 64_000));
    write_wav(&world.sound("cd.wav"), 44_100, &tone(440, 44_100));
    let ask = |more: &[&str]| {
        let run = world.run(&[&["search", "rain", "sounds", "--paths"], more].concat());
        let mut names: Vec<String> = run.out().lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(ask(&["--duration", "2.."]), ["sounds/long.wav"]);
    assert_eq!(ask(&["--rate", "44100"]), ["sounds/cd.wav"]);
    assert_eq!(ask(&["--path", "LONG"]), ["sounds/long.wav"]);
    assert_eq!(ask(&["--ext", "wav", "--channels", "1"]).len(), 3);
    assert!(ask(&["--ext", "mp3"]).is_empty());
    assert!(ask(&["--since", "2200-01-01"]).is_empty());
    assert_eq!(ask(&["--group", "folder"]).len(), 1);
    let sorted = world
        .run(&["search", "rain", "sounds", "--sort", "name", "--paths"])
        .ends_with(0);
    assert_eq!(
        sorted.out(),
        "sounds/200.wav\nsounds/cd.wav\nsounds/long.wav\n"
    );
    world
        .run(&["search", "rain", "sounds", "--duration", "9..3"])
        .ends_with(2);
    world
        .run(&["search", "rain", "sounds", "--min-relevance", "2"])
        .ends_with(2);
    let explained = world
        .run(&["search", "rain", "sounds", "--json", "--explain"])
        .ends_with(0);
    let document: Value = serde_json::from_slice(&explained.out).unwrap();
    let hit = &document["results"][0];
    assert_eq!(hit["heat"].as_array().unwrap().len(), 1);
    assert!(["strong", "likely", "weak"].contains(&hit["relevance"]["label"].as_str().unwrap()));
}

#[test]
fn an_index_is_carried_to_another_machine_and_to_python() {
    let world = World::of_tones(&[200, 440]);
    world.run(&["index", "add", "sounds"]).ends_with(0);
    world
        .run(&["index", "export", "--to", "copy.sqlite"])
        .ends_with(0);
    world
        .run(&["index", "export", "--to", "copy.sqlite"])
        .ends_with(2);
    world
        .run(&["index", "export", "--to", "copy.txt"])
        .ends_with(2);
    world
        .run(&["index", "export", "--to", "vectors.npy"])
        .ends_with(0);
    let numbers = fs::read(world.folder.path().join("vectors.npy")).unwrap();
    let table = fs::read_to_string(world.folder.path().join("vectors.jsonl")).unwrap();
    assert_eq!(table.lines().count(), 2);
    let dim = (numbers.len() - 128) / 2 / 4;
    assert!(String::from_utf8_lossy(&numbers[..128]).contains(&format!("'shape': (2, {dim})")));
    let other = ["--store", "other.sqlite"];
    let run = |arguments: &[&str]| world.run(&[arguments, &other].concat());
    run(&["index", "import", "copy.sqlite"]).ends_with(0);
    let status = run(&["index", "status", "--json"]).ends_with(0);
    let status: Value = serde_json::from_slice(&status.out).unwrap();
    assert_eq!(
        (&status["files"], &status["spaces"][0]["windows"]),
        (&2.into(), &2.into())
    );
    // Captions from a table beside the sounds.
    fs::write(
        world.sound("captions.csv"),
        "path,caption\n440.wav,a kettle whistling\nx.wav,no\n",
    )
    .unwrap();
    let told = run(&["index", "import", "sounds/captions.csv"]).ends_with(0);
    assert!(told.err.contains("1 of 2 captions"), "{}", told.err);
    let found = run(&["search", "kettle", "sounds", "--by", "words", "--paths"]).ends_with(0);
    assert_eq!(found.out(), "sounds/440.wav\n");
}

#[test]
fn another_model_is_refused_until_the_index_is_migrated() {
    let world = World::of_tones(&[200, 440]);
    world.run(&["index", "add", "sounds"]).ends_with(0);
    let other =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/checkpoints/f16-sharded");
    let with_other =
        |arguments: &[&str]| Run::of(world.aurola(arguments).env("AUROLA_MODEL", &other));
    let refused = with_other(&["index", "update"]).ends_with(2);
    assert!(
        refused.err.contains("aurola index migrate"),
        "{}",
        refused.err
    );
    with_other(&["index", "migrate", "--drop-old"]).ends_with(0);
    with_other(&["index", "update"]).ends_with(0);
    world.run(&["index", "update"]).ends_with(2);
}

#[cfg(unix)]
#[test]
fn a_watch_finds_what_is_copied_in_and_ends_by_a_signal() {
    let world = World::of_tones(&[200]);
    world.run(&["index", "add", "sounds"]).ends_with(0);
    let mut child = world
        .aurola(&["index", "watch"])
        .env("AUROLA_MODEL", checkpoint())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut until = |wanted: &str| {
        let found = lines
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.contains(wanted));
        assert!(found.is_some(), "it ended before it said {wanted:?}");
    };
    until("watching 1 folders");
    let started = Instant::now();
    fs::copy(world.sound("200.wav"), world.folder.path().join("x.wav")).unwrap();
    write_wav(&world.sound("late.wav"), 16_000, &tone(440, 16_000));
    until("2 sounds known, 1 of them new");
    assert!(
        started.elapsed() < Duration::from_secs(120),
        "by the change, not by the clock"
    );
    until("watching 1 folders");
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}
