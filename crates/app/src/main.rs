//! The program `aurola`: find any sound by describing it.
//!
//! ```text
//! arguments ─► cli (one file for each subcommand) ─► the engine ─► present (table, JSON, CSV)
//!                                                      └► progress (stderr)
//! ```
//!
//! A subcommand parses, calls and presents; everything it calls is in the library crates. Only
//! here are a terminal, an exit code and a signal known. Results go to stdout, everything else to
//! stderr.

#![warn(missing_docs)]

mod exit;
mod interrupt;

mod cli;
mod listening;
mod model;
mod places;

mod present;
mod progress;
mod stdin;
mod wav;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

fn main() -> ExitCode {
    let matches = cli::Cli::command().get_matches();
    let ended = cli::Cli::from_arg_matches(&matches)
        .map_err(exit::AppError::from)
        .and_then(|cli| cli.run(&matches));
    exit::code(ended)
}
