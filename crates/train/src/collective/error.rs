//! What can go wrong between the ranks of a run.

use std::io;

use thiserror::Error;

/// An error between ranks. Each names the rank or the variable, and what would help.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CollectiveError {
    /// A variable of the launcher makes no sense.
    #[error("{name} is `{value}`; expected {expected}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: String,
    },
    /// A variable of the launcher is not set.
    #[error("{name} is not set, though {because}; a launcher such as torchrun sets both")]
    MissingVariable {
        /// The variable.
        name: &'static str,
        /// The other variable that calls for it, with its value.
        because: String,
    },
    /// Rank 0 cannot listen.
    #[error("rank 0 cannot listen on {address}: {source}; give a free port as MASTER_PORT")]
    Listen {
        /// Address and port.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Another rank cannot reach rank 0.
    #[error(
        "rank {rank} did not reach rank 0 at {address} in {waited_s:.0} s: {source}; does rank 0 \
         run, and are MASTER_ADDR and MASTER_PORT its own?"
    )]
    Unreachable {
        /// Who tried.
        rank: usize,
        /// Where.
        address: String,
        /// For how long.
        waited_s: f64,
        /// What the last attempt said.
        source: io::Error,
    },
    /// Not every rank came.
    #[error("of {world} ranks, {} did not come in {waited_s:.0} s", list(ranks))]
    Absent {
        /// Who is missing.
        ranks: Vec<usize>,
        /// How many there should be.
        world: usize,
        /// How long rank 0 waited.
        waited_s: f64,
    },
    /// Two ranks that are not of one run.
    #[error(
        "rank {rank} has {what} `{theirs}`, rank 0 has `{ours}`; all ranks of a run need the same"
    )]
    AnotherRun {
        /// Who came.
        rank: usize,
        /// What differs: `protocol version`, `WORLD_SIZE` or `run token`.
        what: &'static str,
        /// That of rank 0.
        ours: String,
        /// That of the one who came.
        theirs: String,
    },
    /// A rank that cannot be.
    #[error("a process came as rank {rank} of {world}, {problem}; is RANK set for each process?")]
    WrongRank {
        /// What it said.
        rank: usize,
        /// How many there are.
        world: usize,
        /// What is wrong with that.
        problem: &'static str,
    },
    /// A run token that does not fit the handshake.
    #[error("the run token has {bytes} bytes; expected at most {max}, such as a hash")]
    Token {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Ranks that make different calls.
    #[error(
        "rank 0 makes {ours}, and rank {rank} {theirs}; every rank must make the same calls in the \
         same order, with the same lengths where they are summed"
    )]
    Mismatch {
        /// Whose call differs from that of rank 0.
        rank: usize,
        /// That of rank 0.
        ours: String,
        /// That of the other.
        theirs: String,
    },
    /// A rank's process ended, or its connection did.
    #[error("rank {rank} is gone, in {call}; what it wrote last says why")]
    Gone {
        /// Who.
        rank: usize,
        /// What was going on.
        call: String,
    },
    /// Ranks that are there and do not answer.
    #[error(
        "no answer from {} in {waited_s:.0} s, in {call}; a hanging process, or a step that needs a \
         longer time-out",
        list(ranks)
    )]
    Silent {
        /// Who.
        ranks: Vec<usize>,
        /// For how long.
        waited_s: f64,
        /// What was going on.
        call: String,
    },
    /// More than may be sent at once.
    #[error("rank {rank} sends {bytes} bytes in one call; `max_bytes` is {max}")]
    TooLong {
        /// Who.
        rank: usize,
        /// How much.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// A rank whose words cannot be read.
    #[error("rank {rank} sends {problem}; does every rank run the same build?")]
    Garbled {
        /// Who.
        rank: usize,
        /// What is wrong.
        problem: String,
    },
    /// The connection to a rank fails, and not by ending.
    #[error("rank {rank}, in {call}: {source}")]
    Network {
        /// Who.
        rank: usize,
        /// What was going on.
        call: String,
        /// What the system says.
        source: io::Error,
    },
    /// Another rank met an error and told us.
    #[error("rank {by} stopped the run: {reason}")]
    Stopped {
        /// Who.
        by: usize,
        /// Its error.
        reason: String,
    },
    /// A call after one that failed.
    #[error("the ranks parted earlier: {reason}")]
    Over {
        /// The first error.
        reason: String,
    },
    /// A broadcast from a rank that does not exist.
    #[error("there is no rank {root} to broadcast from, of {world}")]
    Root {
        /// The rank asked for.
        root: usize,
        /// How many there are.
        world: usize,
    },
}

/// `rank 2`, `ranks 2, 3`; of many, the first eight.
fn list(ranks: &[usize]) -> String {
    let names: Vec<String> = ranks.iter().take(8).map(ToString::to_string).collect();
    let names = names.join(", ");
    match ranks.len() {
        1 => format!("rank {names}"),
        2..=8 => format!("ranks {names}"),
        more => format!("ranks {names} and {} more", more.saturating_sub(8)),
    }
}
