//! `aurola search` and `aurola similar`.

use std::fs;

use crate::*;

const RANKED: [&str; 5] = ["rank", "path", "score", "start_s", "end_s"];

#[test]
fn json_lines_are_what_the_contract_says() {
    let world = World::of_tones(&[200, 440, 1000]);
    let run = world.run(&[
        "search",
        "a dog barking",
        "sounds",
        "-k",
        "2",
        "--format",
        "jsonl",
    ]);
    let lines = run.ends_with(0).lines();
    assert_eq!(lines.len(), 2);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(keys(line), RANKED);
        assert_eq!(line["rank"], index + 1);
        assert!(line["path"].as_str().unwrap().starts_with("sounds/"));
        assert_eq!(
            (&line["start_s"], &line["end_s"]),
            (&0.0.into(), &1.0.into())
        );
    }
    assert!(lines[0]["score"].as_f64() >= lines[1]["score"].as_f64());
}

#[test]
fn a_second_search_embeds_nothing_and_gives_the_same() {
    let world = World::of_tones(&[200, 440, 1000]);
    let ask = ["search", "rain", "sounds", "--format", "jsonl", "-v"];
    let first = world.run(&ask).ends_with(0);
    let second = world.run(&ask).ends_with(0);
    assert!(
        first.err.contains("3 sounds found, 3 of them new"),
        "{}",
        first.err
    );
    assert!(
        second.err.contains("3 sounds found, 0 of them new"),
        "{}",
        second.err
    );
    assert_eq!(first.out, second.out);
}

#[test]
fn other_weights_or_windows_are_not_mixed_with_these() {
    let world = World::of_tones(&[200]);
    let new = |more: &[&str]| {
        let run = world.run(&[&["search", "rain", "sounds", "-v"], more].concat());
        run.ends_with(0)
            .err
            .contains("1 sounds found, 1 of them new")
    };
    assert!(new(&[]));
    assert!(new(&["--whole"]));
    assert!(new(&["--window", "10", "--hop", "5"]));
    assert!(new(&["--prompt", "demo"]));
    assert!(new(&["--dtype", "bf16"]));
    assert!(!new(&["--dtype", "f32"]));
}

#[test]
fn a_sound_is_most_like_itself() {
    let world = World::of_tones(&[200, 440, 3000]);
    let first = |arguments: &[&str]| {
        let run = world
            .run(&[arguments, &["--format", "jsonl"]].concat())
            .ends_with(0);
        let line = run.lines().remove(0);
        assert!((line["score"].as_f64().unwrap() - 1.0).abs() < 1e-5);
        line["path"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        first(&["similar", "sounds/440.wav", "sounds"]),
        "sounds/440.wav"
    );
    assert_eq!(
        first(&["search", "--like", "sounds/200.wav", "sounds"]),
        "sounds/200.wav"
    );
}

#[test]
fn a_sound_to_compare_with_that_cannot_be_read_is_told_before_anything_is_embedded() {
    let world = World::of_tones(&[200, 440]);
    let text = world.folder.path().join("text.wav");
    std::fs::write(&text, "no sound").unwrap();
    let run = world.run(&["similar", "text.wav", "sounds"]).ends_with(2);
    assert!(
        run.err.contains("error: text.wav: not a sound"),
        "{}",
        run.err
    );
    let status = world.run(&["index", "status", "--json"]).ends_with(0);
    let status: Value = serde_json::from_slice(&status.out).unwrap();
    assert_eq!(
        status["files"], 1,
        "only the one that failed is known: {status}"
    );
    let folder = world.run(&["similar", "sounds", "sounds"]).ends_with(2);
    assert!(
        folder.err.contains("help: name one sound"),
        "{}",
        folder.err
    );
}

#[test]
fn a_judged_list_says_what_the_judge_said() {
    let world = World::of_tones(&[200, 440, 1000, 3000]);
    let run = world.run(&[
        "search", "rain", "sounds", "--rerank", "2", "--format", "jsonl",
    ]);
    let run = run.ends_with(0);
    assert!(run.err.contains("judging the 2 best"), "{}", run.err);
    let lines = run.lines();
    let judged = [&RANKED[..], &["cosine", "p_yes"]].concat();
    assert_eq!(lines.iter().filter(|line| keys(line) == judged).count(), 2);
    assert_eq!(lines.iter().filter(|line| keys(line) == RANKED).count(), 2);
    for line in &lines[..2] {
        let value = |name: &str| line[name].as_f64().unwrap();
        assert!((value("score") - value("cosine") - value("p_yes")).abs() < 1e-6);
    }
}

#[test]
fn another_checkpoint_may_be_the_judge_and_is_loaded_only_to_judge() {
    let world = World::of_tones(&[200, 440]);
    let other =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/checkpoints/f16-sharded");
    let other = other.to_str().unwrap();
    let ask = |more: &[&str]| {
        let plain = ["search", "rain", "sounds", "--format", "jsonl"];
        world.run(&[&plain, more].concat()).ends_with(0).lines()
    };
    let own = ask(&["--rerank", "2"]);
    let judged = ask(&["--rerank", "2", "--reranker", other]);
    let verdicts = |lines: &[Value]| -> Vec<f64> {
        let mut all: Vec<f64> = lines.iter().map(|l| l["p_yes"].as_f64().unwrap()).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    assert_ne!(verdicts(&own), verdicts(&judged));
    // Named for good by AUROLA_RERANKER, it must not cost a search that judges nothing.
    assert_eq!(ask(&["--reranker", "/nowhere"]).len(), 2);
}

#[test]
fn a_long_sound_is_answered_with_a_span() {
    let world = World::of_tones(&[]);
    write_wav(&world.sound("long.wav"), 16_000, &tone(440, 16_000 * 70));
    let run = world
        .run(&["search", "rain", "sounds", "--json"])
        .ends_with(0);
    let document: Value = serde_json::from_str(run.out()).unwrap();
    let hit = &document["results"][0];
    assert_eq!(hit["duration_s"], 70.0);
    assert_eq!(hit["codec"], "pcm_s16le");
    let (start, end) = (
        hit["start_s"].as_f64().unwrap(),
        hit["end_s"].as_f64().unwrap(),
    );
    assert!([0.0, 25.0, 50.0].contains(&start) && end <= 70.0 && end - start <= 30.0);
    assert!(!hit["others"].as_array().unwrap().is_empty());
}

#[test]
fn every_form_of_output_names_the_same_files() {
    let world = World::of_tones(&[200, 440]);
    let ask = |more: &[&str]| world.run(&[&["search", "rain", "sounds"], more].concat());
    let lines = ask(&["--format", "jsonl"]).ends_with(0).lines();
    let names: Vec<&str> = lines
        .iter()
        .map(|line| line["path"].as_str().unwrap())
        .collect();

    let paths = ask(&["--paths"]).ends_with(0);
    assert_eq!(paths.out().lines().collect::<Vec<_>>(), names);
    let nul = ask(&["-0"]).ends_with(0);
    assert_eq!(nul.out().split_terminator('\0').collect::<Vec<_>>(), names);
    let csv = ask(&["--format", "csv"]).ends_with(0);
    let column = csv
        .out()
        .lines()
        .skip(1)
        .map(|row| row.split(',').nth(1).unwrap());
    assert_eq!(column.collect::<Vec<_>>(), names);
    assert!(csv.out().starts_with("rank,path,score,start_s,end_s"));
    let table = ask(&[]).ends_with(0);
    for (row, name) in table.out().lines().zip(&names) {
        // Shown from the folder that was searched.
        assert!(
            row.ends_with(&format!("  {}", &name["sounds/".len()..])),
            "{row}"
        );
        assert!(!row.contains('\x1b'), "no color in a pipe");
    }
    assert!(ask(&["--format", "quiet"]).ends_with(0).out.is_empty());
}

#[test]
fn nothing_to_find_is_1_and_says_where_it_looked() {
    let world = World::of_tones(&[]);
    fs::write(world.sound("letter.txt"), "no sound").unwrap();
    let run = world.run(&["search", "rain", "sounds"]).ends_with(1);
    assert!(run.out.is_empty());
    assert!(run.err.contains("no sounds found in sounds"), "{}", run.err);
}

#[test]
fn files_that_cannot_be_read_are_listed_and_the_code_is_3() {
    let world = World::of_tones(&[440]);
    fs::write(world.sound("empty.wav"), "").unwrap();
    fs::write(world.sound("letter.flac"), "Dear sound, ".repeat(500)).unwrap();
    for _ in 0..2 {
        let run = world
            .run(&["search", "rain", "sounds", "--format", "jsonl"])
            .ends_with(3);
        assert_eq!(run.lines().len(), 1);
        assert!(run.err.contains("2 files skipped:"), "{}", run.err);
        assert!(run.err.contains("sounds/empty.wav: "), "{}", run.err);
        assert!(run.err.contains("sounds/letter.flac: "), "{}", run.err);
    }
    let status = world.run(&["index", "status", "--errors"]).ends_with(0);
    assert!(
        status.out().contains("2 files could not be read"),
        "{}",
        status.out()
    );
    assert!(status.out().contains("letter.flac: "), "{}", status.out());
}

#[cfg(unix)]
#[test]
fn names_that_are_not_unicode_or_hostile_come_through_whole_and_do_no_harm() {
    use std::os::unix::ffi::OsStrExt;
    let world = World::of_tones(&[]);
    let odd = OsStr::from_bytes(b"caf\xe9\n\x1b[31m.wav");
    write_wav(&world.sound(odd), 16_000, &tone(440, 16_000));
    let exact = [b"sounds/".as_slice(), odd.as_bytes()].concat();
    let nul = world.run(&["search", "rain", "sounds", "-0"]).ends_with(0);
    assert_eq!(nul.out, [exact.as_slice(), &[0]].concat());
    let line = world
        .run(&["search", "rain", "sounds", "--format", "jsonl"])
        .ends_with(0);
    let hex: String = exact.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(line.lines()[0]["path_hex"], hex);
    let table = world.run(&["search", "rain", "sounds"]).ends_with(0);
    assert_eq!(table.out().lines().count(), 1);
    assert!(
        table.out().contains("\\n\\u{1b}[31m.wav"),
        "{}",
        table.out()
    );
}
