//! The Thinker as it is trained: forward with a tape, and backward along it.
//!
//! ```text
//! log-mel ─► AUDIO TOWER ─┐                                     ┌─ gradient ◄─ loss
//!                         ├─► prompt ─► LANGUAGE MODEL ─► states ┤
//! ids ────────────────────┘                                     └─► embeddings, logits
//! ```
//!
//! The same layers as `aurola_model` serves, on the operations of `aurola_compute::backward`; a test
//! holds the two together. What is trained is an `f32` parameter, or a low-rank change beside a
//! weight that stays in its memory map; what is not trained costs no gradient and no copy.

mod audio_tower;
mod language_model;
mod linear;
mod norm;
mod parameters;
mod scope;
mod source;

use aurola_audio::LogMel;
use aurola_compute::Precision;
use aurola_model::config::ThinkerConfig;
use aurola_model::text::Prompt;

use audio_tower::AudioTower;
use language_model::{LanguageModel, Sequence};
pub use parameters::{Gradients, Parameter, Parameters};
pub use scope::{LoraConfig, Scope};
pub use source::Source;

use crate::TrainError;

/// Both towers.
#[derive(Debug)]
pub struct Thinker {
    config: ThinkerConfig,
    audio_tower: AudioTower,
    language_model: LanguageModel,
}

/// A prompt, the sound that fills its placeholders, and the positions whose states are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Ids; those behind the last position of `keep` are not read.
    pub prompt: &'a Prompt,
    /// The clip, where the prompt has room for one.
    pub mel: Option<&'a LogMel>,
    /// Positions in `prompt.ids`, ascending, at least one.
    pub keep: &'a [usize],
}

/// How to compute, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// The numbers that are trained.
    pub parameters: &'a Parameters,
    /// The type in which products take their inputs.
    pub precision: Precision,
    /// Whether layers keep their inputs only and are computed again on the way back.
    pub recompute: bool,
    /// Seeds the dropout of low-rank changes; `None` switches it off.
    pub dropout: Option<u64>,
}

/// What [`Thinker::backward`] needs of a forward pass.
#[derive(Debug)]
pub struct Tape {
    tower: Option<audio_tower::Tape>,
    text: language_model::Tape,
    /// For each sample with a clip: its first row among the embeddings, its first token of sound.
    sounds: Vec<SoundRows>,
    /// Ids of the rows that are words, and those rows.
    words: Vec<(u32, usize)>,
}

#[derive(Debug)]
struct SoundRows {
    row: usize,
    token: usize,
    len: usize,
}

/// How many first positions of `sample` are computed already where `earlier` is: all up to where their ids
/// part, if they are about one clip and it is among them. What is kept of `sample` is always its own.
fn common_beginning(earlier: &Sample<'_>, sample: &Sample<'_>) -> usize {
    let (Some(one), Some(other)) = (earlier.mel, sample.mel) else {
        return 0;
    };
    if !std::ptr::eq(one, other) || earlier.prompt.audio_at != sample.prompt.audio_at {
        return 0;
    }
    let read = earlier.keep.last().map_or(0, |at| at + 1);
    let ids = sample
        .prompt
        .ids
        .iter()
        .zip(&earlier.prompt.ids[..read.min(earlier.prompt.ids.len())]);
    let alike = ids.take_while(|(a, b)| a == b).count();
    let common = alike.min(sample.keep.first().copied().unwrap_or(0));
    match &sample.prompt.audio_at {
        Some(at) if at.end <= common => common,
        _ => 0,
    }
}

impl Thinker {
    /// Builds both towers of `config` from `source`; what `scope` trains becomes parameters.
    ///
    /// # Errors
    ///
    /// [`TrainError`] where the source lacks a tensor or has one of another shape, or where the scope
    /// trains nothing or names what is not there.
    pub fn new(
        config: &ThinkerConfig,
        source: &Source<'_>,
        scope: &Scope,
    ) -> Result<(Self, Parameters), TrainError> {
        let mut parameters = Parameters::default();
        let mut build = source::Build {
            source,
            scope: scope.start()?,
            parameters: &mut parameters,
        };
        let audio_tower = AudioTower::new(&config.audio, &mut build)?;
        let tied = config.tie_word_embeddings;
        let language_model = LanguageModel::new(&config.text, tied, &mut build)?;
        build.scope.finish(build.parameters)?;
        Ok((
            Self {
                config: config.clone(),
                audio_tower,
                language_model,
            },
            parameters,
        ))
    }

    /// The shapes.
    pub fn config(&self) -> &ThinkerConfig {
        &self.config
    }

    /// Numbers of a state.
    pub fn hidden_size(&self) -> usize {
        self.config.text.hidden_size
    }

    /// States at the positions to keep of every sample, in order: `[Σ keep, hidden]`. The tape is
    /// there where `record`.
    ///
    /// What several samples begin with is computed once, where they are about the same clip (the same in
    /// memory): the numbers are those of samples that have nothing in common.
    ///
    /// # Errors
    ///
    /// [`TrainError::Sample`] for a clip, an id or a position that does not go with the model.
    pub fn forward(
        &self,
        pass: &Pass<'_>,
        samples: &[Sample<'_>],
        record: bool,
    ) -> Result<(Vec<f32>, Option<Tape>), TrainError> {
        let hidden = self.hidden_size();
        // A clip that several samples are about is heard once.
        let mut clips: Vec<&LogMel> = Vec::new();
        let mut token_of: Vec<usize> = Vec::new();
        let mut tokens_before = 0;
        let known = |clips: &[&LogMel], mel| clips.iter().position(|c| std::ptr::eq(*c, mel));
        for mel in samples.iter().filter_map(|s| s.mel) {
            if known(&clips, mel).is_none() {
                clips.push(mel);
                token_of.push(tokens_before);
                tokens_before += self.config.audio.tokens(mel.n_frames());
            }
        }
        let (sound, tower) = self.audio_tower.forward(pass, &clips, record)?;

        let mut embeddings = Vec::new();
        let (mut sequences, mut keep) = (Vec::new(), Vec::new());
        // Of each sequence that is computed from its first row: its sample, and that row.
        let mut whole: Vec<(&Sample<'_>, usize)> = Vec::new();
        let (mut sounds, mut words) = (Vec::new(), Vec::new());
        for (i, sample) in samples.iter().enumerate() {
            let first = embeddings.len() / hidden;
            let len = sample.keep.last().map_or(0, |at| at + 1);
            let at = sample.prompt.audio_at.clone().unwrap_or(0..0);
            let tokens = sample
                .mel
                .map_or(0, |mel| self.config.audio.tokens(mel.n_frames()));
            if len == 0 || len > sample.prompt.ids.len() || at.len() != tokens || at.end > len {
                return Err(TrainError::Sample {
                    index: i,
                    reason: format!(
                        "a prompt of {} ids with room for {} tokens of sound, read up to {len}; the clip has {tokens}",
                        sample.prompt.ids.len(),
                        at.len()
                    ),
                });
            }
            let shared = whole
                .iter()
                .map(|(other, row)| (common_beginning(other, sample), *row))
                .max_by_key(|(common, _)| *common)
                .filter(|(common, _)| *common > 0);
            let (before, row) = shared.unwrap_or((0, 0));
            if before == 0 {
                whole.push((sample, first));
            }
            let token = sample
                .mel
                .and_then(|mel| known(&clips, mel))
                .map_or(0, |clip| token_of[clip]);
            embeddings.resize((first + len - before) * hidden, 0.0);
            let own = sample.prompt.ids[..len].iter().enumerate().skip(before);
            for (position, id) in own {
                let row = first + position - before;
                let out = &mut embeddings[row * hidden..(row + 1) * hidden];
                if at.contains(&position) {
                    let from = (token + position - at.start) * hidden;
                    out.copy_from_slice(&sound[from..from + hidden]);
                } else {
                    self.language_model
                        .embed(pass, *id, out)
                        .map_err(|reason| TrainError::Sample { index: i, reason })?;
                    words.push((*id, row));
                }
            }
            if tokens > 0 && before == 0 {
                sounds.push(SoundRows {
                    row: first + at.start,
                    token,
                    len: tokens,
                });
            }
            keep.extend(sample.keep.iter().map(|k| first + k - before));
            sequences.push(Sequence {
                shared: row..row + before,
                own: len - before,
            });
        }
        let (states, text) = self
            .language_model
            .forward(pass, embeddings, &sequences, keep, record);
        let tape = text.map(|text| Tape {
            tower,
            text,
            sounds,
            words,
        });
        Ok((states, tape))
    }

    /// Adds to `gradients` what `dstates`, the gradient with respect to the states of
    /// [`Thinker::forward`], means for every parameter.
    ///
    /// # Panics
    ///
    /// Where `dstates` has another shape than those states.
    pub fn backward(
        &self,
        pass: &Pass<'_>,
        tape: Tape,
        dstates: &[f32],
        gradients: &mut Gradients,
    ) {
        let hidden = self.hidden_size();
        let tokens = tape.sounds.iter().map(|s| s.token + s.len).max();
        let tokens = tokens.unwrap_or(0);
        let wanted = self.language_model.trains_embeddings() || tape.tower.is_some();
        let Some(drows) = self
            .language_model
            .backward(pass, tape.text, dstates, wanted, gradients)
        else {
            return;
        };
        self.language_model
            .embed_backward(&tape.words, &drows, gradients);
        if let Some(tower) = tape.tower {
            let mut dsound = vec![0.0; tokens * hidden];
            for s in &tape.sounds {
                let own = &drows[s.row * hidden..(s.row + s.len) * hidden];
                let sum = &mut dsound[s.token * hidden..(s.token + s.len) * hidden];
                sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
            }
            self.audio_tower.backward(pass, tower, &dsound, gradients);
        }
    }

    /// Bytes that the tape of a sample takes, nearly: what layers keep, and the largest of what they make
    /// on the way back.
    pub fn tape_bytes(&self, sample: &Sample<'_>, recompute: bool) -> u64 {
        let (audio, text) = (&self.config.audio, &self.config.text);
        // Rows times numbers of a row, layer by layer.
        let layers = |rows: usize, kept: usize, all: usize, layers: usize| {
            let numbers = if recompute {
                layers * kept + all
            } else {
                layers * all
            };
            (rows * numbers) as u64 * 4
        };
        let frames = sample.mel.map_or(0, LogMel::n_frames);
        let rows = sample.keep.last().map_or(0, |at| at + 1);
        let width = text.num_attention_heads * text.head_dim();
        let kv = 2 * text.num_key_value_heads * text.head_dim();
        let of_tower = audio.d_model * 10 + audio.encoder_ffn_dim * 3;
        let of_text = text.hidden_size * 8 + 3 * width + 2 * kv + 4 * text.intermediate_size;
        let stem = frames * (audio.num_mel_bins * 4 + audio.d_model * 5) * 4;
        stem as u64
            + layers(
                audio.positions(frames),
                audio.d_model,
                of_tower,
                audio.encoder_layers,
            )
            + layers(rows, text.hidden_size, of_text, text.num_hidden_layers)
    }

    /// Logits of all ids for some states: `[n, vocabulary]`.
    ///
    /// # Errors
    ///
    /// [`TrainError::NoHead`] where the checkpoint has no output head.
    pub fn logits(&self, pass: &Pass<'_>, states: &[f32]) -> Result<Vec<f32>, TrainError> {
        self.language_model.logits(pass, states)
    }

    /// Rows of the output head.
    pub fn vocabulary(&self) -> usize {
        self.language_model.vocabulary()
    }

    /// The gradient with respect to the states of [`Thinker::logits`]; adds to the head's own.
    pub fn logits_backward(
        &self,
        pass: &Pass<'_>,
        states: &[f32],
        dlogits: &[f32],
        gradients: &mut Gradients,
    ) -> Vec<f32> {
        self.language_model
            .logits_backward(pass, states, dlogits, gradients)
    }
}
