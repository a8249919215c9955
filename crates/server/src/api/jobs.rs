//! Indexing: what there is, what is under way, and more of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::time;
use crate::App;
use crate::fault::Fault;
use crate::settings::Access;
use crate::shelf::{Job, State as JobState};
use crate::web::body::Json;

/// Tags that are told with the status.
const TAGS: usize = 200;

/// Paths of one job.
const PATHS: usize = 1_000;

/// `GET /v1/status`: everything a page needs to begin with.
pub(crate) async fn status(
    State(app): State<App>,
    Extension(access): Extension<Access>,
) -> Result<Response, Fault> {
    let shelf = app.shelf()?;
    let (mut index, _) = index_json(&app).await?;
    let tags = shelf.run(false, |index| index.tag_counts(TAGS)).await?;
    index["tags"] = (tags.iter())
        .map(|tag| json!({"tag": tag.value, "count": tag.sounds}))
        .collect();
    let jobs: Vec<Value> = (shelf.jobs.list().iter())
        .map(|job| json!({"id": job.id, "state": job.status().state.name()}))
        .collect();
    let settings = &app.settings;
    Ok(JsonAnswer(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": !app.is_stopping(),
        "writable": access == Access::Write && !shelf.index.is_read_only(),
        "model": {
            "id": app.model_name(),
            "dim": app.model.dim(),
            "fingerprint": app.model.fingerprint(),
        },
        "index": index,
        "jobs": jobs,
        "limits": {
            "results": 1_000,
            "queries": 64,
            "body_bytes": settings.body_bytes,
            "sound_seconds": settings.upload_s,
        },
    }))
    .into_response())
}

/// `GET /v1/index`.
pub(crate) async fn index(State(app): State<App>) -> Result<Response, Fault> {
    let (mut value, failures) = index_json(&app).await?;
    value["failures"] = Value::Array(failures);
    Ok(JsonAnswer(value).into_response())
}

async fn index_json(app: &App) -> Result<(Value, Vec<Value>), Fault> {
    let status = app.shelf()?.run(false, |index| index.status()).await?;
    app.metrics.index_files(status.files);
    let roots: Vec<Value> = (status.roots.iter())
        .map(|root| {
            let path = root.path.to_string_lossy();
            json!({"path": path, "files": root.files, "present": root.present})
        })
        .collect();
    let failures = (status.failed.iter().take(1_000))
        .map(|file| json!({"path": file.path.to_string_lossy(), "reason": file.reason}))
        .collect();
    let value = json!({
        "path": status.path.to_string_lossy(),
        "files": status.files,
        "sounds": status.contents,
        "windows": status.windows,
        "away": status.away,
        "failed": status.failed.len(),
        "bytes": status.disk_bytes,
        "roots": roots,
        "formats": status.formats,
        "read_only": status.read_only,
    });
    Ok((value, failures))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IndexBody {
    paths: Vec<String>,
}

/// `POST /v1/index`.
pub(crate) async fn begin(
    State(app): State<App>,
    Extension(access): Extension<Access>,
    Json(body): Json<IndexBody>,
) -> Result<Response, Fault> {
    super::may_write(access)?;
    if body.paths.len() > PATHS {
        return Err(Fault::bad(format!(
            "paths: {} where {PATHS} are the most",
            body.paths.len()
        )));
    }
    let mut paths = Vec::with_capacity(body.paths.len());
    for path in body.paths {
        let path = PathBuf::from(path);
        if !path.is_absolute() {
            let shown = path.to_string_lossy().chars().take(100).collect::<String>();
            return Err(Fault::bad(format!(
                "paths: {shown:?} is not an absolute path"
            )));
        }
        paths.push(path);
    }
    let job = app.shelf()?.jobs.add(paths)?;
    let place = format!("/v1/jobs/{}", job.id);
    let answer = JsonAnswer(job_json(&job));
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, place)], answer).into_response())
}

/// `GET /v1/jobs`.
pub(crate) async fn list(State(app): State<App>) -> Result<Response, Fault> {
    let jobs: Vec<Value> = app
        .shelf()?
        .jobs
        .list()
        .iter()
        .map(|job| job_json(job))
        .collect();
    Ok(JsonAnswer(json!({ "jobs": jobs })).into_response())
}

/// `GET /v1/jobs/{id}`: once, or as events while it runs.
pub(crate) async fn job(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let job = find(&app, &id)?;
    let wants_events = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"));
    if !wants_events {
        return Ok(JsonAnswer(job_json(&job)).into_response());
    }
    let watch = Watch {
        changed: job.watch(),
        stopping: app.stopping.clone(),
        job,
        listed: 0,
        ready: Vec::new(),
        is_first: true,
        is_over: false,
    };
    let events = futures_util::stream::unfold(watch, |mut watch| async move {
        watch
            .next()
            .await
            .map(|event| (Ok::<_, std::convert::Infallible>(event), watch))
    });
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(events).keep_alive(alive).into_response())
}

/// `DELETE /v1/jobs/{id}`.
pub(crate) async fn cancel(
    State(app): State<App>,
    Extension(access): Extension<Access>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    super::may_write(access)?;
    let job = find(&app, &id)?;
    job.cancel();
    Ok((StatusCode::ACCEPTED, JsonAnswer(job_json(&job))).into_response())
}

fn find(app: &App, id: &str) -> Result<Arc<Job>, Fault> {
    app.shelf()?.jobs.get(id).ok_or_else(|| {
        let shown: String = id.chars().take(32).collect();
        Fault::not_found(format!("there is no job {shown:?}"))
    })
}

fn job_json(job: &Job) -> Value {
    let status = job.status();
    let took = status
        .took
        .or_else(|| status.began.map(|began| began.elapsed()));
    let wall = took.map_or(0.0, |took| took.as_secs_f64());
    let speed = (wall > 0.0 && status.seconds_done > 0.0).then(|| status.seconds_done / wall);
    let left = status
        .seconds
        .zip(speed)
        .map(|(all, speed)| ((all - status.seconds_done).max(0.0) / speed).round());
    let skipped: Vec<Value> = status.listed.iter().map(skipped_json).collect();
    let result = (status.state == JobState::Done).then(|| {
        json!({"files": status.files, "embedded": status.embedded, "skipped": status.skipped,
            "seconds": status.seconds_done})
    });
    json!({
        "id": job.id,
        "state": status.state.name(),
        "paths": job.paths.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        "created": time::system(job.created),
        "finished": status.finished.map(time::system),
        "progress": {
            "files_done": status.files_done,
            "files": status.files,
            "skipped": status.skipped,
            "seconds_done": status.seconds_done,
            "seconds": status.seconds,
            "seconds_left_wall": left,
            "current": status.current.to_string_lossy(),
            "speed": speed,
        },
        "skipped": skipped,
        "error": status.error,
        "result": result,
    })
}

fn skipped_json((path, reason): &(PathBuf, String)) -> Value {
    json!({"path": path.to_string_lossy(), "reason": reason})
}

/// One watcher of one job.
struct Watch {
    job: Arc<Job>,
    changed: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    /// Skipped files that were told.
    listed: usize,
    /// Events to send, last first.
    ready: Vec<Event>,
    is_first: bool,
    is_over: bool,
}

impl Watch {
    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.ready.pop() {
            return Some(event);
        }
        if self.is_over {
            return None;
        }
        if !std::mem::take(&mut self.is_first) {
            tokio::select! {
                changed = self.changed.changed() => changed.ok()?,
                _ = self.stopping.wait_for(|stop| *stop) => {
                    // So that the connection can close; whoever asks again is told that it stops.
                    return None;
                }
            }
        }
        // Marked before it is read, so that what comes meanwhile is another change.
        self.changed.borrow_and_update();
        let status = self.job.status();
        self.is_over = status.state.is_over();
        let name = if self.is_over { "end" } else { "progress" };
        let event =
            |name: &str, value: &Value| Event::default().event(name).data(value.to_string());
        self.ready.push(event(name, &job_json(&self.job)));
        let new = &status.listed[self.listed.min(status.listed.len())..];
        self.ready.extend(
            new.iter()
                .rev()
                .map(|one| event("skipped", &skipped_json(one))),
        );
        self.listed = status.listed.len();
        self.ready.pop()
    }
}
