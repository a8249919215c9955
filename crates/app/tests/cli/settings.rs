//! Where a setting comes from: the command line, a variable, or standard input.

use std::io::Write;
use std::process::Stdio;

use crate::*;

/// With the tiny checkpoint and these variables.
fn with(world: &World, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    let mut command = world.aurola(arguments);
    command.env("AUROLA_MODEL", checkpoint());
    for (name, value) in variables {
        command.env(name, value);
    }
    Run::of(&mut command)
}

/// With the tiny checkpoint and `input` on stdin.
fn told(world: &World, input: &[u8], arguments: &[&str]) -> Run {
    let mut child = (world.aurola(arguments).env("AUROLA_MODEL", checkpoint()))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    Run::from(child.wait_with_output().unwrap())
}

#[test]
fn the_command_line_is_stronger_than_a_variable() {
    let world = World::of_tones(&[440]);
    let long = world.sound("long.wav");
    write_wav(&long, 16_000, &tone(440, 40_000));
    let windows = |variables: &[(&str, &str)], more: &[&str]| {
        let line = [&["embed", "--audio", "sounds/long.wav"], more].concat();
        with(&world, variables, &line).ends_with(0).lines().len()
    };
    assert_eq!(windows(&[], &["--window", "1", "--hop", "1"]), 3);
    assert_eq!(
        windows(&[("AUROLA_WHOLE", "1")], &["--window", "1", "--hop", "1"]),
        3
    );
    assert_eq!(
        windows(&[("AUROLA_WHOLE", "0")], &["--window", "1", "--hop", "1"]),
        3
    );
    assert_eq!(
        windows(&[("AUROLA_WINDOW", "1"), ("AUROLA_HOP", "1")], &[]),
        3
    );
    assert_eq!(
        windows(&[("AUROLA_WINDOW", "1"), ("AUROLA_HOP", "1")], &["--whole"]),
        1
    );

    let search = ["search", "rain", "sounds", "--json"];
    let json = with(&world, &[("AUROLA_FORMAT", "csv")], &search).ends_with(0);
    assert!(json.out().starts_with('{'), "{}", json.out());
}

#[test]
fn options_that_contradict_each_other_are_wrong_usage() {
    let world = World::of_tones(&[440]);
    let whole = world
        .run(&["search", "rain", "sounds", "--whole", "--hop", "1"])
        .ends_with(2);
    assert!(whole.err.contains("--hop"), "{}", whole.err);
    let forms = world
        .run(&["--json", "search", "rain", "sounds", "--format", "csv"])
        .ends_with(2);
    assert!(forms.err.contains("--json"), "{}", forms.err);
}

#[test]
fn a_judge_for_words_does_not_stand_in_the_way_of_sounds() {
    let world = World::of_tones(&[440, 1000]);
    let similar = ["similar", "sounds/440.wav", "sounds", "--format", "jsonl"];
    let run = with(&world, &[("AUROLA_RERANK", "5")], &similar).ends_with(0);
    assert_eq!(run.lines()[0]["path"], "sounds/440.wav");
}

#[test]
fn a_query_and_texts_can_come_from_stdin() {
    let world = World::of_tones(&[440, 1000]);
    let search = |query| ["search", query, "sounds", "--format", "jsonl"];
    let named = world.run(&search("soft rain")).ends_with(0).out;
    assert_eq!(
        told(&world, b"soft rain\n", &search("-")).ends_with(0).out,
        named
    );
    let nothing = told(&world, b" \n", &search("-")).ends_with(2);
    assert!(
        nothing.err.contains("stdin holds no words"),
        "{}",
        nothing.err
    );

    let line = [
        "embed",
        "--text",
        "first",
        "--text",
        "-",
        "--audio",
        "sounds/440.wav",
    ];
    let run = told(&world, "rain\n\nl\u{e4}rm\n".as_bytes(), &line).ends_with(0);
    let inputs: Vec<Value> = run
        .lines()
        .iter()
        .map(|line| line["input"].clone())
        .collect();
    assert_eq!(inputs, ["first", "rain", "", "l\u{e4}rm", "sounds/440.wav"]);
    told(&world, b"\xff\n", &line).ends_with(2);
}

#[test]
fn color_is_written_where_it_is_forced_and_not_forbidden() {
    let world = World::of_tones(&[440]);
    let escapes = |variables: &[(&str, &str)], more: &[&str]| {
        let line = [&["search", "rain", "sounds"], more].concat();
        let run = with(&world, variables, &line).ends_with(0);
        run.out.contains(&0x1b)
    };
    assert!(!escapes(&[], &[]), "a pipe is no terminal");
    assert!(escapes(&[("FORCE_COLOR", "1")], &[]));
    assert!(escapes(&[("CLICOLOR_FORCE", "1")], &[]));
    assert!(!escapes(&[("FORCE_COLOR", "0")], &[]));
    assert!(!escapes(&[("FORCE_COLOR", "1"), ("NO_COLOR", "1")], &[]));
    assert!(!escapes(&[("FORCE_COLOR", "1")], &["--no-color"]));
    assert!(!escapes(&[("FORCE_COLOR", "1")], &["--format", "jsonl"]));
}

#[test]
fn the_store_is_named_before_or_behind_what_is_done_with_it() {
    let world = World::of_tones(&[440]);
    world
        .run(&["search", "rain", "sounds", "--store", "s.sqlite"])
        .ends_with(0);
    let before = world
        .run(&["index", "--store", "s.sqlite", "ls"])
        .ends_with(0)
        .out;
    let behind = world
        .run(&["index", "ls", "--store", "s.sqlite"])
        .ends_with(0)
        .out;
    assert!(!before.is_empty());
    assert_eq!(before, behind);
}
