//! The engine over HTTP: the APIs that clients already speak, search, and the page.
//!
//! ```text
//! socket ─► web: who may call, bounds ─► api: a route's own form ─► inputs ─► queue ─► model
//!                                          └► index, sounds, page
//! ```
//!
//! Everything of HTTP is in this crate, and nothing of the engine knows it. Handlers are
//! asynchronous; the model is not, and has a thread and a queue of its own (`model/queue.rs`);
//! sounds are decoded in child processes by threads of their own (`sound/ears.rs`).
//!
//! Safe unless told otherwise: only loopback without a key, no name but loopback's, nothing fetched
//! from the network, no file but those of the index, no other page as a caller.

#![warn(missing_docs)]

mod fault;
mod metrics;
mod settings;

mod web;

mod item;
mod sound;

mod model;

mod inputs;

mod shelf;

mod api;
mod mcp;

mod app;
mod server;

pub use mcp::serve_mcp;
pub use model::{Served, Token};
pub use server::{Parts, Server, ServerError};
pub use settings::{Keys, Settings, may_listen};
pub use shelf::IndexPlace;

pub(crate) use app::App;
