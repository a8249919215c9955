//! From a scene to samples: each group alone, measured, placed, then the room and the floor.

use crate::dsp::curve::fade;
use crate::dsp::dice::Dice;
use crate::dsp::filter::Steep;
use crate::dsp::maths::gain;
use crate::dsp::room::reverberate;
use crate::dsp::samples;
use crate::families::{Family, Register, Take};
use crate::scene::{Group, Scene};

/// Loudness of a plain foreground group: the root mean square of its loudest tenth of a second.
const LOUDNESS: f32 = 0.1;
/// Half the sample rate, less what a filter there would leave unchanged.
const NYQUIST: f32 = 7_000.0;
/// No group peaks above this before mixing, however short and sharp it is.
const PEAK: f32 = 0.9;

/// The clip of `scene`: mono, 16 kHz, finite, within ±0.99.
pub(crate) fn render(scene: &Scene) -> Vec<f32> {
    let mut out = vec![0.0; samples(scene.duration_s)];
    let mut wet = scene.room.as_ref().map(|_| vec![0.0; out.len()]);
    for group in &scene.groups {
        let (start, layer) = render_group(group, out.len());
        add(&mut out[start..], &layer, 1.0);
        if let Some(wet) = &mut wet {
            add(&mut wet[start..], &layer, group.wet);
        }
    }
    if let (Some(room), Some(wet)) = (&scene.room, &wet) {
        reverberate(&mut out, wet, room.size, room.lasting, room.dull_hz);
    }
    if let Some(background) = &scene.background {
        let mut layer = vec![0.0; out.len()];
        perform(
            background.family(),
            background.voice,
            0,
            Register::Usual,
            &mut layer,
        );
        let level = levelling(&layer) * gain(background.level_db);
        add(&mut out, &layer, level);
    }
    let mut noise = Dice::new(scene.seed(), 2).noise();
    // A uniform variate has a root mean square of 1/√3.
    let floor = LOUDNESS * gain(scene.microphone.floor_db + 20.0) * 1.732;
    let mut low_cut = Steep::high(scene.microphone.low_cut_hz);
    for sample in &mut out {
        *sample = low_cut.tick(*sample) + floor * noise.tick();
    }
    if scene.microphone.high_cut_hz < NYQUIST {
        let mut high_cut = Steep::low(scene.microphone.high_cut_hz);
        for sample in &mut out {
            *sample = high_cut.tick(*sample);
        }
    }
    let peak = out.iter().fold(1e-9_f32, |peak, x| peak.max(x.abs()));
    let scale = scene.peak / peak;
    for sample in &mut out {
        *sample *= scale;
    }
    out
}

/// Where `group` starts in a clip of `n` samples, and its samples at their final level.
fn render_group(group: &Group, n: usize) -> (usize, Vec<f32>) {
    let first = samples(group.starts_s[0]);
    let end = samples(group.end_s()).min(n);
    let mut layer = vec![0.0; end - first];
    for (i, &start_s) in group.starts_s.iter().enumerate() {
        let start = samples(start_s) - first;
        let end = (start + samples(group.each_s)).min(layer.len());
        let event = &mut layer[start..end];
        perform(group.family(), group.voice, i as u64, group.register, event);
        if group.family().is_texture() {
            fade(event, samples(0.04), samples(0.06));
        } else {
            fade(event, 8, samples(0.008));
        }
    }
    if group.dull_hz < NYQUIST {
        let mut air = Steep::low(group.dull_hz);
        for sample in &mut layer {
            *sample = air.tick(*sample);
        }
    }
    let level = levelling(&layer) * gain(group.level_db);
    for sample in &mut layer {
        *sample *= level;
    }
    (first, layer)
}

/// Sounds repetition `i` of the source that `voice` is the seed of.
fn perform(family: &Family, voice: u64, i: u64, register: Register, out: &mut [f32]) {
    let mut take = Take {
        same: Dice::new(voice, 0),
        each: Dice::new(voice, i + 1),
        register,
    };
    family.sound()(&mut take, out);
}

/// The factor that brings `layer` to [`LOUDNESS`], or as near as [`PEAK`] allows.
fn levelling(layer: &[f32]) -> f32 {
    let mut loudest = 1e-12_f32;
    let mut peak = 1e-6_f32;
    for window in layer.chunks(1_600) {
        let mut sum = 0.0;
        for x in window {
            sum += x * x;
            peak = peak.max(x.abs());
        }
        loudest = loudest.max(sum / 1_600.0);
    }
    (LOUDNESS / loudest.sqrt()).min(PEAK / peak)
}

fn add(out: &mut [f32], layer: &[f32], level: f32) {
    for (sample, x) in out.iter_mut().zip(layer) {
        *sample += level * x;
    }
}
