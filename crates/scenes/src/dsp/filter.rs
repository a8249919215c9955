//! What bodies and air do to vibration.

use super::RATE;
use super::maths::{cos_turns, exp2, sin_turns};

/// `e^(-2π hz / rate)`.
fn pole(hz: f32) -> f32 {
    exp2(-std::f32::consts::TAU * hz / RATE * std::f32::consts::LOG2_E)
}

/// Six decibels an octave above `hz`.
#[derive(Debug, Clone)]
pub(crate) struct Soften {
    keep: f32,
    state: f32,
}

impl Soften {
    pub(crate) fn new(hz: f32) -> Self {
        Self {
            keep: pole(hz),
            state: 0.0,
        }
    }

    /// Sets the share that is kept, `[0, 1)`, directly: for sweeps, where [`Soften::new`] per sample
    /// would cost more than the sound.
    #[inline]
    pub(crate) fn keep(&mut self, keep: f32) {
        self.keep = keep;
    }

    #[inline]
    pub(crate) fn low(&mut self, x: f32) -> f32 {
        self.state = x + (self.state - x) * self.keep;
        self.state
    }
}

/// A band around one frequency: a formant, a cavity, a panel. Unit gain at its centre.
#[derive(Debug, Clone)]
pub(crate) struct Band {
    radius: f32,
    a1: f32,
    a2: f32,
    b0: f32,
    x1: f32,
    x2: f32,
    y1: f32,
    y2: f32,
}

impl Band {
    /// `width_hz` between the points 3 dB down.
    pub(crate) fn new(hz: f32, width_hz: f32) -> Self {
        let radius = pole(width_hz * 0.5);
        let mut band = Self {
            radius,
            a1: 0.0,
            a2: radius * radius,
            b0: (1.0 - radius * radius) * 0.5,
            x1: 0.0,
            x2: 0.0,
            y1: 0.0,
            y2: 0.0,
        };
        band.tune(hz);
        band
    }

    /// Moves the centre and keeps the ringing.
    pub(crate) fn tune(&mut self, hz: f32) {
        self.a1 = -2.0 * self.radius * cos_turns((hz / RATE).clamp(0.001, 0.49));
    }

    #[inline]
    pub(crate) fn tick(&mut self, x: f32) -> f32 {
        let y = self.b0 * (x - self.x2) - self.a1 * self.y1 - self.a2 * self.y2;
        self.x2 = self.x1;
        self.x1 = x;
        self.y2 = self.y1;
        self.y1 = y;
        y
    }
}

/// Twelve decibels an octave, low or high pass (Bristow-Johnson's cookbook, Q = 0.707).
#[derive(Debug, Clone)]
pub(crate) struct Steep {
    b: [f32; 3],
    a: [f32; 2],
    x: [f32; 2],
    y: [f32; 2],
}

impl Steep {
    pub(crate) fn low(hz: f32) -> Self {
        Self::new(hz, 1.0)
    }

    pub(crate) fn high(hz: f32) -> Self {
        Self::new(hz, -1.0)
    }

    fn new(hz: f32, sign: f32) -> Self {
        let turn = (hz / RATE).clamp(0.001, 0.49);
        let (cos, alpha) = (
            cos_turns(turn),
            sin_turns(turn) * std::f32::consts::FRAC_1_SQRT_2,
        );
        let norm = 1.0 / (1.0 + alpha);
        let edge = (1.0 - sign * cos) * 0.5 * norm;
        Self {
            b: [edge, 2.0 * sign * edge, edge],
            a: [-2.0 * cos * norm, (1.0 - alpha) * norm],
            x: [0.0; 2],
            y: [0.0; 2],
        }
    }

    #[inline]
    pub(crate) fn tick(&mut self, x: f32) -> f32 {
        let y = self.b[0] * x + self.b[1] * self.x[0] + self.b[2] * self.x[1]
            - self.a[0] * self.y[0]
            - self.a[1] * self.y[1];
        self.x = [x, self.x[0]];
        self.y = [y, self.y[0]];
        y
    }
}

/// Bends peaks smoothly towards ±1, for engines and throats driven hard.
#[inline]
pub(crate) fn drive(x: f32) -> f32 {
    x / (1.0 + x.abs())
}
