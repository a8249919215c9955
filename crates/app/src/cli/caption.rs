//! `aurola caption`: a sound, in words.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use aurola::{Listener, Skipped, seconds};
use aurola_model::{CaptionStyle, Generation};
use aurola_retrieval::Span;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Common;
use super::search::list_skipped;
use crate::exit::{AppError, Ending};
use crate::interrupt::Interrupts;
use crate::listening::CutArgs;
use crate::model::ModelArgs;
use crate::present::json::{self, JsonPath};
use crate::present::{Format, clock, csv_field, printable};

/// Describe sounds in words: one caption for each, and for each window of a long one.
#[derive(Debug, Args)]
pub(crate) struct Caption {
    /// The sounds
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// What kind of caption
    #[arg(long, value_enum, default_value_t = Style::Short, env = "AUROLA_STYLE")]
    style: Style,
    /// Tokens of a caption at most
    #[arg(
        long,
        value_name = "N",
        default_value_t = 256,
        env = "AUROLA_MAX_TOKENS"
    )]
    max_tokens: usize,
    /// 0 takes the likeliest word each time; above, words are drawn
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.0,
        env = "AUROLA_TEMPERATURE"
    )]
    temperature: f32,
    /// Draw only from the likeliest words that together have this probability
    #[arg(long, value_name = "X", default_value_t = 1.0, env = "AUROLA_TOP_P")]
    top_p: f32,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0, env = "AUROLA_SEED")]
    seed: u64,
    #[command(flatten)]
    cut: CutArgs,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Style {
    /// One sentence
    Short,
    /// Two or three sentences: every sound, its order, its surroundings
    Long,
    /// Sound classes, separated by commas
    Tags,
}

#[derive(Serialize)]
struct JsonCaption<'a> {
    #[serde(flatten)]
    path: JsonPath,
    start_s: f64,
    end_s: f64,
    caption: &'a str,
}

impl Caption {
    /// Describes.
    pub(crate) fn run(
        self,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        let style = match self.style {
            Style::Short => CaptionStyle::Short,
            Style::Long => CaptionStyle::Long,
            Style::Tags => CaptionStyle::Tags,
        };
        let options = Generation {
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            seed: self.seed,
            ..Generation::default()
        };
        let listening = self.cut.listening()?;
        let (model, _) = self.model.load(common, interrupts)?;
        if self.model.is_nano() {
            common.note("note: this model was trained to find sounds, not to describe them");
        }
        let mut listener = Listener::new(&listening, model.mel_config())?;
        let format = common.format();
        if format == Format::Csv {
            writeln!(out, "path,start_s,end_s,caption")?;
        }
        let mut skipped = Vec::new();
        let mut captions = Captions {
            format,
            first: true,
            out,
        };
        for path in &self.files {
            let mut failed: Option<AppError> = None;
            let heard = listener.hear(
                path,
                &mut |_, _| ControlFlow::Continue(()),
                &mut |_| true,
                &mut |span, mel| {
                    let written = model
                        .caption(&mel, style, &options, &mut |_| true)
                        .map_err(AppError::from)
                        .and_then(|caption| Ok(captions.write(path, span, &caption)?));
                    match written {
                        Ok(()) => ControlFlow::Continue(()),
                        Err(error) => {
                            failed = Some(error);
                            ControlFlow::Break(())
                        }
                    }
                },
            );
            match (failed, heard) {
                (Some(error), _) => return Err(error),
                (None, Err(error)) => skipped.push(Skipped {
                    path: path.clone(),
                    reason: aurola::reason(&error, path),
                }),
                (None, Ok(heard)) => {
                    let notes = heard.map(|h| h.notes).unwrap_or_default();
                    common.notes_on(path, &notes);
                }
            }
        }
        captions.finish()?;
        list_skipped(common, &skipped);
        Ok(if skipped.is_empty() {
            Ending::Done
        } else {
            Ending::Skipped
        })
    }
}

/// Writes captions one by one, each as soon as it is there.
struct Captions<'o, W: Write> {
    format: Format,
    first: bool,
    out: &'o mut W,
}

impl<W: Write> Captions<'_, W> {
    fn write(&mut self, path: &Path, span: Span, caption: &str) -> std::io::Result<()> {
        let (start, end) = (seconds(span.start), seconds(span.end));
        let object = JsonCaption {
            path: JsonPath::from(path),
            start_s: json::seconds(start),
            end_s: json::seconds(end),
            caption,
        };
        let first = std::mem::take(&mut self.first);
        let out = &mut *self.out;
        let name = path.to_string_lossy();
        match self.format {
            Format::Jsonl => json::line(out, &object)?,
            Format::Json => {
                out.write_all(if first { b"[\n" } else { b",\n" })?;
                serde_json::to_writer(&mut *out, &object)?;
            }
            Format::Csv => {
                let (start, end) = (object.start_s, object.end_s);
                writeln!(
                    out,
                    "{},{start},{end},{}",
                    csv_field(&name),
                    csv_field(caption)
                )?;
            }
            Format::Auto | Format::Human => writeln!(
                out,
                "{}–{}  {}  {}",
                clock(start),
                clock(end),
                printable(&name),
                printable(caption)
            )?,
            Format::Quiet => {}
        }
        out.flush()
    }

    fn finish(self) -> std::io::Result<()> {
        match (self.format, self.first) {
            (Format::Json, false) => self.out.write_all(b"\n]\n"),
            (Format::Json, true) => self.out.write_all(b"[]\n"),
            _ => Ok(()),
        }
    }
}
