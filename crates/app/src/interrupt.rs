//! Ctrl-C and SIGTERM: the first asks to finish what is under way and save it, the second ends the
//! program at once (and the store survives that too).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use aurola::Cancel;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::signal_code;

/// What a signal does now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupts {
    cancel: Cancel,
    signal: Arc<AtomicI32>,
    patient: Arc<AtomicBool>,
}

impl Interrupts {
    /// Listens from now on. Where the system does not let us, a signal does what it always does.
    pub(crate) fn listen() -> Self {
        let interrupts = Self::default();
        if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) {
            let shared = interrupts.clone();
            std::thread::spawn(move || {
                for signal in signals.forever() {
                    shared.caught(signal);
                }
            });
        }
        interrupts
    }

    fn caught(&self, signal: i32) {
        let first = self.signal.swap(signal, Ordering::SeqCst) == 0;
        if first && self.patient.load(Ordering::SeqCst) {
            self.cancel.cancel();
            anstream::eprintln!("\nstopping: saving what is done (again to stop at once)");
        } else {
            std::process::exit(i32::from(signal_code(signal)));
        }
    }

    /// Runs work that watches its [`Cancel`]: a first signal lets it save. Outside of this a signal
    /// ends the program at once, since there is nothing to save.
    pub(crate) fn patiently<T>(&self, work: impl FnOnce(&Cancel) -> T) -> T {
        self.patient.store(true, Ordering::SeqCst);
        let done = work(&self.cancel);
        self.patient.store(false, Ordering::SeqCst);
        done
    }

    /// Whether a signal came.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// The signal that came; SIGINT where none did, as for a download that was declined.
    pub(crate) fn signal(&self) -> i32 {
        match self.signal.load(Ordering::SeqCst) {
            0 => SIGINT,
            signal => signal,
        }
    }
}

/// For a process that helps another one: the terminal sends Ctrl-C to both, and the other decides.
pub(crate) fn leave_to_the_parent() {
    // Setting a flag nobody reads is how a signal is ignored without unsafe code. Where that fails,
    // the worst is a sound that the parent lists as not decoded.
    let _ = signal_hook::flag::register(SIGINT, Arc::new(AtomicBool::new(false)));
}
