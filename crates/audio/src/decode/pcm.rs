//! Plain samples: every width, byte order and number format that a wav, aiff or au can hold.

use std::io::{Read, Seek, SeekFrom};

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::CODEC_ID_ADPCM_MS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::codecs::AdpcmDecoder;

use super::alaw::{from_alaw, from_mulaw};
use super::chunks::Endian;
use super::ima::{self, QT_BYTES, QT_FRAMES};
use super::source::Source;
use super::{Decode, Failure, Track};

/// How one sample, or one block of samples, is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Unsigned bytes, 128 being silence.
    U8,
    /// Two's complement of 1 to 4 bytes. Fewer valid bits are at the top, zeros below them.
    Int { bytes: usize, order: Endian },
    /// 24 bits in the lower three of four bytes, as some recorders write them.
    LowInt24,
    /// IEEE 754, 4 or 8 bytes.
    Float { bytes: usize, order: Endian },
    /// G.711 µ-law.
    MuLaw,
    /// G.711 A-law.
    ALaw,
    /// Adaptive differential PCM: `frames` samples per channel in every block of `bytes`.
    Adpcm {
        kind: Adpcm,
        bytes: usize,
        frames: usize,
    },
}

/// The kinds of ADPCM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Adpcm {
    Microsoft,
    Ima,
    QuickTime,
}

impl Encoding {
    /// Its name, as ffmpeg spells it.
    fn name(self) -> String {
        let end = |order| if order == Endian::Little { "le" } else { "be" };
        match self {
            Encoding::U8 => "pcm_u8".into(),
            Encoding::Int { bytes: 1, .. } => "pcm_s8".into(),
            Encoding::Int { bytes, order } => format!("pcm_s{}{}", bytes * 8, end(order)),
            Encoding::LowInt24 => "pcm_s24le in 4 bytes".into(),
            Encoding::Float { bytes, order } => format!("pcm_f{}{}", bytes * 8, end(order)),
            Encoding::MuLaw => "pcm_mulaw".into(),
            Encoding::ALaw => "pcm_alaw".into(),
            Encoding::Adpcm {
                kind: Adpcm::Microsoft,
                ..
            } => "adpcm_ms".into(),
            Encoding::Adpcm {
                kind: Adpcm::QuickTime,
                ..
            } => "adpcm_ima_qt".into(),
            Encoding::Adpcm {
                kind: Adpcm::Ima, ..
            } => "adpcm_ima_wav".into(),
        }
    }

    /// Bytes and frames of the smallest unit that can be decoded alone.
    fn block(self, channels: usize) -> (usize, usize) {
        match self {
            Encoding::U8 | Encoding::MuLaw | Encoding::ALaw => (channels, 1),
            Encoding::Int { bytes, .. } | Encoding::Float { bytes, .. } => (bytes * channels, 1),
            Encoding::LowInt24 => (4 * channels, 1),
            Encoding::Adpcm { bytes, frames, .. } => (bytes, frames),
        }
    }
}

/// Where a file's samples lie and what they are.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) container: &'static str,
    pub(super) encoding: Encoding,
    pub(super) channels: usize,
    pub(super) rate: u32,
    /// First byte of the samples.
    pub(super) start: u64,
    /// Bytes of samples that the file really holds.
    pub(super) len: u64,
    /// Samples per channel, where a header says it apart from the length in bytes.
    pub(super) frames: Option<u64>,
    pub(super) notes: Vec<String>,
}

/// Samples of a plain container, block after block.
pub(super) struct PcmStream {
    source: Source,
    track: Track,
    encoding: Encoding,
    /// Bytes and frames per block.
    block: (usize, usize),
    left_bytes: u64,
    left_frames: u64,
    bytes: Vec<u8>,
    state: State,
    notes: Vec<String>,
}

/// Frames decoded at a time.
const FRAMES: usize = 4096;

impl PcmStream {
    pub(super) fn new(mut source: Source, layout: Layout) -> Result<Self, Failure> {
        let Layout {
            container,
            encoding,
            channels,
            rate,
            start,
            len,
            frames,
            mut notes,
        } = layout;
        let block = encoding.block(channels);
        if channels == 0 || block.0 == 0 || block.1 == 0 {
            return Err(Failure::Malformed(
                "no channels, or samples of no length".into(),
            ));
        }
        let whole = len / block.0 as u64;
        let held = whole.saturating_mul(block.1 as u64);
        let spare = len % block.0 as u64;
        if spare != 0 && encoding != Encoding::U8 {
            notes.push(format!(
                "{spare} bytes after the last whole sample are left out"
            ));
        }
        let frames = frames.filter(|&f| f > 0).map_or(held, |f| f.min(held));
        let state = match encoding {
            Encoding::Adpcm {
                kind: Adpcm::Microsoft,
                frames,
                ..
            } => State::Microsoft(Box::new(microsoft(channels, rate, frames)?)),
            Encoding::Adpcm {
                kind: Adpcm::QuickTime,
                ..
            } => State::QuickTime(ima::QuickTime::new(channels)),
            _ => State::None,
        };
        source.seek(SeekFrom::Start(start))?;
        let track = Track {
            container: container.into(),
            codec: encoding.name(),
            rate,
            channels,
            frames: Some(frames),
        };
        let left_bytes = whole * block.0 as u64;
        Ok(PcmStream {
            source,
            track,
            encoding,
            block,
            left_bytes,
            left_frames: frames,
            bytes: Vec::new(),
            state,
            notes,
        })
    }
}

/// What a decoder keeps from block to block.
enum State {
    None,
    Microsoft(Box<AdpcmDecoder>),
    QuickTime(ima::QuickTime),
}

fn microsoft(channels: usize, rate: u32, frames: usize) -> Result<AdpcmDecoder, Failure> {
    if channels > 2 {
        return Err(Failure::Unsupported(format!(
            "ADPCM of {channels} channels"
        )));
    }
    let mut params = AudioCodecParameters::new();
    params
        .for_codec(CODEC_ID_ADPCM_MS)
        .with_sample_rate(rate)
        .with_channels(Channels::Discrete(channels as u16))
        .with_max_frames_per_packet(FRAMES.max(frames) as u64)
        .with_frames_per_block(frames as u64);
    AdpcmDecoder::try_new(&params, &AudioDecoderOptions::default())
        .map_err(|error| Failure::Unsupported(error.to_string()))
}

impl Decode for PcmStream {
    fn track(&self) -> &Track {
        &self.track
    }

    fn next(&mut self, out: &mut Vec<f32>) -> Result<Option<usize>, Failure> {
        out.clear();
        let blocks = (FRAMES / self.block.1)
            .max(1)
            .min((self.left_bytes / self.block.0 as u64) as usize);
        if blocks == 0 || self.left_frames == 0 {
            return Ok(None);
        }
        self.bytes.resize(blocks * self.block.0, 0);
        let mut got = 0;
        while got < self.bytes.len() {
            match self.source.read(&mut self.bytes[got..])? {
                0 => break,
                n => got += n,
            }
        }
        // A file that shrinks while it is read ends where it now ends.
        if got < self.bytes.len() {
            self.notes
                .push("the file became shorter while it was read".into());
            self.left_bytes = 0;
        } else {
            self.left_bytes -= got as u64;
        }
        let whole = got / self.block.0;
        self.bytes.truncate(whole * self.block.0);
        match (&mut self.state, self.encoding) {
            (State::Microsoft(decoder), _) => {
                let frames = Duration::from((whole * self.block.1) as u64);
                let packet = Packet::new(0, Timestamp::new(0), frames, self.bytes.clone());
                let block = decoder
                    .decode(&packet)
                    .map_err(|e| Failure::Damaged(e.to_string()))?;
                block.copy_to_vec_interleaved(out);
            }
            (State::QuickTime(decoder), _) => decoder.blocks(&self.bytes, out),
            (State::None, Encoding::Adpcm { bytes, .. }) => {
                ima::wav_blocks(&self.bytes, bytes, self.track.channels, out);
            }
            (State::None, encoding) => samples(&self.bytes, encoding, out),
        }
        let frames = (out.len() / self.track.channels) as u64;
        if frames > self.left_frames {
            out.truncate(self.left_frames as usize * self.track.channels);
        }
        self.left_frames -= frames.min(self.left_frames);
        Ok(Some(self.track.channels))
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Appends the samples in `bytes`, scaled as libsndfile scales them: integers of `b` bits by
/// `2^(1-b)`, floats not at all.
fn samples(bytes: &[u8], encoding: Encoding, out: &mut Vec<f32>) {
    let int16 = |value: i16| f32::from(value) / 32_768.0;
    match encoding {
        Encoding::U8 => out.extend(bytes.iter().map(|&b| (f32::from(b) - 128.0) / 128.0)),
        Encoding::MuLaw => out.extend(bytes.iter().map(|&b| int16(from_mulaw(b)))),
        Encoding::ALaw => out.extend(bytes.iter().map(|&b| int16(from_alaw(b)))),
        Encoding::Int {
            bytes: width,
            order,
        } => out.extend(bytes.chunks_exact(width).map(|b| {
            // The bytes at the top of 32 bits: one rule for every width.
            let mut word = [0u8; 4];
            match order {
                Endian::Little => word[4 - width..].copy_from_slice(b),
                Endian::Big => {
                    word[4 - width..].copy_from_slice(b);
                    word[4 - width..].reverse();
                }
            }
            i32::from_le_bytes(word) as f32 / 2_147_483_648.0
        })),
        Encoding::LowInt24 => out.extend(
            bytes
                .chunks_exact(4)
                .map(|b| i32::from_le_bytes([0, b[0], b[1], b[2]]) as f32 / 2_147_483_648.0),
        ),
        Encoding::Float { bytes: 8, order } => out.extend(
            bytes
                .chunks_exact(8)
                .map(|b| f64::from_bits(order.u64(b, 0)) as f32),
        ),
        Encoding::Float { order, .. } => {
            out.extend(
                bytes
                    .chunks_exact(4)
                    .map(|b| f32::from_bits(order.u32(b, 0))),
            );
        }
        Encoding::Adpcm { .. } => unreachable!("ADPCM goes through its decoder"),
    }
}

/// ADPCM in wav blocks of `bytes`: Microsoft's (tag 2) or IMA's (tag 0x11).
pub(super) fn wav_adpcm(tag: u16, bytes: usize, channels: usize) -> Result<Encoding, Failure> {
    let (kind, header, first) = if tag == 2 {
        (Adpcm::Microsoft, 7, 2)
    } else {
        (Adpcm::Ima, 4, 1)
    };
    match bytes.checked_sub(header * channels) {
        Some(body) if channels > 0 => {
            // IMA's samples come in groups of 8 of each channel.
            let body = if tag == 2 {
                body
            } else {
                body / (4 * channels) * (4 * channels)
            };
            Ok(Encoding::Adpcm {
                kind,
                bytes,
                frames: body * 2 / channels + first,
            })
        }
        _ => Err(Failure::Malformed(format!("ADPCM blocks of {bytes} bytes"))),
    }
}

/// ADPCM as QuickTime writes it: 34 bytes per channel for 64 samples.
pub(super) fn quicktime_adpcm(channels: usize) -> Encoding {
    Encoding::Adpcm {
        kind: Adpcm::QuickTime,
        bytes: QT_BYTES * channels,
        frames: QT_FRAMES,
    }
}
