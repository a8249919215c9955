//! What the server asks of a model beyond what the engine does: words, counted and taken apart.

use aurola::Embedder;
use aurola_audio::LogMel;
use aurola_model::{CaptionStyle, Generation, Model, ModelError};

/// A model that can be served; a trait, so that the server is tested without one.
pub trait Served: Embedder + Send + Sync + 'static {
    /// A text as tokens, without a prompt around it.
    ///
    /// # Errors
    ///
    /// [`ModelError`] for a text the tokenizer cannot take.
    fn tokens(&self, text: &str) -> Result<Vec<Token>, ModelError>;

    /// How many tokens a text is.
    ///
    /// # Errors
    ///
    /// As [`Served::tokens`].
    fn text_tokens(&self, text: &str) -> Result<usize, ModelError> {
        Ok(self.tokens(text)?.len())
    }

    /// Ids, as text. `plain`: special tokens are left out.
    ///
    /// # Errors
    ///
    /// [`ModelError`] for an id outside of the vocabulary.
    fn text(&self, ids: &[u32], plain: bool) -> Result<String, ModelError>;

    /// The longest beginning of `text` of no more than `max` tokens.
    ///
    /// # Errors
    ///
    /// As [`Served::tokens`].
    fn beginning(&self, text: &str, max: usize) -> Result<String, ModelError>;

    /// Tokens the model can read at once.
    fn context(&self) -> usize;

    /// The type of its products: `f32`, `bf16`.
    fn dtype(&self) -> String;

    /// One sentence about a sound.
    ///
    /// # Errors
    ///
    /// [`ModelError`] for a model that does not write.
    fn caption(&self, mel: &LogMel) -> Result<String, ModelError>;
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// In the vocabulary.
    pub id: u32,
    /// What it spells; a character that is divided among tokens is written in full by none.
    pub text: String,
}

impl Served for Model {
    fn tokens(&self, text: &str) -> Result<Vec<Token>, ModelError> {
        let tokenizer = Model::text(self).tokenizer();
        (tokenizer.encode(text)?.into_iter())
            .map(|id| {
                let text = tokenizer.decode(&[id], false)?;
                Ok(Token { id, text })
            })
            .collect()
    }

    fn text_tokens(&self, text: &str) -> Result<usize, ModelError> {
        Ok(Model::text(self).tokenizer().encode(text)?.len())
    }

    fn text(&self, ids: &[u32], plain: bool) -> Result<String, ModelError> {
        Model::text(self).tokenizer().decode(ids, plain)
    }

    fn beginning(&self, text: &str, max: usize) -> Result<String, ModelError> {
        Model::text(self).tokenizer().first_tokens(text, max)
    }

    fn context(&self) -> usize {
        self.config().text.max_position_embeddings
    }

    fn dtype(&self) -> String {
        Self::form(self).to_string()
    }

    fn caption(&self, mel: &LogMel) -> Result<String, ModelError> {
        let style = CaptionStyle::default();
        Model::caption(self, mel, style, &Generation::default(), &mut |_| true)
    }
}
