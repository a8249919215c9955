//! Making sealed vectors, and measuring how deep the rough pass must go.
//!
//! ```text
//! windows ──► vectors on disk, their mean ──► bits ──► recall of sampled queries ─┬ good ──► in place
//!                                              └────── too deep: bytes ◄──────────┘
//! ```
//!
//! Sampled queries are vectors between two of the sounds, and whatever the caller adds, such as
//! embedded phrases. For each of the ten truly nearest rows of each query it is counted how many rows
//! the codes put before it; the rough pass goes as deep as 995 of 1,000 of them need, half as deep
//! again for queries not sampled, and never less than [`LEAST`].

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::codes::Code;
use super::format::{Header, Row, VECTORS, check};
use super::path_of;
use crate::distance::dot;
use crate::embedding::Embedding;
use crate::exact::top_k;
use crate::store::error::Result;
use crate::store::{Space, Store, StoreError};

/// How many of a query's nearest rows must be found.
const NEAREST: usize = 10;
/// Queries made of two sounds.
const MIXED: usize = 32;
/// Rows handed on at least.
const LEAST: usize = 100;
/// Bits that need to go deeper than this are given up for bytes.
const DEEPEST_BITS: usize = 3_000;
/// Rows looked at together.
const CHUNK: usize = 1_024;

/// What was made, and how well its codes find.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sealing {
    /// Vectors.
    pub rows: usize,
    /// `1 bit` or `8 bits`.
    pub code: &'static str,
    /// Rows that the rough pass hands on to f32.
    pub depth: usize,
    /// Share of the ten nearest that this depth finds for the sampled queries.
    pub recall: f32,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Makes the sealed vectors of `space` anew, out of everything the store holds, and puts them in place.
/// `probes`: queries to measure by, beside those sampled.
pub(crate) fn seal(store: &mut Store, space: &Space, probes: &[Embedding]) -> Result<Sealing> {
    let path = path_of(store.path(), space);
    let mut name = path.clone().into_os_string();
    name.push(format!(".new-{}", std::process::id()));
    let fresh = PathBuf::from(name);
    let made = write(store, space, probes, &fresh).and_then(|(sealing, gone)| {
        let failed = |source| StoreError::Sealed {
            path: path.clone(),
            doing: "write",
            source,
        };
        std::fs::rename(&fresh, &path).map_err(failed)?;
        sync_folder(&path).map_err(failed)?;
        Ok((sealing, gone))
    });
    match made {
        Ok((sealing, gone)) => {
            store.trim(gone)?;
            Ok(sealing)
        }
        Err(error) => {
            let _ = std::fs::remove_file(&fresh); // the error says more than a second one would
            Err(error)
        }
    }
}

/// Removes what an interrupted sealing left beside the store.
pub(crate) fn sweep(store: &Path) {
    let (Some(folder), Some(name)) = (store.parent(), store.file_name()) else {
        return;
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let own = format!(".new-{}", std::process::id());
    let prefix = [name.as_encoded_bytes(), b".vectors-"].concat();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let entry_name = entry.file_name();
        let bytes = entry_name.as_encoded_bytes();
        if bytes.starts_with(&prefix)
            && let Some((_, process)) = entry_name.to_string_lossy().rsplit_once(".new-")
            && !entry_name.to_string_lossy().ends_with(&own)
            && !is_running(process)
        {
            let _ = std::fs::remove_file(entry.path()); // the next one tries again
        }
    }
}

/// Whether a process of this number runs, where that can be told; else no.
fn is_running(process: &str) -> bool {
    Path::new("/proc").join(process).exists()
}

fn write(
    store: &Store,
    space: &Space,
    probes: &[Embedding],
    fresh: &Path,
) -> Result<(Sealing, i64)> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::StorageFull => StoreError::Full { path: fresh.into() },
        _ => StoreError::Sealed {
            path: fresh.into(),
            doing: "write",
            source,
        },
    };
    let dim = space.key().dim;
    let mut file = (File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true))
    .open(fresh)
    .map_err(failed)?;
    let mut out = BufWriter::with_capacity(1 << 20, &file);
    out.write_all(&[0; VECTORS]).map_err(failed)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut sum = vec![0.0_f64; dim];
    let mut bytes = Vec::with_capacity(dim * 4);
    let mark = store.at_one_moment(|store| {
        let mark = store.mark()?;
        store.each_window(space, None, &mut |window| {
            bytes.clear();
            for (number, sum) in window.embedding.as_slice().iter().zip(&mut sum) {
                bytes.extend_from_slice(&number.to_le_bytes());
                *sum += f64::from(*number);
            }
            rows.push(Row {
                window: window.id,
                content: window.content,
                span: window.span,
                check: check(&bytes),
            });
            out.write_all(&bytes).map_err(failed)
        })?;
        Ok(mark)
    })?;
    out.flush().map_err(failed)?;
    drop(out);
    let count = rows.len();
    let mean = sum
        .iter()
        .map(|sum| (sum / count.max(1) as f64) as f32)
        .collect();
    let mut vectors = Vectors {
        file: &file,
        dim,
        count,
    };
    let queries = queries(&mut vectors, probes).map_err(failed)?;
    let nearest = nearest(&mut vectors, &queries).map_err(failed)?;
    let mut code = Code::Bits { mean };
    let mut codes = encode(&mut vectors, &mut code).map_err(failed)?;
    let (mut depth, mut recall) = depth(&code, &codes, &queries, &nearest);
    if depth > DEEPEST_BITS.min(count.max(1)) {
        code = Code::Bytes {
            dim,
            steps: Vec::with_capacity(count),
        };
        codes = encode(&mut vectors, &mut code).map_err(failed)?;
        (depth, recall) = self::depth(&code, &codes, &queries, &nearest);
    }
    let mut table = Vec::with_capacity(count * super::ROW_BYTES);
    rows.iter().for_each(|row| row.write(&mut table));
    let mut front = Vec::with_capacity(code.preface());
    code.front()
        .iter()
        .for_each(|number| front.extend_from_slice(&number.to_le_bytes()));
    let mut digest = blake3::Hasher::new();
    digest.update(&front);
    digest.update(&codes);
    let header = Header {
        store: mark.store,
        window: mark.window,
        gone: mark.gone,
        rows: count,
        dim,
        code: code.number(),
        depth,
        recall,
        space: space.key().digest(),
        table: blake3::hash(&table),
        codes: digest.finalize(),
    };
    let end = |file: &mut File| -> io::Result<u64> {
        file.seek(SeekFrom::Start((VECTORS + count * dim * 4) as u64))?;
        file.write_all(&table)?;
        file.write_all(&front)?;
        file.write_all(&codes)?;
        let length = file.stream_position()?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header.bytes())?;
        file.sync_all()?;
        Ok(length)
    };
    let length = end(&mut file).map_err(failed)?;
    let sealing = Sealing {
        rows: count,
        code: code.name(),
        depth,
        recall,
        bytes: length,
    };
    Ok((sealing, mark.gone))
}

/// The vectors that were just written, read back.
struct Vectors<'f> {
    file: &'f File,
    dim: usize,
    count: usize,
}

impl Vectors<'_> {
    /// Shows `each` all rows, [`CHUNK`] at a time, with the number of the first.
    fn each_chunk(&mut self, each: &mut dyn FnMut(usize, &[f32])) -> io::Result<()> {
        let mut file = self.file;
        file.seek(SeekFrom::Start(VECTORS as u64))?;
        let mut bytes = Vec::new();
        let mut numbers: Vec<f32> = Vec::new();
        for first in (0..self.count).step_by(CHUNK) {
            let rows = CHUNK.min(self.count - first);
            bytes.resize(rows * self.dim * 4, 0);
            file.read_exact(&mut bytes)?;
            numbers.clear();
            numbers.extend(
                bytes
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|four| f32::from_le_bytes(*four)),
            );
            each(first, &numbers);
        }
        Ok(())
    }

    fn row(&mut self, row: usize) -> io::Result<Vec<f32>> {
        let mut file = self.file;
        file.seek(SeekFrom::Start((VECTORS + row * self.dim * 4) as u64))?;
        let mut bytes = vec![0; self.dim * 4];
        file.read_exact(&mut bytes)?;
        Ok(bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|four| f32::from_le_bytes(*four))
            .collect())
    }
}

/// `probes`, and places between pairs of rows that are spread over the whole.
fn queries(vectors: &mut Vectors<'_>, probes: &[Embedding]) -> io::Result<Vec<Vec<f32>>> {
    let mut queries: Vec<Vec<f32>> = probes.iter().map(|p| p.as_slice().to_vec()).collect();
    let count = vectors.count;
    for n in 0..MIXED.min(count) {
        let (one, other) = (
            n * count / MIXED.min(count),
            (n * 7_919 + count / 2) % count,
        );
        let (near, far) = (vectors.row(one)?, vectors.row(other)?);
        let mixed = near
            .iter()
            .zip(&far)
            .map(|(a, b)| 0.75 * a + 0.25 * b)
            .collect();
        // Two that cancel leave no direction, and no query.
        if let Ok(query) = Embedding::normalize(mixed) {
            queries.push(query.as_slice().to_vec());
        }
    }
    Ok(queries)
}

/// The rows truly nearest to each query, nearest first.
fn nearest(vectors: &mut Vectors<'_>, queries: &[Vec<f32>]) -> io::Result<Vec<Vec<u32>>> {
    use std::cmp::Reverse;
    let dim = vectors.dim;
    let mut best: Vec<Vec<(Key, Reverse<u32>)>> = vec![Vec::new(); queries.len()];
    vectors.each_chunk(&mut |first, numbers| {
        for (query, best) in queries.iter().zip(&mut best) {
            let scored = numbers.chunks_exact(dim).zip(first as u32..);
            let scored = scored.map(|(row, at)| (Key(dot(row, query)), Reverse(at)));
            *best = top_k(best.iter().copied().chain(scored), NEAREST);
        }
    })?;
    let rows = |best: Vec<(Key, Reverse<u32>)>| best.into_iter().map(|(_, row)| row.0).collect();
    Ok(best.into_iter().map(rows).collect())
}

/// A finite score, to be ordered.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Key(f32);

impl Eq for Key {}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn encode(vectors: &mut Vectors<'_>, code: &mut Code) -> io::Result<Vec<u8>> {
    let dim = vectors.dim;
    let mut codes = Vec::with_capacity(vectors.count * code.width());
    vectors.each_chunk(&mut |_, numbers| {
        for row in numbers.chunks_exact(dim) {
            code.encode(row, &mut codes);
        }
    })?;
    Ok(codes)
}

/// How deep the rough pass must go, and the recall that this depth has for `queries`.
fn depth(code: &Code, codes: &[u8], queries: &[Vec<f32>], nearest: &[Vec<u32>]) -> (usize, f32) {
    let count = codes.len().checked_div(code.width()).unwrap_or(0);
    let mut places: Vec<usize> = Vec::new();
    for (query, nearest) in queries.iter().zip(nearest) {
        let keys = code.keys(&code.ask(query), codes, 0..count);
        for row in nearest {
            let own = keys[*row as usize] >> code.shift();
            // Those as near count too: the pass hands on whole buckets, but must not rely on it.
            places.push(
                keys.iter()
                    .filter(|key| **key >> code.shift() <= own)
                    .count(),
            );
        }
    }
    places.sort_unstable();
    let needed = (places.len() * 995 / 1_000).min(places.len().saturating_sub(1));
    let depth = places
        .get(needed)
        .map_or(LEAST, |place| place + place / 2)
        .max(LEAST);
    let found = places.iter().filter(|place| **place <= depth).count();
    (depth, found as f32 / places.len().max(1) as f32)
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
