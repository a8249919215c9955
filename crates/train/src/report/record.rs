//! What there is to say about a run, one thing at a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::number;

/// One line of the log, by its `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// A step was made.
    Step(StepRecord),
    /// The model was tried on something it does not learn from.
    Validation(ValidationRecord),
    /// Something happened to the run.
    Event(EventRecord),
}

impl Record {
    /// How many steps were made when this was true.
    pub fn step(&self) -> u64 {
        match self {
            Self::Step(record) => record.step,
            Self::Validation(record) => record.step,
            Self::Event(record) => record.step,
        }
    }
}

/// A step of the optimizer, over all ranks. Numbers that are not finite are `null` in the log.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StepRecord {
    /// How many steps were made, this one included.
    pub step: u64,
    /// How often the data was gone through; 0.5 is half of it once.
    #[serde(with = "number")]
    pub epoch: f64,
    /// The loss before the step.
    #[serde(with = "number")]
    pub loss: f64,
    /// The step's learning rate.
    #[serde(with = "number")]
    pub learning_rate: f64,
    /// ‖gradient‖₂ before it is clipped.
    #[serde(with = "number")]
    pub gradient_norm: f64,
    /// Seconds of sound in the step's batch.
    #[serde(with = "number")]
    pub audio_seconds: f64,
    /// Seconds of sound per second of wall clock.
    #[serde(with = "number")]
    pub audio_seconds_per_s: f64,
    /// Pairs of sound and words per second of wall clock.
    #[serde(with = "number")]
    pub pairs_per_s: f64,
    /// Seconds of wall clock from the end of the last step to the end of this one, waiting included.
    #[serde(with = "number")]
    pub step_s: f64,
    /// Seconds of them spent waiting for data.
    #[serde(with = "number")]
    pub wait_s: f64,
    /// Examples left out since the run began, because they could not be read.
    pub skipped: u64,
    /// How many pairs go through the model at once; a batch takes several such chunks.
    pub chunk: u64,
    /// Whatever else this kind of run measures, such as the parts of its loss.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", with = "number::named")]
    pub extra: BTreeMap<String, f64>,
}

/// How well the model finds one by the other.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ValidationRecord {
    /// How many steps were made.
    pub step: u64,
    /// Of what data.
    pub name: String,
    /// By name: `t2a_r1` is the share in `[0, 1]` of texts whose first hit is right, `a2t_r10` of
    /// sounds with a right text among ten.
    #[serde(with = "number::named")]
    pub scores: BTreeMap<String, f64>,
}

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// How many steps were made.
    pub step: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: RunEvent,
}

/// What can happen to a run, by its `event`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunEvent {
    /// It began.
    Started {
        /// How many steps it will make.
        total_steps: u64,
    },
    /// It goes on after a break, from a checkpoint.
    Resumed {
        /// How many steps it will have made in the end.
        total_steps: u64,
    },
    /// The memory was not enough, so the step is made again with smaller chunks. The gradient is the
    /// same.
    OutOfMemory {
        /// How many pairs go through the model at once from now on.
        chunk: u64,
    },
    /// Something worth a line.
    Note {
        /// The line.
        message: String,
    },
    /// It was stopped before its end, and can be resumed.
    Stopped {
        /// Why.
        reason: String,
    },
    /// It made all its steps.
    Finished,
}

impl std::fmt::Display for RunEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Started { total_steps } => write!(f, "started, {total_steps} steps to go"),
            Self::Resumed { total_steps } => write!(f, "resumed, {total_steps} steps in all"),
            Self::OutOfMemory { chunk } => {
                write!(f, "out of memory; from now on {chunk} pairs at once")
            }
            Self::Note { message } => f.write_str(message),
            Self::Stopped { reason } => write!(f, "stopped: {reason}"),
            Self::Finished => f.write_str("finished"),
        }
    }
}
