//! Names to folders against a hub of our own: what is fetched, what is kept, what is refused.

mod server;

mod layout;
mod network;
mod refusals;
mod resume;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use aurola_hub::{HubError, HubOptions, Patience, Plan, Progress, Transfer, Waiting, resolve};
use server::{FakeHub, Served};
use tempfile::TempDir;

/// A cache, a hub, and how the one asks the other.
struct World {
    hub: FakeHub,
    cache: TempDir,
    options: HubOptions,
}

impl World {
    fn new(files: Vec<Served>) -> Self {
        let hub = FakeHub::start(files);
        let cache = tempfile::tempdir().unwrap();
        let mut options = HubOptions::from_lookup(|_| None);
        options.endpoint = hub.address.clone();
        options.cache = cache.path().to_owned();
        options.token = None;
        options.patience = Patience {
            attempts: 3,
            first_wait: Duration::from_millis(5),
            connect: Duration::from_secs(5),
            silence: Duration::from_millis(500),
        };
        Self {
            hub,
            cache,
            options,
        }
    }

    fn resolve(&self, name: &str) -> Result<PathBuf, HubError> {
        resolve(name, &self.options, &mut aurola_hub::Silent)
    }

    fn folder(&self) -> PathBuf {
        self.cache.path().join("models--org--model")
    }

    /// What lies in the model's folder, as paths below it, in order.
    fn tree(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![self.folder()];
        while let Some(folder) = open.pop() {
            let Ok(entries) = folder.read_dir() else {
                continue;
            };
            for entry in entries.flatten() {
                if entry.file_type().unwrap().is_dir() {
                    open.push(entry.path());
                } else {
                    let path = entry.path();
                    let path = path.strip_prefix(self.folder()).unwrap();
                    found.push(path.to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

fn small(path: &str, text: &str) -> Served {
    Served {
        path: path.to_owned(),
        bytes: text.as_bytes().to_vec(),
        large: false,
    }
}

/// A large file of bytes that differ from place to place.
fn large(path: &str, len: usize) -> Served {
    let mix = |i: usize| (i.wrapping_mul(2_654_435_761) >> 13) as u8;
    Served {
        path: path.to_owned(),
        bytes: (0..len).map(mix).collect(),
        large: true,
    }
}

const WEIGHTS: usize = 3_000_000;

/// A repository as they come: a model, and much that is none of our business.
fn model() -> Vec<Served> {
    vec![
        small(".gitattributes", "* text"),
        small("1_Pooling/config.json", r#"{"pooling_mode": "lasttoken"}"#),
        small("README.md", "# A model"),
        small("chat_template.jinja", "{{ messages }}"),
        small("config.json", r#"{"model_type": "qwen2_5_omni_thinker"}"#),
        large("model.safetensors", WEIGHTS),
        large("pytorch_model.bin", 1000),
        small("tokenizer.json", "{}"),
    ]
}

/// The files of [`model`] that a model needs.
const NEEDED: [&str; 5] = [
    "1_Pooling/config.json",
    "chat_template.jinja",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
];

fn served(path: &str) -> Served {
    model().into_iter().find(|f| f.path == path).unwrap()
}

/// Remembers all it is told, and stops when `until` says so.
struct Witness<F: FnMut(&Transfer<'_>) -> bool> {
    plans: Vec<Plan>,
    done: Vec<u64>,
    waits: Vec<String>,
    until: F,
}

fn witness() -> Witness<impl FnMut(&Transfer<'_>) -> bool> {
    witness_until(|_| false)
}

fn witness_until<F: FnMut(&Transfer<'_>) -> bool>(until: F) -> Witness<F> {
    Witness {
        plans: Vec::new(),
        done: Vec::new(),
        waits: Vec::new(),
        until,
    }
}

impl<F: FnMut(&Transfer<'_>) -> bool> Progress for Witness<F> {
    fn plan(&mut self, plan: &Plan) -> ControlFlow<()> {
        self.plans.push(plan.clone());
        ControlFlow::Continue(())
    }

    fn moved(&mut self, transfer: &Transfer<'_>) -> ControlFlow<()> {
        self.done.push(transfer.done);
        if (self.until)(transfer) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn waiting(&mut self, waiting: &Waiting<'_>) -> ControlFlow<()> {
        self.waits.push(format!("{waiting:?}"));
        ControlFlow::Continue(())
    }
}
