//! The re-ranker's word on the best candidates of both directions, kept as it comes.

use std::collections::BTreeMap;

use aurola::{Cancel, Embedder, EngineError, Listener, Listening, Skipped, reason};
use aurola_model::Input;
use aurola_retrieval::Span;

use super::{Journal, Key, Measured, Step, key};
use crate::error::EvalError;
use crate::pool::Side;
use crate::rerank::{Verdicts, candidates};

/// Who judges, and how sounds are heard by it.
pub struct Judge<'a> {
    /// Reads a text and a clip together.
    pub reranker: &'a dyn Embedder,
    /// As the engine reads them.
    pub listening: &'a Listening,
    /// Probabilities by re-ranker, direction, text and sound; one number a key.
    pub journal: &'a mut Journal,
    /// Ends it early.
    pub cancel: &'a Cancel,
}

/// A pair that is to be judged.
struct Pair {
    side: Side,
    text: usize,
    key: Key,
    window: Span,
}

/// Verdicts on the best `depth` of every query, text to audio and audio to text, and clips that could not be read again: their pairs
/// have none. `None` where it was cancelled.
///
/// # Errors
///
/// [`EvalError`] where the re-ranker or the journal fails.
#[allow(clippy::type_complexity)]
pub fn judge(
    measured: &Measured,
    depth: usize,
    judge: Judge<'_>,
    on_step: &mut dyn FnMut(Step<'_>),
) -> Result<Option<([Verdicts; 2], Vec<Skipped>)>, EvalError> {
    let Judge {
        reranker,
        listening,
        journal,
        cancel,
    } = judge;
    let by_text = candidates(&measured.similarity, depth);
    let by_clip = candidates(&measured.similarity.transposed(), depth);
    let pair = |side: Side, text: usize, clip: usize| {
        let window = measured.best_window(text, clip);
        let sound = &measured.sounds[clip];
        let key = key(&[
            b"pair",
            reranker.fingerprint().as_bytes(),
            side.name().as_bytes(),
            measured.task.texts[text].text.as_bytes(),
            sound.hash.as_bytes(),
            &window.start.to_le_bytes(),
            &window.end.to_le_bytes(),
        ]);
        Pair {
            side,
            text,
            key,
            window,
        }
    };
    let mut pairs: Vec<Vec<Pair>> = by_clip
        .iter()
        .enumerate()
        .map(|(clip, texts)| {
            texts
                .iter()
                .map(|text| pair(Side::AudioToText, *text, clip))
                .collect()
        })
        .collect();
    for (text, clips) in by_text.iter().enumerate() {
        for clip in clips {
            pairs[*clip].push(pair(Side::TextToAudio, text, *clip));
        }
    }
    let all: usize = pairs.iter().map(Vec::len).sum();
    let mut listener =
        Listener::new(listening, reranker.mel_config()).map_err(EngineError::from)?;
    let (mut done, mut skipped) = (0, Vec::new());
    for (clip, pairs) in pairs.iter().enumerate() {
        // By window, so that each is decoded once.
        let mut new: BTreeMap<Span, Vec<&Pair>> = BTreeMap::new();
        for pair in pairs.iter().filter(|pair| journal.get(&pair.key).is_none()) {
            new.entry(pair.window).or_default().push(pair);
        }
        for (window, pairs) in new {
            if cancel.is_cancelled() {
                return Ok(None);
            }
            on_step(Step::Pairs(done, all));
            let path = &measured.sounds[clip].file;
            let mel = match listener.window(path, window) {
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
            let (sound, text) = (Input::Audio(&mel), |pair: &Pair| {
                Input::Text(&measured.task.texts[pair.text].text)
            });
            let mut said = Vec::with_capacity(pairs.len());
            let (found, asked): (Vec<&Pair>, Vec<&Pair>) = pairs
                .into_iter()
                .partition(|pair| pair.side == Side::TextToAudio);
            for pair in found {
                let verdict = reranker
                    .rerank(&text(pair), &[sound])
                    .map_err(EngineError::from)?
                    .swap_remove(0);
                said.push((pair.key, vec![verdict.p_yes()]));
            }
            if !asked.is_empty() {
                let texts: Vec<Input<'_>> = asked.iter().map(|pair| text(pair)).collect();
                let verdicts = reranker.rerank(&sound, &texts).map_err(EngineError::from)?;
                said.extend(
                    asked
                        .iter()
                        .zip(verdicts)
                        .map(|(pair, verdict)| (pair.key, vec![verdict.p_yes()])),
                );
            }
            journal.keep(said)?;
        }
        done += pairs.len();
    }
    let p_yes = |side, text: usize, clip: usize| {
        let key = pair(side, text, clip).key;
        journal.get(&key).and_then(|said| said.first()).copied()
    };
    let found = |texts: Vec<Vec<usize>>, of: &dyn Fn(usize, usize) -> Option<f32>| -> Verdicts {
        let one = |(query, answers): (usize, Vec<usize>)| {
            answers
                .into_iter()
                .filter_map(|answer| Some((answer, of(query, answer)?)))
                .collect()
        };
        texts.into_iter().enumerate().map(one).collect()
    };
    let verdicts = [
        found(by_text, &|text, clip| p_yes(Side::TextToAudio, text, clip)),
        found(by_clip, &|clip, text| p_yes(Side::AudioToText, text, clip)),
    ];
    Ok(Some((verdicts, skipped)))
}
