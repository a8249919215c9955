//! Long clips as overlapping windows, each short enough to be embedded in one piece.
//!
//! ```text
//! clip      ├──────────────────────────────────────────────────────┤
//! window 0  ├───────────── 30 s ────────────┤
//! window 1                             ├───────────── … ───────────┤   starts 25 s later
//! ```
//!
//! Window `k` starts at `k · hop`; the first that reaches the end of the clip is the last and ends
//! there. So every sample lies in a window, every event up to `length − hop` (5 s) lies whole in
//! one, and a clip no longer than `length` is one window. Only one window and one hop of samples are
//! in memory at a time.

use crate::SAMPLE_RATE;
use crate::clip::SampleSource;
use crate::error::AudioError;

/// A last window shorter than this many seconds starts earlier instead, where there is sound
/// before it: models are trained on clips of at least 2 s.
const MIN_LAST_S: f64 = 2.0;

/// How long windows are and how far apart they start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowConfig {
    length: usize,
    hop: usize,
}

impl Default for WindowConfig {
    /// 30 s, the length the released model was trained on, every 25 s.
    fn default() -> Self {
        WindowConfig {
            length: 30 * SAMPLE_RATE as usize,
            hop: 25 * SAMPLE_RATE as usize,
        }
    }
}

impl WindowConfig {
    /// Windows of `length_s` seconds, a new one every `hop_s` seconds, both rounded to samples.
    ///
    /// # Errors
    ///
    /// [`AudioError::Setting`] unless `0.1 <= length_s <= 300` and `0 < hop_s <= length_s`.
    pub fn new(length_s: f64, hop_s: f64) -> Result<Self, AudioError> {
        let setting = |name, value, range| Err(AudioError::Setting { name, value, range });
        if !(0.1..=300.0).contains(&length_s) {
            return setting("window length", length_s, "0.1 s to 300 s");
        }
        let samples = |s: f64| (s * f64::from(SAMPLE_RATE)).round() as usize;
        let (length, hop) = (samples(length_s), samples(hop_s));
        if !hop_s.is_finite() || hop == 0 || hop > length {
            return setting("window hop", hop_s, "above 0 and at most the window length");
        }
        Ok(WindowConfig { length, hop })
    }

    /// Length of a window in seconds.
    pub fn length_s(&self) -> f64 {
        self.length as f64 / f64::from(SAMPLE_RATE)
    }

    /// Seconds from one window's start to the next.
    pub fn hop_s(&self) -> f64 {
        self.hop as f64 / f64::from(SAMPLE_RATE)
    }
}

/// A piece of a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// First sample, counted from the start of the clip at 16 kHz.
    pub start: u64,
    /// One past the last sample.
    pub end: u64,
    /// The samples, `end - start` of them.
    pub samples: Vec<f32>,
}

impl Window {
    /// Start in seconds.
    pub fn start_s(&self) -> f64 {
        self.start as f64 / f64::from(SAMPLE_RATE)
    }

    /// End in seconds.
    pub fn end_s(&self) -> f64 {
        self.end as f64 / f64::from(SAMPLE_RATE)
    }
}

/// The windows of one clip, in order. Ends after the first error.
pub struct Windows<S> {
    source: S,
    config: WindowConfig,
    /// Samples `[at, at + held.len())` of the clip.
    held: Vec<f32>,
    at: u64,
    next: u64,
    done: bool,
}

impl<S: SampleSource> Windows<S> {
    /// Cuts `source` into windows; nothing is read yet.
    pub fn new(source: S, config: WindowConfig) -> Self {
        Windows {
            source,
            config,
            held: Vec::new(),
            at: 0,
            next: 0,
            done: false,
        }
    }

    /// The clip, for its notes once the windows are through.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Reads until `to` samples of the clip are known, or all of them.
    fn fill(&mut self, to: u64) -> Result<(), AudioError> {
        let old = self.held.len();
        let want = (to - self.at) as usize;
        if want > old {
            self.held.resize(want, 0.0);
            let n = self.source.read(&mut self.held[old..])?;
            self.held.truncate(old + n);
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<Option<Window>, AudioError> {
        let WindowConfig { length, hop } = self.config;
        let start = self.next;
        let full = start + length as u64;
        // One sample more tells whether another window follows.
        self.fill(full + 1)?;
        let known = self.at + self.held.len() as u64;
        let last = known <= full;
        let (mut start, end) = (start, full.min(known));
        if start >= end {
            return Ok(None);
        }
        if last {
            self.done = true;
            let least = (MIN_LAST_S * f64::from(SAMPLE_RATE)) as u64;
            start = start
                .min(end.saturating_sub(least.min(length as u64)))
                .max(self.at);
        }
        let samples = self.held[(start - self.at) as usize..(end - self.at) as usize].to_vec();
        // What a short last window may reach back for stays: a hop more than the window needs.
        self.held.drain(..(self.next - self.at) as usize);
        self.at = self.next;
        self.next += hop as u64;
        Ok(Some(Window {
            start,
            end,
            samples,
        }))
    }
}

impl<S: SampleSource> Iterator for Windows<S> {
    type Item = Result<Window, AudioError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let window = self.cut().transpose();
        self.done |= !matches!(window, Some(Ok(_)));
        window
    }
}

/// A clip in one piece.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    /// The clip's start, up to the limit.
    pub window: Window,
    /// Whether the clip goes on after it. The caller must say so: what was cut off is not embedded.
    pub is_cut: bool,
}

/// Reads a clip in one piece of at most `max_s` seconds, as the released retrieval path does (300 s
/// there); `None` where it holds no samples.
///
/// # Errors
///
/// [`AudioError::Setting`] unless `0.1 <= max_s <= 86400`; else what decoding runs into.
pub fn read_whole(source: &mut impl SampleSource, max_s: f64) -> Result<Option<Whole>, AudioError> {
    const BLOCK: usize = 1 << 16;
    if !(0.1..=86_400.0).contains(&max_s) {
        let range = "0.1 s to 86400 s";
        return Err(AudioError::Setting {
            name: "longest whole clip",
            value: max_s,
            range,
        });
    }
    let most = (max_s * f64::from(SAMPLE_RATE)).round() as usize;
    let mut samples = Vec::new();
    while samples.len() <= most {
        let old = samples.len();
        samples.resize((old + BLOCK).min(most + 1), 0.0);
        let n = source.read(&mut samples[old..])?;
        samples.truncate(old + n);
        if n == 0 {
            break;
        }
    }
    let is_cut = samples.len() > most;
    samples.truncate(most);
    let window = Window {
        start: 0,
        end: samples.len() as u64,
        samples,
    };
    Ok((window.end > 0).then_some(Whole { window, is_cut }))
}
