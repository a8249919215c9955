//! Words that come from standard input, where the command line says `-`.

use std::io;

use crate::exit::AppError;

/// All of it as one text, without the space around it.
pub(crate) fn words() -> Result<String, AppError> {
    let text = io::read_to_string(io::stdin()).map_err(unreadable)?;
    match text.trim() {
        "" => Err(AppError::Usage {
            message: "stdin holds no words".into(),
            help: "as in: echo rain on a tin roof | aurola search - ~/Sounds",
        }),
        words => Ok(words.to_owned()),
    }
}

/// A text for each line, empty ones included: what comes out has as many rows as went in.
pub(crate) fn lines() -> Result<Vec<String>, AppError> {
    io::stdin()
        .lines()
        .collect::<Result<_, _>>()
        .map_err(unreadable)
}

fn unreadable(error: io::Error) -> AppError {
    AppError::Usage {
        message: format!("stdin: {error}"),
        help: "- takes words from stdin, in UTF-8",
    }
}
