//! One engine for everything that has a throat: a source with a pitch, and formants above it.

use super::RATE;
use super::curve::line;
use super::dice::Dice;
use super::filter::{Band, Soften};
use super::maths::quick_sine;
use super::source::Osc;

/// Points `(moment in [0, 1], value)`, ascending.
pub(crate) type Points<'a> = &'a [(f32, f32)];

/// A resonance of the mouth, moving over the call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Formant<'a> {
    /// Its centre over the call.
    pub(crate) hz: Points<'a>,
    /// Its width.
    pub(crate) width_hz: f32,
    /// Its level.
    pub(crate) level: f32,
}

/// One call: how it runs over its length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// Pitch over the call.
    pub(crate) pitch_hz: Points<'a>,
    /// Level over the call.
    pub(crate) level: Points<'a>,
    /// Resonances.
    pub(crate) formants: &'a [Formant<'a>],
    /// Noise beside the tone; 0 sings, 1 is half noise, large whispers.
    pub(crate) breath: f32,
    /// How unlike the periods are, `[0, 1]`: a growl, a bleat, a caw.
    pub(crate) rough: f32,
    /// Vibrato: rate in hertz and depth as a share of the pitch.
    pub(crate) vibrato: (f32, f32),
}

/// Adds `call` to `out`, over its whole length.
pub(crate) fn utter(dice: &mut Dice, out: &mut [f32], call: &Call<'_>) {
    const BLOCK: usize = 48;
    let n = out.len();
    let mut noise = dice.noise();
    let mut fold = Osc::new(100.0);
    let mut tilt = Soften::new(2_500.0);
    let mut bands: Vec<(Band, f32)> = call
        .formants
        .iter()
        .map(|formant| (Band::new(500.0, formant.width_hz), formant.level))
        .collect();
    let mut period_level = 1.0;
    let mut period_pitch = 1.0;
    let mut vibrato_phase = 0.0_f32;
    let mut level = line(call.level, 0.0);
    let mut start = 0;
    while start < n {
        let end = n.min(start + BLOCK);
        let moment = end as f32 / n as f32;
        vibrato_phase += call.vibrato.0 * BLOCK as f32 / RATE;
        vibrato_phase -= vibrato_phase.floor();
        let bend = 1.0 + call.vibrato.1 * quick_sine(vibrato_phase);
        let pitch = line(call.pitch_hz, moment) * bend;
        for ((band, _), formant) in bands.iter_mut().zip(call.formants) {
            band.tune(line(formant.hz, moment));
        }
        let target = line(call.level, moment);
        let step = (target - level) / (end - start) as f32;
        for sample in &mut out[start..end] {
            fold.tune(pitch * period_pitch);
            let before = fold.phase();
            let saw = fold.saw();
            if fold.phase() < before {
                period_level = 1.0 - call.rough * noise.unit();
                period_pitch = 1.0 + (0.01 + 0.08 * call.rough) * noise.tick();
            }
            let air = noise.tick() * call.breath;
            let source = tilt.low(saw) * period_level + air;
            let mut voice = 0.0;
            for (band, gain) in &mut bands {
                voice += band.tick(source) * *gain;
            }
            *sample += voice * level;
            level += step;
        }
        start = end;
    }
}
