//! The bytes of one file: a range of it, read with a budget.
//!
//! Tags that stand before or after the sound (ID3v2, ID3v1, APEv2) are left outside the range:
//! no decoder has to parse them, a 500 MB cover costs two reads, and a picture that happens to
//! hold an mp3 sync word cannot be mistaken for sound.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use symphonia::core::io::MediaSource;

/// Bytes read since the last sample came out, shared with whoever counts samples.
#[derive(Debug, Clone, Default)]
pub(crate) struct Idle(Arc<AtomicU64>);

impl Idle {
    /// A sample came out: the count starts again.
    pub(crate) fn progress(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn add(&self, bytes: u64) -> u64 {
        self.0.fetch_add(bytes, Ordering::Relaxed) + bytes
    }
}

/// A range of a file, as a seekable stream of its own.
#[derive(Debug)]
pub(crate) struct Source {
    file: File,
    start: u64,
    end: u64,
    pos: u64,
    /// Bytes that stand before the range, instead of those that were left out.
    prefix: Vec<u8>,
    idle: Idle,
    budget: u64,
}

/// Message of the error that ends a reader which goes in circles.
pub(crate) const NO_PROGRESS: &str = "no progress";

impl Source {
    /// The whole of `file`, of which at most two passes and `extra` bytes may be read between two
    /// samples.
    pub(crate) fn new(file: File, extra: u64) -> io::Result<Self> {
        let end = file.metadata()?.len();
        let budget = extra.saturating_add(end.saturating_mul(2));
        Ok(Source {
            file,
            start: 0,
            end,
            pos: 0,
            prefix: Vec::new(),
            idle: Idle::default(),
            budget,
        })
    }

    /// The counter that [`Source`] adds to and a decoder's owner resets.
    pub(crate) fn idle(&self) -> Idle {
        self.idle.clone()
    }

    /// Length of the range in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.prefix.len() as u64 + self.end - self.start
    }

    /// Narrows the range to `[from, to)`, relative to its present start, and rewinds.
    pub(crate) fn narrow(&mut self, from: u64, to: u64) {
        let end = (self.start + to).min(self.end);
        self.start = (self.start + from).min(end);
        self.end = end;
        self.pos = 0;
    }

    /// Puts `bytes` in front of the range, and rewinds.
    pub(crate) fn prefix(&mut self, bytes: Vec<u8>) {
        self.prefix = bytes;
        self.pos = 0;
    }

    /// Reads up to `most` bytes at `at` without moving.
    pub(crate) fn peek_vec(&mut self, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let back = std::mem::replace(&mut self.pos, at);
        let mut bytes = Vec::new();
        let read = self.by_ref().take(most as u64).read_to_end(&mut bytes);
        self.pos = back;
        read.map(|_| bytes)
    }

    /// Reads up to `N` bytes at `at` without moving; fewer where the range ends.
    pub(crate) fn peek<const N: usize>(&mut self, at: u64) -> io::Result<([u8; N], usize)> {
        let back = self.pos;
        let mut bytes = [0; N];
        self.pos = at;
        let mut n = 0;
        while n < N {
            match self.read(&mut bytes[n..])? {
                0 => break,
                more => n += more,
            }
        }
        self.pos = back;
        Ok((bytes, n))
    }

    /// Leaves out ID3v2 tags in front and ID3v1 and APEv2 tags behind.
    pub(crate) fn skip_tags(&mut self) -> io::Result<()> {
        loop {
            let (head, n) = self.peek::<10>(0)?;
            if n < 10 || !head.starts_with(b"ID3") || head[6..].iter().any(|b| b & 0x80 != 0) {
                break;
            }
            let size = head[6..]
                .iter()
                .fold(0u64, |size, &b| size << 7 | u64::from(b));
            let footer = if head[5] & 0x10 != 0 { 10 } else { 0 };
            self.narrow(10 + size + footer, self.len());
        }
        if self.len() >= 128 && self.peek::<3>(self.len() - 128)?.0 == *b"TAG" {
            self.narrow(0, self.len() - 128);
        }
        if self.len() >= 32 {
            let (foot, _) = self.peek::<32>(self.len() - 32)?;
            if foot.starts_with(b"APETAGEX") {
                let word = |at: usize| {
                    u32::from_le_bytes([foot[at], foot[at + 1], foot[at + 2], foot[at + 3]])
                };
                let header = if word(20) & 0x8000_0000 != 0 { 32 } else { 0 };
                let size = u64::from(word(12)) + header;
                if size >= 32 && size <= self.len() {
                    self.narrow(0, self.len() - size);
                }
            }
        }
        Ok(())
    }
}

impl Source {
    /// Leaves out what a FLAC file says about itself except the format of its sound (RFC 9639,
    /// section 8): pictures of any size are never read, and a cue sheet that is wrong harms nothing.
    pub(crate) fn skip_flac_metadata(&mut self) -> io::Result<()> {
        const STREAM_INFO: usize = 34;
        let (head, n) = self.peek::<{ 8 + STREAM_INFO }>(0)?;
        if n < head.len()
            || head[..4] != *b"fLaC"
            || head[4] & 0x7F != 0
            || head[5..8] != [0, 0, 34]
        {
            return Ok(());
        }
        let mut at = 4;
        loop {
            let (block, n) = self.peek::<4>(at)?;
            if n < 4 || block[0] & 0x7F == 127 {
                // No end of the blocks: the decoder says what is wrong.
                return Ok(());
            }
            at += 4 + u64::from(u32::from_be_bytes([0, block[1], block[2], block[3]]));
            if block[0] & 0x80 != 0 {
                break;
            }
        }
        self.narrow(at, self.len());
        let mut prefix = head.to_vec();
        prefix[4] = 0x80;
        self.prefix(prefix);
        Ok(())
    }
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.len().saturating_sub(self.pos);
        let want = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        // An empty read counts too: a demuxer may loop on the end of the file.
        if self.idle.add(want.max(16) as u64) > self.budget {
            return Err(io::Error::other(NO_PROGRESS));
        }
        if want == 0 {
            return Ok(0);
        }
        let n = match self.pos.checked_sub(self.prefix.len() as u64) {
            None => (&self.prefix[self.pos as usize..]).read(&mut buf[..want])?,
            Some(at) => {
                self.file.seek(SeekFrom::Start(self.start + at))?;
                self.file.read(&mut buf[..want])?
            }
        };
        self.pos += n as u64;
        Ok(n)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(by) => (self.pos, by),
            SeekFrom::End(by) => (self.len(), by),
        };
        if self.idle.add(16) > self.budget {
            return Err(io::Error::other(NO_PROGRESS));
        }
        self.pos = base
            .checked_add_signed(by)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start"))?;
        Ok(self.pos)
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len())
    }
}
