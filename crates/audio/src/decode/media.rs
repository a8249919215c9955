//! Compressed streams: symphonia's demuxers and decoders, with ropus for Opus.

use std::io;
use std::sync::OnceLock;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known as codecs;
use symphonia::core::codecs::audio::{AudioCodecId, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::{Hint, Probe};
use symphonia::core::formats::{FormatOptions, FormatReader, Track as MediaTrack, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::default::formats::{
    AdtsReader, CafReader, FlacReader, IsoMp4Reader, MkvReader, MpaReader, OggReader,
};

use super::continuity::Continuity;
use super::gapless::{Edit, Span, edit};
use super::ima::QuickTime;
use super::opus::OpusPackets;
use super::source::Source;
use super::{Decode, Failure, NO_PROGRESS, Track};

/// Packets at the very end that may be undecodable in a file that was cut off. More is damage.
const TORN_PACKETS: usize = 2;

/// The compressed formats. No tag readers: tags outside the stream were left out by [`Source`].
fn probe() -> &'static Probe {
    static PROBE: OnceLock<Probe> = OnceLock::new();
    PROBE.get_or_init(|| {
        let mut probe = Probe::default();
        probe.register_format::<FlacReader<'_>>();
        probe.register_format::<OggReader<'_>>();
        probe.register_format::<IsoMp4Reader<'_>>();
        probe.register_format::<MkvReader<'_>>();
        probe.register_format::<CafReader<'_>>();
        probe.register_format::<AdtsReader<'_>>();
        probe.register_format::<MpaReader<'_>>();
        probe
    })
}

/// Opens a compressed stream. `outer`: name of a container that wraps it; `notes`: what that has to
/// tell.
pub(super) fn open(
    mut source: Source,
    outer: Option<&str>,
    notes: Vec<String>,
) -> Result<Box<dyn Decode>, Failure> {
    source.skip_flac_metadata()?;
    let edit = edit(&mut source)?;
    let continuity = Continuity::new(&mut source)?;
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    let reader = probe()
        .probe(
            &Hint::new(),
            stream,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
        .map_err(|error| match error {
            Error::Unsupported("core (probe): no suitable format reader found") => {
                Failure::Unrecognized
            }
            other => failure(other),
        })?;
    let mut stream = MediaStream::new(reader, edit, continuity, outer)?;
    stream.notes.splice(0..0, notes);
    Ok(Box::new(stream))
}

struct MediaStream {
    reader: Box<dyn FormatReader>,
    track: Track,
    id: u32,
    decoder: Decoder,
    continuity: Continuity,
    /// The first block, decoded to learn what really comes out.
    first: Option<Vec<f32>>,
    /// Frames to leave out at the start, and to keep after that.
    skip: u64,
    keep: Option<u64>,
    /// Frames that are held back, since the last ones are padding.
    tail: u64,
    held: Vec<f32>,
    produced: u64,
    /// Packets in a row that could not be decoded, and why the first could not.
    torn: usize,
    reason: String,
    ended: bool,
    notes: Vec<String>,
}

enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<OpusPackets>),
    /// QuickTime's ADPCM, with its channels and rate.
    Ima(QuickTime, usize, u32),
}

impl MediaStream {
    fn new(
        reader: Box<dyn FormatReader>,
        edit: Edit,
        continuity: Continuity,
        outer: Option<&str>,
    ) -> Result<Self, Failure> {
        let info = *reader.format_info();
        let ogg = info.short_name == "ogg";
        let chosen = reader
            .default_track(TrackType::Audio)
            .or_else(|| reader.first_track(TrackType::Audio));
        let chosen = chosen.ok_or(Failure::NoSound)?;
        let id = chosen.id;
        let seconds = match (chosen.num_frames, chosen.time_base) {
            (Some(ticks), Some(tick)) => Some(ticks as f64 * f64::from(tick)),
            _ => None,
        };
        let (mut decoder, codec) = decoder(chosen, ogg)?;
        let mut pre_skip = 0;
        if let Decoder::Opus(opus) = &mut decoder {
            if edit.skip != Span::default() {
                opus.keep_pre_skip();
            }
            pre_skip = opus.pre_skip();
        }
        let mut stream = MediaStream {
            reader,
            track: Track {
                container: outer.unwrap_or(info.short_name).into(),
                codec,
                rate: 0,
                channels: 0,
                frames: None,
            },
            id,
            decoder,
            continuity,
            first: None,
            skip: 0,
            keep: None,
            tail: 0,
            held: Vec::new(),
            produced: 0,
            torn: 0,
            reason: String::new(),
            ended: false,
            notes: Vec::new(),
        };
        let mut block = Vec::new();
        while block.is_empty() {
            if !stream.decode(&mut block)? {
                return Err(if stream.torn > 0 {
                    Failure::Damaged(stream.reason)
                } else {
                    Failure::NoSound
                });
            }
        }
        let rate = stream.track.rate;
        stream.skip = edit.skip.frames(rate);
        stream.tail = edit.tail.frames(rate);
        stream.keep = edit.keep.map(|keep| keep.frames(rate));
        let all = seconds.map(|s| (s * f64::from(rate)).round() as u64);
        let skipped = stream.skip + pre_skip;
        stream.track.frames = stream.keep.or(all.map(|all| all.saturating_sub(skipped)));
        stream.first = Some(block);
        Ok(stream)
    }

    /// Appends the next packet's samples to `out`; false at the end of the stream.
    fn decode(&mut self, out: &mut Vec<f32>) -> Result<bool, Failure> {
        let Some(packet) = self.packet()? else {
            return Ok(false);
        };
        self.continuity.follow(&packet).map_err(Failure::Damaged)?;
        match self.samples(&packet, out) {
            Ok(()) if out.is_empty() => Ok(true),
            Ok(()) if self.torn == 0 => Ok(true),
            Ok(()) => self.forgive_start().map(|()| true),
            Err(Failure::Damaged(reason)) => {
                if self.torn == 0 {
                    self.reason = reason;
                }
                self.torn += 1;
                out.clear();
                Ok(true)
            }
            Err(other) => Err(other),
        }
    }

    /// Sound follows packets that could not be decoded. At the start of an mp3 that was cut out of
    /// a longer one this is no damage: its first frames borrow bits from frames that are gone.
    fn forgive_start(&mut self) -> Result<(), Failure> {
        let mpeg = matches!(self.track.codec.as_str(), "mp1" | "mp2" | "mp3");
        if mpeg && self.produced == 0 && self.torn <= TORN_PACKETS {
            self.notes.push(format!(
                "{} packets that start before the file does are left out",
                self.torn
            ));
            self.torn = 0;
            return Ok(());
        }
        Err(Failure::Damaged(std::mem::take(&mut self.reason)))
    }

    /// The next packet of our track.
    fn packet(&mut self) -> Result<Option<Packet>, Failure> {
        loop {
            match self.reader.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.id => return Ok(Some(packet)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(Error::IoError(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.notes
                        .push("the file ends in the middle of a packet".into());
                    return Ok(None);
                }
                // A chained stream starts over with another header.
                Err(Error::ResetRequired) => self.restart()?,
                // Nonsense after all the sound that was promised is no part of it.
                Err(Error::DecodeError(reason)) if self.is_complete() => {
                    self.notes
                        .push(format!("what follows the sound is left out ({reason})"));
                    return Ok(None);
                }
                Err(error) => return Err(failure(error)),
            }
        }
    }

    /// Whether as much was decoded as the header promises.
    fn is_complete(&self) -> bool {
        self.track
            .frames
            .is_some_and(|frames| self.produced >= frames)
    }

    /// What is to be said at the end of the stream.
    fn conclude(&mut self) {
        let rate = f64::from(self.track.rate);
        let promised = self.track.frames.unwrap_or(0);
        // A tenth of a second: what encoders round their counts by.
        if self.produced as f64 + 0.1 * rate < promised as f64 {
            let (held, promised) = (self.produced as f64 / rate, promised as f64 / rate);
            let note = format!("the header promises {promised:.2} s, {held:.2} s are there");
            self.notes.push(note);
        }
        self.notes.extend(self.continuity.note());
    }

    fn restart(&mut self) -> Result<(), Failure> {
        let ogg = self.reader.format_info().short_name == "ogg";
        let chosen = self
            .reader
            .first_track_known_codec(TrackType::Audio)
            .ok_or(Failure::NoSound)?;
        let id = chosen.id;
        let (decoder, _) = decoder(chosen, ogg)?;
        (self.id, self.decoder) = (id, decoder);
        self.continuity.restart();
        Ok(())
    }

    /// Decodes one packet into `out`.
    fn samples(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<(), Failure> {
        out.clear();
        let (rate, channels) = match &mut self.decoder {
            Decoder::Opus(opus) => {
                opus.decode(&packet.data, packet.trim_end.get(), out)
                    .map_err(Failure::Damaged)?;
                (opus.rate(), opus.channels())
            }
            Decoder::Ima(decoder, channels, rate) => {
                decoder.blocks(&packet.data, out);
                (*rate, *channels)
            }
            Decoder::Symphonia(decoder) => {
                let block = decoder.decode(packet).map_err(failure)?;
                block.copy_to_vec_interleaved(out);
                (block.spec().rate(), block.spec().channels().count())
            }
        };
        if out.is_empty() {
            return Ok(());
        }
        if self.track.rate == 0 {
            self.track.rate = rate;
        }
        if rate != self.track.rate {
            let from = self.track.rate;
            return Err(Failure::Unsupported(format!(
                "a sample rate that changes from {from} to {rate} Hz"
            )));
        }
        self.track.channels = channels;
        Ok(())
    }

    /// Leaves out what the container says is not sound.
    fn trim(&mut self, out: &mut Vec<f32>) {
        let channels = self.track.channels.max(1);
        let skip = self.skip.min((out.len() / channels) as u64);
        self.skip -= skip;
        out.drain(..skip as usize * channels);
        if let Some(keep) = self.keep {
            let left = keep.saturating_sub(self.produced);
            out.truncate(
                usize::try_from(left)
                    .unwrap_or(usize::MAX)
                    .saturating_mul(channels),
            );
            self.ended |= (out.len() / channels) as u64 == left;
        }
        if self.tail > 0 {
            self.held.append(out);
            let ripe = self
                .held
                .len()
                .saturating_sub(self.tail as usize * channels);
            out.extend(self.held.drain(..ripe));
        }
        self.produced += (out.len() / channels) as u64;
    }
}

impl Decode for MediaStream {
    fn track(&self) -> &Track {
        &self.track
    }

    fn next(&mut self, out: &mut Vec<f32>) -> Result<Option<usize>, Failure> {
        out.clear();
        if self.ended {
            return Ok(None);
        }
        if let Some(first) = self.first.take() {
            *out = first;
        } else if !self.decode(out)? {
            self.ended = true;
            if self.torn > TORN_PACKETS {
                return Err(Failure::Damaged(std::mem::take(&mut self.reason)));
            }
            if self.torn > 0 {
                self.notes.push(format!(
                    "the last packet is cut off and left out ({})",
                    self.reason
                ));
            }
            self.conclude();
            return Ok(None);
        }
        self.trim(out);
        Ok(Some(self.track.channels))
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// The decoder for a track, and the codec's name.
fn decoder(track: &MediaTrack, ogg: bool) -> Result<(Decoder, String), Failure> {
    let Some(CodecParameters::Audio(params)) = &track.codec_params else {
        return Err(Failure::NoSound);
    };
    if params.codec == codecs::CODEC_ID_OPUS {
        let head = params.extra_data.as_deref().unwrap_or_default();
        return Ok((
            Decoder::Opus(Box::new(OpusPackets::new(head, ogg)?)),
            "opus".into(),
        ));
    }
    if let (codecs::CODEC_ID_ADPCM_IMA_QT, Some(channels), Some(rate)) =
        (params.codec, &params.channels, params.sample_rate)
    {
        let channels = channels.count().max(1);
        let decoder = Decoder::Ima(QuickTime::new(channels), channels, rate);
        return Ok((decoder, "adpcm_ima_qt".into()));
    }
    // symphonia cuts an mp3 at a length that it may only have estimated; `gapless` knows better.
    let mpeg = [
        codecs::CODEC_ID_MP1,
        codecs::CODEC_ID_MP2,
        codecs::CODEC_ID_MP3,
    ]
    .contains(&params.codec);
    let options = AudioDecoderOptions::default().gapless(!mpeg);
    let made = symphonia::default::get_codecs().make_audio_decoder(params, &options);
    match made {
        Ok(decoder) => {
            let name = decoder.codec_info().short_name.to_owned();
            Ok((Decoder::Symphonia(decoder), name))
        }
        Err(error) => Err(Failure::Unsupported(
            match (codec_name(params.codec), error) {
                (Some(name), _) => name.into(),
                (None, error) => format!("its codec ({error})"),
            },
        )),
    }
}

/// Names of codecs that containers carry and that are not decoded here.
fn codec_name(codec: AudioCodecId) -> Option<&'static str> {
    Some(match codec {
        codecs::CODEC_ID_AC3 => "AC-3",
        codecs::CODEC_ID_EAC3 => "E-AC-3",
        codecs::CODEC_ID_AC4 => "AC-4",
        codecs::CODEC_ID_DCA => "DTS",
        codecs::CODEC_ID_WMA => "Windows Media Audio",
        codecs::CODEC_ID_WAVPACK => "WavPack",
        codecs::CODEC_ID_SPEEX => "Speex",
        codecs::CODEC_ID_AAC => "this kind of AAC",
        _ => return None,
    })
}

fn failure(error: Error) -> Failure {
    match error {
        Error::IoError(error) if error.to_string() == NO_PROGRESS => Failure::Stalled,
        Error::IoError(error) => Failure::from(error),
        Error::Unsupported(what) => Failure::Unsupported(what.into()),
        Error::DecodeError(reason) | Error::LimitError(reason) => Failure::Damaged(reason.into()),
        other => Failure::Damaged(other.to_string()),
    }
}
