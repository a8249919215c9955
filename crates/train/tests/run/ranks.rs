//! Several ranks make the run that one makes.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use aurola_train::collective::{SocketOptions, Sockets, from_env};
use aurola_train::run::Ending;

use crate::*;

/// Short enough that a test that would hang fails instead.
const OPTIONS: SocketOptions = SocketOptions {
    meet: Duration::from_secs(60),
    call: Duration::from_secs(60),
    max_bytes: 64 << 20,
};

/// Tells a process of this test program which folder holds the recipe that it has a part in.
const FOLDER: &str = "AUROLA_TEST_RANK_FOLDER";

/// So that a step's size follows from its gradient: by itself AdamW makes as large a step of a rounding
/// as of a gradient.
const GENTLE: &str = "optimizer.eps = 1e-2";
/// Captions that share tags are in every batch.
const CLUSTERS: &str = "data.clusters = \"always\"\nloss.hybrid_nce.shared_tag_weight = 0.5";

/// Carries out the recipe as `world` ranks, each in the folder that `run` names; stops after the `last`th
/// step, asked on the last rank only.
fn ranks(
    world: usize,
    recipe: &Path,
    run: impl Fn(usize) -> PathBuf + Sync,
    last: u64,
) -> Vec<Result<Ending, TrainError>> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let one = |rank: usize, mut sockets: Sockets| {
        let asked = AtomicU64::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) + 1 >= last && rank == world - 1;
        train_with(recipe, &run(rank), &stop, &mut sockets)
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..world)
            .map(|rank| {
                scope.spawn(move || {
                    let master = ("127.0.0.1", port);
                    one(
                        rank,
                        Sockets::join(master, rank, world, "run", OPTIONS).unwrap(),
                    )
                })
            })
            .collect();
        let first = one(0, Sockets::host(listener, world, "run", OPTIONS).unwrap());
        let others = others.into_iter().map(|thread| thread.join().unwrap());
        [first].into_iter().chain(others).collect()
    })
}

#[track_caller]
fn alike(run: &Path, alone: &Path) {
    let (ours, theirs) = (steps(run), steps(alone));
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(&theirs) {
        assert!(
            (a.loss - b.loss).abs() <= 1e-5 * b.loss,
            "{} and {}",
            a.loss,
            b.loss
        );
        assert!((a.gradient_norm - b.gradient_norm).abs() <= 1e-4 * b.gradient_norm);
        assert!((a.audio_seconds - b.audio_seconds).abs() < 1e-4);
        assert_eq!(a.skipped, b.skipped);
    }
    let difference = apart(&parameters(run), &parameters(alone));
    println!("{difference:e}");
    assert!(difference <= 1e-5, "{difference:e}");
    assert_eq!(scores(run), scores(alone));
}

/// Two ranks and three against one.
#[track_caller]
fn same_alone_and_shared(world: &World) {
    let alone = world.train("alone").unwrap();
    for n in [2, 3] {
        let run = world.at(&format!("of-{n}"));
        for ended in ranks(n, &world.recipe(), |_| run.clone(), u64::MAX) {
            assert!(matches!(ended.unwrap(), Ending::Done(_)));
        }
        alike(&run, &alone);
    }
}

#[test]
fn ranks_make_the_run_that_one_makes() {
    same_alone_and_shared(&World::small(&[GENTLE, CLUSTERS, VALIDATION]));
}

#[test]
fn so_they_do_with_batches_that_do_not_divide() {
    let odd = "schedule.batch_size = 5\nschedule.accumulate = 2";
    same_alone_and_shared(&World::small(&[
        GENTLE,
        CLUSTERS,
        odd,
        "schedule.steps = 3",
    ]));
}

#[test]
fn so_do_rerankers() {
    let odd = "stage = \"reranker\"\nschedule.batch_size = 5\nschedule.steps = 3";
    same_alone_and_shared(&World::small(&[GENTLE, odd]));
}

#[test]
fn more_ranks_than_pairs_and_clips_left_out() {
    let world = sounds(6, GENTLE);
    std::fs::write(world.at("sounds/3.wav"), b"no sound").unwrap();
    same_alone_and_shared(&world);
    assert!(steps(&world.at("of-3")).last().unwrap().skipped > 0);
}

/// A folder of tones, told in a table; what cannot be read is left out.
fn sounds(count: usize, edit: &str) -> World {
    let source = r#"data.sources = [{ name = "tones", kind = "table", file = "tones.csv", audio = ["sounds"], columns = { id = "id", captions = "caption" }, unreadable = "skip" }]
schedule.batch_size = 4
schedule.steps = 3"#;
    let world = World::small(&[source, edit]);
    std::fs::create_dir(world.at("sounds")).unwrap();
    let mut table = "id,caption\n".to_owned();
    for n in 0..count {
        table += &format!("{n},a tone of {n} hundred hertz\n");
        std::fs::write(
            world.at(&format!("sounds/{n}.wav")),
            wav(100.0 * n as f32 + 90.0),
        )
        .unwrap();
    }
    world.write("tones.csv", &table);
    world
}

#[test]
fn a_stop_asked_of_one_rank_stops_all_and_all_go_on() {
    let world = World::small(&[GENTLE, VALIDATION]);
    let alone = world.train("alone").unwrap();
    let run = world.at("run");
    for ended in ranks(2, &world.recipe(), |_| run.clone(), 3) {
        assert_eq!(ended.unwrap(), Ending::Stopped(3));
    }
    for ended in ranks(2, &world.recipe(), |_| run.clone(), u64::MAX) {
        assert!(matches!(ended.unwrap(), Ending::Done(_)));
    }
    alike(&run, &alone);
}

#[test]
fn ranks_that_begin_from_other_numbers_are_refused() {
    let world = World::lora(&["checkpoint.every = 1"]);
    // Rank 0 has a checkpoint, the other one a folder of its own.
    train_until(&world.recipe(), &world.at("run-0"), 1).unwrap();
    let ended = ranks(
        2,
        &world.recipe(),
        |rank| world.at(&format!("run-{rank}")),
        u64::MAX,
    );
    for ended in ended {
        let error = ended.unwrap_err().to_string();
        assert!(
            error.contains("rank 1 does not begin where rank 0 does"),
            "{error}"
        );
    }
}

#[test]
fn one_rank_that_fails_ends_all_at_once() {
    let world = sounds(4, "data.sources = []");
    let text = std::fs::read_to_string(world.recipe()).unwrap();
    assert!(text.contains("sources = []"));
    let began = std::time::Instant::now();
    for ended in ranks(2, &world.recipe(), |_| world.at("run"), u64::MAX) {
        assert!(ended.unwrap_err().to_string().contains("sources"));
    }
    // Here only the second half of the batch is bad.
    let world = sounds(4, "schedule.steps = 50\nseed = 5");
    let text = std::fs::read_to_string(world.recipe()).unwrap();
    world.write("recipe.toml", &text.replace("\"skip\"", "\"error\""));
    std::fs::write(world.at("sounds/2.wav"), b"no sound").unwrap();
    let ended = ranks(2, &world.recipe(), |_| world.at("run"), u64::MAX);
    let errors: Vec<String> = ended
        .into_iter()
        .map(|e| e.unwrap_err().to_string())
        .collect();
    assert!(errors.iter().any(|e| e.contains("2.wav")), "{errors:?}");
    assert!(began.elapsed() < Duration::from_secs(30));
}

/// What a process does; nothing where nobody launched it.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    let mut ranks = from_env("run", OPTIONS).unwrap();
    let run = folder.join("run");
    train_with(&folder.join("recipe.toml"), &run, &|| false, &mut *ranks).unwrap();
}

#[test]
fn real_processes_make_it_too() {
    let world = World::small(&[GENTLE, VALIDATION]);
    let alone = world.train("alone").unwrap();
    // Free now, and the system does not give it away again soon.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let launch = |rank: usize| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ranks::child", "--nocapture"])
            .env(FOLDER, world.folder.path())
            .env("RANK", rank.to_string())
            .env("WORLD_SIZE", "2")
            .env("MASTER_ADDR", "127.0.0.1")
            .env("MASTER_PORT", &port)
            .env_remove("TORCHELASTIC_USE_AGENT_STORE")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..2).map(launch).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    alike(&world.at("run"), &alone);
}
