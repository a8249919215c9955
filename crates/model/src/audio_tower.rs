//! The audio tower: log-mel to one vector per 40 ms, in the language model's width.
//!
//! ```text
//! log-mel ─► chunks of 2 s ─► conv ─► conv, stride 2 ─► + positions ─► layers ─► pool 2 ─► norm ─► proj
//! [mels, frames]     each chunk alone: 100 positions that restart at 0            [tokens, hidden]
//! ```
//!
//! A Whisper encoder (Radford et al. 2022) with attention inside chunks only (Qwen2.5-Omni technical
//! report, arXiv:2503.20215, §2.2). Since nothing crosses a chunk's border, chunks of all clips are
//! computed together, some at a time, in memory that does not grow with the clip.

use std::ops::Range;

use aurola_audio::LogMel;
use aurola_compute::attention::{Heads, Mask, Span, attend};
use aurola_compute::{conv, norm, pointwise, pool};

use crate::ModelError;
use crate::config::AudioConfig;
use crate::linear::{Linear, together};
use crate::plan::Plan;
use crate::weights::Weights;

/// ε of every LayerNorm: PyTorch's default, which no configuration changes.
const NORM_EPS: f32 = 1e-5;
/// Chunks that are computed together: 32 s of sound.
const CHUNKS_AT_ONCE: usize = 16;

/// The audio tower.
#[derive(Debug)]
pub struct AudioTower {
    config: AudioConfig,
    conv1: Linear,
    conv2: Linear,
    /// Sinusoids of one chunk: `[positions, d_model]`.
    positions: Vec<f32>,
    layers: Vec<Layer>,
    ln_post: LayerNorm,
    proj: Linear,
}

/// One layer: attention and MLP, each on the normalised input and added to it.
#[derive(Debug)]
struct Layer {
    self_attn_layer_norm: LayerNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    final_layer_norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

/// Memory that all layers of a pass share: the normalised input, and the products of it.
#[derive(Default)]
struct Room {
    normed: Vec<f32>,
    /// Queries; after the attention, the inner states of the MLP.
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

#[derive(Debug)]
struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Some frames of some clip, to be convolved alone.
struct Chunk {
    clip: usize,
    frames: Range<usize>,
}

impl AudioTower {
    pub(crate) fn load(
        config: &AudioConfig,
        weights: &Weights<'_>,
        plan: Plan,
    ) -> Result<Self, ModelError> {
        let (d, taps) = (config.d_model, conv::TAPS);
        let convolution = |name, channels| {
            Linear::load_shaped(&weights.at(name), &[d, channels, taps], true, plan)
        };
        Ok(Self {
            conv1: convolution("conv1", config.num_mel_bins)?,
            conv2: convolution("conv2", d)?,
            positions: sinusoids(config.positions(config.chunk_frames()), d),
            layers: (0..config.encoder_layers)
                .map(|i| Layer::load(config, &weights.at("layers").at(i), plan))
                .collect::<Result<_, _>>()?,
            ln_post: LayerNorm::load(&weights.at("ln_post"), d)?,
            proj: Linear::load(&weights.at("proj"), (config.output_dim, d), true, plan)?,
            config: config.clone(),
        })
    }

    /// Tokens that a clip becomes.
    pub fn tokens(&self, mel: &LogMel) -> usize {
        self.config.tokens(mel.n_frames())
    }

    /// Encodes clips: for each, `[tokens, output_dim]`. A clip's result does not depend on the
    /// others, bit for bit.
    ///
    /// # Errors
    ///
    /// [`ModelError::Input`] for a spectrogram of another number of bands than the tower was made
    /// for, or one too short to become a token (three frames do).
    pub fn encode(&self, clips: &[&LogMel]) -> Result<Vec<Vec<f32>>, ModelError> {
        for mel in clips {
            if mel.n_mels() != self.config.num_mel_bins {
                return Err(ModelError::Input(format!(
                    "a spectrogram of {} bands; the audio tower takes {}",
                    mel.n_mels(),
                    self.config.num_mel_bins
                )));
            }
            if self.tokens(mel) == 0 {
                return Err(ModelError::Input(format!(
                    "a clip of {} frames is too short to become a token; 3 frames (20 ms and a sample) are needed",
                    mel.n_frames()
                )));
            }
        }
        let chunks: Vec<Chunk> = clips
            .iter()
            .enumerate()
            .flat_map(|(clip, mel)| {
                let step = self.config.chunk_frames();
                (0..mel.n_frames()).step_by(step).map(move |start| Chunk {
                    clip,
                    frames: start..(start + step).min(mel.n_frames()),
                })
            })
            .collect();
        let mut encoded: Vec<Vec<f32>> = clips
            .iter()
            .map(|mel| Vec::with_capacity(self.tokens(mel) * self.config.output_dim))
            .collect();
        for group in chunks.chunks(CHUNKS_AT_ONCE) {
            self.encode_group(clips, group, &mut encoded);
        }
        Ok(encoded)
    }

    fn encode_group(&self, clips: &[&LogMel], chunks: &[Chunk], encoded: &mut [Vec<f32>]) {
        let (mels, d) = (self.config.num_mel_bins, self.config.d_model);
        let mut frames = Vec::new();
        let mut rows = Vec::with_capacity(chunks.len());
        let mut spans = Vec::with_capacity(chunks.len());
        let mut next = 0;
        for chunk in chunks {
            let start = frames.len() / mels;
            let mel = clips[chunk.clip];
            for t in chunk.frames.clone() {
                frames.extend((0..mels).map(|band| mel.values()[band * mel.n_frames() + t]));
            }
            rows.push(start..start + chunk.frames.len());
            let positions = self.config.positions(chunk.frames.len());
            spans.push(Span {
                queries: next..next + positions,
                keys: next..next + positions,
            });
            next += positions;
        }

        let mut x = self.conv1.forward(&conv::unfold(&frames, mels, &rows, 1));
        pointwise::gelu(&mut x);
        let mut x = self.conv2.forward(&conv::unfold(&x, d, &rows, 2));
        pointwise::gelu(&mut x);
        for span in &spans {
            let rows = &mut x[span.queries.start * d..span.queries.end * d];
            let len = rows.len();
            pointwise::add(rows, &self.positions[..len]);
        }
        let mut room = Room::default();
        for layer in &self.layers {
            layer.forward(&self.config, &mut x, &spans, &mut room);
        }
        // Full chunks have an even number of positions, so pooling each chunk alone pairs the same
        // positions as pooling the whole clip; only a clip's last chunk can drop one.
        for (chunk, span) in chunks.iter().zip(&spans) {
            let pooled = pool::average_pairs(&x[span.queries.start * d..span.queries.end * d], d);
            let normed = self.ln_post.forward(&pooled);
            encoded[chunk.clip].extend(self.proj.forward(&normed));
        }
    }
}

impl Layer {
    fn load(config: &AudioConfig, weights: &Weights<'_>, plan: Plan) -> Result<Self, ModelError> {
        let (d, inner) = (config.d_model, config.encoder_ffn_dim);
        let attention = weights.at("self_attn");
        Ok(Self {
            self_attn_layer_norm: LayerNorm::load(&weights.at("self_attn_layer_norm"), d)?,
            q_proj: Linear::load(&attention.at("q_proj"), (d, d), true, plan)?,
            // Whisper's keys have no bias: it would shift all scores of a query alike.
            k_proj: Linear::load(&attention.at("k_proj"), (d, d), false, plan)?,
            v_proj: Linear::load(&attention.at("v_proj"), (d, d), true, plan)?,
            out_proj: Linear::load(&attention.at("out_proj"), (d, d), true, plan)?,
            final_layer_norm: LayerNorm::load(&weights.at("final_layer_norm"), d)?,
            fc1: Linear::load(&weights.at("fc1"), (inner, d), true, plan)?,
            fc2: Linear::load(&weights.at("fc2"), (d, inner), true, plan)?,
        })
    }

    /// `x [positions, d_model]`, in place.
    fn forward(&self, config: &AudioConfig, x: &mut [f32], spans: &[Span], room: &mut Room) {
        let heads = Heads {
            heads: config.encoder_attention_heads,
            kv_heads: config.encoder_attention_heads,
            dim: config.d_model / config.encoder_attention_heads,
        };
        let Room { normed, q, k, v } = room;
        self.self_attn_layer_norm.forward_into(x, normed);
        together(
            normed,
            [
                (&self.q_proj, &mut *q),
                (&self.k_proj, &mut *k),
                (&self.v_proj, &mut *v),
            ],
        );
        let positions = vec![0; x.len() / config.d_model];
        let attended = attend(heads, Mask::Full, None, (q, &positions), (k, v), spans);
        self.out_proj.add_to(&attended, x);

        self.final_layer_norm.forward_into(x, normed);
        let inner = q;
        together(normed, [(&self.fc1, &mut *inner)]);
        pointwise::gelu(inner);
        self.fc2.add_to(inner, x);
    }
}

impl LayerNorm {
    fn load(weights: &Weights<'_>, len: usize) -> Result<Self, ModelError> {
        Ok(Self {
            weight: weights.vector("weight", len)?,
            bias: weights.vector("bias", len)?,
        })
    }

    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        self.forward_into(x, &mut out);
        out
    }

    /// [`LayerNorm::forward`] into memory that is kept.
    fn forward_into(&self, x: &[f32], out: &mut Vec<f32>) {
        out.resize(x.len(), 0.0);
        norm::layer_norm(x, &self.weight, &self.bias, NORM_EPS, out);
    }
}

/// Whisper's fixed positions: sines in the first half of the channels, cosines in the second, with
/// time scales from 1 to 10,000. Computed in `f32` as the released path does.
pub fn sinusoids(positions: usize, channels: usize) -> Vec<f32> {
    let half = channels / 2;
    let step = (10_000_f64.ln() / (half as f64 - 1.0)) as f32;
    let scales: Vec<f32> = (0..half).map(|i| (-step * i as f32).exp()).collect();
    (0..positions)
        .flat_map(|p| {
            let angle = move |s: &f32| p as f32 * s;
            let sines: Vec<f32> = scales.iter().map(|s| angle(s).sin()).collect();
            let cosines: Vec<f32> = scales.iter().map(|s| angle(s).cos()).collect();
            sines.into_iter().chain(cosines)
        })
        .collect()
}
