//! One message between two ranks: a header of 32 bytes, then the payload.
//!
//! ```text
//! u64 kind │ u64 sequence │ u64 count │ u64 length │ payload, `length` bytes     (little-endian)
//! ```

use std::fmt;
use std::io::{self, Read, Write};

/// What a message is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    AllGather = 1,
    AllReduceSum = 2,
    AllGatherBytes = 3,
    BroadcastBytes = 4,
    Barrier = 5,
    /// The sender met an error: `count` is the rank that met it first, the payload is its text.
    Stop = 6,
    /// Rank 0 says that all are here.
    Welcome = 7,
}

impl Kind {
    fn from_number(number: u64) -> Option<Self> {
        [
            Self::AllGather,
            Self::AllReduceSum,
            Self::AllGatherBytes,
            Self::BroadcastBytes,
            Self::Barrier,
            Self::Stop,
            Self::Welcome,
        ]
        .into_iter()
        .find(|kind| *kind as u64 == number)
    }
}

/// A call, as far as all ranks must agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) kind: Kind,
    /// How many messages went before; a long sum takes several.
    pub(super) sequence: u64,
    /// Of a sum, how many values; of a broadcast, its root; else 0.
    pub(super) count: u64,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            sequence,
            count,
        } = self;
        match kind {
            Kind::AllGather => f.write_str("all_gather")?,
            Kind::AllReduceSum => write!(f, "all_reduce_sum of {count} values")?,
            Kind::AllGatherBytes => f.write_str("all_gather_bytes")?,
            Kind::BroadcastBytes => write!(f, "broadcast_bytes from rank {count}")?,
            Kind::Barrier => f.write_str("barrier")?,
            Kind::Stop => f.write_str("stop")?,
            Kind::Welcome => f.write_str("rendezvous")?,
        }
        write!(f, " (message {sequence})")
    }
}

/// A message.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) call: Call,
    pub(super) payload: Vec<u8>,
}

/// Why no message could be read.
#[derive(Debug)]
pub(super) enum FrameError {
    /// The stream ended or failed.
    Io(io::Error),
    /// Longer than allowed; the payload was not read.
    TooLong(u64),
    /// Not a message of ours.
    Garbled(String),
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes one message.
pub(super) fn write(mut to: impl Write, call: Call, payload: &[u8]) -> io::Result<()> {
    let mut header = [0; 32];
    let fields = [
        call.kind as u64,
        call.sequence,
        call.count,
        payload.len() as u64,
    ];
    for (bytes, field) in header.chunks_exact_mut(8).zip(fields) {
        bytes.copy_from_slice(&field.to_le_bytes());
    }
    to.write_all(&header)?;
    to.write_all(payload)
}

/// Reads one message of at most `max` bytes.
pub(super) fn read(mut from: impl Read, max: u64) -> Result<Frame, FrameError> {
    let mut header = [0; 32];
    from.read_exact(&mut header)?;
    let field = |at: usize| {
        let bytes = &header[8 * at..8 * (at + 1)];
        bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))
    };
    let Some(kind) = Kind::from_number(field(0)) else {
        return Err(FrameError::Garbled(format!(
            "a message of the unknown kind {}",
            field(0)
        )));
    };
    let length = field(3);
    if length > max {
        return Err(FrameError::TooLong(length));
    }
    // Grows with what arrives: a length alone makes nobody allocate more than 1 MiB.
    let mut payload = Vec::with_capacity(length.min(1 << 20) as usize);
    from.take(length).read_to_end(&mut payload)?;
    if (payload.len() as u64) < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(Frame {
        call: Call {
            kind,
            sequence: field(1),
            count: field(2),
        },
        payload,
    })
}
