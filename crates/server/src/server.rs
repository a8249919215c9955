//! A server from its first connection to its last.
//!
//! It listens before there is a model: `/livez` answers, everything else is 503 until
//! [`Server::open`]. It stops in the order in which it can lose nothing: no new connections, answers
//! to what is under way, the queue, the runtime.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aurola::{EngineError, Listening};
use aurola_audio::AudioError;
use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::app::{App, Shared};
use crate::metrics::Metrics;
use crate::model::{Queue, QueueOptions, Served};
use crate::settings::Settings;
use crate::shelf::{IndexPlace, Shelf};
use crate::sound::{Ears, Remote};
use crate::web::body::Budget;
use crate::web::guard::Sessions;
use crate::web::{around, listen, page};
use crate::{api, fault::Fault, fault::Form, fault::Kind};

/// How often what was counted is folded away.
const UPKEEP: Duration = Duration::from_secs(5);

/// What a server serves.
pub struct Parts {
    /// Makes the vectors.
    pub model: Arc<dyn Served>,
    /// Judges pairs; may be the same.
    pub judge: Arc<dyn Served>,
    /// How sounds are cut and read.
    pub listening: Listening,
    /// The index to search; without one, only the model is served.
    pub index: Option<IndexPlace>,
}

/// Why a server cannot serve.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The system gave no thread, or the socket cannot be used.
    #[error("the server cannot run")]
    Io(#[from] std::io::Error),
    /// The index cannot be opened.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The model's front end cannot be.
    #[error(transparent)]
    Audio(#[from] AudioError),
}

/// A running server.
pub struct Server {
    settings: Settings,
    address: SocketAddr,
    runtime: Runtime,
    door: Arc<OnceLock<(Router, App)>>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Server {
    /// Listens from now on, and says that it is not ready.
    ///
    /// # Errors
    ///
    /// [`ServerError::Io`].
    pub fn start(listener: TcpListener, settings: Settings) -> Result<Self, ServerError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("http")
            .enable_all()
            .build()?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let door: Arc<OnceLock<(Router, App)>> = Arc::default();
        let (stop, stopping) = watch::channel(false);
        let opened = door.clone();
        let router = Router::new().fallback(move |request: Request| {
            let opened = opened.clone();
            async move {
                match opened.get() {
                    Some((router, _)) => match router.clone().oneshot(request).await {
                        Ok(response) => response,
                        Err(never) => match never {},
                    },
                    None => not_yet(&request),
                }
            }
        });
        let bounds = settings.clone();
        let serving = runtime.spawn(async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => listen::listen(listener, router, &bounds, stopping).await,
                Err(error) => tracing::error!(%error, "the socket cannot be listened on"),
            }
        });
        Ok(Self {
            settings,
            address,
            runtime,
            door,
            stop,
            serving,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `parts` from now on; a second time changes nothing.
    ///
    /// # Errors
    ///
    /// [`ServerError`].
    pub fn open(&self, parts: Parts) -> Result<(), ServerError> {
        let settings = &self.settings;
        let metrics = Arc::new(Metrics::new());
        let name = settings.models.first().map_or("aurola", String::as_str);
        metrics.build(env!("CARGO_PKG_VERSION"), name);
        let Parts {
            model,
            judge,
            listening,
            index,
        } = parts;
        let ears = |mel| Ears::start(&listening, mel, settings.upload_s, settings.ears, &metrics);
        let model_ears = ears(model.mel_config())?;
        let judge_ears = match judge.mel_config() == model.mel_config() {
            true => model_ears.clone(),
            false => ears(judge.mel_config())?,
        };
        let options = QueueOptions {
            batch_tokens: settings.batch_tokens,
            batch_inputs: settings.batch_inputs,
            requests: settings.requests,
            tokens: settings.batch_tokens * 16,
        };
        let queue = Queue::start(model.clone(), judge.clone(), options, metrics.clone())?;
        let remote = settings
            .remote
            .clone()
            .map(|hosts| Arc::new(Remote::new(hosts, settings.body_bytes as u64 / 4)));
        let shelf = match &index {
            None => None,
            Some(place) => {
                let cache = settings.cache.clone();
                Some(Shelf::open(
                    place, &listening, &queue, &model, &judge, cache,
                )?)
            }
        };
        let app = App(Arc::new(Shared {
            shelf,
            is_loopback: self.address.ip().is_loopback(),
            sessions: Sessions::default(),
            budget: Budget::of(settings.body_bytes),
            metrics: metrics.clone(),
            model,
            queue,
            ears: model_ears,
            judge_ears,
            remote,
            stopping: self.stop.subscribe(),
            settings: settings.clone(),
        }));
        let router = api::routes()
            .layer(axum::middleware::from_fn_with_state(app.clone(), around))
            .with_state(app.clone());
        if self.door.set((router, app)).is_ok() {
            self.runtime.spawn(async move {
                loop {
                    tokio::time::sleep(UPKEEP).await;
                    metrics.upkeep();
                }
            });
        }
        Ok(())
    }

    /// Takes nothing more, answers what is under way, and ends. Waits for
    /// [`Settings::stop_time`] at most, and then for the batch at the model.
    pub fn stop(self) {
        // Whoever listens to it is the server itself.
        let _ = self.stop.send(true);
        if let Err(error) = self.runtime.block_on(self.serving) {
            tracing::error!(%error, "the server ended by itself");
        }
        if let Some((_, app)) = self.door.get() {
            if let Some(shelf) = &app.shelf {
                shelf.jobs.finish();
            }
            app.queue.finish();
        }
        self.runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

/// The answer while there is no model yet.
fn not_yet(request: &Request) -> Response {
    if request.uri().path() == "/livez" {
        return "alive\n".into_response();
    }
    let fault = Fault::new(Kind::Unavailable, "the model is being loaded");
    let mut response = fault.write(Form::Ours);
    debug_assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    page::harden(response.headers_mut());
    let soon = header::HeaderValue::from_static("1");
    response.headers_mut().insert(header::RETRY_AFTER, soon);
    response
}
