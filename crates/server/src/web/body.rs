//! Bodies: bounded in bytes, in time, and in what all of them together take of the memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::App;
use crate::fault::{Fault, Kind};

/// Bytes are accounted for in pieces of this size.
const PIECE: usize = 64 * 1024;

/// How many of the largest bodies may be in memory at once.
const LARGEST_AT_ONCE: usize = 4;

/// A JSON body without sounds in it.
pub(crate) struct Json<T>(pub(crate) T);

/// A JSON body that may hold sounds. While it lives, its bytes count.
pub(crate) struct Sounds<T> {
    pub(crate) body: T,
    pub(crate) held: Held,
}

/// The memory that a body takes.
#[derive(Default)]
pub(crate) struct Held {
    _pieces: Vec<OwnedSemaphorePermit>,
}

/// What all bodies share.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(crate) fn of(largest: usize) -> Self {
        Self(Arc::new(Semaphore::new(
            (largest / PIECE + 1) * LARGEST_AT_ONCE,
        )))
    }
}

impl<T: DeserializeOwned + Send + 'static> FromRequest<App> for Json<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, app: &App) -> Result<Self, Fault> {
        let limit = app.settings.json_bytes;
        let (bytes, _held) = read(request, app, limit).await?;
        Ok(Self(parse(&bytes)?))
    }
}

impl<T: DeserializeOwned + Send + 'static> FromRequest<App> for Sounds<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, app: &App) -> Result<Self, Fault> {
        let limit = app.settings.body_bytes;
        let (bytes, held) = read(request, app, limit).await?;
        let body = if bytes.len() > PIECE {
            tokio::task::spawn_blocking(move || parse(&bytes))
                .await
                .unwrap_or_else(|_| Err(Fault::stopping()))?
        } else {
            parse(&bytes)?
        };
        Ok(Self { body, held })
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|error| Fault::bad(format!("the JSON: {error}")))
}

async fn read(request: Request, app: &App, limit: usize) -> Result<(Bytes, Held), Fault> {
    let headers = request.headers();
    if !is_json(headers) {
        let message = "the body must be JSON, sent as Content-Type: application/json";
        return Err(Fault::new(Kind::Unsupported, message));
    }
    let too_large = || Fault::new(Kind::TooLarge, format!("the body is over {limit} bytes"));
    let said = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    collect(
        request.into_body(),
        &app.budget,
        limit,
        app.settings.body_time,
    )
    .await?
    .ok_or_else(too_large)
}

/// `None` where it is longer than `limit`.
async fn collect(
    mut body: Body,
    budget: &Budget,
    limit: usize,
    patience: Duration,
) -> Result<Option<(Bytes, Held)>, Fault> {
    let mut bytes = Vec::new();
    let mut held = Held::default();
    let mut room = 0;
    loop {
        let frame = tokio::time::timeout(patience, body.frame())
            .await
            .map_err(|_| Fault::new(Kind::Slow, "the body did not come in time"))?;
        let Some(frame) = frame else {
            return Ok(Some((bytes.into(), held)));
        };
        let frame = frame.map_err(|_| Fault::bad("the body broke off"))?;
        let Ok(data) = frame.into_data() else {
            continue; // trailers
        };
        if bytes.len() + data.len() > limit {
            return Ok(None);
        }
        while bytes.len() + data.len() > room {
            let piece = budget.0.clone().try_acquire_owned();
            held._pieces.push(piece.map_err(|_| Fault::overloaded())?);
            room += PIECE;
        }
        bytes.extend_from_slice(&data);
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
    else {
        return false;
    };
    let kind = kind
        .split(';')
        .next()
        .unwrap_or(kind)
        .trim()
        .to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_counts_against_all_while_it_lives() {
        let budget = Budget::of(PIECE); // two pieces, four times
        let of = |bytes: usize| Body::from(vec![b' '; bytes]);
        let second = Duration::from_secs(1);
        let first = collect(of(7 * PIECE), &budget, 8 * PIECE, second)
            .await
            .unwrap();
        assert_eq!(first.as_ref().unwrap().0.len(), 7 * PIECE);
        let more = collect(of(2 * PIECE), &budget, 8 * PIECE, second).await;
        assert_eq!(more.err().map(|fault| fault.kind()), Some(Kind::Overloaded));
        drop(first);
        assert!(
            collect(of(8 * PIECE), &budget, 8 * PIECE, second)
                .await
                .unwrap()
                .is_some()
        );
        assert!(
            collect(of(PIECE + 1), &budget, PIECE, second)
                .await
                .unwrap()
                .is_none()
        );
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let budget = Budget::of(PIECE);
        let never =
            Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let fault = collect(never, &budget, 10, Duration::from_millis(20))
            .await
            .err()
            .unwrap();
        assert_eq!(fault.kind(), Kind::Slow);
    }
}
