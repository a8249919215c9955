//! The other subcommands.

use std::fs;

use crate::*;

fn vector(line: &Value) -> Vec<f64> {
    let numbers = line["embedding"].as_array().unwrap();
    numbers
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

#[test]
fn vectors_come_in_the_order_of_the_command_line() {
    let world = World::of_tones(&[200, 440]);
    let run = world.run(&[
        "embed",
        "--text",
        "rain",
        "--audio",
        "sounds/440.wav",
        "--text",
        "-1 °C",
        "--audio",
        "sounds/200.wav",
        "--audio",
        "sounds/440.wav",
        "--format",
        "jsonl",
    ]);
    let lines = run.ends_with(0).lines();
    let inputs: Vec<&str> = lines
        .iter()
        .map(|line| line["input"].as_str().unwrap())
        .collect();
    assert_eq!(
        inputs,
        [
            "rain",
            "sounds/440.wav",
            "-1 °C",
            "sounds/200.wav",
            "sounds/440.wav"
        ]
    );
    for line in &lines {
        match line["kind"].as_str().unwrap() {
            "text" => assert_eq!(keys(line), ["kind", "input", "dim", "embedding"]),
            kind => {
                assert_eq!(kind, "audio");
                let names = ["kind", "input", "dim", "start_s", "end_s", "embedding"];
                assert_eq!(keys(line), names);
            }
        }
        let vector = vector(line);
        assert_eq!(line["dim"], vector.len());
        let length: f64 = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    assert_eq!(vector(&lines[1]), vector(&lines[4]));
    assert_ne!(vector(&lines[1]), vector(&lines[3]));
}

#[test]
fn a_window_embeds_like_a_clip_of_its_length_and_whole_is_one_vector() {
    let world = World::of_tones(&[]);
    let mut long = tone(440, 16_000 * 12);
    long.extend(tone(1000, 16_000 * 8));
    write_wav(&world.sound("long.wav"), 16_000, &long);
    write_wav(&world.sound("start.wav"), 16_000, &long[..160_000]);
    let embed = |file: &str, more: &[&str]| {
        let run = world.run(&[&["embed", "--audio", file, "--format", "jsonl"], more].concat());
        run.ends_with(0).lines()
    };
    let windows = embed("sounds/long.wav", &["--window", "10", "--hop", "5"]);
    let spans: Vec<(f64, f64)> = windows
        .iter()
        .map(|w| (w["start_s"].as_f64().unwrap(), w["end_s"].as_f64().unwrap()))
        .collect();
    assert_eq!(spans, [(0.0, 10.0), (5.0, 15.0), (10.0, 20.0)]);
    let alone = vector(&embed("sounds/start.wav", &[])[0]);
    for (a, b) in vector(&windows[0]).iter().zip(&alone) {
        assert!((a - b).abs() <= 1e-6);
    }
    let whole = embed("sounds/long.wav", &["--whole"]);
    assert_eq!(whole.len(), 1);
    assert_eq!(whole[0]["end_s"], 20.0);
}

#[test]
fn an_input_that_cannot_be_read_leaves_the_others_alone() {
    let world = World::of_tones(&[440]);
    let run = world.run(&[
        "embed",
        "--audio",
        "gone.wav",
        "--text",
        "rain",
        "--audio",
        "sounds/440.wav",
    ]);
    let run = run.ends_with(3);
    assert_eq!(run.lines().len(), 2);
    assert!(run.err.contains("gone.wav: "), "{}", run.err);
    world.run(&["embed"]).ends_with(2);
}

#[test]
fn verdicts_are_what_the_contract_says_in_both_directions() {
    let world = World::of_tones(&[200, 440]);
    for ask in [
        ["audio-to-text", "sounds/440.wav", "a tone", "rain"],
        [
            "text-to-audio",
            "a tone",
            "sounds/440.wav",
            "sounds/200.wav",
        ],
    ] {
        let run = world.run(&[
            "rerank",
            "--direction",
            ask[0],
            "--query",
            ask[1],
            "--candidate",
            ask[2],
            "--candidate",
            ask[3],
            "--format",
            "jsonl",
        ]);
        let lines = run.ends_with(0).lines();
        assert_eq!(lines.len(), 2);
        for (index, line) in lines.iter().enumerate() {
            assert_eq!(
                keys(line),
                ["index", "candidate", "logit_yes", "logit_no", "p_yes"]
            );
            assert_eq!(line["index"], index);
            assert_eq!(line["candidate"], ask[2 + index]);
            let value = |name: &str| line[name].as_f64().unwrap();
            let p_yes = 1.0 / (1.0 + (value("logit_no") - value("logit_yes")).exp());
            assert!((value("p_yes") - p_yes).abs() < 1e-6);
        }
    }
    let run = world.run(&[
        "rerank",
        "--direction",
        "text-to-audio",
        "--query",
        "a tone",
        "--candidate",
        "gone.wav",
    ]);
    assert!(run.ends_with(3).err.contains("gone.wav: "));
}

#[test]
fn a_caption_is_one_line_for_each_window() {
    let world = World::of_tones(&[]);
    write_wav(&world.sound("long.wav"), 16_000, &tone(440, 16_000 * 12));
    let arguments = ["caption", "sounds/long.wav", "--window", "10", "--hop", "8"];
    let caption = || {
        let more = ["--max-tokens", "4", "--format", "jsonl"];
        world.run(&[&arguments[..], &more].concat()).ends_with(0)
    };
    let lines = caption().lines();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        assert_eq!(keys(line), ["path", "start_s", "end_s", "caption"]);
        assert!(line["caption"].is_string());
    }
    assert_eq!(lines[1]["end_s"], 12.0);
    assert_eq!(
        caption().out,
        caption().out,
        "the likeliest words are always the same"
    );
}

#[test]
fn a_model_is_described() {
    let world = World::of_tones(&[]);
    let path = checkpoint();
    let run = world.run(&["model", "info", path.to_str().unwrap(), "--format", "json"]);
    let info: Value = serde_json::from_str(run.ends_with(0).out()).unwrap();
    assert_eq!(info["fingerprint"].as_str().unwrap().len(), 32);
    assert!(info["dim"].as_u64().unwrap() > 0);
    let people = world.run(&["model", "info"]).ends_with(0);
    assert!(people.out().contains(info["fingerprint"].as_str().unwrap()));
    let list = world.run(&["model", "ls"]).ends_with(0);
    assert!(list.out().starts_with("nano "), "{}", list.out());
    assert!(list.err.contains("no other models in"), "{}", list.err);
}

#[test]
fn the_doctor_finds_this_machine_healthy_and_a_broken_model_not() {
    let world = World::of_tones(&[]);
    let healthy = world.run(&["doctor"]).ends_with(0);
    for line in [
        "processor",
        "memory",
        "store",
        "models",
        "looks for",
        "decoding   works",
        "real time",
    ] {
        assert!(
            healthy.out().contains(line),
            "no {line} in\n{}",
            healthy.out()
        );
    }
    let ill = Run::of(
        world
            .aurola(&["doctor", "--model", "sounds"])
            .env_remove("AUROLA_MODEL"),
    );
    assert!(ill.ends_with(1).out().contains("model      FAILED"));
    let json = world.run(&["doctor", "--json"]).ends_with(0);
    let json: Value = serde_json::from_slice(&json.out).unwrap();
    assert_eq!(json["healthy"], true);
    assert_eq!(json["findings"].as_array().unwrap().len(), 8);
    let lines = world.run(&["doctor", "--format", "jsonl"]).ends_with(0);
    assert_eq!(keys(&lines.lines()[0]), ["name", "works", "says"]);
}

#[test]
fn the_index_is_listed_forgotten_checked_and_repaired() {
    let world = World::of_tones(&[200, 440]);
    assert!(
        world
            .run(&["index", "status"])
            .ends_with(1)
            .err
            .contains("nothing is kept yet")
    );
    world.run(&["search", "rain", "sounds"]).ends_with(0);
    let status = world.run(&["index", "status", "--json"]).ends_with(0);
    let status: Value = serde_json::from_str(status.out()).unwrap();
    assert_eq!(
        (&status["files"], &status["contents"]),
        (&2.into(), &2.into())
    );
    assert_eq!(status["spaces"][0]["windows"], 2);
    assert_eq!(
        world
            .run(&["index", "ls", "sounds"])
            .ends_with(0)
            .out()
            .lines()
            .count(),
        2
    );
    let listed = world.run(&["index", "ls", "--json"]).ends_with(0);
    let listed: Value = serde_json::from_slice(&listed.out).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let listed = world.run(&["index", "ls", "--format", "csv"]).ends_with(0);
    assert!(listed.out().starts_with("path\n/"), "{}", listed.out());
    world.run(&["index", "rm", "sounds/200.wav"]).ends_with(0);
    let left = world.run(&["index", "ls"]).ends_with(0);
    assert!(left.out().trim().ends_with("440.wav"));
    world.run(&["index", "verify"]).ends_with(0);

    // A run of zeros in the middle of the one vector that is left.
    let mut bytes = fs::read(world.store()).unwrap();
    let embed = world
        .run(&["embed", "--audio", "sounds/440.wav"])
        .ends_with(0);
    let needle: Vec<u8> = (vector(&embed.lines()[0]).iter())
        .take(8)
        .flat_map(|number| (*number as f32).to_le_bytes())
        .collect();
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle)
        .unwrap();
    bytes[at..at + needle.len()].fill(0);
    fs::write(world.store(), bytes).unwrap();
    let damaged = world.run(&["search", "rain", "sounds"]).ends_with(2);
    assert!(
        damaged.err.contains("library.sqlite: damaged"),
        "{}",
        damaged.err
    );
    assert!(
        damaged.err.contains("help: `aurola index verify --repair`"),
        "{}",
        damaged.err
    );
    world.run(&["index", "verify"]).ends_with(1);
    world.run(&["index", "verify", "--repair"]).ends_with(0);
    world.run(&["search", "rain", "sounds"]).ends_with(0);
    world.run(&["index", "verify"]).ends_with(0);
}
