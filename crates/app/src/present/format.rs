//! How results are written, and who says so: the command line, else `AUROLA_FORMAT`.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches, ValueEnum};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// What suits the command: a table, or JSON lines for vectors
    #[default]
    Auto,
    /// For people; may change between versions
    Human,
    /// One JSON document with everything there is to say
    Json,
    /// One JSON object per line
    Jsonl,
    /// Comma-separated values with a header
    Csv,
    /// Nothing: the exit code says it
    Quiet,
}

/// `--format` and its short form `--json`. Both on one command line are an error; a variable gives
/// way to either.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FormatArgs(pub(crate) Format);

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
struct Given {
    /// How results are written
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "AUROLA_FORMAT"
    )]
    format: Format,
    /// Short for --format json
    #[arg(long, global = true)]
    json: bool,
}

impl Args for FormatArgs {
    fn augment_args(command: Command) -> Command {
        Given::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Given::augment_args_for_update(command)
    }
}

impl FromArgMatches for FormatArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = Given::from_arg_matches(matches)?;
        let typed = matches.value_source("format") == Some(ValueSource::CommandLine);
        match (given.json, typed, given.format) {
            (true, true, format) if format != Format::Json => {
                let message =
                    "--json is short for --format json, so another --format has no place\n";
                Err(clap::Error::raw(ErrorKind::ArgumentConflict, message))
            }
            (true, _, _) => Ok(Self(Format::Json)),
            (false, _, format) => Ok(Self(format)),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
