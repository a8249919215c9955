//! How much of a file is believed: bounds against headers that lie and files that never end.

use std::path::Path;

use crate::error::{AudioError, Quantity};

/// Bounds on what may be decoded. The defaults let every sound library pass that we know of and
/// stop a hostile header before it costs memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Most channels of a track; in `1..=255`, default 32.
    pub max_channels: u32,
    /// Lowest sample rate in Hz; default 1,000.
    pub min_sample_rate: u32,
    /// Highest sample rate in Hz; default 768,000.
    pub max_sample_rate: u32,
    /// Longest clip in seconds, counted while decoding; default 604,800 (one week).
    pub max_duration_s: f64,
    /// Bytes that may be read without one new sample, beyond two passes over the file; default
    /// 16 MiB. Ends a demuxer that loops.
    pub max_idle_bytes: u64,
    /// Packets in a row that may yield no sample; default 100,000.
    pub max_idle_packets: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_channels: 32,
            min_sample_rate: 1_000,
            max_sample_rate: 768_000,
            max_duration_s: 604_800.0,
            max_idle_bytes: 16 << 20,
            max_idle_packets: 100_000,
        }
    }
}

impl Limits {
    /// Whether a track of `channels` at `rate` Hz may be decoded.
    pub(crate) fn admit(&self, path: &Path, channels: usize, rate: u32) -> Result<(), AudioError> {
        let over = |quantity, found: f64, limit: f64| {
            Err(AudioError::OverLimit {
                path: path.to_owned(),
                quantity,
                found,
                limit,
            })
        };
        if channels == 0 {
            return Err(AudioError::Malformed {
                path: path.to_owned(),
                reason: "no channels".into(),
            });
        }
        if channels > self.max_channels as usize {
            return over(
                Quantity::Channels,
                channels as f64,
                f64::from(self.max_channels),
            );
        }
        if rate < self.min_sample_rate {
            return over(
                Quantity::SampleRate,
                f64::from(rate),
                f64::from(self.min_sample_rate),
            );
        }
        if rate > self.max_sample_rate {
            return over(
                Quantity::SampleRate,
                f64::from(rate),
                f64::from(self.max_sample_rate),
            );
        }
        Ok(())
    }
}
