//! Whether it lives, how it does, and signing in.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::App;
use crate::fault::{Fault, Kind};
use crate::web::body::Json;
use crate::web::guard;

/// Whether it answers at all.
pub(crate) async fn live() -> &'static str {
    "alive\n"
}

/// Whether it can work: the model is loaded, which is why anybody gets here, and it is not stopping.
pub(crate) async fn health(State(app): State<App>) -> Result<Response, Fault> {
    if app.is_stopping() {
        return Err(Fault::stopping());
    }
    Ok(JsonAnswer(json!({"status": "ok"})).into_response())
}

/// What Prometheus reads.
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let text = app.metrics.render();
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
        .into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    key: String,
}

/// A key, for a cookie: a browser sends that with sounds and events as well.
pub(crate) async fn sign_in(
    State(app): State<App>,
    Json(body): Json<SignIn>,
) -> Result<Response, Fault> {
    if app.settings.keys.is_open() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let Some(access) = app.settings.keys.access(&body.key) else {
        return Err(Fault::new(Kind::Unauthorized, "that is not the key"));
    };
    let token = app.sessions.begin(access)?;
    let cookie = format!(
        "{}={token}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict",
        guard::COOKIE
    );
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Forgets the cookie.
pub(crate) async fn sign_out(State(app): State<App>, headers: HeaderMap) -> Response {
    if let Some(token) = guard::cookie(&headers) {
        app.sessions.end(token);
    }
    let gone = format!(
        "{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
        guard::COOKIE
    );
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response()
}
