//! Clips with sentences: AudioCaps, Clotho, Auto-ACD, VALOR-32K, SoundDescs.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::table::{Places, Table};
use super::{Benchmark, Clip, Kind, Task, Text, json, stem, without_extension};
use crate::error::{EvalError, Place};

/// What one row says.
struct Said {
    clip: Clip,
    captions: Vec<(Option<String>, String)>,
}

pub(super) fn read(benchmark: Benchmark, path: &Path) -> Result<Task, EvalError> {
    let is_json = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("json"));
    let rows = if is_json {
        of_json(benchmark, path)?
    } else {
        of_csv(benchmark, path)?
    };
    let mut task = Task::empty(Kind::Captions, path);
    let mut places = Places::default();
    for (line, row) in rows {
        let said = match row {
            Ok(said) => said,
            Err(what) => {
                task.leave_out(line, what);
                continue;
            }
        };
        let (clip, is_new) = places.of(&said.clip.id);
        if is_new {
            task.clips.push(said.clip);
        } else if !merges(benchmark, path) {
            task.leave_out(line, format!("clip `{}` comes a second time", said.clip.id));
            continue;
        }
        for (id, text) in said.captions {
            if text.trim().is_empty() {
                task.leave_out(
                    line,
                    format!("clip `{}` has an empty caption", task.clips[clip].id),
                );
                continue;
            }
            task.texts.push(Text {
                id,
                text,
                clips: vec![clip],
            });
        }
    }
    drop_silent(&mut task);
    Ok(task)
}

/// Whether the file has a row for each caption, so that clips come several times.
fn merges(benchmark: Benchmark, path: &Path) -> bool {
    let is_csv = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("csv"));
    is_csv && matches!(benchmark, Benchmark::AudioCaps)
}

/// Clips all of whose captions were broken.
fn drop_silent(task: &mut Task) {
    let mut has_text = vec![false; task.clips.len()];
    for text in &task.texts {
        for clip in &text.clips {
            has_text[*clip] = true;
        }
    }
    if has_text.contains(&false) {
        let whole = std::mem::replace(task, Task::empty(task.kind, &task.annotations.clone()));
        *task = whole.restricted(&has_text);
    }
}

type Rows = Vec<(usize, Result<Said, String>)>;

fn of_json(benchmark: Benchmark, path: &Path) -> Result<Rows, EvalError> {
    let rows = json::records(path)?.into_iter().map(|(line, record)| {
        let id = ["video_id", "image_id", "image", "id", "audio_id"]
            .iter()
            .find_map(|key| record[*key].as_str());
        let Some(id) = id else {
            return (
                line,
                Err("has no id: video_id, image_id, image, id or audio_id".to_owned()),
            );
        };
        // WavCaps writes Clotho's Freesound number under `id`, and the file's name under `wav`.
        let id = match (benchmark, record["wav"].as_str()) {
            (Benchmark::Clotho, Some(wav)) => wav.rsplit('/').next().unwrap_or(wav),
            _ => id,
        };
        let captions: Result<Vec<String>, String> = match (&record["desc"], &record["caption"]) {
            (Value::String(one), _) | (_, Value::String(one)) => Ok(vec![one.clone()]),
            (Value::Array(list), _) | (_, Value::Array(list)) => list
                .iter()
                .map(|text| {
                    text.as_str()
                        .map(str::to_owned)
                        .ok_or(format!("has the caption {text}"))
                })
                .collect(),
            _ => Ok((1..)
                .map_while(|n| record[format!("caption_{n}")].as_str().map(str::to_owned))
                .collect()),
        };
        let said = captions.and_then(|captions| {
            if captions.is_empty() {
                return Err(format!("clip `{id}` has no caption"));
            }
            let captions = captions.into_iter().map(|text| (None, text)).collect();
            Ok(Said {
                clip: clip(benchmark, id, None)?,
                captions,
            })
        });
        (line, said)
    });
    Ok(rows.collect())
}

fn of_csv(benchmark: Benchmark, path: &Path) -> Result<Rows, EvalError> {
    let table = Table::read(path)?;
    let numbered = table.numbered("caption_");
    if benchmark == Benchmark::AudioCaps && numbered.is_empty() {
        let video = table.needed(path, &["youtube_id"])?;
        let start = table.needed(path, &["start_time"])?;
        let caption = table.needed(path, &["caption"])?;
        let own = table.column(&["audiocap_id"]);
        let rows = table.rows().into_iter().map(|row| {
            let said = row.fields.and_then(|fields| {
                let start: f64 = (fields[start].trim().parse())
                    .map_err(|_| format!("start_time is `{}`, not seconds", fields[start]))?;
                let captions = vec![(own.map(|own| fields[own].clone()), fields[caption].clone())];
                Ok(Said {
                    clip: clip(benchmark, &fields[video], Some(start))?,
                    captions,
                })
            });
            (row.line, said)
        });
        return Ok(rows.collect());
    }
    let name = table.needed(path, &["file_name"])?;
    let captions = if numbered.is_empty() {
        vec![table.needed(path, &["caption", "caption_1"])?]
    } else {
        numbered
    };
    let rows = table.rows().into_iter().map(|row| {
        let said = row.fields.and_then(|fields| {
            let captions = captions
                .iter()
                .map(|at| (None, fields[*at].clone()))
                .collect();
            Ok(Said {
                clip: clip(benchmark, &fields[name], None)?,
                captions,
            })
        });
        (row.line, said)
    });
    Ok(rows.collect())
}

/// The clip of an id as the file spells it.
fn clip(benchmark: Benchmark, id: &str, start: Option<f64>) -> Result<Clip, String> {
    let id = id.trim();
    if id.is_empty() {
        return Err("has an empty id".into());
    }
    let plain = without_extension(id);
    Ok(match benchmark {
        Benchmark::AudioCaps => audiocaps(plain, start)?,
        // A path such as `VGGSound/audio/NAME.flac`, or the name alone.
        Benchmark::AutoAcd => Clip::with_names(vec![plain.to_owned(), stem(id).to_owned()]),
        Benchmark::Valor => valor(plain),
        _ => Clip::called(plain),
    })
}

/// A YouTube id has 11 characters, `_` and `-` among them. The file may be called by it, with `Y` before it (WavCaps) or
/// with its start in seconds behind it (AuroLA), in whole seconds or milliseconds (AudioSet).
fn audiocaps(plain: &str, start: Option<f64>) -> Result<Clip, String> {
    let wrong = || {
        format!(
            "`{plain}` is no id of AudioCaps: a YouTube id of 11 characters, `Y` before it or `_START` behind"
        )
    };
    let split = |at: usize| plain.is_char_boundary(at).then(|| plain.split_at(at));
    let (video, start) = match (start, plain.len()) {
        (_, 11) => (plain, start),
        (None, 12) if plain.starts_with('Y') => (&plain[1..], None),
        (None, 13..) => {
            let (video, rest) = split(11).ok_or_else(wrong)?;
            let seconds = rest
                .strip_prefix('_')
                .and_then(|s| s.parse().ok())
                .ok_or_else(wrong)?;
            (video, Some(seconds))
        }
        _ => return Err(wrong()),
    };
    let mut names = Vec::new();
    if let Some(start) = start {
        names.push(format!("{video}_{start}"));
        names.push(format!("Y{video}_{start}"));
        names.push(format!(
            "{video}_{}_{}",
            start * 1000.0,
            (start + 10.0) * 1000.0
        ));
        names.push(format!("Y{video}_{:.3}_{:.3}", start, start + 10.0));
    }
    names.push(format!("Y{video}"));
    names.push(video.to_owned());
    Ok(Clip {
        names,
        ..Clip::called(video)
    })
}

/// `VIDEO_20.000_30.000`, whose file may say `VIDEO_20_30` or `VIDEO` alone.
fn valor(plain: &str) -> Clip {
    let mut names = vec![plain.to_owned()];
    let mut parts = plain.rsplitn(3, '_');
    if let (Some(end), Some(start), Some(video)) = (parts.next(), parts.next(), parts.next())
        && let (Ok(start), Ok(end)) = (start.parse::<f64>(), end.parse::<f64>())
    {
        names.push(format!("{video}_{start}_{end}"));
        names.push(video.to_owned());
    }
    Clip::with_names(names)
}

/// A folder with `test_list.txt` (ids, one a line) and the descriptions: `descriptions.csv` with the columns `id` and
/// `description`, or `descriptions.json`, an object from id to description. The authors publish descriptions as a Python
/// pickle, which is a program and is not run here.
pub(super) fn sounddescs(folder: &Path) -> Result<Task, EvalError> {
    let list = if folder.is_dir() {
        folder.join("test_list.txt")
    } else {
        folder.to_path_buf()
    };
    let beside = list.parent().unwrap_or(Path::new("."));
    let ids = fs::read_to_string(&list).map_err(EvalError::reading(&list))?;
    let mut task = Task::empty(Kind::Captions, &list);
    let mut places = Places::default();
    let mut lines = Vec::new();
    for (line, id) in (1..).zip(ids.lines()) {
        let id = id.trim();
        if id.is_empty() {
            task.leave_out(line, "is empty");
        } else if !places.of(id).1 {
            task.leave_out(line, format!("clip `{id}` comes a second time"));
        } else {
            lines.push(line);
            task.clips.push(Clip::called(id));
        }
    }
    let descriptions = descriptions(beside)?;
    for (clip, line) in lines.into_iter().enumerate() {
        match descriptions
            .get(&task.clips[clip].id)
            .filter(|text| !text.trim().is_empty())
        {
            Some(text) => task.texts.push(Text {
                id: None,
                text: text.clone(),
                clips: vec![clip],
            }),
            None => task.leave_out(
                line,
                format!("clip `{}` has no description", task.clips[clip].id),
            ),
        }
    }
    drop_silent(&mut task);
    Ok(task)
}

fn descriptions(folder: &Path) -> Result<HashMap<String, String>, EvalError> {
    let (csv, json) = (
        folder.join("descriptions.csv"),
        folder.join("descriptions.json"),
    );
    if csv.exists() {
        let table = Table::read(&csv)?;
        let (id, text) = (
            table.needed(&csv, &["id"])?,
            table.needed(&csv, &["description"])?,
        );
        let rows = table.rows().into_iter().filter_map(|row| row.fields.ok());
        return Ok(rows
            .map(|mut f| (f[id].clone(), std::mem::take(&mut f[text])))
            .collect());
    }
    if json.exists() {
        let bytes = fs::read(&json).map_err(EvalError::reading(&json))?;
        return serde_json::from_slice(&bytes).map_err(|error| {
            let what = format!("is no object from id to description ({error})");
            EvalError::input(
                &json,
                Place::Line(error.line()),
                what,
                "write it with json.dump",
            )
        });
    }
    Err(EvalError::input(
        folder,
        Place::Whole,
        "holds neither descriptions.csv nor descriptions.json",
        "the authors publish a pickle: in Python, json.dump(pickle.load(open(FILE, 'rb')), open('descriptions.json', 'w'))",
    ))
}
