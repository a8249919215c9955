//! Parts of long recordings, each heard as if it were a clip of its own.
//!
//! A recording is decoded once, from its first part that is not kept yet to its end: an hour is 230 MB.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use aurola::{Cut, Decoding, Embedder, EngineError, Listening, Skipped, reason};
use aurola_audio::{
    AudioError, Clip, IsolatedDecoder, LogMel, MelFilters, SAMPLE_RATE, SampleSource, log_mel,
};
use aurola_model::Input;
use aurola_retrieval::Span;
use aurola_retrieval::store::ContentHash;

use super::{Key, Step, Tools, key};
use crate::error::EvalError;

/// Spectrograms that are embedded, and kept, at once.
const AT_ONCE: usize = 8;
/// Samples that are read at once.
const READ: usize = 1 << 16;

/// A part that is wanted: which clip it is, and its seconds.
pub(super) struct Part {
    pub(super) clip: usize,
    pub(super) file: PathBuf,
    pub(super) seconds: (f64, f64),
}

/// A part that was heard: its recording, its windows and their vectors, one after another.
pub(super) struct HeardPart {
    pub(super) hash: ContentHash,
    pub(super) windows: Vec<Span>,
    pub(super) vectors: Vec<f32>,
}

/// Parts by clip, and what could not be read. `None` where it was cancelled.
type Heard = Option<(BTreeMap<usize, HeardPart>, Vec<Skipped>)>;

pub(super) fn hear(
    parts: Vec<Part>,
    listening: &Listening,
    tools: &mut Tools<'_, '_>,
    on_step: &mut dyn FnMut(Step<'_>),
) -> Result<Heard, EvalError> {
    let mut by_file: BTreeMap<PathBuf, Vec<Part>> = BTreeMap::new();
    for part in parts {
        by_file.entry(part.file.clone()).or_default().push(part);
    }
    let length = |part: &Part| part.seconds.1 - part.seconds.0;
    let all: f64 = by_file.values().flatten().map(length).sum();
    let (mut heard, mut skipped, mut done) = (BTreeMap::new(), Vec::new(), 0.0);
    for (file, mut parts) in by_file {
        on_step(Step::Seconds(done, all));
        parts.sort_by(|a, b| a.seconds.0.total_cmp(&b.seconds.0));
        let hash = match File::open(&file).and_then(ContentHash::of) {
            Ok(hash) => hash,
            Err(error) => {
                let reason = error.to_string();
                skipped.push(Skipped { path: file, reason });
                continue;
            }
        };
        let mut recording = Recording::default();
        for part in &parts {
            if tools.cancel.is_cancelled() {
                return Ok(None);
            }
            let windows = windows(part.seconds, listening.cut);
            match one(&file, &hash, &windows, listening, &mut recording, tools)? {
                Ok(vectors) => {
                    heard.insert(
                        part.clip,
                        HeardPart {
                            hash,
                            windows,
                            vectors,
                        },
                    );
                }
                Err(error) => {
                    let (from, to) = part.seconds;
                    let reason = format!("{from:.3} s to {to:.3} s: {error}");
                    skipped.push(Skipped {
                        path: file.clone(),
                        reason,
                    });
                    if !recording.is_read {
                        // Nothing of it can be read: said once, not for each of its parts.
                        break;
                    }
                }
            }
            done += length(part);
            on_step(Step::Seconds(done, all));
        }
    }
    Ok(Some((heard, skipped)))
}

/// The vectors of a part's windows, from the journal where they are all there.
fn one(
    file: &Path,
    hash: &ContentHash,
    windows: &[Span],
    listening: &Listening,
    recording: &mut Recording,
    tools: &mut Tools<'_, '_>,
) -> Result<Result<Vec<f32>, String>, EvalError> {
    let fingerprint = tools.model.fingerprint().as_bytes();
    let key_of = |span: &Span| -> Key {
        key(&[
            b"part",
            fingerprint,
            hash.as_bytes(),
            &span.start.to_le_bytes(),
            &span.end.to_le_bytes(),
        ])
    };
    let new: Vec<&Span> = windows
        .iter()
        .filter(|span| tools.texts.get(&key_of(span)).is_none())
        .collect();
    for some in new.chunks(AT_ONCE) {
        let mels: Result<Vec<LogMel>, String> = (some.iter())
            .map(|span| recording.part(file, **span, listening, tools.model))
            .collect();
        let mels = match mels {
            Ok(mels) => mels,
            Err(error) => return Ok(Err(error)),
        };
        let inputs: Vec<Input<'_>> = mels.iter().map(Input::Audio).collect();
        let embedded = tools.model.embed(&inputs).map_err(EngineError::from)?;
        let kept = some
            .iter()
            .zip(embedded)
            .map(|(span, e)| (key_of(span), e.as_slice().to_vec()));
        tools.texts.keep(kept.collect())?;
    }
    let vectors = windows
        .iter()
        .filter_map(|span| tools.texts.get(&key_of(span)));
    Ok(Ok(vectors.flatten().copied().collect()))
}

/// A part in pieces that the model takes, in samples: one, or overlapping windows as of a whole file.
fn windows((from, to): (f64, f64), cut: Cut) -> Vec<Span> {
    let samples = |seconds: f64| (seconds * f64::from(SAMPLE_RATE)).round() as u64;
    let (start, end) = (samples(from), samples(to));
    let (length, hop) = match cut {
        Cut::Windows(config) => (samples(config.length_s()), samples(config.hop_s()).max(1)),
        Cut::Whole => (end - start, 1),
    };
    let mut spans = vec![Span {
        start,
        end: end.min(start + length),
    }];
    while let Some(last) = spans.last()
        && last.end < end
    {
        let start = last.start + hop;
        spans.push(Span {
            start,
            end: end.min(start + length),
        });
    }
    spans
}

/// A recording, and its samples from the first part that was asked for on.
#[derive(Default)]
struct Recording {
    decoder: Option<IsolatedDecoder>,
    samples: Vec<f32>,
    /// Sample number of the first of `samples`.
    first: u64,
    /// Whether it was decoded.
    is_read: bool,
}

impl Recording {
    /// The spectrogram of a part. Parts come by their start, so what is before the first is not held.
    fn part(
        &mut self,
        file: &Path,
        span: Span,
        listening: &Listening,
        model: &dyn Embedder,
    ) -> Result<LogMel, String> {
        let told = |error: AudioError| reason(&error, file);
        if !self.is_read || span.start < self.first {
            self.read(file, span.start, listening).map_err(told)?;
        }
        let from = (span.start - self.first) as usize;
        let to = (span.end - self.first) as usize;
        // Times are written to the millisecond, and a recording may end within one.
        let tolerance = SAMPLE_RATE as usize / 100;
        let held = self.samples.len();
        if to > held + tolerance || from >= held {
            let end = (self.first + held as u64) as f64 / f64::from(SAMPLE_RATE);
            return Err(format!("the recording ends at {end:.3} s"));
        }
        let filters = MelFilters::new(model.mel_config()).map_err(told)?;
        log_mel(&self.samples[from..to.min(held)], &filters).map_err(told)
    }

    /// Everything from sample `from` on.
    fn read(&mut self, file: &Path, from: u64, listening: &Listening) -> Result<(), AudioError> {
        let mut source: Box<dyn SampleSource + '_> = match &listening.decoding {
            Decoding::Here => Box::new(Clip::open(file, &listening.limits)?),
            Decoding::Isolated(command) => {
                let decoder = self
                    .decoder
                    .get_or_insert_with(|| IsolatedDecoder::new(command.clone()));
                Box::new(decoder.open(file, &listening.limits)?)
            }
        };
        let (mut at, mut samples, mut buffer) = (0_u64, Vec::new(), vec![0.0; READ]);
        loop {
            let count = source.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            let skip = from.saturating_sub(at).min(count as u64) as usize;
            samples.extend_from_slice(&buffer[skip..count]);
            at += count as u64;
        }
        drop(source);
        (self.samples, self.first, self.is_read) = (samples, from, true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_longer_than_a_window_is_cut_as_a_file_is() {
        let second = u64::from(SAMPLE_RATE);
        let spans = windows((10.0, 12.5), Cut::default());
        assert_eq!(
            spans,
            [Span {
                start: 10 * second,
                end: 25 * second / 2
            }]
        );
        let spans = windows((10.0, 50.0), Cut::default());
        let whole = |from: u64, to: u64| Span {
            start: from * second,
            end: to * second,
        };
        assert_eq!(spans, [whole(10, 40), whole(35, 50)]);
        assert_eq!(windows((0.0, 100.0), Cut::Whole), [whole(0, 100)]);
    }
}
