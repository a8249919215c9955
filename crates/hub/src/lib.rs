//! A model's name, as a local folder: the shared Hugging Face cache and the hub.
//!
//! ```text
//! "dir" ───────────────────────────────────────────────► dir
//! "org/name@revision" ─► cache ─ whole ────────────────► snapshots/<commit>
//!                          └ not whole ─► listing ─► plan ─► download ─► link ─┘
//! ```
//!
//! The cache is the one Python's `huggingface_hub` keeps, file for file: what either program
//! fetched, the other finds, and the two may run at once. What a model does not need is not
//! fetched, and pickled weights never are.
//!
//! A model that is already whole in the cache is used as it is, without a word to the network, so
//! a search over private sounds tells nobody; [`HubOptions::refresh`] asks the hub for news.
//! Knows nothing of tensors or terminals.

#![warn(missing_docs)]

mod name;
mod options;

mod cache;
mod shelf;

mod address;
mod client;
mod download;
mod listing;
mod select;

mod error;
mod progress;
mod resolve;

pub use error::HubError;
pub use name::ModelName;
pub use options::{HubOptions, Patience, Proxies, Token};
pub use progress::{Plan, PlannedFile, Progress, Silent, Transfer, Waiting};
pub use resolve::{cached, resolve};
pub use shelf::{CachedModel, list, remove};
