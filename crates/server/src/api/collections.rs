//! Collections, and sounds as something to take away: CSV, M3U8, JSON, and a zip with attributions.

use std::io::{Seek, SeekFrom, Write};

use aurola::FileEntry;
use axum::Extension;
use axum::Json as JsonAnswer;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use zip::write::SimpleFileOptions;

use super::clips::{Facts, disposition};
use crate::App;
use crate::fault::{Fault, Kind};
use crate::settings::Access;
use crate::shelf::{Clip, Opened};
use crate::web::body::Json;

/// Bytes of the sounds of a zip.
const ZIP_BYTES: u64 = 4 << 30;

/// Sounds of an export.
const EXPORTED: usize = 10_000;

/// `GET /v1/collections`.
pub(crate) async fn list(State(app): State<App>) -> Result<Response, Fault> {
    let all = app.shelf()?.collections.all()?;
    let list: Vec<Value> = (all.iter())
        .map(|(name, one)| json!({"name": name, "title": one.title, "count": one.clips.len()}))
        .collect();
    Ok(JsonAnswer(json!({ "collections": list })).into_response())
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PutBody {
    title: Option<String>,
}

/// `PUT /v1/collections/{name}`.
pub(crate) async fn put(
    State(app): State<App>,
    Extension(access): Extension<Access>,
    Path(name): Path<String>,
    Json(body): Json<PutBody>,
) -> Result<Response, Fault> {
    super::may_write(access)?;
    if body
        .title
        .as_ref()
        .is_some_and(|title| title.chars().count() > 200)
    {
        return Err(Fault::bad("title: more than 200 characters"));
    }
    let shelf = app.shelf()?;
    let is_new = shelf.collections.put(&name, body.title)?;
    let one = shelf.collections.get(&name)?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let value = json!({"name": name, "title": one.title, "count": one.clips.len()});
    Ok((status, JsonAnswer(value)).into_response())
}

/// `DELETE /v1/collections/{name}`.
pub(crate) async fn delete(
    State(app): State<App>,
    Extension(access): Extension<Access>,
    Path(name): Path<String>,
) -> Result<StatusCode, Fault> {
    super::may_write(access)?;
    app.shelf()?.collections.delete(&name)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/collections/{name}`.
pub(crate) async fn get(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    let one = app.shelf()?.collections.get(&name)?;
    let ids: Vec<String> = one.clips.into_iter().map(|clip| clip.id).collect();
    let (entries, gone) = entries(&app, &ids).await?;
    let clips: Vec<Value> = entries
        .iter()
        .map(|entry| Facts::of_entry(entry).json())
        .collect();
    let value = json!({"name": name, "title": one.title, "clips": clips, "gone": gone});
    Ok(JsonAnswer(value).into_response())
}

/// `PUT /v1/collections/{name}/clips/{id}`.
pub(crate) async fn add(
    State(app): State<App>,
    Extension(access): Extension<Access>,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    super::may_write(access)?;
    let shelf = app.shelf()?;
    let entry = shelf.entry(&id).await?;
    let path = entry.path.to_string_lossy().into_owned();
    shelf.collections.add(&name, Clip { id, path })?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /v1/collections/{name}/clips/{id}`.
pub(crate) async fn remove(
    State(app): State<App>,
    Extension(access): Extension<Access>,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    super::may_write(access)?;
    app.shelf()?.collections.remove(&name, &id)?;
    Ok(StatusCode::NO_CONTENT)
}

/// In which form sounds are taken away.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Csv,
    M3u8,
    Json,
    Zip,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportQuery {
    format: Form,
}

/// `GET /v1/collections/{name}/export?format=csv|m3u8|json|zip`.
pub(crate) async fn export(
    State(app): State<App>,
    Path(name): Path<String>,
    query: Result<Query<ExportQuery>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(query) = query.map_err(|error| Fault::bad(error.body_text()))?;
    let one = app.shelf()?.collections.get(&name)?;
    let ids: Vec<String> = one.clips.into_iter().map(|clip| clip.id).collect();
    exported(&app, &ids, query.format, &name).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportBody {
    ids: Vec<String>,
    format: Form,
    name: Option<String>,
}

/// `POST /v1/export`: the same for sounds that are in no collection.
pub(crate) async fn export_some(
    State(app): State<App>,
    Json(body): Json<ExportBody>,
) -> Result<Response, Fault> {
    let name = body.name.unwrap_or_else(|| "sounds".into());
    exported(&app, &body.ids, body.format, &name).await
}

/// Entries of what is still there, and the ids of what is not.
async fn entries(app: &App, ids: &[String]) -> Result<(Vec<FileEntry>, Vec<String>), Fault> {
    if ids.len() > EXPORTED {
        return Err(Fault::bad(format!(
            "{} sounds where {EXPORTED} are the most",
            ids.len()
        )));
    }
    let shelf = app.shelf()?;
    let (mut entries, mut gone) = (Vec::with_capacity(ids.len()), Vec::new());
    for id in ids {
        match shelf.entry(id).await {
            Ok(entry) => entries.push(entry),
            Err(fault) if fault.kind() == Kind::NotFound => gone.push(id.clone()),
            Err(fault) => return Err(fault),
        }
    }
    Ok((entries, gone))
}

async fn exported(app: &App, ids: &[String], form: Form, name: &str) -> Result<Response, Fault> {
    let (entries, gone) = entries(app, ids).await?;
    if entries.is_empty() {
        return Err(Fault::not_found("none of these sounds is in the index"));
    }
    let (kind, ending, body) = match form {
        Form::Csv => ("text/csv; charset=utf-8", "csv", Body::from(csv(&entries)?)),
        Form::M3u8 => (
            "application/vnd.apple.mpegurl",
            "m3u8",
            Body::from(m3u8(&entries)),
        ),
        Form::Json => {
            let clips: Vec<Value> = entries
                .iter()
                .map(|entry| Facts::of_entry(entry).json())
                .collect();
            let value = json!({"name": name, "clips": clips, "gone": gone});
            ("application/json", "json", Body::from(value.to_string()))
        }
        Form::Zip => ("application/zip", "zip", zipped(app, entries).await?),
    };
    let mut answer = Response::new(body);
    let file = format!("{name}.{ending}");
    let as_file = disposition(std::path::Path::new(&file), true);
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, as_file.as_str()),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    }
    Ok(answer)
}

fn csv(entries: &[FileEntry]) -> Result<Vec<u8>, Fault> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let columns = [
        "id",
        "path",
        "name",
        "duration",
        "format",
        "sample_rate",
        "channels",
        "title",
        "artist",
        "license",
        "description",
        "tags",
    ];
    let mut rows = vec![columns.map(str::to_owned).to_vec()];
    for entry in entries {
        let facts = Facts::of_entry(entry).json();
        let row = columns.map(|column| match &facts[column] {
            Value::String(text) => not_a_formula(text),
            Value::Null => String::new(),
            Value::Array(list) => {
                let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
                not_a_formula(&words.join("; "))
            }
            other => other.to_string(),
        });
        rows.push(row.to_vec());
    }
    let written = rows.iter().try_for_each(|row| table.write_record(row));
    let bytes = written
        .map_err(|error| error.to_string())
        .and_then(|()| table.into_inner().map_err(|error| error.to_string()));
    bytes.map_err(|error| {
        tracing::error!(error, "a table could not be written");
        Fault::new(Kind::Internal, "the table could not be written")
    })
}

/// A spreadsheet would compute what begins like this, and a tag is a stranger's.
fn not_a_formula(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

fn m3u8(entries: &[FileEntry]) -> String {
    let plain = |text: &str| text.replace(['\r', '\n'], " ");
    let mut list = String::from("#EXTM3U\n");
    for entry in entries {
        let length = entry.duration_s.map_or(-1, |s| s.round() as i64);
        let name = entry
            .path
            .file_stem()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        let path = entry.path.to_string_lossy();
        list.push_str(&format!(
            "#EXTINF:{length},{}\n{}\n",
            plain(&name),
            plain(&path)
        ));
    }
    list
}

/// A zip with the sounds, whose they are, and the table; made in a file that is gone when it is sent.
async fn zipped(app: &App, entries: Vec<FileEntry>) -> Result<Body, Fault> {
    let all: u64 = entries.iter().map(|entry| entry.size).sum();
    if all > ZIP_BYTES {
        let message = format!("{all} bytes of sounds where {ZIP_BYTES} are the most");
        return Err(Fault::new(Kind::TooLarge, message).help("take them in parts, or as a list"));
    }
    let shelf = app.shelf()?;
    let mut files = Vec::with_capacity(entries.len());
    for entry in entries {
        // One that is away is told in the attributions.
        let opened = shelf.file(&entry.path).await;
        files.push((entry, opened));
    }
    let table = csv(&files
        .iter()
        .map(|(entry, _)| entry.clone())
        .collect::<Vec<_>>())?;
    let made = tokio::task::spawn_blocking(move || zip_file(files, &table));
    let file = made.await.unwrap_or_else(|_| Err(Fault::stopping()))?;
    let file = tokio::fs::File::from_std(file);
    let chunks = futures_util::stream::try_unfold(file, |mut file| async move {
        let mut chunk = vec![0; 64 * 1024];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then_some((chunk, file)))
    });
    Ok(Body::from_stream(chunks))
}

fn zip_file(
    files: Vec<(FileEntry, Result<Opened, Fault>)>,
    table: &[u8],
) -> Result<std::fs::File, Fault> {
    let cannot = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "a zip could not be written");
        Fault::new(Kind::Unavailable, "there is no room for the zip just now")
    };
    let file = tempfile::tempfile().map_err(|error| cannot(&error))?;
    let mut zip = zip::ZipWriter::new(file);
    // Sounds hardly get smaller, so nothing is compressed.
    let stored = SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .large_file(true);
    let mut attribution = String::new();
    let mut names: std::collections::HashMap<String, usize> = Default::default();
    for (entry, opened) in files {
        let name = entry
            .path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let mut name = name
            .unwrap_or_else(|| entry.id.to_string())
            .replace(['/', '\\', ':'], "_");
        let seen = names.entry(name.to_lowercase()).or_default();
        *seen += 1;
        if *seen > 1 {
            name = format!("{}-{name}", entry.id);
        }
        let facts = Facts::of_entry(&entry).json();
        let said = |key: &str| {
            facts[key]
                .as_str()
                .unwrap_or("unknown")
                .replace(['\r', '\n'], " ")
        };
        let mut line = format!(
            "{name}\n  title: {}\n  artist: {}\n  license: {}\n  from: {}\n",
            said("title"),
            said("artist"),
            said("license"),
            said("path"),
        );
        match opened {
            Ok(mut opened) => {
                zip.start_file(&name, stored)
                    .map_err(|error| cannot(&error))?;
                std::io::copy(&mut opened.file, &mut zip).map_err(|error| cannot(&error))?;
            }
            Err(fault) => line.push_str(&format!("  not in this archive: {}\n", fault.message())),
        }
        attribution.push_str(&line);
    }
    for (name, bytes) in [
        ("ATTRIBUTION.txt", attribution.as_bytes()),
        ("collection.csv", table),
    ] {
        zip.start_file(name, stored)
            .map_err(|error| cannot(&error))?;
        zip.write_all(bytes).map_err(|error| cannot(&error))?;
    }
    let mut file = zip.finish().map_err(|error| cannot(&error))?;
    file.seek(SeekFrom::Start(0))
        .map_err(|error| cannot(&error))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_no_formula() {
        assert_eq!(not_a_formula("=HYPERLINK(\"x\")"), "'=HYPERLINK(\"x\")");
        assert_eq!(not_a_formula("rain"), "rain");
    }
}
