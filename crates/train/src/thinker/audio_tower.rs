//! The audio tower, with its way back. [`aurola_model::audio_tower`] tells what it computes.

use std::ops::Range;

use aurola_audio::LogMel;
use aurola_compute::attention::{Heads, Mask, Span};
use aurola_compute::backward::{
    attention, conv as conv_backward, pointwise as backward, pool as pool_backward,
};
use aurola_compute::{conv, pointwise, pool};
use aurola_model::audio_tower::sinusoids;
use aurola_model::config::AudioConfig;

use super::Pass;
use super::linear::Linear;
use super::norm::LayerNorm;
use super::parameters::Gradients;
use super::source::Build;
use crate::TrainError;

/// How much larger than others the kernels of a new tower begin; see [`super::Source::Random`].
const CONVOLUTION_GAIN: f32 = 3.0;

#[derive(Debug)]
pub(super) struct AudioTower {
    config: AudioConfig,
    conv1: Linear,
    conv2: Linear,
    positions: Vec<f32>,
    layers: Vec<Layer>,
    ln_post: LayerNorm,
    proj: Linear,
    is_trained: bool,
}

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

/// Where clips and their chunks stand among the rows.
#[derive(Debug)]
struct Rows {
    /// Frames of each chunk, among the frames of all clips.
    frames: Vec<Range<usize>>,
    /// The same chunks after the first convolution has kept and the second has halved them.
    spans: Vec<Span>,
    /// Place of each row in its chunk.
    positions: Vec<usize>,
    /// Rows of each clip.
    clips: Vec<Range<usize>>,
}

#[derive(Debug)]
pub(super) struct Tape {
    rows: Rows,
    frames: Vec<f32>,
    /// Output of the first convolution, before and after GELU.
    conv1: (Vec<f32>, Vec<f32>),
    /// Output of the second, before GELU.
    conv2: Vec<f32>,
    layers: Vec<Kept>,
    /// What `ln_post` and `proj` took.
    pooled: Vec<f32>,
    normed: Vec<f32>,
}

/// What a layer keeps: its input, or all that its way back reads.
#[derive(Debug)]
enum Kept {
    Input(Vec<f32>),
    All(Box<Saved>),
}

#[derive(Debug)]
struct Saved {
    x: Vec<f32>,
    normed: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attended: Vec<f32>,
    middle: Vec<f32>,
    middle_normed: Vec<f32>,
    inner: Vec<f32>,
}

impl AudioTower {
    pub(super) fn new(config: &AudioConfig, build: &mut Build<'_, '_>) -> Result<Self, TrainError> {
        let (d, at) = (config.d_model, "audio_tower");
        let mut convolution = |name: &str, channels| {
            Linear::new(
                build,
                &format!("{at}.{name}"),
                &[d, channels, conv::TAPS],
                true,
                CONVOLUTION_GAIN,
            )
        };
        let (conv1, conv2) = (
            convolution("conv1", config.num_mel_bins)?,
            convolution("conv2", d)?,
        );
        let layers = (0..config.encoder_layers)
            .map(|i| Layer::new(config, build, &format!("{at}.layers.{i}")))
            .collect::<Result<Vec<_>, _>>()?;
        let ln_post = LayerNorm::new(build, &format!("{at}.ln_post"), d)?;
        let proj = Linear::new(
            build,
            &format!("{at}.proj"),
            &[config.output_dim, d],
            true,
            1.0,
        )?;
        let is_trained = build
            .parameters
            .iter()
            .any(|p| p.name.starts_with("audio_tower."));
        Ok(Self {
            config: config.clone(),
            conv1,
            conv2,
            positions: sinusoids(config.positions(config.chunk_frames()), d),
            layers,
            ln_post,
            proj,
            is_trained,
        })
    }

    /// Tokens of all clips, one after the other: `[Σ tokens, output_dim]`. The tape is there where
    /// `record` and where the tower is trained.
    pub(super) fn forward(
        &self,
        pass: &Pass<'_>,
        clips: &[&LogMel],
        record: bool,
    ) -> Result<(Vec<f32>, Option<Tape>), TrainError> {
        if clips.is_empty() {
            return Ok((Vec::new(), None));
        }
        let d = self.config.d_model;
        let (rows, frames) = self.lay(clips)?;
        let mut hidden = self.conv1.forward(
            pass,
            &conv::unfold(&frames, self.config.num_mel_bins, &rows.frames, 1),
        );
        let record = record && self.is_trained;
        let before1 = if record { hidden.clone() } else { Vec::new() };
        pointwise::gelu(&mut hidden);
        let mut x = self
            .conv2
            .forward(pass, &conv::unfold(&hidden, d, &rows.frames, 2));
        let before2 = if record { x.clone() } else { Vec::new() };
        pointwise::gelu(&mut x);
        for span in &rows.spans {
            let rows = &mut x[span.queries.start * d..span.queries.end * d];
            let len = rows.len();
            pointwise::add(rows, &self.positions[..len]);
        }
        let mut layers = Vec::new();
        for layer in &self.layers {
            let (y, saved) = layer.forward(&self.config, pass, x, &rows);
            if record {
                layers.push(if pass.recompute {
                    Kept::Input(saved.x)
                } else {
                    Kept::All(Box::new(saved))
                });
            }
            x = y;
        }
        let mut pooled = Vec::new();
        for clip in &rows.clips {
            pooled.extend(pool::average_pairs(&x[clip.start * d..clip.end * d], d));
        }
        let normed = self.ln_post.forward(pass, &pooled);
        let out = self.proj.forward(pass, &normed);
        let tape = record.then_some(Tape {
            rows,
            frames,
            conv1: (before1, hidden),
            conv2: before2,
            layers,
            pooled,
            normed,
        });
        Ok((out, tape))
    }

    pub(super) fn backward(
        &self,
        pass: &Pass<'_>,
        tape: Tape,
        dy: &[f32],
        gradients: &mut Gradients,
    ) {
        let d = self.config.d_model;
        let Tape {
            rows,
            frames,
            conv1: (before1, hidden),
            conv2: before2,
            layers,
            pooled,
            normed,
        } = tape;
        let dnormed = self.proj.backward_alone(pass, &normed, dy, gradients);
        let mut dpooled = vec![0.0; pooled.len()];
        self.ln_post
            .backward(pass, &pooled, &dnormed, &mut dpooled, gradients);
        let mut dx = Vec::new();
        let mut dpooled = &dpooled[..];
        for clip in &rows.clips {
            let (own, rest) = dpooled.split_at(clip.len() / 2 * d);
            dpooled = rest;
            dx.extend(pool_backward::average_pairs(own, clip.len(), d));
        }
        for (layer, kept) in self.layers.iter().zip(layers).rev() {
            let saved = match kept {
                Kept::All(saved) => *saved,
                Kept::Input(x) => layer.forward(&self.config, pass, x, &rows).1,
            };
            dx = layer.backward(&self.config, pass, saved, dx, &rows, gradients);
        }
        if !self.conv1.is_trained() && !self.conv2.is_trained() {
            return;
        }
        backward::gelu(&before2, &mut dx);
        let fields = conv::unfold(&hidden, d, &rows.frames, 2);
        let dfields = self.conv2.backward_alone(pass, &fields, &dx, gradients);
        let mut dhidden = conv_backward::fold(&dfields, hidden.len() / d, d, &rows.frames, 2);
        backward::gelu(&before1, &mut dhidden);
        let fields = conv::unfold(&frames, self.config.num_mel_bins, &rows.frames, 1);
        self.conv1
            .backward(pass, &fields, &dhidden, None, gradients);
    }

    /// All clips' frames as rows, cut into chunks.
    fn lay(&self, clips: &[&LogMel]) -> Result<(Rows, Vec<f32>), TrainError> {
        let mels = self.config.num_mel_bins;
        let step = self.config.chunk_frames();
        let mut frames = Vec::new();
        let mut rows = Rows {
            frames: Vec::new(),
            spans: Vec::new(),
            positions: Vec::new(),
            clips: Vec::new(),
        };
        for (index, mel) in clips.iter().enumerate() {
            if mel.n_mels() != mels || self.config.tokens(mel.n_frames()) == 0 {
                return Err(TrainError::Sample {
                    index,
                    reason: format!(
                        "a spectrogram of {} bands and {} frames; the tower takes {mels} bands and 3 frames or more",
                        mel.n_mels(),
                        mel.n_frames()
                    ),
                });
            }
            let (first_row, len) = (rows.positions.len(), mel.n_frames());
            let first_frame = frames.len() / mels;
            frames.resize((first_frame + len) * mels, 0.0);
            let own = &mut frames[first_frame * mels..];
            for (band, values) in mel.values().chunks_exact(len).enumerate() {
                for (t, v) in values.iter().enumerate() {
                    own[t * mels + band] = *v;
                }
            }
            for start in (0..len).step_by(step) {
                let chunk = start..(start + step).min(len);
                let (next, positions) = (rows.positions.len(), self.config.positions(chunk.len()));
                rows.frames
                    .push(first_frame + chunk.start..first_frame + chunk.end);
                rows.positions.extend(0..positions);
                rows.spans.push(Span {
                    queries: next..next + positions,
                    keys: next..next + positions,
                });
            }
            rows.clips.push(first_row..rows.positions.len());
        }
        Ok((rows, frames))
    }
}

impl Layer {
    fn new(config: &AudioConfig, build: &mut Build<'_, '_>, at: &str) -> Result<Self, TrainError> {
        let (d, inner) = (config.d_model, config.encoder_ffn_dim);
        let joins = 1.0 / (2.0 * config.encoder_layers as f32).sqrt();
        let mut linear = |name: &str, shape: [usize; 2], bias, gain| {
            Linear::new(build, &format!("{at}.{name}"), &shape, bias, gain)
        };
        let q_proj = linear("self_attn.q_proj", [d, d], true, 1.0)?;
        let k_proj = linear("self_attn.k_proj", [d, d], false, 1.0)?;
        let v_proj = linear("self_attn.v_proj", [d, d], true, 1.0)?;
        let out_proj = linear("self_attn.out_proj", [d, d], true, joins)?;
        let fc1 = linear("fc1", [inner, d], true, 1.0)?;
        let fc2 = linear("fc2", [d, inner], true, joins)?;
        Ok(Self {
            self_attn_layer_norm: LayerNorm::new(build, &format!("{at}.self_attn_layer_norm"), d)?,
            q_proj,
            k_proj,
            v_proj,
            out_proj,
            final_layer_norm: LayerNorm::new(build, &format!("{at}.final_layer_norm"), d)?,
            fc1,
            fc2,
        })
    }

    fn forward(
        &self,
        config: &AudioConfig,
        pass: &Pass<'_>,
        x: Vec<f32>,
        rows: &Rows,
    ) -> (Vec<f32>, Saved) {
        let normed = self.self_attn_layer_norm.forward(pass, &x);
        let (q, k, v) = (
            self.q_proj.forward(pass, &normed),
            self.k_proj.forward(pass, &normed),
            self.v_proj.forward(pass, &normed),
        );
        let inputs = (&q[..], &rows.positions[..], &k[..], &v[..]);
        let attended = attention::forward(heads(config), Mask::Full, inputs, &rows.spans);
        let mut middle = self.out_proj.forward(pass, &attended);
        pointwise::add(&mut middle, &x);
        let middle_normed = self.final_layer_norm.forward(pass, &middle);
        let inner = self.fc1.forward(pass, &middle_normed);
        let mut active = inner.clone();
        pointwise::gelu(&mut active);
        let mut y = self.fc2.forward(pass, &active);
        pointwise::add(&mut y, &middle);
        let saved = Saved {
            x,
            normed,
            q,
            k,
            v,
            attended,
            middle,
            middle_normed,
            inner,
        };
        (y, saved)
    }

    fn backward(
        &self,
        config: &AudioConfig,
        pass: &Pass<'_>,
        saved: Saved,
        dy: Vec<f32>,
        rows: &Rows,
        gradients: &mut Gradients,
    ) -> Vec<f32> {
        let Saved {
            x,
            normed,
            q,
            k,
            v,
            attended,
            middle,
            middle_normed,
            inner,
        } = saved;
        let mut active = inner.clone();
        pointwise::gelu(&mut active);
        let mut dinner = self.fc2.backward_alone(pass, &active, &dy, gradients);
        backward::gelu(&inner, &mut dinner);
        let mut dnormed = self
            .fc1
            .backward_alone(pass, &middle_normed, &dinner, gradients);
        let mut dmiddle = dy;
        self.final_layer_norm
            .backward(pass, &middle, &dnormed, &mut dmiddle, gradients);

        let dattended = self
            .out_proj
            .backward_alone(pass, &attended, &dmiddle, gradients);
        let inputs = (&q[..], &rows.positions[..], &k[..], &v[..]);
        let d = attention::attend(heads(config), Mask::Full, inputs, &dattended, &rows.spans);
        dnormed.fill(0.0);
        for (linear, dy) in [
            (&self.q_proj, &d.dq),
            (&self.k_proj, &d.dk),
            (&self.v_proj, &d.dv),
        ] {
            linear.backward(pass, &normed, dy, Some(&mut dnormed), gradients);
        }
        self.self_attn_layer_norm
            .backward(pass, &x, &dnormed, &mut dmiddle, gradients);
        dmiddle
    }
}

fn heads(config: &AudioConfig) -> Heads {
    Heads {
        heads: config.encoder_attention_heads,
        kv_heads: config.encoder_attention_heads,
        dim: config.d_model / config.encoder_attention_heads,
    }
}
