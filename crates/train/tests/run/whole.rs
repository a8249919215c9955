//! What a run leaves behind.

use std::fs;

use aurola_audio::{MelFilters, log_mel};
use aurola_model::{Input, LoadOptions, Model};
use aurola_train::recipe::Recipe;
use aurola_train::report::{Record, RunEvent, RunState, read_metrics};
use aurola_train::run::Ending;

use crate::*;

#[test]
fn a_run_leaves_a_model_that_opens_and_embeds_and_its_records() {
    // With a tokenizer of its own.
    let world = World::of(&edited(&[VALIDATION]));
    let run = world.at("runs/a");
    let ended = train(&world.recipe(), &run).unwrap();
    assert_eq!(ended, Ending::Done(run.join("model")));

    let model = Model::load(&run.join("model"), &LoadOptions::default()).unwrap();
    let samples: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.1).sin()).collect();
    let mel = log_mel(&samples, &MelFilters::new(model.mel_config()).unwrap()).unwrap();
    let embeddings = model.embed(&[Input::Audio(&mel), Input::Text("a dog barks")]);
    assert_eq!(embeddings.unwrap().len(), 2);

    let lines = read_metrics(&run.join("metrics.jsonl")).unwrap();
    let events: Vec<_> = lines
        .iter()
        .filter_map(|line| match &line.record {
            Record::Event(event) => Some(event.event.clone()),
            _ => None,
        })
        .collect();
    let started = RunEvent::Started { total_steps: 6 };
    assert_eq!(events, [started, RunEvent::Finished]);
    let steps = steps(&run);
    assert_eq!(steps.len(), 6);
    assert!(
        steps
            .iter()
            .all(|s| s.loss.is_finite() && s.gradient_norm > 0.0)
    );
    assert!(steps.iter().all(|s| s.audio_seconds >= 3.0));
    // At step 4 and after the last.
    let tried: Vec<u64> = scores(&run).iter().map(|(step, ..)| *step).collect();
    assert_eq!(tried, [[4; 6], [6; 6]].concat());

    let state = RunState::load(&run).unwrap();
    assert_eq!((state.name.as_str(), state.total_steps), ("small", 6));
    let names: Vec<String> = fs::read_dir(&run)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.iter().any(|n| n.starts_with("events.out.tfevents.")),
        "{names:?}"
    );
    assert!(
        names.iter().all(|n| !n.starts_with('.')),
        "left over: {names:?}"
    );
    // The newest two.
    let checkpoints = aurola_train::checkpoint::list(&run).unwrap();
    assert_eq!(
        checkpoints.iter().map(|(s, _)| *s).collect::<Vec<_>>(),
        [4, 6]
    );
}

#[test]
fn a_saved_recipe_is_the_recipe() {
    let world = World::small(&["schedule.steps = 1"]);
    let run = world.train("run").unwrap();
    let (first, folder) = Recipe::read(&world.recipe()).unwrap();
    let (second, again) = Recipe::read(&run.join("recipe.toml")).unwrap();
    assert_eq!(folder, again);
    assert_eq!(first.fingerprint(), second.fingerprint());
    let placed = Recipe {
        folder: second.folder.clone(),
        ..first
    };
    assert_eq!(placed, second);
}

#[test]
fn recipes_are_told_apart_by_what_they_make() {
    let fingerprint = |edit: &str| {
        let recipe: Recipe = toml::from_str(&edited(&[edit])).unwrap();
        recipe.fingerprint()
    };
    let plain = fingerprint("");
    for same in [
        "compute.memory_mib = 7",
        "compute.loader.workers = 9",
        "checkpoint.every = 1",
        "data.cache_mib = 1",
        VALIDATION,
    ] {
        assert_eq!(fingerprint(same), plain, "{same}");
    }
    for other in [
        "seed = 4",
        "schedule.learning_rate = 1e-4",
        "data.pad_to_s = 1.0",
    ] {
        assert_ne!(fingerprint(other), plain, "{other}");
    }
}

#[test]
fn a_finished_run_called_again_is_finished() {
    let world = World::small(&["schedule.steps = 2"]);
    let run = world.train("run").unwrap();
    let before = (saved(&run), steps(&run));
    fs::remove_dir_all(run.join("model")).unwrap();
    world.train("run").unwrap();
    assert!(run.join("model/model.safetensors").exists());
    assert_eq!((saved(&run), steps(&run)), before);
}

/// Those that made nano also ran; the others need checkpoints that nobody has here, and are read at least.
#[test]
fn every_recipe_of_the_repository_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let mut recipes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Files of phrases stand beside recipes.
        if std::fs::read_to_string(&path)
            .unwrap()
            .contains("[schedule]")
        {
            let (recipe, _) = Recipe::read(&path).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(
                Some(recipe.name.as_str()),
                path.file_stem().unwrap().to_str()
            );
            recipes.push(recipe.name);
        }
    }
    assert!(recipes.len() >= 8, "{recipes:?}");
}
