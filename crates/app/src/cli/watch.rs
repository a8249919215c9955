//! `aurola index watch`: an update whenever something changes below a root.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use aurola::{Cancel, Event, Index};
use notify::{RecursiveMode, Watcher};

use super::Common;
use super::index::{run, told};
use crate::exit::{AppError, Ending};
use crate::interrupt::Interrupts;

/// How long nothing must change before an update: a copy under way would be read halfway.
const QUIET: Duration = Duration::from_secs(2);
/// An update at least this often: file systems on the network tell nothing of changes, and a drive
/// may come back.
const AT_LEAST: Duration = Duration::from_secs(300);
/// How often a signal is looked for.
const TICK: Duration = Duration::from_millis(200);

/// Updates `index` until a signal comes.
pub(super) fn watch(
    index: &Index,
    common: &Common,
    interrupts: &Interrupts,
) -> Result<Ending, AppError> {
    let (changed, changes) = channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a sound is no change, and would have no end. What the system could not tell in full
        // is one.
        if !matches!(event, Ok(event) if event.kind.is_access()) {
            let _ = changed.send(()); // nobody listens: the watch is over
        }
    })
    .map_err(std::io::Error::other)?;
    let mut watched: Vec<PathBuf> = Vec::new();
    loop {
        let update =
            |cancel: &Cancel, on_event: &mut dyn FnMut(Event<'_>)| index.update(cancel, on_event);
        let library = run(common, interrupts, update)?;
        let ending = told(common, interrupts, &library)?;
        if library.interrupted {
            return Ok(ending);
        }
        for root in index.status()?.roots {
            if !root.present {
                // Watched anew when it is back.
                watched.retain(|path| *path != root.path);
            } else if !watched.contains(&root.path) {
                match watcher.watch(&root.path, RecursiveMode::Recursive) {
                    Ok(()) => watched.push(root.path),
                    Err(error) => common.note(format!(
                        "{}: cannot be watched ({error}); it is looked through every {} minutes",
                        root.path.display(),
                        AT_LEAST.as_secs() / 60
                    )),
                }
            }
        }
        common.note(format!(
            "watching {} folders; Ctrl-C ends it",
            watched.len()
        ));
        let waited = Instant::now();
        let mut last_change = None;
        let stopped = interrupts.patiently(|cancel| {
            loop {
                match changes.recv_timeout(TICK) {
                    Ok(()) => last_change = Some(Instant::now()),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
                }
                if cancel.is_cancelled() {
                    return true;
                }
                if last_change.is_some_and(|at| at.elapsed() >= QUIET)
                    || waited.elapsed() >= AT_LEAST
                {
                    return false;
                }
            }
        });
        if stopped {
            return Ok(Ending::Interrupted(interrupts.signal()));
        }
    }
}
