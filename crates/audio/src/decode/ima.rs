//! IMA ADPCM (Interactive Multimedia Association, 1992): 4 bits a sample, steps that adapt.
//!
//! The step is summed from its shifted parts, as the recommendation and libsndfile do; decoders that
//! multiply instead drift by up to 7e-4.

/// Step sizes.
const STEPS: [i32; 89] = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66,
    73, 80, 88, 97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449,
    494, 544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272,
    2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493,
    10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
];

/// What a code does to the step's index.
const ADAPT: [i32; 8] = [-1, -1, -1, -1, 2, 4, 6, 8];

/// One channel's state.
#[derive(Debug, Clone, Copy, Default)]
struct Predictor {
    value: i32,
    index: i32,
}

impl Predictor {
    fn next(&mut self, code: u8) -> f32 {
        let step = STEPS[self.index as usize];
        let mut by = step >> 3;
        for (bit, part) in [(4, step), (2, step >> 1), (1, step >> 2)] {
            if code & bit != 0 {
                by += part;
            }
        }
        let value = if code & 8 != 0 {
            self.value - by
        } else {
            self.value + by
        };
        self.value = value.clamp(-32_768, 32_767);
        self.index = (self.index + ADAPT[usize::from(code & 7)]).clamp(0, 88);
        self.value as f32 / 32_768.0
    }
}

/// Bytes of a QuickTime block of one channel, and the samples in it.
pub(super) const QT_BYTES: usize = 34;
pub(super) const QT_FRAMES: usize = 64;

/// Decodes wav blocks of `bytes` (format 0x11): a header of 4 bytes for each channel, the first
/// sample being in it, then 8 samples of each channel in turn. Appends interleaved samples.
pub(super) fn wav_blocks(data: &[u8], bytes: usize, channels: usize, out: &mut Vec<f32>) {
    for block in data.chunks_exact(bytes) {
        let (heads, body) = block.split_at(4 * channels);
        let mut predictors = Vec::with_capacity(channels);
        for head in heads.chunks_exact(4) {
            let value = i32::from(i16::from_le_bytes([head[0], head[1]]));
            predictors.push(Predictor {
                value,
                index: i32::from(head[2]).min(88),
            });
            out.push(value as f32 / 32_768.0);
        }
        for group in body.chunks_exact(4 * channels) {
            let start = out.len();
            out.resize(start + 8 * channels, 0.0);
            for (channel, codes) in group.chunks_exact(4).enumerate() {
                for (pair, byte) in codes.iter().enumerate() {
                    for (half, code) in [byte & 15, byte >> 4].into_iter().enumerate() {
                        let frame = 2 * pair + half;
                        out[start + frame * channels + channel] = predictors[channel].next(code);
                    }
                }
            }
        }
    }
}

/// Decodes QuickTime's blocks: 34 bytes of each channel in turn, for 64 samples.
#[derive(Debug)]
pub(super) struct QuickTime(Vec<Predictor>);

impl QuickTime {
    pub(super) fn new(channels: usize) -> Self {
        QuickTime(vec![Predictor::default(); channels])
    }

    /// Appends interleaved samples; bytes after the last whole block are left out.
    ///
    /// A block begins with the upper 9 bits of the sample before it. Where that agrees with the
    /// sample as decoded, the decoded one is the better of the two and is kept.
    pub(super) fn blocks(&mut self, data: &[u8], out: &mut Vec<f32>) {
        let channels = self.0.len();
        for block in data.chunks_exact(QT_BYTES * channels) {
            let start = out.len();
            out.resize(start + QT_FRAMES * channels, 0.0);
            for (channel, part) in block.chunks_exact(QT_BYTES).enumerate() {
                let head = u16::from_be_bytes([part[0], part[1]]);
                let value = i32::from((head & 0xFF80) as i16);
                let index = i32::from(head & 0x7F).min(88);
                let predictor = &mut self.0[channel];
                if predictor.index != index || (predictor.value - value).abs() > 0x7F {
                    *predictor = Predictor { value, index };
                }
                for (pair, byte) in part[2..].iter().enumerate() {
                    for (half, code) in [byte & 15, byte >> 4].into_iter().enumerate() {
                        out[start + (2 * pair + half) * channels + channel] = predictor.next(code);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_by_hand() {
        // Step 7: code 4 adds 0 + 7, the index rises to 2; step 9: code 12 takes 1 + 9 away.
        let mut predictor = Predictor {
            value: 1_000,
            index: 0,
        };
        assert_eq!(predictor.next(4), 1_007.0 / 32_768.0);
        assert_eq!(predictor.next(12), 997.0 / 32_768.0);
        assert_eq!(predictor.index, 4);
    }

    #[test]
    fn the_predictor_stays_within_16_bits() {
        let mut predictor = Predictor {
            value: 32_000,
            index: 88,
        };
        assert_eq!(predictor.next(7), 32_767.0 / 32_768.0);
        assert_eq!(predictor.index, 88);
        let low = (0..4).map(|_| predictor.next(15)).last();
        assert_eq!(low, Some(-1.0));
    }
}
