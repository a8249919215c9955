//! The same in Markdown.

use std::fmt::Write;

use super::{SHOWN, pool_sentence};
use crate::classes::ClassFigures;
use crate::evaluation::{Direction, Evaluation};
use crate::metrics::NAMES;
use crate::published;

pub(super) fn page(evaluation: &Evaluation) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        "# {} with {}\n\n{}\n\nMade {} by {}. Model fingerprint `{}`, {} dimensions, windows of {}, prompts: {}. Ties: {}. In \
         brackets, 95 % intervals.\n\n",
        evaluation.benchmark,
        evaluation.model.name,
        pool_sentence(evaluation),
        evaluation.made,
        evaluation.program,
        evaluation.model.fingerprint,
        evaluation.model.dim,
        evaluation.model.window,
        evaluation.model.prompt,
        evaluation.ties,
    );
    if let (Some(to_audio), Some(to_text)) = (&evaluation.text_to_audio, &evaluation.audio_to_text)
    {
        out += "| figure | text to audio | audio to text |\n|---|---:|---:|\n";
        for (name, title) in SHOWN {
            let _ = writeln!(
                out,
                "| {title} | {} | {} |",
                cell(to_audio, name),
                cell(to_text, name)
            );
        }
    }
    if let Some(classes) = &evaluation.classes {
        out += "\n| class prompts | percent |\n|---|---:|\n";
        for (title, mean) in class_rows(&classes.figures) {
            let _ = writeln!(out, "| {title} | {mean} |");
        }
        let _ = write!(out, "\nClass names in: {}.", classes.templates.join("; "));
        if !classes.prompts.is_empty() {
            let _ = write!(
                out,
                " {} classes in words of their own.",
                classes.prompts.len()
            );
        }
        out.push('\n');
    }
    if !evaluation.reranked.is_empty() {
        out += "\n## After re-ranking\n\n| direction | candidates | weight | R@1 | gain in R@1 | p | weight from |\n|---|---:|---:|---:|---:|---:|---|\n";
        for (side, one) in &evaluation.reranked {
            let [gain, low, high, p] = one.gain["r1"];
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {gain:+.1} [{low:+.1}, {high:+.1}] | {p:.3} | {} |",
                side.replace('_', " "),
                one.candidates,
                one.weight,
                cell(&one.after, "r1"),
                one.weight_from,
            );
        }
    }
    let mut others = published::of(&evaluation.benchmark).peekable();
    if others.peek().is_some() {
        out += "\n## Published figures\n\n| system | figure | text to audio | audio to text | pool | caveat | source |\n|---|---|---:|---:|---|---|---|\n";
        for one in others {
            let percent = |value: Option<f64>| value.map(|v| format!("{v:.1}")).unwrap_or_default();
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} |",
                one.system,
                one.figure,
                percent(one.text_to_audio),
                percent(one.audio_to_text),
                one.pool,
                one.caveat,
                one.source,
            );
        }
    }
    if !evaluation.notes.is_empty() {
        out += "\n## Notes\n\n";
        for note in &evaluation.notes {
            let _ = writeln!(out, "- {note}");
        }
    }
    out
}

/// Names and values of class figures, with intervals.
pub(super) fn class_rows(figures: &ClassFigures) -> [(&'static str, String); 4] {
    [
        ("sample-wise mAP", &figures.sample_map),
        ("class-wise mAP", &figures.class_map),
        ("best class is right", &figures.top1),
        ("a right one among five", &figures.top5),
    ]
    .map(|(title, mean)| {
        let value = format!(
            "{:.1} [{:.1}, {:.1}]",
            mean.value, mean.interval.low, mean.interval.high
        );
        (title, value)
    })
}

/// A figure with its interval.
pub(super) fn cell(direction: &Direction, name: &str) -> String {
    let at = NAMES.iter().position(|known| *known == name).unwrap_or(0);
    let value = direction.figures.values()[at];
    match direction.intervals.get(name) {
        Some([low, high]) => format!("{value:.1} [{low:.1}, {high:.1}]"),
        None => format!("{value:.1}"),
    }
}
