//! How sealed vectors lie in their file. Numbers are little-endian.
//!
//! ```text
//! header, 4,096 bytes │ vectors, f32 [rows, dim] │ table, 40 bytes a row │ codes
//! ```

use std::ops::Range;

use crate::vectors::{ContentId, Span};

/// Also the version: another layout gets another last letter.
const MAGIC: &[u8; 8] = b"AuRoVec1";

/// Where the vectors begin: after a page for the header.
pub(super) const VECTORS: usize = 4096;

/// Bytes of the header that are digested.
const HEADER: usize = 8 * 8 + 3 * 32;

/// Bytes of a row in the table.
pub(super) const ROW_BYTES: usize = 40;

/// What stands at the beginning.
pub(super) struct Header {
    pub(super) store: i64,
    pub(super) window: i64,
    pub(super) gone: i64,
    pub(super) rows: usize,
    pub(super) dim: usize,
    /// 0: bits, 1: bytes.
    pub(super) code: u8,
    pub(super) depth: usize,
    pub(super) recall: f32,
    pub(super) space: [u8; 32],
    pub(super) table: blake3::Hash,
    pub(super) codes: blake3::Hash,
}

/// Where the parts lie.
pub(super) struct Layout {
    pub(super) table: Range<usize>,
    pub(super) codes: Range<usize>,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// The window's number in the store.
    pub(crate) window: i64,
    pub(crate) content: ContentId,
    pub(crate) span: Span,
    /// Of the vector's bytes.
    pub(super) check: [u8; 8],
}

impl Header {
    /// `None` where these are not ours or of another version; in words, what is damaged.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        let Some(head) = bytes.get(..HEADER + 8 + 32) else {
            return Err("the header of the sealed vectors is cut off");
        };
        if head[..7] != MAGIC[..7] {
            return Err("the sealed vectors do not begin like any");
        }
        if head[..8] != *MAGIC {
            return Ok(None);
        }
        if blake3::hash(&head[..HEADER + 8]).as_bytes() != &head[HEADER + 8..] {
            return Err("the header of the sealed vectors");
        }
        let (numbers, _) = head[8..8 + 64].as_chunks::<8>();
        let number = |at: usize| i64::from_le_bytes(numbers[at]);
        let (digests, _) = head[8 + 64..].as_chunks::<32>();
        Ok(Some(Self {
            store: number(0),
            window: number(1),
            gone: number(2),
            rows: number(3) as usize,
            dim: number(4) as usize,
            code: number(5) as u8,
            depth: number(6) as usize,
            recall: f32::from_bits(number(7) as u32),
            space: digests[0],
            table: digests[1].into(),
            codes: digests[2].into(),
        }))
    }

    /// As they lie in the file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for number in [
            self.store,
            self.window,
            self.gone,
            self.rows as i64,
            self.dim as i64,
            i64::from(self.code),
            self.depth as i64,
            i64::from(self.recall.to_bits()),
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.space);
        bytes.extend(self.table.as_bytes());
        bytes.extend(self.codes.as_bytes());
        let digest = blake3::hash(&bytes);
        bytes.extend(digest.as_bytes());
        bytes
    }

    /// `None` where the numbers cannot be.
    pub(super) fn layout(&self, dim: usize) -> Option<Layout> {
        if self.code > 1 {
            return None;
        }
        let vectors = self.rows.checked_mul(dim)?.checked_mul(4)?;
        let table = VECTORS.checked_add(vectors)?;
        let codes = self.rows.checked_mul(ROW_BYTES)?.checked_add(table)?;
        let end = super::codes::bytes(self.code, dim, self.rows)?.checked_add(codes)?;
        Some(Layout {
            table: table..codes,
            codes: codes..end,
        })
    }
}

impl Row {
    pub(super) fn read(bytes: &[u8; ROW_BYTES]) -> Self {
        let (numbers, _) = bytes.as_chunks::<8>();
        Self {
            window: i64::from_le_bytes(numbers[0]),
            content: ContentId(i64::from_le_bytes(numbers[1])),
            span: Span {
                start: u64::from_le_bytes(numbers[2]),
                end: u64::from_le_bytes(numbers[3]),
            },
            check: numbers[4],
        }
    }

    pub(super) fn write(&self, into: &mut Vec<u8>) {
        into.extend(self.window.to_le_bytes());
        into.extend(self.content.0.to_le_bytes());
        into.extend(self.span.start.to_le_bytes());
        into.extend(self.span.end.to_le_bytes());
        into.extend(self.check);
    }
}

/// Eight bytes of BLAKE3.
pub(super) fn check(bytes: &[u8]) -> [u8; 8] {
    *blake3::hash(bytes)
        .as_bytes()
        .first_chunk()
        .expect("a hash of 32 bytes has 8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_a_flipped_bit_anywhere_in_it_is_noticed() {
        let header = Header {
            store: -5,
            window: 7,
            gone: 9,
            rows: 11,
            dim: 13,
            code: 1,
            depth: 100,
            recall: 0.995,
            space: [3; 32],
            table: blake3::hash(b"t"),
            codes: blake3::hash(b"c"),
        };
        let bytes = header.bytes();
        let back = Header::read(&bytes).unwrap().unwrap();
        assert_eq!(back.bytes(), bytes);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            // Another version is not damage; it is not read either.
            assert!(!matches!(Header::read(&damaged), Ok(Some(_))), "byte {at}");
        }
    }
}
