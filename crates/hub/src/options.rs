//! Where the cache is, who we are to the hub, and how long we wait: read from the variables that
//! Python's `huggingface_hub` reads, with the same meaning.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The hub that is asked where `HF_ENDPOINT` names no other.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// How names are resolved. [`HubOptions::from_env`] is what a program wants.
#[derive(Debug, Clone, PartialEq)]
pub struct HubOptions {
    /// The folder that holds `models--org--name`: `HF_HUB_CACHE`, or the old
    /// `HUGGINGFACE_HUB_CACHE`, or `$HF_HOME/hub`, or `$XDG_CACHE_HOME/huggingface/hub`, or
    /// `~/.cache/huggingface/hub`.
    pub cache: PathBuf,
    /// The hub's address without a slash at its end: `HF_ENDPOINT`.
    pub endpoint: String,
    /// Who is asking: `HF_TOKEN`, or the file at `HF_TOKEN_PATH` or `$HF_HOME/token`. None where
    /// `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set.
    pub token: Option<Token>,
    /// What forbids the network, by name (`HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE`, or a flag of
    /// the program's own); none where nothing does. While it is set no socket is opened.
    pub offline: Option<String>,
    /// Ask the hub what the revision points at now, even where the cache holds a whole model.
    pub refresh: bool,
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`.
    pub proxies: Proxies,
    /// Certificates to trust instead of the built-in ones, PEM: `SSL_CERT_FILE`, or
    /// `REQUESTS_CA_BUNDLE`. What a company's own authority needs.
    pub certificates: Option<PathBuf>,
    /// How long to wait, and how often to try.
    pub patience: Patience,
}

/// How long to wait for the network, and how often to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// Attempts in a row that move nothing, default 5; then the error is reported.
    pub attempts: u32,
    /// Wait after the first failed attempt, default 0.5 s; doubled each time, up to 16 times.
    pub first_wait: Duration,
    /// Longest wait for a connection, default 10 s.
    pub connect: Duration,
    /// Longest silence of a server in the middle of an answer, default 30 s.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_wait: Duration::from_millis(500),
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
        }
    }
}

/// The proxies to go through, as addresses; empty means a direct connection.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    /// For `https` addresses.
    pub https: Option<String>,
    /// For `http` addresses.
    pub http: Option<String>,
    /// Hosts that are reached directly, separated by commas.
    pub none_for: Option<String>,
}

/// Says which proxies are set, never their addresses: those may hold a password.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("https", &self.https.is_some())
            .field("http", &self.http.is_some())
            .field("none_for", &self.none_for)
            .finish()
    }
}

/// A secret that says who is asking. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token in `text`, without the line breaks and spaces around it; none where that leaves
    /// nothing, or something that cannot be sent.
    pub fn new(text: &str) -> Option<Self> {
        let clean = text.replace(['\r', '\n'], "").trim().to_owned();
        let sendable = !clean.is_empty() && clean.bytes().all(|b| b.is_ascii_graphic());
        sendable.then_some(Self(clean))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl HubOptions {
    /// Reads the process's environment, and the token's file.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// Reads the variables through `lookup`: what [`HubOptions::from_env`] does, testable.
    ///
    /// A variable that is set but empty counts as not set.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let env = Environment { lookup: &lookup };
        let home = env
            .path("HF_HOME")
            .or_else(|| Some(env.path("XDG_CACHE_HOME")?.join("huggingface")))
            .unwrap_or_else(|| env.home().join(".cache/huggingface"));
        let cache = env
            .path("HF_HUB_CACHE")
            .or_else(|| env.path("HUGGINGFACE_HUB_CACHE"))
            .unwrap_or_else(|| home.join("hub"));
        let token_file = env
            .path("HF_TOKEN_PATH")
            .unwrap_or_else(|| home.join("token"));
        let token = if env.is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            None
        } else {
            env.text("HF_TOKEN")
                .or_else(|| env.text("HUGGING_FACE_HUB_TOKEN"))
                .and_then(|text| Token::new(&text))
                .or_else(|| Token::new(&std::fs::read_to_string(token_file).ok()?))
        };
        // The first of the two that is set decides, as in Python: `HF_HUB_OFFLINE=0` switches the
        // network on even beside `TRANSFORMERS_OFFLINE=1`.
        let offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
            .into_iter()
            .find(|name| env.text(name).is_some())
            .filter(|name| env.is_true(name))
            .map(str::to_owned);
        let either = |upper: &str, lower: &str| env.text(lower).or_else(|| env.text(upper));
        let any = either("ALL_PROXY", "all_proxy");
        Self {
            cache,
            endpoint: env
                .text("HF_ENDPOINT")
                .map(|text| text.trim_end_matches('/').to_owned())
                .unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()),
            token,
            offline,
            refresh: false,
            proxies: Proxies {
                https: either("HTTPS_PROXY", "https_proxy").or_else(|| any.clone()),
                http: either("HTTP_PROXY", "http_proxy").or(any),
                none_for: either("NO_PROXY", "no_proxy"),
            },
            certificates: env
                .path("SSL_CERT_FILE")
                .or_else(|| env.path("REQUESTS_CA_BUNDLE")),
            patience: Patience::default(),
        }
    }
}

/// Variables, read the way Python's `os.path.expanduser` and `expandvars` do.
struct Environment<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Environment<'_> {
    fn raw(&self, name: &str) -> Option<OsString> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<String> {
        let value = self.raw(name)?.to_string_lossy().trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    fn is_true(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| {
            matches!(
                value.to_ascii_uppercase().as_str(),
                "1" | "ON" | "YES" | "TRUE"
            )
        })
    }

    /// A path, with `~` and `$NAME` or `${NAME}` replaced. One that is not Unicode is taken as is.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let value = self.raw(name)?;
        let Some(text) = value.to_str() else {
            return Some(PathBuf::from(value));
        };
        let text = self.with_variables(text);
        Some(match text.strip_prefix('~') {
            Some("") => self.home(),
            Some(rest) if rest.starts_with('/') => self.home().join(&rest[1..]),
            _ => PathBuf::from(text),
        })
    }

    fn home(&self) -> PathBuf {
        self.raw("HOME")
            .or_else(|| self.raw("USERPROFILE"))
            .map(PathBuf::from)
            .or_else(std::env::home_dir)
            .unwrap_or_else(|| PathBuf::from("."))
    }

    /// Replaces variables that are set; others stay as they are written.
    fn with_variables(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let (name, used) = match after.strip_prefix('{').and_then(|s| s.split_once('}')) {
                Some((name, _)) => (name, name.len() + 2),
                None => {
                    let len = after.find(|c| !word(c)).unwrap_or(after.len());
                    (&after[..len], len)
                }
            };
            match (self.lookup)(name).filter(|_| !name.is_empty()) {
                Some(value) => out.push_str(&value.to_string_lossy()),
                None => out.push_str(&rest[at..at + 1 + used]),
            }
            rest = &after[used..];
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(vars: &[(&str, &str)]) -> HubOptions {
        HubOptions::from_lookup(|name| {
            let home = [("HOME", "/ada")];
            let found = vars.iter().chain(&home).find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_cache_is_where_python_would_look() {
        let cache = |vars: &[(&str, &str)]| with(vars).cache.to_str().unwrap().to_owned();
        assert_eq!(cache(&[]), "/ada/.cache/huggingface/hub");
        let mut vars = vec![("XDG_CACHE_HOME", "/x")];
        assert_eq!(cache(&vars), "/x/huggingface/hub");
        vars.push(("HF_HOME", "~/hf"));
        assert_eq!(cache(&vars), "/ada/hf/hub");
        vars.push(("HUGGINGFACE_HUB_CACHE", "$HOME/old/${XDG_CACHE_HOME}"));
        assert_eq!(cache(&vars), "/ada/old//x");
        vars.push(("HF_HUB_CACHE", "/new/$NOBODY"));
        assert_eq!(cache(&vars), "/new/$NOBODY");
        assert_eq!(
            cache(&[("HF_HUB_CACHE", "")]),
            "/ada/.cache/huggingface/hub"
        );
    }

    #[test]
    fn the_first_offline_variable_that_is_set_decides() {
        assert_eq!(with(&[]).offline, None);
        for on in ["1", "on", "YES", "True"] {
            let options = with(&[("HF_HUB_OFFLINE", on)]);
            assert_eq!(options.offline.as_deref(), Some("HF_HUB_OFFLINE"), "{on}");
        }
        let options = with(&[("TRANSFORMERS_OFFLINE", "1")]);
        assert_eq!(options.offline.as_deref(), Some("TRANSFORMERS_OFFLINE"));
        let both = [("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")];
        assert_eq!(with(&both).offline, None);
    }

    #[test]
    fn the_token_comes_from_the_variable_then_the_file_unless_that_is_switched_off() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "from-file\n").unwrap();
        std::fs::write(dir.path().join("other"), " from-other \r\n").unwrap();
        let home = dir.path().to_str().unwrap();
        let other = dir.path().join("other");
        let token = |more: &[(&str, &str)]| {
            let mut vars = vec![("HF_HOME", home)];
            vars.extend(more);
            with(&vars).token.map(|token| token.reveal().to_owned())
        };
        assert_eq!(token(&[]).as_deref(), Some("from-file"));
        let path = ("HF_TOKEN_PATH", other.to_str().unwrap());
        assert_eq!(token(&[path]).as_deref(), Some("from-other"));
        let named = ("HF_TOKEN", "\tfrom-variable\n");
        assert_eq!(token(&[path, named]).as_deref(), Some("from-variable"));
        let off = ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
        assert_eq!(token(&[path, named, off]), None);
        assert_eq!(token(&[("HF_TOKEN_PATH", "/nowhere")]), None);
    }

    #[test]
    fn secrets_are_not_printed() {
        let options = with(&[
            ("HF_TOKEN", "hf_secret"),
            ("HTTPS_PROXY", "http://ada:secret@proxy:3128"),
            ("all_proxy", "http://any:1"),
        ]);
        let printed = format!("{options:?}");
        assert!(!printed.contains("secret"), "{printed}");
        assert_eq!(options.proxies.http.as_deref(), Some("http://any:1"));
    }

    #[test]
    fn the_endpoint_has_no_slash_at_its_end() {
        let options = with(&[("HF_ENDPOINT", "http://mirror:8080/hub//")]);
        assert_eq!(options.endpoint, "http://mirror:8080/hub");
        assert_eq!(with(&[]).endpoint, DEFAULT_ENDPOINT);
    }
}
