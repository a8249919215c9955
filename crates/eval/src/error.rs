//! What can be wrong with what an evaluation is given.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aurola::EngineError;
use aurola_retrieval::StoreError;
use thiserror::Error;

/// An error that ends an evaluation: no figure is given beside it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A file that says something that cannot be.
    #[error("{}{place}: {what}; {remedy}", path.display())]
    Input {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        place: Place,
        /// What is there.
        what: String,
        /// What would help.
        remedy: String,
    },
    /// A file that cannot be read or written.
    #[error("{}: cannot be {doing}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// `read` or `written`.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Sounds or texts cannot be embedded or judged.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<StoreError> for EvalError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

/// Where in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    Whole,
    /// A line, from 1.
    Line(usize),
    /// A row and a column of a matrix, from 0.
    Cell(usize, usize),
    /// A member of a JSON document, such as `text[12]`.
    Member(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Line(line) => write!(f, ", line {line}"),
            Self::Cell(row, column) => write!(f, ", row {row}, column {column}"),
            Self::Member(name) => write!(f, ", `{name}`"),
        }
    }
}

impl EvalError {
    pub(crate) fn input(
        path: &Path,
        place: Place,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Input {
            path: path.to_path_buf(),
            place,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            path,
            doing: "read",
            source,
        }
    }
}
