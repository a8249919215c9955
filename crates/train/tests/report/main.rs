//! The reports from outside: what is written, what is read back, what is shown.

mod attach;
mod dashboard;
mod metrics;
mod tensorboard;

use std::collections::BTreeMap;

use aurola_train::report::{EventRecord, Record, RunEvent, StepRecord, ValidationRecord};

/// A step of a run that gets better and makes 2 steps a second.
fn step(step: u64) -> StepRecord {
    StepRecord {
        step,
        epoch: step as f64 / 100.0,
        loss: 4.0 / step as f64,
        learning_rate: 1.5e-5,
        gradient_norm: 0.75,
        audio_seconds: 160.0,
        audio_seconds_per_s: 320.0,
        pairs_per_s: 64.0,
        step_s: 0.5,
        wait_s: 0.05,
        skipped: 0,
        chunk: 16,
        extra: BTreeMap::new(),
    }
}

fn validation(step: u64) -> ValidationRecord {
    let scores = [("t2a_r1", 0.25), ("t2a_r5", 0.5), ("t2a_r10", 0.75)];
    ValidationRecord {
        step,
        name: "clotho".to_owned(),
        scores: scores.map(|(name, n)| (name.to_owned(), n)).into(),
    }
}

fn event(step: u64, event: RunEvent) -> Record {
    Record::Event(EventRecord { step, event })
}
