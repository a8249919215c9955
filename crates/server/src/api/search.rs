//! `POST /v1/search` and its kin. Wire types live here; the engine has never heard of HTTP.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aurola::{
    Filter, GroupBy, Mode, Part, Rerank, SearchAnswer, SearchHit, SearchRequest, Sort, TagFilter,
    What,
};
use aurola_retrieval::Embedding;
use axum::Json as JsonAnswer;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::clips::{Facts, moments};
use crate::App;
use crate::fault::Fault;
use crate::inputs::TooLong;
use crate::item::{Item, Sound};
use crate::model::with_texts;
use crate::shelf::{Shelf, file_id};
use crate::web::body::Sounds;

/// Hits of one answer.
const MOST: usize = 1_000;

/// The furthest offset.
const FURTHEST: usize = 10_000;

/// Texts, sounds and vectors of one question.
const PARTS: usize = 64;

/// Hits that are judged anew.
const JUDGED: usize = 200;

/// What is asked. A member we do not know is an error, since it would change what is found.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SearchBody {
    query: Option<String>,
    like: Option<OneOrMany>,
    not: Option<OneOrMany>,
    weights: Weights,
    mode: Option<String>,
    filter: FilterBody,
    sort: Option<String>,
    group_by: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
    min_relevance: Option<Value>,
    rerank: usize,
    rerank_ms: Option<u64>,
    explain: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Value>),
    One(Value),
}

impl OneOrMany {
    fn list(this: Option<Self>) -> Vec<Value> {
        match this {
            None => Vec::new(),
            Some(Self::Many(list)) => list,
            Some(Self::One(one)) => vec![one],
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Weights {
    query: Option<f32>,
    like: Option<f32>,
    not: Option<f32>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct FilterBody {
    path: Vec<String>,
    path_has: Option<String>,
    ext: Vec<String>,
    duration: Between<f64>,
    sample_rate: Between<u32>,
    channels: Between<u32>,
    tags: Vec<String>,
    license: Vec<String>,
    modified: Times,
    ids: Option<Vec<String>>,
    collection: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Between<T> {
    min: Option<T>,
    max: Option<T>,
}

impl<T> Default for Between<T> {
    fn default() -> Self {
        Self {
            min: None,
            max: None,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Times {
    since: Option<String>,
    until: Option<String>,
}

/// A part of a question: a vector, or something whose vector the index knows or makes.
enum Piece {
    Ready(What),
    /// To be embedded with the others first.
    Text(String),
    Sound(Item),
}

/// `POST /v1/search`.
pub(crate) async fn search(
    State(app): State<App>,
    Sounds { body, held }: Sounds<SearchBody>,
) -> Result<Response, Fault> {
    let answer = answer(&app, body, None).await?;
    drop(held);
    Ok(JsonAnswer(answer).into_response())
}

/// The simplest of them, `GET /v1/search?q=WORDS`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimpleQuery {
    q: String,
    limit: Option<usize>,
    offset: Option<usize>,
}

pub(crate) async fn simple(
    State(app): State<App>,
    query: Result<Query<SimpleQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Fault> {
    let Query(SimpleQuery { q, limit, offset }) =
        query.map_err(|error| Fault::bad(error.body_text()))?;
    let body = SearchBody {
        query: Some(q),
        limit,
        offset,
        ..SearchBody::default()
    };
    Ok(JsonAnswer(answer(&app, body, None).await?).into_response())
}

/// Sounds like one of the index, without itself.
pub(crate) async fn similar(app: &App, id: &str, limit: Option<usize>) -> Result<Value, Fault> {
    let body = SearchBody {
        like: Some(OneOrMany::One(json!({ "id": id }))),
        limit,
        ..SearchBody::default()
    };
    answer(app, body, Some(id)).await
}

/// Relevance over time within one sound of the index.
pub(crate) async fn why(app: &App, id: &str, mut body: SearchBody) -> Result<Value, Fault> {
    body.explain = true;
    body.filter.ids = Some(vec![id.to_owned()]);
    body.limit = Some(1);
    body.mode.get_or_insert_with(|| "meaning".into());
    let found = find(app, body, None).await?;
    let hit = found.answer.hits.first();
    let hit = hit.ok_or_else(|| Fault::not_found(format!("{id} has no vectors to tell by")))?;
    Ok(json!({"id": id, "heat": moments(&hit.heat), "spans": moments(&hit.spans)}))
}

/// What to look for, from words alone.
pub(crate) fn words(query: String) -> SearchBody {
    SearchBody {
        query: Some(query),
        ..SearchBody::default()
    }
}

struct Found {
    answer: SearchAnswer,
    offset: usize,
    notes: Vec<&'static str>,
    embed: Duration,
    began: Instant,
}

/// The whole answer. `without`: a sound that is not to be in it.
async fn answer(app: &App, body: SearchBody, without: Option<&str>) -> Result<Value, Fault> {
    let shelf = app.shelf()?;
    let folder_groups = body.group_by.as_deref() == Some("folder");
    let Found {
        answer,
        offset,
        notes,
        embed,
        began,
    } = find(app, body, without).await?;
    let results: Vec<Value> = (answer.hits.iter())
        .map(|hit| result(hit, folder_groups))
        .collect();
    let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let timing = answer.timing;
    let skipped: Vec<Value> = (answer.skipped.iter())
        .map(|skipped| json!({"path": skipped.path.to_string_lossy(), "reason": skipped.reason}))
        .collect();
    Ok(json!({
        "count": results.len(),
        "next": answer.more.then_some(offset + results.len()),
        "searched": answer.searched,
        "results": results,
        "skipped": skipped,
        "notes": notes,
        "index": answer.space.map(|space| json!({
            "fingerprint": space.fingerprint,
            "model": space.model,
            "window": space.window,
            "dim": space.dim,
            "indexing": shelf.jobs.is_busy(),
        })),
        "timing": {
            "embed_ms": ms(embed + timing.embed),
            "search_ms": ms(timing.search),
            "rerank_ms": ms(timing.rerank),
            "total_ms": ms(began.elapsed()),
        },
    }))
}

async fn find(app: &App, body: SearchBody, without: Option<&str>) -> Result<Found, Fault> {
    let began = Instant::now();
    let shelf = app.shelf()?;
    let place = app.queue.enter()?;
    let notes = notes(&body);
    let weights = [body.weights.query, body.weights.like, body.weights.not];
    for (name, weight) in ["query", "like", "not"].into_iter().zip(weights) {
        if weight.is_some_and(|weight| !(weight.is_finite() && weight > 0.0)) {
            return Err(Fault::bad(format!("weights.{name}: not a number above 0")));
        }
    }
    let mode = mode(body.mode.as_deref())?;
    let mut pieces: Vec<(Piece, f32, bool)> = Vec::new();
    if let Some(query) = body.query.filter(|query| !query.trim().is_empty()) {
        pieces.push((Piece::Text(query), weights[0].unwrap_or(1.0), true));
    }
    for (n, value) in OneOrMany::list(body.like).into_iter().enumerate() {
        let (piece, weight) = piece(shelf, value, &format!("like[{n}]")).await?;
        pieces.push((piece, weight.or(weights[1]).unwrap_or(1.0), true));
    }
    for (n, value) in OneOrMany::list(body.not).into_iter().enumerate() {
        let (piece, weight) = piece(shelf, value, &format!("not[{n}]")).await?;
        let weight = weight.or(weights[2]).unwrap_or(SearchRequest::NOT_WEIGHT);
        pieces.push((piece, weight, false));
    }
    if pieces.len() > PARTS {
        return Err(Fault::bad(format!(
            "{} parts where {PARTS} are the most",
            pieces.len()
        )));
    }
    let limit = bounded("limit", body.limit.unwrap_or(20), 1, MOST)?;
    let offset = bounded("offset", body.offset.unwrap_or(0), 0, FURTHEST)?;
    let judged = bounded("rerank", body.rerank, 0, JUDGED)?;
    let mut request = SearchRequest {
        mode,
        filter: filter(shelf, body.filter)?,
        sort: sort(body.sort.as_deref())?,
        group_by: group_by(body.group_by.as_deref())?,
        // One more, for the one that will not be in it.
        limit: limit + usize::from(without.is_some()),
        offset,
        min_relevance: min_relevance(body.min_relevance)?,
        rerank: (judged > 0).then(|| Rerank {
            budget: body.rerank_ms.map(Duration::from_millis),
            ..Rerank::first(judged)
        }),
        explain: body.explain,
        ..SearchRequest::browse(limit)
    };
    let (texts, embed) = embed(app, &mut request, pieces, mode != Mode::Words).await?;
    let search_began = Instant::now();
    let mut answer = shelf
        .run(judged > 0, move |index| {
            with_texts(texts, || index.search(&request))
        })
        .await?;
    drop(place);
    app.metrics
        .searched(search_began.elapsed().saturating_sub(answer.timing.rerank));
    if let Some(without) = without {
        answer.hits.retain(|hit| hit.id.to_string() != without);
        answer.more |= answer.hits.len() > limit;
        answer.hits.truncate(limit);
    }
    Ok(Found {
        answer,
        offset,
        notes,
        embed,
        began,
    })
}

/// Embeds what must be, all together, and puts the parts into the request. Texts that are wanted stay
/// texts, since their words rank as well; their vectors are given along.
async fn embed(
    app: &App,
    request: &mut SearchRequest,
    pieces: Vec<(Piece, f32, bool)>,
    by_meaning: bool,
) -> Result<(HashMap<String, Embedding>, Duration), Fault> {
    let items: Vec<Item> = (pieces.iter())
        .filter_map(|(piece, ..)| match piece {
            Piece::Text(text) => Some(Item::words(text.clone())),
            Piece::Sound(item) => Some(item.clone()),
            Piece::Ready(_) => None,
        })
        .filter(|_| by_meaning)
        .collect();
    let began = Instant::now();
    let vectors = match items.is_empty() {
        true => Vec::new(),
        false => app.vectors_within(items, TooLong::Refuse).await?.embeddings,
    };
    let took = began.elapsed();
    let mut vectors = vectors.into_iter();
    let mut texts = HashMap::new();
    for (piece, weight, is_wanted) in pieces {
        let what = match piece {
            Piece::Ready(what) => what,
            Piece::Text(text) => match vectors.next() {
                Some(vector) if !is_wanted => What::Vector(vector.as_slice().to_vec()),
                Some(vector) => {
                    texts.insert(text.clone(), vector);
                    What::Text(text)
                }
                None => What::Text(text),
            },
            Piece::Sound(_) => match vectors.next() {
                Some(vector) => What::Vector(vector.as_slice().to_vec()),
                None => return Err(Fault::bad("mode: words have nothing to do with a sound")),
            },
        };
        let part = Part { what, weight };
        if is_wanted {
            request.wanted.push(part);
        } else {
            request.not.push(part);
        }
    }
    Ok((texts, took))
}

/// One member of `like` or `not`, and its weight.
async fn piece(shelf: &Shelf, value: Value, at: &str) -> Result<(Piece, Option<f32>), Fault> {
    let mut object = match value {
        Value::String(text) => {
            let item = Item::read(Value::String(text), at, Default::default())?;
            return Ok((of_item(item), None));
        }
        Value::Object(object) => object,
        _ => return Err(Fault::bad(format!("{at}: neither words nor an object"))),
    };
    let weight = weight(&mut object, at)?;
    let (name, value) = match object.len() {
        1 => object.into_iter().next(),
        _ => None,
    }
    .ok_or_else(|| {
        Fault::bad(format!(
            "{at}: not exactly one of id, path, audio, text, vector"
        ))
    })?;
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| Fault::bad(format!("{at}.{name}: not a text")))
    };
    let piece = match name.as_str() {
        "id" => Piece::Ready(What::Clip(file_id(&text(&value)?)?)),
        "path" => Piece::Ready(What::Clip(indexed(shelf, text(&value)?).await?)),
        "audio" => Piece::Sound(Item {
            text: None,
            sound: Some(Sound::of(value, &format!("{at}.audio"))?),
        }),
        "text" => Piece::Text(text(&value)?),
        "vector" => {
            let numbers: Vec<f32> = serde_json::from_value(value)
                .map_err(|_| Fault::bad(format!("{at}.vector: not a list of numbers")))?;
            if numbers.iter().any(|x| !x.is_finite()) {
                return Err(Fault::bad(format!("{at}.vector: a number is not finite")));
            }
            Piece::Ready(What::Vector(numbers))
        }
        other => {
            let message = format!("{at}: {other:?} is none of id, path, audio, text, vector");
            return Err(Fault::bad(message));
        }
    };
    Ok((piece, weight))
}

fn of_item(item: Item) -> Piece {
    match item {
        Item {
            text: Some(text),
            sound: None,
        } => Piece::Text(text),
        item => Piece::Sound(item),
    }
}

fn weight(object: &mut Map<String, Value>, at: &str) -> Result<Option<f32>, Fault> {
    let Some(value) = object.remove("weight") else {
        return Ok(None);
    };
    let weight = value.as_f64().map(|weight| weight as f32);
    match weight.filter(|weight| weight.is_finite() && *weight > 0.0) {
        Some(weight) => Ok(Some(weight)),
        None => Err(Fault::bad(format!("{at}.weight: not a number above 0"))),
    }
}

/// The sound of the index at a path; no other file is looked at.
async fn indexed(shelf: &Shelf, path: String) -> Result<aurola::FileId, Fault> {
    let absolute = PathBuf::from(&path);
    let unknown = || Fault::not_found(format!("{path:?} is no sound of the index"));
    if !absolute.is_absolute() {
        return Err(unknown());
    }
    let mut request = SearchRequest::browse(1);
    request.filter.below = vec![absolute.clone()];
    let answer = shelf
        .run(false, move |index| index.search(&request))
        .await?;
    let hit = answer.hits.into_iter().find(|hit| hit.path == absolute);
    hit.map(|hit| hit.id).ok_or_else(unknown)
}

fn bounded(name: &str, value: usize, least: usize, most: usize) -> Result<usize, Fault> {
    match (least..=most).contains(&value) {
        true => Ok(value),
        false => Err(Fault::bad(format!(
            "{name}: {value} is not in {least}..={most}"
        ))),
    }
}

fn mode(name: Option<&str>) -> Result<Mode, Fault> {
    match name {
        None | Some("hybrid" | "both") => Ok(Mode::Both),
        Some("meaning") => Ok(Mode::Meaning),
        Some("words") => Ok(Mode::Words),
        Some(other) => Err(choice("mode", other, "hybrid, meaning, words")),
    }
}

fn sort(name: Option<&str>) -> Result<Sort, Fault> {
    match name {
        None | Some("relevance") => Ok(Sort::Relevance),
        Some("newest") => Ok(Sort::Newest),
        Some("shortest") => Ok(Sort::Shortest),
        Some("longest") => Ok(Sort::Longest),
        Some("path") => Ok(Sort::Path),
        Some(other) => Err(choice(
            "sort",
            other,
            "relevance, newest, shortest, longest, path",
        )),
    }
}

fn group_by(name: Option<&str>) -> Result<GroupBy, Fault> {
    match name {
        None | Some("none") => Ok(GroupBy::File),
        Some("folder") => Ok(GroupBy::Folder),
        Some("alike") => Ok(GroupBy::Alike),
        Some(other) => Err(choice("group_by", other, "none, folder, alike")),
    }
}

fn min_relevance(value: Option<Value>) -> Result<Option<f32>, Fault> {
    let wrong = || {
        Fault::bad("min_relevance: neither a number in 0..=1 nor one of strong, likely, weak, none")
    };
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => match name.as_str() {
            "none" => Ok(None),
            "weak" => Ok(Some(0.0)),
            "likely" => Ok(Some(aurola::Relevance::LIKELY)),
            "strong" => Ok(Some(aurola::Relevance::STRONG)),
            _ => Err(wrong()),
        },
        Some(value) => match value.as_f64() {
            Some(least) if (0.0..=1.0).contains(&least) => Ok(Some(least as f32)),
            _ => Err(wrong()),
        },
    }
}

fn choice(field: &str, found: &str, choices: &str) -> Fault {
    let found: String = found.chars().take(32).collect();
    Fault::bad(format!("{field}: {found:?} is none of {choices}"))
}

fn filter(shelf: &Shelf, body: FilterBody) -> Result<Filter, Fault> {
    let tag = |name: Option<&str>, value: String| TagFilter {
        name: name.map(str::to_owned),
        value,
    };
    if body.license.len() > 1 {
        return Err(Fault::bad("filter.license: one at a time"));
    }
    let mut tags: Vec<TagFilter> = body
        .tags
        .into_iter()
        .map(|value| tag(None, value))
        .collect();
    tags.extend(
        body.license
            .into_iter()
            .map(|value| tag(Some("licence"), value)),
    );
    let mut ids = match body.ids {
        None => None,
        Some(ids) => {
            let ids: Result<Vec<_>, Fault> = ids.iter().map(|id| file_id(id)).collect();
            Some(ids?)
        }
    };
    if let Some(name) = body.collection {
        let members = shelf.collections.get(&name)?.clips;
        let members: Result<Vec<_>, Fault> = members.iter().map(|clip| file_id(&clip.id)).collect();
        let members = members?;
        ids = Some(match ids {
            None => members,
            Some(ids) => ids.into_iter().filter(|id| members.contains(id)).collect(),
        });
    }
    Ok(Filter {
        below: body.path.into_iter().map(PathBuf::from).collect(),
        path_has: body.path_has,
        formats: body.ext,
        duration_s: (body.duration.min, body.duration.max),
        sample_rate: (body.sample_rate.min, body.sample_rate.max),
        channels: (body.channels.min, body.channels.max),
        modified_ns: (
            body.modified
                .since
                .map(|time| super::time::read(&time, "filter.modified.since"))
                .transpose()?,
            body.modified
                .until
                .map(|time| super::time::read(&time, "filter.modified.until"))
                .transpose()?,
        ),
        tags,
        ids,
    })
}

/// What a person should know about their question.
fn notes(body: &SearchBody) -> Vec<&'static str> {
    let negated = body.query.as_deref().is_some_and(|query| {
        query
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| ["without", "no", "not", "except"].contains(&word.to_lowercase().as_str()))
    });
    match negated && body.not.is_none() {
        true => vec!["the model hardly hears a negation; `not` is a field of its own"],
        false => Vec::new(),
    }
}

fn result(hit: &SearchHit, folder_groups: bool) -> Value {
    let mut value = Facts::of_hit(hit).json();
    value["score"] = json!(hit.score);
    value["cosine"] = json!(hit.cosine);
    value["p_yes"] = json!(hit.p_yes);
    value["reranked"] = json!(hit.p_yes.is_some());
    value["relevance"] = json!(hit.relevance.map(|relevance| json!({
        "score": relevance.score,
        "label": relevance.label.as_str(),
    })));
    value["by_words"] = json!(hit.by_words);
    value["spans"] = moments(&hit.spans);
    if !hit.heat.is_empty() {
        value["heat"] = moments(&hit.heat);
    }
    if hit.folded > 0 || folder_groups {
        let folder = hit
            .path
            .parent()
            .map(|folder| folder.to_string_lossy().into_owned());
        value["group"] = json!({"key": folder.filter(|_| folder_groups), "more": hit.folded});
    }
    value
}
