//! Every prompt, once: what the method says to the model, and how a caption is put into it.
//!
//! A [`Conversation`] is data: turns whose content holds the slots `{audio}` and `{text}`. The
//! released prompts of AuroLA (arXiv:2602.18010 and its code) stand here as constants; a
//! checkpoint's description may bring others. Training, evaluation and serving all read them here.
//!
//! A [`Skeleton`] is a conversation rendered once through the checkpoint's chat template, so that
//! the template's own words are known apart from the caption: a caption that spells `<emb>` or
//! `<|AUDIO|>` is only a caption, whatever the tokenizer makes of it (docs/decisions/0001).

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::template::{ChatTemplate, Content, Message};
use super::tokenizer::{AUDIO_PLACEHOLDER, EMBEDDING_MARKER};
use crate::ModelError;

const AUDIO_SLOT: &str = "{audio}";
const TEXT_SLOT: &str = "{text}";

/// Stands for the caption while a skeleton is rendered; private-use characters, so that no template
/// and no prompt holds it.
const STAND_IN: &str = "\u{F8F0}caption\u{F8F1}";

/// What the assistant is made to say: the embedding is read just before its first token.
const EMBEDDED: &str = "<emb>.";

/// The form of AuroLA's embedding prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptPreset {
    /// As the released training and evaluation write them: the default.
    #[default]
    Evaluation,
    /// As the released README writes them: no line break before the audio request, no space after
    /// the colon, no generation prompt.
    Demo,
}

/// The three prompts that make embeddings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingPrompts {
    /// For a clip.
    pub audio: Conversation,
    /// For a sentence.
    pub text: Conversation,
    /// For a clip and a sentence together.
    pub audio_text: Conversation,
}

impl EmbeddingPrompts {
    /// AuroLA's own.
    pub fn aurola(preset: PromptPreset) -> Self {
        let ask = |user: &str, generation_prompt| {
            let turns = [("user", user), ("assistant", EMBEDDED)];
            Conversation::new(&turns, generation_prompt)
        };
        match preset {
            PromptPreset::Evaluation => Self {
                audio: ask("{audio}\nSummarize above audio in one word: ", true),
                text: ask("{text}\nSummarize above sentence in one word: ", true),
                audio_text: ask(
                    "{audio}{text}\nSummarize above audio and sentence in one word: ",
                    true,
                ),
            },
            // The README shows no prompt for both together: this one is ours, by analogy.
            PromptPreset::Demo => Self {
                audio: ask("{audio}Summarize above audio in one word:", false),
                text: ask("{text}\nSummarize above sentence in one word:", false),
                audio_text: ask(
                    "{audio}{text}\nSummarize above audio and sentence in one word:",
                    false,
                ),
            },
        }
    }
}

/// Which side of a re-ranked pair asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A clip is the query, captions are the candidates.
    AudioToText,
    /// A caption is the query, clips are the candidates.
    TextToAudio,
}

/// The two prompts that make a Yes or a No.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RerankPrompts {
    /// A clip is the query.
    pub audio_to_text: Conversation,
    /// A caption is the query.
    pub text_to_audio: Conversation,
}

/// How every re-rank prompt of AuroLA begins. (The released training script has 20 spaces before
/// "matches", a line continuation inside a string; its evaluation has one, and so have we.)
const RERANK_TASK: &str = "I will provide you with a query and a candidate. Please evaluate whether the candidate matches the query. If it does, respond with 'Yes'; if it doesn't, respond with 'No'.";

impl RerankPrompts {
    /// AuroLA's own.
    pub fn aurola() -> Self {
        let ask =
            |pair: &str| Conversation::new(&[("user", &format!("{RERANK_TASK}{pair}"))], true);
        Self {
            audio_to_text: ask(
                "Query:{audio}Find a caption describing the sound events in the given audio.Candidate:{text}",
            ),
            text_to_audio: ask(
                "Query:Find an audio containing the sound events in the following caption: {text}Candidate:{audio}",
            ),
        }
    }
}

/// Version of the wording of [`CaptionStyle`]'s prompts: a data set annotated with them records it.
pub const CAPTION_PROMPTS_VERSION: u32 = 1;

/// What kind of caption is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CaptionStyle {
    /// Two or three sentences: every sound, its order, its surroundings.
    Long,
    /// One sentence, as a person would describe the clip.
    #[default]
    Short,
    /// Sound classes, separated by commas.
    Tags,
}

impl CaptionStyle {
    /// The request. Our own wording: the paper's is not published.
    pub fn conversation(self) -> Conversation {
        let request = match self {
            Self::Long => {
                "{audio}\nDescribe this recording in two or three sentences. Name every sound you \
                 hear, say in which order they come and how they sound, and what the surroundings \
                 seem to be. Do not guess at what cannot be heard."
            }
            Self::Short => {
                "{audio}\nDescribe the sounds in this recording in one plain sentence. Do not guess \
                 at what cannot be heard."
            }
            Self::Tags => {
                "{audio}\nList the sounds in this recording as short tags, separated by commas, the \
                 most prominent first. Write the tags and nothing else."
            }
        };
        Conversation::new(&[("user", request)], true)
    }
}

/// Turns to be rendered through a chat template, with slots for a clip and a caption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// Who says what, in order.
    pub messages: Vec<Turn>,
    /// Whether the template is asked to open the assistant's next turn.
    #[serde(default)]
    pub generation_prompt: bool,
    /// Further variables for the template.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub arguments: serde_json::Map<String, serde_json::Value>,
}

/// One turn of a [`Conversation`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// `system`, `user`, `assistant`, or a role that the template knows.
    pub role: String,
    /// Words, with `{audio}` where the clip goes and `{text}` where the caption goes.
    pub content: String,
}

impl Conversation {
    pub(crate) fn new(turns: &[(&str, &str)], generation_prompt: bool) -> Self {
        let messages = turns
            .iter()
            .map(|&(role, content)| Turn {
                role: role.to_owned(),
                content: content.to_owned(),
            })
            .collect();
        Self {
            messages,
            generation_prompt,
            arguments: serde_json::Map::new(),
        }
    }

    /// How often a slot occurs.
    fn count(&self, slot: &str) -> usize {
        self.messages
            .iter()
            .map(|turn| turn.content.matches(slot).count())
            .sum()
    }

    /// Checks that each slot occurs once where it is wanted and never elsewhere.
    pub(crate) fn expect_slots(&self, audio: bool, text: bool) -> Result<(), String> {
        for (slot, wanted) in [(AUDIO_SLOT, audio), (TEXT_SLOT, text)] {
            let (count, wanted) = (self.count(slot), usize::from(wanted));
            if count != wanted {
                return Err(format!(
                    "has {slot} {count} times, and needs it {wanted} times"
                ));
            }
        }
        Ok(())
    }

    /// The messages with `caption` in its slot. The caption is put in last and never read for slots.
    fn fill(&self, caption: &str) -> Vec<Message<'_>> {
        let text = |words: &str| Content::Text {
            text: match words.split_once(TEXT_SLOT) {
                Some((before, after)) => format!("{before}{caption}{after}"),
                None => words.to_owned(),
            },
        };
        let fill_turn = |turn: &'_ Turn| {
            let mut content = Vec::new();
            for (i, words) in turn.content.split(AUDIO_SLOT).enumerate() {
                if i > 0 {
                    content.push(Content::Audio { audio: "clip" });
                }
                if !words.is_empty() {
                    content.push(text(words));
                }
            }
            content
        };
        self.messages
            .iter()
            .map(|turn| Message {
                role: &turn.role,
                content: fill_turn(turn),
            })
            .collect()
    }
}

/// One line: `user "{audio}…", assistant "<emb>.", generation prompt`.
impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Turn { role, content }) in self.messages.iter().enumerate() {
            write!(f, "{}{role} {content:?}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str(if self.generation_prompt {
            ", generation prompt"
        } else {
            ""
        })
    }
}

/// A conversation as the template renders it around any caption.
#[derive(Debug)]
pub(crate) struct Skeleton {
    conversation: Conversation,
    /// The template's words before the caption; all of them where there is no caption.
    head: String,
    /// The template's words after the caption.
    tail: String,
    audio: Option<Place>,
    marker: Option<Place>,
}

/// Where something of the template's own stands: bytes from the start of its half.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Head(usize),
    Tail(usize),
}

/// A prompt as text, with the places of the template's own markers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// The bytes of the placeholder that the clip replaces.
    pub(crate) audio: Option<Range<usize>>,
    /// The bytes of the `<emb>` that the embedding is read before.
    pub(crate) marker: Option<Range<usize>>,
    /// The bytes of the caption.
    pub(crate) caption: Option<Range<usize>>,
}

impl Skeleton {
    /// Renders `conversation` around a stand-in. With `marked`, it must say `<emb>` once.
    pub(crate) fn new(
        template: &ChatTemplate,
        conversation: Conversation,
        marked: bool,
    ) -> Result<Self, ModelError> {
        let text = render(template, &conversation, STAND_IN)?;
        let refuse = |reason: String| ModelError::Text {
            path: template.source().into(),
            reason,
        };
        let halves: Vec<&str> = text.split(STAND_IN).collect();
        let wanted = 1 + conversation.count(TEXT_SLOT);
        if halves.len() != wanted {
            return Err(refuse(format!(
                "the template writes the caption {} times in place of {}",
                halves.len() - 1,
                wanted - 1
            )));
        }
        let (head, tail) = (halves[0], halves.get(1).copied().unwrap_or(""));
        let find = |what: &str, wanted: usize| -> Result<Option<Place>, ModelError> {
            let places: Vec<Place> = head
                .match_indices(what)
                .map(|(at, _)| Place::Head(at))
                .chain(tail.match_indices(what).map(|(at, _)| Place::Tail(at)))
                .collect();
            if places.len() != wanted {
                return Err(refuse(format!(
                    "the rendered prompt has {what} {} times in place of {wanted}: {text:?}",
                    places.len()
                )));
            }
            Ok(places.first().copied())
        };
        Ok(Self {
            audio: find(AUDIO_PLACEHOLDER, conversation.count(AUDIO_SLOT))?,
            marker: if marked {
                find(EMBEDDING_MARKER, 1)?
            } else {
                None
            },
            head: head.to_owned(),
            tail: tail.to_owned(),
            conversation,
        })
    }

    /// The prompt around `caption` (of no effect where the conversation has no slot for one).
    ///
    /// # Errors
    ///
    /// [`ModelError::Text`] where the template fails, or writes other words of its own around this
    /// caption than around others: then nobody could tell its markers from the caption's.
    pub(crate) fn render(
        &self,
        template: &ChatTemplate,
        caption: &str,
    ) -> Result<Rendered, ModelError> {
        let text = render(template, &self.conversation, caption)?;
        let fits = text.len() >= self.head.len() + self.tail.len()
            && text.starts_with(&self.head)
            && text.ends_with(&self.tail);
        if !fits {
            return Err(ModelError::Text {
                path: template.source().to_owned(),
                reason: format!("the template changes its own words around the text {caption:?}"),
            });
        }
        let tail_at = text.len() - self.tail.len();
        let at = |place: Option<Place>, what: &str| {
            place.map(|place| {
                let start = match place {
                    Place::Head(at) => at,
                    Place::Tail(at) => tail_at + at,
                };
                start..start + what.len()
            })
        };
        let (audio, marker) = (
            at(self.audio, AUDIO_PLACEHOLDER),
            at(self.marker, EMBEDDING_MARKER),
        );
        let caption = (self.conversation.count(TEXT_SLOT) > 0).then_some(self.head.len()..tail_at);
        Ok(Rendered {
            text,
            audio,
            marker,
            caption,
        })
    }

    /// The template's words, for a fingerprint: with the stand-in where a caption goes.
    pub(crate) fn words(&self) -> String {
        match self.conversation.count(TEXT_SLOT) {
            0 => self.head.clone(),
            _ => format!("{}{STAND_IN}{}", self.head, self.tail),
        }
    }
}

fn render(
    template: &ChatTemplate,
    conversation: &Conversation,
    caption: &str,
) -> Result<String, ModelError> {
    let messages = conversation.fill(caption);
    template.render(
        &messages,
        conversation.generation_prompt,
        &conversation.arguments,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_is_never_read_for_slots() {
        let both = Conversation::new(&[("user", "a{audio}b {text}!")], false);
        let messages = both.fill("{audio}{text}");
        let words = |text: &str| Content::Text {
            text: text.to_owned(),
        };
        let clip = Content::Audio { audio: "clip" };
        assert_eq!(
            messages[0].content,
            [words("a"), clip, words("b {audio}{text}!")]
        );
    }

    #[test]
    fn an_empty_caption_is_still_a_part() {
        let text = Conversation::new(&[("user", "{text}")], false);
        assert_eq!(
            text.fill("")[0].content,
            [Content::Text {
                text: String::new()
            }]
        );
    }

    #[test]
    fn every_prompt_has_its_slots_once() {
        for preset in [PromptPreset::Evaluation, PromptPreset::Demo] {
            let prompts = EmbeddingPrompts::aurola(preset);
            prompts.audio.expect_slots(true, false).unwrap();
            prompts.text.expect_slots(false, true).unwrap();
            prompts.audio_text.expect_slots(true, true).unwrap();
        }
        let rerank = RerankPrompts::aurola();
        rerank.audio_to_text.expect_slots(true, true).unwrap();
        rerank.text_to_audio.expect_slots(true, true).unwrap();
        for style in [CaptionStyle::Long, CaptionStyle::Short, CaptionStyle::Tags] {
            style.conversation().expect_slots(true, false).unwrap();
        }
        let twice = Conversation::new(&[("user", "{text}"), ("assistant", "{text}")], false);
        let error = twice.expect_slots(false, true).unwrap_err();
        assert_eq!(error, "has {text} 2 times, and needs it 1 times");
    }
}
