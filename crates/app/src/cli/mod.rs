//! The command line: what may be said, and who does it.

mod caption;
mod carry;
mod completions;
mod demo;
mod doctor;
mod embed;
mod index;
mod man;
mod mcp;
mod model;
mod narrow;
mod rerank;
mod search;
mod serve;
mod train;
mod watch;

use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use clap::builder::FalseyValueParser;
use clap::{ArgMatches, Args, Parser, Subcommand};

use crate::exit::{AppError, Ending};
use crate::interrupt::{Interrupts, leave_to_the_parent};
use crate::present::{Format, FormatArgs, printable, settle_colors};

const EXAMPLES: &str = "\
Examples:
  aurola demo
  aurola search \"rain on a tin roof\" ~/Sounds
  aurola search \"a dog barking\" ~/Sounds --not \"people talking\" --rerank 20
  aurola similar door.wav ~/Sounds
  aurola search \"a bell\" ~/Sounds --paths -0 | xargs -0 mpv
  aurola serve --port 8080

Options with an [env: NAME] in a command's help can be set by that variable as well, --model by
AUROLA_MODEL; the command line is stronger.
Exit codes: 0 found or done, 1 nothing found, 2 error, 3 some files skipped,
4 no model or network, 5 out of disk, 130 and 143 interrupted.";

/// Find any sound by describing it.
#[derive(Debug, Parser)]
#[command(name = "aurola", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Search(search::Search),
    Similar(search::Similar),
    Embed(embed::Embed),
    Rerank(rerank::Rerank),
    Caption(caption::Caption),
    Model(model::Models),
    Index(index::Index),
    Serve(serve::Serve),
    Mcp(mcp::Mcp),
    Train(train::Train),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
    Man(man::Manual),
    /// Decode sounds for a parent process.
    #[command(hide = true)]
    DecodeWorker,
}

/// What every subcommand understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Common {
    #[command(flatten)]
    format: FormatArgs,
    /// Say nothing but errors and results
    #[arg(short, long, global = true, env = "AUROLA_QUIET", value_parser = FalseyValueParser::new())]
    quiet: bool,
    /// Say more: what took how long
    #[arg(short, long, global = true, env = "AUROLA_VERBOSE", value_parser = FalseyValueParser::new())]
    verbose: bool,
    /// Show no progress
    #[arg(long, global = true, env = "AUROLA_NO_PROGRESS", value_parser = FalseyValueParser::new())]
    no_progress: bool,
    /// Write without color, as NO_COLOR does
    #[arg(long, global = true, env = "AUROLA_NO_COLOR", value_parser = FalseyValueParser::new())]
    no_color: bool,
    /// Threads to compute with [default: all cores]
    #[arg(
        short = 'j',
        long,
        global = true,
        value_name = "N",
        env = "AUROLA_THREADS"
    )]
    threads: Option<NonZeroUsize>,
}

impl Cli {
    /// Does what was asked. `matches` are the arguments once more, for the order they came in.
    pub(crate) fn run(self, matches: &ArgMatches) -> Result<Ending, AppError> {
        if matches!(self.command, Command::DecodeWorker) {
            leave_to_the_parent();
            aurola_audio::isolate::worker::serve(io::stdin().lock(), io::stdout().lock())?;
            return Ok(Ending::Done);
        }
        let interrupts = Interrupts::listen();
        self.common.set_threads();
        settle_colors(self.common.no_color);
        let (common, interrupts) = (&self.common, &interrupts);
        // Buffered: a search's answer is one write, and a closed pipe is noticed at its end.
        // Bytes go through as they are; who writes for people asks whether to color.
        let mut out = io::BufWriter::new(io::stdout().lock());
        let ending = match self.command {
            Command::Demo(demo) => demo.run(common, interrupts, &mut out),
            Command::Search(search) => search.run(common, interrupts, &mut out),
            Command::Similar(similar) => similar.run(common, interrupts, &mut out),
            Command::Embed(embed) => {
                let order = matches.subcommand_matches("embed");
                embed.run(order, common, interrupts, &mut out)
            }
            Command::Rerank(rerank) => rerank.run(common, interrupts, &mut out),
            Command::Caption(caption) => caption.run(common, interrupts, &mut out),
            Command::Model(models) => models.run(common, interrupts, &mut out),
            Command::Index(index) => index.run(common, interrupts, &mut out),
            Command::Serve(serve) => serve.run(common, interrupts, &mut out),
            Command::Mcp(mcp) => {
                // The protocol has stdout for itself, from a thread of its own.
                drop(out);
                return mcp.run(common, interrupts);
            }
            Command::Train(train) => train.run(common, interrupts, &mut out),
            Command::Doctor(doctor) => doctor.run(common, interrupts, &mut out),
            Command::Completions(completions) => completions.run(&mut out),
            Command::Man(manual) => manual.run(&mut out),
            Command::DecodeWorker => Ok(Ending::Done), // served above
        }?;
        out.flush()?;
        Ok(ending)
    }
}

impl Common {
    /// How results are written.
    pub(crate) fn format(&self) -> Format {
        self.format.0
    }

    /// What was left out of a sound, or assumed about it.
    pub(crate) fn notes_on(&self, path: &Path, notes: &[String]) {
        for note in notes {
            let path = path.to_string_lossy();
            self.note(format!("note: {}: {}", printable(&path), printable(note)));
        }
    }

    /// A message for people, on stderr.
    pub(crate) fn note(&self, message: impl AsRef<str>) {
        if !self.quiet {
            anstream::eprintln!("{}", message.as_ref());
        }
    }

    /// A message for those who asked for more.
    pub(crate) fn detail(&self, message: impl FnOnce() -> String) {
        if self.verbose && !self.quiet {
            let dim = anstyle::Style::new().dimmed();
            anstream::eprintln!("{dim}{}{dim:#}", message());
        }
    }

    /// Whether nothing but errors and results was asked for.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether more was asked for.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// A line of progress where there is no bar.
    pub(crate) fn progress_line(&self, line: &str) {
        if !self.no_progress {
            self.note(line);
        }
    }

    /// Whether a person may be watching stderr.
    pub(crate) fn has_terminal(&self) -> bool {
        io::stderr().is_terminal() && std::env::var_os("CI").is_none_or(|ci| ci.is_empty())
    }

    /// Whether to draw a bar there.
    pub(crate) fn has_bar(&self) -> bool {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        !self.quiet && !self.no_progress && !dumb && self.has_terminal()
    }

    fn set_threads(&self) {
        if let Some(threads) = self.threads {
            // Fails only where a pool is there already, and nothing has computed yet.
            let _ = rayon::ThreadPoolBuilder::new()
                .num_threads(threads.get())
                .build_global();
        }
    }

    /// Threads that may read and decode ahead of the model.
    pub(crate) fn readers(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.map_or(cores, NonZeroUsize::get).min(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
