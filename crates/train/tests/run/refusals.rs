//! What is wrong is named, with what would help, and the last good checkpoint is as it was.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::*;

#[track_caller]
fn names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

#[test]
fn a_misspelt_key_is_named_in_every_section_with_its_line() {
    for (edit, key) in [
        ("sead = 1", "sead"),
        ("model.new.widht = 16", "widht"),
        ("model.trian = {}", "trian"),
        ("data.max = 1.0", "max"),
        ("data.augment.gane = {}", "gane"),
        ("loss.hybrid_nce.temprature = 0.1", "temprature"),
        ("loss.overlapp = {}", "overlapp"),
        ("schedule.step = 3", "step"),
        ("optimizer.beta_1 = 0.9", "beta_1"),
        ("compute.memory = 3", "memory"),
        ("compute.loader.worker = 3", "worker"),
        ("checkpoint.evry = 3", "evry"),
        ("[[validation]]\nname = \"a\"\nevry = 4", "evry"),
    ] {
        let world = World::small(&[edit]);
        let text = fs::read_to_string(world.recipe()).unwrap();
        let at = text.lines().position(|line| {
            line.starts_with(&format!("{key} = ")) || line.contains(&format!("{key}]"))
        });
        let line = at.expect("the key has a line") + 1;
        let refused = world.refused();
        names(
            &refused,
            &["recipe.toml: line ", &format!("`{key}`"), "expected"],
        );
        // The TOML reader points at the key, or at the section it stands in.
        let told: usize = refused
            .split("line ")
            .nth(1)
            .unwrap()
            .split(':')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(told <= line, "line {line}: {refused}");
        assert!(!world.at("run").exists());
    }
    let source = "data.sources = [{ name = \"scenes\", kind = \"scenes\", count = 4, sead = 1 }]";
    names(
        &World::small(&[source]).refused(),
        &["recipe.toml: line ", "scenes", "`sead`"],
    );
    let source = "data.sources = [{ name = \"scenes\", kind = \"scenez\", count = 4 }]";
    names(
        &World::small(&[source]).refused(),
        &["recipe.toml: line ", "scenes", "`scenez`"],
    );
}

#[test]
fn a_recipe_that_contradicts_itself_is_refused() {
    let base = format!("model.base = {:?}", tiny());
    for (edit, parts) in [
        (
            base.as_str(),
            ["give either `base` or `new`", "recipe.toml"],
        ),
        ("model.train.tensors = [\".*\"]", ["model.train", "`base`"]),
        (
            "schedule.epochs = 2.0",
            ["either `steps` or `epochs`", "schedule"],
        ),
        (
            "schedule.batch_size = 0",
            ["schedule.batch_size is 0", "1 or more"],
        ),
        ("schedule.steps = 0", ["steps is 0", "1 or more"]),
        (
            "schedule.learning_rate = -1.0",
            ["learning_rate is -1", "above 0"],
        ),
        (
            "model.adapter = \"adapter\"",
            ["model.adapter", "model.train.lora"],
        ),
        ("name = \"../elsewhere\"", ["name is", "a folder can have"]),
        (
            "loss.hybrid_nce.temperature = 0.0",
            ["temperature", "0.001"],
        ),
        ("model.new.vocabulary = 10", ["vocabulary is 10", "1,000"]),
    ] {
        names(&World::small(&[edit]).refused(), &parts);
    }
    let neither = edited(&[]).replace("[model.new]", "[elsewhere]");
    let mut table: toml::Table = toml::from_str(&neither).unwrap();
    table.remove("elsewhere");
    table.insert("model".into(), toml::Table::new().into());
    let world = World::small(&[]);
    world.write("recipe.toml", &table.to_string());
    names(&world.refused(), &["give either `base` or `new`"]);
}

#[test]
fn whole_tensors_beside_low_rank_changes_are_refused_before_anything_is_trained() {
    let world = World::lora(&["model.train.tensors = [\"lm_head.*\"]"]);
    names(
        &world.refused(),
        &["model.train", "either `lora` or `tensors`"],
    );
}

#[test]
fn a_pattern_that_matches_nothing_is_named() {
    let world = World::lora(&["model.train.lora.target_modules = [\"model\\\\.layer\\\\..*\"]"]);
    names(&world.refused(), &["model\\\\.layer", "matches nothing"]);
    let world = World::lora(&["model.train.lora.rank_pattern = [[\"(\", 2]]"]);
    names(&world.refused(), &["the pattern \"(\""]);
}

/// Three tones, the second of which is `what`; without a sound where that is `None`.
fn tones(what: Option<&[u8]>, policy: &str) -> World {
    let source = format!(
        r#"data.sources = [{{ name = "tones", kind = "table", file = "tones.csv", audio = ["sounds"], columns = {{ id = "id", captions = "caption" }}, {policy} }}]
schedule.batch_size = 3
schedule.steps = 2"#
    );
    let world = World::small(&[&source]);
    fs::create_dir(world.at("sounds")).unwrap();
    for (name, hz) in [("low", 200.0), ("high", 900.0)] {
        fs::write(world.at(&format!("sounds/{name}.wav")), wav(hz)).unwrap();
    }
    if let Some(bytes) = what {
        fs::write(world.at("sounds/bad.wav"), bytes).unwrap();
    }
    world.write(
        "tones.csv",
        "id,caption\nlow,a low tone\nbad,a bad tone\nhigh,a high tone\n",
    );
    world
}

#[test]
fn a_clip_that_cannot_be_read_ends_the_run_or_is_counted() {
    let world = tones(Some(b"no sound"), "unreadable = \"error\"");
    names(
        &world.refused(),
        &["tones", "`bad`", "bad.wav", "tones.csv:3"],
    );
    let world = tones(Some(b"no sound"), "unreadable = \"skip\"");
    let run = world.train("run").unwrap();
    let skipped: Vec<u64> = steps(&run).iter().map(|s| s.skipped).collect();
    assert_eq!(skipped, [1, 2]);
}

#[test]
fn a_row_without_audio_is_named() {
    let world = tones(None, "weight = 1.0");
    names(
        &world.refused(),
        &["tones.csv:3", "`bad`", "sounds", "missing = \"skip\""],
    );
}

#[test]
fn a_run_is_not_gone_on_with_by_another_recipe() {
    let world = World::small(&["schedule.steps = 2"]);
    let run = world.train("run").unwrap();
    let before = saved(&run);
    for edit in ["schedule.steps = 3", "model.new.width = 32"] {
        let text = fs::read_to_string(World::small(&["schedule.steps = 2", edit]).recipe());
        world.write("recipe.toml", &text.unwrap());
        let refused = world.refused();
        names(
            &refused,
            &["checkpoint-00000002", "another recipe", "another folder"],
        );
    }
    assert_eq!(saved(&run), before);
    // Where it only runs differently, it goes on.
    let text =
        fs::read_to_string(World::small(&["schedule.steps = 2", "checkpoint.keep = 5"]).recipe());
    world.write("recipe.toml", &text.unwrap());
    world.train("run").unwrap();
}

#[test]
fn a_damaged_checkpoint_is_named_with_the_way_on() {
    for (file, how) in [
        ("parameters.safetensors", "cut"),
        ("optimizer.safetensors", "cut"),
        ("checkpoint.json", "cut"),
        ("parameters.safetensors", "gone"),
        ("checkpoint.json", "gone"),
    ] {
        let world = World::small(&["schedule.steps = 4"]);
        let run = world.train("run").unwrap();
        let whole = saved(&run);
        let path = newest(&run).join(file);
        let bytes = fs::read(&path).unwrap();
        match how {
            "cut" => fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
            _ => fs::remove_file(&path).unwrap(),
        }
        let refused = world.refused();
        let folder = newest(&run).display().to_string();
        names(
            &refused,
            &[
                file,
                "damaged",
                &format!("remove the folder {folder}"),
                "before it",
            ],
        );
        fs::remove_dir_all(newest(&run)).unwrap();
        world.train("run").unwrap();
        assert_eq!(saved(&run), whole);
    }
}

#[test]
fn a_run_that_diverges_saves_nothing_of_it() {
    for stage in ["contrastive", "reranker"] {
        let world = World::small(&[
            &format!("stage = \"{stage}\""),
            "schedule.learning_rate = 1e38",
            "schedule.warmup = 0.5",
            "checkpoint.every = 1\ncheckpoint.keep = 1",
            "schedule.steps = 8",
        ]);
        let refused = world.refused();
        names(&refused, &["diverged", "schedule.learning_rate"]);
        // The first step of a warm-up has the rate 0: what it leaves is the model as it began. The second
        // leaves numbers that are finite, and of no use, which only the third brings out.
        let run = world.at("run");
        let last = steps(&run).last().unwrap().step;
        assert!((1..3).contains(&last), "{last}");
        let good = aurola_train::checkpoint::list(&run).unwrap().remove(0);
        assert_eq!(good.0, 1);
        fs::remove_dir_all(run.join("checkpoint-00000002")).ok();
        assert!(parameters(&run).iter().all(|v| v.abs() < 1e6));
    }
}

#[test]
fn a_run_that_cannot_save_says_so_and_keeps_what_it_has() {
    let world = World::small(&["schedule.steps = 4"]);
    let run = world.at("run");
    train_until(&world.recipe(), &run, 2).unwrap();
    let before = saved(&run);
    // A file where the next checkpoint is to be written, as no rights would stop root.
    let beside = run.join(".checkpoint-00000004.partial");
    fs::write(&beside, "in the way").unwrap();
    let refused = world.refused();
    names(&refused, &[".checkpoint-00000004.partial"]);
    assert_eq!(saved(&run), before);
    fs::remove_file(&beside).unwrap();
    world.train("run").unwrap();
}

/// A small disk, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where we may not mount.
    fn new(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", size, "tmpfs"])
            .arg(&at)
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_the_last_good_checkpoint() {
    let world = World::small(&["schedule.steps = 4", "checkpoint.keep = 9"]);
    let whole = world.train("whole").unwrap();
    let Some(disk) = SmallDisk::new(world.at("disk"), "size=16m") else {
        println!("not run: no right to mount a small disk");
        return;
    };
    let run = disk.0.join("run");
    train_until(&world.recipe(), &run, 2).unwrap();
    let before = saved(&run);
    // All but half of what a checkpoint takes.
    let filler = disk.0.join("filler");
    let size: u64 = ["parameters.safetensors", "optimizer.safetensors"]
        .map(|f| fs::metadata(newest(&run).join(f)).unwrap().len())
        .iter()
        .sum();
    let mut fill = fs::File::create(&filler).unwrap();
    while fill.write_all(&[0; 4096]).is_ok() {}
    let full = fill.metadata().unwrap().len();
    fill.set_len(full.saturating_sub(size / 2)).unwrap();
    drop(fill);
    match train(&world.recipe(), &run).unwrap_err() {
        TrainError::Io { path, source } => {
            assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
            assert!(
                path.display().to_string().contains("checkpoint-00000004"),
                "{path:?}"
            );
        }
        other => panic!("{other}"),
    }
    assert_eq!(saved(&run), before);
    fs::remove_file(&filler).unwrap();
    train(&world.recipe(), &run).unwrap();
    assert_eq!(saved(&run), saved(&whole));
}
