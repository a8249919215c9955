//! Data-parallel training: what the processes of one run tell each other.
//!
//! ```text
//! launcher ──► environment ──► Launch ──► Alone    one process, nothing to tell
//!              RANK, WORLD_SIZE,     └──► Sockets  rank 0 ◄──TCP──► every other rank
//!              MASTER_ADDR, MASTER_PORT
//! ```
//!
//! Every rank makes the same calls of [`Collective`] in the same order; each call returns once every
//! rank has made it, with the same bits everywhere. Calls that do not fit together are an error that
//! names both sides, and so is a rank that died: the others hear of it at once, never by hanging.
//!
//! [`Sockets`] is a star through rank 0, which for `w` ranks and `b` bytes of each receives
//! `(w − 1)·b`, and sends `(w − 1)·b` back in a sum, `(w − 1)·w·b` in a gather. That suits the gradients
//! of adapters (tens of megabytes a step) on a handful of processes. Whole models on many GPUs want
//! NCCL's rings, which would be one more implementation of the same trait.
//!
//! Nothing here is encrypted or secret: the ranks trust their network, as torch's do. The run token
//! keeps two runs from mixing by mistake, not on purpose.
//!
//! ```
//! use aurola_train::collective::{Alone, Collective};
//!
//! let mut ranks = Alone;
//! let mut gradient = [0.5, -1.0];
//! ranks.all_reduce_sum(&mut gradient)?;
//! assert_eq!(gradient, [0.5, -1.0]);
//! # Ok::<(), aurola_train::collective::CollectiveError>(())
//! ```

mod error;
mod frame;
mod launch;
mod rendezvous;
mod sockets;

pub use error::CollectiveError;
pub use launch::Launch;
pub use sockets::{SocketOptions, Sockets};

/// The ranks of a run, seen from one of them.
///
/// After an error the ranks no longer agree on where they are: every later call fails too.
pub trait Collective: Send {
    /// Which rank this is, from 0.
    fn rank(&self) -> usize;

    /// How many ranks there are, 1 or more.
    fn world(&self) -> usize;

    /// Every rank's values, in rank order; ranks may give different numbers of them, or none.
    ///
    /// # Errors
    ///
    /// [`CollectiveError`], as for every call: ranks that differ, are gone, or keep silent.
    fn all_gather(&mut self, values: &[f32]) -> Result<Vec<Vec<f32>>, CollectiveError>;

    /// Replaces `values` by their sum over the ranks: `((v₀ + v₁) + v₂) + …` in `f32`, in rank order,
    /// so the same bits on every rank and in every run of as many ranks. After an error `values` are
    /// neither the old ones nor the sum.
    ///
    /// # Errors
    ///
    /// [`CollectiveError`]; ranks whose lengths differ are a [`CollectiveError::Mismatch`].
    fn all_reduce_sum(&mut self, values: &mut [f32]) -> Result<(), CollectiveError>;

    /// Every rank's bytes, in rank order; lengths may differ.
    ///
    /// # Errors
    ///
    /// [`CollectiveError`].
    fn all_gather_bytes(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, CollectiveError>;

    /// Replaces `bytes` on every rank by those of rank `root`.
    ///
    /// # Errors
    ///
    /// [`CollectiveError`]; ranks that name another root are a [`CollectiveError::Mismatch`].
    fn broadcast_bytes(&mut self, root: usize, bytes: &mut Vec<u8>) -> Result<(), CollectiveError>;

    /// Returns once every rank is here.
    ///
    /// # Errors
    ///
    /// [`CollectiveError`].
    fn barrier(&mut self) -> Result<(), CollectiveError>;
}

/// A run of one process: every call is answered from what it was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Alone;

impl Collective for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn world(&self) -> usize {
        1
    }

    fn all_gather(&mut self, values: &[f32]) -> Result<Vec<Vec<f32>>, CollectiveError> {
        Ok(vec![values.to_vec()])
    }

    fn all_reduce_sum(&mut self, _values: &mut [f32]) -> Result<(), CollectiveError> {
        Ok(())
    }

    fn all_gather_bytes(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, CollectiveError> {
        Ok(vec![bytes.to_vec()])
    }

    fn broadcast_bytes(
        &mut self,
        root: usize,
        _bytes: &mut Vec<u8>,
    ) -> Result<(), CollectiveError> {
        if root > 0 {
            return Err(CollectiveError::Root { root, world: 1 });
        }
        Ok(())
    }

    fn barrier(&mut self) -> Result<(), CollectiveError> {
        Ok(())
    }
}

/// The ranks of the run this process was launched into, by the environment (see [`Launch`]):
/// [`Alone`] without `WORLD_SIZE` or with 1, else [`Sockets`], once all of them are there.
///
/// `token`: what must be the same on every rank for them to be one run, such as a hash of the
/// resolved recipe.
///
/// # Errors
///
/// [`CollectiveError`]: a variable that is missing or makes no sense, with its name and value; ranks
/// that do not come in time or belong to another run.
pub fn from_env(
    token: &str,
    options: SocketOptions,
) -> Result<Box<dyn Collective>, CollectiveError> {
    match Launch::from_env()? {
        None => Ok(Box::new(Alone)),
        Some(launch) => Ok(Box::new(Sockets::meet(&launch, token, options)?)),
    }
}
