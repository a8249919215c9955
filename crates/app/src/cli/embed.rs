//! `aurola embed`: sounds and words, as vectors.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use aurola::{Listener, Skipped, seconds};
use aurola_model::{Input, Model};
use aurola_retrieval::{Embedding, Span};
use clap::{ArgMatches, Args};
use serde::Serialize;

use super::Common;
use super::search::list_skipped;
use crate::exit::{AppError, Ending, told};
use crate::interrupt::Interrupts;
use crate::listening::CutArgs;
use crate::model::ModelArgs;
use crate::present::json::{self, JsonPath};
use crate::present::{Format, clock, csv_field, printable};
use crate::stdin;

/// Turn sounds and words into vectors of unit length.
///
/// One object for each input, in the order given; for a sound longer than the window, one for each
/// window.
#[derive(Debug, Args)]
pub(crate) struct Embed {
    /// A sound; may be repeated, and mixed with --text
    #[arg(long, value_name = "FILE")]
    audio: Vec<PathBuf>,
    /// A text; may be repeated; - stands for every line of stdin
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    text: Vec<String>,
    #[command(flatten)]
    cut: CutArgs,
    #[command(flatten)]
    model: ModelArgs,
}

/// One vector, exactly as the command contract has it.
#[derive(Serialize)]
struct JsonVector<'a> {
    kind: &'static str,
    input: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_hex: Option<String>,
    dim: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_s: Option<f64>,
    embedding: &'a [f32],
}

/// Texts that are embedded together: weights are read once for all of them.
const TEXTS: usize = 64;

enum Source<'a> {
    Audio(&'a Path),
    Text(&'a str),
}

impl<'a> Source<'a> {
    fn text(&self) -> Option<&'a str> {
        match self {
            Self::Audio(_) => None,
            Self::Text(text) => Some(text),
        }
    }
}

impl Embed {
    /// Embeds. `order`: the arguments once more, for the order they came in.
    pub(crate) fn run(
        self,
        order: Option<&ArgMatches>,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        let lines = if self.text.iter().any(|text| text == "-") {
            stdin::lines()?
        } else {
            Vec::new()
        };
        let sources = self.sources(order, &lines);
        if sources.is_empty() {
            return Err(AppError::Usage {
                message: "nothing to embed".into(),
                help: "name sounds by --audio FILE and texts by --text TEXT",
            });
        }
        let listening = self.cut.listening()?;
        let (model, _) = self.model.load(common, interrupts)?;
        let mut listener = Listener::new(&listening, model.mel_config())?;
        let mut writer = VectorWriter {
            format: common.format(),
            first: true,
            out,
        };
        let mut skipped = Vec::new();
        let mut rest = &sources[..];
        while let Some(source) = rest.first() {
            let texts: Vec<&str> = rest.iter().map_while(Source::text).take(TEXTS).collect();
            rest = &rest[texts.len().max(1)..];
            let inputs: Vec<Input<'_>> = texts.iter().map(|text| Input::Text(text)).collect();
            for (text, embedding) in texts.iter().zip(model.embed(&inputs)?) {
                writer.write("text", Path::new(text), None, &embedding)?;
            }
            if let Source::Audio(path) = *source {
                match audio(&model, &mut listener, path, &mut writer)? {
                    Ok(notes) => common.notes_on(path, &notes),
                    Err(reason) => skipped.push(Skipped {
                        path: path.to_path_buf(),
                        reason,
                    }),
                }
            }
        }
        writer.finish()?;
        list_skipped(common, &skipped);
        Ok(if skipped.is_empty() {
            Ending::Done
        } else {
            Ending::Skipped
        })
    }

    /// Sounds and texts in the order of the command line, `lines` where it says `--text -`.
    fn sources<'a>(&'a self, order: Option<&ArgMatches>, lines: &'a [String]) -> Vec<Source<'a>> {
        let places = |name: &str| -> Vec<usize> {
            let indices = order.and_then(|matches| matches.indices_of(name));
            indices.map(Iterator::collect).unwrap_or_default()
        };
        let audio = self.audio.iter().map(|path| Source::Audio(path));
        let text = self.text.iter().map(|text| Source::Text(text));
        let mut sources: Vec<(usize, Source<'_>)> = (places("audio").into_iter().zip(audio))
            .chain(places("text").into_iter().zip(text))
            .collect();
        sources.sort_by_key(|(place, _)| *place);
        let read = |(_, source)| match source {
            Source::Text("-") => lines.iter().map(|line| Source::Text(line)).collect(),
            source => vec![source],
        };
        sources.into_iter().flat_map(read).collect()
    }
}

/// Every window of one file, and what must be said of it. The inner error is the file's, and ends
/// only that.
fn audio(
    model: &Model,
    listener: &mut Listener<'_>,
    path: &Path,
    writer: &mut VectorWriter<'_, impl Write>,
) -> Result<Result<Vec<String>, String>, AppError> {
    let mut failed: Option<Result<String, AppError>> = None;
    let heard = listener.hear(
        path,
        &mut |_, _| ControlFlow::Continue(()),
        &mut |_| true,
        &mut |span, mel| {
            let written = match model.embed(&[Input::Audio(&mel)]) {
                Ok(mut embedding) => writer
                    .write("audio", path, Some(span), &embedding.swap_remove(0))
                    .map_err(|error| Err(AppError::from(error))),
                Err(error) => Err(Ok(told(&error))),
            };
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
        (Some(Err(error)), _) => Err(error),
        (Some(Ok(reason)), _) => Ok(Err(reason)),
        (None, Err(error)) => Ok(Err(aurola::reason(&error, path))),
        (None, Ok(heard)) => Ok(Ok(heard.map(|h| h.notes).unwrap_or_default())),
    }
}

/// Writes vectors one by one, each as soon as it is there.
struct VectorWriter<'o, W: Write> {
    format: Format,
    first: bool,
    out: &'o mut W,
}

impl<W: Write> VectorWriter<'_, W> {
    fn write(
        &mut self,
        kind: &'static str,
        input: &Path,
        span: Option<Span>,
        embedding: &Embedding,
    ) -> std::io::Result<()> {
        let name = input.to_string_lossy();
        let vector = JsonVector {
            kind,
            input: &name,
            input_hex: JsonPath::from(input).into_hex(),
            dim: embedding.dim(),
            start_s: span.map(|span| json::seconds(seconds(span.start))),
            end_s: span.map(|span| json::seconds(seconds(span.end))),
            embedding: embedding.as_slice(),
        };
        let first = std::mem::take(&mut self.first);
        let out = &mut *self.out;
        match self.format {
            Format::Auto | Format::Jsonl => json::line(out, &vector)?,
            Format::Json => {
                out.write_all(if first { b"[\n" } else { b",\n" })?;
                serde_json::to_writer(&mut *out, &vector)?;
            }
            Format::Csv => csv(first, &vector, out)?,
            Format::Human => human(&vector, out)?,
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

fn csv(first: bool, vector: &JsonVector<'_>, out: &mut impl Write) -> std::io::Result<()> {
    if first {
        let columns: Vec<String> = (0..vector.dim).map(|i| format!("v{i}")).collect();
        writeln!(out, "kind,input,start_s,end_s,{}", columns.join(","))?;
    }
    let time = |time: Option<f64>| time.map(|time| time.to_string()).unwrap_or_default();
    let numbers: Vec<String> = vector.embedding.iter().map(f32::to_string).collect();
    writeln!(
        out,
        "{},{},{},{},{}",
        vector.kind,
        csv_field(vector.input),
        time(vector.start_s),
        time(vector.end_s),
        numbers.join(",")
    )
}

/// The first few numbers: enough to see that two differ.
fn human(vector: &JsonVector<'_>, out: &mut impl Write) -> std::io::Result<()> {
    let few: Vec<String> = (vector.embedding.iter().take(4).map(|v| format!("{v:+.4}"))).collect();
    let more = if vector.dim > 4 { ", …" } else { "" };
    let span = match (vector.start_s, vector.end_s) {
        (Some(start), Some(end)) => format!("  {}–{}", clock(start), clock(end)),
        _ => String::new(),
    };
    let name = printable(vector.input);
    writeln!(
        out,
        "{:5}  [{}{more}] {} numbers{span}  {name}",
        vector.kind,
        few.join(", "),
        vector.dim
    )
}
