//! Threads that read sounds, each with decoding processes of its own.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aurola::{Listener, Listening, reason, seconds};
use aurola_audio::{AudioError, LogMel, MelConfig, MelFilters};
use aurola_retrieval::Span;
use tokio::sync::oneshot;

use crate::fault::{Fault, Kind};
use crate::metrics::Metrics;

/// One thread's two listeners: uploads are bounded more tightly than what is in the index.
struct Pair<'a> {
    uploads: Listener<'a>,
    library: Listener<'a>,
    metrics: Arc<Metrics>,
}

type Errand = Box<dyn FnOnce(&mut Pair<'_>) + Send>;

/// The threads. Clones share them.
#[derive(Clone)]
pub(crate) struct Ears {
    errands: SyncSender<Errand>,
}

/// A sound of a request.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// Its windows, at least one.
    pub(crate) windows: Vec<Arc<LogMel>>,
    pub(crate) seconds: f64,
}

/// Errands that may wait for a thread; more requests than this are not under way.
const WAITING: usize = 4_096;

impl Ears {
    /// Starts `threads` of them; a decoding process starts when it is needed.
    ///
    /// # Errors
    ///
    /// A front end that cannot be, or no thread.
    pub(crate) fn start(
        listening: &Listening,
        mel: &MelConfig,
        upload_s: f64,
        threads: usize,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, AudioError> {
        MelFilters::new(mel)?;
        let (errands, waiting) = sync_channel::<Errand>(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        let mut bounded = listening.clone();
        bounded.limits.max_duration_s = upload_s;
        for _ in 0..threads.max(1) {
            let (waiting, metrics) = (waiting.clone(), metrics.clone());
            let (bounded, listening, mel) = (bounded.clone(), listening.clone(), mel.clone());
            let spawned = std::thread::Builder::new()
                .name("ears".into())
                .spawn(move || work(&waiting, &bounded, &listening, &mel, metrics));
            spawned.map_err(|source| AudioError::Worker {
                command: "a thread".into(),
                source,
            })?;
        }
        Ok(Self { errands })
    }

    /// A sound that came with a request, as windows.
    pub(crate) async fn upload(&self, bytes: axum::body::Bytes) -> Result<Heard, Fault> {
        self.send(move |pair, wanted| {
            let began = Instant::now();
            // Decoders read files. It is gone when it is dropped.
            let written = tempfile::NamedTempFile::new().and_then(|mut file| {
                file.write_all(&bytes)?;
                Ok(file)
            });
            let file = written.map_err(|error| {
                tracing::error!(%error, "no room for an upload");
                Fault::new(Kind::Unavailable, "there is no room for the sound just now")
            })?;
            drop(bytes);
            let heard = windows(&mut pair.uploads, file.path(), wanted)?;
            pair.metrics.decoded(heard.seconds, began.elapsed());
            Ok(heard)
        })
        .await
    }

    /// A file of the index, as samples at 16 kHz, block by block, on a thread of ours.
    pub(crate) async fn samples<T: Send + 'static>(
        &self,
        path: PathBuf,
        mut state: T,
        mut on_block: impl FnMut(&mut T, &[f32]) + Send + 'static,
    ) -> Result<T, Fault> {
        self.send(move |pair, wanted| {
            let heard = pair.library.samples(&path, &mut |block| {
                on_block(&mut state, block);
                go_on(wanted)
            });
            heard.map_err(|error| undecodable(&error, &path))?;
            Ok(state)
        })
        .await
    }

    /// A file of the index, as the spectrograms of its windows, one by one, on a thread of ours.
    pub(crate) async fn each_window<T: Send + 'static>(
        &self,
        path: PathBuf,
        mut state: T,
        mut on_window: impl FnMut(&mut T, Span, LogMel) + Send + 'static,
    ) -> Result<T, Fault> {
        self.send(move |pair, wanted| {
            let heard = pair.library.hear(
                &path,
                &mut |_, _| ControlFlow::Continue(()),
                &mut |_| true,
                &mut |span, mel| {
                    on_window(&mut state, span, mel);
                    go_on(wanted)
                },
            );
            heard.map_err(|error| undecodable(&error, &path))?;
            Ok(state)
        })
        .await
    }

    async fn send<T: Send + 'static>(
        &self,
        errand: impl FnOnce(&mut Pair<'_>, &dyn Fn() -> bool) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (answer, receiver) = oneshot::channel();
        let errand: Errand = Box::new(move |pair| {
            // Whoever asked may have gone while this waited.
            if answer.is_closed() {
                return;
            }
            let done = errand(pair, &|| !answer.is_closed());
            // Or meanwhile.
            let _ = answer.send(done);
        });
        match self.errands.try_send(errand) {
            Ok(()) => receiver.await.unwrap_or_else(|_| Err(Fault::stopping())),
            Err(TrySendError::Full(_)) => Err(Fault::overloaded()),
            Err(TrySendError::Disconnected(_)) => Err(Fault::stopping()),
        }
    }
}

fn work(
    waiting: &Mutex<Receiver<Errand>>,
    bounded: &Listening,
    listening: &Listening,
    mel: &MelConfig,
    metrics: Arc<Metrics>,
) {
    let pair = (Listener::new(bounded, mel))
        .and_then(|uploads| Ok((uploads, Listener::new(listening, mel)?)));
    let Ok((uploads, library)) = pair else {
        return; // not with filters that could be made once already
    };
    let mut pair = Pair {
        uploads,
        library,
        metrics,
    };
    loop {
        let errand = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(errand) = errand else { return };
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| errand(&mut pair)));
        if ran.is_err() {
            pair.metrics.panicked();
            tracing::error!("reading a sound panicked");
        }
    }
}

fn windows(
    listener: &mut Listener<'_>,
    path: &Path,
    wanted: &dyn Fn() -> bool,
) -> Result<Heard, Fault> {
    let mut windows = Vec::new();
    let heard = listener.hear(
        path,
        &mut |_, _| ControlFlow::Continue(()),
        &mut |_| true,
        &mut |_, mel| {
            windows.push(Arc::new(mel));
            go_on(wanted)
        },
    );
    let heard = heard.map_err(|error| undecodable(&error, path))?;
    let samples = heard.and_then(|heard| heard.sound.samples).unwrap_or(0);
    if windows.is_empty() {
        return Err(Fault::unprocessable("the sound holds no samples"));
    }
    Ok(Heard {
        windows,
        seconds: seconds(samples),
    })
}

fn go_on(wanted: &dyn Fn() -> bool) -> ControlFlow<()> {
    match wanted() {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    }
}

/// Why a sound cannot be read, without the name it has on this machine.
fn undecodable(error: &AudioError, path: &Path) -> Fault {
    let words = reason(error, path);
    match error {
        AudioError::Worker { .. } | AudioError::Setting { .. } => {
            tracing::error!(error = words, "no sound can be decoded");
            Fault::new(Kind::Unavailable, "sounds cannot be decoded just now")
        }
        AudioError::Open { .. } | AudioError::Read { .. } => {
            Fault::not_found(format!("the sound cannot be read: {words}"))
        }
        AudioError::OverLimit { .. } => {
            Fault::new(Kind::TooLarge, format!("the sound is too long: {words}"))
        }
        _ => Fault::unprocessable(format!("the sound cannot be decoded: {words}")),
    }
}
