//! The routes of text-embeddings-inference, with sounds where it has texts: as data URIs, or as
//! objects.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rerank::{items, ranked};
use crate::App;
use crate::fault::Fault;
use crate::inputs::{TooLong, ms, shortened};
use crate::item::{Bare, Item};
use crate::metrics::Times;
use crate::model::fault;
use crate::web::body::{Held, Json, Sounds};

#[derive(Deserialize)]
pub(crate) struct EmbedBody {
    inputs: Value,
    truncate: Option<bool>,
    truncation_direction: Option<String>,
    normalize: Option<bool>,
    dimensions: Option<usize>,
    prompt_name: Option<String>,
}

/// `POST /`: what clients do that know only an address. What is asked for, its members tell.
pub(crate) async fn root(
    State(app): State<App>,
    Sounds { body, held }: Sounds<Value>,
) -> Result<Response, Fault> {
    let invalid = |error: serde_json::Error| Fault::bad(format!("the JSON: {error}"));
    if body.get("texts").is_some() {
        return rerank(&app, serde_json::from_value(body).map_err(invalid)?, held).await;
    }
    if body.pointer("/inputs/source_sentence").is_some() {
        return compare(&app, serde_json::from_value(body).map_err(invalid)?, held).await;
    }
    vectors(&app, serde_json::from_value(body).map_err(invalid)?, held).await
}

/// `POST /embed`.
pub(crate) async fn embed(
    State(app): State<App>,
    Sounds { body, held }: Sounds<EmbedBody>,
) -> Result<Response, Fault> {
    vectors(&app, body, held).await
}

async fn vectors(app: &App, body: EmbedBody, held: Held) -> Result<Response, Fault> {
    if body.normalize == Some(false) {
        return Err(
            Fault::bad("normalize: these embeddings are of unit length by their making")
                .help("leave it out"),
        );
    }
    if let Some(name) = body.prompt_name {
        return Err(
            Fault::bad(format!("prompt_name: there is no prompt {name:?}"))
                .help("the model has one prompt for everything; leave it out"),
        );
    }
    let too_long = cut(body.truncate, body.truncation_direction.as_deref())?;
    let items = inputs(body.inputs)?;
    app.check_count(items.len(), "inputs")?;
    let vectors = app.vectors(items, too_long).await?;
    drop(held);
    let short: Vec<Vec<f32>> = (vectors.embeddings.iter())
        .map(|embedding| shortened(embedding, body.dimensions))
        .collect::<Result<_, _>>()?;
    Ok((times(&vectors.times), JsonAnswer(short)).into_response())
}

#[derive(Deserialize)]
pub(crate) struct SimilarityBody {
    inputs: SimilarityInputs,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Deserialize)]
struct SimilarityInputs {
    source_sentence: Value,
    sentences: Vec<Value>,
}

#[derive(Deserialize, Default)]
struct Parameters {
    truncate: Option<bool>,
    truncation_direction: Option<String>,
}

/// `POST /similarity`: cosines of one with many, whatever each of them is.
pub(crate) async fn similarity(
    State(app): State<App>,
    Sounds { body, held }: Sounds<SimilarityBody>,
) -> Result<Response, Fault> {
    compare(&app, body, held).await
}

async fn compare(app: &App, body: SimilarityBody, held: Held) -> Result<Response, Fault> {
    let SimilarityBody { inputs, parameters } = body;
    let too_long = cut(
        parameters.truncate,
        parameters.truncation_direction.as_deref(),
    )?;
    app.check_count(inputs.sentences.len(), "inputs.sentences")?;
    let mut all = vec![Item::read(
        inputs.source_sentence,
        "inputs.source_sentence",
        Bare::Words,
    )?];
    all.extend(items(inputs.sentences, "inputs.sentences")?);
    let vectors = app.vectors(all, too_long).await?;
    drop(held);
    let cosines: Vec<f32> = match vectors.embeddings.split_first() {
        Some((source, others)) => (others.iter())
            .map(|other| dot(source.as_slice(), other.as_slice()))
            .collect(),
        None => Vec::new(),
    };
    Ok((times(&vectors.times), JsonAnswer(cosines)).into_response())
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[derive(Deserialize)]
pub(crate) struct RerankBody {
    query: Value,
    texts: Vec<Value>,
    truncate: Option<bool>,
    truncation_direction: Option<String>,
    #[serde(default)]
    raw_scores: bool,
    #[serde(default)]
    return_text: bool,
}

/// `POST /rerank` with `texts`.
pub(crate) async fn rerank(app: &App, body: RerankBody, held: Held) -> Result<Response, Fault> {
    let too_long = cut(body.truncate, body.truncation_direction.as_deref())?;
    app.check_count(body.texts.len(), "texts")?;
    let query = Item::read(body.query, "query", Bare::Words)?;
    let texts = items(body.texts, "texts")?;
    let said: Vec<Option<String>> = texts.iter().map(|item| item.text.clone()).collect();
    let judged = app.verdicts(query, texts, too_long).await?;
    drop(held);
    let ranks: Vec<Value> = ranked(&judged.verdicts)
        .into_iter()
        .map(|index| {
            let verdict = judged.verdicts[index];
            let score = if body.raw_scores {
                verdict.logit
            } else {
                verdict.p_yes
            };
            let mut rank = json!({"index": index, "score": score});
            if body.return_text
                && let Some(text) = &said[index]
            {
                rank["text"] = json!(text);
            }
            rank
        })
        .collect();
    Ok((times(&judged.times), JsonAnswer(ranks)).into_response())
}

#[derive(Deserialize)]
pub(crate) struct TokenizeBody {
    inputs: OneOrMany,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// `POST /tokenize`: the words alone, without the prompt around them. Places in the text are not
/// told.
pub(crate) async fn tokenize(
    State(app): State<App>,
    Json(body): Json<TokenizeBody>,
) -> Result<Response, Fault> {
    let texts = match body.inputs {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    };
    app.check_count(texts.len(), "inputs")?;
    let model = app.model.clone();
    let tokenized = tokio::task::spawn_blocking(move || {
        texts
            .iter()
            .map(|text| {
                let tokens = model.tokens(text).map_err(|error| fault(&error))?;
                Ok(tokens
                    .into_iter()
                    .map(|token| {
                        json!({"id": token.id, "text": token.text, "special": false,
                            "start": null, "stop": null})
                    })
                    .collect())
            })
            .collect::<Result<Vec<Vec<Value>>, Fault>>()
    });
    let tokens = tokenized.await.unwrap_or_else(|_| Err(Fault::stopping()))?;
    Ok(JsonAnswer(tokens).into_response())
}

#[derive(Deserialize)]
pub(crate) struct DecodeBody {
    ids: Ids,
    #[serde(default = "yes")]
    skip_special_tokens: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    One(Vec<u32>),
    Many(Vec<Vec<u32>>),
}

fn yes() -> bool {
    true
}

/// `POST /decode`.
pub(crate) async fn decode(
    State(app): State<App>,
    Json(body): Json<DecodeBody>,
) -> Result<Response, Fault> {
    let lists = match body.ids {
        Ids::One(ids) => vec![ids],
        Ids::Many(lists) => lists,
    };
    app.check_count(lists.len(), "ids")?;
    let texts: Vec<String> = (lists.iter())
        .map(|ids| app.model.text(ids, body.skip_special_tokens))
        .collect::<Result<_, _>>()
        .map_err(|error| Fault::unprocessable(format!("ids: {}", brief(&error))))?;
    Ok(JsonAnswer(texts).into_response())
}

/// A tokenizer's refusal without the path of its file.
fn brief(error: &aurola_model::ModelError) -> String {
    match error {
        aurola_model::ModelError::Text { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

/// `GET /info`.
pub(crate) async fn info(State(app): State<App>) -> Response {
    let dtype = match app.model.dtype().as_str() {
        "f32" => "float32".to_owned(),
        "bf16" => "bfloat16".to_owned(),
        other => other.to_owned(),
    };
    let settings = &app.settings;
    JsonAnswer(json!({
        "model_id": app.model_name(),
        "model_sha": app.model.fingerprint(),
        "model_dtype": dtype,
        "model_type": {"embedding": {"pooling": "last_token"}},
        "max_concurrent_requests": settings.requests,
        "max_input_length": app.max_tokens(),
        "max_batch_tokens": settings.batch_tokens,
        "max_batch_requests": settings.batch_inputs,
        "max_client_batch_size": settings.inputs,
        "auto_truncate": false,
        "tokenization_workers": settings.ears,
        "version": env!("CARGO_PKG_VERSION"),
        "sha": null,
        "docker_label": null,
        "embedding_dimension": app.model.dim(),
        "max_audio_seconds": settings.upload_s,
        "payload_limit": settings.body_bytes,
        "modalities": ["text", "audio"],
    }))
    .into_response()
}

fn inputs(inputs: Value) -> Result<Vec<Item>, Fault> {
    match inputs {
        Value::Array(list) if list.iter().any(|one| one.is_number() || one.is_array()) => {
            Err(Fault::bad("inputs: token ids are not taken; send the text"))
        }
        Value::Array(list) => items(list, "inputs"),
        one => Ok(vec![Item::read(one, "inputs", Bare::Words)?]),
    }
}

fn cut(truncate: Option<bool>, direction: Option<&str>) -> Result<TooLong, Fault> {
    match (
        truncate.unwrap_or(false),
        direction.map(str::to_lowercase).as_deref(),
    ) {
        (false, _) => Ok(TooLong::Refuse),
        (true, None | Some("right")) => Ok(TooLong::Cut(usize::MAX)),
        (true, Some(other)) => Err(Fault::bad(format!(
            "truncation_direction: {other:?} is not offered; Right is"
        ))),
    }
}

/// TEI's headers about the work.
fn times(times: &Times) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-compute-type", "cpu".to_owned()),
        ("x-compute-time", ms(times.total)),
        ("x-compute-characters", times.characters.to_string()),
        ("x-compute-tokens", times.tokens.to_string()),
        ("x-total-time", ms(times.total)),
        ("x-tokenization-time", ms(times.prepared)),
        ("x-queue-time", ms(times.queued)),
        ("x-inference-time", ms(times.computed)),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}
