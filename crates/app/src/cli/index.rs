//! `aurola index`: what is kept, and how to be rid of it.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use aurola_retrieval::Store;
use aurola_retrieval::store::{SpaceSummary, Summary};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::Common;
use crate::exit::{AppError, Ending};
use crate::places::StoreArgs;
use crate::present::json::{self, JsonPath};
use crate::present::{Format, bytes, csv_field, printable};

/// Look after the embeddings that are kept.
#[derive(Debug, Args)]
pub(crate) struct Index {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// How much is kept, for which models
    Status {
        /// List the files that could not be read, and why
        #[arg(long)]
        errors: bool,
    },
    /// The files that are known, below a folder if one is named
    Ls {
        /// A folder
        folder: Option<PathBuf>,
    },
    /// Forget a file or all files below a folder; the sounds themselves are not touched
    Rm {
        /// What to forget
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Check every row
    Verify {
        /// Keep what is whole and drop the rest, which is embedded again by the next search
        #[arg(long)]
        repair: bool,
    },
}

#[derive(Serialize)]
struct JsonStatus {
    store: JsonPath,
    bytes: u64,
    files: u64,
    contents: u64,
    spaces: Vec<JsonSpace>,
    failed: Vec<JsonFailed>,
}

#[derive(Serialize)]
struct JsonSpace {
    model: String,
    fingerprint: String,
    window: String,
    dim: u64,
    contents: u64,
    windows: u64,
}

#[derive(Serialize)]
struct JsonFailed {
    #[serde(flatten)]
    path: JsonPath,
    reason: String,
}

impl Index {
    /// Does it.
    pub(crate) fn run(self, common: &Common, out: &mut impl Write) -> Result<Ending, AppError> {
        let path = self.store.path()?;
        if !path.exists() {
            common.note(format!(
                "nothing is kept yet; the first search makes {}",
                path.display()
            ));
            return Ok(Ending::Nothing);
        }
        match self.action {
            Action::Status { errors } => {
                let store = Store::open_read_only(&path)?;
                status(&store, errors, common.format(), out)
            }
            Action::Ls { folder } => {
                let store = Store::open_read_only(&path)?;
                ls(&store, folder, common.format(), out)
            }
            Action::Rm { paths } => {
                let mut store = Store::open(&path)?;
                let mut forgotten = 0;
                for path in paths {
                    forgotten += store.forget(&absolute(&path)?)?;
                }
                common.note(format!("{forgotten} files forgotten"));
                Ok(if forgotten > 0 {
                    Ending::Done
                } else {
                    Ending::Nothing
                })
            }
            Action::Verify { repair: false } => {
                let found = Store::inspect(&path)?;
                for line in &found.damage {
                    writeln!(out, "{}", printable(line))?;
                }
                let (whole, damaged) = (found.whole, found.damaged);
                common.note(format!("{whole} rows are whole, {damaged} things are not"));
                Ok(if damaged == 0 {
                    Ending::Done
                } else {
                    Ending::Nothing
                })
            }
            Action::Verify { repair: true } => {
                if Store::inspect(&path)?.damaged == 0 {
                    common.note("everything is whole; nothing to repair");
                    return Ok(Ending::Done);
                }
                let repair = Store::repair(&path)?;
                common.note(format!(
                    "{} rows kept; the damaged store is set aside as {}",
                    repair.found.whole,
                    repair.set_aside.display()
                ));
                Ok(Ending::Done)
            }
        }
    }
}

/// The store's name for a path, also for one that is gone.
fn absolute(path: &PathBuf) -> Result<PathBuf, AppError> {
    std::fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .map_err(|source| AppError::Path {
            path: path.clone(),
            source,
        })
}

fn status(
    store: &Store,
    errors: bool,
    format: Format,
    out: &mut impl Write,
) -> Result<Ending, AppError> {
    let summary = store.summary()?;
    match format {
        Format::Json | Format::Jsonl => {
            let status = JsonStatus::new(store, summary);
            match format {
                Format::Json => json::document(out, &status)?,
                _ => json::line(out, &status)?,
            }
        }
        Format::Quiet => {}
        _ => {
            let Summary {
                files,
                contents,
                spaces,
                failed,
                disk_bytes,
            } = summary;
            let size = bytes(disk_bytes);
            writeln!(out, "{} ({size})", store.path().display())?;
            writeln!(out, "{files} files, {contents} different contents")?;
            for SpaceSummary {
                model,
                window,
                dim,
                contents,
                windows,
                fingerprint,
            } in spaces
            {
                let model = printable(&model);
                writeln!(
                    out,
                    "{model}, windows {window}, {dim} numbers: {contents} sounds, {windows} vectors \
                     ({fingerprint})"
                )?;
            }
            writeln!(out, "{} files could not be read", failed.len())?;
            for file in failed.iter().filter(|_| errors) {
                let path = file.path.to_string_lossy();
                writeln!(out, "  {}: {}", printable(&path), printable(&file.reason))?;
            }
        }
    }
    Ok(Ending::Done)
}

impl JsonStatus {
    fn new(store: &Store, summary: Summary) -> Self {
        Self {
            store: JsonPath::from(store.path()),
            bytes: summary.disk_bytes,
            files: summary.files,
            contents: summary.contents,
            spaces: (summary.spaces.into_iter())
                .map(|space| JsonSpace {
                    model: space.model,
                    fingerprint: space.fingerprint,
                    window: space.window,
                    dim: space.dim,
                    contents: space.contents,
                    windows: space.windows,
                })
                .collect(),
            failed: (summary.failed.into_iter())
                .map(|file| JsonFailed {
                    path: JsonPath::from(file.path.as_path()),
                    reason: file.reason,
                })
                .collect(),
        }
    }
}

fn ls(
    store: &Store,
    folder: Option<PathBuf>,
    format: Format,
    out: &mut impl Write,
) -> Result<Ending, AppError> {
    let folder = absolute(&folder.unwrap_or_else(|| PathBuf::from("/")))?;
    let mut files = store.known_below(&folder, None)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let paths = files.iter().map(|file| file.path.as_path());
    match format {
        Format::Json => json::document(out, &paths.map(JsonPath::from).collect::<Vec<_>>())?,
        Format::Jsonl => {
            for path in paths {
                json::line(out, &JsonPath::from(path))?;
            }
        }
        Format::Csv => {
            writeln!(out, "path")?;
            for path in paths {
                writeln!(out, "{}", csv_field(&path.to_string_lossy()))?;
            }
        }
        Format::Quiet => {}
        // Byte for byte where a program reads them; a terminal would obey what is in a name.
        Format::Auto | Format::Human if !io::stdout().is_terminal() => {
            for path in paths {
                out.write_all(path.as_os_str().as_encoded_bytes())?;
                out.write_all(b"\n")?;
            }
        }
        Format::Auto | Format::Human => {
            for path in paths {
                writeln!(out, "{}", printable(&path.to_string_lossy()))?;
            }
        }
    }
    Ok(if files.is_empty() {
        Ending::Nothing
    } else {
        Ending::Done
    })
}
