//! Decoding in a child process, so that no file can take the program down.
//!
//! ```text
//! IsolatedDecoder ──OPEN path──► child: worker::serve ──► Clip
//!       ▲          ──MORE──────►      │
//!       └──── INFO · SAMPLES · END · FAILED
//! ```
//!
//! [`Clip`](crate::Clip) turns a decoder's panic into an error by itself; an endless loop, a stack
//! overflow or a header that asks for all memory it cannot survive. In a child they cost that child:
//! it is killed after [`Isolation::patience`] without a sample, or dies at its memory limit, the file
//! gets a typed error, and the next file gets a new child. One child decodes one file after another;
//! starting it costs milliseconds, once. The next block is decoded while the last one is used, and no
//! more than that: the child waits to be asked.

mod decoder;
mod wire;
pub mod worker;

pub use decoder::{IsolatedClip, IsolatedDecoder, Isolation};
