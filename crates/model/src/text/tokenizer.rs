//! Text as token ids and back: the checkpoint's own byte-level BPE.
//!
//! ```text
//! rendered prompt ──► TOKENIZER ──► ids ──► language model ──► ids ──► TOKENIZER ──► caption
//! ```
//!
//! The tokenizers crate does the work (NFC, Qwen2's split, byte-level BPE). This module decides
//! which files it is built from, as `transformers` does: `tokenizer.json`, else `vocab.json` and
//! `merges.txt`; over both, the added tokens of `tokenizer_config.json` (else
//! `added_tokens.json`), which a tokenizer saved by the slow class keeps only there. A file that
//! would crash the crate, drop bytes of a caption or tokenize by chance is refused here, so that
//! everything behind it can rely on the tokenizer.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tokenizers::models::bpe::BPE;

use super::byte_level::{self, Utf8Buffer};
use super::tokenizer_files::{self, TokenizerFiles};
use crate::ModelError;

/// The token whose predecessor is an AuroLA embedding.
pub const EMBEDDING_MARKER: &str = "<emb>";
/// The placeholder that a chat template puts where a clip goes.
pub const AUDIO_PLACEHOLDER: &str = "<|AUDIO|>";

/// A checkpoint's tokenizer, complete and checked: it spells every byte, so no text is lost.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    with_marker: OnceLock<tokenizers::Tokenizer>,
    source: PathBuf,
    digest: blake3::Hash,
    special_names: Vec<(String, serde_json::Value)>,
}

/// One token of an encoded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// Its number.
    pub(crate) id: u32,
    /// The bytes of the text it stands for.
    pub(crate) at: Range<usize>,
    /// Whether it stands for no text: a beginning or an end that the tokenizer adds by itself.
    pub(crate) appended: bool,
}

impl Tokenizer {
    /// Reads the tokenizer of the checkpoint in `dir`.
    ///
    /// # Errors
    ///
    /// - [`ModelError::MissingFile`] without `tokenizer.json` and without `vocab.json` with
    ///   `merges.txt`.
    /// - [`ModelError::Text`] or [`ModelError::Json`] for a file that is damaged, contradicts
    ///   another one about an id, or describes something other than a byte-level BPE.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let TokenizerFiles {
            source,
            bpe,
            stages,
            added,
            digest,
            special_names,
        } = tokenizer_files::read(dir)?;
        let refuse = |reason: String| ModelError::Text {
            path: source.clone(),
            reason,
        };
        let built = |what: &str| {
            let what = what.to_owned();
            move |e: tokenizers::Error| format!("{what}: {e}")
        };

        let bpe = BPE::builder()
            .vocab_and_merges(bpe.vocab, bpe.merges)
            .ignore_merges(bpe.ignore_merges)
            .build()
            .map_err(|e| refuse(built("the merges")(e)))?;
        let mut inner = tokenizers::Tokenizer::new(bpe);
        inner
            .with_normalizer(stages.normalizer)
            .map_err(|e| refuse(built("the normalizer")(e)))?;
        inner
            .with_pre_tokenizer(stages.pre_tokenizer)
            .with_post_processor(stages.post_processor)
            .with_decoder(stages.decoder);
        for (origin, group) in added {
            let expected: Vec<(String, u32)> = group
                .iter()
                .map(|t| (t.token.content.clone(), t.id))
                .collect();
            inner
                .add_tokens(group.into_iter().map(|t| t.token))
                .map_err(|e| ModelError::Text {
                    path: origin.clone(),
                    reason: e.to_string(),
                })?;
            for (content, id) in expected {
                let got = inner.token_to_id(&content);
                if got != Some(id) {
                    return Err(ModelError::Text {
                        path: origin,
                        reason: format!(
                            "gives {content:?} the id {id}, but it would get {}; this file and \
                             {} are not of one checkpoint",
                            got.map_or("none".to_owned(), |id| id.to_string()),
                            source.display(),
                        ),
                    });
                }
            }
        }
        Ok(Self {
            inner,
            with_marker: OnceLock::new(),
            source,
            digest,
            special_names,
        })
    }

    /// One more than the highest id that has a text.
    pub(crate) fn vocabulary(&self) -> usize {
        self.inner
            .get_vocab(true)
            .into_values()
            .max()
            .map_or(0, |id| id as usize + 1)
    }

    /// The number of `token`, where it is one token of the vocabulary.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The number of `token`.
    ///
    /// # Errors
    ///
    /// [`ModelError::Text`] where the vocabulary lacks it; `needed_for` says who asked.
    pub(crate) fn require(&self, token: &str, needed_for: &str) -> Result<u32, ModelError> {
        self.id(token).ok_or_else(|| {
            self.error(format!(
                "has no token {token:?}, which {needed_for} needs; is this a Qwen2.5-Omni tokenizer?"
            ))
        })
    }

    /// Text as tokens. Special tokens inside `text` become their ids, wherever they stand: the
    /// callers know from [`Token::at`] which of them are a prompt's own.
    ///
    /// # Errors
    ///
    /// [`ModelError::Text`] where the tokenizer fails.
    pub(crate) fn tokens(&self, text: &str) -> Result<Vec<Token>, ModelError> {
        self.tokens_of(&self.inner, text)
    }

    /// [`Tokenizer::tokens`] with [`EMBEDDING_MARKER`] as one token, whose number is the one above
    /// all others where the checkpoint lacks it.
    ///
    /// # Errors
    ///
    /// [`ModelError::Text`] where the tokenizer fails.
    pub(crate) fn tokens_with_marker(&self, text: &str) -> Result<Vec<Token>, ModelError> {
        if self.id(EMBEDDING_MARKER).is_some() || !text.contains(EMBEDDING_MARKER) {
            return self.tokens(text);
        }
        // A second tokenizer, since a re-ranker of the same family reads `<emb>` as letters. Captions
        // that spell it are rare, so it is made for the first of them.
        let with_marker = match self.with_marker.get() {
            Some(ready) => ready,
            None => {
                let mut inner = self.inner.clone();
                // As `add_tokens` of transformers does: an ordinary token, looked for after
                // normalising, and found without spaces around it.
                inner
                    .add_tokens([tokenizers::AddedToken::from(EMBEDDING_MARKER, false)])
                    .map_err(|e| self.error(e.to_string()))?;
                self.with_marker.get_or_init(|| inner)
            }
        };
        self.tokens_of(with_marker, text)
    }

    fn tokens_of(
        &self,
        inner: &tokenizers::Tokenizer,
        text: &str,
    ) -> Result<Vec<Token>, ModelError> {
        let encoding = inner
            .encode(text, true)
            .map_err(|e| self.error(e.to_string()))?;
        let parts = encoding.get_ids().iter().zip(encoding.get_offsets());
        let parts = parts.zip(encoding.get_special_tokens_mask());
        Ok(parts
            .map(|((&id, &(start, end)), &appended)| Token {
                id,
                at: start..end,
                appended: appended == 1,
            })
            .collect())
    }

    /// Text as ids, special tokens parsed.
    ///
    /// # Errors
    ///
    /// [`ModelError::Text`] where the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        Ok(self
            .tokens(text)?
            .into_iter()
            .map(|token| token.id)
            .collect())
    }

    /// Ids as text. Special tokens are left out when `skip_special`; bytes that form no character
    /// come out as U+FFFD.
    ///
    /// # Errors
    ///
    /// [`ModelError::Text`] for an id beyond the vocabulary.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, ModelError> {
        let mut stream = self.stream(skip_special);
        let mut text = String::new();
        for &id in ids {
            text.push_str(&stream.push(id)?);
        }
        text.push_str(&stream.finish());
        Ok(text)
    }

    /// Ids as text, one at a time.
    pub fn stream(&self, skip_special: bool) -> TextStream<'_> {
        TextStream {
            tokenizer: self,
            skip_special,
            buffer: Utf8Buffer::default(),
        }
    }

    /// The beginning of `caption`, at most `max` tokens of it: the cut of the released training
    /// (480 tokens), for callers who ask for it. Nothing else shortens a text.
    ///
    /// # Errors
    ///
    /// [`ModelError::Text`] where the tokenizer fails.
    pub fn first_tokens(&self, caption: &str, max: usize) -> Result<String, ModelError> {
        let ids = self.encode(caption)?;
        if ids.len() <= max {
            return Ok(caption.to_owned());
        }
        self.decode(&ids[..max], false)
    }

    /// The file it was read from.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Names of special tokens as the checkpoint gives them, for the chat template: `eos_token`, …
    pub(crate) fn special_names(&self) -> &[(String, serde_json::Value)] {
        &self.special_names
    }

    /// A digest of every file that decides about ids.
    pub(crate) fn digest(&self) -> blake3::Hash {
        self.digest
    }

    fn error(&self, reason: String) -> ModelError {
        ModelError::Text {
            path: self.source.clone(),
            reason,
        }
    }
}

/// Ids arriving one by one, leaving as text; a character spread over two tokens leaves whole.
#[derive(Debug)]
pub struct TextStream<'t> {
    tokenizer: &'t Tokenizer,
    skip_special: bool,
    buffer: Utf8Buffer,
}

impl TextStream<'_> {
    /// The text that `id` completes; empty while a character is unfinished.
    ///
    /// # Errors
    ///
    /// [`ModelError::Text`] for an id beyond the vocabulary.
    pub fn push(&mut self, id: u32) -> Result<String, ModelError> {
        let tokenizer = self.tokenizer;
        let vocabulary = tokenizer.inner.get_added_vocabulary();
        let token = tokenizer
            .inner
            .id_to_token(id)
            .ok_or_else(|| tokenizer.error(format!("has no token {id}")))?;
        if self.skip_special && vocabulary.is_special_token(&token) {
            return Ok(String::new());
        }
        let added = vocabulary.simple_id_to_token(id).is_some();
        let bytes = if added {
            token.into_bytes()
        } else {
            byte_level::bytes_of(&token)
        };
        Ok(self.buffer.push(&bytes))
    }

    /// What is left at the end: nothing, or U+FFFD for a character that never ended.
    pub fn finish(self) -> String {
        self.buffer.finish()
    }
}
