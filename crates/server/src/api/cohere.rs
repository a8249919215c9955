//! Cohere's embeddings, `POST /v2/embed`.

use axum::Json as JsonAnswer;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::openai::little_endian;
use super::rerank::items;
use crate::App;
use crate::fault::Fault;
use crate::inputs::{TooLong, shortened};
use crate::web::RequestId;
use crate::web::body::Sounds;

#[derive(Deserialize)]
pub(crate) struct EmbedBody {
    model: Option<String>,
    texts: Option<Vec<Value>>,
    inputs: Option<Vec<Value>>,
    images: Option<Vec<Value>>,
    embedding_types: Option<Vec<String>>,
    output_dimension: Option<usize>,
    max_tokens: Option<usize>,
    truncate: Option<String>,
}

/// Queries and documents are embedded alike by this model, so `input_type` changes nothing.
pub(crate) async fn embed(
    State(app): State<App>,
    Extension(RequestId(id)): Extension<RequestId>,
    Sounds { body, held }: Sounds<EmbedBody>,
) -> Result<Response, Fault> {
    app.check_model(body.model.as_deref())?;
    if body.images.is_some_and(|images| !images.is_empty()) {
        return Err(Fault::bad("images: neither sound nor words"));
    }
    let values = match (body.texts, body.inputs) {
        (Some(texts), None) => texts,
        (None, Some(inputs)) => inputs,
        (Some(_), Some(_)) => return Err(Fault::bad("both texts and inputs")),
        (None, None) => return Err(Fault::bad("neither texts nor inputs")),
    };
    let types = body.embedding_types.unwrap_or_else(|| vec!["float".into()]);
    if let Some(other) = (types.iter()).find(|name| !matches!(name.as_str(), "float" | "base64")) {
        let message = format!("embedding_types: {other:?} is not offered; float and base64 are");
        return Err(Fault::bad(message));
    }
    let too_long = match (body.max_tokens, body.truncate.as_deref()) {
        (Some(0), _) => return Err(Fault::bad("max_tokens: 0 leaves nothing")),
        (_, Some("NONE")) => TooLong::Refuse,
        // Cohere cuts the end off unless told otherwise.
        (tokens, None | Some("END")) => TooLong::Cut(tokens.unwrap_or(usize::MAX)),
        (_, Some(other)) => {
            let message = format!("truncate: {other:?} is not offered; NONE and END are");
            return Err(Fault::bad(message));
        }
    };
    app.check_count(values.len(), "texts")?;
    let items = items(values, "texts")?;
    let texts: Vec<String> = items.iter().filter_map(|item| item.text.clone()).collect();
    let vectors = app.vectors(items, too_long).await?;
    drop(held);
    let short: Vec<Vec<f32>> = (vectors.embeddings.iter())
        .map(|embedding| shortened(embedding, body.output_dimension))
        .collect::<Result<_, _>>()?;
    let mut by_type: Map<String, Value> = Map::new();
    for name in types {
        let vectors = match name.as_str() {
            "base64" => json!(short.iter().map(|v| little_endian(v)).collect::<Vec<_>>()),
            _ => json!(short),
        };
        by_type.insert(name, vectors);
    }
    Ok(JsonAnswer(json!({
        "id": format!("embed-{id}"),
        "embeddings": by_type,
        "texts": texts,
        "response_type": "embeddings_by_type",
        "meta": {
            "api_version": {"version": "2"},
            "billed_units": {"input_tokens": vectors.times.tokens},
        },
    }))
    .into_response())
}
