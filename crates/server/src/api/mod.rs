//! The routes, by whose API they are.

mod cohere;
mod docs;
mod health;
mod openai;
mod rerank;
mod tei;

use axum::Router;
use axum::routing::{get, post};

use crate::App;
use crate::fault::Fault;
use crate::web::page;

/// Every path of [`routes`], as the document names it.
#[cfg(test)]
pub(crate) const PATHS: &[&str] = &[
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
    "/tokenize",
    "/v1/embeddings",
    "/v1/models",
    "/v1/models/{id}",
    "/v1/rerank",
    "/v1/score",
    "/v1/session",
    "/v2/embed",
    "/v2/rerank",
];

/// All of them.
pub(crate) fn routes() -> Router<App> {
    Router::new()
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
