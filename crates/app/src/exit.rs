//! How the program ends: exit codes, and errors as a person reads them.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; a search found something |
//! | 1 | a search found nothing, or a check failed |
//! | 2 | wrong usage, or an error that ended the work |
//! | 3 | done, and some files were skipped |
//! | 4 | the model, or the network it would come from, is not available |
//! | 5 | out of disk |
//! | 130, 143 | interrupted (SIGINT, SIGTERM), what was done is saved |

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use aurola::EngineError;
use aurola_audio::AudioError;
use aurola_hub::HubError;
use aurola_model::ModelError;
use aurola_retrieval::StoreError;
use aurola_server::ServerError;
use aurola_train::TrainError;
use aurola_train::data::DataError;
use aurola_train::report::ReportError;
use thiserror::Error;

/// An end that is not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Everything was done.
    Done,
    /// There was nothing to find, or a check failed; what there is to say has been said.
    Nothing,
    /// Everything but some files.
    Skipped,
    /// This signal came; what was done is saved.
    Interrupted(i32),
}

/// An error that ends the program.
#[derive(Debug, Error)]
pub(crate) enum AppError {
    /// Arguments that cannot be meant.
    #[error("{message}")]
    Usage { message: String, help: &'static str },
    /// Clap has a message of its own.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// The model that comes along cannot be put where it can be read; the message names the place.
    #[error("{0}")]
    Nano(io::Error),
    /// A model cannot be had.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A model is there and cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The engine gave up.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A sound cannot be read.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A run cannot go on.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The server cannot serve.
    #[error(transparent)]
    Server(ServerError),
    /// Results cannot be written.
    #[error("cannot write the results")]
    Output(#[from] io::Error),
    /// The folder where such things are is not known.
    #[error("no home folder is set, so there is no place for {what}")]
    NoHome {
        what: &'static str,
        help: &'static str,
    },
    /// A path that should exist does not.
    #[error("{path}: cannot be opened")]
    Path { path: PathBuf, source: io::Error },
}

impl From<ServerError> for AppError {
    /// What the engine or a decoder says is told as theirs, with their code and advice.
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Engine(error) => Self::Engine(error),
            ServerError::Audio(error) => Self::Audio(error),
            other => Self::Server(other),
        }
    }
}

/// Tells how it ended and gives the code.
pub(crate) fn code(ended: Result<Ending, AppError>) -> ExitCode {
    let error = match ended {
        Ok(Ending::Done) => return ExitCode::SUCCESS,
        Ok(Ending::Nothing) => return ExitCode::from(1),
        Ok(Ending::Skipped) => return ExitCode::from(3),
        Ok(Ending::Interrupted(signal)) => return ExitCode::from(signal_code(signal)),
        Err(error) => error,
    };
    match &error {
        // Whoever read our results has enough, as `head` does. That is no error.
        AppError::Output(cause) if cause.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        AppError::Arguments(error) => error.exit(),
        _ => {}
    }
    let style = anstyle::Style::new().bold();
    let red = style.fg_color(Some(anstyle::AnsiColor::Red.into()));
    anstream::eprintln!("{red}error:{red:#} {}", told(&error));
    if let Some(help) = error.help() {
        anstream::eprintln!("{style}help:{style:#} {help}");
    }
    ExitCode::from(error.code())
}

/// 128 and the signal's number, as shells have it.
pub(crate) fn signal_code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// An error and everything below it in one line, nothing said twice: a cause such as
/// `Error code 11: database disk image is malformed` adds nothing to a line that has its end.
pub(crate) fn told(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(below) = cause {
        let words = below.to_string();
        let end = words.rsplit(": ").next().unwrap_or(&words);
        if !line.contains(end) {
            line.push_str(": ");
            line.push_str(&words);
        }
        cause = below.source();
    }
    crate::present::printable(&line).into_owned()
}

impl AppError {
    fn code(&self) -> u8 {
        match self {
            Self::Hub(HubError::DiskFull { .. })
            | Self::Store(StoreError::Full { .. })
            | Self::Engine(EngineError::Store(StoreError::Full { .. })) => 5,
            Self::Output(cause) | Self::Nano(cause) | Self::Path { source: cause, .. }
                if cause.kind() == io::ErrorKind::StorageFull =>
            {
                5
            }
            Self::Train(error) if is_disk_full(error) => 5,
            Self::Hub(HubError::Stopped { .. }) => 130,
            Self::Hub(HubError::Disk { .. } | HubError::Lock { .. }) => 2,
            Self::Hub(_) | Self::Nano(_) => 4,
            _ => 2,
        }
    }

    fn help(&self) -> Option<&'static str> {
        match self {
            Self::Usage { help, .. } | Self::NoHome { help, .. } => Some(help),
            Self::Nano(_) => Some(
                "let your user write there, or name another place by XDG_CACHE_HOME; a model that \
                 --model names needs no place",
            ),
            Self::Hub(HubError::NoSuchFolder { .. }) => Some(
                "--model DIR takes a folder that holds a checkpoint, --model ORG/NAME one from the \
                 Hugging Face hub",
            ),
            Self::Model(error) | Self::Engine(EngineError::Model(error)) => match error {
                ModelError::Io { source, .. }
                    if source.kind() == io::ErrorKind::PermissionDenied =>
                {
                    Some("let your user read the checkpoint's files")
                }
                ModelError::Io { .. } | ModelError::Weights { .. } | ModelError::Json { .. } => {
                    Some(
                        "fetch the file again; `aurola model pull ORG/NAME` checks every file it fetches",
                    )
                }
                ModelError::Config { .. } => Some(
                    "config.json, preprocessor_config.json and the weights must come from one model",
                ),
                ModelError::NotFinite { .. } => Some(
                    "`aurola doctor --model DIR` tells whether the model works on a sound of ours; \
                     --dtype f32 keeps numbers that bf16 may lose",
                ),
                _ => None,
            },
            Self::Store(error) | Self::Engine(EngineError::Store(error)) => match error {
                StoreError::Damaged { .. } => Some(
                    "`aurola index verify --repair` keeps what is whole; the rest is embedded again \
                     by the next search",
                ),
                StoreError::NotAStore { .. }
                | StoreError::Open { .. }
                | StoreError::ReadOnly { .. }
                | StoreError::Folder { .. } => {
                    Some("--store FILE or AUROLA_STORE names another place for the store")
                }
                StoreError::Full { .. } => {
                    Some("make room, or name a place on another disk by --store FILE")
                }
                _ => None,
            },
            Self::Engine(EngineError::NothingToJudgeBy) => {
                Some("leave out --rerank, or add words to the search")
            }
            Self::Train(error) if is_disk_full(error) => Some(
                "make room, then `aurola train resume DIR` goes on from the newest checkpoint, which is whole",
            ),
            Self::Train(error) => match error {
                TrainError::Diverged { .. } => Some(
                    "checkpoints before this step are as they were; a changed recipe begins a run of its own",
                ),
                TrainError::NoHead => {
                    Some("the base of the re-ranker's stage must hold lm_head.weight, or tie it")
                }
                TrainError::Data(DataError::Unreadable { .. }) => Some(
                    "`unreadable = \"skip\"` in the source leaves such clips out, and counts them",
                ),
                TrainError::Report(ReportError::NotARun { .. }) => {
                    Some("`aurola train RECIPE --run DIR` begins a run")
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// Whether the disk had no room for what a run writes.
fn is_disk_full(error: &TrainError) -> bool {
    let (TrainError::Io { source, .. } | TrainError::Report(ReportError::Io { source, .. })) =
        error
    else {
        return false;
    };
    source.kind() == io::ErrorKind::StorageFull
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_is_quoted_already_is_not_said_again() {
        let error = AppError::Path {
            path: "a.wav".into(),
            source: io::Error::other("no such file"),
        };
        assert_eq!(told(&error), "a.wav: cannot be opened: no such file");
        let coded = AppError::Path {
            path: "a.wav: disk full".into(),
            source: io::Error::other("code 13: disk full"),
        };
        assert_eq!(told(&coded), "a.wav: disk full: cannot be opened");
        let transparent = AppError::Hub(HubError::Stopped { name: "a/b".into() });
        assert_eq!(told(&transparent).matches("a/b").count(), 1);
    }

    #[test]
    fn signals_become_the_codes_of_shells() {
        assert_eq!(signal_code(2), 130);
        assert_eq!(signal_code(15), 143);
    }
}
