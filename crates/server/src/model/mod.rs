//! The model behind the server: what it must offer, and the line in front of it.

mod queue;
mod served;

pub(crate) use queue::{Prepared, Queue, QueueOptions, fault};
pub use served::{Served, Token};
