//! Windows of one sound, as the spans that answer.

use aurola_retrieval::ScoredSpan;

use crate::listen::seconds;
use crate::search::Moment;

/// How far below the best window, on the way down to what random pairs score, a window still answers.
const SHARE: f32 = 0.25;
/// The same where nothing is known of random pairs.
const PLAIN: f32 = 0.02;
/// Spans of a hit.
const MOST: usize = 8;

/// Joins windows that answer nearly as well as the best one where they touch; best first.
///
/// `windows`: of one sound, in order of time. `middle`: the middle score of random pairs.
pub(super) fn spans(windows: &[ScoredSpan], middle: Option<f32>) -> Vec<Moment> {
    let Some(best) = windows.iter().map(|w| w.score).max_by(f32::total_cmp) else {
        return Vec::new();
    };
    let least = best - middle.map_or(PLAIN, |middle| ((best - middle) * SHARE).max(0.0));
    let mut joined: Vec<ScoredSpan> = Vec::new();
    for window in windows.iter().filter(|window| window.score >= least) {
        match joined.last_mut() {
            Some(last) if window.span.start <= last.span.end => {
                last.span.end = last.span.end.max(window.span.end);
                last.score = last.score.max(window.score);
            }
            _ => joined.push(*window),
        }
    }
    joined.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.span.cmp(&b.span)));
    joined.truncate(MOST);
    joined.iter().map(moment).collect()
}

pub(super) fn moment(scored: &ScoredSpan) -> Moment {
    Moment {
        start_s: seconds(scored.span.start),
        end_s: seconds(scored.span.end),
        score: scored.score,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aurola_retrieval::Span;

    fn window(start_s: u64, score: f32) -> ScoredSpan {
        let span = Span {
            start: start_s * 16_000,
            end: (start_s + 30) * 16_000,
        };
        ScoredSpan { span, score }
    }

    #[test]
    fn neighbours_that_answer_become_one_span_and_others_stay_apart() {
        let windows = [
            window(0, 0.5),
            window(25, 0.48),
            window(50, 0.1),
            window(75, 0.46),
            window(100, 0.2),
        ];
        let found: Vec<(f64, f64)> = spans(&windows, Some(0.1))
            .iter()
            .map(|m| (m.start_s, m.end_s))
            .collect();
        assert_eq!(found, [(0.0, 55.0), (75.0, 105.0)]);
        let strict: Vec<f64> = spans(&windows, None).iter().map(|m| m.start_s).collect();
        assert_eq!(strict, [0.0]);
        assert!(spans(&[], None).is_empty());
    }
}
