//! The model behind the server: what it must offer, and the line in front of it.

mod queue;
mod queued;
mod served;

pub(crate) use queue::{Prepared, Queue, QueueOptions, fault};
pub(crate) use queued::{Queued, giving_way, refusal, with_texts};
pub use served::{Served, Token};
