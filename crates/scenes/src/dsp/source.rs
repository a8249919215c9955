//! Where vibration comes from: noise, impulses, oscillators.

use super::RATE;
use super::maths::quick_sine;

/// White noise by xorshift (Marsaglia 2003): three shifts a sample.
#[derive(Debug, Clone)]
pub(crate) struct Noise(u32);

impl Noise {
    /// Any `seed`; zero, from which xorshift never leaves, is mapped away.
    pub(crate) fn new(seed: u32) -> Self {
        Self(seed | 1)
    }

    #[inline]
    fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// Uniform in `[-1, 1]`.
    #[inline]
    pub(crate) fn tick(&mut self) -> f32 {
        self.bits() as i32 as f32 * (1.0 / 2_147_483_648.0)
    }

    /// Uniform in `[0, 1]`.
    #[inline]
    pub(crate) fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// An impulse of random height and sign, `per_second` of them on average, else zero.
    #[inline]
    pub(crate) fn sparks(&mut self, per_second: f32) -> f32 {
        if self.unit() * RATE < per_second {
            let height = self.tick();
            height * height * height * 4.0
        } else {
            0.0
        }
    }
}

/// A phase that goes round.
#[derive(Debug, Clone)]
pub(crate) struct Osc {
    phase: f32,
    step: f32,
}

impl Osc {
    /// Starts at phase zero.
    pub(crate) fn new(hz: f32) -> Self {
        let mut osc = Self {
            phase: 0.0,
            step: 0.0,
        };
        osc.tune(hz);
        osc
    }

    /// Starts at `phase` in `[0, 1)`.
    pub(crate) fn at(hz: f32, phase: f32) -> Self {
        Self {
            phase,
            ..Self::new(hz)
        }
    }

    /// Changes the frequency without a jump. Held below half the sample rate.
    #[inline]
    pub(crate) fn tune(&mut self, hz: f32) {
        self.step = (hz * (1.0 / RATE)).clamp(0.0, 0.49);
    }

    /// Moves on by one sample; true where a new period begins.
    #[inline]
    pub(crate) fn advance(&mut self) -> bool {
        self.phase += self.step;
        let wraps = self.phase >= 1.0;
        if wraps {
            self.phase -= 1.0;
        }
        wraps
    }

    /// Where in the period, in `[0, 1)`.
    #[inline]
    pub(crate) fn phase(&self) -> f32 {
        self.phase
    }

    /// A sine.
    #[inline]
    pub(crate) fn sine(&mut self) -> f32 {
        self.advance();
        quick_sine(self.phase)
    }

    /// A sawtooth, its jump smoothed over two samples against aliasing (polyBLEP).
    #[inline]
    pub(crate) fn saw(&mut self) -> f32 {
        self.advance();
        2.0 * self.phase - 1.0 - self.jump(self.phase)
    }

    /// A rectangle that is up for `width` of the period; its mean is removed.
    #[inline]
    pub(crate) fn pulse(&mut self, width: f32) -> f32 {
        self.advance();
        let mut falling = self.phase - width;
        if falling < 0.0 {
            falling += 1.0;
        }
        let level = if self.phase < width { 1.0 } else { -1.0 };
        level + self.jump(self.phase) - self.jump(falling) + 1.0 - 2.0 * width
    }

    #[inline]
    fn jump(&self, phase: f32) -> f32 {
        let step = self.step;
        if phase < step {
            let t = phase / step;
            t + t - t * t - 1.0
        } else if phase > 1.0 - step {
            let t = (phase - 1.0) / step;
            t * t + t + t + 1.0
        } else {
            0.0
        }
    }
}

/// Level that wanders between random targets, for gusts, swells and hands that are not machines.
#[derive(Debug, Clone)]
pub(crate) struct Drift {
    noise: Noise,
    value: f32,
    step: f32,
    left: usize,
    period: f32,
    low: f32,
    high: f32,
}

impl Drift {
    /// Reaches a new target in `[low, high]` every `seconds` or so.
    pub(crate) fn new(mut noise: Noise, seconds: f32, low: f32, high: f32) -> Self {
        Self {
            value: low + (high - low) * noise.unit(),
            noise,
            step: 0.0,
            left: 0,
            period: seconds * RATE,
            low,
            high,
        }
    }

    /// The next level.
    #[inline]
    pub(crate) fn tick(&mut self) -> f32 {
        if self.left == 0 {
            let span = self.period * (0.5 + self.noise.unit());
            let target = self.low + (self.high - self.low) * self.noise.unit();
            self.left = span as usize + 1;
            self.step = (target - self.value) / self.left as f32;
        }
        self.left -= 1;
        self.value += self.step;
        self.value
    }
}
