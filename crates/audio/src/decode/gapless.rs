//! What an encoder added before and after the sound, where symphonia leaves it in.
//!
//! AAC and the like begin with a frame or two of priming. An mp4 says which part of the decoded
//! samples is the sound in its edit list (ISO/IEC 14496-12, 8.6.6), an mp3 in the frame that LAME
//! puts first. mpg123 (so libsndfile, so librosa) and ffmpeg follow them.

use std::io;

use super::chunks::Endian;
use super::ebml::padding_s;
use super::source::Source;

/// The part of a track's decoded samples that is the sound.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Edit {
    /// Left out at the start.
    pub(super) skip: Span,
    /// Kept after that; `None`: all.
    pub(super) keep: Option<Span>,
    /// Left out at the end of what is decoded.
    pub(super) tail: Span,
}

/// A length of sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Span {
    Seconds(f64),
    /// Samples per channel.
    Frames(u64),
}

impl Default for Span {
    fn default() -> Self {
        Span::Frames(0)
    }
}

impl Span {
    /// In samples per channel at `rate` Hz.
    pub(super) fn frames(self, rate: u32) -> u64 {
        match self {
            Span::Seconds(seconds) => (seconds * f64::from(rate)).round() as u64,
            Span::Frames(frames) => frames,
        }
    }
}

/// What the container of `source` says about its sound.
pub(super) fn edit(source: &mut Source) -> io::Result<Edit> {
    let (magic, _) = source.peek::<8>(0)?;
    if magic[4..] == *b"ftyp" {
        mp4_edit(source)
    } else if magic.starts_with(&[0x1A, 0x45, 0xDF, 0xA3]) {
        let tail = Span::Seconds(padding_s(source)?);
        Ok(Edit {
            tail,
            ..Edit::default()
        })
    } else {
        mpeg_edit(source)
    }
}

/// Delay of an mp3 decoder, which mpg123 takes off whatever the encoder's delay is.
const DECODER_DELAY: u64 = 529;

/// What the Xing or Info frame at the start of an mp3 says: how many frames follow, and how many
/// samples at both ends the encoder added.
///
/// The same rule as mpg123's: where a frame count is given, the two delays after it are believed,
/// whoever wrote them; older files have zeros there.
fn mpeg_edit(source: &mut Source) -> io::Result<Edit> {
    let (head, n) = source.peek::<8192>(0)?;
    let head = &head[..n];
    // Sync, then side information of 9, 17 or 32 bytes, then the tag.
    let frame = (0..head.len().saturating_sub(48)).find_map(|at| {
        let sync = head[at] == 0xFF && head[at + 1] & 0xE6 == 0xE2;
        let (version, mono) = (head[at + 1] >> 3 & 3, head[at + 3] >> 6 == 3);
        let side = match (version == 3, mono) {
            (true, false) => 32,
            (false, true) => 9,
            _ => 17,
        };
        let tag = head.get(at + 4 + side..at + 8 + side)?;
        (sync && matches!(tag, b"Xing" | b"Info")).then_some((at + 8 + side, version == 3))
    });
    let Some((at, mpeg1)) = frame else {
        return Ok(Edit::default());
    };
    let order = Endian::Big;
    let flags = order.u32(head, at);
    let fields = [(1, 4), (2, 4), (4, 100), (8, 4)];
    let lame = at
        + 4
        + fields
            .iter()
            .filter(|(bit, _)| flags & bit != 0)
            .map(|(_, n)| n)
            .sum::<usize>();
    let frames = u64::from(order.u32(head, at + 4));
    if flags & 1 == 0 || frames == 0 || lame + 24 > head.len() {
        return Ok(Edit::default());
    }
    let delays = order.u32(head, lame + 20) & 0xFF_FFFF;
    let (delay, padding) = (u64::from(delays >> 12), u64::from(delays & 0xFFF));
    let total = frames * if mpeg1 { 1152 } else { 576 };
    Ok(Edit {
        skip: Span::Frames(delay + DECODER_DELAY),
        keep: Some(Span::Frames(total.saturating_sub(delay + padding)))
            .filter(|_| total > delay + padding),
        ..Edit::default()
    })
}

/// Most boxes looked at, and deepest nesting.
const MAX_BOXES: usize = 10_000;

/// The edit of the first audio track of an mp4; the default where it says nothing.
fn mp4_edit(source: &mut Source) -> io::Result<Edit> {
    let Some((start, end)) = child(source, 0, source.len(), b"moov")? else {
        return Ok(Edit::default());
    };
    let movie_scale = match child(source, start, end, b"mvhd")? {
        Some((at, _)) => time_scale(source, at)?,
        None => 0,
    };
    let mut at = start;
    for _ in 0..MAX_BOXES {
        let Some((tag, body, next)) = box_at(source, at, end)? else {
            break;
        };
        if &tag == b"trak"
            && let Some((media, media_end)) = child(source, body, next, b"mdia")?
            && let Some((handler, _)) = child(source, media, media_end, b"hdlr")?
            && source.peek::<12>(handler)?.0[8..] == *b"soun"
        {
            let scale = match child(source, media, media_end, b"mdhd")? {
                Some((at, _)) => time_scale(source, at)?,
                None => 0,
            };
            let list = match child(source, body, next, b"edts")? {
                Some((at, end)) => child(source, at, end, b"elst")?,
                None => None,
            };
            return Ok(match list {
                Some((at, _)) if scale > 0 => first_edit(source, at, scale, movie_scale)?,
                _ => Edit::default(),
            });
        }
        at = next;
    }
    Ok(Edit::default())
}

/// Reads the list at `at`; one entry is the case that encoders write, more are real edits of a
/// film, which are not applied.
fn first_edit(source: &mut Source, at: u64, scale: u32, movie_scale: u32) -> io::Result<Edit> {
    let (bytes, n) = source.peek::<28>(at)?;
    let order = Endian::Big;
    if n < 20 || order.u32(&bytes, 4) != 1 {
        return Ok(Edit::default());
    }
    let (duration, skip) = if bytes[0] == 1 {
        (order.u64(&bytes, 8), order.u64(&bytes, 16) as i64)
    } else {
        (
            u64::from(order.u32(&bytes, 8)),
            i64::from(order.u32(&bytes, 12) as i32),
        )
    };
    let skip = Span::Seconds(skip.max(0) as f64 / f64::from(scale));
    let keep = Span::Seconds(duration as f64 / f64::from(movie_scale.max(1)));
    let keep = (duration > 0 && movie_scale > 0).then_some(keep);
    Ok(Edit {
        skip,
        keep,
        ..Edit::default()
    })
}

/// The time scale in an `mvhd` or `mdhd` body, which have the same first fields.
fn time_scale(source: &mut Source, at: u64) -> io::Result<u32> {
    let (bytes, _) = source.peek::<24>(at)?;
    Ok(Endian::Big.u32(&bytes, if bytes[0] == 1 { 20 } else { 12 }))
}

/// Body of the first child called `name` in `[at, end)`.
fn child(
    source: &mut Source,
    mut at: u64,
    end: u64,
    name: &[u8; 4],
) -> io::Result<Option<(u64, u64)>> {
    for _ in 0..MAX_BOXES {
        match box_at(source, at, end)? {
            Some((tag, body, next)) if &tag == name => return Ok(Some((body, next))),
            Some((_, _, next)) => at = next,
            None => break,
        }
    }
    Ok(None)
}

/// Name, body and end of the box at `at`.
fn box_at(source: &mut Source, at: u64, end: u64) -> io::Result<Option<([u8; 4], u64, u64)>> {
    if at.saturating_add(8) > end {
        return Ok(None);
    }
    let (head, n) = source.peek::<16>(at)?;
    if n < 8 {
        return Ok(None);
    }
    let order = Endian::Big;
    let (size, header) = match order.u32(&head, 0) {
        0 => (end - at, 8),
        1 => (order.u64(&head, 8), 16),
        size => (u64::from(size), 8),
    };
    let tag = [head[4], head[5], head[6], head[7]];
    let next = at.saturating_add(size).min(end);
    Ok((size >= header).then_some((tag, at + header, next)))
}
