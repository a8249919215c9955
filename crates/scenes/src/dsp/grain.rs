//! Short things: a struck body, a burst of noise, a bubble.

use super::filter::Band;
use super::maths::{cos_turns, decay, quick_sine, sin_turns};
use super::source::Noise;
use super::{RATE, samples};

/// One way a struck body rings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode {
    /// Frequency.
    pub(crate) hz: f32,
    /// Seconds to fall by 60 dB.
    pub(crate) ring_s: f32,
    /// Amplitude at the start.
    pub(crate) level: f32,
}

/// Adds a body struck at sample `at`: decaying sines, two multiplications a sample each.
pub(crate) fn strike(out: &mut [f32], at: usize, modes: &[Mode]) {
    for mode in modes {
        if mode.hz >= 0.48 * RATE || at >= out.len() {
            continue;
        }
        let radius = decay(mode.ring_s);
        let turn = mode.hz / RATE;
        let (feed, back) = (2.0 * radius * cos_turns(turn), radius * radius);
        let (mut y1, mut y2) = (mode.level * radius * sin_turns(turn), 0.0);
        // 80 dB down nothing is heard of it.
        let end = (at + samples(mode.ring_s * 1.33) + 8).min(out.len());
        for sample in &mut out[at..end] {
            *sample += y2;
            let next = feed * y1 - back * y2;
            y2 = y1;
            y1 = next;
        }
    }
}

/// Adds noise through a band, falling by 60 dB in `fall_s` from sample `at`.
pub(crate) fn burst(
    out: &mut [f32],
    at: usize,
    noise: &mut Noise,
    hz: f32,
    width_hz: f32,
    fall_s: f32,
    level: f32,
) {
    if at >= out.len() {
        return;
    }
    let mut band = Band::new(hz, width_hz);
    let factor = decay(fall_s);
    // A band passes the share `width / rate` of the power; without this a narrow one would be silent.
    let mut height = level * 1.7 * (0.5 * RATE / width_hz.min(0.5 * RATE)).sqrt();
    let end = (at + samples(fall_s * 1.2) + 64).min(out.len());
    for sample in &mut out[at..end] {
        *sample += band.tick(noise.tick() * height);
        height *= factor;
    }
}

/// Adds an air bubble in water from sample `at`: a sine that rises by `rise` octaves a second or so
/// while it dies away (van den Doel 2005).
pub(crate) fn bubble(out: &mut [f32], at: usize, hz: f32, rise: f32, fall_s: f32, level: f32) {
    if at >= out.len() {
        return;
    }
    let factor = decay(fall_s);
    let (mut phase, mut step, mut height) = (0.0_f32, hz / RATE, level);
    let climb = 1.0 + rise / RATE;
    let end = (at + samples(fall_s)).min(out.len());
    let mut ramp = 0.0_f32;
    for sample in &mut out[at..end] {
        ramp = (ramp + 0.02).min(1.0);
        *sample += quick_sine(phase) * height * ramp;
        height *= factor;
        step = (step * climb).min(0.45);
        phase += step;
        if phase >= 1.0 {
            phase -= 1.0;
        }
    }
}
