//! Which queries a page shows, and their sounds.

use std::collections::HashMap;
use std::fmt::Write;

use super::html::escape;
use super::picture;
use crate::benchmark::Kind;
use crate::evaluation::{Evaluation, QueryLine};
use crate::run::Measured;

/// What a page shows beside its figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Near misses, and failures: so many of each.
    pub cards: usize,
    /// Whether sounds are drawn: waveform and spectrogram.
    pub pictures: bool,
    /// Whether sounds can be played. A page with sounds of others is theirs as well.
    pub players: bool,
}

/// Sounds that are drawn, each once.
pub(super) struct Sounds<'a> {
    measured: &'a Measured,
    shown: Shown,
    by_id: HashMap<&'a str, usize>,
    drawn: HashMap<usize, String>,
}

impl<'a> Sounds<'a> {
    pub(super) fn new(measured: &'a Measured, shown: Shown) -> Self {
        let by_id = measured
            .task
            .clips
            .iter()
            .map(|clip| clip.id.as_str())
            .zip(0..)
            .collect();
        Self {
            measured,
            shown,
            by_id,
            drawn: HashMap::new(),
        }
    }

    fn card(&mut self, title: &str, clip: &str) -> String {
        let mut out = format!(
            "<figure><figcaption>{} <code>{}</code></figcaption>",
            escape(title),
            escape(clip)
        );
        if let Some(at) = self.by_id.get(clip).copied() {
            let about = texts_of(self.measured, at);
            let _ = write!(out, "<p>{}</p>", escape(&about));
            let (measured, shown) = (self.measured, self.shown);
            out += self
                .drawn
                .entry(at)
                .or_insert_with(|| draw(measured, shown, at));
        }
        out + "</figure>"
    }
}

fn draw(measured: &Measured, shown: Shown, clip: usize) -> String {
    if !shown.pictures && !shown.players {
        return String::new();
    }
    let sound = &measured.sounds[clip];
    let from = sound.windows.first().map_or(0, |window| window.start);
    let to = sound.windows.last().map_or(0, |window| window.end);
    let samples = match picture::listen(&sound.file, from, to) {
        Ok(samples) => samples,
        Err(error) => return format!("<p class=quiet>{}</p>", escape(&error.to_string())),
    };
    let mut out = String::new();
    if shown.pictures {
        out += &picture::waveform(&samples);
        if let Some(image) = picture::spectrogram(&samples) {
            let _ = write!(
                out,
                "<img class=mel src='{image}' alt='log-mel spectrogram' loading=lazy>"
            );
        }
    }
    if shown.players {
        let _ = write!(
            out,
            "<audio controls preload=none src='{}'></audio>",
            picture::player(&samples)
        );
    }
    out
}

/// What is said of a clip, the first few texts.
fn texts_of(measured: &Measured, clip: usize) -> String {
    let of = measured
        .task
        .texts
        .iter()
        .filter(|text| text.clips.contains(&clip));
    let said: Vec<&str> = of.map(|text| text.text.as_str()).take(3).collect();
    said.join(" · ")
}

/// Near misses (second by the least) and failures (furthest behind), as HTML.
pub(super) fn cards(
    evaluation: &Evaluation,
    lines: &[QueryLine],
    measured: &Measured,
    shown: Shown,
) -> String {
    let mut sounds = Sounds::new(measured, shown);
    if evaluation.kind == Kind::Labels {
        return labels(evaluation, measured, shown, &mut sounds);
    }
    let asked = || {
        lines
            .iter()
            .filter(|line| line.side == "text_to_audio" && line.outcome.place > 1)
    };
    let mut near: Vec<&QueryLine> = asked().collect();
    near.sort_by(|a, b| a.margin.total_cmp(&b.margin).then(a.query.cmp(&b.query)));
    let mut far: Vec<&QueryLine> = asked().collect();
    far.sort_by(|a, b| {
        b.outcome
            .place
            .cmp(&a.outcome.place)
            .then(a.query.cmp(&b.query))
    });
    let mut out = String::new();
    for (title, some) in [("Near misses", near), ("Failures", far)] {
        let _ = write!(out, "<h2>{title}</h2><div class=cards>");
        for line in some.into_iter().take(shown.cards) {
            let right = measured
                .task
                .texts
                .get(line.query)
                .and_then(|text| text.clips.first());
            let right = right
                .map(|clip| measured.task.clips[*clip].id.as_str())
                .unwrap_or_default();
            let _ = write!(
                out,
                "<article><h3>“{}”</h3><p class=quiet>the right clip is number {}, {:.3} behind the first</p>{}{}</article>",
                escape(&line.name),
                line.outcome.place,
                line.margin,
                sounds.card("right:", right),
                sounds.card("first:", &line.first),
            );
        }
        out += "</div>";
    }
    out
}

fn labels(
    evaluation: &Evaluation,
    measured: &Measured,
    shown: Shown,
    sounds: &mut Sounds<'_>,
) -> String {
    let Some(classes) = &evaluation.classes else {
        return String::new();
    };
    let mut far: Vec<usize> = (0..measured.task.clips.len())
        .filter(|clip| classes.figures.places[*clip] > 1)
        .collect();
    far.sort_by_key(|clip| std::cmp::Reverse(classes.figures.places[*clip]));
    let mut out = "<h2>Failures</h2><div class=cards>".to_owned();
    for clip in far.into_iter().take(shown.cards) {
        let scores = (0..classes.names.len()).map(|class| measured.similarity.row(class)[clip]);
        let first = scores
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map_or(0, |(class, _)| class);
        let _ = write!(
            out,
            "<article><h3>taken for “{}”</h3><p class=quiet>its own class is number {}</p>{}</article>",
            escape(&classes.names[first]),
            classes.figures.places[clip],
            sounds.card("clip", &measured.task.clips[clip].id),
        );
    }
    out + "</div>"
}
