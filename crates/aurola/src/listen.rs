//! A file, as spectrograms of its windows.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use aurola_audio::{
    AudioError, Clip, ClipInfo, IsolatedDecoder, Limits, LogMel, MelConfig, MelFilters,
    SAMPLE_RATE, SampleSource, Window, WindowConfig, Windows, log_mel, read_whole,
};
use aurola_retrieval::Span;
use aurola_retrieval::store::Sound;

/// The longest sound that [`Cut::Whole`] takes in one piece, as in the released front end.
const WHOLE_S: f64 = 300.0;

/// How a sound longer than the model's window is cut. Part of what makes vectors comparable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cut {
    /// Into overlapping windows.
    Windows(WindowConfig),
    /// Not at all: its first 300 s are one window, as in the released retrieval. What lies behind
    /// is told by [`Heard::notes`].
    Whole,
}

impl Default for Cut {
    fn default() -> Self {
        Self::Windows(WindowConfig::default())
    }
}

impl fmt::Display for Cut {
    /// The name under which a store keeps vectors cut like this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Windows(config) => {
                write!(f, "{} s every {} s", config.length_s(), config.hop_s())
            }
            Self::Whole => f.write_str("whole"),
        }
    }
}

/// Where files are decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Decoding {
    /// In this process.
    #[default]
    Here,
    /// In a child process, started by this command: a decoder that crashes or never ends takes one
    /// file with it and nothing else.
    Isolated(Vec<OsString>),
}

/// How sounds are read.
#[derive(Debug, Clone, Default)]
pub struct Listening {
    /// How they are cut.
    pub cut: Cut,
    /// What may be read at all.
    pub limits: Limits,
    /// Where.
    pub decoding: Decoding,
}

/// A sound that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What it is.
    pub sound: Sound,
    /// How many windows it has.
    pub windows: usize,
    /// What was left out or assumed, in words.
    pub notes: Vec<String>,
}

/// One thread's ears.
pub struct Listener<'a> {
    listening: &'a Listening,
    filters: MelFilters,
    decoder: Option<IsolatedDecoder>,
}

impl<'a> Listener<'a> {
    /// For a model that hears as `mel` says. Nothing is started or opened yet.
    ///
    /// # Errors
    ///
    /// [`AudioError::Setting`] for a front end that cannot be.
    pub fn new(listening: &'a Listening, mel: &MelConfig) -> Result<Self, AudioError> {
        let decoder = match &listening.decoding {
            Decoding::Here => None,
            Decoding::Isolated(command) => Some(IsolatedDecoder::new(command.clone())),
        };
        Ok(Self {
            listening,
            filters: MelFilters::new(mel)?,
            decoder,
        })
    }

    /// Reads a file from start to end, window by window, in bounded memory.
    ///
    /// `on_begin` is told what it is and how many seconds its header promises, and `on_window` gets the spectrogram of each window that
    /// `wants` says yes to. `None` where one of them ended it.
    ///
    /// # Errors
    ///
    /// [`AudioError`], after whatever windows came before.
    pub fn hear(
        &mut self,
        path: &Path,
        on_begin: &mut dyn FnMut(&Sound, Option<f64>) -> ControlFlow<()>,
        wants: &mut dyn FnMut(Span) -> bool,
        on_window: &mut dyn FnMut(Span, LogMel) -> ControlFlow<()>,
    ) -> Result<Option<Heard>, AudioError> {
        let Self {
            listening,
            filters,
            decoder,
        } = self;
        let mut source = open(decoder.as_mut(), path, &listening.limits)?;
        let mut heard = Heard {
            sound: sound(source.info()),
            windows: 0,
            notes: Vec::new(),
        };
        let said = source.info().duration_s;
        if on_begin(&heard.sound, said).is_break() {
            return Ok(None);
        }
        let mut end = 0;
        let mut length = None;
        let mut one = |window: Window| -> Result<ControlFlow<()>, AudioError> {
            let span = Span {
                start: window.start,
                end: window.end,
            };
            heard.windows += 1;
            end = span.end;
            if !wants(span) {
                return Ok(ControlFlow::Continue(()));
            }
            let mel = log_mel(&window.samples, filters)?;
            Ok(on_window(span, mel))
        };
        match listening.cut {
            Cut::Windows(config) => {
                let mut windows = Windows::new(source, config);
                for window in &mut windows {
                    if one(window?)?.is_break() {
                        return Ok(None);
                    }
                }
                heard.notes = windows.source().notes().to_vec();
            }
            Cut::Whole => {
                if let Some(whole) = read_whole(&mut source, WHOLE_S)? {
                    if one(whole.window)?.is_break() {
                        return Ok(None);
                    }
                    heard.notes = source.notes().to_vec();
                    if whole.is_cut {
                        length = said.map(|s| (s * f64::from(SAMPLE_RATE)) as u64);
                        let note = format!("only its first {WHOLE_S} s are heard in one piece");
                        heard.notes.push(note);
                    }
                }
            }
        }
        heard.sound.samples = length.or(Some(end));
        Ok(Some(heard))
    }

    /// Reads a file from start to end as mono samples at 16 kHz, block by block, in bounded memory.
    /// `None` where `on_block` ended it.
    ///
    /// # Errors
    ///
    /// [`AudioError`], after whatever blocks came before.
    pub fn samples(
        &mut self,
        path: &Path,
        on_block: &mut dyn FnMut(&[f32]) -> ControlFlow<()>,
    ) -> Result<Option<Sound>, AudioError> {
        let mut source = open(self.decoder.as_mut(), path, &self.listening.limits)?;
        let mut sound = sound(source.info());
        let mut block = vec![0.0; SAMPLE_RATE as usize];
        let mut samples = 0;
        loop {
            let read = source.read(&mut block)?;
            if read == 0 {
                sound.samples = Some(samples);
                return Ok(Some(sound));
            }
            samples += read as u64;
            if on_block(&block[..read]).is_break() {
                return Ok(None);
            }
        }
    }

    /// The spectrogram of one window of a file, which must be one that [`Listener::hear`] gives.
    /// Decodes from the start.
    ///
    /// # Errors
    ///
    /// [`AudioError`], and [`AudioError::NoSound`] where there is no such window any more.
    pub fn window(&mut self, path: &Path, span: Span) -> Result<LogMel, AudioError> {
        let mut found = None;
        let wants = &mut |window| window == span;
        self.hear(path, &mut go_on, wants, &mut |_, mel| {
            found = Some(mel);
            ControlFlow::Break(())
        })?;
        found.ok_or_else(|| AudioError::NoSound { path: path.into() })
    }

    /// A file's first window.
    ///
    /// # Errors
    ///
    /// [`AudioError`], and [`AudioError::NoSound`] for a file without a window.
    pub fn beginning(&mut self, path: &Path) -> Result<Beginning, AudioError> {
        let mut beginning: Option<Beginning> = None;
        let heard = self.hear(path, &mut go_on, &mut |_| true, &mut |span, mel| {
            match &mut beginning {
                None => {
                    beginning = Some(Beginning {
                        mel,
                        span,
                        notes: Vec::new(),
                    })
                }
                Some(first) => {
                    let note = format!("only its first {} s are heard", seconds(first.span.end));
                    first.notes.push(note);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        let mut beginning = beginning.ok_or_else(|| AudioError::NoSound { path: path.into() })?;
        beginning
            .notes
            .extend(heard.into_iter().flat_map(|h| h.notes));
        Ok(beginning)
    }
}

/// A file's first window, and what the caller must say of the rest.
#[derive(Debug)]
pub struct Beginning {
    /// Its spectrogram.
    pub mel: LogMel,
    /// Where it ends.
    pub span: Span,
    /// What was left out or assumed, in words.
    pub notes: Vec<String>,
}

fn go_on(_: &Sound, _: Option<f64>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn open<'d>(
    decoder: Option<&'d mut IsolatedDecoder>,
    path: &Path,
    limits: &Limits,
) -> Result<Box<dyn SampleSource + 'd>, AudioError> {
    Ok(match decoder {
        None => Box::new(Clip::open(path, limits)?),
        Some(decoder) => Box::new(decoder.open(path, limits)?),
    })
}

fn sound(info: &ClipInfo) -> Sound {
    Sound {
        container: Some(info.container.clone()),
        codec: Some(info.codec.clone()),
        sample_rate: Some(info.sample_rate),
        channels: Some(info.channels),
        samples: None,
    }
}

/// Samples at the model's rate, in seconds.
pub fn seconds(samples: u64) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE)
}

/// An error about the file at `path`, with its causes, in one line to stand beside that path.
pub fn reason(error: &(dyn Error + 'static), path: &Path) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(below) = cause {
        let words = below.to_string();
        if !line.contains(&words) {
            line.push_str(": ");
            line.push_str(&words);
        }
        cause = below.source();
    }
    let prefix = format!("{}: ", path.display());
    line.strip_prefix(&prefix)
        .map_or_else(|| line.clone(), str::to_owned)
}

/// Whether the same bytes would give the same error tomorrow, so that it need not be tried again.
pub(crate) fn is_about_the_bytes(error: &AudioError) -> bool {
    !matches!(
        error,
        AudioError::Open { .. }
            | AudioError::Read { .. }
            | AudioError::NotAFile { .. }
            | AudioError::Crashed { .. }
            | AudioError::Worker { .. }
            | AudioError::Setting { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_beside_its_path_does_not_name_it_again_and_keeps_its_cause() {
        let path = Path::new("heron/03.flac");
        let error = AudioError::Open {
            path: path.into(),
            source: std::io::Error::other("permission denied"),
        };
        assert_eq!(reason(&error, path), "cannot be opened: permission denied");
    }

    #[test]
    fn cuts_that_differ_have_different_names() {
        let other = Cut::Windows(WindowConfig::new(10.0, 5.0).unwrap());
        assert_eq!(Cut::default().to_string(), "30 s every 25 s");
        assert_eq!(other.to_string(), "10 s every 5 s");
        assert_eq!(Cut::Whole.to_string(), "whole");
    }
}
