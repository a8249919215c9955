//! What the reading threads report, embedded and saved.
//!
//! A batch of windows and everything that became complete with it are one transaction: whatever the
//! library says is there, is on the disk.

use std::collections::HashMap;
use std::path::PathBuf;

use aurola_audio::LogMel;
use aurola_model::{Input, ModelError};
use aurola_retrieval::store::{Content, ContentHash, Failure, Sound, Space, Tag, TagSource};
use aurola_retrieval::{Embedding, Span, Store};

use crate::library::Library;
use crate::listen::seconds;
use crate::prepare::{Report, Seen};
use crate::progress::{Estimate, Event, InPart, Noted, Progress};
use crate::walk::SoundFile;
use crate::{Embedder, EngineError, tags};

/// Files without windows to embed (copies, bad ones) that are saved at once.
const FILES_AT_ONCE: usize = 256;

/// After this many inputs in a row that the model refuses, with none it took, it is the model.
const REFUSALS: usize = 3;

/// Where every job of a run stands.
pub(crate) struct Intake<'a> {
    model: &'a dyn Embedder,
    store: &'a mut Store,
    space: &'a Space,
    jobs: &'a [&'a SoundFile],
    reader: &'a str,
    waiting: Vec<Waiting>,
    tokens: usize,
    underway: HashMap<usize, Underway>,
    /// Jobs whose bytes are another's, until that one is done.
    twins: HashMap<ContentHash, Vec<(usize, Seen)>>,
    /// How contents of this run ended.
    ended: HashMap<ContentHash, How>,
    to_save: Vec<Ending>,
    embedded_once: bool,
    refused: usize,
    estimate: Estimate,
    files_done: usize,
    current: PathBuf,
}

/// A window that waits for the model.
struct Waiting {
    job: usize,
    span: Span,
    mel: LogMel,
}

/// A job between its first and its last window.
struct Underway {
    seen: Seen,
    sound: Sound,
    /// Seconds, as its header has it.
    said: Option<f64>,
    waiting: usize,
    /// How many windows it has in all, once that is known.
    windows: Option<usize>,
    heard_to: u64,
    notes: Vec<String>,
    fresh: bool,
}

/// How a job ended; saved with the next transaction.
struct Ending {
    job: usize,
    seen: Option<Seen>,
    outcome: Outcome,
}

struct Embedded {
    sound: Sound,
    windows: usize,
    notes: Vec<String>,
    /// Whether the model was needed: not for a file whose windows an interrupted run left.
    fresh: bool,
}

/// How a content ended; a failure with whether to remember it.
type How = Result<Sound, (String, bool)>;

enum Outcome {
    /// Its bytes were embedded under another name, before or in this run.
    Known { sound: Sound },
    /// This run read it to its end, and all its windows are in the store or go there with this.
    Embedded(Embedded),
    /// `remember`: not to be tried again while the bytes are the same.
    Failed { reason: String, remember: bool },
}

impl<'a> Intake<'a> {
    pub(crate) fn new(
        model: &'a dyn Embedder,
        store: &'a mut Store,
        space: &'a Space,
        jobs: &'a [&'a SoundFile],
        reader: &'a str,
    ) -> Self {
        let mut estimate = Estimate::default();
        for job in jobs {
            estimate.expect(&job.absolute, job.state.size);
        }
        Self {
            model,
            store,
            space,
            jobs,
            reader,
            waiting: Vec::new(),
            tokens: 0,
            underway: HashMap::new(),
            twins: HashMap::new(),
            ended: HashMap::new(),
            to_save: Vec::new(),
            embedded_once: false,
            refused: 0,
            estimate,
            files_done: 0,
            current: PathBuf::new(),
        }
    }

    /// Tokens of the windows that wait.
    pub(crate) fn tokens_waiting(&self) -> usize {
        self.tokens
    }

    /// Whether so much has ended without the model that it should be saved without waiting for it.
    pub(crate) fn is_worth_saving(&self) -> bool {
        self.to_save.len() >= FILES_AT_ONCE
    }

    /// Notes one report.
    pub(crate) fn take(&mut self, report: Report) -> Result<(), EngineError> {
        match report {
            Report::Known { job, seen, stored } => {
                let sound = stored.sound;
                self.end(job, Some(seen), Outcome::Known { sound });
            }
            Report::KnownBad { job, seen, reason } => {
                self.end(
                    job,
                    Some(seen),
                    Outcome::Failed {
                        reason,
                        remember: true,
                    },
                );
            }
            Report::Twin { job, seen } => match self.ended.get(&seen.hash).cloned() {
                Some(how) => self.end_twin(job, seen, how),
                None => self.twins.entry(seen.hash).or_default().push((job, seen)),
            },
            Report::Begun {
                job,
                seen,
                sound,
                said,
            } => {
                self.underway.insert(
                    job,
                    Underway {
                        seen,
                        sound,
                        said,
                        waiting: 0,
                        windows: None,
                        heard_to: 0,
                        notes: Vec::new(),
                        fresh: false,
                    },
                );
            }
            Report::Window { job, span, mel } => {
                if let Some(underway) = self.underway.get_mut(&job) {
                    underway.waiting += 1;
                    self.tokens += self.model.audio_tokens(&mel);
                    self.waiting.push(Waiting { job, span, mel });
                }
            }
            Report::Done { job, heard } => {
                if let Some(underway) = self.underway.get_mut(&job) {
                    underway.sound = heard.sound;
                    underway.windows = Some(heard.windows);
                    underway.notes = heard.notes;
                    self.end_if_complete(job);
                }
            }
            Report::Failed { job, seen, reason } => {
                let remember = seen.is_some();
                let seen = seen.or_else(|| Some(self.underway.get(&job)?.seen));
                self.end(job, seen, Outcome::Failed { reason, remember });
            }
            Report::Broken(error) => return Err(error),
        }
        Ok(())
    }

    /// Gives the windows that wait to the model and saves what comes of them.
    pub(crate) fn embed(
        &mut self,
        library: &mut Library,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), EngineError> {
        let mut waiting = std::mem::take(&mut self.waiting);
        self.tokens = 0;
        // A job that has failed since needs no vectors.
        waiting.retain(|window| self.underway.contains_key(&window.job));
        let inputs: Vec<Input<'_>> = waiting.iter().map(|w| Input::Audio(&w.mel)).collect();
        let embedded = self.embeddings(&inputs)?;
        let mut saved = Vec::new();
        for (window, embedding) in waiting.iter().zip(embedded) {
            let Some(underway) = self.underway.get_mut(&window.job) else {
                continue; // an earlier window of it was refused just now
            };
            match embedding {
                Ok(embedding) => {
                    underway.waiting -= 1;
                    underway.fresh = true;
                    let new = window.span.end
                        - window
                            .span
                            .start
                            .max(underway.heard_to)
                            .min(window.span.end);
                    underway.heard_to = underway.heard_to.max(window.span.end);
                    library.seconds += seconds(new);
                    self.current.clone_from(&self.jobs[window.job].shown);
                    saved.push((
                        underway.seen,
                        underway.sound.clone(),
                        window.span,
                        embedding,
                    ));
                    self.end_if_complete(window.job);
                }
                Err(error) => {
                    let seen = Some(underway.seen);
                    let reason = error.to_string();
                    self.end(
                        window.job,
                        seen,
                        Outcome::Failed {
                            reason,
                            remember: false,
                        },
                    );
                }
            }
        }
        self.write(&saved, library, on_event)
    }

    /// Saves what has ended without the model.
    pub(crate) fn save(
        &mut self,
        library: &mut Library,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), EngineError> {
        self.write(&[], library, on_event)
    }

    /// All at once; where the model refuses that, one by one, to find out which it is.
    fn embeddings(
        &mut self,
        inputs: &[Input<'_>],
    ) -> Result<Vec<Result<Embedding, ModelError>>, EngineError> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        if let Ok(embeddings) = self.model.embed(inputs) {
            self.embedded_once = true;
            return Ok(embeddings.into_iter().map(Ok).collect());
        }
        let mut each = Vec::with_capacity(inputs.len());
        for input in inputs {
            let one = self
                .model
                .embed(std::slice::from_ref(input))
                .map(|mut one| one.swap_remove(0));
            match &one {
                Ok(_) => self.embedded_once = true,
                Err(_) => self.refused += 1,
            }
            match one {
                Err(error) if !self.embedded_once && self.refused >= REFUSALS => {
                    return Err(error.into());
                }
                one => each.push(one),
            }
        }
        Ok(each)
    }

    fn end_if_complete(&mut self, job: usize) {
        if let Some(underway) = self.underway.get(&job)
            && underway.waiting == 0
            && let Some(windows) = underway.windows
        {
            let embedded = Embedded {
                sound: underway.sound.clone(),
                windows,
                notes: underway.notes.clone(),
                fresh: underway.fresh,
            };
            self.end(job, Some(underway.seen), Outcome::Embedded(embedded));
        }
    }

    /// A job has ended, and with it those of the same bytes.
    fn end(&mut self, job: usize, seen: Option<Seen>, outcome: Outcome) {
        self.underway.remove(&job);
        let how = match &outcome {
            Outcome::Known { sound } => Ok(sound.clone()),
            Outcome::Embedded(embedded) => Ok(embedded.sound.clone()),
            Outcome::Failed { reason, remember } => Err((reason.clone(), *remember)),
        };
        self.to_save.push(Ending { job, seen, outcome });
        if let Some(seen) = seen {
            for (twin, twin_seen) in self.twins.remove(&seen.hash).unwrap_or_default() {
                self.end_twin(twin, twin_seen, how.clone());
            }
            self.ended.insert(seen.hash, how);
        }
    }

    fn end_twin(&mut self, job: usize, seen: Seen, how: How) {
        let outcome = match how {
            Ok(sound) => Outcome::Known { sound },
            Err((reason, remember)) => Outcome::Failed { reason, remember },
        };
        self.to_save.push(Ending {
            job,
            seen: Some(seen),
            outcome,
        });
    }

    /// One transaction: these windows, and every job that has ended.
    fn write(
        &mut self,
        windows: &[(Seen, Sound, Span, Embedding)],
        library: &mut Library,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), EngineError> {
        let endings = std::mem::take(&mut self.to_save);
        if windows.is_empty() && endings.is_empty() {
            return Ok(());
        }
        // Read before the transaction: a slow disk must not keep other writers waiting.
        let said: Vec<Vec<Tag>> = (endings.iter())
            .map(|ending| match &ending.outcome {
                Outcome::Embedded(_) => tags::of_bytes(&self.jobs[ending.job].absolute),
                _ => Vec::new(),
            })
            .collect();
        let writer = self.store.write()?;
        for (seen, sound, span, embedding) in windows {
            let content = writer.content(&seen.hash, seen.state.size, sound)?;
            writer.window(self.space, &content, *span, embedding)?;
        }
        let mut contents: Vec<Option<Content>> = Vec::with_capacity(endings.len());
        for (Ending { job, seen, outcome }, said) in endings.iter().zip(&said) {
            let Some(seen) = seen else {
                contents.push(None);
                continue;
            };
            let size = seen.state.size;
            let content = match outcome {
                Outcome::Known { sound } => writer.content(&seen.hash, size, sound)?,
                Outcome::Embedded(embedded) => {
                    let content = writer.content(&seen.hash, size, &embedded.sound)?;
                    writer.complete(self.space, &content, embedded.windows)?;
                    content
                }
                Outcome::Failed {
                    reason,
                    remember: true,
                } => {
                    let content = writer.content(&seen.hash, size, &Sound::default())?;
                    let (reader, reason) = (self.reader.to_owned(), reason.clone());
                    writer.failure(&content, &Failure { reader, reason })?;
                    content
                }
                Outcome::Failed {
                    remember: false, ..
                } => {
                    contents.push(None);
                    continue;
                }
            };
            let path = &self.jobs[*job].absolute;
            writer.file(path, &seen.state, seen.checked_ns, &content)?;
            writer.add_tags(&content, &tags::of_name(path))?;
            if let Outcome::Embedded(_) = outcome {
                writer.set_tags(&content, TagSource::File, said)?;
                writer.tagged(&content, tags::READER)?;
            }
            contents.push(Some(content));
        }
        writer.commit()?;
        for (ending, content) in endings.into_iter().zip(contents) {
            self.tell(ending, content, library, on_event);
        }
        if windows.is_empty() {
            return Ok(());
        }
        self.report(library, on_event);
        Ok(())
    }

    /// An ending that is on the disk, to the library and to whoever watches.
    fn tell(
        &mut self,
        ending: Ending,
        content: Option<Content>,
        library: &mut Library,
        on_event: &mut dyn FnMut(Event<'_>),
    ) {
        let file = self.jobs[ending.job];
        self.files_done += 1;
        let mut heard = None;
        match (ending.outcome, content) {
            (Outcome::Known { sound }, Some(content)) => {
                heard = sound.samples.map(seconds);
                library.add(file, content, sound);
            }
            (
                Outcome::Embedded(Embedded {
                    sound,
                    notes,
                    fresh,
                    ..
                }),
                Some(content),
            ) => {
                heard = sound.samples.map(seconds);
                library.embedded += usize::from(fresh);
                let path = &file.shown;
                let noted = notes.into_iter().map(|note| Noted {
                    path: path.clone(),
                    note,
                });
                library.notes.extend(noted);
                library.add(file, content, sound);
            }
            (Outcome::Failed { reason, .. }, _) => library.skip(file, reason, on_event),
            (Outcome::Known { .. } | Outcome::Embedded(_), None) => {
                unreachable!("what was read was seen, and so has a content")
            }
        }
        self.estimate.heard(&file.absolute, file.state.size, heard);
        self.current.clone_from(&file.shown);
        self.report(library, on_event);
    }

    fn report(&self, library: &Library, on_event: &mut dyn FnMut(Event<'_>)) {
        let in_part = self.underway.iter().filter_map(|(job, underway)| {
            let file = self.jobs[*job];
            Some(InPart {
                path: &file.absolute,
                bytes: file.state.size,
                seconds: underway.said.filter(|said| said.is_finite())?,
                heard: seconds(underway.heard_to),
            })
        });
        let left = self.estimate.seconds_left(in_part);
        on_event(Event::Moved(Progress {
            files_done: self.files_done,
            files: self.jobs.len(),
            skipped: library.skipped.len(),
            seconds_done: library.seconds,
            seconds: left.map(|left| library.seconds + left),
            current: &self.current,
        }));
    }
}
