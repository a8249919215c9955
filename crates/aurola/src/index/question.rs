//! The parts of a request, as one query.

use std::ops::ControlFlow;
use std::path::Path;

use aurola_model::Input;
use aurola_retrieval::store::{Content, FileId};
use aurola_retrieval::{Embedding, Query, Store};

use super::Index;
use crate::EngineError;
use crate::listen::{Listener, reason};
use crate::prepare::look;
use crate::request::{Part, SearchRequest, What};

/// Windows of a sound that are embedded at once.
const AT_ONCE: usize = 4;

impl Index {
    /// The query of `request`; none where nothing is wanted.
    pub(super) fn query(
        &self,
        request: &SearchRequest,
        store: &Store,
    ) -> Result<Option<Query>, EngineError> {
        if request.wanted.is_empty() {
            return Ok(None);
        }
        let texts: Vec<Input<'_>> = (request.wanted.iter().chain(&request.not))
            .filter_map(|part| match &part.what {
                What::Text(text) => Some(Input::Text(text)),
                _ => None,
            })
            .collect();
        let embedded = if texts.is_empty() {
            Vec::new()
        } else {
            self.model.embed(&texts)?
        };
        let mut embedded = embedded.into_iter();
        let mut each = |parts: &[Part]| -> Result<Vec<(Embedding, f32)>, EngineError> {
            (parts.iter())
                .map(|part| {
                    let embedding = match &part.what {
                        What::Text(_) => embedded.next().expect("one for each text"),
                        What::Sound(path) => self.sound(path, store)?,
                        What::Clip(id) => self.clip(*id, store)?,
                        What::Vector(numbers) => self.vector(numbers)?,
                    };
                    Ok((embedding, part.weight))
                })
                .collect()
        };
        let wanted = each(&request.wanted)?;
        let unwanted = each(&request.not)?;
        Ok(Some(Query::new(&wanted, &unwanted)?))
    }

    fn vector(&self, numbers: &[f32]) -> Result<Embedding, EngineError> {
        let refuse = |reason: String| EngineError::Request {
            field: "vector",
            reason,
        };
        if numbers.len() != self.key.dim {
            let (given, ours) = (numbers.len(), self.key.dim);
            return Err(refuse(format!(
                "{given} numbers, and the model's vectors have {ours}"
            )));
        }
        Embedding::normalize(numbers.to_vec()).map_err(|error| refuse(error.to_string()))
    }

    fn clip(&self, id: FileId, store: &Store) -> Result<Embedding, EngineError> {
        let space = store.space(&self.key)?;
        let known = store
            .known_id(id, space.as_ref())?
            .ok_or(EngineError::NoSuchFile { id })?;
        self.of_content(&known.content, &known.path, store)
    }

    fn of_content(
        &self,
        content: &Content,
        path: &Path,
        store: &Store,
    ) -> Result<Embedding, EngineError> {
        let windows = match store.space(&self.key)? {
            Some(space) => store.windows(&space, content)?,
            None => Vec::new(),
        };
        mean(
            windows.into_iter().map(|(_, window)| window).collect(),
            path,
        )
    }

    /// A sound that need not be in the index, and does not get there.
    fn sound(&self, path: &Path, store: &Store) -> Result<Embedding, EngineError> {
        let seen = look(path).map_err(|source| EngineError::NoSuchPath {
            path: path.into(),
            source,
        })?;
        let space = store.space(&self.key)?;
        if let Some(known) = store.content(&seen.hash, space.as_ref())?
            && known.embedded
        {
            return self.of_content(&known.content, path, store);
        }
        let mut listener = Listener::new(&self.options.listening, self.model.mel_config())?;
        let mut waiting = Vec::new();
        let mut vectors = Vec::new();
        let mut refused = None;
        let embed = |waiting: &mut Vec<_>, vectors: &mut Vec<Embedding>| {
            let mels = std::mem::take(waiting);
            let inputs: Vec<Input<'_>> = mels.iter().map(Input::Audio).collect();
            self.model
                .embed(&inputs)
                .map(|embedded| vectors.extend(embedded))
        };
        let heard = listener.hear(
            path,
            &mut |_, _| ControlFlow::Continue(()),
            &mut |_| true,
            &mut |_, mel| {
                waiting.push(mel);
                if waiting.len() >= AT_ONCE
                    && let Err(error) = embed(&mut waiting, &mut vectors)
                {
                    refused = Some(error);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            },
        );
        if let Some(error) = refused {
            return Err(error.into());
        }
        match heard {
            Ok(_) if !waiting.is_empty() => embed(&mut waiting, &mut vectors)?,
            Ok(_) => {}
            Err(error @ aurola_audio::AudioError::Worker { .. }) => return Err(error.into()),
            Err(error) => {
                let reason = reason(&error, path);
                return Err(EngineError::Unreadable {
                    path: path.into(),
                    reason,
                });
            }
        }
        mean(vectors, path)
    }
}

/// The direction between several windows; the one there is, bit for bit, where it is one.
fn mean(mut windows: Vec<Embedding>, path: &Path) -> Result<Embedding, EngineError> {
    let unreadable = |reason: String| EngineError::Unreadable {
        path: path.into(),
        reason,
    };
    if windows.len() == 1 {
        return Ok(windows.remove(0));
    }
    let Some(first) = windows.first() else {
        return Err(unreadable("holds no sound that was embedded".into()));
    };
    let mut sum = vec![0.0_f32; first.dim()];
    for window in &windows {
        for (sum, value) in sum.iter_mut().zip(window.as_slice()) {
            *sum += value;
        }
    }
    Embedding::normalize(sum).map_err(|error| unreadable(error.to_string()))
}
