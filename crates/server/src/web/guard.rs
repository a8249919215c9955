//! Who may call: names against DNS rebinding, origins against other pages, keys against others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, Uri, header};

use crate::fault::{Fault, Kind};
use crate::settings::{Access, Settings};

/// How long a browser stays signed in.
const SESSION: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The name of the cookie.
pub(crate) const COOKIE: &str = "aurola_session";

/// Sessions of browsers that showed a key, by the hash of what the cookie holds.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<blake3::Hash, (Access, Instant)>>);

impl Sessions {
    /// Begins one and gives what the cookie shall hold.
    pub(crate) fn begin(&self, access: Access) -> Result<String, Fault> {
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random).map_err(|error| {
            tracing::error!(%error, "no random numbers");
            Fault::new(Kind::Unavailable, "no session can be made just now")
        })?;
        let token = blake3::hash(&random).to_hex().to_string();
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        sessions.retain(|_, (_, until)| *until > now);
        sessions.insert(blake3::hash(token.as_bytes()), (access, now + SESSION));
        Ok(token)
    }

    pub(crate) fn end(&self, token: &str) {
        let hash = blake3::hash(token.as_bytes());
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&hash);
    }

    fn access(&self, token: &str) -> Option<Access> {
        let hash = blake3::hash(token.as_bytes());
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (access, until) = sessions.get(&hash)?;
        (*until > Instant::now()).then_some(*access)
    }
}

/// Whether a route may be had without a key: it says nothing about anybody.
fn is_open(path: &str) -> bool {
    matches!(
        path,
        "/health"
            | "/livez"
            | "/readyz"
            | "/healthz"
            | "/ping"
            | "/v1/session"
            | "/openapi.json"
            | "/docs"
            | "/docs.css"
            | "/llms.txt"
    )
}

/// What a request may do, or why nothing. `is_page`: the route is a file of the page itself.
pub(crate) fn admit(
    settings: &Settings,
    sessions: &Sessions,
    is_loopback: bool,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    is_page: bool,
) -> Result<Access, Fault> {
    let host = host(uri, headers)?;
    check_host(settings, is_loopback, host)?;
    check_origin(method, host, headers)?;
    if settings.keys.is_open() {
        return Ok(Access::Write);
    }
    match (
        access(settings, sessions, headers),
        is_page || is_open(uri.path()),
    ) {
        (Some(access), _) => Ok(access),
        (None, true) => Ok(Access::Read),
        (None, false) => Err(
            Fault::new(Kind::Unauthorized, "a key is needed, and this is none")
                .help("send it as `Authorization: Bearer KEY`"),
        ),
    }
}

fn access(settings: &Settings, sessions: &Sessions, headers: &HeaderMap) -> Option<Access> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION.as_str()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    if let Some(key) = bearer.or_else(|| text("x-api-key")) {
        return settings.keys.access(key);
    }
    cookie(headers).and_then(|token| sessions.access(token))
}

/// What the session's cookie holds.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    (headers.get_all(header::COOKIE).iter())
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// The one host that a request names.
fn host<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Result<&'r str, Fault> {
    let mut named = headers.get_all(header::HOST).iter();
    let (first, second) = (named.next(), named.next());
    if second.is_some() {
        return Err(Fault::bad("more than one Host"));
    }
    let named = match (uri.authority(), first) {
        (Some(authority), _) => Some(authority.as_str()),
        (None, Some(host)) => host.to_str().ok(),
        (None, None) => None,
    };
    named
        .filter(|host| !host.is_empty() && !host.contains('@'))
        .ok_or_else(|| Fault::bad("no Host"))
}

/// A page elsewhere can have its own name resolve to this machine; then the browser takes our
/// answers for that page's. It still sends that name.
fn check_host(settings: &Settings, is_loopback: bool, host: &str) -> Result<(), Fault> {
    if !is_loopback && settings.hosts.is_empty() {
        return Ok(());
    }
    let name = name_of(host);
    let is_ours = name.eq_ignore_ascii_case("localhost")
        || (name.parse::<std::net::IpAddr>()).is_ok_and(|address| address.is_loopback())
        || (settings.hosts.iter())
            .any(|mine| mine.eq_ignore_ascii_case(name) || mine.eq_ignore_ascii_case(host));
    match is_ours {
        true => Ok(()),
        false => Err(
            Fault::new(Kind::Forbidden, "this server is not called that")
                .help("`aurola serve --allow-host NAME` lets it be"),
        ),
    }
}

/// `name:port`, `[v6]:port`, `name` as the name alone.
fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Pages of other servers may not make a browser call us; who opens us in a tab may.
fn check_origin(method: &Method, host: &str, headers: &HeaderMap) -> Result<(), Fault> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let foreign = || {
        Fault::new(
            Kind::Forbidden,
            "a page of another server may not call this one",
        )
    };
    if let Some(origin) = headers.get(header::ORIGIN) {
        let ours = (origin.to_str().ok())
            .and_then(|origin| origin.split_once("://"))
            .is_some_and(|(_, name)| name.eq_ignore_ascii_case(host));
        if !ours {
            return Err(foreign());
        }
    }
    let is_visit = method == Method::GET && text("sec-fetch-mode") == Some("navigate");
    match text("sec-fetch-site") {
        Some("cross-site" | "same-site") if !is_visit => Err(foreign()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Keys;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name: header::HeaderName = name.parse().unwrap();
                (name, value.parse().unwrap())
            })
            .collect()
    }

    fn kind(settings: &Settings, path: &str, pairs: &[(&str, &str)]) -> Result<Access, Kind> {
        let sessions = Sessions::default();
        let uri: Uri = path.parse().unwrap();
        admit(
            settings,
            &sessions,
            true,
            &Method::GET,
            &uri,
            &headers(pairs),
            false,
        )
        .map_err(|fault| fault.kind())
    }

    #[test]
    fn a_name_that_is_not_ours_is_a_rebound_one() {
        let mut settings = Settings::default();
        for ours in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:1",
            "[::1]:9",
            "LOCALHOST",
        ] {
            assert_eq!(
                kind(&settings, "/", &[("host", ours)]),
                Ok(Access::Write),
                "{ours}"
            );
        }
        for other in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "evil@localhost",
            "192.168.1.2",
            "[::2]:9",
        ] {
            assert!(kind(&settings, "/", &[("host", other)]).is_err(), "{other}");
        }
        assert_eq!(kind(&settings, "/", &[]), Err(Kind::Bad));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(kind(&settings, "/", &twice), Err(Kind::Bad));
        settings.hosts = vec!["sounds.lan".into()];
        assert!(kind(&settings, "/", &[("host", "sounds.lan:80")]).is_ok());
    }

    #[test]
    fn another_page_may_not_call() {
        let settings = Settings::default();
        let with = |name, value| {
            kind(
                &settings,
                "/v1/search",
                &[("host", "localhost:1"), (name, value)],
            )
        };
        assert!(with("origin", "http://localhost:1").is_ok());
        assert_eq!(with("origin", "http://localhost:2"), Err(Kind::Forbidden));
        assert_eq!(with("origin", "https://evil.example"), Err(Kind::Forbidden));
        assert_eq!(with("origin", "null"), Err(Kind::Forbidden));
        assert!(with("sec-fetch-site", "same-origin").is_ok());
        assert_eq!(with("sec-fetch-site", "cross-site"), Err(Kind::Forbidden));
    }

    #[test]
    fn with_keys_only_health_and_docs_are_open() {
        let settings = Settings {
            keys: Keys::new(Some("all"), Some("some")),
            ..Settings::default()
        };
        let host = ("host", "localhost");
        assert_eq!(
            kind(&settings, "/v1/search", &[host]),
            Err(Kind::Unauthorized)
        );
        assert_eq!(kind(&settings, "/health", &[host]), Ok(Access::Read));
        let key = |value| kind(&settings, "/v1/search", &[host, ("authorization", value)]);
        assert_eq!(key("Bearer all"), Ok(Access::Write));
        assert_eq!(key("bearer some"), Ok(Access::Read));
        assert_eq!(key("Bearer wrong"), Err(Kind::Unauthorized));
        assert_eq!(key("Basic all"), Err(Kind::Unauthorized));
        let other = [host, ("cookie", "aurola_session=nonsense")];
        assert_eq!(
            kind(&settings, "/v1/search", &other),
            Err(Kind::Unauthorized)
        );
    }
}
