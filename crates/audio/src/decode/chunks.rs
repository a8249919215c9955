//! Tagged chunks of RIFF and IFF files, and numbers of either byte order.

use std::io::{self, Read, Seek, SeekFrom};

use super::source::Source;

/// Byte order of a file's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Endian {
    /// Two bytes at `at`; 0 beyond the end.
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let pair = array(bytes, at);
        match self {
            Endian::Little => u16::from_le_bytes(pair),
            Endian::Big => u16::from_be_bytes(pair),
        }
    }

    /// Four bytes at `at`; 0 beyond the end.
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let four = array(bytes, at);
        match self {
            Endian::Little => u32::from_le_bytes(four),
            Endian::Big => u32::from_be_bytes(four),
        }
    }

    /// Eight bytes at `at`; 0 beyond the end.
    pub(super) fn u64(self, bytes: &[u8], at: usize) -> u64 {
        let eight = array(bytes, at);
        match self {
            Endian::Little => u64::from_le_bytes(eight),
            Endian::Big => u64::from_be_bytes(eight),
        }
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = bytes.get(at + i).copied().unwrap_or(0);
    }
    out
}

/// One chunk: its tag and where its body lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub(super) tag: [u8; 4],
    /// Offset of the body in the file.
    pub(super) body: u64,
    /// Length the header claims, which may be more than the file holds.
    pub(super) len: u64,
}

impl Chunk {
    /// Reads at most `limit` bytes of the body.
    pub(super) fn read(&self, source: &mut Source, limit: usize) -> io::Result<Vec<u8>> {
        source.seek(SeekFrom::Start(self.body))?;
        let mut bytes = Vec::new();
        Read::by_ref(source)
            .take(self.len.min(limit as u64))
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Where the next chunk starts: bodies are padded to an even length, except by writers that
    /// forget it.
    pub(super) fn next(&self, source: &mut Source) -> io::Result<u64> {
        let end = self.body.saturating_add(self.len);
        if end.is_multiple_of(2) {
            return Ok(end);
        }
        let padded = is_tag(source.peek::<4>(end + 1)?);
        let unpadded = is_tag(source.peek::<4>(end)?);
        Ok(if unpadded && !padded { end } else { end + 1 })
    }
}

fn is_tag((tag, n): ([u8; 4], usize)) -> bool {
    n == 4
        && tag
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'_' | b'-'))
}

/// The chunk header at `at`, or `None` where the file ends.
pub(super) fn chunk_at(source: &mut Source, at: u64, order: Endian) -> io::Result<Option<Chunk>> {
    let (head, n) = source.peek::<8>(at)?;
    if n < 8 {
        return Ok(None);
    }
    let tag = [head[0], head[1], head[2], head[3]];
    Ok(Some(Chunk {
        tag,
        body: at + 8,
        len: u64::from(order.u32(&head, 4)),
    }))
}

/// Whether a chunk header that could be genuine stands at `at`: a printable tag, and a body that
/// ends within the file.
pub(super) fn plausible(source: &mut Source, at: u64, order: Endian) -> io::Result<bool> {
    let genuine = is_tag(source.peek::<4>(at)?);
    let end = chunk_at(source, at, order)?.map(|chunk| chunk.body.saturating_add(chunk.len));
    Ok(genuine && end.is_some_and(|end| end <= source.len()))
}
