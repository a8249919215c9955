//! What happens around every request: a name for it, who may call, a bound in time, faults in the
//! route's form, what browsers must know, a count and a line in the log.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::{faults, guard, page};
use crate::App;
use crate::fault::{Fault, Form, Kind};

const ID: &str = "x-request-id";

/// A request's name, for whoever logs.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

pub(crate) async fn around(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = id(&request);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "other".to_owned(), |route| route.as_str().to_owned());
    let form = faults::form(&path);
    let admitted = guard::admit(
        &app.settings,
        &app.sessions,
        app.is_loopback,
        &method,
        request.uri(),
        request.headers(),
        page::is_file(&path) || path == "/",
    );
    let answer = match admitted {
        Err(fault) => fault.into_response(),
        Ok(access) => {
            request.extensions_mut().insert(access);
            request.extensions_mut().insert(RequestId(id.clone()));
            let run = AssertUnwindSafe(next.run(request)).catch_unwind();
            match tokio::time::timeout(app.settings.answer_time, run).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => {
                    app.metrics.panicked();
                    tracing::error!(id, path, "a handler panicked");
                    Fault::new(Kind::Internal, "the server failed; its log says how")
                        .into_response()
                }
                Err(_) => {
                    Fault::new(Kind::Unavailable, "there was no answer in time").into_response()
                }
            }
        }
    };
    let (mut answer, fault) = faults::written(answer, form);
    page::harden(answer.headers_mut());
    if let Ok(value) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(ID, value);
    }
    let (status, took) = (answer.status().as_u16(), began.elapsed());
    app.metrics.answered(&route, status, took);
    if let Some(fault) = &fault
        && form != Form::Ours
    {
        app.metrics.refused(fault.kind().code());
    }
    let ms = took.as_secs_f64() * 1e3;
    let why = fault.as_ref().map(Fault::message);
    match status {
        500.. => tracing::warn!(id, %method, path, status, ms, why, "answered"),
        _ if matches!(
            path.as_str(),
            "/health" | "/livez" | "/readyz" | "/healthz" | "/ping" | "/metrics"
        ) =>
        {
            tracing::debug!(id, %method, path, status, ms, "answered");
        }
        _ => tracing::info!(id, %method, path, status, ms, why, "answered"),
    }
    answer
}

/// The caller's name for the request, where it is one, else ours.
fn id(request: &Request) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let given = request.headers().get(ID).and_then(|id| id.to_str().ok());
    let is_plain = |id: &&str| {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    match given.filter(is_plain) {
        Some(id) => id.to_owned(),
        None => {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            format!("{:08x}-{count:08x}", std::process::id())
        }
    }
}
