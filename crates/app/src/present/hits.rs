//! Files that were found.

use std::io::{self, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use aurola::{Answer, FileHit, Moment, Skipped};
use serde::Serialize;

use super::json::{JsonPath, document, line, seconds};
use super::{Format, clock, colored, csv_field, printable};

/// Cells of a score's bar, each in eighths.
const BAR_CELLS: usize = 8;

/// One hit, exactly as the command contract has it; the last two only where it was judged.
#[derive(Serialize)]
struct JsonHit {
    rank: usize,
    #[serde(flatten)]
    path: JsonPath,
    score: f32,
    start_s: f64,
    end_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cosine: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p_yes: Option<f32>,
}

impl JsonHit {
    fn new(index: usize, hit: &FileHit) -> Self {
        Self {
            rank: index + 1,
            path: JsonPath::from(hit.file.shown.as_path()),
            score: hit.score,
            start_s: seconds(hit.best.start_s),
            end_s: seconds(hit.best.end_s),
            cosine: hit.p_yes.map(|_| hit.cosine),
            p_yes: hit.p_yes,
        }
    }
}

/// A hit with everything there is to say.
#[derive(Serialize)]
struct FullHit {
    #[serde(flatten)]
    hit: JsonHit,
    duration_s: Option<f64>,
    container: Option<String>,
    codec: Option<String>,
    sample_rate: Option<u32>,
    channels: Option<u32>,
    /// Further good moments, best first.
    others: Vec<JsonMoment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relevance: Option<JsonRelevance>,
    /// Every window, in order of time; where it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    heat: Vec<JsonMoment>,
}

#[derive(Serialize)]
struct JsonRelevance {
    score: f32,
    label: &'static str,
}

#[derive(Serialize)]
struct JsonMoment {
    start_s: f64,
    end_s: f64,
    score: f32,
}

impl From<&Moment> for JsonMoment {
    fn from(moment: &Moment) -> Self {
        Self {
            start_s: seconds(moment.start_s),
            end_s: seconds(moment.end_s),
            score: moment.score,
        }
    }
}

/// A file that was passed over.
#[derive(Serialize)]
pub(crate) struct JsonSkipped {
    #[serde(flatten)]
    path: JsonPath,
    reason: String,
}

impl From<&Skipped> for JsonSkipped {
    fn from(skipped: &Skipped) -> Self {
        Self {
            path: JsonPath::from(skipped.path.as_path()),
            reason: skipped.reason.clone(),
        }
    }
}

/// What [`Format::Json`] writes.
#[derive(Serialize)]
struct Document {
    files: usize,
    results: Vec<FullHit>,
    skipped: Vec<JsonSkipped>,
}

/// What was found, and in how much.
pub(crate) struct Results<'a> {
    pub(crate) answer: &'a Answer,
    /// Files that were searched.
    pub(crate) files: usize,
    /// Files that were passed over, before the search and in it.
    pub(crate) skipped: &'a [Skipped],
    /// The one folder that was searched, if it was one: paths are shown from there.
    pub(crate) folder: Option<&'a Path>,
}

impl Results<'_> {
    /// Writes them; [`Format::Auto`] is the table.
    pub(crate) fn write(&self, format: Format, out: &mut impl Write) -> io::Result<()> {
        match format {
            Format::Auto | Format::Human => self.table(out),
            Format::Json => document(out, &self.document()),
            Format::Jsonl => {
                for (index, hit) in self.answer.hits.iter().enumerate() {
                    line(out, &JsonHit::new(index, hit))?;
                }
                Ok(())
            }
            Format::Csv => self.csv(out),
            Format::Quiet => Ok(()),
        }
    }

    /// Only the paths, byte for byte, each followed by `end`.
    pub(crate) fn paths(&self, end: u8, out: &mut impl Write) -> io::Result<()> {
        for hit in &self.answer.hits {
            out.write_all(hit.file.shown.as_os_str().as_encoded_bytes())?;
            out.write_all(&[end])?;
        }
        Ok(())
    }

    fn document(&self) -> Document {
        let full = |(index, hit): (usize, &FileHit)| FullHit {
            hit: JsonHit::new(index, hit),
            duration_s: hit.duration_s.map(seconds),
            container: hit.file.sound.container.clone(),
            codec: hit.file.sound.codec.clone(),
            sample_rate: hit.file.sound.sample_rate,
            channels: hit.file.sound.channels,
            others: hit.others.iter().map(JsonMoment::from).collect(),
            relevance: hit.relevance.map(|relevance| JsonRelevance {
                score: relevance.score,
                label: relevance.label.as_str(),
            }),
            heat: hit.heat.iter().map(JsonMoment::from).collect(),
        };
        Document {
            files: self.files,
            results: self.answer.hits.iter().enumerate().map(full).collect(),
            skipped: self.skipped.iter().map(JsonSkipped::from).collect(),
        }
    }

    fn csv(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "rank,path,score,start_s,end_s,cosine,p_yes")?;
        for (index, hit) in self.answer.hits.iter().enumerate() {
            let path = hit.file.shown.to_string_lossy();
            let p_yes = hit.p_yes.map(|p| p.to_string()).unwrap_or_default();
            writeln!(
                out,
                "{},{},{},{},{},{},{p_yes}",
                index + 1,
                csv_field(&path),
                hit.score,
                seconds(hit.best.start_s),
                seconds(hit.best.end_s),
                hit.cosine,
            )?;
        }
        Ok(())
    }

    fn table(&self, out: &mut impl Write) -> io::Result<()> {
        let hits = &self.answer.hits;
        let rows: Vec<[String; 3]> = hits.iter().map(cells).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let (score, span, length) = (
            width(0).unwrap_or(0),
            width(1).unwrap_or(0),
            width(2).unwrap_or(0),
        );
        let rank = hits.len().to_string().len();
        let plain = Style::new();
        let (dim, bold, color) = if colored() {
            let cyan = plain.fg_color(Some(AnsiColor::Cyan.into()));
            (plain.dimmed(), plain.bold(), cyan)
        } else {
            (plain, plain, plain)
        };
        for (index, (hit, row)) in hits.iter().zip(&rows).enumerate() {
            let bar = bar(hit.score / self.full_score());
            let shown = self
                .folder
                .and_then(|folder| hit.file.shown.strip_prefix(folder).ok());
            let path = shown.unwrap_or(&hit.file.shown).to_string_lossy();
            writeln!(
                out,
                "{dim}{:>rank$}{dim:#}  {color}{bar}{color:#} {:>score$}  {:<span$}  {dim}{:>length$}{dim:#}  {bold}{}{bold:#}",
                index + 1,
                row[0],
                row[1],
                row[2],
                printable(&path),
            )?;
        }
        Ok(())
    }

    /// What fills a bar: a cosine's greatest value, and one more where a judge's word was added.
    fn full_score(&self) -> f32 {
        if self.answer.hits.iter().any(|hit| hit.p_yes.is_some()) {
            2.0
        } else {
            1.0
        }
    }
}

/// Score, span and length.
fn cells(hit: &FileHit) -> [String; 3] {
    let mut score = match hit.p_yes {
        Some(p_yes) => format!("{:.3} ({:.0} %)", hit.score, p_yes * 100.0),
        None => format!("{:.3}", hit.score),
    };
    if let Some(relevance) = hit.relevance {
        score += &format!(" {:<6}", relevance.label.as_str());
    }
    let span = format!("{}–{}", clock(hit.best.start_s), clock(hit.best.end_s));
    [score, span, hit.duration_s.map(clock).unwrap_or_default()]
}

/// `share` of 1 as a bar, to an eighth of a cell.
fn bar(share: f32) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (BAR_CELLS * 8) as f32).round() as usize;
    let parts = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let mut bar = "█".repeat(eighths / 8);
    if let Some(part) = (eighths % 8).checked_sub(1) {
        bar.push(parts[part]);
    }
    let cells = bar.chars().count();
    bar + &" ".repeat(BAR_CELLS - cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_by_hand() {
        assert_eq!(bar(0.0), "        ");
        assert_eq!(bar(1.0), "████████");
        assert_eq!(bar(0.5), "████    ");
        assert_eq!(bar(0.515_625), "████▏   ");
        assert_eq!(bar(7.0), "████████");
        assert_eq!(bar(-1.0), "        ");
    }
}
