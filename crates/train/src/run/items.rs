//! Examples, as the prompts a model reads.

use std::sync::Arc;

use aurola_audio::LogMel;
use aurola_model::config::ThinkerConfig;
use aurola_model::text::{Direction, PromptInput, TextSide};
use rayon::prelude::*;

use crate::TrainError;
use crate::data::{Asked, Example, QuerySide, RerankExample};
use crate::loss::Target;
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

/// The questions of each example: one whose answer is Yes, others whose answer is No, which together count as
/// much. Where the right caption comes
/// after its sound, and `caption_weight` is above 0, each of its tokens is to be foretold, too.
pub(super) fn questions(
    examples: &[RerankExample],
    text: &TextSide,
    config: &ThinkerConfig,
    caption_weight: f32,
) -> Result<Vec<Question>, TrainError> {
    let (yes, no) = text.yes_no_ids()?;
    let end = text.tokenizer().id(END_OF_TURN);
    let ask = |direction: Direction,
               mel: &Arc<LogMel>,
               words: &str,
               answer: u32,
               weight: f32|
     -> Result<Question, TrainError> {
        let tokens = config.audio.tokens(mel.n_frames());
        let mut prompt = text.rerank_prompt(direction, tokens, words)?;
        let (mut keep, mut answers) = (Vec::new(), Vec::new());
        if answer == yes && caption_weight > 0.0 {
            let caption = text.rerank_caption(direction, tokens, words)?;
            if prompt
                .audio_at
                .as_ref()
                .is_some_and(|at| at.end <= caption.start)
            {
                keep.extend(caption.clone().map(|at| at - 1));
                answers.extend(caption.map(|at| Target {
                    token: prompt.ids[at],
                    weight: caption_weight * weight,
                }));
            }
        }
        prompt.ids.truncate(prompt.pooled + 1);
        for token in std::iter::once(answer).chain(end) {
            keep.push(prompt.ids.len() - 1);
            answers.push(Target { token, weight });
            prompt.ids.push(token);
        }
        Ok(Question {
            item: Item {
                prompt,
                mel: Some(Arc::clone(mel)),
                keep,
            },
            answers,
        })
    };
    let asked: Vec<Vec<Question>> = examples
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
                let sound = Arc::new(sound.clone());
                let mut asked = vec![ask(direction, &sound, right, yes, wrong.len() as f32)?];
                for wrong in wrong {
                    asked.push(ask(direction, &sound, wrong, no, 1.0)?);
                }
                Ok(asked)
            }
            Asked::Sounds {
                caption,
                right,
                wrong,
            } => Ok(vec![
                ask(
                    Direction::TextToAudio,
                    &Arc::new(right.clone()),
                    caption,
                    yes,
                    1.0,
                )?,
                ask(
                    Direction::TextToAudio,
                    &Arc::new(wrong.clone()),
                    caption,
                    no,
                    1.0,
                )?,
            ]),
        })
        .collect::<Result<_, TrainError>>()?;
    Ok(asked.into_iter().flatten().collect())
}
