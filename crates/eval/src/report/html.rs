//! One page that needs nothing but itself: styles, pictures and sounds are in it, and nothing is fetched.

use std::fmt::Write;

use super::cards::{Shown, cards};
use super::markdown::{cell, class_rows};
use super::{SHOWN, picture, pool_sentence};
use crate::evaluation::{Direction, Evaluation, QueryLine};
use crate::published;
use crate::run::Measured;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1c2430;--paper:#fdfdfb;--line:#d9dce1;--quiet:#667080;--one:#2a6f97;--two:#c8553d}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--paper:#14171c;--line:#343b46;--quiet:#97a1b0;--one:#7cc0e8;--two:#f0937d}}
*{box-sizing:border-box}body{margin:0 auto;padding:2rem 1rem 4rem;max-width:70rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}h1{line-height:1.2}h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}h3{font-size:1rem;margin:.2rem 0}
.quiet,figcaption{color:var(--quiet);font-size:.875rem}table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}
th,td{padding:.3rem .8rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}td.n,th.n{text-align:right;
font-variant-numeric:tabular-nums}code{font-size:.85em;overflow-wrap:anywhere}.cards{display:grid;gap:1rem;
grid-template-columns:repeat(auto-fill,minmax(17rem,1fr))}article{border:1px solid var(--line);border-radius:.5rem;padding:.8rem}
figure{margin:.6rem 0}figure p{margin:.2rem 0;font-size:.9rem}.wave{width:100%;height:2.5rem;stroke:var(--one);stroke-width:1;fill:none}
img{max-width:100%;image-rendering:pixelated}.mel{width:100%;height:6rem;border-radius:.2rem}.matrix{width:min(100%,34rem);
aspect-ratio:1}audio{width:100%;height:2rem}.bars text{fill:var(--ink);font-size:11px}.a{fill:var(--one)}.b{fill:var(--two)}
details{margin:.6rem 0}@media print{audio{display:none}}";

/// The whole page.
pub(super) fn page(
    evaluation: &Evaluation,
    lines: &[QueryLine],
    measured: &Measured,
    shown: Shown,
) -> String {
    let title = format!("{} with {}", evaluation.benchmark, evaluation.model.name);
    let mut out = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>\
         <title>{0}</title><style>{STYLE}</style></head><body><main><h1>{0}</h1><p>{1}</p>",
        escape(&title),
        escape(&pool_sentence(evaluation)),
    );
    figures(evaluation, &mut out);
    reranked(evaluation, &mut out);
    if let (Some(a), Some(b)) = (&evaluation.text_to_audio, &evaluation.audio_to_text) {
        out += "<h2>Where the right answer stands</h2>";
        out += &histogram(a, b);
    }
    out += "<h2>Similarities</h2><p class=quiet>Rows texts, columns clips, both in the order of the file; bright is alike.</p>";
    out += &matrix(measured);
    confusions(evaluation, &mut out);
    out += &cards(evaluation, lines, measured, shown);
    others(evaluation, &mut out);
    background(evaluation, &mut out);
    out + "</main></body></html>\n"
}

fn figures(evaluation: &Evaluation, out: &mut String) {
    *out += "<h2>Figures</h2>";
    class_figures(evaluation, out);
    if let (Some(a), Some(b)) = (&evaluation.text_to_audio, &evaluation.audio_to_text) {
        *out += "<table><tr><th>figure<th class=n>text to audio<th class=n>audio to text</tr>";
        for (name, title) in SHOWN {
            let _ = write!(
                out,
                "<tr><td>{title}<td class=n>{}<td class=n>{}</tr>",
                cell(a, name),
                cell(b, name)
            );
        }
        let _ = write!(
            out,
            "</table><p class=quiet>Percent, but the median rank. {} texts and {} clips asked.</p>",
            a.queries, b.queries
        );
    }
    *out += "<p class=quiet>In brackets, 95 % intervals: 1,000 draws of clips with all their texts, against the same pool.</p>";
}

fn class_figures(evaluation: &Evaluation, out: &mut String) {
    if let Some(classes) = &evaluation.classes {
        *out += "<table><tr><th>figure<th class=n>percent</tr>";
        for (title, value) in class_rows(&classes.figures) {
            let _ = write!(out, "<tr><td>{title}<td class=n>{value}</tr>");
        }
        let _ = write!(
            out,
            "</table><p class=quiet>Sample-wise: each clip orders all {} classes. Class-wise: each class orders all clips. Class \
             names in: {}.</p>",
            classes.names.len(),
            escape(&classes.templates.join("; "))
        );
        if !classes.prompts.is_empty() {
            *out += "<details><summary>Classes in words of their own</summary><ul>";
            for (class, words) in &classes.prompts {
                let _ = write!(out, "<li>{}: {}", escape(class), escape(words));
            }
            *out += "</ul></details>";
        }
    }
}

fn reranked(evaluation: &Evaluation, out: &mut String) {
    if evaluation.reranked.is_empty() {
        return;
    }
    *out += "<h2>After re-ranking</h2><table><tr><th>direction<th class=n>candidates<th class=n>weight<th class=n>R@1<th class=n>gain \
             in R@1<th class=n>gain in the mean<th>weight from</tr>";
    for (side, one) in &evaluation.reranked {
        let gain = |name: &str| {
            let [gain, low, high, p] = one.gain[name];
            format!("{gain:+.1} [{low:+.1}, {high:+.1}], p {p:.3}")
        };
        let _ = write!(
            out,
            "<tr><td>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td>{}</tr>",
            side.replace('_', " "),
            one.candidates,
            one.weight,
            cell(&one.after, "r1"),
            gain("r1"),
            gain("mean"),
            escape(&one.weight_from),
        );
    }
    *out += "</table><p class=quiet>Every candidate is fused: similarity + weight · p(Yes), each direction in a matrix of its own. A \
             weight whose gain on the validation split may be luck is not used.</p>";
}

/// Bars of both directions side by side, as shares of queries.
fn histogram(a: &Direction, b: &Direction) -> String {
    let bins = a.histogram.len().max(b.histogram.len());
    let width = 46 * bins;
    let mut out = format!(
        "<svg class=bars viewBox='0 0 {width} 170' style='max-width:{width}px;width:100%' role=img aria-label='queries by place of the \
         right answer'>"
    );
    for bin in 0..bins {
        let x = 46 * bin;
        let mut label = String::new();
        for (direction, class, shift) in [(a, "a", 2), (b, "b", 22)] {
            let Some((from, to, count)) = direction.histogram.get(bin) else {
                continue;
            };
            let share = *count as f64 / direction.queries.max(1) as f64;
            let height = 120.0 * share;
            let (x, y) = (x + shift, 135.0 - height);
            let _ = write!(
                out,
                "<rect class={class} x={x} y={y:.1} width=19 height={height:.1}><title>{count} of {}</title></rect>\
                 <text x={x} y={:.1} style='font-size:8px'>{:.0}%</text>",
                direction.queries,
                y - 3.0,
                100.0 * share,
            );
            label = if from == to {
                from.to_string()
            } else {
                format!("{from}–{to}")
            };
        }
        let _ = write!(
            out,
            "<text x={} y=150 text-anchor=middle>{label}</text>",
            x + 21
        );
    }
    out + "<rect class=a x=2 y=158 width=9 height=9></rect><text x=15 y=167>text to audio</text><rect class=b x=100 y=158 width=9 height=9></rect>\
           <text x=113 y=167>audio to text</text></svg>"
}

/// Means of blocks, at most 160 by 160.
fn matrix(measured: &Measured) -> String {
    const MOST: usize = 160;
    let similarity = &measured.similarity;
    let (rows, columns) = (similarity.texts(), similarity.clips());
    let (height, width) = (rows.min(MOST), columns.min(MOST));
    let mut means = vec![0.0_f64; height * width];
    let mut counts = vec![0_u32; height * width];
    for row in 0..rows {
        let y = row * height / rows;
        for (column, value) in similarity.row(row).iter().enumerate() {
            let at = y * width + column * width / columns;
            means[at] += f64::from(*value);
            counts[at] += 1;
        }
    }
    for (mean, count) in means.iter_mut().zip(&counts) {
        *mean /= f64::from(*count);
    }
    let low = means.iter().copied().fold(f64::MAX, f64::min);
    let high = means.iter().copied().fold(f64::MIN, f64::max);
    let span = (high - low).max(1e-9);
    let levels: Vec<u8> = means
        .iter()
        .map(|mean| (255.0 * (mean - low) / span) as u8)
        .collect();
    format!(
        "<img class=matrix src='{}' alt='similarity matrix'><p class=quiet>Means of blocks from {low:.2} to {high:.2}.</p>",
        picture::image(width, height, &levels)
    )
}

fn confusions(evaluation: &Evaluation, out: &mut String) {
    let Some(classes) = &evaluation.classes else {
        return;
    };
    let mut pairs: Vec<(usize, usize, usize)> = Vec::new();
    for (class, taken) in classes.figures.confusions.iter().enumerate() {
        let wrong = taken.iter().filter(|(other, _)| *other != class);
        pairs.extend(wrong.map(|(other, count)| (*count, class, *other)));
    }
    pairs.sort_by(|a, b| b.0.cmp(&a.0).then(a.cmp(b)));
    *out += "<h2>Confusions</h2><table><tr><th>class<th>taken for<th class=n>clips</tr>";
    for (count, class, other) in pairs.into_iter().take(25) {
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td class=n>{count}</tr>",
            escape(&classes.names[class]),
            escape(&classes.names[other])
        );
    }
    *out += "</table><h2>Classes</h2><table><tr><th>class<th class=n>average precision<th class=n>found first</tr>";
    let mut order: Vec<usize> = (0..classes.names.len()).collect();
    let precision = |class: usize| classes.figures.by_class[class].unwrap_or(-1.0);
    order.sort_by(|a, b| precision(*b).total_cmp(&precision(*a)).then(a.cmp(b)));
    for class in order {
        let taken = &classes.figures.confusions[class];
        let all: usize = taken.iter().map(|(_, count)| count).sum();
        let right = taken
            .iter()
            .find(|(other, _)| *other == class)
            .map_or(0, |(_, count)| *count);
        let Some(precision) = classes.figures.by_class[class] else {
            continue;
        };
        let _ = write!(
            out,
            "<tr><td>{}<td class=n>{:.1}<td class=n>{right} of {all}</tr>",
            escape(&classes.names[class]),
            100.0 * precision
        );
    }
    *out += "</table>";
}

fn others(evaluation: &Evaluation, out: &mut String) {
    let mut others = published::of(&evaluation.benchmark).peekable();
    if others.peek().is_none() {
        return;
    }
    *out += "<h2>Published figures</h2><table><tr><th>system<th>figure<th class=n>text to audio<th class=n>audio to text<th>pool<th>caveat\
             <th>source</tr>";
    for one in others {
        let percent = |value: Option<f64>| value.map(|v| format!("{v:.1}")).unwrap_or_default();
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td class=n>{}<td class=n>{}<td>{}<td>{}<td>{}</tr>",
            escape(one.system),
            one.figure,
            percent(one.text_to_audio),
            percent(one.audio_to_text),
            one.pool,
            escape(one.caveat),
            escape(one.source)
        );
    }
    *out += "</table>";
}

fn background(evaluation: &Evaluation, out: &mut String) {
    let (model, pool) = (&evaluation.model, &evaluation.pool);
    *out += "<h2>How this was made</h2><ul>";
    for line in [
        format!("{}, {}", evaluation.program, evaluation.made),
        format!(
            "model {}, fingerprint {}, {} dimensions",
            model.name, model.fingerprint, model.dim
        ),
        format!(
            "windows of {}; a clip counts as its best window; prompts: {}",
            model.window, model.prompt
        ),
        format!(
            "annotations {}, BLAKE3 {}",
            pool.annotations, pool.annotations_blake3
        ),
        format!(
            "similarities are products of unit vectors in f32; ties: {}",
            evaluation.ties
        ),
    ] {
        let _ = write!(out, "<li>{}", escape(&line));
    }
    for note in &evaluation.notes {
        let _ = write!(out, "<li>{}", escape(note));
    }
    *out += "</ul>";
    let broken = pool
        .broken
        .iter()
        .map(|row| format!("line {}: {}", row.line, row.what))
        .collect();
    let unreadable = pool
        .unreadable
        .iter()
        .map(|(file, reason)| format!("{file}: {reason}"))
        .collect();
    for (title, list) in [
        ("Clips without a file", pool.missing.clone()),
        ("Files that could not be read", unreadable),
        ("Broken rows", broken),
        ("Clips of the pool", pool.ids.clone()),
    ] {
        if !list.is_empty() {
            let _ = write!(
                out,
                "<details><summary>{title}: {}</summary><p><code>{}</code></p></details>",
                list.len(),
                escape(&list.join("\n")).replace('\n', "<br>")
            );
        }
    }
}

/// Text as HTML.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            other => out.push(other),
        }
    }
    out
}
