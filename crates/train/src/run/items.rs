//! Examples, as the prompts a model reads.

use aurola_audio::LogMel;
use aurola_model::config::ThinkerConfig;
use aurola_model::text::{Direction, PromptInput, TextSide};
use rayon::prelude::*;

use crate::TrainError;
use crate::data::{Asked, Example, QuerySide, RerankExample};
use crate::step::{Item, Pair, Question};

/// What ends an answer.
const END_OF_TURN: &str = "<|im_end|>";

pub(super) fn pairs(
    examples: &[Example],
    text: &TextSide,
    config: &ThinkerConfig,
) -> Result<Vec<Pair>, TrainError> {
    let sentence = |words: &str| -> Result<Item, TrainError> {
        Ok(Item::embedding(
            text.embedding_prompt(PromptInput::Text(words))?,
            None,
        ))
    };
    examples
        .par_iter()
        .map(|example| {
            let audio = match (&example.mel, &example.other_text) {
                (Some(mel), _) => {
                    let tokens = config.audio.tokens(mel.n_frames());
                    let prompt = text.embedding_prompt(PromptInput::Audio(tokens))?;
                    Item::embedding(prompt, Some(mel.clone()))
                }
                (None, Some(other)) => sentence(other)?,
                (None, None) => {
                    return Err(TrainError::Sample {
                        index: 0,
                        reason: format!("{} has neither a sound nor another sentence", example.id),
                    });
                }
            };
            Ok(Pair {
                audio,
                text: sentence(&example.text)?,
                clusters: example.clusters.clone().unwrap_or_default(),
            })
        })
        .collect()
}

/// Two questions an example: one whose answer is Yes, one whose answer is No.
pub(super) fn questions(
    examples: &[RerankExample],
    text: &TextSide,
    config: &ThinkerConfig,
) -> Result<Vec<Question>, TrainError> {
    let (yes, no) = text.yes_no_ids()?;
    let end = text.tokenizer().id(END_OF_TURN);
    let ask = |direction: Direction,
               mel: &LogMel,
               words: &str,
               answer: u32|
     -> Result<Question, TrainError> {
        let tokens = config.audio.tokens(mel.n_frames());
        let mut prompt = text.rerank_prompt(direction, tokens, words)?;
        let answers: Vec<u32> = std::iter::once(answer).chain(end).collect();
        let keep = (prompt.pooled..prompt.pooled + answers.len()).collect();
        prompt.ids.truncate(prompt.pooled + 1);
        prompt.ids.extend(&answers);
        Ok(Question {
            item: Item {
                prompt,
                mel: Some(mel.clone()),
                keep,
            },
            answers,
        })
    };
    let both: Vec<[Question; 2]> = examples
        .par_iter()
        .map(|example| match &example.asked {
            Asked::Captions {
                query,
                sound,
                right,
                wrong,
            } => {
                let direction = match query {
                    QuerySide::Audio => Direction::AudioToText,
                    QuerySide::Text => Direction::TextToAudio,
                };
                Ok([
                    ask(direction, sound, right, yes)?,
                    ask(direction, sound, wrong, no)?,
                ])
            }
            Asked::Sounds {
                caption,
                right,
                wrong,
            } => Ok([
                ask(Direction::TextToAudio, right, caption, yes)?,
                ask(Direction::TextToAudio, wrong, caption, no)?,
            ]),
        })
        .collect::<Result<_, TrainError>>()?;
    Ok(both.into_iter().flatten().collect())
}
