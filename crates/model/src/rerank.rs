//! Re-ranking: the model reads a query and a candidate together and says Yes or No.
//!
//! All candidates of one query share the beginning of their prompts (in audio-to-text, the whole
//! of the query's sound), which is read once. The shared part is found by comparing ids, so no
//! prompt needs to know of it, and scores are the same bits as without it.

use aurola_compute::attention::Mask;

use crate::language_model::Head;
use crate::text::Prompt;
use crate::thinker::{Filled, Thinker};
use crate::{ModelError, YesNo};

/// A candidate's prompt, and the sounds in it.
pub(crate) struct Pair<'a> {
    pub(crate) prompt: Prompt,
    pub(crate) sound: &'a [f32],
}

/// Scores pairs that share a query. `shared_sound`: whether their sound is the query's, and so the
/// same in all of them.
pub(crate) fn score(
    thinker: &Thinker,
    yes_no: &Head<'_>,
    pairs: &[Pair<'_>],
    shared_sound: bool,
) -> Result<Vec<YesNo>, ModelError> {
    let shared = shared_beginning(pairs, shared_sound);
    let mut cache = thinker.language_model().cache();
    if shared > 0 {
        let first = &pairs[0];
        let beginning = Prompt {
            ids: first.prompt.ids[..shared].to_vec(),
            audio_at: first.prompt.audio_at.clone().filter(|at| at.end <= shared),
            pooled: shared - 1,
        };
        let sound = if beginning.audio_at.is_some() {
            first.sound
        } else {
            &[]
        };
        thinker.read(
            &Filled {
                prompt: &beginning,
                sound,
            },
            &mut cache,
        )?;
    }
    let endings: Vec<Prompt> = pairs.iter().map(|p| ending(&p.prompt, shared)).collect();
    let filled: Vec<Filled<'_>> = endings
        .iter()
        .zip(pairs)
        .map(|(prompt, pair)| Filled {
            prompt,
            sound: if prompt.audio_at.is_some() {
                pair.sound
            } else {
                &[]
            },
        })
        .collect();
    let past = (shared > 0).then_some(&cache);
    let states = thinker.states(&filled, Mask::Causal, past)?;
    Ok(states
        .iter()
        .map(|state| {
            let logits = yes_no.logits(state);
            YesNo {
                logit_yes: logits[0],
                logit_no: logits[1],
            }
        })
        .collect())
}

/// How many ids all prompts have in common at their beginning, ending before any sound that is not
/// common and before the pooled position, whose state is wanted.
fn shared_beginning(pairs: &[Pair<'_>], shared_sound: bool) -> usize {
    let [first, rest @ ..] = pairs else { return 0 };
    if rest.is_empty() {
        return 0;
    }
    let mut shared = first.prompt.pooled;
    for pair in rest {
        let same = first
            .prompt
            .ids
            .iter()
            .zip(&pair.prompt.ids)
            .take_while(|(a, b)| a == b)
            .count();
        shared = shared.min(same).min(pair.prompt.pooled);
    }
    for at in pairs.iter().filter_map(|p| p.prompt.audio_at.as_ref()) {
        // A sound is shared whole or not at all.
        if !shared_sound || at.end > shared {
            shared = shared.min(at.start);
        }
    }
    shared
}

/// A prompt without its first `from` ids.
pub(crate) fn ending(prompt: &Prompt, from: usize) -> Prompt {
    Prompt {
        ids: prompt.ids[from..].to_vec(),
        audio_at: prompt
            .audio_at
            .clone()
            .filter(|at| at.start >= from)
            .map(|at| at.start - from..at.end - from),
        pooled: prompt.pooled - from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(ids: &[u32], audio_at: Option<std::ops::Range<usize>>) -> Pair<'static> {
        Pair {
            prompt: Prompt {
                ids: ids.to_vec(),
                audio_at,
                pooled: ids.len() - 1,
            },
            sound: &[],
        }
    }

    #[test]
    fn what_is_shared_ends_before_a_sound_of_ones_own_and_before_the_last_id() {
        let texts = [
            pair(&[1, 9, 9, 2, 3, 4], Some(1..3)),
            pair(&[1, 9, 9, 2, 5, 4], Some(1..3)),
        ];
        assert_eq!(shared_beginning(&texts, true), 4);
        assert_eq!(shared_beginning(&texts, false), 1);
        let alike = [pair(&[1, 2, 3], None), pair(&[1, 2, 3], None)];
        assert_eq!(
            shared_beginning(&alike, false),
            2,
            "the pooled position is computed for each"
        );
        assert_eq!(shared_beginning(&alike[..1], false), 0);
        let longer = [
            pair(&[1, 9, 9, 2], Some(1..3)),
            pair(&[1, 9, 2, 2], Some(1..2)),
        ];
        assert_eq!(
            shared_beginning(&longer, true),
            1,
            "never a part of a sound"
        );
    }

    #[test]
    fn an_ending_keeps_its_sound_where_it_is() {
        let prompt = Prompt {
            ids: vec![1, 2, 9, 9, 3],
            audio_at: Some(2..4),
            pooled: 4,
        };
        let end = ending(&prompt, 2);
        assert_eq!(
            (end.ids, end.audio_at, end.pooled),
            (vec![9, 9, 3], Some(0..2), 2)
        );
        assert_eq!(ending(&prompt, 4).audio_at, None);
    }
}
