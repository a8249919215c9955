//! Words as token ids: what is said to the model, exactly, and where its answer is read.
//!
//! ```text
//! caption ──► prompt ──► chat template ──► tokenizer ──► PROMPT ──► language model
//!             slots      one string        ids           ids, where the clip's states go,
//!                                                        where the embedding is read
//! ```
//!
//! A caption is text from a stranger. It may spell `<emb>`, `<|AUDIO|>` or `<|im_end|>`, and the
//! released code reads those as its own; here the ids stay what the released tokenizer makes of
//! them, but only the template's own markers are filled or read (docs/decisions/0001).

mod added_tokens;
mod byte_level;
mod clock;
mod prompt;
mod template;
mod tokenizer;
mod tokenizer_files;

use std::ops::Range;
use std::path::Path;

pub use prompt::{
    CAPTION_PROMPTS_VERSION, CaptionStyle, Conversation, Direction, EmbeddingPrompts, PromptPreset,
    RerankPrompts, Turn,
};
pub use tokenizer::{AUDIO_PLACEHOLDER, EMBEDDING_MARKER, TextStream, Tokenizer};

use crate::ModelError;
use crate::description::{Answers, Description, Pooling, Stated};
use prompt::Skeleton;
use template::ChatTemplate;

/// What the configuration knows about text.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextOptions {
    /// AuroLA's prompts in this form, whatever the checkpoint's description says; by default the
    /// description decides.
    pub preset: Option<PromptPreset>,
    /// The placeholder's id according to `config.json`: it must be the tokenizer's.
    pub audio_token_id: Option<u32>,
    /// The longest sequence the model was made for; longer prompts are refused.
    pub context: Option<usize>,
}

/// What an embedding is made of. Clips are given by the number of states the audio tower makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptInput<'a> {
    /// A clip.
    Audio(usize),
    /// A sentence.
    Text(&'a str),
    /// A clip and a sentence.
    AudioText(usize, &'a str),
}

/// A prompt as the language model reads it, ending where its answer is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Token ids, the clip's placeholder repeated once for each of its states.
    pub ids: Vec<u32>,
    /// Positions that the audio tower's output fills. The placeholder's id may also occur elsewhere,
    /// inside a caption: only these positions are the clip.
    pub audio_at: Option<Range<usize>>,
    /// The position whose state is the answer: the last of `ids`, since nothing after it is read.
    /// Where the description's pooling is [`Pooling::Mean`], the mean over all of `ids` is.
    pub pooled: usize,
}

/// The text half of a model: its description, tokenizer, chat template and prompts.
#[derive(Debug)]
pub struct TextSide {
    tokenizer: Tokenizer,
    template: ChatTemplate,
    description: Description,
    embedding: Option<EmbeddingSkeletons>,
    audio_id: u32,
    yes_no: Option<(u32, u32)>,
    context: Option<usize>,
}

#[derive(Debug)]
struct EmbeddingSkeletons {
    audio: Skeleton,
    text: Skeleton,
    audio_text: Skeleton,
}

impl TextSide {
    /// Reads the text half of the checkpoint in `dir`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] naming the file where the description, the tokenizer or the chat template is
    /// missing, damaged, or does not go with the others or with `options`.
    pub fn load(dir: &Path, options: &TextOptions) -> Result<Self, ModelError> {
        let description = Description::read(dir, options.preset)?;
        let tokenizer = Tokenizer::load(dir)?;
        let template = ChatTemplate::load(dir, tokenizer.special_names())?;

        let audio_id = tokenizer.require(AUDIO_PLACEHOLDER, "a clip")?;
        if let Some(id) = options.audio_token_id.filter(|&id| id != audio_id) {
            return Err(ModelError::Config {
                path: dir.join("config.json"),
                reason: format!(
                    "the audio token is {id} here and {audio_id} in {}; they are not of one \
                     checkpoint",
                    tokenizer.source().display()
                ),
            });
        }
        let embedding = match &description.embedding {
            None => None,
            Some(recipe) => {
                let marked = recipe.pooling.value == Pooling::BeforeEmb;
                let prompts = recipe.prompts.value.clone();
                Some(EmbeddingSkeletons {
                    audio: Skeleton::new(&template, prompts.audio, marked)?,
                    text: Skeleton::new(&template, prompts.text, marked)?,
                    audio_text: Skeleton::new(&template, prompts.audio_text, marked)?,
                })
            }
        };
        let yes_no = match &description.rerank.answers {
            Answers::Ids { yes, no } => Some((*yes, *no)),
            Answers::Words { yes, no } => tokenizer.id(yes).zip(tokenizer.id(no)),
        };
        let context = options.context;
        Ok(Self {
            tokenizer,
            template,
            description,
            embedding,
            audio_id,
            yes_no,
            context,
        })
    }

    /// What the checkpoint says about itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The tokenizer: decoding, counting, and the 480-token cut of the released training.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The id of the clip's placeholder.
    pub fn audio_id(&self) -> u32 {
        self.audio_id
    }

    /// The ids whose logits are the re-ranker's Yes and No.
    ///
    /// # Errors
    ///
    /// [`ModelError::Text`] where the vocabulary does not have each answer as one token.
    pub fn yes_no_ids(&self) -> Result<(u32, u32), ModelError> {
        self.yes_no.ok_or_else(|| ModelError::Text {
            path: self.tokenizer.source().to_owned(),
            reason: format!(
                "does not have {} as one token each",
                self.description.rerank.answers
            ),
        })
    }

    /// The ids that end an answer, as far as the vocabulary has them: `<|im_end|>`,
    /// `<|endoftext|>`.
    pub fn stop_ids(&self) -> Vec<u32> {
        ["<|im_end|>", "<|endoftext|>"]
            .iter()
            .filter_map(|name| self.tokenizer.id(name))
            .collect()
    }

    /// The prompt whose last state is the embedding of `input`.
    ///
    /// # Errors
    ///
    /// - [`ModelError::Input`] where the checkpoint only re-ranks, a clip has no states, or the
    ///   prompt is longer than the model's context: nothing is cut.
    /// - [`ModelError::Text`] where the chat template or the tokenizer fails.
    pub fn embedding_prompt(&self, input: PromptInput<'_>) -> Result<Prompt, ModelError> {
        let (skeleton, caption, n_audio) = self.embedding_skeleton(input)?;
        self.prompt(skeleton, caption, n_audio)
    }

    /// The prompt whose next token is Yes or No: does the clip match `text`?
    ///
    /// # Errors
    ///
    /// As [`TextSide::embedding_prompt`].
    pub fn rerank_prompt(
        &self,
        direction: Direction,
        n_audio: usize,
        text: &str,
    ) -> Result<Prompt, ModelError> {
        self.prompt(&self.rerank_skeleton(direction)?, text, Some(n_audio))
    }

    /// The positions of the caption in [`TextSide::rerank_prompt`]: of tokens that begin within it.
    ///
    /// # Errors
    ///
    /// As [`TextSide::embedding_prompt`].
    pub fn rerank_caption(
        &self,
        direction: Direction,
        n_audio: usize,
        text: &str,
    ) -> Result<Range<usize>, ModelError> {
        let rendered = self
            .rerank_skeleton(direction)?
            .render(&self.template, text)?;
        let tokens = self.tokenizer.tokens(&rendered.text)?;
        // The clip's placeholder is one token here and `n_audio` in the prompt.
        let place = |at: usize| {
            let before = tokens.partition_point(|token| token.at.start < at);
            match &rendered.audio {
                Some(audio) if audio.start < at => before + n_audio - 1,
                _ => before,
            }
        };
        let caption = rendered.caption.unwrap_or(0..0);
        Ok(place(caption.start)..place(caption.end))
    }

    /// Asks pairs in `prompts` from now on; `by` says who wants it.
    ///
    /// # Errors
    ///
    /// [`ModelError::Input`] for prompts without room for one clip and one caption.
    pub fn set_rerank_prompts(
        &mut self,
        prompts: RerankPrompts,
        by: &str,
    ) -> Result<(), ModelError> {
        for (key, prompt) in [
            ("audio_to_text", &prompts.audio_to_text),
            ("text_to_audio", &prompts.text_to_audio),
        ] {
            let check = prompt.expect_slots(true, true);
            check.map_err(|e| ModelError::Input(format!("{by}: {key} {e}")))?;
        }
        self.description.rerank.prompts = Stated {
            value: prompts,
            by: by.to_owned(),
        };
        Ok(())
    }

    /// The prompt whose continuation is a caption of the clip.
    ///
    /// # Errors
    ///
    /// As [`TextSide::embedding_prompt`].
    pub fn caption_prompt(
        &self,
        n_audio: usize,
        style: CaptionStyle,
    ) -> Result<Prompt, ModelError> {
        let skeleton = Skeleton::new(&self.template, style.conversation(), false)?;
        self.prompt(&skeleton, "", Some(n_audio))
    }

    /// Everything about text that decides an embedding, in a form that stays the same from run to
    /// run: pooling, attention, the prompts as rendered, a digest of the tokenizer.
    pub fn fingerprint(&self) -> String {
        let recipe = self.description.embedding.as_ref().map(|r| r.stable());
        let prompts = self
            .embedding
            .as_ref()
            .map(|s| [&s.audio, &s.text, &s.audio_text].map(Skeleton::words));
        let facts = serde_json::json!({
            "recipe": recipe,
            "prompts": prompts,
            "tokenizer": self.tokenizer.digest().to_hex().as_str(),
        });
        facts.to_string()
    }

    fn embedding_skeleton<'s, 'i>(
        &'s self,
        input: PromptInput<'i>,
    ) -> Result<(&'s Skeleton, &'i str, Option<usize>), ModelError> {
        let skeletons = self.embedding.as_ref().ok_or_else(|| {
            ModelError::Input(format!(
                "this checkpoint re-ranks and makes no embeddings ({}); use it with rerank",
                self.description.origin
            ))
        })?;
        Ok(match input {
            PromptInput::Audio(n) => (&skeletons.audio, "", Some(n)),
            PromptInput::Text(text) => (&skeletons.text, text, None),
            PromptInput::AudioText(n, text) => (&skeletons.audio_text, text, Some(n)),
        })
    }

    fn rerank_skeleton(&self, direction: Direction) -> Result<Skeleton, ModelError> {
        let prompts = &self.description.rerank.prompts.value;
        let conversation = match direction {
            Direction::AudioToText => &prompts.audio_to_text,
            Direction::TextToAudio => &prompts.text_to_audio,
        };
        Skeleton::new(&self.template, conversation.clone(), false)
    }

    fn prompt(
        &self,
        skeleton: &Skeleton,
        caption: &str,
        n_audio: Option<usize>,
    ) -> Result<Prompt, ModelError> {
        let prompt = expand(self.up_to_the_answer(skeleton, caption)?, n_audio)?;
        match self.context {
            Some(context) if prompt.ids.len() > context => Err(ModelError::Input(format!(
                "the prompt is {} tokens and the model reads {context}; shorten the text ({} bytes) \
                 or the clip ({} tokens)",
                prompt.ids.len(),
                caption.len(),
                n_audio.unwrap_or(0),
            ))),
            _ => Ok(prompt),
        }
    }

    /// The ids up to the position that is read, and where among them the clip's placeholder is.
    fn up_to_the_answer(
        &self,
        skeleton: &Skeleton,
        caption: &str,
    ) -> Result<(Vec<u32>, Option<usize>), ModelError> {
        let rendered = skeleton.render(&self.template, caption)?;
        let tokens = match rendered.marker {
            None => self.tokenizer.tokens(&rendered.text)?,
            // The state that predicts `<emb>` is the embedding, so read the position to its left. A
            // token of the vocabulary ends where `<emb>` begins, so what stands before it has the
            // same ids with and without the rest.
            Some(marker) => {
                let mut tokens = self
                    .tokenizer
                    .tokens_with_marker(&rendered.text[..marker.start])?;
                while tokens.last().is_some_and(|token| token.appended) {
                    tokens.pop();
                }
                tokens
            }
        };
        if tokens.is_empty() {
            return Err(ModelError::Text {
                path: self.template.source().to_owned(),
                reason: "renders nothing before the position to read".to_owned(),
            });
        }
        let placeholder = match rendered.audio {
            None => None,
            Some(at) => {
                let position = tokens
                    .iter()
                    .position(|token| token.at == at && !token.appended);
                Some(position.ok_or_else(|| ModelError::Text {
                    path: self.tokenizer.source().to_owned(),
                    reason: format!(
                        "loses the clip's {AUDIO_PLACEHOLDER} in {:?}",
                        rendered.text
                    ),
                })?)
            }
        };
        Ok((
            tokens.into_iter().map(|token| token.id).collect(),
            placeholder,
        ))
    }
}

/// A prompt in which the placeholder, if there is one, takes `n_audio` positions.
fn expand(
    (mut ids, placeholder): (Vec<u32>, Option<usize>),
    n_audio: Option<usize>,
) -> Result<Prompt, ModelError> {
    let audio_at = match placeholder.zip(n_audio) {
        None => None,
        Some((_, 0)) => {
            return Err(ModelError::Input(
                "the clip is too short: it has no audio tokens".to_owned(),
            ));
        }
        Some((at, n)) => {
            let placeholder = ids[at];
            ids.splice(at..=at, std::iter::repeat_n(placeholder, n));
            Some(at..at + n)
        }
    };
    Ok(Prompt {
        pooled: ids.len() - 1,
        ids,
        audio_at,
    })
}

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;
