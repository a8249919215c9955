//! The filter of the resampler: its response is soxr's at the `HQ` setting (libsoxr 0.1.3, 20 bits,
//! linear phase).
//!
//! soxr converts in stages. The sharp one is a Kaiser-windowed sinc that passes 91.36 % of the lower
//! of the two Nyquist frequencies and stops at 100 %. For ratios of small numbers it is the only
//! one. Otherwise a short, gentle interpolator follows that costs 0.01 dB at the edge of the band.
//! Both are linear, so both together are one filter; it is computed once for a ratio and shared.
//! Impulse responses agree with soxr's within 2e-6 of the peak; `tests/resample.rs` holds recorded
//! values.

use std::collections::HashMap;
use std::f64::consts::PI;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::SAMPLE_RATE;

/// End of the band that passes, in units of the lower Nyquist frequency; measured.
const PASS: f64 = 0.913_743_66;
/// Attenuation asked of a single stage, in dB: 20 bits and one more for ripple.
const STOP_DB: f64 = 21.0 * 6.020_599_913_279_624;
/// Loss that the gentle stage may have at the end of the band.
const EDGE_DB: f64 = 0.01;
/// Most coefficients kept for one ratio (4 MiB).
const MAX_COEFFICIENTS: usize = 1 << 20;

/// Coefficients for one ratio of rates.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Output sample `k` stands at input time `k · step / phases`.
    step: u64,
    phases: u64,
    /// Taps on each side.
    half: usize,
    /// Rows of `2 · half` taps. Either one for each phase, or `rows` of them, evenly spread, between
    /// which phases are interpolated.
    rows: usize,
    table: Vec<f32>,
    /// Rows of the first outputs, which see the start of the clip.
    starts: Vec<f32>,
}

/// The kernel from `rate` to 16 kHz, computed at first use.
pub(super) fn shared(rate: u32) -> Arc<Kernel> {
    static KERNELS: OnceLock<Mutex<HashMap<u32, Arc<Kernel>>>> = OnceLock::new();
    const KEPT: usize = 16;
    let kernels = KERNELS.get_or_init(Mutex::default);
    let lock = || kernels.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kernel) = lock().get(&rate) {
        return kernel.clone();
    }
    let kernel = Arc::new(Kernel::new(rate));
    let mut kept = lock();
    if kept.len() >= KEPT {
        kept.clear();
    }
    kept.insert(rate, kernel.clone());
    kernel
}

impl Kernel {
    fn new(rate: u32) -> Self {
        let divisor = gcd(rate, SAMPLE_RATE);
        let (step, phases) = (u64::from(rate / divisor), u64::from(SAMPLE_RATE / divisor));
        let filter = Filter::new(rate);
        let half = filter.half_width().ceil() as usize + 1;
        let taps = 2 * half;
        let exact = phases as usize * taps <= MAX_COEFFICIENTS;
        let rows = if exact {
            phases as usize
        } else {
            (MAX_COEFFICIENTS / taps).clamp(64, 1024)
        };
        // An interpolated table needs the row at phase 1, too.
        let count = if exact { rows } else { rows + 1 };
        let mut table = Vec::with_capacity(count * taps);
        for row in 0..count {
            let phase = row as f64 / rows as f64;
            table.extend(
                (0..taps).map(|tap| filter.at(tap as f64 - (half as f64 - 1.0) - phase) as f32),
            );
        }
        let mut kernel = Kernel {
            step,
            phases,
            half,
            rows,
            table,
            starts: Vec::new(),
        };
        for k in 0.. {
            let (base, phase) = kernel.position(k);
            let between = phase as f64 / phases as f64;
            if !filter.sees_start(base as f64 + between) {
                break;
            }
            kernel.starts.extend((0..taps).map(|tap| {
                let from_base = tap as f64 - (half as f64 - 1.0);
                filter.at_start(base as f64 + between, base as f64 + from_base) as f32
            }));
        }
        kernel
    }

    /// Taps of every phase.
    pub(super) fn taps(&self) -> usize {
        2 * self.half
    }

    /// Input samples before position 0 that the first output needs.
    pub(super) fn before(&self) -> usize {
        self.half
    }

    /// Input samples after an output's position that it needs.
    pub(super) fn after(&self) -> usize {
        self.half
    }

    /// Input position at or before output `k`, and the phase in `0..phases` between it and the next.
    pub(super) fn position(&self, k: u64) -> (u64, u64) {
        let at = u128::from(k) * u128::from(self.step);
        let phases = u128::from(self.phases);
        ((at / phases) as u64, (at % phases) as u64)
    }

    /// Output sample `k` from its `taps` input samples.
    pub(super) fn output(&self, k: u64, input: &[f32]) -> f32 {
        let taps = self.taps();
        let at = usize::try_from(k)
            .unwrap_or(usize::MAX)
            .saturating_mul(taps);
        if let Some(start) = self.starts.get(at..at.saturating_add(taps)) {
            return dot(start, input);
        }
        self.apply(self.position(k).1, input)
    }

    fn apply(&self, phase: u64, input: &[f32]) -> f32 {
        let taps = self.taps();
        let row = |row: usize| dot(&self.table[row * taps..(row + 1) * taps], input);
        if self.rows as u64 == self.phases {
            return row(phase as usize);
        }
        let at = phase as f64 * self.rows as f64 / self.phases as f64;
        let (low, between) = (at as usize, at.fract() as f32);
        row(low) * (1.0 - between) + row(low + 1) * between
    }
}

/// Sum of products in eight running sums, which the compiler turns into vectors.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8
        .remainder()
        .iter()
        .zip(b8.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a8.zip(b8) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (b + f)) + ((c + g) + (d + h)) + rest
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The continuous impulse response, in samples of the input.
struct Filter {
    /// Input samples per sample of the rate at which the sharp stage works.
    mid: f64,
    /// The sharp stage: one response, or its taps at the middle rate with the gentle one after it.
    sharp: Sinc,
    gentle: Option<(Sinc, Vec<f64>)>,
    gain: f64,
}

impl Filter {
    fn new(rate: u32) -> Self {
        let ratio = f64::from(rate) / f64::from(SAMPLE_RATE);
        // soxr halves the rate while the ratio is 4 or more.
        let mut halvings = 0;
        while ratio / f64::from(1 << (halvings + 1)) >= 2.0 {
            halvings += 1;
        }
        let rest = ratio / f64::from(1 << halvings);
        let divisor = gcd(rate, SAMPLE_RATE << halvings);
        let (up, down) = ((SAMPLE_RATE << halvings) / divisor, rate / divisor);
        let single = up.max(down) < 5 || up.saturating_mul(down) < 6;
        let db = match (single, halvings) {
            (true, 0) => STOP_DB,
            (true, n) => STOP_DB + decibels(f64::from(n) + 1.0),
            (false, 0) => STOP_DB + decibels(2.0),
            (false, n) => STOP_DB + decibels(2.0) + decibels(f64::from(n) + 1.0),
        };
        // Nyquist frequency of the stage's rate, in units of the lower Nyquist frequency.
        let doubling = if rest < 2.0 { 2.0 } else { 1.0 };
        let nyquist = if single {
            f64::from(up.max(down))
        } else {
            doubling * rest.max(1.0)
        };
        // soxr rounds its filters up to 1 tap more than a multiple of this.
        let multiple = match up {
            2 | 4 if single => 2 * up,
            _ => 4,
        };
        let sharp = Sinc::sharp(db, nyquist, f64::from(multiple));
        let lower = ratio.min(1.0) / ratio; // lower rate / input rate
        if single {
            let sharp = sharp.scaled(lower);
            return Filter {
                mid: 1.0,
                sharp,
                gentle: None,
                gain: 1.0,
            };
        }
        let mid = f64::from(1 << halvings) / doubling;
        // The sharp stage's taps stand at the middle rate, whose Nyquist frequency is `nyquist`.
        let sharp = sharp.scaled(1.0 / nyquist);
        let taps: Vec<f64> = {
            let half = sharp.half.ceil() as i64;
            let taps: Vec<f64> = (-half..=half).map(|n| sharp.at(n as f64)).collect();
            let sum: f64 = taps.iter().sum();
            taps.into_iter().map(|tap| tap / sum).collect()
        };
        Filter {
            mid,
            sharp,
            gentle: Some((Sinc::gentle(db, nyquist, ratio < 1.0), taps)),
            gain: 1.0 / mid,
        }
    }

    /// Half the length of the response, in input samples.
    fn half_width(&self) -> f64 {
        match &self.gentle {
            None => self.sharp.half,
            Some((gentle, taps)) => ((taps.len() / 2) as f64 + gentle.half) * self.mid,
        }
    }

    /// The response `t` input samples from its centre.
    fn at(&self, t: f64) -> f64 {
        let Some((gentle, taps)) = &self.gentle else {
            return self.gain * self.sharp.at(t);
        };
        let (t, centre) = (t / self.mid, (taps.len() / 2) as f64);
        let low = (t + centre - gentle.half).ceil().max(0.0) as usize;
        let high = (t + centre + gentle.half)
            .floor()
            .min(taps.len() as f64 - 1.0);
        if high < low as f64 {
            return 0.0;
        }
        let near = low..=high as usize;
        self.gain
            * near
                .map(|n| taps[n] * gentle.at(t + centre - n as f64))
                .sum::<f64>()
    }

    /// Whether the gentle stage, at input time `t`, reaches back before the clip.
    fn sees_start(&self, t: f64) -> bool {
        self.gentle
            .as_ref()
            .is_some_and(|(gentle, _)| t / self.mid < gentle.half)
    }

    /// Weight of the input sample at `from` in an output at `t` close to the start. soxr's stages
    /// each begin with the clip: what the sharp one rings before it, the gentle one never sees.
    fn at_start(&self, t: f64, from: f64) -> f64 {
        let Some((gentle, taps)) = &self.gentle else {
            return self.at(from - t);
        };
        let scale = taps[taps.len() / 2] / self.sharp.at(0.0);
        let (t, from) = (t / self.mid, from / self.mid);
        let (low, high) = (
            (t - gentle.half).ceil().max(0.0) as u64,
            (t + gentle.half).floor() as u64,
        );
        let sum = |n: u64| scale * self.sharp.at(n as f64 - from) * gentle.at(t - n as f64);
        self.gain * (low..=high).map(sum).sum::<f64>()
    }
}

/// A Kaiser-windowed sinc of unit gain: `cut · sinc(cut · t) · I0(β √(1 - (t/half)²)) / I0(β)`.
struct Sinc {
    /// -6 dB point in units of the Nyquist frequency.
    cut: f64,
    beta: f64,
    /// Half the length of the window, in samples.
    half: f64,
}

impl Sinc {
    /// The sharp stage at a rate whose Nyquist frequency is `nyquist` times the lower one; in
    /// samples of the lower rate.
    fn sharp(db: f64, nyquist: f64, multiple: f64) -> Self {
        let beta = sharp_beta(db);
        let transition = 0.5 * (1.0 - PASS) / nyquist;
        let least = (kaiser_length(beta) / transition + 1.0).ceil();
        let taps = ((least - 1.0) / multiple).ceil() * multiple + 1.0;
        Sinc {
            cut: 0.5 * (1.0 + PASS),
            beta,
            half: 0.5 * taps / nyquist,
        }
    }

    /// The same shape where a sample of its rate is `1 / scale` samples.
    fn scaled(self, scale: f64) -> Self {
        Sinc {
            cut: self.cut * scale,
            beta: self.beta,
            half: self.half / scale,
        }
    }

    /// The gentle stage after a sharp one at `nyquist`, in samples of that rate.
    fn gentle(db: f64, nyquist: f64, upwards: bool) -> Self {
        let (pass, stop) = (PASS / nyquist, 1.0 / nyquist);
        // It must stop the images of what the sharp stage left: of 70 % of its slope.
        let far = 2.0 - (pass + 0.7 * (stop - pass));
        let near = far - (far - pass) / (1.0 - edge(db));
        let transition = 0.5 * (far - near);
        let beta = gentle_beta(db);
        let mut taps = (kaiser_length(beta) / transition).ceil();
        if !upwards {
            taps += taps % 2.0;
        }
        Sinc {
            cut: 0.5 * (far + near),
            beta,
            half: 0.5 * taps,
        }
    }

    fn at(&self, t: f64) -> f64 {
        let y = t / self.half;
        if y.abs() >= 1.0 {
            return 0.0;
        }
        let x = PI * self.cut * t;
        let sinc = if x == 0.0 { 1.0 } else { x.sin() / x };
        self.cut * sinc * bessel_i0(self.beta * (1.0 - y * y).sqrt()) / bessel_i0(self.beta)
    }
}

fn decibels(x: f64) -> f64 {
    20.0 * x.log10()
}

/// Kaiser's β for a narrow transition band, measured on soxr's impulse responses between 126 and
/// 139 dB.
fn sharp_beta(db: f64) -> f64 {
    13.040 + 0.1116 * (db - 126.43)
}

/// Kaiser's β for a transition band of half the spectrum.
fn gentle_beta(db: f64) -> f64 {
    14.058 + 0.1116 * (db - 132.45)
}

/// Taps a Kaiser window of `beta` needs, times the transition band from the -6 dB point to the stop
/// band in units of the Nyquist frequency.
fn kaiser_length(beta: f64) -> f64 {
    ((0.000_752_836 - 1.577_7e-5 * beta) * beta + 0.624_802) * beta + 0.061_869
}

/// Where the loss of a Kaiser-windowed sinc reaches [`EDGE_DB`], as a part of its transition band
/// from the start.
fn edge(db: f64) -> f64 {
    // The slope is near an integrated bell: loss `s` at `asin(s^(1/p)) / φ`.
    let phi = ((2.0517e-7 * db - 1.1303e-4) * db + 0.023_154) * db + 0.559_24;
    let power = 0.5f64.ln() / (0.5 * phi).sin().ln();
    let loss = 1.0 - 10f64.powf(-EDGE_DB / 20.0);
    loss.powf(1.0 / power).asin() / phi
}

/// Modified Bessel function of the first kind, order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = 0.25 * x * x;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..200 {
        term *= quarter / f64::from(n * n);
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bessel_by_table() {
        // Abramowitz and Stegun, table 9.8: I0(1), I0(10).
        assert!((bessel_i0(1.0) - 1.266_065_877_752_008).abs() < 1e-14);
        assert!((bessel_i0(10.0) / 2_815.716_628_466_254 - 1.0).abs() < 1e-14);
    }

    #[test]
    fn a_constant_stays_what_it_is_at_every_phase() {
        for rate in [
            8_000, 11_025, 15_999, 22_050, 44_100, 48_000, 88_200, 192_000, 767_999,
        ] {
            let kernel = Kernel::new(rate);
            let ones = vec![1.0; kernel.taps()];
            for phase in (0..kernel.phases).step_by(1 + kernel.phases as usize / 97) {
                let sum = kernel.apply(phase, &ones);
                assert!((sum - 1.0).abs() < 5e-6, "{rate} Hz, phase {phase}: {sum}");
            }
        }
    }

    #[test]
    fn tables_stay_small_at_every_ratio() {
        for rate in [1_000, 1_001, 15_999, 44_101, 191_999, 767_999, 768_000] {
            assert!(
                Kernel::new(rate).table.len() <= MAX_COEFFICIENTS + 40_000,
                "{rate} Hz"
            );
        }
    }
}
