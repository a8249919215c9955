//! Watching a run from outside: one that ends, one that dies, one that is resumed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use aurola_train::report::{
    Dashboard, Ending, METRICS_FILE, MetricsLog, Record, ReportError, RunEvent, RunState,
    STATE_FILE, follow,
};

use crate::dashboard::Paper;
use crate::{event, step, validation};

fn watch(run: &Path, stop: &AtomicBool) -> (Result<Ending, ReportError>, Vec<String>) {
    let paper = Paper::default();
    let mut dashboard = Dashboard::lines_to(0, paper.clone());
    let ending = follow(run, stop, &mut dashboard);
    (ending, paper.lines())
}

fn log(run: &Path) -> MetricsLog {
    MetricsLog::create(&run.join(METRICS_FILE)).unwrap()
}

#[test]
fn a_state_is_read_back_and_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let state = RunState::of_this_process("stage 2", 500);
    state.save(folder.path()).unwrap();
    assert_eq!(RunState::load(folder.path()).unwrap(), state);
    let longer = RunState {
        total_steps: 900,
        ..state
    };
    longer.save(folder.path()).unwrap();
    assert_eq!(RunState::load(folder.path()).unwrap(), longer);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "no leftovers"
    );
}

#[test]
fn a_folder_without_a_run_or_with_a_broken_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let error = watch(folder.path(), &stop).0.unwrap_err().to_string();
    assert!(
        error.contains("state.json: no such file; is this"),
        "{error}"
    );
    fs::write(folder.path().join(STATE_FILE), "{").unwrap();
    let error = watch(folder.path(), &stop).0.unwrap_err().to_string();
    assert!(error.contains("state.json: EOF"), "{error}");
}

#[test]
fn a_finished_run_is_shown_and_left() {
    let folder = tempfile::tempdir().unwrap();
    RunState::of_this_process("a", 2)
        .save(folder.path())
        .unwrap();
    let mut log = log(folder.path());
    for record in [
        event(0, RunEvent::Started { total_steps: 2 }),
        Record::Step(step(1)),
        Record::Step(step(2)),
        Record::Validation(validation(2)),
        event(2, RunEvent::Finished),
    ] {
        log.append(&record).unwrap();
    }
    let (ending, lines) = watch(folder.path(), &AtomicBool::new(false));
    assert_eq!(ending.unwrap(), Ending::Finished);
    assert_eq!(lines[0], "started, 2 steps to go");
    assert!(lines[1].starts_with("step 1/2 · loss 4.0000"));
    assert!(lines[2].starts_with("step 2/2"));
    assert!(lines[2].ends_with("clotho t2a_r1 0.250 t2a_r5 0.500 t2a_r10 0.750"));
    assert_eq!(lines[3], "finished");
}

#[test]
fn a_run_is_followed_while_it_is_made_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    RunState::of_this_process("a", 9).save(run).unwrap();
    let mut written = log(run);
    // It ended once and was resumed: that end counts no more.
    written.append(&Record::Step(step(1))).unwrap();
    written.append(&event(1, RunEvent::Finished)).unwrap();
    let more = event(1, RunEvent::Resumed { total_steps: 9 });
    written.append(&more).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(run, &stop));
        thread::sleep(Duration::from_millis(400));
        for at in 2..=4 {
            written.append(&Record::Step(step(at))).unwrap();
        }
        thread::sleep(Duration::from_millis(400));
        assert!(!watcher.is_finished());
        written = MetricsLog::resume(&run.join(METRICS_FILE), 2).unwrap();
        let why = "no disk left".to_owned();
        let stopped = event(
            2,
            RunEvent::Stopped {
                reason: why.clone(),
            },
        );
        written.append(&stopped).unwrap();
        let (ending, lines) = watcher.join().unwrap();
        assert_eq!(ending.unwrap(), Ending::Stopped { reason: why });
        let last = lines.last().unwrap();
        assert_eq!(last, "stopped: no disk left");
    });
}

#[test]
fn a_watcher_that_is_told_to_stop_stops() {
    let folder = tempfile::tempdir().unwrap();
    RunState::of_this_process("a", 9)
        .save(folder.path())
        .unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // No log yet: the run is loading its model.
        let watcher = scope.spawn(|| watch(folder.path(), &stop));
        thread::sleep(Duration::from_millis(400));
        assert!(!watcher.is_finished());
        stop.store(true, Ordering::Relaxed);
        assert_eq!(watcher.join().unwrap().0.unwrap(), Ending::Left);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_process_that_is_gone_is_noticed_with_its_last_step() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path()).append(&Record::Step(step(7))).unwrap();
    let mut child = Command::new("sleep")
        .arg("60")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let state = RunState {
        pid: child.id(),
        pid_began: None,
        ..RunState::of_this_process("a", 9)
    };
    assert_eq!(state.is_alive(), Some(true));
    state.save(folder.path()).unwrap();
    child.kill().unwrap();
    // Dead, and not yet buried by us.
    let (ending, _) = watch(folder.path(), &AtomicBool::new(false));
    child.wait().unwrap();
    let Ending::Gone { step, silent_s } = ending.unwrap() else {
        panic!("the process is gone");
    };
    assert_eq!(step, 7);
    assert!((0.0..60.0).contains(&silent_s));
    assert_eq!(state.is_alive(), Some(false));
}

#[test]
#[cfg(target_os = "linux")]
fn a_number_that_went_to_another_process_is_not_ours() {
    let state = RunState::of_this_process("a", 9);
    assert_eq!(state.is_alive(), Some(true));
    let another = RunState {
        pid_began: state.pid_began.map(|began| began + 1),
        ..state.clone()
    };
    assert_eq!(another.is_alive(), Some(false));
    let elsewhere = RunState {
        host: "another-machine".to_owned(),
        ..state
    };
    assert_eq!(elsewhere.is_alive(), None);
}

/// Where nothing tells whether the process lives, the age of its last word decides.
#[test]
fn a_long_silence_on_another_machine_is_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let state = RunState {
        host: "another-machine".to_owned(),
        ..RunState::of_this_process("a", 9)
    };
    state.save(folder.path()).unwrap();
    let line = r#"{"unix_s":1000000000,"kind":"step","step":3,"loss":1}"#;
    fs::write(folder.path().join(METRICS_FILE), format!("{line}\n")).unwrap();
    let (ending, _) = watch(folder.path(), &AtomicBool::new(false));
    assert!(matches!(ending.unwrap(), Ending::Gone { step: 3, .. }));
}
