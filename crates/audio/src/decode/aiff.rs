//! AIFF and AIFF-C (Apple, 1989 and 1991).

use super::Failure;
use super::chunks::{Endian, chunk_at};
use super::pcm::{Encoding, Layout, quicktime_adpcm};
use super::source::Source;

/// The common chunk.
struct Common {
    channels: usize,
    frames: u64,
    rate: u32,
    encoding: Encoding,
}

/// Reads the header; `source` starts with `FORM`, then `AIFF` or `AIFC`.
pub(super) fn layout(source: &mut Source) -> Result<Layout, Failure> {
    let compressed = source.peek::<12>(0)?.0.ends_with(b"AIFC");
    let mut common = None;
    let mut sound = None;
    let mut at = 12;
    while common.is_none() || sound.is_none() {
        let Some(chunk) = chunk_at(source, at, Endian::Big)? else {
            break;
        };
        match &chunk.tag {
            b"COMM" => common = Some(self::common(&chunk.read(source, 64)?, compressed)?),
            b"SSND" => {
                let offset = Endian::Big.u32(&chunk.read(source, 8)?, 0);
                sound = Some((
                    chunk.body + 8 + u64::from(offset),
                    chunk.body.saturating_add(chunk.len),
                ));
            }
            _ => {}
        }
        let next = chunk.next(source)?;
        if next <= at {
            break;
        }
        at = next;
    }
    let Common {
        channels,
        frames,
        rate,
        encoding,
    } = common.ok_or_else(|| Failure::Malformed("no format".into()))?;
    let (start, said) = sound.ok_or_else(|| Failure::Malformed("no sound".into()))?;
    let mut notes = Vec::new();
    let end = said.min(source.len());
    if said > end {
        notes.push(format!(
            "the header promises {} bytes of sound, the file ends after {}",
            said.saturating_sub(start),
            end.saturating_sub(start)
        ));
    }
    // 0 frames with sound behind them: a recorder that never came back to fill them in.
    Ok(Layout {
        container: if compressed { "aifc" } else { "aiff" },
        encoding,
        channels,
        rate,
        start,
        len: end.saturating_sub(start),
        frames: match encoding {
            // Counted in blocks.
            Encoding::Adpcm { frames: block, .. } => frames.checked_mul(block as u64),
            _ => Some(frames),
        },
        notes,
    })
}

fn common(bytes: &[u8], compressed: bool) -> Result<Common, Failure> {
    let order = Endian::Big;
    if bytes.len() < 18 {
        return Err(Failure::Malformed("the format stops short".into()));
    }
    let channels = usize::from(order.u16(bytes, 0));
    let bits = usize::from(order.u16(bytes, 6));
    let rate = extended(order.u16(bytes, 8), order.u64(bytes, 10));
    if !(rate.is_finite() && (0.0..=f64::from(u32::MAX)).contains(&rate)) {
        return Err(Failure::Malformed(format!("{rate} samples a second")));
    }
    let width = bits.div_ceil(8);
    let int = |bytes, order| Encoding::Int { bytes, order };
    let form: &[u8] = if compressed {
        bytes.get(18..22).unwrap_or(b"????")
    } else {
        b"NONE"
    };
    let encoding = match form {
        b"NONE" | b"twos" if (1..=4).contains(&width) => int(width, Endian::Big),
        b"sowt" if (1..=4).contains(&width) => int(width, Endian::Little),
        b"in24" => int(3, Endian::Big),
        b"in32" => int(4, Endian::Big),
        b"42ni" => int(3, Endian::Little),
        b"23ni" => int(4, Endian::Little),
        b"raw " => Encoding::U8,
        b"fl32" | b"FL32" => Encoding::Float { bytes: 4, order },
        b"fl64" | b"FL64" => Encoding::Float { bytes: 8, order },
        b"ulaw" | b"ULAW" => Encoding::MuLaw,
        b"alaw" | b"ALAW" => Encoding::ALaw,
        b"ima4" => quicktime_adpcm(channels),
        b"NONE" | b"twos" | b"sowt" => {
            return Err(Failure::Malformed(format!("samples of {bits} bits")));
        }
        other => {
            let name = String::from_utf8_lossy(other);
            return Err(Failure::Unsupported(format!("AIFF-C compression `{name}`")));
        }
    };
    let frames = u64::from(order.u32(bytes, 2));
    Ok(Common {
        channels,
        frames,
        rate: rate.round() as u32,
        encoding,
    })
}

/// An 80-bit IEEE 754 number: sign and exponent, then a mantissa with its leading one.
fn extended(head: u16, mantissa: u64) -> f64 {
    let exponent = i32::from(head & 0x7FFF) - 16_383 - 63;
    let value = mantissa as f64 * f64::from(exponent).exp2();
    if head & 0x8000 != 0 { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::extended;

    #[test]
    fn sample_rates_by_hand() {
        // 44,100 = 0xAC44 << 48 at exponent 15; 1 = 1 << 63 at exponent 0.
        assert_eq!(extended(0x400E, 0xAC44_0000_0000_0000), 44_100.0);
        assert_eq!(extended(0x3FFF, 1 << 63), 1.0);
        assert_eq!(extended(0xBFFF, 1 << 63), -1.0);
        assert_eq!(extended(0x7FFF, 1 << 63), f64::INFINITY);
        assert_eq!(extended(0, 0), 0.0);
    }
}
