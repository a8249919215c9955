//! SpecAugment's masks, filled with what silence is in this clip.

use aurola_audio::LogMel;

use super::super::random::Random;
use super::MasksConfig;

/// Silences stretches and bands of `mel`.
pub(in super::super) fn mask(mel: &mut LogMel, config: &MasksConfig, random: &mut Random) {
    let (bands, frames) = (mel.n_mels(), mel.n_frames());
    let mut within = |of: usize, most: usize| {
        let width = random.below(most.min(of / 3) as u64 + 1) as usize;
        let from = random.below((of - width) as u64 + 1) as usize;
        from..from + width
    };
    for _ in 0..config.times {
        mel.silence(0..bands, within(frames, config.most_frames));
    }
    for _ in 0..config.bands {
        mel.silence(within(bands, config.most_bands), 0..frames);
    }
}
