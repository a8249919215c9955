//! One sound: what is known of it, its bytes, its pictures, and what people say of it.

use std::path::PathBuf;

use aurola::{Edit, FileEntry, Moment, SearchHit, Sound, Tag, TagSource};
use axum::Extension;
use axum::Json as JsonAnswer;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_range_header::parse_range_header;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::{search, time};
use crate::App;
use crate::fault::{Fault, Kind};
use crate::settings::Access;
use crate::shelf::Opened;
use crate::web::body::{Json, Sounds};

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

/// What an answer says of any sound.
pub(crate) struct Facts<'f> {
    id: String,
    path: &'f std::path::Path,
    sound: &'f Sound,
    duration_s: Option<f64>,
    size: u64,
    modified_ns: i64,
    tags: &'f [Tag],
    licence: Option<&'f str>,
    away: bool,
}

impl<'f> Facts<'f> {
    pub(crate) fn of_hit(hit: &'f SearchHit) -> Self {
        Self {
            id: hit.id.to_string(),
            path: &hit.path,
            sound: &hit.sound,
            duration_s: hit.duration_s,
            size: hit.size,
            modified_ns: hit.modified_ns,
            tags: &hit.tags,
            licence: hit.licence.as_deref(),
            away: hit.away,
        }
    }

    pub(crate) fn of_entry(entry: &'f FileEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            path: &entry.path,
            sound: &entry.sound,
            duration_s: entry.duration_s,
            size: entry.size,
            modified_ns: entry.modified_ns,
            tags: &entry.tags,
            licence: entry.licence.as_deref(),
            away: entry.away,
        }
    }

    pub(crate) fn json(&self) -> Value {
        let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let one = |name: &str| {
            let tag = self.tags.iter().find(|tag| tag.name == name);
            tag.map(|tag| tag.value.as_str())
        };
        let (mut tags, mut own) = (Vec::new(), Vec::new());
        for tag in self.tags {
            let is_keyword = matches!(tag.name.as_str(), "keyword" | "genre" | "category");
            if is_keyword && !tags.contains(&tag.value.as_str()) {
                tags.push(tag.value.as_str());
            }
            if is_keyword && tag.source == TagSource::User {
                own.push(tag.value.as_str());
            }
        }
        let id = &self.id;
        json!({
            "id": id,
            "path": text(self.path),
            "name": self.path.file_name().map(|name| name.to_string_lossy().into_owned()),
            "folder": self.path.parent().map(text),
            "duration": self.duration_s,
            "format": self.sound.container,
            "codec": self.sound.codec,
            "sample_rate": self.sound.sample_rate,
            "channels": self.sound.channels,
            "bytes": self.size,
            "modified": time::write(self.modified_ns),
            "title": one("title"),
            "artist": one("artist"),
            "description": one("description"),
            "license": self.licence,
            "tags": tags,
            "own_tags": own,
            "available": !self.away,
            "preview_url": format!("/audio/{id}"),
            "waveform_url": format!("/waveform/{id}"),
            "spectrogram_url": format!("/spectrogram/{id}.webp"),
        })
    }
}

/// Parts of a sound, to the millisecond.
pub(crate) fn moments(moments: &[Moment]) -> Value {
    let ms = |s: f64| (s * 1e3).round() / 1e3;
    let list: Vec<Value> = (moments.iter())
        .map(|moment| {
            json!({"start": ms(moment.start_s), "end": ms(moment.end_s), "score": moment.score})
        })
        .collect();
    Value::Array(list)
}

/// `GET /v1/clips/{id}`.
pub(crate) async fn clip(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let entry = app.shelf()?.entry(&id).await?;
    let mut value = Facts::of_entry(&entry).json();
    value["note"] = json!(entry.note);
    value["caption"] = json!(entry.caption);
    value["failure"] = json!(entry.failure);
    value["all_tags"] = (entry.tags.iter())
        .map(|tag| {
            let source = match tag.source {
                TagSource::File => "file",
                TagSource::Name => "name",
                TagSource::User => "user",
            };
            json!({"source": source, "name": tag.name, "value": tag.value})
        })
        .collect();
    Ok(JsonAnswer(value).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimilarQuery {
    limit: Option<usize>,
}

/// `GET /v1/clips/{id}/similar`.
pub(crate) async fn similar(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Result<Query<SimilarQuery>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(query) = query.map_err(|error| Fault::bad(error.body_text()))?;
    Ok(JsonAnswer(search::similar(&app, &id, query.limit).await?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhyQuery {
    q: String,
}

/// `GET /v1/clips/{id}/why?q=WORDS`.
pub(crate) async fn why(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Result<Query<WhyQuery>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(query) = query.map_err(|error| Fault::bad(error.body_text()))?;
    Ok(JsonAnswer(search::why(&app, &id, search::words(query.q)).await?).into_response())
}

/// `POST /v1/clips/{id}/why`, with the body of a search.
pub(crate) async fn why_of(
    State(app): State<App>,
    Path(id): Path<String>,
    Sounds { body, held }: Sounds<search::SearchBody>,
) -> Result<Response, Fault> {
    let value = search::why(&app, &id, body).await?;
    drop(held);
    Ok(JsonAnswer(value).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub(crate) struct TagsBody {
    add: Vec<String>,
    remove: Vec<String>,
    note: Option<String>,
}

/// Characters of a tag or a note.
const LONGEST: usize = 2_000;

/// `PUT /v1/clips/{id}/tags`. An empty note takes it away.
pub(crate) async fn tags(
    State(app): State<App>,
    Extension(access): Extension<Access>,
    Path(id): Path<String>,
    Json(body): Json<TagsBody>,
) -> Result<Response, Fault> {
    super::may_write(access)?;
    let all = body.add.iter().chain(&body.remove).chain(&body.note);
    if let Some(long) = all.clone().find(|text| text.chars().count() > LONGEST) {
        let length = long.chars().count();
        return Err(Fault::bad(format!(
            "{length} characters where {LONGEST} are the most"
        )));
    }
    if body.add.iter().any(|tag| tag.trim().is_empty()) {
        return Err(Fault::bad("add: an empty tag"));
    }
    let shelf = app.shelf()?;
    let entry = shelf.entry(&id).await?;
    let edit = Edit {
        add_tags: body.add.iter().map(|tag| tag.trim().to_owned()).collect(),
        remove_tags: body.remove,
        note: body
            .note
            .map(|note| (!note.trim().is_empty()).then_some(note)),
        ..Edit::default()
    };
    let file = entry.id;
    shelf
        .run(false, move |index| index.edit(file, &edit))
        .await?;
    let entry = shelf.entry(&id).await?;
    let value = Facts::of_entry(&entry).json();
    let (tags, own) = (&value["tags"], &value["own_tags"]);
    Ok(JsonAnswer(json!({"tags": tags, "own_tags": own, "note": entry.note})).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AudioQuery {
    #[serde(default)]
    download: u8,
}

/// `GET /audio/{id}`: the file as it is, whole or one range of it.
pub(crate) async fn audio(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Result<Query<AudioQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let Query(query) = query.map_err(|error| Fault::bad(error.body_text()))?;
    let shelf = app.shelf()?;
    let entry = shelf.entry(&id).await?;
    let Opened { file, metadata, .. } = shelf.file(&entry.path).await?;
    let length = metadata.len();
    let modified = metadata.modified().ok();
    let stamp = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let tag = format!(
        "\"{:x}-{:x}\"",
        length,
        stamp.map_or(0, |stamp| stamp.as_nanos())
    );
    let get = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let same = |tags: &str| {
        tags.split(',')
            .any(|one| one.trim() == tag || one.trim() == "*")
    };
    let mut answer = Response::new(Body::empty());
    let set = |answer: &mut Response, name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    };
    set(&mut answer, header::ETAG, &tag);
    set(&mut answer, header::CACHE_CONTROL, "private, no-cache");
    if get(header::IF_NONE_MATCH).is_some_and(same) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(answer);
    }
    set(&mut answer, header::ACCEPT_RANGES, "bytes");
    set(
        &mut answer,
        header::CONTENT_TYPE,
        media_type(entry.sound.container.as_deref()),
    );
    set(
        &mut answer,
        header::CONTENT_DISPOSITION,
        &disposition(&entry.path, query.download > 0),
    );
    // A range of an older file would not fit to what the caller has.
    let range = get(header::RANGE).filter(|_| get(header::IF_RANGE).is_none_or(|mine| mine == tag));
    let (from, to) = match range.map(parse_range_header) {
        None | Some(Err(_)) => (0, length),
        Some(Ok(ranges)) => match ranges.validate(length) {
            // Of several, the whole is an answer too.
            Ok(ranges) if ranges.len() > 1 => (0, length),
            Ok(ranges) => match ranges.first() {
                Some(range) => {
                    let (first, last) = (*range.start(), *range.end());
                    *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
                    let told = format!("bytes {first}-{last}/{length}");
                    set(&mut answer, header::CONTENT_RANGE, &told);
                    (first, last + 1)
                }
                None => (0, length),
            },
            Err(_) => {
                let mut fault =
                    Fault::new(Kind::Range, "the range is outside of the file").into_response();
                set(
                    &mut fault,
                    header::CONTENT_RANGE,
                    &format!("bytes */{length}"),
                );
                return Ok(fault);
            }
        },
    };
    set(
        &mut answer,
        header::CONTENT_LENGTH,
        &(to - from).to_string(),
    );
    let mut file = tokio::fs::File::from_std(file);
    let sought = file.seek(std::io::SeekFrom::Start(from)).await;
    sought.map_err(|_| Fault::not_found("the file cannot be read"))?;
    let chunks =
        futures_util::stream::try_unfold((file, to - from), |(mut file, left)| async move {
            if left == 0 {
                return Ok::<_, std::io::Error>(None);
            }
            let mut chunk = vec![0; usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
            let read = file.read(&mut chunk).await?;
            if read == 0 {
                // It has shrunk meanwhile: the connection breaks off, since the length was promised.
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            chunk.truncate(read);
            Ok(Some((chunk, (file, left - read as u64))))
        });
    *answer.body_mut() = Body::from_stream(chunks);
    Ok(answer)
}

/// A type that begins with audio/, whatever the file's name says: nothing of it is run.
fn media_type(container: Option<&str>) -> &'static str {
    match container.unwrap_or("") {
        "wav" | "wave" | "rf64" => "audio/wav",
        "aiff" => "audio/aiff",
        "flac" => "audio/flac",
        "mp3" | "mp2" | "mp1" | "mpa" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "mp4" | "m4a" | "isomp4" => "audio/mp4",
        "aac" | "adts" => "audio/aac",
        "mkv" | "webm" | "matroska" => "audio/webm",
        "caf" => "audio/x-caf",
        "au" => "audio/basic",
        _ => "audio/x-unknown",
    }
}

/// The file's name, in the form for any characters (RFC 6266).
pub(crate) fn disposition(path: &std::path::Path, is_download: bool) -> String {
    let kind = if is_download { "attachment" } else { "inline" };
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let encoded: String = (name.bytes())
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    format!("{kind}; filename*=UTF-8''{encoded}")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaveformQuery {
    points: Option<usize>,
}

/// `GET /waveform/{id}`.
pub(crate) async fn waveform(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Result<Query<WaveformQuery>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(query) = query.map_err(|error| Fault::bad(error.body_text()))?;
    let points = query.points.unwrap_or(1_000);
    let most = crate::shelf::FINEST;
    if !(1..=most).contains(&points) {
        return Err(Fault::bad(format!("points: {points} is not in 1..={most}")));
    }
    let (entry, path) = drawable(&app, &id).await?;
    let shelf = app.shelf()?;
    let value = shelf
        .pictures
        .waveform(&entry, path, &app.ears, points)
        .await?;
    Ok(kept(JsonAnswer(value).into_response()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpectrogramQuery {
    width: Option<usize>,
}

/// `GET /spectrogram/{id}`, with or without `.webp`.
pub(crate) async fn spectrogram(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Result<Query<SpectrogramQuery>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(query) = query.map_err(|error| Fault::bad(error.body_text()))?;
    let width = query.width.unwrap_or(1_000);
    let most = crate::shelf::WIDEST;
    if !(1..=most).contains(&width) {
        return Err(Fault::bad(format!("width: {width} is not in 1..={most}")));
    }
    let id = id.strip_suffix(".webp").unwrap_or(&id);
    let (entry, path) = drawable(&app, id).await?;
    let shelf = app.shelf()?;
    let bytes = shelf
        .pictures
        .spectrogram(&entry, path, &app.ears, width)
        .await?;
    Ok(kept(
        ([(header::CONTENT_TYPE, "image/webp")], bytes).into_response(),
    ))
}

/// A sound that can be drawn, and where it really is.
async fn drawable(app: &App, id: &str) -> Result<(FileEntry, PathBuf), Fault> {
    let shelf = app.shelf()?;
    let entry = shelf.entry(id).await?;
    if let Some(failure) = &entry.failure {
        return Err(Fault::unprocessable(format!(
            "the sound cannot be decoded: {failure}"
        )));
    }
    let path = shelf.file(&entry.path).await?.path;
    Ok((entry, path))
}

/// A picture stays what it is while its sound does, and ids are not used again.
fn kept(mut answer: Response) -> Response {
    let value = HeaderValue::from_static("private, max-age=3600");
    answer.headers_mut().insert(header::CACHE_CONTROL, value);
    answer
}
