//! Faults, written in the form of the API they happened in.

use axum::response::Response;

use crate::fault::{Fault, Form, Kind};

/// The form of a route's errors.
pub(crate) fn form(path: &str) -> Form {
    match path {
        "/v1/embeddings" | "/embeddings" | "/v1/models" | "/score" | "/v1/score" => Form::OpenAi,
        "/" | "/embed" | "/similarity" | "/info" | "/tokenize" | "/decode" | "/health" | "/ping" => {
            Form::Tei
        }
        "/rerank" | "/v1/rerank" | "/v2/rerank" | "/v2/embed" => Form::Cohere,
        path if path.starts_with("/v1/models/") => Form::OpenAi,
        _ => Form::Ours,
    }
}

/// The answer as the client reads it, and the fault in it.
pub(crate) fn written(mut response: Response, form: Form) -> (Response, Option<Fault>) {
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        let headers = std::mem::take(response.headers_mut());
        let mut answer = fault.write(form);
        answer.headers_mut().extend(headers);
        return (answer, Some(fault));
    }
    let status = response.status();
    let is_bare = response.headers().get("content-type").is_none();
    if (status.is_client_error() || status.is_server_error()) && is_bare {
        // The router's own: no such route, or not by this method.
        let kind = Kind::of(status);
        let message = match kind {
            Kind::NotFound => "there is no such route; /docs lists them",
            Kind::Method => "this route does not take that method; /docs lists them",
            _ => "the request was not understood",
        };
        let fault = Fault::new(kind, message);
        let headers = std::mem::take(response.headers_mut());
        let mut answer = fault.write(form);
        *answer.status_mut() = status;
        for (name, value) in headers {
            if let Some(name) = name.filter(|name| name != "content-length") {
                answer.headers_mut().insert(name, value);
            }
        }
        return (answer, Some(fault));
    }
    (response, None)
}
