//! How sounds are cut and read, from the command line.

use aurola::{Cut, Decoding, Listening};
use aurola_audio::WindowConfig;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::exit::AppError;

/// How sounds are cut into windows.
///
/// `--whole` and `--window` exclude each other where both are on the command line; where one of
/// them is a variable, the command line wins.
#[derive(Debug, Clone)]
pub(crate) struct CutArgs(Given);

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sound")]
struct Given {
    /// Take each sound in one piece, as the released retrieval does
    #[arg(long, env = "AUROLA_WHOLE", value_parser = clap::builder::FalseyValueParser::new())]
    whole: bool,
    /// Length of a window in seconds [default: 30]
    #[arg(long, value_name = "SECONDS", env = "AUROLA_WINDOW")]
    window: Option<f64>,
    /// From the start of one window to the next, in seconds [default: 5/6 of the window]
    #[arg(long, value_name = "SECONDS", env = "AUROLA_HOP")]
    hop: Option<f64>,
}

/// Decoding in child processes, started from this very program.
pub(crate) fn isolated() -> Result<Decoding, AppError> {
    let this = std::env::current_exe()?;
    Ok(Decoding::Isolated(vec![
        this.into_os_string(),
        "decode-worker".into(),
    ]))
}

impl Args for CutArgs {
    fn augment_args(command: Command) -> Command {
        Given::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Given::augment_args_for_update(command)
    }
}

impl FromArgMatches for CutArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Given::from_arg_matches(matches)?;
        let typed = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        let typed_window = ["window", "hop"].into_iter().find(|name| typed(name));
        match (given.whole, typed("whole"), typed_window) {
            (true, true, Some(window)) => {
                let message = format!("--whole takes no windows, so --{window} has no place\n");
                return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
            }
            (_, false, Some(_)) => given.whole = false,
            _ => {}
        }
        Ok(Self(given))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl CutArgs {
    /// How sounds are read.
    pub(crate) fn listening(&self) -> Result<Listening, AppError> {
        Ok(Listening {
            cut: self.cut()?,
            decoding: isolated()?,
            ..Listening::default()
        })
    }

    fn cut(&self) -> Result<Cut, AppError> {
        let given = &self.0;
        if given.whole {
            return Ok(Cut::Whole);
        }
        let standard = WindowConfig::default();
        let length = given.window.unwrap_or(standard.length_s());
        let hop = given
            .hop
            .unwrap_or(length * standard.hop_s() / standard.length_s());
        Ok(Cut::Windows(WindowConfig::new(length, hop)?))
    }
}
