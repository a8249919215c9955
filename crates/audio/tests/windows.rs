//! Windows cover a clip, whatever its length and theirs.

use aurola_audio::{AudioError, ClipInfo, SampleSource, Window, WindowConfig, Windows, read_whole};
use proptest::prelude::*;

/// A clip whose sample `n` is `n`.
struct Count {
    info: ClipInfo,
    at: usize,
    len: usize,
}

impl Count {
    fn new(len: usize) -> Self {
        let info = ClipInfo {
            container: "test".into(),
            codec: "count".into(),
            sample_rate: 16_000,
            channels: 1,
            duration_s: None,
        };
        Count { info, at: 0, len }
    }
}

impl SampleSource for Count {
    fn info(&self) -> &ClipInfo {
        &self.info
    }

    fn read(&mut self, out: &mut [f32]) -> Result<usize, AudioError> {
        let n = out.len().min(self.len - self.at);
        for (i, sample) in out[..n].iter_mut().enumerate() {
            *sample = (self.at + i) as f32;
        }
        self.at += n;
        Ok(n)
    }

    fn notes(&self) -> &[String] {
        &[]
    }
}

fn windows(len: usize, config: WindowConfig) -> Vec<Window> {
    Windows::new(Count::new(len), config)
        .map(Result::unwrap)
        .collect()
}

fn spans(len_s: f64, config: WindowConfig) -> Vec<(f64, f64)> {
    windows((len_s * 16_000.0) as usize, config)
        .iter()
        .map(|w| (w.start_s(), w.end_s()))
        .collect()
}

#[test]
fn spans_by_hand() {
    let usual = WindowConfig::default();
    assert_eq!(spans(0.0, usual), []);
    assert_eq!(spans(0.5, usual), [(0.0, 0.5)]);
    assert_eq!(spans(30.0, usual), [(0.0, 30.0)]);
    assert_eq!(spans(31.0, usual), [(0.0, 30.0), (25.0, 31.0)]);
    assert_eq!(
        spans(80.0, usual),
        [(0.0, 30.0), (25.0, 55.0), (50.0, 80.0)]
    );
    // Without overlap the last window would be 0.25 s: it reaches back to have 2 s.
    let tiles = WindowConfig::new(10.0, 10.0).unwrap();
    assert_eq!(
        spans(20.25, tiles),
        [(0.0, 10.0), (10.0, 20.0), (18.25, 20.25)]
    );
    assert_eq!(spans(20.0, tiles), [(0.0, 10.0), (10.0, 20.0)]);
    // Windows shorter than 2 s have their own length at the end.
    let short = WindowConfig::new(1.0, 1.0).unwrap();
    assert_eq!(spans(2.5, short), [(0.0, 1.0), (1.0, 2.0), (1.5, 2.5)]);
}

#[test]
fn settings_out_of_range_are_refused() {
    for (length, hop) in [
        (0.0, 1.0),
        (30.0, 0.0),
        (30.0, 31.0),
        (301.0, 1.0),
        (f64::NAN, 1.0),
        (30.0, f64::NAN),
    ] {
        assert!(WindowConfig::new(length, hop).is_err(), "{length} {hop}");
    }
}

#[test]
fn a_whole_clip_says_when_it_is_cut() {
    let whole = |len| read_whole(&mut Count::new(len), 2.0).unwrap();
    assert_eq!(whole(0), None);
    let exact = whole(32_000).unwrap();
    assert_eq!((exact.window.samples.len(), exact.is_cut), (32_000, false));
    let cut = whole(32_001).unwrap();
    assert_eq!((cut.window.samples.len(), cut.is_cut), (32_000, true));
    assert!(read_whole(&mut Count::new(5), f64::INFINITY).is_err());
}

proptest! {
    #[test]
    fn windows_cover_every_sample_and_every_short_event(
        len in 1usize..200_000,
        length in 1_600usize..60_000,
        hop_percent in 1usize..=100,
    ) {
        let hop = (length * hop_percent).div_ceil(100);
        let seconds = |n: usize| n as f64 / 16_000.0;
        let config = WindowConfig::new(seconds(length), seconds(hop)).unwrap();
        prop_assume!(len / hop < 400);
        let windows = windows(len, config);
        let mut covered = 0;
        for (k, window) in windows.iter().enumerate() {
            let (start, end) = (window.start as usize, window.end as usize);
            prop_assert!(start <= covered && end > covered && end - start <= length);
            if k + 1 < windows.len() {
                prop_assert_eq!((start, end), (k * hop, k * hop + length));
            } else {
                prop_assert!(start <= k * hop);
                prop_assert_eq!(end, len);
                prop_assert!(end - start >= len.min(32_000).min(length));
            }
            // What is in it is what its span says.
            prop_assert!(window.samples.iter().zip(start..end).all(|(s, n)| *s == n as f32));
            prop_assert_eq!(window.samples.len(), end - start);
            covered = end;
        }
        prop_assert_eq!(covered, len);
        // An event no longer than the overlap lies whole in one window.
        let event = length - hop;
        for at in (0..len.saturating_sub(event)).step_by(event / 3 + 97) {
            let inside = |w: &Window| w.start as usize <= at && at + event <= w.end as usize;
            prop_assert!(windows.iter().any(inside), "event at {}", at);
        }
    }
}
