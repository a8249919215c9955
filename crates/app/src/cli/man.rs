//! `aurola man`: the manual, for `man`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_mangen::Man;

use crate::exit::{AppError, Ending};

/// Print the manual page, or write one for each command into a folder.
///
/// To read it: aurola man | man -l -
#[derive(Debug, Args)]
pub(crate) struct Manual {
    /// Write aurola.1 and a page for each command here
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Manual {
    /// Prints or writes.
    pub(crate) fn run(self, out: &mut impl Write) -> Result<Ending, AppError> {
        let command = super::Cli::command();
        let Some(folder) = self.output else {
            Man::new(command).render(out)?;
            return Ok(Ending::Done);
        };
        let at = |source| AppError::Path {
            path: folder.clone(),
            source,
        };
        std::fs::create_dir_all(&folder).map_err(at)?;
        clap_mangen::generate_to(command, &folder).map_err(at)?;
        Ok(Ending::Done)
    }
}
