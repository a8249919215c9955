//! `aurola index`: what is kept, kept up to date, carried away, and got rid of.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aurola::{Cancel, EngineError, Event, Library, Options};
use aurola_retrieval::store::{Root, SpaceSummary, Summary};
use aurola_retrieval::{Store, StoreError};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::search::list_skipped;
use super::{Common, carry, watch};
use crate::exit::{AppError, Ending};
use crate::interrupt::Interrupts;
use crate::listening::CutArgs;
use crate::model::ModelArgs;
use crate::places::StoreArgs;
use crate::present::json::{self, JsonPath};
use crate::present::{Format, bytes, csv_field, printable};
use crate::progress::Meter;

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
    /// Embed folders and files, and keep them up to date from now on
    Add {
        /// Folders and files
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        with: With,
    },
    /// Look through everything that was added again: new, changed, moved and deleted files
    Update {
        #[command(flatten)]
        with: With,
    },
    /// Update, and then again whenever something changes, until stopped
    Watch {
        #[command(flatten)]
        with: With,
    },
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
    /// Check every row, every sealed vector and the index of words
    Verify {
        /// Keep what is whole and drop the rest, which is embedded again by the next search
        #[arg(long)]
        repair: bool,
    },
    /// Embed everything with another model; the old vectors serve until the new ones are all there
    Migrate {
        /// Drop the old vectors then
        #[arg(long)]
        drop_old: bool,
        #[command(flatten)]
        with: With,
    },
    /// Files below FROM are now below TO: nothing is embedded again
    Relink {
        /// Where they were
        from: PathBuf,
        /// Where they are
        to: PathBuf,
    },
    /// Write all of it to a new file: NAME.sqlite, a store; or NAME.npy, vectors for Python, and
    /// NAME.jsonl, what they belong to
    Export {
        /// The new file
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Take over what another store knows (NAME.sqlite), or captions for known files (NAME.csv with
    /// the columns path and caption)
    Import {
        /// The file
        from: PathBuf,
        /// Paths of the other store below OLD are below NEW here
        #[arg(long, num_args = 2, value_names = ["OLD", "NEW"])]
        moved: Vec<PathBuf>,
    },
}

/// A model, and how it hears.
#[derive(Debug, Clone, Args)]
struct With {
    #[command(flatten)]
    cut: CutArgs,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Serialize)]
struct JsonStatus {
    store: JsonPath,
    bytes: u64,
    files: u64,
    contents: u64,
    spaces: Vec<JsonSpace>,
    failed: Vec<JsonFailed>,
    roots: Vec<JsonRoot>,
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
struct JsonRoot {
    #[serde(flatten)]
    path: JsonPath,
    present: bool,
}

#[derive(Serialize)]
struct JsonFailed {
    #[serde(flatten)]
    path: JsonPath,
    reason: String,
}

impl Index {
    /// Does it.
    pub(crate) fn run(
        self,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        let path = self.store.path()?;
        match self.action {
            Action::Add { paths, with } => {
                // Before the model, which takes longest.
                for path in &paths {
                    std::fs::metadata(path).map_err(|source| AppError::Path {
                        path: path.clone(),
                        source,
                    })?;
                }
                let index = with.open(&path, common, interrupts)?;
                let add = |cancel: &Cancel, on_event: &mut dyn FnMut(Event<'_>)| {
                    index.add(&paths, cancel, on_event)
                };
                told(common, interrupts, &run(common, interrupts, add)?)
            }
            Action::Import { from, moved } => {
                let mut store = Store::open(&path)?;
                carry::import(&mut store, &from, &moved, common)
            }
            _ if !path.exists() => {
                common.note(format!(
                    "nothing is kept yet; the first search makes {}",
                    path.display()
                ));
                Ok(Ending::Nothing)
            }
            Action::Update { with } => {
                let index = with.open(&path, common, interrupts)?;
                let update = |cancel: &Cancel, on_event: &mut dyn FnMut(Event<'_>)| {
                    index.update(cancel, on_event)
                };
                told(common, interrupts, &run(common, interrupts, update)?)
            }
            Action::Watch { with } => {
                let index = with.open(&path, common, interrupts)?;
                watch::watch(&index, common, interrupts)
            }
            Action::Migrate { drop_old, with } => {
                let (model, options) = with.load(common, interrupts)?;
                let migrate = |cancel: &Cancel, on_event: &mut dyn FnMut(Event<'_>)| {
                    aurola::Index::migrate(&path, model, options, drop_old, cancel, on_event)
                };
                told(common, interrupts, &run(common, interrupts, migrate)?)
            }
            Action::Status { errors } => {
                let store = reading(&path)?;
                status(&store, errors, common.format(), out)
            }
            Action::Ls { folder } => {
                let store = reading(&path)?;
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
            Action::Relink { from, to } => {
                let mut store = Store::open(&path)?;
                let moved = store.relink(&absolute(&from)?, &absolute(&to)?)?;
                common.note(format!(
                    "{moved} files are known below {} now",
                    to.display()
                ));
                Ok(if moved > 0 {
                    Ending::Done
                } else {
                    Ending::Nothing
                })
            }
            Action::Export { to } => carry::export(&reading(&path)?, &to, common),
            Action::Verify { repair } => verify(&path, repair, common, out),
        }
    }
}

impl With {
    fn load(
        &self,
        common: &Common,
        interrupts: &Interrupts,
    ) -> Result<(Arc<aurola_model::Model>, Options), AppError> {
        let listening = self.cut.listening()?;
        let (model, _) = self.model.load(common, interrupts)?;
        let options = Options {
            listening,
            name: self.model.name().to_owned(),
            readers: common.readers(),
            ..Options::default()
        };
        Ok((Arc::new(model), options))
    }

    fn open(
        &self,
        path: &Path,
        common: &Common,
        interrupts: &Interrupts,
    ) -> Result<aurola::Index, AppError> {
        let (model, options) = self.load(common, interrupts)?;
        let index = aurola::Index::open(path, model, options)?;
        if index.is_read_only() {
            return Err(StoreError::ReadOnly { path: path.into() }.into());
        }
        Ok(index)
    }
}

/// Work that embeds, with its progress shown and a first signal letting it save.
pub(super) fn run(
    common: &Common,
    interrupts: &Interrupts,
    work: impl FnOnce(&Cancel, &mut dyn FnMut(Event<'_>)) -> Result<Library, EngineError>,
) -> Result<Library, AppError> {
    let mut meter = Meter::new(common);
    let library = interrupts.patiently(|cancel| work(cancel, &mut |event| meter.show(&event)));
    meter.finish();
    Ok(library?)
}

/// What came of it, on stderr.
pub(super) fn told(
    common: &Common,
    interrupts: &Interrupts,
    library: &Library,
) -> Result<Ending, AppError> {
    for noted in &library.notes {
        common.notes_on(&noted.path, std::slice::from_ref(&noted.note));
    }
    for away in &library.away {
        let away = away.to_string_lossy();
        common.note(format!(
            "{}: not there; what is known of it stays",
            printable(&away)
        ));
    }
    list_skipped(common, &library.skipped);
    let (files, embedded) = (library.files.len(), library.embedded);
    let gone = match library.gone {
        0 => String::new(),
        gone => format!(", {gone} moved or gone"),
    };
    common.note(format!(
        "{files} sounds known, {embedded} of them new{gone}"
    ));
    if library.interrupted {
        return Ok(Ending::Interrupted(interrupts.signal()));
    }
    Ok(if library.skipped.is_empty() {
        Ending::Done
    } else {
        Ending::Skipped
    })
}

/// Opened for reading; a store of an earlier version is brought up to date first.
fn reading(path: &Path) -> Result<Store, AppError> {
    match Store::open_read_only(path) {
        Err(StoreError::Older { .. }) => {
            drop(Store::open(path)?);
            Ok(Store::open_read_only(path)?)
        }
        other => Ok(other?),
    }
}

fn verify(
    path: &Path,
    repair: bool,
    common: &Common,
    out: &mut impl Write,
) -> Result<Ending, AppError> {
    if let Err(StoreError::Older { .. }) = Store::open_read_only(path) {
        drop(Store::open(path)?);
    }
    let found = Store::inspect(path)?;
    for line in &found.damage {
        writeln!(out, "{}", printable(line))?;
    }
    let (whole, damaged) = (found.whole, found.damaged);
    common.note(format!("{whole} rows are whole, {damaged} things are not"));
    if damaged == 0 {
        // Sealed vectors are a cache of the rows, which are whole.
        return sealed(path, repair, common, out);
    }
    if !repair {
        return Ok(Ending::Nothing);
    }
    let repaired = Store::repair(path)?;
    common.note(format!(
        "{} rows kept; the damaged store is set aside as {}",
        repaired.found.whole,
        repaired.set_aside.display()
    ));
    Ok(Ending::Done)
}

fn sealed(
    path: &Path,
    repair: bool,
    common: &Common,
    out: &mut impl Write,
) -> Result<Ending, AppError> {
    let mut store = if repair {
        Store::open(path)?
    } else {
        Store::open_read_only(path)?
    };
    let mut ending = Ending::Done;
    for space in store.spaces()? {
        match store.inspect_sealed(&space) {
            Ok(0) => {}
            Ok(vectors) => common.note(format!("{vectors} sealed vectors are whole")),
            Err(error) if repair => {
                writeln!(out, "{}", printable(&error.to_string()))?;
                store.unseal(&space)?;
                store.seal(&space, &[], false)?;
                common.note("the sealed vectors were made again");
            }
            Err(error) => {
                writeln!(out, "{}", printable(&error.to_string()))?;
                ending = Ending::Nothing;
            }
        }
    }
    Ok(ending)
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
    let (summary, roots) = (store.summary()?, store.roots()?);
    match format {
        Format::Json | Format::Jsonl => {
            let status = JsonStatus::new(store, summary, roots);
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
            for root in roots {
                let gone = if root.path.exists() {
                    ""
                } else {
                    "  (not there now)"
                };
                let path = root.path.to_string_lossy();
                writeln!(out, "kept up to date: {}{gone}", printable(&path))?;
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
    fn new(store: &Store, summary: Summary, roots: Vec<Root>) -> Self {
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
            roots: (roots.into_iter())
                .map(|root| JsonRoot {
                    path: JsonPath::from(root.path.as_path()),
                    present: root.path.exists(),
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
