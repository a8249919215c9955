//! The routes, by whose API they are.

pub(crate) mod clips;
mod cohere;
mod collections;
mod docs;
mod health;
mod jobs;
mod openai;
mod rerank;
mod search;
mod tei;
mod time;

use axum::Router;
use axum::routing::{get, post, put};

use crate::App;
use crate::fault::{Fault, Kind};
use crate::settings::Access;
use crate::web::page;

/// Every path of [`routes`], as the document names it.
#[cfg(test)]
pub(crate) const PATHS: &[&str] = &[
    "/",
    "/audio/{id}",
    "/decode",
    "/docs",
    "/docs.css",
    "/embed",
    "/embeddings",
    "/health",
    "/healthz",
    "/info",
    "/livez",
    "/llms.txt",
    "/metrics",
    "/openapi.json",
    "/ping",
    "/readyz",
    "/rerank",
    "/score",
    "/similarity",
    "/spectrogram/{id}",
    "/tokenize",
    "/v1/clips/{id}",
    "/v1/clips/{id}/similar",
    "/v1/clips/{id}/tags",
    "/v1/clips/{id}/why",
    "/v1/collections",
    "/v1/collections/{name}",
    "/v1/collections/{name}/clips/{id}",
    "/v1/collections/{name}/export",
    "/v1/embeddings",
    "/v1/export",
    "/v1/index",
    "/v1/jobs",
    "/v1/jobs/{id}",
    "/v1/models",
    "/v1/models/{id}",
    "/v1/rerank",
    "/v1/score",
    "/v1/search",
    "/v1/session",
    "/v1/status",
    "/v2/embed",
    "/v2/rerank",
    "/waveform/{id}",
];

/// All of them.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(fallback).post(tei::root))
        .route("/v1/embeddings", post(openai::embeddings))
        .route("/embeddings", post(openai::embeddings))
        .route("/v1/models", get(openai::models))
        .route("/v1/models/{*id}", get(openai::model))
        .route("/score", post(rerank::score))
        .route("/v1/score", post(rerank::score))
        .route("/rerank", post(rerank::either))
        .route("/v1/rerank", post(rerank::cohere))
        .route("/v2/rerank", post(rerank::cohere))
        .route("/v2/embed", post(cohere::embed))
        .route("/embed", post(tei::embed))
        .route("/similarity", post(tei::similarity))
        .route("/tokenize", post(tei::tokenize))
        .route("/decode", post(tei::decode))
        .route("/info", get(tei::info))
        .route("/health", get(health::health))
        .route("/ping", get(health::health))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::health))
        .route("/healthz", get(health::health))
        .route("/metrics", get(health::metrics))
        .route(
            "/v1/session",
            post(health::sign_in).delete(health::sign_out),
        )
        .route("/v1/search", post(search::search).get(search::simple))
        .route("/v1/clips/{id}", get(clips::clip))
        .route("/v1/clips/{id}/similar", get(clips::similar))
        .route("/v1/clips/{id}/why", get(clips::why).post(clips::why_of))
        .route("/v1/clips/{id}/tags", put(clips::tags))
        .route("/audio/{id}", get(clips::audio))
        .route("/waveform/{id}", get(clips::waveform))
        .route("/spectrogram/{id}", get(clips::spectrogram))
        .route("/v1/status", get(jobs::status))
        .route("/v1/index", get(jobs::index).post(jobs::begin))
        .route("/v1/jobs", get(jobs::list))
        .route("/v1/jobs/{id}", get(jobs::job).delete(jobs::cancel))
        .route("/v1/collections", get(collections::list))
        .route(
            "/v1/collections/{name}",
            get(collections::get)
                .put(collections::put)
                .delete(collections::delete),
        )
        .route(
            "/v1/collections/{name}/clips/{id}",
            put(collections::add).delete(collections::remove),
        )
        .route("/v1/collections/{name}/export", get(collections::export))
        .route("/v1/export", post(collections::export_some))
        .route("/docs", get(docs::html))
        .route("/docs.css", get(docs::style))
        .route("/openapi.json", get(docs::openapi))
        .route("/llms.txt", get(docs::llms))
        .fallback(fallback)
}

/// Files of the page; the documentation where there is no page.
async fn fallback(request: axum::extract::Request) -> Result<axum::response::Response, Fault> {
    let path = request.uri().path();
    if !matches!(
        *request.method(),
        axum::http::Method::GET | axum::http::Method::HEAD
    ) {
        return Err(Fault::not_found("there is no such route; /docs lists them"));
    }
    if path == "/" && !page::is_file("/") {
        return Ok(docs::page());
    }
    page::answer(path, request.headers())
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Whether a caller may change something.
pub(crate) fn may_write(access: Access) -> Result<(), Fault> {
    match access {
        Access::Write => Ok(()),
        Access::Read => Err(Fault::new(Kind::Forbidden, "this key allows no changes")),
    }
}
