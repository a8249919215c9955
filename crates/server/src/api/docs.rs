//! What the routes are, for people (`/docs`), programs (`/openapi.json`) and language models
//! (`/llms.txt`): one document, written three ways. No script, and nothing from elsewhere, so it reads
//! the same without a network.

use std::fmt::Write;
use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// The document. Its examples are sent to a real server by a test.
const OPENAPI: &str = include_str!("openapi.json");

const STYLE: &str = include_str!("docs.css");

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(OPENAPI).expect("a test reads openapi.json"));

/// `GET /openapi.json`.
pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// `GET /docs.css`.
pub(crate) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

/// `GET /docs`.
pub(crate) async fn html() -> Response {
    page()
}

/// The documentation as a page.
pub(crate) fn page() -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(|| document_html(&DOCUMENT));
    (
        [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
        PAGE.as_str(),
    )
        .into_response()
}

/// `GET /llms.txt`.
pub(crate) async fn llms() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| document_text(&DOCUMENT));
    (
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        TEXT.as_str(),
    )
        .into_response()
}

/// One operation of the document.
struct Operation<'d> {
    path: &'d str,
    method: String,
    summary: &'d str,
    description: &'d str,
    parameters: Vec<&'d Value>,
    request: Option<&'d Value>,
    answers: Vec<(&'d str, &'d Value)>,
}

/// All operations, by tag, in the document's order.
fn operations(document: &Value) -> Vec<(&str, &str, Vec<Operation<'_>>)> {
    let paths = document.get("paths").and_then(Value::as_object);
    let tags = document.get("tags").and_then(Value::as_array);
    let mut by_tag = Vec::new();
    for tag in tags.into_iter().flatten() {
        let name = tag.get("name").and_then(Value::as_str).unwrap_or("");
        let words = tag.get("description").and_then(Value::as_str).unwrap_or("");
        let mut here = Vec::new();
        for (path, methods) in paths.into_iter().flatten() {
            for (method, operation) in methods.as_object().into_iter().flatten() {
                let is_here = operation
                    .pointer("/tags/0")
                    .is_some_and(|tag| tag.as_str() == Some(name));
                if !is_here {
                    continue;
                }
                let get = |key: &str| operation.get(key);
                here.push(Operation {
                    path,
                    method: method.to_uppercase(),
                    summary: get("summary").and_then(Value::as_str).unwrap_or(""),
                    description: get("description").and_then(Value::as_str).unwrap_or(""),
                    parameters: get("parameters")
                        .and_then(Value::as_array)
                        .map(|list| list.iter().collect())
                        .unwrap_or_default(),
                    request: operation.pointer("/requestBody/content/application~1json/example"),
                    answers: (get("responses")
                        .and_then(Value::as_object)
                        .into_iter()
                        .flatten())
                    .map(|(status, answer)| (status.as_str(), answer))
                    .collect(),
                });
            }
        }
        by_tag.push((name, words, here));
    }
    by_tag
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn document_html(document: &Value) -> String {
    let info = |key: &str| {
        let value = document
            .pointer(&format!("/info/{key}"))
            .and_then(Value::as_str);
        escaped(value.unwrap_or(""))
    };
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><link rel=\"stylesheet\" href=\"/docs.css\"></head><body>\n\
         <header><h1>{title}</h1><p>{words}</p><p><a href=\"/openapi.json\">openapi.json</a> \
         <a href=\"/llms.txt\">llms.txt</a></p></header><main>\n",
        title = info("title"),
        words = info("description"),
    );
    // Writing to a string does not fail.
    for (name, words, operations) in operations(document) {
        let _ = writeln!(html, "<h2>{}</h2><p>{}</p>", escaped(name), escaped(words));
        for operation in operations {
            let _ = write!(
                html,
                "<section><h3><b>{}</b> <code>{}</code></h3><p>{}</p>",
                operation.method,
                escaped(operation.path),
                escaped(operation.summary),
            );
            if !operation.description.is_empty() {
                let _ = write!(html, "<p>{}</p>", escaped(operation.description));
            }
            if !operation.parameters.is_empty() {
                html.push_str("<dl>");
                for parameter in &operation.parameters {
                    let get = |key: &str| {
                        escaped(parameter.get(key).and_then(Value::as_str).unwrap_or(""))
                    };
                    let (name, words) = (get("name"), get("description"));
                    let _ = write!(html, "<dt><code>{name}</code></dt><dd>{words}</dd>");
                }
                html.push_str("</dl>");
            }
            if let Some(request) = operation.request {
                let _ = write!(html, "<pre>{}</pre>", escaped(&pretty(request)));
            }
            for (status, answer) in &operation.answers {
                let words = answer
                    .get("description")
                    .and_then(Value::as_str)
                    .unwrap_or("");
                let _ = write!(
                    html,
                    "<p class=\"answer\"><b>{status}</b> {}</p>",
                    escaped(words)
                );
                if let Some(example) = answer.pointer("/content/application~1json/example") {
                    let _ = write!(html, "<pre>{}</pre>", escaped(&pretty(example)));
                }
            }
            html.push_str("</section>\n");
        }
    }
    html.push_str("</main></body></html>\n");
    html
}

fn document_text(document: &Value) -> String {
    let info = |key: &str| {
        let value = document
            .pointer(&format!("/info/{key}"))
            .and_then(Value::as_str);
        value.unwrap_or("").to_owned()
    };
    let mut text = format!("# {}\n\n> {}\n", info("title"), info("description"));
    for (name, words, operations) in operations(document) {
        let _ = write!(text, "\n## {name}\n\n{words}\n\n");
        for operation in operations {
            let _ = write!(
                text,
                "- `{} {}`: {}",
                operation.method, operation.path, operation.summary
            );
            if !operation.description.is_empty() {
                let _ = write!(text, " {}", operation.description);
            }
            if let Some(request) = operation.request {
                let _ = write!(text, " Body: `{request}`");
            }
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_in_the_document_and_the_other_way_round() {
        let paths = DOCUMENT.get("paths").and_then(Value::as_object).unwrap();
        let mut documented: Vec<&str> = paths.keys().map(String::as_str).collect();
        let mut routes: Vec<&str> = super::super::PATHS.to_vec();
        documented.sort_unstable();
        routes.sort_unstable();
        assert_eq!(documented, routes);
    }

    #[test]
    fn every_operation_is_under_a_tag_and_told() {
        let told: usize = operations(&DOCUMENT)
            .iter()
            .map(|(.., list)| list.len())
            .sum();
        let paths = DOCUMENT.get("paths").and_then(Value::as_object).unwrap();
        let all: usize = paths
            .values()
            .map(|methods| methods.as_object().unwrap().len())
            .sum();
        assert_eq!(told, all);
        assert!(document_html(&DOCUMENT).contains("/v1/embeddings"));
        assert!(document_text(&DOCUMENT).contains("POST /v1/embeddings"));
    }
}
