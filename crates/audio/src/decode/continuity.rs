//! Whether a compressed stream is all there.
//!
//! symphonia's readers of FLAC, Ogg and MPEG look for the next frame that makes sense and say nothing
//! of what lay between. What they pass on tells it all the same: FLAC and Ogg count samples, so lost
//! ones leave a gap in time; MPEG counts nothing, but bytes that belong to no frame are missing from
//! the sum.

use std::io;

use symphonia::core::packet::Packet;

use super::source::Source;

/// Bytes of an MPEG stream that may belong to no frame: what two cut frames leave.
const STRAY_BYTES: u64 = 4096;

/// What is known of a stream before its packets come.
#[derive(Debug)]
pub(super) struct Continuity {
    /// Packets tell when they begin, by counting samples.
    counted: bool,
    /// Packets follow one another in the file, nothing between them.
    packed: bool,
    /// Where the next packet should begin.
    next: Option<i64>,
    bytes: u64,
    len: u64,
    /// Whether an Ogg stream lacks its end mark.
    endless: bool,
}

impl Continuity {
    /// Looks at the ends of `source`.
    pub(super) fn new(source: &mut Source) -> io::Result<Self> {
        let (magic, _) = source.peek::<8>(0)?;
        let ogg = magic.starts_with(b"OggS");
        let flac = magic.starts_with(b"fLaC");
        let mpeg = magic[0] == 0xFF && magic[1] & 0xE0 == 0xE0;
        let endless = ogg && !ends_with_a_mark(source)?;
        Ok(Continuity {
            counted: ogg || flac,
            packed: flac || mpeg,
            next: None,
            bytes: 0,
            len: source.len(),
            endless,
        })
    }

    /// Takes note of a packet; says what is missing before it.
    pub(super) fn follow(&mut self, packet: &Packet) -> Result<(), String> {
        // An ADTS frame comes without its header of 7 bytes.
        self.bytes += packet.data.len() as u64 + 7;
        let begins = packet.pts.get();
        let expected = self
            .next
            .replace(begins.saturating_add_unsigned(packet.block_dur().get()));
        match expected {
            Some(expected) if self.counted && begins > expected => {
                Err(format!("{} samples are missing", begins - expected))
            }
            _ => Ok(()),
        }
    }

    /// A chained stream counts from the start again.
    pub(super) fn restart(&mut self) {
        self.next = None;
    }

    /// What the end of the stream has to tell.
    pub(super) fn note(&self) -> Option<String> {
        let stray = self.len.saturating_sub(self.bytes);
        if self.endless {
            Some("the stream lacks its end mark and may be cut off".into())
        } else if self.packed && stray > STRAY_BYTES {
            Some(format!(
                "{stray} bytes between the frames are no sound and were left out"
            ))
        } else {
            None
        }
    }
}

/// Whether the last page of an Ogg file is whole and ends its stream (RFC 3533, section 6).
fn ends_with_a_mark(source: &mut Source) -> io::Result<bool> {
    const TAIL: usize = 1 << 17;
    let from = source.len().saturating_sub(TAIL as u64);
    let tail = source.peek_vec(from, TAIL)?;
    let Some(at) = tail.windows(4).rposition(|four| four == b"OggS") else {
        return Ok(false);
    };
    let page = &tail[at..];
    let (Some(flags), Some(&segments)) = (page.get(5), page.get(26)) else {
        return Ok(false);
    };
    let lengths = page.get(27..27 + usize::from(segments)).unwrap_or_default();
    let len = 27 + lengths.len() + lengths.iter().map(|&n| usize::from(n)).sum::<usize>();
    Ok(flags & 4 != 0 && len <= page.len())
}
