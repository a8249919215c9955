//! Any sample rate to 16 kHz, as soxr's high-quality setting does it (`librosa.load`'s default).
//!
//! ```text
//! decode ──► mix ──► RESAMPLE ──► windows
//!            mono    f32, 16 kHz
//! ```
//!
//! One windowed-sinc filter, evaluated at the phases that the ratio of the rates needs; its design
//! is in `kernel`. Sample `k` of the output stands at time `k / 16000` of the input (linear phase,
//! no delay); before and after the clip there is silence. Streamed: memory depends on the rate and
//! not on the length, and how the input is cut into blocks changes no bit of the output.

mod kernel;

use std::sync::Arc;

use crate::SAMPLE_RATE;
use crate::error::AudioError;
use kernel::Kernel;

/// Converts one stream to 16 kHz.
#[derive(Debug)]
pub struct Resampler {
    /// `None`: the input is at 16 kHz and passes unchanged.
    kernel: Option<Arc<Kernel>>,
    rate: u32,
    /// Input samples `[from, from + held.len())`; negative positions are the silence in front.
    held: Vec<f32>,
    from: i64,
    pushed: u64,
    made: u64,
}

impl Resampler {
    /// A converter from `rate` Hz.
    ///
    /// # Errors
    ///
    /// [`AudioError::Setting`] unless `100 <= rate <= 10_000_000`.
    pub fn new(rate: u32) -> Result<Self, AudioError> {
        if !(100..=10_000_000).contains(&rate) {
            let range = "100 Hz to 10 MHz";
            return Err(AudioError::Setting {
                name: "sample rate",
                value: f64::from(rate),
                range,
            });
        }
        let kernel = (rate != SAMPLE_RATE).then(|| kernel::shared(rate));
        let before = kernel.as_ref().map_or(0, |kernel| kernel.before());
        Ok(Resampler {
            kernel,
            rate,
            held: vec![0.0; before],
            from: -(before as i64),
            pushed: 0,
            made: 0,
        })
    }

    /// Takes in `input` and appends to `out` every output sample that it completes.
    pub fn push(&mut self, input: &[f32], out: &mut Vec<f32>) {
        self.pushed += input.len() as u64;
        let Some(kernel) = self.kernel.clone() else {
            self.made += input.len() as u64;
            out.extend_from_slice(input);
            return;
        };
        // Bounded pieces, so that one enormous block does not double in memory.
        for piece in input.chunks(1 << 16) {
            self.held.extend_from_slice(piece);
            self.run(&kernel, u64::MAX, out);
        }
    }

    /// Ends the stream and appends what is left, so that `out` has received
    /// `ceil(n · 16000 / rate)` samples for `n` pushed ones.
    ///
    /// librosa asks soxr for that many, and soxr makes `n · 16000 / rate` rounded to the nearest
    /// number; where it makes one less, the last sample is zero, here too.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        let Some(kernel) = self.kernel.clone() else {
            return;
        };
        let (n, rate) = (self.pushed as f64, f64::from(self.rate));
        // librosa's own arithmetic, rounding errors included.
        let wanted = (n * (f64::from(SAMPLE_RATE) / rate)).ceil() as u64;
        let sounding = (n / (rate / f64::from(SAMPLE_RATE)) + 0.5) as u64;
        let silence = vec![0.0; kernel.after() + 1];
        while self.made < sounding.min(wanted) {
            self.held.extend_from_slice(&silence);
            self.run(&kernel, sounding.min(wanted), out);
        }
        if wanted > self.made {
            out.resize(out.len() + (wanted - self.made) as usize, 0.0);
            self.made = wanted;
        }
    }

    /// Makes samples up to number `end`, as far as the held input reaches.
    fn run(&mut self, kernel: &Kernel, end: u64, out: &mut Vec<f32>) {
        while self.made < end {
            let (base, _) = kernel.position(self.made);
            // Taps reach from `base - before + 1` to `base + after`.
            let first = (base as i64 - kernel.before() as i64 + 1 - self.from) as usize;
            let Some(input) = self.held.get(first..first + kernel.taps()) else {
                break;
            };
            out.push(kernel.output(self.made, input));
            self.made += 1;
        }
        let (base, _) = kernel.position(self.made);
        let unused = base as i64 - kernel.before() as i64 + 1 - self.from;
        // Moving the rest to the front costs as much as it is long: only now and then.
        if unused > 1 << 15 {
            let unused = (unused as usize).min(self.held.len());
            self.held.drain(..unused);
            self.from += unused as i64;
        }
    }
}
