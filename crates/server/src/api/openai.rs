//! OpenAI's embeddings and models, with what vLLM, Infinity and Jina have put beside them.

use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::App;
use crate::fault::{Fault, Kind};
use crate::inputs::{TooLong, shortened};
use crate::item::{Bare, Item};
use crate::web::body::Sounds;

/// `POST /v1/embeddings`. Members that other servers know and that change nothing here are passed
/// over, as those servers do.
#[derive(Deserialize)]
pub(crate) struct EmbeddingsBody {
    model: Option<String>,
    input: Option<Value>,
    messages: Option<Vec<Value>>,
    encoding_format: Option<String>,
    dimensions: Option<usize>,
    /// Infinity: what bare strings are.
    modality: Option<String>,
    /// vLLM: a longer text is cut to so many tokens.
    truncate_prompt_tokens: Option<i64>,
}

pub(crate) async fn embeddings(
    State(app): State<App>,
    Sounds { body, held }: Sounds<EmbeddingsBody>,
) -> Result<Response, Fault> {
    app.check_model(body.model.as_deref())?;
    let base64 = match body.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            let message = format!("encoding_format: {other:?} is neither float nor base64");
            return Err(Fault::bad(message));
        }
    };
    let too_long = match body.truncate_prompt_tokens {
        None => TooLong::Refuse,
        // In vLLM −1 is the model's own limit.
        Some(-1) => TooLong::Cut(usize::MAX),
        Some(tokens) => match usize::try_from(tokens) {
            Ok(tokens @ 1..) => TooLong::Cut(tokens),
            _ => return Err(Fault::bad("truncate_prompt_tokens: not a number of tokens")),
        },
    };
    let items = match (body.input, body.messages) {
        (Some(input), None) => inputs(input, body.modality.as_deref())?,
        (None, Some(messages)) => conversations(messages)?,
        (Some(_), Some(_)) => return Err(Fault::bad("both input and messages")),
        (None, None) => return Err(Fault::bad("neither input nor messages")),
    };
    app.check_count(items.len(), "input")?;
    let vectors = app.vectors(items, too_long).await?;
    drop(held);
    let data: Vec<Value> = (vectors.embeddings.iter().enumerate())
        .map(|(index, embedding)| {
            let vector = shortened(embedding, body.dimensions)?;
            let embedding = match base64 {
                true => json!(little_endian(&vector)),
                false => json!(vector),
            };
            Ok(json!({"object": "embedding", "index": index, "embedding": embedding}))
        })
        .collect::<Result<_, Fault>>()?;
    let tokens = vectors.times.tokens;
    Ok(JsonAnswer(json!({
        "object": "list",
        "data": data,
        "model": app.model_name(),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }))
    .into_response())
}

/// The numbers as a client reads them with one call: `f32`, little-endian, base64.
pub(crate) fn little_endian(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

fn inputs(input: Value, modality: Option<&str>) -> Result<Vec<Item>, Fault> {
    let bare = match modality {
        None | Some("text") => Bare::Words,
        Some("audio") => Bare::Sound,
        Some(other) => {
            let message = format!("modality: {other:?} is neither text nor audio");
            return Err(Fault::bad(message));
        }
    };
    let list = match input {
        Value::Array(list) => list,
        one => return Ok(vec![Item::read(one, "input", bare)?]),
    };
    if list.iter().any(|one| one.is_number() || one.is_array()) {
        // Nearly always ids of another model's vocabulary, which would be other words in this one.
        return Err(Fault::bad("input: token ids are not taken")
            .help("send the text (in LangChain: check_embedding_ctx_length=False)"));
    }
    list.into_iter()
        .enumerate()
        .map(|(n, one)| Item::read(one, &format!("input[{n}]"), bare))
        .collect()
}

/// One conversation, or a list of them.
fn conversations(messages: Vec<Value>) -> Result<Vec<Item>, Fault> {
    if !messages.first().is_some_and(Value::is_array) {
        return Ok(vec![Item::conversation(messages, "messages")?]);
    }
    (messages.into_iter().enumerate())
        .map(|(n, conversation)| match conversation {
            Value::Array(messages) => Item::conversation(messages, &format!("messages[{n}]")),
            _ => Err(Fault::bad(format!(
                "messages[{n}]: not a conversation as the others are"
            ))),
        })
        .collect()
}

fn described(app: &App, id: &str) -> Value {
    json!({
        "id": id,
        "object": "model",
        "created": 0,
        "owned_by": "aurola",
        "root": app.model_name(),
        "parent": null,
        "max_model_len": app.max_tokens(),
        "embedding_dimension": app.model.dim(),
        "modalities": ["text", "audio"],
        "fingerprint": app.model.fingerprint(),
    })
}

/// `GET /v1/models`.
pub(crate) async fn models(State(app): State<App>) -> Response {
    let data: Vec<Value> = (app.settings.models.iter())
        .map(|id| described(&app, id))
        .collect();
    JsonAnswer(json!({"object": "list", "data": data})).into_response()
}

/// `GET /v1/models/{id}`.
pub(crate) async fn model(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    app.check_model(Some(&id))?;
    Ok(JsonAnswer(described(&app, &id)).into_response())
}

impl App {
    /// What answers call the model.
    pub(crate) fn model_name(&self) -> &str {
        self.settings
            .models
            .first()
            .map_or("aurola", String::as_str)
    }

    /// Whether a request means this model. One that names none does.
    pub(crate) fn check_model(&self, named: Option<&str>) -> Result<(), Fault> {
        let Some(named) = named.filter(|name| !name.is_empty()) else {
            return Ok(());
        };
        if self.settings.models.iter().any(|name| name == named) {
            return Ok(());
        }
        let models = self.settings.models.join(", ");
        let shown: String = named.chars().take(100).collect();
        Err(Fault::new(
            Kind::NotFound,
            format!("the model {shown:?} is not served here"),
        )
        .help(format!(
            "{models} is; --served-model-name gives it other names"
        )))
    }

    /// Whether a request holds a number of inputs that is taken.
    pub(crate) fn check_count(&self, inputs: usize, at: &str) -> Result<(), Fault> {
        let most = self.settings.inputs;
        match inputs {
            0 => Err(Fault::bad(format!("{at}: nothing in it"))),
            inputs if inputs > most => Err(Fault::new(
                Kind::Unprocessable,
                format!("{at}: {inputs} inputs where {most} are the most"),
            )),
            _ => Ok(()),
        }
    }
}
