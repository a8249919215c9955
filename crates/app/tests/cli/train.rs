//! `aurola train`, on a model so small that a step takes milliseconds.

use std::fs;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::*;

/// `steps` steps on scenes of at most a second.
fn recipe(steps: usize) -> String {
    format!(
        r#"name = "small"

[model.new]
vocabulary = 1100
audio_width = 16
audio_layers = 1
audio_heads = 2
audio_inner = 16
width = 16
layers = 1
heads = 2
kv_heads = 1
inner = 16

[data]
max_s = 1.0
sources = [{{ name = "scenes", kind = "scenes", count = 24, min_s = 0.5, max_s = 1.0, max_events = 1 }}]

[schedule]
learning_rate = 1e-3
steps = {steps}
batch_size = 6

[checkpoint]
every = 10000
"#
    )
}

fn world(steps: usize) -> World {
    let world = World::of_tones(&[]);
    fs::create_dir(world.folder.path().join("recipes")).unwrap();
    fs::write(
        world.folder.path().join("recipes/small.toml"),
        recipe(steps),
    )
    .unwrap();
    world
}

#[test]
fn a_run_ends_with_its_model_and_can_be_watched_after() {
    let world = world(3);
    let run = world
        .run(&["train", "recipes/small.toml", "--run", "here/run"])
        .ends_with(0);
    assert_eq!(run.out(), "here/run/model\n");
    assert!(run.err.contains("finished"), "{}", run.err);
    let model = world.folder.path().join("here/run/model");
    assert!(model.join("model.safetensors").exists());

    let watched = world.run(&["train", "attach", "here/run"]).ends_with(0);
    assert!(watched.out.is_empty());
    assert!(watched.err.contains("small, process"), "{}", watched.err);
    assert!(
        watched.err.contains("the run is finished"),
        "{}",
        watched.err
    );

    // From anywhere: a saved recipe knows where its paths start.
    let again = Run::of(
        world
            .aurola(&["train", "resume", "run", "--format", "json"])
            .current_dir(world.folder.path().join("here")),
    )
    .ends_with(0);
    let made: Value = serde_json::from_slice(&again.out).unwrap();
    assert_eq!(made["folder"]["path"], "run/model");
}

#[test]
fn the_run_folder_is_by_the_recipes_name_where_one_is() {
    let world = world(1);
    let run = world
        .run(&[
            "train",
            "recipes/small.toml",
            "--quiet",
            "--format",
            "jsonl",
        ])
        .ends_with(0);
    assert_eq!(run.err, "");
    assert_eq!(run.lines()[0]["folder"]["path"], "runs/small/model");
    assert!(world.folder.path().join("runs/small/state.json").exists());
    let run = world
        .run(&["train", "resume", "runs/small", "--format", "quiet"])
        .ends_with(0);
    assert!(run.out.is_empty());
}

#[test]
fn a_bare_recipe_can_be_gone_on_with_from_elsewhere() {
    let world = world(1);
    let folder = world.folder.path();
    let table = "id,caption\na,a low tone\nb,a high tone\n";
    fs::write(folder.join("tones.csv"), table).unwrap();
    for (name, hertz) in [("a", 300), ("b", 900)] {
        write_wav(
            &world.sound(format!("{name}.wav")),
            16_000,
            &tone(hertz, 16_000),
        );
    }
    let source = r#"sources = [{ name = "tones", kind = "table", file = "tones.csv", audio = ["sounds"], columns = { id = "id", captions = "caption" } }]"#;
    let text: Vec<String> = recipe(1)
        .lines()
        .map(|line| {
            if line.starts_with("sources") {
                source.into()
            } else {
                line.into()
            }
        })
        .collect();
    fs::write(folder.join("bare.toml"), text.join("\n")).unwrap();
    world.run(&["train", "bare.toml"]).ends_with(0);
    let elsewhere = Run::of(
        world
            .aurola(&["train", "resume", "../runs/small"])
            .current_dir(world.sounds()),
    );
    assert_eq!(elsewhere.ends_with(0).out(), "../runs/small/model\n");
}

#[test]
fn an_interrupted_run_is_saved_and_goes_on() {
    let world = world(400);
    let arguments = ["train", "recipes/small.toml"];
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let log = world.folder.path().join("runs/small/metrics.jsonl");
        let lines = || fs::read_to_string(&log).unwrap_or_default().lines().count();
        let before = lines();
        let child = world.aurola(&arguments).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while lines() < before + 3 {
            assert!(Instant::now() < deadline, "no step in a minute");
            std::thread::sleep(Duration::from_millis(2));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let run = Run::from(child.wait_with_output().unwrap()).ends_with(code);
        assert!(run.out.is_empty());
        assert!(
            run.err.contains("saved; `aurola train resume runs/small`"),
            "{}",
            run.err
        );
        let watched = world.run(&["train", "attach", "runs/small"]).ends_with(0);
        assert!(watched.err.contains("was stopped"), "{}", watched.err);
    }
    let done = world.run(&["train", "resume", "runs/small"]).ends_with(0);
    assert_eq!(done.out(), "runs/small/model\n");
    assert!(
        done.err.contains("resumed, 400 steps in all"),
        "{}",
        done.err
    );
}

#[test]
fn what_is_wrong_with_a_recipe_is_told_with_its_line() {
    let world = world(1);
    let path = world.folder.path().join("recipes/small.toml");
    fs::write(&path, recipe(1).replace("learning_rate", "learning_rat")).unwrap();
    let run = world.run(&["train", "recipes/small.toml"]).ends_with(2);
    let line = recipe(1)
        .lines()
        .position(|l| l.starts_with("learning_rate"))
        .unwrap()
        + 1;
    let expected = format!("recipes/small.toml: line {line}: unknown field `learning_rat`");
    assert!(run.err.contains(&expected), "{}", run.err);
    assert!(!run.err.contains("\\n"), "{}", run.err);
    assert!(!world.folder.path().join("runs").exists());
    let run = world.run(&["train", "nowhere.toml"]).ends_with(2);
    assert!(run.err.contains("nowhere.toml"), "{}", run.err);
    for command in ["resume", "attach"] {
        let run = world.run(&["train", command, "sounds"]).ends_with(2);
        assert!(run.err.contains("begins"), "{}", run.err);
    }
}
