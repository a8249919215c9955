//! `aurola index export` and `import`: a store as a file, vectors for Python, captions from a table.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use aurola::seconds;
use aurola_retrieval::{Store, StoreError};
use serde::Serialize;

use super::Common;
use crate::exit::{AppError, Ending};
use crate::present::json::{self, JsonPath};

/// What row `n` of the vectors belongs to; on line `n` of the table.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    path: JsonPath,
    start_s: f64,
    end_s: f64,
}

/// Names of a column that holds paths, and of one that holds captions.
const PATHS: [&str; 5] = ["path", "file", "file_name", "filename", "audio"];
const CAPTIONS: [&str; 4] = ["caption", "description", "text", "captions"];

/// Writes everything to `to`.
pub(super) fn export(store: &Store, to: &Path, common: &Common) -> Result<Ending, AppError> {
    match to.extension().and_then(|extension| extension.to_str()) {
        Some("sqlite") => {
            store.export(to)?;
            common.note(format!("written to {}", to.display()));
            Ok(Ending::Done)
        }
        Some("npy") => vectors(store, to, common),
        _ => Err(AppError::Usage {
            message: format!("{}: neither .sqlite nor .npy", to.display()),
            help: "--to library.sqlite for another machine, --to vectors.npy for Python",
        }),
    }
}

fn vectors(store: &Store, to: &Path, common: &Common) -> Result<Ending, AppError> {
    let table = to.with_extension("jsonl");
    if let Some(there) = [to, &table].into_iter().find(|path| path.exists()) {
        return Err(StoreError::Exists { path: there.into() }.into());
    }
    let Some(space) = store.serving()? else {
        common
            .note("there are vectors of several models or none; `aurola index status` lists them");
        return Ok(Ending::Nothing);
    };
    let mut files = store.known_below(Path::new("/"), Some(&space))?;
    files.retain(|file| file.embedded);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut count = 0;
    for file in &files {
        count += store.windows(&space, &file.content)?.len();
    }
    let refuse = |path: &Path| {
        let path = path.to_path_buf();
        move |source| AppError::Path { path, source }
    };
    let mut numbers = BufWriter::new(File::create_new(to).map_err(refuse(to))?);
    let mut lines = BufWriter::new(File::create_new(&table).map_err(refuse(&table))?);
    numbers.write_all(&npy_header(count, space.key().dim))?;
    for file in &files {
        for (span, embedding) in store.windows(&space, &file.content)? {
            for number in embedding.as_slice() {
                numbers.write_all(&number.to_le_bytes())?;
            }
            let row = Row {
                path: JsonPath::from(file.path.as_path()),
                start_s: json::seconds(seconds(span.start)),
                end_s: json::seconds(seconds(span.end)),
            };
            json::line(&mut lines, &row)?;
        }
    }
    numbers.flush()?;
    lines.flush()?;
    let (to, table) = (to.display(), table.display());
    common.note(format!(
        "{count} vectors in {to}, what they belong to in {table}"
    ));
    Ok(Ending::Done)
}

/// Of `f32` `[rows, dim]`, row-major, in NumPy's format 1.0.
fn npy_header(rows: usize, dim: usize) -> Vec<u8> {
    let mut text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    // Data begin at a multiple of 64; a newline ends the header.
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    while text.len() + 1 < length {
        text.push(' ');
    }
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((length as u16).to_le_bytes());
    header.extend(text.bytes());
    header
}

/// Takes over what `from` holds.
pub(super) fn import(
    store: &mut Store,
    from: &Path,
    moved: &[PathBuf],
    common: &Common,
) -> Result<Ending, AppError> {
    std::fs::metadata(from).map_err(|source| AppError::Path {
        path: from.into(),
        source,
    })?;
    if from.extension().is_some_and(|extension| extension == "csv") {
        return captions(store, from, common);
    }
    let moved = match moved {
        [old, new] => Some((old.as_path(), new.as_path())),
        _ => None,
    };
    let imported = store.import(from, moved)?;
    if let Some(space) = store.serving()? {
        store.seal(&space, &[], false)?;
    }
    common.note(format!(
        "{} files, {} sounds and {} vectors are new",
        imported.files, imported.contents, imported.windows
    ));
    Ok(Ending::Done)
}

fn captions(store: &mut Store, from: &Path, common: &Common) -> Result<Ending, AppError> {
    let broken = |error: csv::Error| AppError::Path {
        path: from.into(),
        source: std::io::Error::other(error),
    };
    let mut table = csv::ReaderBuilder::new()
        .flexible(true)
        .from_path(from)
        .map_err(broken)?;
    let columns = table.headers().map_err(broken)?.clone();
    let column = |names: &[&str]| {
        (names.iter()).find_map(|name| columns.iter().position(|c| c.eq_ignore_ascii_case(name)))
    };
    let (Some(path_at), Some(caption_at)) = (column(&PATHS), column(&CAPTIONS)) else {
        return Err(AppError::Usage {
            message: format!("{}: no columns named path and caption", from.display()),
            help: "the first line names the columns, as in: path,caption",
        });
    };
    let folder = from.parent().unwrap_or(Path::new("."));
    let mut captions = Vec::new();
    for row in table.records() {
        let row = row.map_err(broken)?;
        if let (Some(path), Some(caption)) = (row.get(path_at), row.get(caption_at))
            && !caption.trim().is_empty()
        {
            let path = folder.join(path);
            let path = std::fs::canonicalize(&path).or_else(|_| std::path::absolute(&path));
            if let Ok(path) = path {
                captions.push((path, caption.trim().to_owned()));
            }
        }
    }
    let known = store.set_captions(&captions)?;
    common.note(format!(
        "{known} of {} captions belong to known files",
        captions.len()
    ));
    Ok(if known > 0 {
        Ending::Done
    } else {
        Ending::Nothing
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_what_numpy_writes() {
        let header = npy_header(3, 2);
        assert_eq!(header.len() % 64, 0);
        assert!(header.starts_with(
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }"
        ));
        assert_eq!(header.last(), Some(&b'\n'));
    }
}
