//! WAV and its relatives: RIFF, RIFX, RF64, BW64 (EBU Tech 3306, ITU-R BS.2088) and Sony's W64.
//!
//! Sizes in these headers are often wrong (recorders that lost power, pipes, editors that count
//! the header), and the samples are sound all the same. So: the samples are those bytes of the
//! `data` chunk that the file holds, and every departure from the header is noted.

use super::Failure;
use super::chunks::{Chunk, Endian, chunk_at, plausible};
use super::pcm::{Encoding, Layout, wav_adpcm};
use super::source::Source;

/// What a wav holds.
pub(super) enum Wave {
    /// Plain samples.
    Pcm(Layout),
    /// An MPEG stream in the bytes `[start, start + len)`.
    Mpeg {
        start: u64,
        len: u64,
        notes: Vec<String>,
    },
}

/// The format chunk.
struct Format {
    tag: u16,
    channels: usize,
    rate: u32,
    block_align: usize,
    bits: usize,
    extensible: bool,
}

/// Most bytes of a format chunk that are looked at.
const FORMAT_BYTES: usize = 64;

/// Chunks looked at before the samples must have come.
const MAX_CHUNKS: usize = 10_000;

/// Reads the header; `source` starts with `RIFF`, `RIFX`, `RF64` or `BW64`, then `WAVE`.
pub(super) fn read(source: &mut Source) -> Result<Wave, Failure> {
    let (head, _) = source.peek::<12>(0)?;
    let order = if head.starts_with(b"RIFX") {
        Endian::Big
    } else {
        Endian::Little
    };
    let large = head.starts_with(b"RF64") || head.starts_with(b"BW64");
    let mut format = None;
    let mut long_data = None;
    let mut facts = None;
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        let Some(mut chunk) = chunk_at(source, at, order)? else {
            break;
        };
        match &chunk.tag {
            b"fmt " => format = Some(self::format(&chunk.read(source, FORMAT_BYTES)?, order)?),
            b"ds64" => long_data = Some(order.u64(&chunk.read(source, 16)?, 8)),
            b"fact" => facts = Some(order.u32(&chunk.read(source, 4)?, 0)),
            b"data" => {
                if large && chunk.len == u64::from(u32::MAX) {
                    chunk.len = long_data.unwrap_or(u64::MAX);
                }
                let format = format.ok_or_else(|| malformed("sound comes before its format"))?;
                return finish(source, "wav", &format, chunk, order, facts);
            }
            _ => {}
        }
        let next = chunk.next(source)?;
        if next <= at {
            break;
        }
        at = next;
    }
    Err(malformed(if format.is_some() {
        "no sound after the format"
    } else {
        "no format"
    }))
}

/// Reads the header of a W64 file: chunks named by 16 bytes, sizes of 8 bytes that count the
/// chunk's own header, aligned to 8.
pub(super) fn read_w64(source: &mut Source) -> Result<Wave, Failure> {
    let order = Endian::Little;
    let mut format = None;
    let mut at = 40;
    for _ in 0..MAX_CHUNKS {
        let (head, n) = source.peek::<24>(at)?;
        if n < 24 {
            break;
        }
        let size = order.u64(&head, 16);
        let chunk = Chunk {
            tag: [head[0], head[1], head[2], head[3]],
            body: at + 24,
            len: size.saturating_sub(24),
        };
        match &chunk.tag {
            b"fmt " => format = Some(self::format(&chunk.read(source, FORMAT_BYTES)?, order)?),
            b"data" => {
                let format = format.ok_or_else(|| malformed("sound comes before its format"))?;
                return finish(source, "w64", &format, chunk, order, None);
            }
            _ => {}
        }
        let Some(next) = at
            .checked_add(size.max(24))
            .and_then(|end| end.checked_next_multiple_of(8))
        else {
            break;
        };
        at = next;
    }
    Err(malformed("no sound"))
}

fn malformed(reason: &str) -> Failure {
    Failure::Malformed(reason.into())
}

fn format(bytes: &[u8], order: Endian) -> Result<Format, Failure> {
    if bytes.len() < 14 {
        return Err(malformed("the format stops short"));
    }
    let mut tag = order.u16(bytes, 0);
    // The extensible format names the real one in the first two bytes of a GUID.
    let extensible = tag == 0xFFFE && bytes.len() >= 26;
    if extensible {
        tag = order.u16(bytes, 24);
    }
    Ok(Format {
        tag,
        channels: usize::from(order.u16(bytes, 2)),
        rate: order.u32(bytes, 4),
        block_align: usize::from(order.u16(bytes, 12)),
        bits: usize::from(order.u16(bytes, 14)),
        extensible,
    })
}

fn finish(
    source: &mut Source,
    container: &'static str,
    format: &Format,
    chunk: Chunk,
    order: Endian,
    facts: Option<u32>,
) -> Result<Wave, Failure> {
    let mut notes = Vec::new();
    let held = source.len().saturating_sub(chunk.body);
    let len = if chunk.len == 0 && held > 0 && !plausible(source, chunk.body, order)? {
        notes.push(format!(
            "the header says 0 bytes of sound, {held} follow and are read"
        ));
        held
    } else if chunk.len > held {
        // All ones is how a pipe says that it does not know.
        if chunk.len < u64::from(u32::MAX) - 512 {
            notes.push(format!(
                "the header promises {} bytes of sound, the file ends after {held}",
                chunk.len
            ));
        }
        held
    } else {
        chunk.len
    };
    if matches!(format.tag, 0x50 | 0x55) {
        return Ok(Wave::Mpeg {
            start: chunk.body,
            len,
            notes,
        });
    }
    let encoding = encoding(format, order)?;
    // Blocks of ADPCM may be padded; the fact chunk says how many samples count.
    let frames = match encoding {
        Encoding::Adpcm { .. } => facts.map(u64::from),
        _ => None,
    };
    Ok(Wave::Pcm(Layout {
        container,
        encoding,
        channels: format.channels,
        rate: format.rate,
        start: chunk.body,
        len,
        frames,
        notes,
    }))
}

fn encoding(format: &Format, order: Endian) -> Result<Encoding, Failure> {
    let Format {
        tag,
        channels,
        block_align,
        bits,
        extensible,
        ..
    } = *format;
    if channels == 0 {
        return Err(malformed("no channels"));
    }
    // The container's width: what the block alignment says where it can be true, else the bits.
    let least = bits.div_ceil(8);
    let aligned = block_align / channels;
    let exact = block_align % channels == 0 && aligned >= least && aligned <= 8;
    let width = if exact { aligned } else { least };
    match (tag, width) {
        (1, _) if bits == 0 => Err(malformed("samples of 0 bits")),
        (1, 1) => Ok(Encoding::U8),
        (1, 4) if bits == 24 && !extensible => Ok(Encoding::LowInt24),
        (1, bytes @ 2..=4) => Ok(Encoding::Int { bytes, order }),
        (3, bytes @ (4 | 8)) => Ok(Encoding::Float { bytes, order }),
        (6, _) => Ok(Encoding::ALaw),
        (7, _) => Ok(Encoding::MuLaw),
        (2 | 0x11, _) if bits == 4 => wav_adpcm(tag, block_align, channels),
        (1, _) => Err(Failure::Unsupported(format!("PCM of {bits} bits"))),
        (3, _) => Err(Failure::Unsupported(format!(
            "floating point of {bits} bits"
        ))),
        _ => Err(Failure::Unsupported(format!(
            "wav format 0x{tag:04x} ({})",
            name(tag)
        ))),
    }
}

/// Common names of wav formats that are not decoded.
fn name(tag: u16) -> &'static str {
    match tag {
        0x02 | 0x11 => "ADPCM of another width",
        0x31 => "GSM 6.10",
        0x40 | 0x45 | 0x64 | 0x65 => "G.72x",
        0xFF | 0x1600 | 0x1601 => "AAC",
        0x160..=0x163 => "Windows Media Audio",
        0x2000 => "AC-3",
        0x2001 => "DTS",
        0x566F | 0x674F..=0x6771 => "Vorbis",
        _ => "unknown",
    }
}
