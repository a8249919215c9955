//! All vectors of one space, as of one moment, ready to be searched by many threads at once.
//!
//! ```text
//! sealed rows ──► rough pass ─┐
//!                             ├─► f32 scores ─► the best contents with their best windows
//! newer rows, in memory ──────┘
//! ```
//!
//! What is sealed never changes; what came since is held in memory and scored in full, and what was
//! deleted since is passed over. Whoever holds a snapshot can search on while another writes; a
//! refresh reads only what is new.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::distance::dot;
use crate::embedding::Embedding;
use crate::query::Query;
use crate::ranking::ScoredSpan;
use crate::sealed::{self, Sealed, Sealing};
use crate::store::changes::Mark;
use crate::store::error::Result;
use crate::store::{Space, Store, StoreError};
use crate::vectors::{ContentId, Span};

/// From this many rows on, sealing is worth it: below, scoring all of them takes a few milliseconds.
const WORTH_SEALING: u64 = 4_096;

/// Chunks of newer rows that are kept apart before they are joined.
const CHUNKS: usize = 32;

/// The vectors of a space as of one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    space: Space,
    mark: Mark,
    sealed: Option<Arc<Sealed>>,
    newer: Vec<Arc<Newer>>,
    /// Windows that were deleted since what holds them was made.
    gone: Arc<HashSet<i64>>,
}

/// A content that answers, with its best window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContentHit {
    /// Which.
    pub content: ContentId,
    /// Its best window.
    pub best: ScoredSpan,
}

/// Rows in memory.
#[derive(Debug, Default)]
struct Newer {
    windows: Vec<(i64, ContentId, Span)>,
    values: Vec<f32>,
    rows: HashMap<ContentId, Vec<u32>>,
}

impl Newer {
    fn push(&mut self, id: i64, content: ContentId, span: Span, vector: &[f32]) {
        self.rows
            .entry(content)
            .or_default()
            .push(self.windows.len() as u32);
        self.windows.push((id, content, span));
        self.values.extend_from_slice(vector);
    }

    fn vector(&self, row: u32, dim: usize) -> &[f32] {
        &self.values[row as usize * dim..(row as usize + 1) * dim]
    }
}

impl Snapshot {
    /// Reads what `store` holds in `space`: what is sealed is opened, the rest is read into memory.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] at the first window, or sealed part, that is not what was written.
    pub fn load(store: &Store, space: &Space) -> Result<Self> {
        store.at_one_moment(|store| {
            let mark = store.mark()?;
            let path = sealed::path_of(store.path(), space);
            let sealed = Sealed::open(&path, space, mark.store)?
                // Deletions that it has not seen and that are told no more: it knows too much.
                .filter(|sealed| sealed.mark().gone >= store.trimmed().unwrap_or(i64::MAX))
                .map(Arc::new);
            let from = sealed.as_ref().map_or(
                Mark {
                    store: mark.store,
                    window: 0,
                    gone: mark.gone,
                },
                |sealed| sealed.mark(),
            );
            let mut snapshot = Self {
                space: space.clone(),
                mark: from,
                sealed,
                newer: Vec::new(),
                gone: Arc::default(),
            };
            snapshot.follow(store, mark)?;
            Ok(snapshot)
        })
    }

    /// The same without what is sealed: everything in memory.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] at the first window that is not what was written.
    pub fn unsealed(store: &Store, space: &Space) -> Result<Self> {
        store.at_one_moment(|store| {
            let mark = store.mark()?;
            let mut snapshot = Self {
                space: space.clone(),
                mark: Mark { window: 0, ..mark },
                sealed: None,
                newer: Vec::new(),
                gone: Arc::default(),
            };
            snapshot.follow(store, mark)?;
            Ok(snapshot)
        })
    }

    /// The same with what has changed since; `None` where nothing has.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::load`].
    pub fn refreshed(&self, store: &Store) -> Result<Option<Self>> {
        let newer = store.at_one_moment(|store| {
            let mark = store.mark()?;
            if mark == self.mark {
                return Ok(Some(None));
            }
            if mark.store != self.mark.store || store.trimmed()? > self.mark.gone {
                return Ok(None);
            }
            let mut next = self.clone();
            next.follow(store, mark)?;
            Ok(Some(Some(next)))
        })?;
        match newer {
            Some(next) => Ok(next),
            None => Self::load(store, &self.space).map(Some),
        }
    }

    fn follow(&mut self, store: &Store, to: Mark) -> Result<()> {
        let mut newer = Newer::default();
        store.each_window(&self.space, Some(self.mark.window), &mut |window| {
            newer.push(
                window.id,
                window.content,
                window.span,
                window.embedding.as_slice(),
            );
            Ok(())
        })?;
        if !newer.windows.is_empty() {
            self.newer.push(Arc::new(newer));
        }
        let gone = store.gone_after(&self.space, self.mark.gone)?;
        if !gone.is_empty() {
            let mut all = (*self.gone).clone();
            all.extend(gone);
            self.gone = Arc::new(all);
        }
        if self.newer.len() > CHUNKS {
            self.join();
        }
        self.mark = to;
        Ok(())
    }

    fn join(&mut self) {
        let dim = self.space.key().dim;
        let mut joined = Newer::default();
        for chunk in &self.newer {
            for (row, (id, content, span)) in chunk.windows.iter().enumerate() {
                if !self.gone.contains(id) {
                    joined.push(*id, *content, *span, chunk.vector(row as u32, dim));
                }
            }
        }
        self.newer = vec![Arc::new(joined)];
    }

    /// Whose vectors they are.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// About how many windows: those deleted before anybody looked count as if they had been here.
    pub fn len(&self) -> usize {
        let sealed = self.sealed.as_ref().map_or(0, |sealed| sealed.len());
        let newer: usize = self.newer.iter().map(|chunk| chunk.windows.len()).sum();
        // A window may have come and gone between two looks: then it was never counted here.
        (sealed + newer).saturating_sub(self.gone.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was measured when the sealed part was made; none where nothing is sealed.
    pub fn sealing(&self) -> Option<Sealing> {
        self.sealed.as_ref().map(|sealed| sealed.sealing())
    }

    /// The `most` contents whose best windows answer `query` best, best first, equal ones in order of
    /// number; of those in `among` (in order) where that is given. All of them are scored in f32; which
    /// sealed rows are scored at all, the codes decide.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] for a sealed vector that is not what was written.
    pub fn best(
        &self,
        query: &Query,
        most: usize,
        among: Option<&[ContentId]>,
    ) -> Result<Vec<ContentHit>> {
        self.search(query, most, among, false)
    }

    /// The same by scoring every vector in f32: what [`Snapshot::best`] is measured against.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::best`].
    pub fn exact(
        &self,
        query: &Query,
        most: usize,
        among: Option<&[ContentId]>,
    ) -> Result<Vec<ContentHit>> {
        self.search(query, most, among, true)
    }

    fn search(
        &self,
        query: &Query,
        most: usize,
        among: Option<&[ContentId]>,
        exact: bool,
    ) -> Result<Vec<ContentHit>> {
        let direction = query.direction();
        let mut best: HashMap<ContentId, ScoredSpan> = HashMap::new();
        let mut offer = |content: ContentId, span: Span, score: f32| {
            let scored = ScoredSpan { span, score };
            let known = best.entry(content).or_insert(scored);
            if score > known.score || (score == known.score && span < known.span) {
                *known = scored;
            }
        };
        let dim = self.space.key().dim;
        for chunk in &self.newer {
            let mut one = |row: u32| {
                let (id, content, span) = chunk.windows[row as usize];
                if !self.gone.contains(&id) {
                    offer(content, span, dot(chunk.vector(row, dim), direction));
                }
            };
            match among {
                None => (0..chunk.windows.len() as u32).for_each(&mut one),
                Some(among) if among.len() < chunk.rows.len() => (among.iter())
                    .filter_map(|content| chunk.rows.get(content))
                    .flatten()
                    .for_each(|row| one(*row)),
                Some(among) => (chunk.rows.iter())
                    .filter(|(content, _)| among.binary_search(content).is_ok())
                    .flat_map(|(_, rows)| rows)
                    .for_each(|row| one(*row)),
            }
        }
        if let Some(sealed) = &self.sealed {
            let among = among.map(|among| ranges(sealed, among));
            let all: usize = among
                .as_ref()
                .map_or(sealed.len(), |ranges| ranges.iter().map(|r| r.len()).sum());
            let mut bytes = Vec::new();
            let mut vector = vec![0.0; dim];
            let mut done: HashSet<u32> = HashSet::new();
            // The depth was measured for ten; more need more, and deleted rows are found in vain.
            let mut depth = match exact {
                true => all,
                false => sealed.depth().max(sealed.depth() * most / 20) + self.gone.len(),
            };
            loop {
                let rows = sealed.candidates(direction, among.as_deref(), depth);
                let mut contents: HashSet<ContentId> = HashSet::new();
                for row in rows {
                    let entry = sealed.row(row);
                    contents.insert(entry.content);
                    if !done.insert(row) || self.gone.contains(&entry.window) {
                        continue;
                    }
                    sealed.vector(row, &mut bytes, &mut vector)?;
                    offer(entry.content, entry.span, dot(&vector, direction));
                }
                // Many windows of few sounds: go on until there are enough sounds.
                if contents.len() >= most || depth >= all {
                    break;
                }
                depth = depth.saturating_mul(4);
            }
        }
        let mut hits: Vec<ContentHit> = best
            .into_iter()
            .map(|(content, best)| ContentHit { content, best })
            .collect();
        hits.sort_by(|a, b| {
            (b.best.score.total_cmp(&a.best.score)).then_with(|| a.content.cmp(&b.content))
        });
        hits.truncate(most);
        Ok(hits)
    }

    /// Every window of `content` with its score, in order of time.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::best`].
    pub fn windows(&self, content: ContentId, query: &Query) -> Result<Vec<ScoredSpan>> {
        let mut windows = Vec::new();
        self.each_vector_of(content, &mut |span, vector| {
            windows.push(ScoredSpan {
                span,
                score: dot(vector, query.direction()),
            });
        })?;
        windows.sort_by(|a, b| a.span.cmp(&b.span));
        Ok(windows)
    }

    /// The vector of one window, if it is here.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::best`].
    pub fn vector(&self, content: ContentId, wanted: Span) -> Result<Option<Vec<f32>>> {
        let mut found = None;
        self.each_vector_of(content, &mut |span, vector| {
            if span == wanted {
                found = Some(vector.to_vec());
            }
        })?;
        Ok(found)
    }

    fn each_vector_of(&self, content: ContentId, each: &mut dyn FnMut(Span, &[f32])) -> Result<()> {
        let dim = self.space.key().dim;
        if let Some(sealed) = &self.sealed {
            let mut bytes = Vec::new();
            let mut vector = vec![0.0; dim];
            for row in sealed.rows_of(content) {
                let entry = sealed.row(row);
                if !self.gone.contains(&entry.window) {
                    sealed.vector(row, &mut bytes, &mut vector)?;
                    each(entry.span, &vector);
                }
            }
        }
        for chunk in &self.newer {
            for row in chunk.rows.get(&content).into_iter().flatten() {
                let (id, _, span) = chunk.windows[*row as usize];
                if !self.gone.contains(&id) {
                    each(span, chunk.vector(*row, dim));
                }
            }
        }
        Ok(())
    }

    /// Up to `count` vectors, spread over all there are.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::best`].
    pub fn sample(&self, count: usize) -> Result<Vec<Vec<f32>>> {
        let dim = self.space.key().dim;
        let mut sample = Vec::new();
        let sealed = self.sealed.as_ref().map_or(0, |sealed| sealed.len());
        let all = sealed
            + self
                .newer
                .iter()
                .map(|chunk| chunk.windows.len())
                .sum::<usize>();
        let (mut bytes, mut vector) = (Vec::new(), vec![0.0; dim]);
        for n in 0..count.min(all) {
            let mut at = n * all / count.min(all);
            if at < sealed
                && let Some(sealed) = &self.sealed
            {
                sealed.vector(at as u32, &mut bytes, &mut vector)?;
                sample.push(vector.clone());
                continue;
            }
            at -= sealed;
            for chunk in &self.newer {
                if at < chunk.windows.len() {
                    sample.push(chunk.vector(at as u32, dim).to_vec());
                    break;
                }
                at -= chunk.windows.len();
            }
        }
        Ok(sample)
    }
}

/// The rows of `contents`, neighbours joined.
fn ranges(sealed: &Sealed, contents: &[ContentId]) -> Vec<Range<u32>> {
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for content in contents {
        let rows = sealed.rows_of(*content);
        match ranges.last_mut() {
            _ if rows.is_empty() => {}
            Some(last) if last.end == rows.start => last.end = rows.end,
            _ => ranges.push(rows),
        }
    }
    ranges
}

impl Store {
    /// Seals the vectors of `space` where that is worth it: where there are many, and an eighth of them
    /// is not sealed yet. `force`: however many. Returns what was made.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store cannot be read, or the file not written; what was sealed before
    /// then stays.
    pub fn seal(
        &mut self,
        space: &Space,
        probes: &[Embedding],
        force: bool,
    ) -> Result<Option<Sealing>> {
        if self.is_read_only() {
            return Err(StoreError::ReadOnly {
                path: self.path().into(),
            });
        }
        sealed::sweep(self.path());
        if !force && !self.wants_sealing(space)? {
            return Ok(None);
        }
        sealed::seal(self, space, probes).map(Some)
    }

    /// Whether [`Store::seal`] has something to do.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store cannot be read.
    pub fn wants_sealing(&self, space: &Space) -> Result<bool> {
        let all = self.window_count(space)?;
        let path = sealed::path_of(self.path(), space);
        let trimmed = self.trimmed()?;
        // What is damaged is as good as missing: sealing makes it anew.
        let sealed = Sealed::open(&path, space, self.mark()?.store)
            .ok()
            .flatten();
        let behind = match sealed.filter(|sealed| sealed.mark().gone >= trimmed) {
            Some(sealed) => {
                let gone = self.gone_after(space, sealed.mark().gone)?.len() as u64;
                self.windows_after_count(sealed.mark().window)? + gone
            }
            None => all,
        };
        Ok(behind >= WORTH_SEALING.max(all / 8))
    }

    /// Checks every sealed vector of `space` against its own check; how many there are.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] at the first part that is not what was written.
    pub fn inspect_sealed(&self, space: &Space) -> Result<usize> {
        let path = sealed::path_of(self.path(), space);
        let Some(sealed) = Sealed::open(&path, space, self.mark()?.store)? else {
            return Ok(0);
        };
        let (mut bytes, mut vector) = (Vec::new(), vec![0.0; space.key().dim]);
        for row in 0..sealed.len() as u32 {
            sealed.vector(row, &mut bytes, &mut vector)?;
        }
        Ok(sealed.len())
    }

    /// Removes the sealed vectors of `space`; they are a cache.
    ///
    /// # Errors
    ///
    /// [`StoreError::Sealed`] where that fails.
    pub fn unseal(&self, space: &Space) -> Result<()> {
        remove(&sealed::path_of(self.path(), space))
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(StoreError::Sealed {
            path: path.into(),
            doing: "write",
            source,
        }),
        _ => Ok(()),
    }
}
