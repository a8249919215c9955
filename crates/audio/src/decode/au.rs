//! Sun/NeXT audio (`.au`, `.snd`): 24 bytes of header, then samples.

use super::Failure;
use super::chunks::Endian;
use super::pcm::{Encoding, Layout};
use super::source::Source;

/// Reads the header; `source` starts with `.snd`.
pub(super) fn layout(source: &mut Source) -> Result<Layout, Failure> {
    let (head, n) = source.peek::<24>(0)?;
    if n < 24 {
        return Err(Failure::Malformed("the au header stops short".into()));
    }
    let word = |at| Endian::Big.u32(&head, at);
    let int = |bytes| Encoding::Int {
        bytes,
        order: Endian::Big,
    };
    let encoding = match word(12) {
        1 => Encoding::MuLaw,
        2 => int(1),
        3 => int(2),
        4 => int(3),
        5 => int(4),
        6 => Encoding::Float {
            bytes: 4,
            order: Endian::Big,
        },
        7 => Encoding::Float {
            bytes: 8,
            order: Endian::Big,
        },
        27 => Encoding::ALaw,
        other => return Err(Failure::Unsupported(format!("au encoding {other}"))),
    };
    let start = u64::from(word(4));
    let held = source.len().saturating_sub(start);
    let mut notes = Vec::new();
    // All ones: the writer did not know the length.
    let len = match word(8) {
        u32::MAX => held,
        said if u64::from(said) > held => {
            notes.push(format!(
                "{held} of the {said} bytes of sound that the header promises are there"
            ));
            held
        }
        said => u64::from(said),
    };
    Ok(Layout {
        container: "au",
        encoding,
        channels: word(20) as usize,
        rate: word(16),
        start,
        len,
        frames: None,
        notes,
    })
}
