//! From a scene to words: lexicon in the families, phrases, sentences, and sentences that are wrong.

mod caption;
mod near_miss;
mod phrase;

pub use caption::Captions;
pub(crate) use caption::captions;
pub use near_miss::{NearMiss, NearMissKind};
pub(crate) use near_miss::{exact_caption, near_misses};
pub(crate) use phrase::{bare, participle};
