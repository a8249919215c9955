//! Pairs, judged: Cohere's and Jina's re-ranking, TEI's, and vLLM's score. Sounds on either side.

use axum::Json as JsonAnswer;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::tei;
use crate::App;
use crate::fault::{Fault, Form};
use crate::inputs::{TooLong, Verdict};
use crate::item::{Bare, Item};
use crate::web::RequestId;
use crate::web::body::{Held, Sounds};

/// Cohere's, Jina's and vLLM's body.
#[derive(Deserialize)]
pub(crate) struct RerankBody {
    model: Option<String>,
    query: Value,
    documents: Vec<Value>,
    top_n: Option<usize>,
    #[serde(default)]
    return_documents: bool,
    truncate_prompt_tokens: Option<usize>,
    max_tokens_per_doc: Option<usize>,
}

/// `POST /v1/rerank`, `POST /v2/rerank`.
pub(crate) async fn cohere(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Sounds { body, held }: Sounds<RerankBody>,
) -> Result<Response, Fault> {
    rerank(&app, id, body, held).await
}

/// `POST /rerank`: TEI's where there are `texts`, else Cohere's.
pub(crate) async fn either(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Sounds { body, held }: Sounds<Value>,
) -> Result<Response, Fault> {
    let invalid = |error: serde_json::Error| Fault::bad(format!("the JSON: {error}"));
    if body.get("texts").is_some() {
        let answer = match serde_json::from_value(body) {
            Ok(body) => tei::rerank(&app, body, held).await,
            Err(error) => Err(invalid(error)),
        };
        return answer.map_err(|fault| fault.form(Form::Tei));
    }
    let body = serde_json::from_value(body).map_err(invalid)?;
    rerank(&app, id, body, held).await
}

async fn rerank(
    app: &App,
    RequestId(id): RequestId,
    body: RerankBody,
    held: Held,
) -> Result<Response, Fault> {
    app.check_model(body.model.as_deref())?;
    if body.top_n == Some(0) {
        return Err(Fault::bad("top_n: 0 asks for nothing"));
    }
    app.check_count(body.documents.len(), "documents")?;
    let too_long = match body.max_tokens_per_doc.or(body.truncate_prompt_tokens) {
        Some(tokens @ 1..) => TooLong::Cut(tokens),
        Some(0) => return Err(Fault::bad("max_tokens_per_doc: 0 leaves nothing")),
        None => TooLong::Refuse,
    };
    let query = Item::read(body.query, "query", Bare::Words)?;
    let documents = items(body.documents, "documents")?;
    // Only words are sent back; who sent a sound has it.
    let said: Vec<Option<String>> = match body.return_documents {
        true => documents.iter().map(|item| item.text.clone()).collect(),
        false => Vec::new(),
    };
    let judged = app.verdicts(query, documents, too_long).await?;
    drop(held);
    let mut order = ranked(&judged.verdicts);
    order.truncate(body.top_n.unwrap_or(usize::MAX));
    let results: Vec<Value> = order
        .into_iter()
        .map(|index| {
            let score = judged.verdicts[index].p_yes;
            let mut result = json!({"index": index, "relevance_score": score});
            if let Some(Some(text)) = said.get(index) {
                result["document"] = json!({"text": text});
            }
            result
        })
        .collect();
    let tokens = judged.times.tokens;
    Ok(JsonAnswer(json!({
        "id": format!("rerank-{id}"),
        "model": app.model_name(),
        "usage": {"total_tokens": tokens, "prompt_tokens": tokens},
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
        "results": results,
    }))
    .into_response())
}

pub(crate) fn items(values: Vec<Value>, at: &str) -> Result<Vec<Item>, Fault> {
    (values.into_iter().enumerate())
        .map(|(n, value)| Item::read(value, &format!("{at}[{n}]"), Bare::Words))
        .collect()
}

/// Indices, best first; equals in the order given.
pub(crate) fn ranked(verdicts: &[Verdict]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..verdicts.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&verdicts[*a], &verdicts[*b]);
        b.logit.total_cmp(&a.logit)
    });
    order
}

/// vLLM's body; each side under any of its names.
#[derive(Deserialize)]
pub(crate) struct ScoreBody {
    model: Option<String>,
    #[serde(alias = "queries", alias = "data_1")]
    text_1: Value,
    #[serde(alias = "documents", alias = "items", alias = "data_2")]
    text_2: Value,
    truncate_prompt_tokens: Option<usize>,
}

/// `POST /score`: one against all, or each against its own.
pub(crate) async fn score(
    State(app): State<App>,
    Extension(RequestId(id)): Extension<RequestId>,
    Sounds { body, held }: Sounds<ScoreBody>,
) -> Result<Response, Fault> {
    app.check_model(body.model.as_deref())?;
    let too_long = match body.truncate_prompt_tokens {
        Some(tokens @ 1..) => TooLong::Cut(tokens),
        Some(0) => return Err(Fault::bad("truncate_prompt_tokens: 0 leaves nothing")),
        None => TooLong::Refuse,
    };
    let mut left = side(body.text_1, "text_1")?;
    let right = side(body.text_2, "text_2")?;
    app.check_count(left.len(), "text_1")?;
    app.check_count(right.len(), "text_2")?;
    let (mut scores, mut tokens) = (Vec::with_capacity(right.len()), 0);
    match (left.len(), right.len()) {
        (1, _) => {
            let judged = app.verdicts(left.remove(0), right, too_long).await?;
            tokens += judged.times.tokens;
            scores.extend(judged.verdicts.iter().map(|verdict| verdict.p_yes));
        }
        (a, b) if a == b => {
            for (query, candidate) in left.into_iter().zip(right) {
                let judged = app.verdicts(query, vec![candidate], too_long).await?;
                tokens += judged.times.tokens;
                scores.extend(judged.verdicts.iter().map(|verdict| verdict.p_yes));
            }
        }
        (a, b) => {
            return Err(Fault::bad(format!(
                "text_1 has {a} and text_2 has {b}: one against all, or as many as there are"
            )));
        }
    }
    drop(held);
    let data: Vec<Value> = (scores.iter().enumerate())
        .map(|(index, score)| json!({"index": index, "object": "score", "score": score}))
        .collect();
    Ok(JsonAnswer(json!({
        "id": format!("score-{id}"),
        "object": "list",
        "created": super::now(),
        "model": app.model_name(),
        "data": data,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0},
    }))
    .into_response())
}

fn side(value: Value, at: &str) -> Result<Vec<Item>, Fault> {
    match value {
        Value::Array(list) => items(list, at),
        // vLLM: one object may hold the content of many.
        one => Ok(vec![Item::read(one, at, Bare::Words)?]),
    }
}
