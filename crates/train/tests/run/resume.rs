//! A run that was stopped or killed and goes on is one that was not.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use aurola_train::run::Ending;

use crate::*;

/// Tells a process of this test program which folder holds the recipe it is to carry out.
const FOLDER: &str = "AUROLA_TEST_RUN_FOLDER";

#[track_caller]
fn same(run: &Path, whole: &Path) {
    let (ours, theirs) = (saved(run), saved(whole));
    for (file, (a, b)) in ["parameters", "moments", "state"]
        .iter()
        .zip(ours.iter().zip(&theirs))
    {
        assert!(a == b, "{file} differ");
    }
    assert_eq!(steps(run), steps(whole));
    assert_eq!(scores(run), scores(whole));
}

/// Stops after each number of steps, goes on, and compares with a run that does not stop.
#[track_caller]
fn stops_and_goes_on(world: &World, after: &[u64]) {
    let whole = world.train("whole").unwrap();
    for k in after {
        let run = world.at(&format!("stopped-{k}"));
        let ended = train_until(&world.recipe(), &run, *k).unwrap();
        assert_eq!(ended, Ending::Stopped(*k));
        // From the recipe it saved, as `aurola train resume` does.
        let recipe = run.join("recipe.toml");
        assert!(matches!(train(&recipe, &run).unwrap(), Ending::Done(_)));
        same(&run, &whole);
    }
}

#[test]
fn a_stopped_run_goes_on_as_if_it_had_not() {
    stops_and_goes_on(&World::small(&[VALIDATION]), &[1, 2, 5]);
}

#[test]
fn so_does_one_of_accumulated_batches() {
    stops_and_goes_on(&World::small(&["schedule.accumulate = 2"]), &[3]);
}

#[test]
fn so_does_a_reranker() {
    stops_and_goes_on(&World::small(&["stage = \"reranker\""]), &[3]);
}

#[test]
fn so_do_low_rank_changes_with_dropout() {
    let world = World::lora(&["schedule.accumulate = 2"]);
    stops_and_goes_on(&world, &[1, 3]);
    assert!(world.at("whole/adapter/adapter_model.safetensors").exists());
}

#[test]
fn so_does_one_whose_chunks_were_halved() {
    let world = World::small(&["compute.memory_mib = 1", "schedule.batch_size = 10"]);
    stops_and_goes_on(&world, &[2]);
    assert!(steps(&world.at("whole"))[0].chunk < 10);
}

/// What a child does; nothing where nobody launched it.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    train(&folder.join("recipe.toml"), &folder.join("killed")).unwrap();
}

#[test]
fn a_killed_run_goes_on_as_if_it_had_not_been() {
    let world = World::small(&["schedule.steps = 60", "checkpoint.every = 1", VALIDATION]);
    let whole = world.train("whole").unwrap();
    let run = world.at("killed");
    let mut random = SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    println!("random number {random}");
    let (mut kills, deadline) = (0, Instant::now() + Duration::from_secs(120));
    loop {
        assert!(Instant::now() < deadline, "it does not end");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "resume::child"])
            .env(FOLDER, world.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        if kills == 4 {
            assert!(child.wait().unwrap().success());
            break;
        }
        // Wherever it is by then: before its first checkpoint, in a step, in the middle of a file.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        sleep(Duration::from_millis(30 + u64::from(random >> 16) % 600));
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    same(&run, &whole);
    let left = fs::read_dir(&run).unwrap().map(|e| e.unwrap().file_name());
    let left: Vec<_> = left
        .filter(|n| n.to_string_lossy().starts_with(".c"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_run_that_ended_before_its_first_checkpoint_begins_anew() {
    let world = World::small(&["checkpoint.every = 100", "schedule.steps = 3"]);
    let run = world.train("run").unwrap();
    let whole = world.train("whole").unwrap();
    // As a kill in the second step leaves it, of another recipe at that.
    fs::remove_dir_all(newest(&run)).unwrap();
    fs::remove_file(run.join("base/tokenizer.json")).unwrap();
    fs::create_dir(run.join(".checkpoint-00000003.partial")).unwrap();
    world.train("run").unwrap();
    same(&run, &whole);
}

#[test]
fn a_folder_in_which_another_process_trains_is_refused() {
    let world = World::small(&["schedule.steps = 1"]);
    let run = world.train("run").unwrap();
    // Any process that is alive; it is not ours to end.
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let text = fs::read_to_string(run.join("state.json")).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
    state["pid"] = other.id().into();
    state["pid_began"] = serde_json::Value::Null;
    fs::write(run.join("state.json"), state.to_string()).unwrap();
    let refused = world.train("run").unwrap_err().to_string();
    assert!(
        refused.contains(&format!("process {} trains here", other.id())),
        "{refused}"
    );
    other.kill().unwrap();
    other.wait().unwrap();
    world.train("run").unwrap();
}
