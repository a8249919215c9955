//! A small room: parallel combs that lose their highs, then one all-pass (Schroeder 1962, cut down).

use super::filter::Soften;

/// Adds the echo of `wet` to `out`, both of one length. `size` scales the delays, about `[0.5, 1.5]`;
/// `lasting` is the feedback, `[0, 0.9]`; `dull_hz` is where the walls begin to swallow.
pub(crate) fn reverberate(out: &mut [f32], wet: &[f32], size: f32, lasting: f32, dull_hz: f32) {
    let mut combs = [467.0, 631.0, 797.0].map(|delay| Comb {
        line: vec![0.0; (delay * size) as usize],
        at: 0,
        wall: Soften::new(dull_hz),
    });
    let mut spread = vec![0.0; (149.0 * size) as usize];
    let mut at = 0;
    for (sample, &send) in out.iter_mut().zip(wet) {
        let mut sum = 0.0;
        for comb in &mut combs {
            sum += comb.tick(send, lasting);
        }
        let delayed = spread[at];
        let feed = sum + 0.5 * delayed;
        spread[at] = feed;
        at += 1;
        if at == spread.len() {
            at = 0;
        }
        *sample += delayed - 0.5 * feed;
    }
}

struct Comb {
    line: Vec<f32>,
    at: usize,
    wall: Soften,
}

impl Comb {
    #[inline]
    fn tick(&mut self, x: f32, lasting: f32) -> f32 {
        let delayed = self.line[self.at];
        self.line[self.at] = x + self.wall.low(delayed) * lasting;
        self.at += 1;
        if self.at == self.line.len() {
            self.at = 0;
        }
        delayed
    }
}
