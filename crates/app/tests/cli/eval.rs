//! `aurola eval`: from a matrix, and from annotation files and sounds, killed and taken up again.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Run, World, checkpoint, tone, write_wav};

fn npy(path: &Path, rows: usize, values: &[f32]) {
    let shape = format!("({rows}, {})", values.len() / rows);
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_saved_matrix_is_scored_by_the_command_contract() {
    let world = World::of_tones(&[]);
    let at = |name: &str| world.folder.path().join(name);
    // Two clips, three texts; the second text ties, so it counts as missed.
    npy(&at("m.npy"), 3, &[0.9, 0.1, 0.5, 0.5, 0.2, 0.8]);
    fs::write(
        at("ids.json"),
        json!({"audio": ["a", "b"], "text": ["a", "a", "b"]}).to_string(),
    )
    .unwrap();
    let run = world
        .run(&[
            "eval", "score", "m.npy", "--ids", "ids.json", "--format", "json",
        ])
        .ends_with(0);
    let scored: Value = serde_json::from_str(run.out()).unwrap();
    let text = &scored["text_to_audio"];
    assert!(
        (text["r1"].as_f64().unwrap() - 200.0 / 3.0).abs() < 1e-9,
        "{scored}"
    );
    assert_eq!(
        (&text["r5"], &text["median_rank"]),
        (&json!(100.0), &json!(1.0))
    );
    assert_eq!(scored["audio_to_text"]["r1"], 100.0);
    for key in ["r1", "r5", "r10", "mean", "median_rank", "map10"] {
        assert!(
            text[key].is_number() && scored["audio_to_text"][key].is_number(),
            "{key}"
        );
    }
    let released = world
        .run(&[
            "eval", "score", "m.npy", "--ids", "ids.json", "--mode", "released", "--format", "json",
        ])
        .ends_with(0);
    let released: Value = serde_json::from_str(released.out()).unwrap();
    // A stable sort puts the first column first.
    assert_eq!(released["text_to_audio"]["r1"], 100.0);
    let table = world
        .run(&["eval", "score", "m.npy", "--ids", "ids.json"])
        .ends_with(0);
    assert!(
        table.out().contains("text to audio") && table.out().contains("66.7  ["),
        "{}",
        table.out()
    );
}

#[test]
fn mistakes_in_a_matrix_end_without_a_figure() {
    let world = World::of_tones(&[]);
    let at = |name: &str| world.folder.path().join(name);
    npy(&at("nan.npy"), 1, &[0.9, f32::NAN]);
    npy(&at("m.npy"), 2, &[0.9, 0.1, 0.3, 0.8]);
    fs::write(at("ids.json"), r#"{"audio": ["a", "b"], "text": ["a"]}"#).unwrap();
    fs::write(
        at("both.json"),
        r#"{"audio": ["a", "b"], "text": ["a", "b"]}"#,
    )
    .unwrap();
    fs::write(
        at("twice.json"),
        r#"{"audio": ["a", "a"], "text": ["a", "a"]}"#,
    )
    .unwrap();
    fs::write(at("rerank.json"), r#"{"a2t_index": [0]}"#).unwrap();
    for (arguments, expected) in [
        (
            vec!["nan.npy", "--ids", "both.json"],
            "nan.npy, row 0, column 1: is NaN; ",
        ),
        (
            vec!["m.npy", "--ids", "ids.json"],
            "ids.json, `audio[1]`: is `b`, which no text describes; ",
        ),
        (
            vec!["m.npy", "--ids", "twice.json"],
            "`audio[1]`: is `a` again, as audio[0]; ",
        ),
        (vec!["nan.npy", "--ids", "missing.json"], "column 1"),
        (
            vec!["m.npy", "--ids", "missing.json"],
            "missing.json: cannot be read",
        ),
        (
            vec!["m.npy", "--ids", "both.json", "--rerank", "rerank.json"],
            "rerank.json, `t2a_index`: is missing; ",
        ),
    ] {
        let mut all = vec!["eval", "score"];
        all.extend(arguments);
        let run = world.run(&all).ends_with(2);
        assert!(run.err.contains(expected), "{}", run.err);
        assert_eq!(run.out(), "");
    }
}

/// Six tones, two captions each.
fn world_with_captions() -> World {
    let tones = [300, 400, 500, 600, 700, 800];
    let world = World::of_tones(&tones);
    let mut table = "file,caption\n".to_owned();
    for hertz in tones {
        table +=
            &format!("{hertz}.flac,a tone of {hertz} hertz\n{hertz}.flac,\"{hertz} Hz, steady\"\n");
    }
    fs::write(world.folder.path().join("captions.csv"), table).unwrap();
    world
}

fn result(world: &World, out: &str) -> Value {
    let path = world.folder.path().join(out).join("result.json");
    let mut result: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    result["made"] = Value::Null;
    result
}

const RUN: [&str; 7] = [
    "eval",
    "run",
    "own",
    "--annotations",
    "captions.csv",
    "--audio",
    "sounds",
];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    RUN.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn a_table_of_ones_own_becomes_a_report_that_stands_alone() {
    let world = world_with_captions();
    let run = world
        .run(&with(&["--out", "one", "--players"]))
        .ends_with(0);
    assert!(
        run.out().contains("| R@1 |") && run.out().contains("6 clips and 12 texts"),
        "{}",
        run.out()
    );
    let result_of = result(&world, "one");
    assert_eq!(result_of["pool"]["clips"], 6);
    assert_eq!(result_of["text_to_audio"]["queries"], 12);
    let folder = world.folder.path().join("one");
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    for part in [
        "<svg class=bars",
        "data:image/png;base64,",
        "data:audio/wav;base64,",
        "Near misses",
        "prefers-color-scheme:dark",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(
        !page.contains("http://") && !page.contains("https://") && !page.contains("src='sounds"),
        "fetches something"
    );
    let queries = fs::read_to_string(folder.join("queries.jsonl")).unwrap();
    assert_eq!(queries.lines().count(), 18);
    let first: Value = serde_json::from_str(queries.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["side"], &first["name"]),
        (&json!("text_to_audio"), &json!("a tone of 300 hertz"))
    );
    let mteb = fs::read_dir(folder.join("results")).unwrap().count();
    assert_eq!(mteb, 1);
    // The same system beside itself: no gain, and luck explains it.
    world.run(&with(&["--out", "two"])).ends_with(0);
    let compared = world
        .run(&["eval", "compare", "one", "two", "--format", "json"])
        .ends_with(0);
    let compared: Value = serde_json::from_str(compared.out()).unwrap();
    let gain = &compared["sides"]["text_to_audio"]["gain"]["r1"];
    assert_eq!((&gain["gain"], &gain["p"]), (&json!(0.0), &json!(1.0)));
}

#[test]
fn what_is_missing_or_broken_is_the_callers_choice_and_is_counted() {
    let world = world_with_captions();
    fs::remove_file(world.sound("500.wav")).unwrap();
    let table = world.folder.path().join("captions.csv");
    let text = fs::read_to_string(&table).unwrap() + "300.flac,\n";
    fs::write(&table, text).unwrap();
    let run = world.run(&with(&["--out", "out"])).ends_with(2);
    assert!(
        run.err.contains("line 14: `300` has an empty text") && run.err.contains("--skip-broken"),
        "{}",
        run.err
    );
    let run = world
        .run(&with(&["--out", "out", "--skip-broken"]))
        .ends_with(2);
    assert!(
        run.err
            .contains("1 of 6 clips have no file below sounds: 500"),
        "{}",
        run.err
    );
    assert!(!world.folder.path().join("out").exists());
    let run = world
        .run(&with(&["--out", "out", "--skip-broken", "--skip-missing"]))
        .ends_with(3);
    assert!(
        run.out().contains("5 clips and 10 texts of 6 and 12"),
        "{}",
        run.out()
    );
    let pool = &result(&world, "out")["pool"];
    assert_eq!(
        (&pool["missing"], &pool["broken"][0]["line"]),
        (&json!(["500"]), &json!(14))
    );
    let run = world
        .run(&with(&[
            "--out",
            "out",
            "--skip-broken",
            "--skip-missing",
            "--rerank",
            "2",
        ]))
        .ends_with(2);
    assert!(
        run.err.contains("chosen on the test set is worth nothing"),
        "{}",
        run.err
    );
    let run = world
        .run(&with(&[
            "--out",
            "out",
            "--skip-broken",
            "--skip-missing",
            "--rerank",
            "2",
            "--rerank-weight",
            "0.5",
        ]))
        .ends_with(3);
    assert!(run.out().contains("## After re-ranking"), "{}", run.out());
    let result = result(&world, "out");
    assert_eq!(result["reranked"]["text_to_audio"]["weight"], 0.5);
    assert_eq!(result["reranked"]["audio_to_text"]["candidates"], 2);
}

/// Killed with no warning, several times, at whatever it was doing: the result is that of a run that was left alone.
#[test]
fn a_run_that_is_killed_goes_on_and_ends_the_same() {
    let tones: Vec<u32> = (0..40).map(|i| 300 + 20 * i).collect();
    let make = || {
        let world = World::of_tones(&[]);
        let mut table = "file,caption\n".to_owned();
        for hertz in &tones {
            write_wav(
                &world.sound(format!("{hertz}.wav")),
                16_000,
                &tone(*hertz, 48_000),
            );
            for n in 0..5 {
                table += &format!("{hertz}.wav,tone {hertz} in wording {n}\n");
            }
        }
        fs::write(world.folder.path().join("captions.csv"), table).unwrap();
        world
    };
    let calm = make();
    let began = Instant::now();
    calm.run(&with(&["--out", "out"])).ends_with(0);
    let whole = began.elapsed();
    let world = make();
    for kill in 1..=4_u32 {
        let mut child = (world
            .aurola(&with(&["--out", "out"]))
            .env("AUROLA_MODEL", checkpoint()))
        .spawn()
        .unwrap();
        std::thread::sleep(
            whole
                .mul_f64(f64::from(kill) / 5.0)
                .max(Duration::from_millis(20)),
        );
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    let last = Run::of(
        world
            .aurola(&with(&["--out", "out"]))
            .env("AUROLA_MODEL", checkpoint()),
    )
    .ends_with(0);
    assert!(last.out().contains("40 clips and 200 texts"));
    assert_eq!(result(&world, "out"), result(&calm, "out"));
}

/// A part of a recording embeds as the file that one would have cut out of it, and what is kept is not heard again.
#[test]
fn events_are_heard_within_their_recording_as_if_they_were_cut_out() {
    let world = World::of_tones(&[]);
    let recording: Vec<i16> = [300, 500, 700, 900]
        .into_iter()
        .flat_map(|hertz| tone(hertz, 16_000))
        .collect();
    write_wav(&world.sound("rec.wav"), 16_000, &recording);
    let cut = world.folder.path().join("cut");
    fs::create_dir(&cut).unwrap();
    let mut table = "participant_id,video_id,start_timestamp,stop_timestamp,start_sample,stop_sample,class,class_id\n".to_owned();
    for (n, (from, to)) in [(0_usize, 1000_usize), (500, 2250), (2000, 4000)]
        .into_iter()
        .enumerate()
    {
        let clock = |ms: usize| format!("00:00:{:02}.{:03}", ms / 1000, ms % 1000);
        table += &format!("P01,rec,{},{},0,0,kind {n},{n}\n", clock(from), clock(to));
        write_wav(
            &cut.join(format!("rec_{from}_{to}.wav")),
            16_000,
            &recording[from * 16..to * 16],
        );
    }
    fs::write(world.folder.path().join("events.csv"), &table).unwrap();
    let run = |audio: &str, out: &str| {
        let arguments = [
            "eval",
            "run",
            "hd-epic",
            "--annotations",
            "events.csv",
            "--audio",
            audio,
            "--out",
            out,
        ];
        world.run(&arguments).ends_with(0);
        result(&world, out)
    };
    let (within, cut_out) = (run("sounds", "within"), run("cut", "cut-out"));
    assert_eq!(within["classes"]["by_clip"], cut_out["classes"]["by_clip"]);
    assert_eq!(within, cut_out);
    let compared = world
        .run(&["eval", "compare", "within", "cut-out"])
        .ends_with(0);
    assert!(compared.out().contains("| R@1 |"), "{}", compared.out());
    let kept = fs::read_to_string(world.folder.path().join("within/queries.jsonl")).unwrap();
    assert_eq!(
        kept,
        fs::read_to_string(world.folder.path().join("cut-out/queries.jsonl")).unwrap()
    );
    // An event past the end of its recording is told with both times.
    let late = table + "P01,rec,00:00:03.000,00:00:09.000,0,0,kind 0,0\n";
    fs::write(world.folder.path().join("events.csv"), late).unwrap();
    let arguments = [
        "eval",
        "run",
        "hd-epic",
        "--annotations",
        "events.csv",
        "--audio",
        "sounds",
        "--out",
        "late",
    ];
    let run = world.run(&arguments).ends_with(2);
    assert!(
        run.err
            .contains("3.000 s to 9.000 s: the recording ends at 4.000 s"),
        "{}",
        run.err
    );
}
