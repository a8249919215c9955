//! The one thing that a Matroska or WebM file says about its end and symphonia does not pass on:
//! how much of the last Opus packet is padding (`DiscardPadding`, RFC 9559, 5.1.3.5.7).

use std::io;

use super::source::Source;

const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1F43_B675;
const BLOCK_GROUP: u32 = 0xA0;
const DISCARD_PADDING: u32 = 0x75A2;

/// Most elements stepped over; clusters last seconds, so this is days of sound.
const MAX_ELEMENTS: usize = 200_000;
/// Longest padding believed: the longest Opus packet.
const MAX_PADDING_S: f64 = 0.12;

/// Name, body and end of an element.
struct Element {
    id: u32,
    body: u64,
    end: u64,
}

/// Seconds of padding at the end of the sound; 0 where the file does not say, or is no Matroska.
pub(super) fn padding_s(source: &mut Source) -> io::Result<f64> {
    let Some(head) = element(source, 0, source.len())?.filter(|e| e.id == EBML) else {
        return Ok(0.0);
    };
    let Some(segment) = element(source, head.end, source.len())?.filter(|e| e.id == SEGMENT) else {
        return Ok(0.0);
    };
    let Some(cluster) = last(source, &segment, CLUSTER)? else {
        return Ok(0.0);
    };
    let Some(group) = last(source, &cluster, BLOCK_GROUP)? else {
        return Ok(0.0);
    };
    let Some(padding) = last(source, &group, DISCARD_PADDING)? else {
        return Ok(0.0);
    };
    // A signed number of up to 8 bytes, in nanoseconds.
    let (bytes, _) = source.peek::<8>(padding.body)?;
    let len = (padding.end - padding.body).min(8) as u32;
    if len == 0 {
        return Ok(0.0);
    }
    let nanoseconds = i64::from_be_bytes(bytes) >> (64 - 8 * len);
    let seconds = nanoseconds as f64 / 1e9;
    Ok(if (0.0..=MAX_PADDING_S).contains(&seconds) {
        seconds
    } else {
        0.0
    })
}

/// The last child of `parent`, if it is called `id` or nothing but other names follow it.
fn last(source: &mut Source, parent: &Element, id: u32) -> io::Result<Option<Element>> {
    let (mut at, mut found) = (parent.body, None);
    for _ in 0..MAX_ELEMENTS {
        let Some(child) = element(source, at, parent.end)? else {
            break;
        };
        at = child.end;
        if child.id == id {
            found = Some(child);
        }
    }
    Ok(found)
}

/// The element at `at`; an unknown length, as live streams write it, reaches to the end.
fn element(source: &mut Source, at: u64, end: u64) -> io::Result<Option<Element>> {
    if at >= end {
        return Ok(None);
    }
    let (bytes, n) = source.peek::<12>(at)?;
    let id_len = bytes[0].leading_zeros() as usize + 1;
    if id_len > 4 || n < id_len + 1 {
        return Ok(None);
    }
    let id = bytes[..id_len]
        .iter()
        .fold(0, |id, &b| id << 8 | u32::from(b));
    let size_len = bytes[id_len].leading_zeros() as usize + 1;
    if size_len > 8 || n < id_len + size_len {
        return Ok(None);
    }
    let mask = (1u64 << (7 * size_len)) - 1;
    let size = bytes[id_len..id_len + size_len]
        .iter()
        .fold(0, |size, &b| size << 8 | u64::from(b))
        & mask;
    let body = at + (id_len + size_len) as u64;
    let element_end = if size == mask {
        end
    } else {
        body.saturating_add(size).min(end)
    };
    Ok(Some(Element {
        id,
        body,
        end: element_end,
    }))
}
