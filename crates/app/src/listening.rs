//! How sounds are cut and read, from the command line.

use aurola::{Cut, Decoding, Listening};
use aurola_audio::WindowConfig;
use clap::Args;

use crate::exit::AppError;

/// How sounds are cut into windows.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sound")]
pub(crate) struct CutArgs {
    /// Take each sound in one piece, as the released retrieval does
    #[arg(long, env = "AUROLA_WHOLE", value_parser = clap::builder::FalseyValueParser::new())]
    whole: bool,
    /// Length of a window in seconds [default: 30]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "AUROLA_WINDOW",
        conflicts_with = "whole"
    )]
    window: Option<f64>,
    /// From the start of one window to the next, in seconds [default: 5/6 of the window]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "AUROLA_HOP",
        conflicts_with = "whole"
    )]
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
        if self.whole {
            return Ok(Cut::Whole);
        }
        let standard = WindowConfig::default();
        let length = self.window.unwrap_or(standard.length_s());
        let hop = self
            .hop
            .unwrap_or(length * standard.hop_s() / standard.length_s());
        Ok(Cut::Windows(WindowConfig::new(length, hop)?))
    }
}
