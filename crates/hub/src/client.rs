//! One conversation with a hub: redirects, who is told the token, what a status means, and which
//! failures are worth another attempt.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, Response, StatusCode, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};

use crate::address::{encoded, redirected, same_origin, shown, shown_text};
use crate::{HubError, HubOptions, ModelName, Patience, Progress, Waiting};

/// A redirect more than this many times is a loop.
const MAX_REDIRECTS: usize = 10;
/// A hub that asks for more patience than this is reported instead of waited for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

pub(crate) struct Client<'a> {
    agent: Agent,
    https_proxy: Option<Proxy>,
    http_proxy: Option<Proxy>,
    options: &'a HubOptions,
    model: &'a ModelName,
    endpoint: Uri,
    reached: Cell<bool>,
}

/// Why an attempt failed, and whether another may do better.
pub(crate) struct Failure {
    pub(crate) error: HubError,
    pub(crate) again: Again,
}

/// Whether another attempt may do better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It would fail in the same way.
    No,
    /// It may, after our usual wait.
    Soon,
    /// It may, after the wait the hub asks for.
    After(Duration),
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        let again = Again::No;
        Self { error, again }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Head,
}

impl<'a> Client<'a> {
    /// Opens no socket yet.
    ///
    /// # Errors
    ///
    /// [`HubError::Setting`] for an endpoint, a proxy or a file of certificates that cannot be
    /// used.
    pub(crate) fn new(options: &'a HubOptions, model: &'a ModelName) -> Result<Self, HubError> {
        let endpoint: Option<Uri> = options.endpoint.parse().ok();
        let endpoint = endpoint
            .filter(|uri| {
                uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https"))
            })
            .ok_or_else(|| HubError::Setting {
                setting: "HF_ENDPOINT",
                reason: format!("`{}` is not an address", options.endpoint),
            })?;
        let mut tls = TlsConfig::builder();
        if let Some(path) = &options.certificates {
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates(path)?));
        }
        let Patience {
            connect, silence, ..
        } = options.patience;
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .user_agent(concat!("aurola/", env!("CARGO_PKG_VERSION")))
            // A compressed answer would have another size than the one announced.
            .accept_encoding("identity")
            .http_status_as_error(false)
            // Followed by hand, so that the token goes to the hub alone.
            .max_redirects(0)
            .timeout_connect(Some(connect))
            .timeout_recv_response(Some(silence))
            .timeout_per_read(Some(silence))
            .proxy(None)
            .build()
            .new_agent();
        let none_for = options.proxies.none_for.as_deref().unwrap_or_default();
        let proxy = |address: &Option<String>, setting| match address {
            Some(address) => proxy(address, none_for, setting).map(Some),
            None => Ok(None),
        };
        Ok(Self {
            agent,
            https_proxy: proxy(&options.proxies.https, "HTTPS_PROXY")?,
            http_proxy: proxy(&options.proxies.http, "HTTP_PROXY")?,
            options,
            model,
            endpoint,
            reached: Cell::new(false),
        })
    }

    /// The model's page, for a person to open.
    pub(crate) fn page(&self) -> String {
        format!("{}/{}", self.options.endpoint, self.model.id())
    }

    /// Where the hub lists the files of the model's revision, with their sizes and hashes.
    pub(crate) fn listing_url(&self) -> String {
        let revision = encoded(self.model.revision(), "");
        let endpoint = &self.options.endpoint;
        format!(
            "{endpoint}/api/models/{}/revision/{revision}?blobs=true",
            self.model.id()
        )
    }

    /// Where the hub keeps a file.
    pub(crate) fn file_url(&self, commit: &str, file: &str) -> String {
        format!("{}/resolve/{commit}/{}", self.page(), encoded(file, "/"))
    }

    /// Asks for `url`, from byte `from` on, following redirects. A status that is not success is
    /// an error, but for 416 (there is nothing from that byte on), which the caller understands.
    pub(crate) fn get(&self, url: &str, from: u64) -> Result<Response<Body>, Failure> {
        self.follow(Method::Get, url, from)
    }

    /// What the hub itself says of a file: the headers of the first answer that describes it,
    /// which may be a redirect to where the bytes are.
    pub(crate) fn head(&self, url: &str) -> Result<HeaderMap, Failure> {
        self.follow(Method::Head, url, 0)
            .map(|answer| answer.into_parts().0.headers)
    }

    fn follow(&self, method: Method, url: &str, from: u64) -> Result<Response<Body>, Failure> {
        let mut at: Uri = url.parse().map_err(|_| protocol(url, "not an address"))?;
        // Once off the hub, never told the token again, not even on the way back.
        let mut at_home = true;
        for _ in 0..=MAX_REDIRECTS {
            at_home &= same_origin(&at, &self.endpoint);
            let answer = self.ask(method, &at, from, at_home)?;
            let status = answer.status();
            if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE && from > 0 {
                return Ok(answer);
            }
            if !status.is_redirection() {
                return Err(self.refusal(&at, &answer, at_home));
            }
            if method == Method::Head && answer.headers().contains_key("x-linked-etag") {
                return Ok(answer);
            }
            let next = header(answer.headers(), "location")
                .and_then(|location| redirected(&at, location))
                .ok_or_else(|| protocol(&shown(&at), "a redirect to nowhere"))?;
            if at.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(protocol(&shown(&at), "a redirect from https to http").into());
            }
            at = next;
        }
        Err(protocol(url, "a loop of redirects").into())
    }

    fn ask(
        &self,
        method: Method,
        at: &Uri,
        from: u64,
        with_token: bool,
    ) -> Result<Response<Body>, Failure> {
        let mut request = match method {
            Method::Get => self.agent.get(at.clone()),
            Method::Head => self.agent.head(at.clone()),
        };
        if let Some(token) = self.options.token.as_ref().filter(|_| with_token) {
            request = request.header("authorization", format!("Bearer {}", token.reveal()));
        }
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
        }
        let proxy = match at.scheme_str() {
            Some("https") => &self.https_proxy,
            _ => &self.http_proxy,
        };
        let answer = request.config().proxy(proxy.clone()).build().call();
        let answer = answer.map_err(|error| self.broken(&shown(at), error))?;
        self.reached.set(true);
        Ok(answer)
    }

    /// An attempt that ended without an answer, or in the middle of one.
    pub(crate) fn broken(&self, url: &str, error: ureq::Error) -> Failure {
        use ureq::Error;
        let never_reached = !self.reached.get();
        let passing = match &error {
            // Certificates that are not trusted come as this kind.
            Error::Io(error) => error.kind() != io::ErrorKind::InvalidData,
            Error::Timeout(_)
            | Error::HostNotFound
            | Error::ConnectionFailed
            | Error::ConnectProxyFailed(_)
            | Error::Protocol(_) => true,
            _ => false,
        };
        let again = if passing && !never_reached {
            Again::Soon
        } else {
            // A hub that has never answered is not asked twice: there is no network.
            Again::No
        };
        let mut reason = error.to_string();
        if reason.contains("certificate") {
            reason.push_str("; set SSL_CERT_FILE to the certificates to trust");
        }
        Failure {
            error: HubError::Network {
                url: shown_text(url),
                reason,
                never_reached,
                source: Some(Box::new(error)),
            },
            again,
        }
    }

    /// What a status that is not success means.
    fn refusal(&self, at: &Uri, answer: &Response<Body>, at_home: bool) -> Failure {
        let (status, headers) = (answer.status(), answer.headers());
        let code = header(headers, "x-error-code").unwrap_or_default();
        let message = header(headers, "x-error-message")
            .or(status.canonical_reason())
            .unwrap_or("an error");
        let (name, page) = (self.model.to_string(), self.page());
        let other = HubError::Status {
            url: shown(at),
            status: status.as_u16(),
            message: message.to_owned(),
        };
        let anonymous = self.options.token.is_none();
        let error = match (at_home, status.as_u16(), code) {
            // A signed address that has run out. A fresh one comes from the hub.
            (false, 401 | 403 | 404, _) => {
                let again = Again::Soon;
                return Failure {
                    error: other,
                    again,
                };
            }
            (true, 401 | 403, "GatedRepo") => HubError::Gated { name, page },
            (true, 404, "RevisionNotFound") => HubError::NoSuchRevision {
                name: self.model.id().to_owned(),
                revision: self.model.revision().to_owned(),
                page,
            },
            (true, 404, "EntryNotFound") => other,
            // To someone it does not know, a hub does not tell missing from private.
            (true, 401, "RepoNotFound") | (true, 404, _) => HubError::NotFound { name, page },
            (true, 401, _) if anonymous => HubError::NotFound { name, page },
            (true, 401 | 403, _) => HubError::Unauthorized {
                name,
                page,
                message: message.to_owned(),
            },
            (_, 408 | 425 | 429 | 500 | 502 | 503 | 504, _) => {
                let again = match header(headers, "retry-after").map(str::parse) {
                    Some(Ok(seconds)) => Again::After(Duration::from_secs(seconds)),
                    _ => Again::Soon,
                };
                return Failure {
                    error: other,
                    again,
                };
            }
            _ => other,
        };
        error.into()
    }
}

/// Counts the failures in a row, and waits between them.
pub(crate) struct Attempts<'a> {
    patience: &'a Patience,
    model: &'a ModelName,
    failed: u32,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(options: &'a HubOptions, model: &'a ModelName) -> Self {
        Self {
            patience: &options.patience,
            model,
            failed: 0,
        }
    }

    /// The last attempt got somewhere, even if it broke in the end.
    pub(crate) fn got_somewhere(&mut self) {
        self.failed = 0;
    }

    /// Waits for the next attempt, or returns the error where there is to be none.
    pub(crate) fn after(
        &mut self,
        failure: Failure,
        progress: &mut dyn Progress,
    ) -> Result<(), HubError> {
        self.failed += 1;
        let wait = match failure.again {
            Again::No => return Err(failure.error),
            Again::After(wait) if wait > LONGEST_RETRY_AFTER => return Err(failure.error),
            Again::After(wait) => wait,
            Again::Soon => self.patience.first_wait * 2_u32.pow((self.failed - 1).min(4)),
        };
        if self.failed >= self.patience.attempts {
            return Err(failure.error);
        }
        let reason = failure.error.to_string();
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let reason = reason.as_str();
            if progress
                .waiting(&Waiting::Retry { reason, left })
                .is_break()
            {
                return Err(HubError::Stopped {
                    name: self.model.to_string(),
                });
            }
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(Duration::from_millis(100)));
        }
    }
}

/// A header's value, where it is readable.
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// For an answer that no hub would give.
pub(crate) fn protocol(url: &str, reason: impl Into<String>) -> HubError {
    HubError::Protocol {
        url: shown_text(url),
        reason: reason.into(),
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, HubError> {
    let setting = |reason: String| HubError::Setting {
        setting: "SSL_CERT_FILE",
        reason: format!("{}: {reason}", path.display()),
    };
    let pem = std::fs::read(path).map_err(|error| setting(error.to_string()))?;
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(setting(error.to_string())),
        }
    }
    if found.is_empty() {
        return Err(setting("no certificate in it".to_owned()));
    }
    Ok(found)
}

/// `address` as a proxy that hosts in `none_for` go around, with their subdomains.
fn proxy(address: &str, none_for: &str, setting: &'static str) -> Result<Proxy, HubError> {
    let failed = |error: ureq::Error| HubError::Setting {
        setting,
        reason: error.to_string(),
    };
    let plain = Proxy::new(address).map_err(failed)?;
    let mut builder = Proxy::builder(plain.protocol())
        .host(plain.host())
        .port(plain.port());
    if let Some(username) = plain.username() {
        builder = builder.username(username);
    }
    if let Some(password) = plain.password() {
        builder = builder.password(password);
    }
    for host in none_for.split(',').map(str::trim) {
        if host.is_empty() {
            continue;
        }
        builder = builder.no_proxy(host);
        if !host.starts_with(['.', '*']) {
            builder = builder.no_proxy(&format!(".{host}"));
        }
    }
    builder.build().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_without_a_proxy_are_met_with_their_subdomains() {
        let proxy = proxy(
            "http://ada:p%40ss@proxy:3128",
            "hub.local, .lan",
            "HTTPS_PROXY",
        )
        .unwrap();
        assert_eq!(proxy.password(), Some("p@ss"));
        for (address, around) in [
            ("https://hub.local/x", true),
            ("https://cdn.hub.local/x", true),
            ("https://nothub.local/x", false),
            ("https://a.lan/x", true),
            ("https://elsewhere/x", false),
        ] {
            assert_eq!(
                proxy.is_no_proxy(&address.parse::<Uri>().unwrap()),
                around,
                "{address}"
            );
        }
    }
}
