//! What is wrong with a request, and how each API says so.
//!
//! A handler returns a [`Fault`] and knows nothing of forms; [`crate::web::faults`] writes it the way
//! the clients of that route read it.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request says something that cannot be meant.
    Bad,
    /// No key, or a wrong one.
    Unauthorized,
    /// The key, or this server, does not allow it.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The route does not do that.
    Method,
    /// The request did not arrive in time.
    Slow,
    /// More than is taken at once.
    TooLarge,
    /// Not a type of content that is understood.
    Unsupported,
    /// A range outside of the file.
    Range,
    /// Understood, and cannot be done: a sound that is damaged, a text that is too long.
    Unprocessable,
    /// More work than can be taken on now.
    Overloaded,
    /// The server is stopping, starting, or took too long.
    Unavailable,
    /// Our own error; no request should cause one.
    Internal,
}

/// A request that is not answered as it was meant.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    kind: Kind,
    message: String,
    help: Option<String>,
    form: Option<Form>,
}

/// How an API writes its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `{"error":{"code","message","help"?}}`
    Ours,
    /// `{"error":{"message","type","param","code"}}`, as OpenAI and vLLM have it.
    OpenAi,
    /// `{"error","error_type"}`, as text-embeddings-inference has it.
    Tei,
    /// `{"message"}`, as Cohere has it; `detail` is where Jina has it.
    Cohere,
}

impl Kind {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Bad => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Range => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Ours: what a program may compare with.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Bad => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Method => "method_not_allowed",
            Self::Slow => "request_timeout",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::Range => "range_not_satisfiable",
            Self::Unprocessable => "unprocessable",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The kind behind a status that axum gave by itself.
    pub(crate) fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::Method,
            StatusCode::REQUEST_TIMEOUT => Self::Slow,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::Unsupported,
            StatusCode::UNPROCESSABLE_ENTITY => Self::Unprocessable,
            StatusCode::TOO_MANY_REQUESTS => Self::Overloaded,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            status if status.is_client_error() => Self::Bad,
            _ => Self::Internal,
        }
    }

    fn openai_type(self) -> &'static str {
        match self {
            Self::Unauthorized => "authentication_error",
            Self::Forbidden => "permission_error",
            Self::NotFound => "not_found_error",
            Self::Overloaded => "rate_limit_error",
            Self::Unavailable | Self::Internal => "server_error",
            _ => "invalid_request_error",
        }
    }

    fn tei_type(self) -> &'static str {
        match self {
            Self::Overloaded => "Overloaded",
            Self::Unavailable => "Unhealthy",
            Self::Internal => "Backend",
            _ => "Validation",
        }
    }
}

impl Fault {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            help: None,
            form: None,
        }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(Kind::Bad, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unprocessable, message)
    }

    pub(crate) fn overloaded() -> Self {
        Self::new(Kind::Overloaded, "too much to do just now; try again")
    }

    pub(crate) fn stopping() -> Self {
        Self::new(Kind::Unavailable, "the server is stopping")
    }

    /// The same, and what would help.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, in this form whatever the route's own is.
    pub(crate) fn form(mut self, form: Form) -> Self {
        self.form = Some(form);
        self
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Its whole answer, in its own form or else in `form`.
    pub(crate) fn write(&self, form: Form) -> Response {
        let form = self.form.unwrap_or(form);
        // A reader of one line gets the advice as well.
        let line = match &self.help {
            Some(help) => format!("{}; {help}", self.message),
            None => self.message.clone(),
        };
        let mut status = self.kind.status();
        let body: Value = match form {
            Form::Ours => {
                let mut error = json!({"code": self.kind.code(), "message": self.message});
                if let Some(help) = &self.help {
                    error["help"] = json!(help);
                }
                json!({ "error": error })
            }
            Form::OpenAi => json!({"error": {
                "message": line,
                "type": self.kind.openai_type(),
                "param": null,
                "code": self.kind.code(),
            }}),
            Form::Tei => {
                if status == StatusCode::BAD_REQUEST {
                    status = StatusCode::UNPROCESSABLE_ENTITY;
                }
                json!({"error": line, "error_type": self.kind.tei_type()})
            }
            Form::Cohere => json!({"message": line, "detail": line}),
        };
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        if self.kind == Kind::Overloaded {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.kind == Kind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Fault {
    /// Empty but for the fault itself, which is written further out.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.kind.status();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_keeps_message_and_advice() {
        let fault = Fault::bad("limit: 0 is not in 1..=1000").help("leave it out");
        for form in [Form::Ours, Form::OpenAi, Form::Tei, Form::Cohere] {
            let response = fault.write(form);
            assert!(response.status().is_client_error());
            let body = futures_util::FutureExt::now_or_never(axum::body::to_bytes(
                response.into_body(),
                4_096,
            ));
            let text = String::from_utf8(body.unwrap().unwrap().to_vec()).unwrap();
            assert!(
                text.contains("limit: 0") && text.contains("leave it out"),
                "{text}"
            );
        }
    }
}
