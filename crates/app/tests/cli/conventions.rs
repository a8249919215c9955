//! Codes, streams and variables.

use crate::*;

/// Without a model in the environment.
fn bare(world: &World, arguments: &[&str]) -> Run {
    Run::of(world.aurola(arguments).env_remove("AUROLA_MODEL"))
}

#[test]
fn wrong_usage_is_2_and_says_how_it_is_meant() {
    let world = World::of_tones(&[440]);
    for arguments in [
        &["search"][..],
        &["search", "  "],
        &["search", "rain", "no/such/folder"],
        &["search", "rain", "sounds", "--format", "xml"],
        &["search", "rain", "sounds", "-k", "0"],
        &[
            "search",
            "--like",
            "sounds/440.wav",
            "sounds",
            "--rerank",
            "3",
        ],
        &["search", "rain", "sounds", "--window", "0"],
        &[
            "search",
            "rain",
            "sounds",
            "--not",
            "dogs",
            "--not-weight",
            "-1",
        ],
        &["no-such-command"],
        &[],
    ] {
        let run = world.run(arguments).ends_with(2);
        assert!(run.out.is_empty(), "{arguments:?}");
        assert!(!run.err.contains("panicked"), "{}", run.err);
    }
    let missing = world.run(&["search", "rain", "no/such/folder"]);
    assert!(
        missing.err.starts_with("error: no/such/folder: "),
        "{}",
        missing.err
    );
}

#[test]
fn a_model_that_cannot_be_had_is_4_and_says_what_to_do() {
    let world = World::of_tones(&[440]);
    let offline = bare(
        &world,
        &["search", "rain", "sounds", "--model", "nobody/nothing"],
    );
    assert!(
        offline
            .ends_with(4)
            .err
            .contains("aurola model pull nobody/nothing")
    );
    bare(
        &world,
        &["search", "rain", "sounds", "--model", "./no-such-folder"],
    )
    .ends_with(4);
    let broken = bare(&world, &["search", "rain", "sounds", "--model", "sounds"]).ends_with(2);
    assert!(broken.err.contains("config.json"), "{}", broken.err);
    assert!(!world.store().exists(), "nothing half-made");
}

#[test]
fn a_damaged_checkpoint_names_the_file_the_reason_and_the_next_step() {
    let world = World::of_tones(&[440]);
    let copy = world.folder.path().join("model");
    let fresh = || {
        std::fs::create_dir_all(&copy).unwrap();
        for entry in std::fs::read_dir(checkpoint()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
    };
    let failed = |file: &str| {
        let line = ["search", "rain", "sounds", "--model", "model"];
        let run = bare(&world, &line).ends_with(2);
        assert!(run.err.starts_with("error: model/"), "{}", run.err);
        assert!(run.err.contains(file), "{}", run.err);
        assert!(run.err.contains("\nhelp: "), "{}", run.err);
    };
    fresh();
    let weights = std::fs::read(copy.join("model.safetensors")).unwrap();
    std::fs::write(
        copy.join("model.safetensors"),
        &weights[..weights.len() / 2],
    )
    .unwrap();
    failed("model.safetensors");
    std::fs::write(copy.join("model.safetensors"), "").unwrap();
    failed("model.safetensors");
    fresh();
    let config = std::fs::read_to_string(copy.join("config.json")).unwrap();
    let other = config.replace("\"num_hidden_layers\": ", "\"num_hidden_layers\": 1");
    assert_ne!(other, config);
    std::fs::write(copy.join("config.json"), other).unwrap();
    failed("model.safetensors");
    std::fs::write(copy.join("config.json"), "{").unwrap();
    failed("config.json");
    assert!(!world.store().exists(), "nothing half-made");
}

#[test]
fn an_answer_is_on_stdout_and_everything_else_on_stderr() {
    let world = World::of_tones(&[440]);
    let loud = world.run(&["search", "rain", "sounds", "-v"]).ends_with(0);
    assert_eq!(loud.out().lines().count(), 1);
    assert!(loud.err.contains("1 of 1 sounds are new"), "{}", loud.err);
    let quiet = world.run(&["search", "rain", "sounds", "-q"]).ends_with(0);
    assert_eq!((quiet.out().lines().count(), quiet.err.as_str()), (1, ""));
}

#[test]
fn every_option_can_be_a_variable() {
    let world = World::of_tones(&[200, 440, 1000]);
    let run = Run::of(
        world
            .aurola(&["search", "rain", "sounds"])
            .env("AUROLA_MODEL", checkpoint())
            .env("AUROLA_FORMAT", "jsonl")
            .env("AUROLA_LIMIT", "2")
            .env("AUROLA_QUIET", "1")
            .env("AUROLA_THREADS", "1")
            .env("AUROLA_STORE", world.folder.path().join("elsewhere.sqlite")),
    );
    let run = run.ends_with(0);
    assert_eq!(run.lines().len(), 2);
    assert!(run.err.is_empty());
    assert!(world.folder.path().join("elsewhere.sqlite").is_file());
    assert!(!world.store().exists());
}

#[test]
fn threads_change_no_number() {
    let world = World::of_tones(&[440]);
    let embed = |threads: &str| {
        let run = world.run(&[
            "embed",
            "--audio",
            "sounds/440.wav",
            "--text",
            "rain",
            "-j",
            threads,
        ]);
        run.ends_with(0).out
    };
    assert_eq!(embed("1"), embed("3"));
}

#[test]
fn other_files_in_the_stores_place_are_left_alone() {
    let world = World::of_tones(&[440]);
    std::fs::write(
        world.folder.path().join("letter"),
        "Dear store, ".repeat(100),
    )
    .unwrap();
    let run = world
        .run(&["search", "rain", "sounds", "--store", "letter"])
        .ends_with(2);
    assert!(run.err.contains("letter: not a store"), "{}", run.err);
    assert!(run.err.contains("help: --store FILE"), "{}", run.err);
}

#[test]
fn whoever_stops_reading_is_no_error() {
    let world = World::of_tones(&[440]);
    let mut child = world
        .aurola(&["embed", "--text", "a", "--text", "b", "--text", "c"])
        .env("AUROLA_MODEL", checkpoint())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let run = Run::from(child.wait_with_output().unwrap()).ends_with(0);
    assert_eq!(run.err, "");
}
