//! The page: files built elsewhere and compiled in, and what a browser is told about all we send.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use include_dir::{Dir, include_dir};

use crate::fault::Fault;

static ASSETS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/assets");

/// Stands in `index.html` where the nonce of an answer's policy belongs.
const NONCE: &str = "__CSP_NONCE__";

/// Files that only say what the folder is for.
const OURS: &str = "README.md";

/// Whether `path` is a file of the page.
pub(crate) fn is_file(path: &str) -> bool {
    file(path).is_some()
}

fn file(path: &str) -> Option<&'static include_dir::File<'static>> {
    let name = match path {
        "/" => "index.html",
        path => path.strip_prefix('/')?,
    };
    // The table holds plain names only, so `..` and its spellings are just names that are not there.
    ASSETS.get_file(name).filter(|_| name != OURS)
}

/// The file at `path`, whole: these are small and compiled in.
pub(crate) fn answer(path: &str, headers: &HeaderMap) -> Result<Response<Body>, Fault> {
    let file =
        file(path).ok_or_else(|| Fault::not_found("there is no such route; /docs lists them"))?;
    let contents = file.contents();
    let tag = format!("\"{}\"", &blake3::hash(contents).to_hex()[..16]);
    let is_index = file
        .path()
        .extension()
        .is_some_and(|ending| ending == "html");
    let asked = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|tag| tag.to_str().ok());
    // A page holds a nonce, so it is never the same twice.
    if !is_index && asked.is_some_and(|asked| asked.split(',').any(|a| a.trim() == tag)) {
        return build(
            StatusCode::NOT_MODIFIED,
            &[(header::ETAG, &tag)],
            Body::empty(),
        );
    }
    let name = file
        .path()
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("");
    if is_index && let Ok(html) = std::str::from_utf8(contents) {
        let nonce = nonce()?;
        let policy = policy(&nonce);
        let named = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_SECURITY_POLICY, &policy),
        ];
        return build(
            StatusCode::OK,
            &named,
            Body::from(html.replace(NONCE, &nonce)),
        );
    }
    let cache = match is_hashed(name) {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let named = [
        (header::CONTENT_TYPE, kind(name)),
        (header::CACHE_CONTROL, cache),
        (header::ETAG, &tag),
    ];
    build(StatusCode::OK, &named, Body::from(contents))
}

fn build(
    status: StatusCode,
    named: &[(header::HeaderName, &str)],
    body: Body,
) -> Result<Response<Body>, Fault> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in named {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Fault::new(crate::fault::Kind::Internal, "a header that cannot be"))?;
        response.headers_mut().insert(name.clone(), value);
    }
    Ok(response)
}

fn nonce() -> Result<String, Fault> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "no random numbers");
        Fault::new(
            crate::fault::Kind::Unavailable,
            "the page cannot be sent just now",
        )
    })?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the page may do: its own scripts, styles and sounds, and nothing from anywhere else.
fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; \
         img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; font-src 'self'; \
         worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// Anything that is not the page does nothing in a browser.
const NOTHING: &str = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// What every answer tells a browser, whatever it is.
pub(crate) fn harden(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, NOTHING),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            header::HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            header::HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(self), payment=(), usb=()",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}

/// Whether a build has put a hash of the contents into the name: `index-B4x9_kQz.js`.
fn is_hashed(name: &str) -> bool {
    let Some((stem, _)) = name.rsplit_once('.') else {
        return false;
    };
    // Eight characters, of which base64 may make any a hyphen.
    stem.len() > 9
        && stem.is_char_boundary(stem.len() - 9)
        && stem.as_bytes()[stem.len() - 9] == b'-'
        && stem[stem.len() - 8..]
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        && stem[stem.len() - 8..]
            .bytes()
            .any(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_hash_are_told_apart() {
        for hashed in ["index-B4x9_kQz.js", "a-12345678.css", "worker-Dq-_aZ09.js"] {
            assert!(is_hashed(hashed), "{hashed}");
        }
        for plain in [
            "index.js",
            "favicon.svg",
            "apple-touchicon.png",
            "a-1234567.css",
            "é-x.js",
        ] {
            assert!(!is_hashed(plain), "{plain}");
        }
    }

    #[test]
    fn nothing_but_its_files_is_there() {
        for path in [
            "/../Cargo.toml",
            "/%2e%2e/Cargo.toml",
            "//index.html",
            "/README.md",
            "",
            "/.",
        ] {
            assert!(!is_file(path), "{path}");
        }
    }
}
