//! Sounds of requests and of the index: fetched, decoded in child processes, as spectrograms.

mod ears;
mod remote;

pub(crate) use ears::{Ears, Heard};
pub(crate) use remote::Remote;
