//! Items of a request, as vectors or verdicts: decoded, tokenized, queued, gathered.
//!
//! ```text
//! items ─► sounds: fetch ─► child process ─► windows ─┐
//!       └► words: count tokens ───────────────────────┴► queue ─► one vector per item
//! ```
//!
//! A sound of several windows becomes the mean of their vectors at unit length, as a sound does that
//! is searched by; as a candidate it counts by its best window.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aurola_retrieval::Embedding;

use crate::App;
use crate::fault::{Fault, Kind};
use crate::item::{Item, Sound};
use crate::metrics::{Times, Work};
use crate::model::{Prepared, fault};
use crate::sound::{Ears, Heard};

/// What to do with a text of more tokens than are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooLong {
    /// Say so.
    Refuse,
    /// Take its first tokens, so many at most.
    Cut(usize),
}

/// One vector per item, and where the time went.
pub(crate) struct Vectors {
    pub(crate) embeddings: Vec<Embedding>,
    pub(crate) times: Times,
}

/// A verdict on a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Verdict {
    /// The probability of Yes, in `[0, 1]`.
    pub(crate) p_yes: f32,
    /// The difference of the logits behind it.
    pub(crate) logit: f32,
}

/// One verdict per candidate, in their order.
pub(crate) struct Verdicts {
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) times: Times,
}

/// An item the model can take: its windows, or its words, each with its tokens.
struct Ready {
    parts: Vec<(Prepared, usize)>,
    tokens: usize,
    characters: usize,
}

/// Bytes of text per token that may be taken, beyond which counting the tokens costs too much.
const BYTES_PER_TOKEN: usize = 64;

/// Texts longer than this together are tokenized on a thread of their own.
const SHORT: usize = 4_096;

impl App {
    /// Embeds items, as a request of its own.
    pub(crate) async fn vectors(
        &self,
        items: Vec<Item>,
        too_long: TooLong,
    ) -> Result<Vectors, Fault> {
        let _place = self.queue.enter()?;
        self.vectors_within(items, too_long).await
    }

    /// The same, for a request that has its place already.
    pub(crate) async fn vectors_within(
        &self,
        items: Vec<Item>,
        too_long: TooLong,
    ) -> Result<Vectors, Fault> {
        let began = Instant::now();
        let inputs = items.len();
        self.metrics.asked(Work::Embed, inputs);
        let ready = self.ready(items, &self.ears, too_long).await?;
        let prepared = began.elapsed();
        let parts: Vec<usize> = ready.iter().map(|item| item.parts.len()).collect();
        let mut times = Times {
            tokens: ready.iter().map(|item| item.tokens).sum(),
            characters: ready.iter().map(|item| item.characters).sum(),
            prepared,
            ..Times::default()
        };
        let all = ready.into_iter().flat_map(|item| item.parts).collect();
        let mut pending = self.queue.embed(all)?.into_iter();
        let mut embeddings = Vec::with_capacity(inputs);
        for parts in parts {
            let mut windows = Vec::with_capacity(parts);
            for window in pending.by_ref().take(parts) {
                let done = window.answer().await?;
                times.queued = times.queued.max(done.queued);
                times.computed = times.computed.max(done.computed);
                windows.push(done.value);
            }
            embeddings.push(mean(windows)?);
        }
        times.total = began.elapsed();
        self.metrics.done(Work::Embed, inputs, &times);
        Ok(Vectors { embeddings, times })
    }

    /// Judges candidates: sounds by words, or words by a sound.
    pub(crate) async fn verdicts(
        &self,
        query: Item,
        candidates: Vec<Item>,
        too_long: TooLong,
    ) -> Result<Verdicts, Fault> {
        let began = Instant::now();
        for (n, candidate) in candidates.iter().enumerate() {
            match (kind(&query)?, kind(candidate)?) {
                (is_sound, other) if is_sound != other => {}
                (is_sound, _) => {
                    let both = if is_sound { "sounds" } else { "texts" };
                    return Err(Fault::unprocessable(format!(
                        "the query and candidate {n} are both {both}"
                    ))
                    .help(
                        "the model judges whether a sound and a sentence match; /similarity \
                        compares any two",
                    ));
                }
            }
        }
        let _place = self.queue.enter()?;
        let count = candidates.len();
        self.metrics.asked(Work::Predict, count);
        let mut queries = self.ready(vec![query], &self.judge_ears, too_long).await?;
        let query = queries
            .pop()
            .ok_or_else(|| Fault::new(Kind::Internal, "the query was lost"))?;
        let ready = self.ready(candidates, &self.judge_ears, too_long).await?;
        let mut times = Times {
            tokens: query.tokens + ready.iter().map(|item| item.tokens).sum::<usize>(),
            characters: query.characters + ready.iter().map(|item| item.characters).sum::<usize>(),
            prepared: began.elapsed(),
            ..Times::default()
        };
        let owners: Vec<usize> = (ready.iter().enumerate())
            .flat_map(|(n, item)| std::iter::repeat_n(n, item.parts.len()))
            .collect();
        let pairs: Vec<(Prepared, usize)> = ready.into_iter().flat_map(|item| item.parts).collect();
        let mut best: Vec<Option<Verdict>> = vec![None; count];
        let mut pending = Vec::new();
        for (window, tokens) in &query.parts {
            pending.push(self.queue.judge(window, *tokens, pairs.clone())?);
        }
        for groups in pending {
            let mut owners = owners.iter();
            for group in groups {
                let done = group.answer().await?;
                times.queued = times.queued.max(done.queued);
                times.computed += done.computed;
                for (score, owner) in done.value.iter().zip(owners.by_ref()) {
                    let verdict = Verdict {
                        p_yes: score.p_yes(),
                        logit: score.logit_yes - score.logit_no,
                    };
                    let best = &mut best[*owner];
                    if best.is_none_or(|best| best.logit < verdict.logit) {
                        *best = Some(verdict);
                    }
                }
            }
        }
        let verdicts: Option<Vec<Verdict>> = best.into_iter().collect();
        let verdicts =
            verdicts.ok_or_else(|| Fault::new(Kind::Internal, "a candidate was not judged"))?;
        times.total = began.elapsed();
        self.metrics.done(Work::Predict, count, &times);
        Ok(Verdicts { verdicts, times })
    }

    async fn ready(
        &self,
        items: Vec<Item>,
        ears: &Ears,
        too_long: TooLong,
    ) -> Result<Vec<Ready>, Fault> {
        let mut texts = Vec::with_capacity(items.len());
        let mut hearing = Vec::with_capacity(items.len());
        for Item { text, sound } in items {
            texts.push(text);
            let (app, ears) = (self.clone(), ears.clone());
            hearing.push(async move {
                match sound {
                    None => Ok::<Option<Heard>, Fault>(None),
                    Some(sound) => app.hear(sound, &ears).await.map(Some),
                }
            });
        }
        // All at once: the threads that decode are the bound.
        let heard = futures_util::future::try_join_all(hearing).await?;
        let model = self.model.clone();
        let limit = self.max_tokens();
        let bytes: usize = texts.iter().flatten().map(String::len).sum();
        let work = move || -> Result<Vec<Ready>, Fault> {
            texts
                .into_iter()
                .zip(heard)
                .map(|(text, heard)| {
                    let text = match text {
                        Some(text) => Some(words(&*model, text, limit, too_long)?),
                        None => None,
                    };
                    Ok(Ready::of(&*model, text, heard))
                })
                .collect()
        };
        if bytes < SHORT {
            return work();
        }
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|_| Err(Fault::stopping()))
    }

    async fn hear(&self, sound: Sound, ears: &Ears) -> Result<Heard, Fault> {
        let bytes = match sound {
            Sound::Bytes(bytes) => bytes,
            Sound::At(address) => {
                let Some(remote) = self.remote.clone() else {
                    return Err(Fault::new(
                        Kind::Forbidden,
                        "this server does not fetch sounds from addresses",
                    )
                    .help("send the sound itself as a data URI"));
                };
                let fetched = tokio::task::spawn_blocking(move || remote.fetch(&address));
                fetched
                    .await
                    .unwrap_or_else(|_| Err(Fault::stopping()))?
                    .into()
            }
        };
        ears.upload(bytes).await
    }

    /// Tokens of the longest text that is taken.
    pub(crate) fn max_tokens(&self) -> usize {
        self.settings.batch_tokens.min(self.model.context())
    }
}

/// Whether it is a sound; an error for a sound with words.
fn kind(item: &Item) -> Result<bool, Fault> {
    match (&item.sound, &item.text) {
        (Some(_), Some(_)) => Err(Fault::bad(
            "a sound with words beside it is neither a sound nor a sentence to judge by",
        )),
        (sound, _) => Ok(sound.is_some()),
    }
}

/// A text and its tokens, within the limit.
fn words(
    model: &dyn crate::Served,
    text: String,
    limit: usize,
    too_long: TooLong,
) -> Result<(Arc<str>, usize), Fault> {
    let limit = match too_long {
        TooLong::Cut(to) => limit.min(to),
        TooLong::Refuse => limit,
    };
    let refuse = |found: String| {
        Fault::unprocessable(format!(
            "a text of {found} where {limit} tokens are the most"
        ))
        .help("shorten it, or ask for truncation")
    };
    let most = limit.saturating_mul(BYTES_PER_TOKEN);
    if text.len() > most {
        return Err(refuse(format!("{} bytes", text.len())));
    }
    let tokens = model.text_tokens(&text).map_err(|error| fault(&error))?;
    if tokens <= limit {
        return Ok((text.into(), tokens));
    }
    match too_long {
        TooLong::Refuse => Err(refuse(format!("{tokens} tokens"))),
        TooLong::Cut(_) => {
            let cut = model
                .beginning(&text, limit)
                .map_err(|error| fault(&error))?;
            Ok((cut.into(), limit))
        }
    }
}

impl Ready {
    fn of(
        model: &dyn crate::Served,
        text: Option<(Arc<str>, usize)>,
        heard: Option<Heard>,
    ) -> Self {
        let characters = text.as_ref().map_or(0, |(text, _)| text.chars().count());
        let parts: Vec<(Prepared, usize)> = match (text, heard) {
            (text, Some(heard)) => (heard.windows.into_iter())
                .map(|mel| {
                    let tokens = model.audio_tokens(&mel);
                    match &text {
                        None => (Prepared::Sound(mel), tokens),
                        Some((text, more)) => (Prepared::Both(mel, text.clone()), tokens + more),
                    }
                })
                .collect(),
            (Some((text, tokens)), None) => vec![(Prepared::Text(text), tokens)],
            (None, None) => Vec::new(), // an item holds something
        };
        Self {
            tokens: parts.iter().map(|(_, tokens)| tokens).sum(),
            parts,
            characters,
        }
    }
}

/// The mean of windows at unit length; a single one as it is.
pub(crate) fn mean(mut windows: Vec<Embedding>) -> Result<Embedding, Fault> {
    if windows.len() == 1 {
        return Ok(windows.swap_remove(0));
    }
    let mut sum = vec![0.0_f32; windows.first().map_or(0, Embedding::dim)];
    for window in &windows {
        for (sum, value) in sum.iter_mut().zip(window.as_slice()) {
            *sum += value;
        }
    }
    Embedding::normalize(sum)
        .map_err(|error| Fault::unprocessable(format!("the windows cancel each other: {error}")))
}

/// The first `dim` numbers at unit length again.
pub(crate) fn shortened(embedding: &Embedding, dim: Option<usize>) -> Result<Vec<f32>, Fault> {
    let all = embedding.as_slice();
    match dim {
        None => Ok(all.to_vec()),
        Some(dim) if dim == all.len() => Ok(all.to_vec()),
        Some(dim) if (1..all.len()).contains(&dim) => Embedding::normalize(all[..dim].to_vec())
            .map(|short| short.as_slice().to_vec())
            .map_err(|error| Fault::unprocessable(format!("dimensions: {error}"))),
        Some(dim) => Err(Fault::bad(format!(
            "dimensions: {dim} is not in 1..={}",
            all.len()
        ))),
    }
}

/// In milliseconds, as headers have it.
pub(crate) fn ms(time: Duration) -> String {
    format!("{}", time.as_millis())
}
