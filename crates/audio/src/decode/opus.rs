//! Opus packets (RFC 6716) of one track, as samples (RFC 7845).
//!
//! Decoded by `ropus`, a port of libopus's fixed-point decoder. Beside libsndfile's float libopus
//! it is identical bit for bit for speech (SILK) and differs by at most 3e-4, 2e-5 rms, for music
//! (CELT): `docs/decoding.md`. Sound above full scale is clipped, as libopus does for 16 bits.

use ropus::{Channels, DecodeMode, Decoder, OpusMSDecoder};

use super::Failure;
use super::chunks::Endian;

/// Longest packet: 120 ms.
const MAX_PACKET_S: f64 = 0.12;

/// Decoder of one Opus track.
pub(super) struct OpusPackets {
    streams: Streams,
    /// Rate of the samples that come out.
    rate: u32,
    channels: usize,
    /// Samples per channel still to be left out at the start.
    skip: usize,
    out: Vec<f32>,
    ints: Vec<i16>,
}

enum Streams {
    One(Box<Decoder>),
    /// Surround: several streams in a packet, with their gain.
    Many(Box<OpusMSDecoder>, f32),
}

impl OpusPackets {
    /// `head`: the identification header, `OpusHead...`. `ogg`: whether the container is Ogg,
    /// where the header's rate is that of the recording, and libsndfile decodes at the lowest
    /// Opus rate that holds it (48 kHz where the header does not say).
    pub(super) fn new(head: &[u8], ogg: bool) -> Result<Self, Failure> {
        let bad = |what: &str| Failure::Malformed(format!("the Opus header: {what}"));
        if head.len() < 19 || !head.starts_with(b"OpusHead") {
            return Err(bad("is missing or stops short"));
        }
        // An mp4 holds the same fields in the other byte order, as version 0.
        let order = if head[8] == 0 {
            Endian::Big
        } else {
            Endian::Little
        };
        let channels = usize::from(head[9]);
        let pre_skip = usize::from(order.u16(head, 10));
        let recorded = order.u32(head, 12);
        let gain = order.u16(head, 16) as i16;
        let rate = match recorded {
            1..=8_000 if ogg => 8_000,
            8_001..=12_000 if ogg => 12_000,
            12_001..=16_000 if ogg => 16_000,
            16_001..=24_000 if ogg => 24_000,
            _ => 48_000,
        };
        let streams = match (head[18], channels) {
            (0, 1 | 2) => {
                let layout = if channels == 1 {
                    Channels::Mono
                } else {
                    Channels::Stereo
                };
                let mut one = Decoder::new(rate, layout).map_err(|e| bad(&e.to_string()))?;
                one.set_gain(i32::from(gain))
                    .map_err(|e| bad(&e.to_string()))?;
                Streams::One(Box::new(one))
            }
            (1 | 255, 1..) => {
                let mapping = head
                    .get(21..21 + channels)
                    .ok_or_else(|| bad("no channel map"))?;
                let many = OpusMSDecoder::new(
                    rate as i32,
                    channels as i32,
                    i32::from(head[19]),
                    i32::from(head[20]),
                    mapping,
                );
                let many = many.map_err(|code| bad(&format!("channel map (error {code})")))?;
                // RFC 7845, 5.1: gain in dB, 8 fractional bits.
                Streams::Many(Box::new(many), 10f32.powf(f32::from(gain) / (20.0 * 256.0)))
            }
            (family, n) => {
                return Err(Failure::Unsupported(format!(
                    "Opus of {n} channels in mapping family {family}"
                )));
            }
        };
        let frame = (MAX_PACKET_S * f64::from(rate)) as usize * channels;
        Ok(OpusPackets {
            streams,
            rate,
            channels,
            skip: pre_skip / (48_000 / rate) as usize,
            out: vec![0.0; frame],
            ints: vec![0; frame],
        })
    }

    /// Leaves the pre-skip in, since the container counts it to the start that it leaves out.
    pub(super) fn keep_pre_skip(&mut self) {
        self.skip = 0;
    }

    /// Samples per channel that will be left out at the start.
    pub(super) fn pre_skip(&self) -> u64 {
        self.skip as u64
    }

    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// Decodes one packet and appends its samples, interleaved, without the pre-skip and without
    /// the last `trim` samples per channel at 48 kHz.
    pub(super) fn decode(
        &mut self,
        packet: &[u8],
        trim: u64,
        out: &mut Vec<f32>,
    ) -> Result<(), String> {
        // An empty packet means a lost one to the decoder, which would then invent sound.
        if packet.is_empty() {
            return Err("an empty Opus packet".into());
        }
        let frames = match &mut self.streams {
            Streams::One(one) => one
                .decode_float(packet, &mut self.out, DecodeMode::Normal)
                .map_err(|e| e.to_string())?,
            Streams::Many(many, gain) => {
                let most = (self.ints.len() / self.channels) as i32;
                let n = many
                    .decode(
                        Some(packet),
                        packet.len() as i32,
                        &mut self.ints,
                        most,
                        false,
                    )
                    .map_err(|code| format!("Opus error {code}"))?;
                let n = usize::try_from(n).unwrap_or(0);
                for (to, from) in self.out.iter_mut().zip(&self.ints[..n * self.channels]) {
                    *to = f32::from(*from) / 32_768.0 * *gain;
                }
                n
            }
        };
        let trim = (trim / u64::from(48_000 / self.rate)) as usize;
        let end = frames.saturating_sub(trim);
        let start = self.skip.min(end);
        self.skip -= start.min(self.skip);
        out.extend_from_slice(&self.out[start * self.channels..end * self.channels]);
        Ok(())
    }
}
