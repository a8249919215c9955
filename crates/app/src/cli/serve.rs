//! `aurola serve`: search, embed and re-rank for other programs, and the page.

use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use aurola_server::{IndexPlace, Keys, Parts, Served, Server, Settings, may_listen};
use clap::Args;
use clap::builder::FalseyValueParser;

use super::Common;
use crate::exit::{AppError, Ending};
use crate::interrupt::Interrupts;
use crate::listening::CutArgs;
use crate::model::ModelArgs;
use crate::places::{StoreArgs, cache_folder};

/// Serve search, embeddings and re-ranking over HTTP, and a page to search in.
///
/// Listens on this machine only. Any other address needs a key. Speaks the APIs of OpenAI, Cohere, Jina,
/// vLLM and text-embeddings-inference; /docs describes them.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The index: a folder, or its database [default: that of search]
    #[arg(long, value_name = "DIR", env = "AUROLA_INDEX")]
    index: Option<PathBuf>,
    /// Address or name to listen on
    #[arg(
        long,
        value_name = "HOST",
        default_value = "127.0.0.1",
        env = "AUROLA_HOST"
    )]
    host: String,
    /// Port; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 8080, env = "AUROLA_PORT")]
    port: u16,
    /// A re-ranker, for a model that has none of its own
    #[arg(long, value_name = "DIR|NAME", env = "AUROLA_RERANKER")]
    reranker: Option<String>,
    /// What the model is called; may be repeated, the first is what answers say
    #[arg(long, value_name = "NAME", env = "AUROLA_SERVED_MODEL_NAME")]
    served_model_name: Vec<String>,
    #[command(flatten)]
    safety: Safety,
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    cut: CutArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Who may call")]
struct Safety {
    /// A key that allows everything
    #[arg(
        long,
        value_name = "KEY",
        env = "AUROLA_API_KEY",
        hide_env_values = true
    )]
    api_key: Option<String>,
    /// A key that allows everything but changes
    #[arg(
        long,
        value_name = "KEY",
        env = "AUROLA_READ_ONLY_KEY",
        hide_env_values = true
    )]
    read_only_key: Option<String>,
    /// Listen on any address without a key
    #[arg(long, env = "AUROLA_INSECURE", value_parser = FalseyValueParser::new())]
    insecure: bool,
    /// Another name this server is called by; may be repeated
    #[arg(long, value_name = "NAME", env = "AUROLA_ALLOW_HOST")]
    allow_host: Vec<String>,
    /// Fetch sounds from https addresses that requests name
    #[arg(long, env = "AUROLA_ALLOW_REMOTE_URLS", value_parser = FalseyValueParser::new())]
    allow_remote_urls: bool,
    /// Fetch sounds from this host alone; may be repeated
    #[arg(long, value_name = "HOST", env = "AUROLA_REMOTE_HOST")]
    remote_host: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How much")]
struct Bounds {
    /// Requests under way at once; more are told to come again (429)
    #[arg(
        long,
        value_name = "N",
        default_value = "512",
        env = "AUROLA_MAX_CONCURRENT_REQUESTS"
    )]
    max_concurrent_requests: NonZeroUsize,
    /// Tokens of a batch, and of the longest text
    #[arg(
        long,
        value_name = "N",
        default_value = "16384",
        env = "AUROLA_MAX_BATCH_TOKENS"
    )]
    max_batch_tokens: NonZeroUsize,
    /// Inputs of one request
    #[arg(
        long,
        value_name = "N",
        default_value = "2048",
        env = "AUROLA_MAX_CLIENT_BATCH_SIZE"
    )]
    max_client_batch_size: NonZeroUsize,
    /// Seconds of a sound in a request
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "600",
        env = "AUROLA_MAX_SOUND_SECONDS"
    )]
    max_sound_seconds: NonZeroUsize,
    /// Megabytes of a request with sounds
    #[arg(
        long,
        value_name = "MB",
        default_value = "100",
        env = "AUROLA_MAX_BODY_MB"
    )]
    max_body_mb: NonZeroUsize,
    /// Write the log as JSON
    #[arg(long, env = "AUROLA_JSON_OUTPUT", value_parser = FalseyValueParser::new())]
    json_output: bool,
}

/// How often a signal is looked for.
const LOOK: Duration = Duration::from_millis(50);

impl Serve {
    /// Serves until a signal comes, then finishes what is under way.
    pub(crate) fn run(
        self,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        let keys = Keys::new(
            self.safety.api_key.as_deref(),
            self.safety.read_only_key.as_deref(),
        );
        let address = address(&self.host, self.port)?;
        if !may_listen(address.ip(), &keys, self.safety.insecure) {
            return Err(AppError::Usage {
                message: format!(
                    "{} can be reached from elsewhere, and no key is set",
                    self.host
                ),
                help: "--api-key KEY sets one; --insecure lets anybody in",
            });
        }
        self.start_log(common);
        let listener = TcpListener::bind(address).map_err(|error| AppError::Usage {
            message: format!("{address} cannot be listened on: {error}"),
            help: "--port N names another port, --port 0 takes a free one",
        })?;
        let listening = self.cut.listening()?;
        let settings = self.settings(keys)?;
        let server = Server::start(listener, settings)?;
        // For who reads it and waits: told before the model is loaded, which /health waits for.
        writeln!(out, "listening on http://{}", server.address())?;
        out.flush()?;
        let (model, _) = self.model.load(common, interrupts)?;
        let judge = self
            .model
            .load_reranker(self.reranker.as_deref(), common, interrupts)?;
        let model: Arc<dyn Served> = Arc::new(model);
        let judge = judge.map_or_else(|| model.clone(), |judge| Arc::new(judge) as Arc<dyn Served>);
        server.open(Parts {
            model,
            judge,
            index: Some(self.place(common)?),
            listening,
        })?;
        common.note(format!("ready: http://{}/", server.address()));
        interrupts.patiently(|cancel| {
            while !cancel.is_cancelled() {
                sleep(LOOK);
            }
            server.stop();
        });
        Ok(Ending::Done)
    }

    fn place(&self, common: &Common) -> Result<IndexPlace, AppError> {
        let store = match &self.index {
            Some(index) => index_file(index),
            None => self.store.path()?,
        };
        Ok(IndexPlace {
            store,
            name: self.model.name().to_owned(),
            readers: common.readers(),
        })
    }

    fn settings(&self, keys: Keys) -> Result<Settings, AppError> {
        let (safety, bounds) = (&self.safety, &self.bounds);
        let models = match self.served_model_name.as_slice() {
            [] => vec![shown(self.model.name())],
            names => names.to_vec(),
        };
        Ok(Settings {
            models,
            keys,
            hosts: safety.allow_host.clone(),
            remote: (safety.allow_remote_urls || !safety.remote_host.is_empty())
                .then(|| safety.remote_host.clone()),
            body_bytes: bounds.max_body_mb.get().saturating_mul(1 << 20),
            upload_s: bounds.max_sound_seconds.get() as f64,
            requests: bounds.max_concurrent_requests.get(),
            inputs: bounds.max_client_batch_size.get(),
            batch_tokens: bounds.max_batch_tokens.get(),
            cache: Some(cache_folder()?.join("pictures")),
            ..Settings::default()
        })
    }

    fn start_log(&self, common: &Common) {
        use tracing::level_filters::LevelFilter;
        let level = match (common.is_quiet(), common.is_verbose()) {
            (true, _) => LevelFilter::ERROR,
            (_, true) => LevelFilter::DEBUG,
            _ => LevelFilter::INFO,
        };
        let log = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_target(false)
            .with_writer(std::io::stderr);
        // One is set at most once, and this is the one place.
        let _ = match self.bounds.json_output {
            true => log.json().flatten_event(true).try_init(),
            false => log.with_ansi(common.has_terminal()).try_init(),
        };
    }
}

/// A folder's database; a new folder is one where the name has no ending.
pub(super) fn index_file(index: &Path) -> PathBuf {
    match index.is_dir() || (!index.exists() && index.extension().is_none()) {
        true => index.join("library.sqlite"),
        false => index.to_path_buf(),
    }
}

fn address(host: &str, port: u16) -> Result<SocketAddr, AppError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    let unknown = |why: String| AppError::Usage {
        message: format!("{host} is no address of this machine: {why}"),
        help: "--host 127.0.0.1 is this machine alone, --host 0.0.0.0 all its networks",
    };
    let found = (host, port).to_socket_addrs();
    found
        .map_err(|error| unknown(error.to_string()))?
        .next()
        .ok_or_else(|| unknown("it has none".into()))
}

/// A model's name for others: not where a folder of this machine is.
fn shown(name: &str) -> String {
    let path = Path::new(name);
    let last = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    match (path.is_dir(), last) {
        (true, Some(last)) => last,
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_a_name_of_one() {
        assert_eq!(address("127.0.0.1", 1).unwrap().to_string(), "127.0.0.1:1");
        assert_eq!(address("[::1]", 2).unwrap().to_string(), "[::1]:2");
        assert!(address("localhost", 3).unwrap().ip().is_loopback());
        assert!(address("no such name", 3).is_err());
    }

    #[test]
    fn a_folder_of_this_machine_is_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("my-model");
        std::fs::create_dir(&model).unwrap();
        assert_eq!(shown(&model.to_string_lossy()), "my-model");
        assert_eq!(shown("org/name"), "org/name");
        assert_eq!(
            index_file(folder.path()),
            folder.path().join("library.sqlite")
        );
        assert_eq!(
            index_file(Path::new("new")),
            Path::new("new/library.sqlite")
        );
        assert_eq!(index_file(Path::new("new.sqlite")), Path::new("new.sqlite"));
    }
}
