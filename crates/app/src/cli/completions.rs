//! `aurola completions`: what a shell completes.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::exit::{AppError, Ending};

/// Print what a shell needs to complete this program's commands.
///
/// For bash: aurola completions bash > ~/.local/share/bash-completion/completions/aurola
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell [default: that of $SHELL]
    #[arg(value_enum)]
    shell: Option<Shell>,
}

impl Completions {
    /// Prints it.
    pub(crate) fn run(self, out: &mut impl Write) -> Result<Ending, AppError> {
        let Some(shell) = self.shell.or_else(Shell::from_env) else {
            return Err(AppError::Usage {
                message: "no shell was named, and $SHELL names none that is known".into(),
                help: "name one of bash, elvish, fish, powershell, zsh",
            });
        };
        // Into memory first: the generator does not hand errors of writing on.
        let mut script = Vec::new();
        generate(shell, &mut super::Cli::command(), "aurola", &mut script);
        out.write_all(&script)?;
        Ok(Ending::Done)
    }
}
