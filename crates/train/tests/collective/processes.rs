//! Real processes, launched as torchrun launches them: this test program, run again.

use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use aurola_train::collective::from_env;

use crate::OPTIONS;

/// Tells a process of this test program that it is a rank, and what to do.
const TASK: &str = "AUROLA_TEST_RANK_TASK";

/// What a child does; nothing where nobody launched it.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    let mut ranks = from_env("a run", OPTIONS).unwrap();
    let rank = ranks.rank();
    let mut sum = [rank as f32, 1.0];
    ranks.all_reduce_sum(&mut sum).unwrap();
    println!("rank {rank} of {} has {sum:?}", ranks.world());
    if task == "die" {
        if rank == 2 {
            // As a kill would, but of this process only and at this very place.
            std::process::abort();
        }
        println!("rank {rank} says {}", ranks.barrier().unwrap_err());
    }
}

fn launch(task: &str, world: usize) -> Vec<Child> {
    // Free now, and the system does not give it away again soon.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    (0..world)
        .map(|rank| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "processes::child", "--nocapture"])
                .env(TASK, task)
                .env("RANK", rank.to_string())
                .env("LOCAL_RANK", rank.to_string())
                .env("WORLD_SIZE", world.to_string())
                .env("MASTER_ADDR", "127.0.0.1")
                .env("MASTER_PORT", &port)
                .env_remove("TORCHELASTIC_USE_AGENT_STORE")
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect()
}

fn outputs(children: Vec<Child>) -> Vec<Output> {
    let waiting: Vec<_> = children
        .into_iter()
        .map(|child| thread::spawn(|| child.wait_with_output().unwrap()))
        .collect();
    waiting.into_iter().map(|one| one.join().unwrap()).collect()
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn processes_meet_by_the_environment() {
    for (rank, output) in outputs(launch("sum", 3)).iter().enumerate() {
        let said = said(output);
        assert!(output.status.success(), "{said}");
        let expected = format!("rank {rank} of 3 has [3.0, 3.0]");
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn a_process_that_dies_is_named_within_seconds() {
    let began = Instant::now();
    let outputs = outputs(launch("die", 3));
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(!outputs[2].status.success());
    for (rank, output) in outputs[..2].iter().enumerate() {
        let said = said(output);
        assert!(output.status.success(), "{said}");
        let line = said
            .lines()
            .find(|l| l.contains("says"))
            .unwrap_or_default();
        assert!(line.starts_with(&format!("rank {rank} says ")), "{said}");
        assert!(line.contains("rank 2 is gone"), "{said}");
    }
}
