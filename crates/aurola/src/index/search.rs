//! A request, answered.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aurola_model::Input;
use aurola_retrieval::store::{FileId, Known, Space, WordHit};
use aurola_retrieval::{ContentHit, ContentId, Embedding, Query, ScoredSpan, Span, Store};

use super::Index;
use super::fuse::{Worded, fuse};
use super::live::{Moment as Now, Passing};
use super::moments::{moment, spans};
use crate::EngineError;
use crate::found::{Relevance, SearchAnswer, SearchHit, SpaceInfo, Timing};
use crate::listen::{Listener, reason, seconds};
use crate::progress::Skipped;
use crate::request::{GroupBy, Mode, Rerank, SearchRequest, Sort, What};

/// Files that are looked at for an order other than by relevance, or to be folded.
const ORDERED: usize = 1_000;
/// Of each list that is fused.
const FUSED: usize = 100;

/// A file in the running.
struct Contender {
    known: Known,
    score: f32,
    cosine: Option<f32>,
    best: Option<Span>,
    by_words: bool,
    p_yes: Option<f32>,
    relevance: Option<Relevance>,
    folded: usize,
}

/// What a search goes by.
struct Search<'a> {
    index: &'a Index,
    request: &'a SearchRequest,
    store: &'a Store,
    now: Now,
    space: Option<Space>,
    query: Option<Query>,
    passing: Option<std::sync::Arc<Passing>>,
}

impl Index {
    /// Answers `request`. Any number of threads may ask at once, also while sounds are added.
    ///
    /// # Errors
    ///
    /// As [`SearchRequest::check`]; [`EngineError::NoSuchFile`] and [`EngineError::Unreadable`] for a
    /// part of the question that is not there or cannot be read; and whatever model and store give.
    pub fn search(&self, request: &SearchRequest) -> Result<SearchAnswer, EngineError> {
        request.check()?;
        self.reading(|store| match self.answer(request, store) {
            // A sealed vector that rotted is noticed when it is read: once more, from the catalogue.
            Err(EngineError::Store(error)) if error.is_about_sealed(&self.path) => {
                self.after_damage(error)?;
                self.answer(request, store)
            }
            other => other,
        })
    }

    fn answer(&self, request: &SearchRequest, store: &Store) -> Result<SearchAnswer, EngineError> {
        let mut timing = Timing::default();
        let started = Instant::now();
        let query = match request.mode {
            Mode::Words => None,
            Mode::Both | Mode::Meaning => self.query(request, store)?,
        };
        timing.embed = started.elapsed();
        let started = Instant::now();
        let now = self.now()?;
        let passing = self.passing(store, &request.filter)?;
        let search = Search {
            index: self,
            request,
            store,
            space: store.space(&self.key)?,
            now,
            query,
            passing,
        };
        let mut found = search.contenders()?;
        timing.search = started.elapsed();
        let mut skipped = Vec::new();
        if let (Some(rerank), Some(text)) = (request.rerank, request.text())
            && rerank.first > 0
        {
            let started = Instant::now();
            skipped = search.judge(&mut found, &text, rerank)?;
            timing.rerank = started.elapsed();
        }
        let started = Instant::now();
        search.sort(&mut found);
        let more = found.len() > request.offset + request.limit;
        let hits = (found.into_iter().skip(request.offset).take(request.limit))
            .map(|contender| search.hit(contender))
            .collect::<Result<Vec<_>, EngineError>>()?;
        let searched = match &search.passing {
            Some(passing) => passing.files.len() as u64,
            None => self.file_count()?,
        };
        timing.search += started.elapsed();
        Ok(SearchAnswer {
            hits,
            more,
            searched,
            space: search
                .space
                .as_ref()
                .map(|space| SpaceInfo::of(space.key())),
            timing,
            skipped,
        })
    }
}

impl Search<'_> {
    /// Whether words are asked for, which decides what scores are compared with.
    fn by_text(&self) -> bool {
        self.request
            .wanted
            .iter()
            .any(|part| matches!(part.what, What::Text(_)))
    }

    /// How many files must be known to fill the page and to say whether there are more.
    fn needed(&self) -> usize {
        let page = self.request.offset + self.request.limit + 1;
        let judged = self.request.rerank.map_or(0, |rerank| rerank.first);
        let wide = self.request.sort != Sort::Relevance || self.request.group_by != GroupBy::File;
        page.max(judged).max(if wide { ORDERED } else { 0 })
    }

    fn passes(&self, file: &Known) -> bool {
        file.away_since_ns.is_none()
            && self
                .passing
                .as_ref()
                .is_none_or(|passing| passing.files.contains(&file.id))
    }

    fn contenders(&self) -> Result<Vec<Contender>, EngineError> {
        if self.request.wanted.is_empty() {
            return self.all();
        }
        let worded = match (self.request.mode, self.request.text()) {
            (Mode::Both | Mode::Words, Some(text)) => self.worded(&text)?,
            _ => Vec::new(),
        };
        let mut most = self.needed() + self.needed() / 2 + 10;
        if !worded.is_empty() {
            most = most.max(FUSED);
        }
        loop {
            let meant = self.meant(most)?;
            // What comes behind is no better than the last one.
            let below = |least: f32| {
                (meant.last())
                    .is_some_and(|last| self.relevance(Some(last.best.score), false).score < least)
            };
            let all = meant.len() < most || self.request.min_relevance.is_some_and(below);
            let found = self.fused(&meant, &worded)?;
            let reached: usize = found.iter().map(|contender| 1 + contender.folded).sum();
            // Contents without a file, or whose files do not pass, leave gaps: look further.
            if reached >= self.needed() || all {
                return Ok(found);
            }
            most *= 4;
        }
    }

    fn meant(&self, most: usize) -> Result<Vec<ContentHit>, EngineError> {
        let (Some(query), Some(snapshot)) = (&self.query, &self.now.snapshot) else {
            return Ok(Vec::new());
        };
        let among = self
            .passing
            .as_ref()
            .map(|passing| passing.contents.as_slice());
        Ok(snapshot.best(query, most, among)?)
    }

    fn worded(&self, text: &str) -> Result<Vec<WordHit>, EngineError> {
        let most = if self.request.mode == Mode::Words {
            self.needed() * 2
        } else {
            FUSED * 4
        };
        let most = if self.passing.is_some() {
            usize::MAX
        } else {
            most
        };
        let mut hits = self.store.by_words(text, most)?;
        if let Some(passing) = &self.passing {
            hits.retain(|hit| passing.files.contains(&hit.file));
        }
        Ok(hits)
    }

    /// Every file that passes, unranked.
    fn all(&self) -> Result<Vec<Contender>, EngineError> {
        let files = match &self.passing {
            Some(passing) => {
                let mut files = Vec::with_capacity(passing.files.len());
                for id in &passing.files {
                    files.extend(self.store.known_id(*id, self.space.as_ref())?);
                }
                files
            }
            None => self
                .store
                .known_below(std::path::Path::new("/"), self.space.as_ref())?,
        };
        Ok(files
            .into_iter()
            .filter(|file| self.passes(file))
            .map(|known| Contender {
                known,
                score: 0.0,
                cosine: None,
                best: None,
                by_words: false,
                p_yes: None,
                relevance: None,
                folded: 0,
            })
            .collect())
    }

    /// Both lists as one, best first, as files with their relevance, cut off and folded.
    fn fused(
        &self,
        meant: &[ContentHit],
        worded: &[WordHit],
    ) -> Result<Vec<Contender>, EngineError> {
        let mut best: HashMap<ContentId, ScoredSpan> =
            meant.iter().map(|hit| (hit.content, hit.best)).collect();
        let words: HashMap<FileId, &WordHit> = worded.iter().map(|hit| (hit.file, hit)).collect();
        // Words are a matter of names, and meaning of contents; a file is both.
        let order: Vec<(ContentId, f32)> = if worded.is_empty() {
            meant
                .iter()
                .map(|hit| (hit.content, hit.best.score))
                .collect()
        } else {
            let mut by_content: HashSet<ContentId> = HashSet::new();
            let lists: Vec<Worded<ContentId>> = (worded.iter())
                .filter(|hit| by_content.insert(hit.content))
                .map(|hit| Worded {
                    item: hit.content,
                    score: hit.score,
                })
                .collect();
            let by_meaning: Vec<ContentId> = meant.iter().map(|hit| hit.content).collect();
            let mut order: Vec<(ContentId, f32)> = fuse(&by_meaning, &lists).into_iter().collect();
            order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            order
        };
        let needed = self.needed();
        let mut found: Vec<Contender> = Vec::new();
        let mut groups = Groups::new(self.request.group_by);
        for (content, score) in order {
            if found.len() >= needed && self.request.group_by == GroupBy::File {
                break;
            }
            let scored = match (best.get(&content), &self.query, &self.now.snapshot) {
                (Some(scored), _, _) => Some(*scored),
                // Found by its name alone: it has a cosine all the same.
                (None, Some(query), Some(snapshot)) => {
                    let windows = snapshot.windows(content, query)?;
                    let scored = windows
                        .into_iter()
                        .max_by(|a, b| a.score.total_cmp(&b.score).then(b.span.cmp(&a.span)));
                    scored.inspect(|scored| {
                        best.insert(content, *scored);
                    })
                }
                _ => None,
            };
            for known in self.store.known_of(content, self.space.as_ref())? {
                let by_words = words.get(&known.id).is_some_and(|hit| hit.all);
                // A content that is not embedded to its end is found by name only.
                let usable = known.embedded || words.contains_key(&known.id);
                if !usable || !self.passes(&known) {
                    continue;
                }
                let scored = scored.filter(|_| known.embedded);
                let relevance = self.relevance(scored.map(|s| s.score), by_words);
                if self
                    .request
                    .min_relevance
                    .is_some_and(|least| relevance.score < least)
                {
                    continue;
                }
                let contender = Contender {
                    known,
                    score,
                    cosine: scored.map(|scored| scored.score),
                    best: scored.map(|scored| scored.span),
                    by_words,
                    p_yes: None,
                    relevance: Some(relevance),
                    folded: 0,
                };
                match groups.place(&contender, self)? {
                    Some(at) => found[at].folded += 1,
                    None => found.push(contender),
                }
            }
        }
        Ok(found)
    }

    fn relevance(&self, score: Option<f32>, by_words: bool) -> Relevance {
        let place = match (score, &self.now.calibration) {
            (Some(score), Some(calibration)) => calibration.place(score, self.by_text()),
            _ => 0.5,
        };
        Relevance::of(if by_words {
            place.max(Relevance::LIKELY)
        } else {
            place
        })
    }

    /// Adds the judge's word to the first of them, and puts those that were judged in order.
    fn judge(
        &self,
        found: &mut [Contender],
        text: &str,
        rerank: Rerank,
    ) -> Result<Vec<Skipped>, EngineError> {
        let reranker = self.index.reranker();
        let mut listener = Listener::new(&self.index.options.listening, reranker.mel_config())?;
        let started = Instant::now();
        let mut skipped = Vec::new();
        let first = rerank.first.min(found.len());
        for contender in &mut found[..first] {
            if rerank
                .budget
                .is_some_and(|budget: Duration| started.elapsed() >= budget)
            {
                break;
            }
            let path = &contender.known.path;
            let mel = match contender.best {
                Some(span) => listener.window(path, span),
                None => listener.beginning(path).map(|beginning| beginning.mel),
            };
            let mel = match mel {
                Ok(mel) => mel,
                Err(error) => {
                    let reason = reason(&error, path);
                    skipped.push(Skipped {
                        path: path.clone(),
                        reason,
                    });
                    continue;
                }
            };
            // One at a time: a window's spectrogram is large, and the model shares nothing but a few
            // tokens between clips.
            let verdict = reranker
                .rerank(&Input::Text(text), &[Input::Audio(&mel)])?
                .swap_remove(0);
            contender.p_yes = Some(verdict.p_yes());
        }
        for contender in &mut found[..first] {
            contender.score =
                contender.cosine.unwrap_or(0.0) + rerank.alpha * contender.p_yes.unwrap_or(0.0);
        }
        // Those that were judged, then the others as they were.
        found[..first].sort_by(|a, b| match (a.p_yes, b.p_yes) {
            (Some(_), Some(_)) => b
                .score
                .total_cmp(&a.score)
                .then_with(|| a.known.path.cmp(&b.known.path)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        Ok(skipped)
    }

    fn sort(&self, found: &mut [Contender]) {
        let ranked = !self.request.wanted.is_empty();
        let by_path = |a: &Contender, b: &Contender| a.known.path.cmp(&b.known.path);
        let length = |c: &Contender| c.known.sound.samples.unwrap_or(0);
        match self.request.sort {
            Sort::Relevance if ranked => {}
            Sort::Relevance | Sort::Path => found.sort_by(by_path),
            Sort::Newest => found.sort_by(|a, b| {
                (b.known.state.mtime_ns.cmp(&a.known.state.mtime_ns)).then_with(|| by_path(a, b))
            }),
            Sort::Shortest => {
                found.sort_by(|a, b| length(a).cmp(&length(b)).then_with(|| by_path(a, b)));
            }
            Sort::Longest => {
                found.sort_by(|a, b| length(b).cmp(&length(a)).then_with(|| by_path(a, b)));
            }
        }
    }

    fn hit(&self, contender: Contender) -> Result<SearchHit, EngineError> {
        let Contender {
            known,
            score,
            cosine,
            best,
            by_words,
            p_yes,
            relevance,
            folded,
        } = contender;
        let windows = match (&self.query, &self.now.snapshot) {
            (Some(query), Some(snapshot)) if known.embedded => {
                snapshot.windows(known.content.id, query)?
            }
            _ => Vec::new(),
        };
        let middle = (self.now.calibration.as_ref())
            .and_then(|calibration| calibration.middle(self.by_text()));
        let tags = self.store.tags(&known.content)?;
        Ok(SearchHit {
            id: known.id,
            content: known.content,
            score,
            cosine,
            p_yes,
            relevance,
            by_words,
            spans: spans(&windows, middle),
            best: windows
                .iter()
                .find(|window| Some(window.span) == best)
                .map(moment),
            heat: if self.request.explain {
                windows.iter().map(moment).collect()
            } else {
                Vec::new()
            },
            duration_s: known.sound.samples.map(seconds),
            size: known.state.size,
            modified_ns: known.state.mtime_ns,
            licence: super::entry::licence(&tags),
            tags,
            away: std::fs::symlink_metadata(&known.path).is_err(),
            folded,
            sound: known.sound,
            path: known.path,
        })
    }
}

/// Which hits stand for which others.
struct Groups {
    by: GroupBy,
    folders: HashMap<PathBuf, usize>,
    contents: HashMap<ContentId, usize>,
    vectors: Vec<(usize, Embedding)>,
    count: usize,
}

impl Groups {
    fn new(by: GroupBy) -> Self {
        Self {
            by,
            folders: HashMap::new(),
            contents: HashMap::new(),
            vectors: Vec::new(),
            count: 0,
        }
    }

    /// The hit that stands for `contender`; none where it stands for itself, as the next hit.
    fn place(
        &mut self,
        contender: &Contender,
        search: &Search<'_>,
    ) -> Result<Option<usize>, EngineError> {
        let own = self.count;
        let content = contender.known.content.id;
        let at = match self.by {
            GroupBy::File => own,
            GroupBy::Folder => {
                let folder = contender
                    .known
                    .path
                    .parent()
                    .unwrap_or(&contender.known.path);
                *self.folders.entry(folder.to_path_buf()).or_insert(own)
            }
            GroupBy::Alike => {
                if let Some(at) = self.contents.get(&content) {
                    return Ok(Some(*at));
                }
                let vector = match (contender.best, &search.now.snapshot) {
                    (Some(span), Some(snapshot)) => snapshot.vector(content, span)?,
                    _ => None,
                };
                let vector = vector.and_then(|numbers| Embedding::from_unit(numbers).ok());
                let alike = vector.as_ref().and_then(|vector| {
                    let near = |other: &Embedding| vector.cosine(other) >= GroupBy::ALIKE;
                    self.vectors
                        .iter()
                        .find(|(_, other)| near(other))
                        .map(|(at, _)| *at)
                });
                if alike.is_none()
                    && let Some(vector) = vector
                {
                    self.vectors.push((own, vector));
                }
                let at = alike.unwrap_or(own);
                self.contents.insert(content, at);
                at
            }
        };
        if at == own {
            self.count += 1;
            return Ok(None);
        }
        Ok(Some(at))
    }
}
