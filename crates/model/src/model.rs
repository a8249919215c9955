//! The model as its users see it: sound and words in, embeddings, Yes/No scores and captions out.

use std::path::{Path, PathBuf};

use aurola_audio::{LogMel, MelConfig};
use aurola_compute::attention::Mask;
use aurola_compute::packed::Form;
use aurola_compute::{Dtype, Isa};
use aurola_retrieval::Embedding;

use crate::choice::{Choice, choose};
use crate::config::ThinkerConfig;
use crate::description::{Attention, Description, Pooling};
use crate::front_end::read_mel_config;
use crate::generate::{Generation, Vocabulary, generate};
use crate::language_model::Head;
use crate::lora::Adapter;
use crate::plan::Plan;
use crate::prefix::Prefixes;
use crate::rerank::{self, Pair};
use crate::text::{
    CaptionStyle, Direction, Prompt, PromptInput, PromptPreset, TextOptions, TextSide,
};
use crate::thinker::{Filled, Thinker};
use crate::weights::{Checkpoint, is_ours};
use crate::{ModelError, YesNo};

/// Version of everything in this program that decides an embedding. It is part of every
/// fingerprint and rises when a change moves a number, so that old embeddings are not compared
/// with new ones.
const NUMBERS_VERSION: u32 = 2;

/// In which type products are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DtypeChoice {
    /// bf16 for a checkpoint of bf16 weights, f32 for any other; where these do not fit the memory that is
    /// free, the first of int8 and int4 that does. Of packed files without a checkpoint, the widest that fits.
    #[default]
    Auto,
    /// Weights as they are, widened exactly; activations f32: the released path in float32.
    F32,
    /// Weights and the inputs of products in bf16, sums and everything else in f32.
    Bf16,
    /// Weights and the inputs of products as whole numbers of 8 bits with a scale for each 128; a few layers,
    /// norms and sums stay wider.
    Int8,
    /// Weights in 4 bits with a scale for each 32, otherwise as [`DtypeChoice::Int8`].
    Int4,
}

/// How to load a checkpoint.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The type of products.
    pub dtype: DtypeChoice,
    /// A PEFT LoRA adapter's folder.
    pub adapter: Option<PathBuf>,
    /// AuroLA's prompts in this form, whatever the checkpoint says.
    pub prompt: Option<PromptPreset>,
    /// Bytes of memory that weights may take; what the system has free where it is `None`.
    pub memory: Option<u64>,
}

/// What is embedded, or stands on one side of a re-ranked pair.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A clip.
    Audio(&'a LogMel),
    /// A sentence.
    Text(&'a str),
    /// A clip and a sentence about it.
    AudioText(&'a LogMel, &'a str),
}

/// What the audio tower made of a clip: `[tokens, dim]`, 25 tokens a second.
#[derive(Debug, Clone)]
pub struct Sound(Vec<f32>);

/// A loaded checkpoint. All methods take `&self`; one model serves many threads.
#[derive(Debug)]
pub struct Model {
    thinker: Thinker,
    text: TextSide,
    prefixes: Prefixes,
    mel: MelConfig,
    form: Form,
    stored: Dtype,
    why: String,
    parameters: u64,
    fingerprint: String,
}

impl Model {
    /// Loads the checkpoint in `dir`. Weights stay in their memory map and are read when they are
    /// first used.
    ///
    /// # Errors
    ///
    /// [`ModelError`], naming the file and what would help.
    pub fn load(dir: &Path, options: &LoadOptions) -> Result<Self, ModelError> {
        if !dir.is_dir() {
            return Err(ModelError::MissingFile {
                dir: dir.to_owned(),
                name: "such folder".into(),
                help: "give the folder of a checkpoint: config.json, model.safetensors, tokenizer.json".into(),
            });
        }
        refuse_pipes(dir)?;
        let config = ThinkerConfig::read(dir)?;
        let mel = read_mel_config(dir, &config.audio)?;
        let text_options = TextOptions {
            preset: options.prompt,
            audio_token_id: config.audio_token_id,
            context: Some(config.text.max_position_embeddings),
        };
        let text = TextSide::load(dir, &text_options)?;
        let stated = text
            .description()
            .embedding
            .as_ref()
            .and_then(|r| r.dim.as_ref());
        if let Some(dim) = stated.filter(|d| d.value != config.text.hidden_size) {
            return Err(ModelError::Config {
                path: dir.join(&dim.by),
                reason: format!(
                    "embeddings of {} numbers, but hidden_size in config.json is {}",
                    dim.value, config.text.hidden_size
                ),
            });
        }
        let adapter = options.adapter.as_deref().map(Adapter::open).transpose()?;
        let Choice {
            checkpoint,
            plan,
            stored,
            why,
        } = choose(dir, options.dtype, options.memory)?;
        let thinker = Thinker::load(config, &checkpoint, adapter.as_ref(), plan)?;
        let fingerprint = fingerprint(
            thinker.config(),
            &checkpoint,
            adapter.as_ref(),
            &text,
            &mel,
            plan,
        );
        let parameters = checkpoint.parameters(is_ours);
        Ok(Self {
            thinker,
            text,
            prefixes: Prefixes::default(),
            mel,
            form: plan.form(),
            stored: stored.unwrap_or(Dtype::F32),
            why,
            parameters,
            fingerprint,
        })
    }

    /// What the checkpoint says of its prompts and pooling.
    pub fn description(&self) -> &Description {
        self.text.description()
    }

    /// The shapes of the towers.
    pub fn config(&self) -> &ThinkerConfig {
        self.thinker.config()
    }

    /// The front end that makes its spectrograms.
    pub fn mel_config(&self) -> &MelConfig {
        &self.mel
    }

    /// Numbers of an embedding.
    pub fn dim(&self) -> usize {
        self.thinker.language_model().hidden_size()
    }

    /// The type of products.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Which weights were chosen, and why, for people.
    pub fn choice(&self) -> &str {
        &self.why
    }

    /// The type most weights are stored in.
    pub fn stored_dtype(&self) -> Dtype {
        self.stored
    }

    /// Numbers in the weights that are used (not those of vision and talker).
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// The instruction set of the products.
    pub fn isa(&self) -> Isa {
        Isa::best()
    }

    /// Everything that decides an embedding (weights, configuration, adapter, prompts, pooling,
    /// tokenizer, front end, type of products, version of the program's numbers), as 32 hex digits. Embeddings are
    /// comparable exactly where it is equal. The window is the caller's and is not in it. Weights
    /// are sampled; see the decision record on fingerprints.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Tokens of sound that a clip becomes: 25 per second.
    pub fn audio_tokens(&self, mel: &LogMel) -> usize {
        self.thinker.audio_tower().tokens(mel)
    }

    /// The loaded towers, for tests against recorded states.
    pub fn thinker(&self) -> &Thinker {
        &self.thinker
    }

    /// The tokenizer and prompts.
    pub fn text(&self) -> &TextSide {
        &self.text
    }

    /// Embeds inputs, in the order given. Each result is the same bits as alone.
    ///
    /// # Errors
    ///
    /// [`ModelError::Input`] for what the model cannot take (too short a clip, too long a prompt),
    /// [`ModelError::NotFinite`] where the computation gives a NaN or an infinity.
    pub fn embed(&self, inputs: &[Input<'_>]) -> Result<Vec<Embedding>, ModelError> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let clips: Vec<&LogMel> = inputs.iter().filter_map(Input::clip).collect();
        let sounds = self.thinker.audio_tower().encode(&clips)?;
        let mut sounds = sounds.iter();
        let mut prepared: Vec<(Prompt, &[f32])> = Vec::with_capacity(inputs.len());
        for input in inputs {
            let sound: &[f32] = input.clip().and_then(|_| sounds.next()).map_or(&[], |s| s);
            let tokens = sound.len() / self.dim();
            let prompt = self.text.embedding_prompt(match *input {
                Input::Audio(_) => PromptInput::Audio(tokens),
                Input::Text(text) => PromptInput::Text(text),
                Input::AudioText(_, text) => PromptInput::AudioText(tokens, text),
            })?;
            prepared.push((prompt, sound));
        }
        let filled: Vec<Filled<'_>> = prepared
            .iter()
            .map(|(prompt, sound)| Filled { prompt, sound })
            .collect();
        let recipe = self
            .description()
            .embedding
            .as_ref()
            .expect("a prompt was made from it");
        let mask = match recipe.attention.value {
            Attention::Causal => Mask::Causal,
            Attention::Bidirectional => Mask::Full,
        };
        let states = match recipe.pooling.value {
            Pooling::Mean => self.thinker.mean_states(&filled, mask)?,
            Pooling::BeforeEmb | Pooling::LastToken => {
                self.prefixes
                    .states(&self.thinker, &self.text, &filled, mask)?
            }
        };
        states
            .into_iter()
            .zip(inputs)
            .map(|(state, input)| {
                Embedding::normalize(state).map_err(|source| ModelError::NotFinite {
                    input: input.to_string(),
                    source,
                })
            })
            .collect()
    }

    /// The audio tower's output for clips, to be kept for [`Model::rerank_sounds`]: half of what judging a
    /// pair costs depends on the clip alone.
    ///
    /// # Errors
    ///
    /// As [`Model::embed`].
    pub fn encode(&self, clips: &[&LogMel]) -> Result<Vec<Sound>, ModelError> {
        let sounds = self.thinker.audio_tower().encode(clips)?;
        Ok(sounds.into_iter().map(Sound).collect())
    }

    /// [`Model::rerank`] of clips for a sentence, from what [`Model::encode`] gave for them: the same bits.
    ///
    /// # Errors
    ///
    /// As [`Model::rerank`].
    pub fn rerank_sounds(&self, query: &str, sounds: &[&Sound]) -> Result<Vec<YesNo>, ModelError> {
        let pairs = sounds
            .iter()
            .map(|sound| (sound.0.as_slice(), query))
            .collect::<Vec<_>>();
        self.judge(Direction::TextToAudio, &pairs)
    }

    /// Scores candidates for a query: an audio query with sentences, or a sentence with clips. What
    /// all prompts share is read once; each score is the same bits as alone.
    ///
    /// # Errors
    ///
    /// As [`Model::embed`]; [`ModelError::Input`] for a pair that is not a clip and a sentence, and
    /// [`ModelError::Text`] where the vocabulary lacks Yes or No.
    pub fn rerank(
        &self,
        query: &Input<'_>,
        candidates: &[Input<'_>],
    ) -> Result<Vec<YesNo>, ModelError> {
        let wrong = || ModelError::Input("re-ranking compares a clip with a sentence".into());
        let direction = match query {
            Input::Audio(_) => Direction::AudioToText,
            Input::Text(_) => Direction::TextToAudio,
            Input::AudioText(..) => return Err(wrong()),
        };
        let clips: Vec<&LogMel> = std::iter::once(query)
            .chain(candidates)
            .filter_map(Input::clip)
            .collect();
        let sounds = self.thinker.audio_tower().encode(&clips)?;
        let pairs = candidates
            .iter()
            .enumerate()
            .map(|(i, candidate)| match (query, candidate) {
                (Input::Audio(_), Input::Text(text)) => Ok((sounds[0].as_slice(), *text)),
                (Input::Text(text), Input::Audio(_)) => Ok((sounds[i].as_slice(), *text)),
                _ => Err(wrong()),
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.judge(direction, &pairs)
    }

    /// Scores pairs of a sound and a sentence that share the one that `direction` asks with.
    fn judge(
        &self,
        direction: Direction,
        pairs: &[(&[f32], &str)],
    ) -> Result<Vec<YesNo>, ModelError> {
        let pairs = pairs
            .iter()
            .map(|(sound, text)| {
                let tokens = sound.len() / self.dim();
                let prompt = self.text.rerank_prompt(direction, tokens, text)?;
                Ok(Pair { prompt, sound })
            })
            .collect::<Result<Vec<_>, ModelError>>()?;
        let shares_sound = direction == Direction::AudioToText;
        let scores = rerank::score(&self.thinker, &self.yes_no_head()?, &pairs, shares_sound)?;
        match scores
            .iter()
            .position(|s| !s.logit_yes.is_finite() || !s.logit_no.is_finite())
        {
            Some(at) => Err(ModelError::Input(format!(
                "the score of candidate {at} is not finite; the weights or the sound hold a non-finite number"
            ))),
            None => Ok(scores),
        }
    }

    /// Describes a clip. `on_text` sees the words as they come and may stop them by returning
    /// `false`.
    ///
    /// # Errors
    ///
    /// As [`Model::embed`], and [`ModelError::Input`] for options out of range.
    pub fn caption(
        &self,
        mel: &LogMel,
        style: CaptionStyle,
        options: &Generation,
        on_text: &mut dyn FnMut(&str) -> bool,
    ) -> Result<String, ModelError> {
        let sound = self.thinker.encode(mel)?;
        let prompt = self.text.caption_prompt(sound.len() / self.dim(), style)?;
        let filled = Filled {
            prompt: &prompt,
            sound: &sound,
        };
        let mut stream = self.text.tokenizer().stream(true);
        let mut caption = String::new();
        let mut failed = None;
        self.generate(&filled, options, &mut |id| match stream.push(id) {
            Ok(words) => {
                caption.push_str(&words);
                words.is_empty() || on_text(&words)
            }
            Err(e) => {
                failed = Some(e);
                false
            }
        })?;
        match failed {
            Some(e) => Err(e),
            None => {
                let rest = stream.finish();
                if !rest.is_empty() {
                    on_text(&rest);
                }
                Ok((caption + &rest).trim().to_owned())
            }
        }
    }

    /// Writes ids after any prompt, until the model ends or the limit; `on_token` may stop it.
    ///
    /// # Errors
    ///
    /// As [`Model::caption`].
    pub fn generate(
        &self,
        filled: &Filled<'_>,
        options: &Generation,
        on_token: &mut dyn FnMut(u32) -> bool,
    ) -> Result<Vec<u32>, ModelError> {
        let head = self.thinker.language_model().head(None)?;
        let vocabulary = Vocabulary {
            len: self.text.tokenizer().vocabulary(),
            ends: self.text.stop_ids(),
        };
        generate(&self.thinker, &head, filled, &vocabulary, options, on_token)
    }

    fn yes_no_head(&self) -> Result<Head<'_>, ModelError> {
        let (yes, no) = self.text.yes_no_ids()?;
        self.thinker.language_model().head(Some(&[yes, no]))
    }
}

/// Refuses a folder with pipes, sockets or devices in it: opening one could wait for ever.
fn refuse_pipes(dir: &Path) -> Result<(), ModelError> {
    for entry in std::fs::read_dir(dir).map_err(ModelError::io(dir))? {
        let path = entry.map_err(ModelError::io(dir))?.path();
        // A link to nowhere is told by who needs the file.
        let Ok(metadata) = std::fs::metadata(&path) else {
            continue;
        };
        if !metadata.is_file() && !metadata.is_dir() {
            let reason = "not a regular file; a checkpoint holds files and folders only".into();
            return Err(ModelError::Config { path, reason });
        }
    }
    Ok(())
}

impl<'a> Input<'a> {
    fn clip(&self) -> Option<&'a LogMel> {
        match *self {
            Input::Audio(mel) | Input::AudioText(mel, _) => Some(mel),
            Input::Text(_) => None,
        }
    }
}

impl std::fmt::Display for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Input::Audio(mel) => write!(f, "a clip of {} frames", mel.n_frames()),
            Input::Text(text) => write!(f, "the text {text:?}"),
            Input::AudioText(mel, text) => {
                write!(
                    f,
                    "a clip of {} frames and the text {text:?}",
                    mel.n_frames()
                )
            }
        }
    }
}

fn fingerprint(
    config: &ThinkerConfig,
    checkpoint: &Checkpoint,
    adapter: Option<&Adapter>,
    text: &TextSide,
    mel: &MelConfig,
    plan: Plan,
) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("numbers {NUMBERS_VERSION}\n{}\n{mel:?}\n", plan.numbers()).as_bytes());
    hasher.update(format!("{}\n", config.numbers()).as_bytes());
    hasher.update(text.fingerprint().as_bytes());
    hasher.update(checkpoint.source().as_bytes());
    if let Some(adapter) = adapter {
        adapter.digest(&mut hasher);
    }
    hasher.finalize().to_hex()[..32].to_owned()
}
