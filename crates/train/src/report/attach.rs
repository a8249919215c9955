//! Watching a run from outside, by what it writes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::dashboard::{Dashboard, Style};
use super::error::ReportError;
use super::metrics::{METRICS_FILE, MetricsTail, unix_s};
use super::record::{Record, RunEvent};
use super::state::RunState;

/// How often the log is looked at.
const EVERY: Duration = Duration::from_millis(250);
/// Where nothing tells whether the process lives: how long a silence counts as its end. A validation
/// may well take ten minutes.
const SILENCE_S: f64 = 30.0 * 60.0;

/// How watching a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// The run made all its steps.
    Finished,
    /// The run was stopped, and says why.
    Stopped {
        /// Why.
        reason: String,
    },
    /// Its process is gone, without a word; or, on another machine, says nothing any more.
    Gone {
        /// How many steps it had made.
        step: u64,
        /// Seconds since its last word.
        silent_s: f64,
    },
    /// The watcher was told to stop; the run goes on.
    Left,
}

/// Shows the dashboard of the run in `run_dir` on stderr, until the run ends or `stop` is set.
///
/// # Errors
///
/// [`ReportError::NotARun`] where no run has started; a state or log that makes no sense.
pub fn attach(run_dir: &Path, stop: &AtomicBool) -> Result<Ending, ReportError> {
    let state = RunState::load(run_dir)?;
    let mut dashboard = Dashboard::new(state.total_steps, Style::of_stderr());
    dashboard.message(&format!("{}, process {}", state.name, state.pid));
    let ending = follow(run_dir, stop, &mut dashboard);
    dashboard.finish();
    ending
}

/// As [`attach`], on a dashboard of the caller's.
///
/// # Errors
///
/// As for [`attach`].
pub fn follow(
    run_dir: &Path,
    stop: &AtomicBool,
    dashboard: &mut Dashboard,
) -> Result<Ending, ReportError> {
    let mut tail = MetricsTail::new(&run_dir.join(METRICS_FILE));
    let mut ending = None;
    let mut last_word_s = None;
    loop {
        // Before the log is read: what a process wrote before it ended is there once it has ended.
        let state = RunState::load(run_dir)?;
        let alive = state.is_alive();
        dashboard.set_total_steps(state.total_steps);
        let (anew, lines) = tail.poll()?;
        if anew {
            dashboard.begin_anew();
            ending = None;
        }
        for line in lines {
            last_word_s = Some(line.unix_s);
            // Whatever comes after an end is a run that was resumed.
            ending = match &line.record {
                Record::Event(event) => match &event.event {
                    RunEvent::Finished => Some(Ending::Finished),
                    RunEvent::Stopped { reason } => Some(Ending::Stopped {
                        reason: reason.clone(),
                    }),
                    _ => None,
                },
                Record::Step(_) | Record::Validation(_) => None,
            };
            match &line.record {
                Record::Step(step) => dashboard.step(step),
                Record::Validation(validation) => dashboard.validation(validation),
                Record::Event(event) => dashboard.event(event),
            }
        }
        if let Some(ending) = ending {
            return Ok(ending);
        }
        let silent_s = unix_s() - *last_word_s.get_or_insert_with(unix_s);
        if alive == Some(false) || alive.is_none() && silent_s > SILENCE_S {
            return Ok(Ending::Gone {
                step: dashboard.view().progress().0,
                silent_s,
            });
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(Ending::Left);
        }
        thread::sleep(EVERY);
    }
}
