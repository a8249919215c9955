//! The shape of a checkpoint: `config.json` of a Qwen2.5-Omni Thinker.
//!
//! Two layouts are published: the Thinker alone (`model_type` `qwen2_5_omni_thinker`), and the full
//! model, which nests it under `thinker_config`. Keys that a file leaves out have the defaults of
//! transformers 4.57, as that library leaves defaults out when it writes. Keys that are unknown
//! (vision, talker, training) are not ours to judge; keys that would change the numbers and that we
//! do not implement are refused.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::ModelError;

/// Most of `n_window`: chunks of 300 s, as long as any clip. Positions are computed for a whole chunk
/// at load, so a file may not ask for any number of them.
const LONGEST_WINDOW: usize = 15_000;

/// The Thinker's configuration, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ThinkerConfig {
    /// The audio tower.
    pub audio: AudioConfig,
    /// The language model.
    pub text: TextConfig,
    /// Id of the placeholder `<|AUDIO|>`, where the configuration names it.
    pub audio_token_id: Option<u32>,
    /// Whether the output head is the embedding table.
    pub tie_word_embeddings: bool,
}

/// Shape of the audio tower.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct AudioConfig {
    /// Mel bands of the front end.
    pub num_mel_bins: usize,
    /// Width of the tower.
    pub d_model: usize,
    /// Layers.
    pub encoder_layers: usize,
    /// Heads of each layer.
    pub encoder_attention_heads: usize,
    /// Inner width of each layer's MLP.
    pub encoder_ffn_dim: usize,
    /// Half the frames of one chunk: chunks of `2 · n_window` frames are convolved and attended
    /// alone.
    pub n_window: usize,
    /// Width of the output, which is the language model's.
    pub output_dim: usize,
    /// Name of the activation; only `gelu` (the exact form) is known.
    pub activation_function: String,
    /// Whether the convolutions' output is scaled by `√d_model`; published models do not.
    pub scale_embedding: bool,
}

impl Default for AudioConfig {
    fn default() -> Self {
        Self {
            num_mel_bins: 128,
            d_model: 1280,
            encoder_layers: 32,
            encoder_attention_heads: 20,
            encoder_ffn_dim: 5120,
            n_window: 100,
            output_dim: 3584,
            activation_function: "gelu".into(),
            scale_embedding: false,
        }
    }
}

impl AudioConfig {
    /// Frames of one chunk.
    pub fn chunk_frames(&self) -> usize {
        2 * self.n_window
    }

    /// Positions of the tower's layers for a clip of `frames` frames.
    pub fn positions(&self, frames: usize) -> usize {
        frames.div_ceil(2)
    }

    /// Tokens that a clip of `frames` frames becomes: one per 40 ms, an odd last position being
    /// dropped.
    pub fn tokens(&self, frames: usize) -> usize {
        self.positions(frames) / 2
    }
}

/// Shape of the language model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct TextConfig {
    /// Rows of the embedding table, as the configuration says; the table itself decides.
    pub vocab_size: usize,
    /// Width.
    pub hidden_size: usize,
    /// Inner width of each layer's MLP.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads of the queries.
    pub num_attention_heads: usize,
    /// Heads of the keys and values.
    pub num_key_value_heads: usize,
    /// Numbers of one head; `hidden_size / num_attention_heads` where it is not said.
    pub head_dim: Option<usize>,
    /// ε of every RMSNorm.
    pub rms_norm_eps: f32,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// Positions the model was made for.
    pub max_position_embeddings: usize,
    /// Name of the activation; only `silu` is known.
    pub hidden_act: String,
    /// Whether some layers see a window of the past only; not implemented.
    pub use_sliding_window: bool,
    rope_scaling: Option<RopeScaling>,
    rope_parameters: Option<RopeScaling>,
}

/// How rotary angles are stretched. Without images, multimodal rotary positions are the plain ones,
/// so only stretching matters, and only `default` (none) is implemented.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
struct RopeScaling {
    rope_type: Option<String>,
    #[serde(rename = "type")]
    old_type: Option<String>,
    rope_theta: Option<f64>,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 152_064,
            hidden_size: 3584,
            intermediate_size: 18_944,
            num_hidden_layers: 28,
            num_attention_heads: 28,
            num_key_value_heads: 4,
            head_dim: None,
            rms_norm_eps: 1e-6,
            rope_theta: 1_000_000.0,
            max_position_embeddings: 32_768,
            hidden_act: "silu".into(),
            use_sliding_window: false,
            rope_scaling: None,
            rope_parameters: None,
        }
    }
}

impl TextConfig {
    /// Numbers of one head.
    pub fn head_dim(&self) -> usize {
        self.head_dim
            .unwrap_or(self.hidden_size / self.num_attention_heads)
    }
}

/// What both layouts' files hold, of what concerns us.
#[derive(Deserialize)]
struct ThinkerFile {
    audio_config: Option<AudioConfig>,
    text_config: Option<TextConfig>,
    audio_token_index: Option<u32>,
    audio_token_id: Option<u32>,
    tie_word_embeddings: Option<bool>,
}

impl ThinkerConfig {
    /// Reads and checks `config.json` in `dir`.
    ///
    /// # Errors
    ///
    /// [`ModelError::MissingFile`], [`ModelError::Io`], [`ModelError::Json`] for what cannot be
    /// read; [`ModelError::Config`] for another architecture, a shape that contradicts itself, or
    /// an option that is not implemented.
    pub fn read(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("config.json");
        if !path.exists() {
            return Err(ModelError::MissingFile {
                dir: dir.to_owned(),
                name: "config.json".into(),
                help: "give the folder of a Qwen2.5-Omni Thinker checkpoint, such as AuroLA's"
                    .into(),
            });
        }
        let text = std::fs::read_to_string(&path).map_err(ModelError::io(&path))?;
        Self::parse(&text, &path)
    }

    /// Parses the text of a `config.json`; `path` is for messages.
    ///
    /// # Errors
    ///
    /// As [`ThinkerConfig::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ModelError> {
        let json = |e: serde_json::Error| ModelError::Json {
            path: path.to_owned(),
            reason: e.to_string(),
        };
        let root: Value = serde_json::from_str(text).map_err(json)?;
        let thinker = root.get("thinker_config").unwrap_or(&root);
        let refuse = |reason: String| ModelError::Config {
            path: path.to_owned(),
            reason,
        };
        if thinker.get("audio_config").is_none() || thinker.get("text_config").is_none() {
            let kind = root
                .get("model_type")
                .and_then(Value::as_str)
                .unwrap_or("unknown");
            return Err(refuse(format!(
                "model_type {kind:?} has no audio_config and text_config; \
                 only Qwen2.5-Omni Thinkers are known"
            )));
        }
        let file: ThinkerFile = serde_json::from_value(thinker.clone()).map_err(json)?;
        let mut text = file.text_config.unwrap_or_default();
        for scaling in [&text.rope_parameters, &text.rope_scaling]
            .into_iter()
            .flatten()
        {
            let kind = scaling
                .rope_type
                .as_deref()
                .or(scaling.old_type.as_deref())
                .unwrap_or("default");
            if !matches!(kind, "default" | "mrope") {
                return Err(refuse(format!(
                    "rotary scaling {kind:?} is not implemented; only \"default\""
                )));
            }
        }
        if let Some(theta) = text.rope_parameters.as_ref().and_then(|p| p.rope_theta) {
            text.rope_theta = theta;
        }
        // transformers 4.57 goes by the text configuration, whose default is false and which it
        // writes only where it is not the default; the Thinker's own key, true by default and
        // without effect there, counts where the other is left out.
        let tied_inside = thinker
            .get("text_config")
            .and_then(|t| t.get("tie_word_embeddings"))
            .and_then(Value::as_bool);
        let config = Self {
            audio: file.audio_config.unwrap_or_default(),
            text,
            audio_token_id: file.audio_token_index.or(file.audio_token_id),
            tie_word_embeddings: tied_inside.or(file.tie_word_embeddings).unwrap_or(false),
        };
        config.check().map_err(refuse)?;
        Ok(config)
    }

    /// What decides an embedding and no tensor's shape shows, for a fingerprint: the same text from
    /// run to run.
    pub(crate) fn numbers(&self) -> String {
        let (a, t) = (&self.audio, &self.text);
        format!(
            "window {}, heads {}; heads {} on {} of {}, eps {}, theta {}",
            a.n_window,
            a.encoder_attention_heads,
            t.num_attention_heads,
            t.num_key_value_heads,
            t.head_dim(),
            t.rms_norm_eps,
            t.rope_theta
        )
    }

    fn check(&self) -> Result<(), String> {
        let (a, t) = (&self.audio, &self.text);
        let sizes = [
            ("audio_config.num_mel_bins", a.num_mel_bins),
            ("audio_config.d_model", a.d_model),
            ("audio_config.encoder_layers", a.encoder_layers),
            (
                "audio_config.encoder_attention_heads",
                a.encoder_attention_heads,
            ),
            ("audio_config.encoder_ffn_dim", a.encoder_ffn_dim),
            ("audio_config.n_window", a.n_window),
            ("audio_config.output_dim", a.output_dim),
            ("text_config.hidden_size", t.hidden_size),
            ("text_config.intermediate_size", t.intermediate_size),
            ("text_config.num_hidden_layers", t.num_hidden_layers),
            ("text_config.num_attention_heads", t.num_attention_heads),
            ("text_config.num_key_value_heads", t.num_key_value_heads),
            (
                "text_config.max_position_embeddings",
                t.max_position_embeddings,
            ),
        ];
        for (name, size) in sizes {
            if size == 0 || size > 1 << 24 {
                return Err(format!("{name} is {size}; expected 1 to {}", 1 << 24));
            }
        }
        if !a.d_model.is_multiple_of(a.encoder_attention_heads) {
            return Err(format!(
                "audio_config.d_model {} is not a multiple of encoder_attention_heads {}",
                a.d_model, a.encoder_attention_heads
            ));
        }
        if !a.d_model.is_multiple_of(2) || a.d_model < 4 {
            return Err(format!(
                "audio_config.d_model {} is not an even number of at least 4",
                a.d_model
            ));
        }
        if !a.n_window.is_multiple_of(2) {
            return Err(format!(
                "audio_config.n_window {} is odd: positions of two chunks would be pooled together",
                a.n_window
            ));
        }
        if a.n_window > LONGEST_WINDOW {
            return Err(format!(
                "audio_config.n_window {} is over {LONGEST_WINDOW}",
                a.n_window
            ));
        }
        if a.output_dim != t.hidden_size {
            return Err(format!(
                "audio_config.output_dim {} is not text_config.hidden_size {}",
                a.output_dim, t.hidden_size
            ));
        }
        if a.activation_function != "gelu" {
            return Err(format!(
                "audio_config.activation_function {:?} is not \"gelu\"",
                a.activation_function
            ));
        }
        if a.scale_embedding {
            return Err("audio_config.scale_embedding is not implemented".into());
        }
        if !t.num_attention_heads.is_multiple_of(t.num_key_value_heads) {
            return Err(format!(
                "text_config.num_attention_heads {} is not a multiple of num_key_value_heads {}",
                t.num_attention_heads, t.num_key_value_heads
            ));
        }
        if t.head_dim.is_none() && !t.hidden_size.is_multiple_of(t.num_attention_heads) {
            return Err(format!(
                "text_config.hidden_size {} is not a multiple of num_attention_heads {}",
                t.hidden_size, t.num_attention_heads
            ));
        }
        if t.head_dim() == 0 || !t.head_dim().is_multiple_of(2) || t.head_dim() > 1 << 16 {
            return Err(format!(
                "heads of {} numbers cannot be rotated",
                t.head_dim()
            ));
        }
        if t.hidden_act != "silu" {
            return Err(format!(
                "text_config.hidden_act {:?} is not \"silu\"",
                t.hidden_act
            ));
        }
        if t.use_sliding_window {
            return Err("text_config.use_sliding_window is not implemented".into());
        }
        if !(t.rms_norm_eps.is_finite() && t.rms_norm_eps >= 0.0) {
            return Err(format!("text_config.rms_norm_eps is {}", t.rms_norm_eps));
        }
        if !(t.rope_theta.is_finite() && t.rope_theta > 1.0) {
            return Err(format!("text_config.rope_theta is {}", t.rope_theta));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ThinkerConfig, ModelError> {
        ThinkerConfig::parse(text, Path::new("config.json"))
    }

    #[test]
    fn both_layouts_are_read_and_defaults_are_transformers() {
        let alone = parse(
            r#"{"model_type": "qwen2_5_omni_thinker", "audio_token_index": 7, "tie_word_embeddings": true,
                "audio_config": {"output_dim": 2048}, "text_config": {"hidden_size": 2048, "num_attention_heads": 16,
                "num_key_value_heads": 2, "rope_scaling": {"type": "default", "mrope_section": [16, 24, 24]}}}"#,
        )
        .unwrap();
        assert_eq!((alone.audio.d_model, alone.text.head_dim()), (1280, 128));
        assert!(alone.tie_word_embeddings);
        let full = parse(
            r#"{"model_type": "qwen2_5_omni", "thinker_config": {"audio_config": {}, "text_config": {"rope_theta": 5e5}}}"#,
        )
        .unwrap();
        assert_eq!(
            (
                full.text.rope_theta,
                full.text.num_hidden_layers,
                full.audio_token_id
            ),
            (5e5, 28, None)
        );
    }

    #[test]
    fn a_tied_head_is_the_text_configurations_to_say() {
        let tied = |own: &str, text: &str| {
            parse(&format!(
                r#"{{{own} "audio_config": {{}}, "text_config": {{{text}}}}}"#
            ))
            .unwrap()
            .tie_word_embeddings
        };
        let (yes, no) = (
            r#""tie_word_embeddings": true"#,
            r#""tie_word_embeddings": false"#,
        );
        // A file that spells all defaults out says true here and means nothing by it.
        assert!(!tied(&format!("{yes},"), no));
        assert!(tied(&format!("{no},"), yes));
        assert!(tied(&format!("{yes},"), ""));
        assert!(tied("", yes));
        assert!(!tied("", ""));
    }

    #[test]
    fn tokens_of_the_released_table() {
        let audio = AudioConfig::default();
        // Frames, positions, tokens of spec/parity.md section 4.
        for (frames, positions, tokens) in [
            (50, 25, 12),
            (100, 50, 25),
            (2990, 1495, 747),
            (3500, 1750, 875),
            (3, 2, 1),
            (30_000, 15_000, 7500),
        ] {
            assert_eq!(
                (audio.positions(frames), audio.tokens(frames)),
                (positions, tokens)
            );
        }
    }

    #[test]
    fn what_would_change_the_numbers_is_refused_by_name() {
        for (file, word) in [
            (r#"{"model_type": "llama"}"#, "llama"),
            (
                r#"{"audio_config": {"output_dim": 64}, "text_config": {}}"#,
                "output_dim 64",
            ),
            (
                r#"{"audio_config": {"n_window": 25}, "text_config": {}}"#,
                "n_window 25",
            ),
            (
                r#"{"audio_config": {"n_window": 16777216}, "text_config": {}}"#,
                "n_window 16777216",
            ),
            (
                r#"{"audio_config": {}, "text_config": {"use_sliding_window": true}}"#,
                "use_sliding_window",
            ),
            (
                r#"{"audio_config": {}, "text_config": {"rope_scaling": {"rope_type": "yarn"}}}"#,
                "yarn",
            ),
            (
                r#"{"audio_config": {}, "text_config": {"num_attention_heads": 0}}"#,
                "num_attention_heads is 0",
            ),
            (
                r#"{"audio_config": {}, "text_config": {"num_key_value_heads": 3}}"#,
                "num_key_value_heads 3",
            ),
            (
                r#"{"audio_config": {"d_model": "wide"}, "text_config": {}}"#,
                "wide",
            ),
            ("{", "EOF"),
        ] {
            let message = parse(file).unwrap_err().to_string();
            assert!(message.contains(word), "{file} gave {message}");
        }
    }
}
