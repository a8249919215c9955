//! The messages between a program and its decoding process: a tag, a length, a body. Numbers are
//! little-endian; paths are bytes, so that no file name is too odd to be sent.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::clip::ClipInfo;
use crate::error::{AudioError, Quantity};
use crate::limits::Limits;

/// First message of either side; the number is raised with the protocol.
pub(super) const HELLO: u8 = b'H';
pub(super) const VERSION: &[u8] = b"aurola decode 1";
/// Program to child: decode this file; decode the next block; done with this file.
pub(super) const OPEN: u8 = b'O';
pub(super) const MORE: u8 = b'M';
pub(super) const CLOSE: u8 = b'C';
/// Child to program.
pub(super) const INFO: u8 = b'I';
pub(super) const SAMPLES: u8 = b'S';
pub(super) const END: u8 = b'Z';
pub(super) const FAILED: u8 = b'E';

/// Samples in a block: 2 s.
pub(super) const BLOCK: usize = 32_000;
/// Longest body; more is no message of ours.
const MAX_BODY: u32 = 1 << 20;

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) tag: u8,
    pub(super) body: Vec<u8>,
}

pub(super) fn send(to: &mut impl Write, tag: u8, body: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(body.len() + 5);
    bytes.push(tag);
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(body);
    to.write_all(&bytes)?;
    to.flush()
}

/// The next message; `None` where the other side has closed the pipe between messages.
pub(super) fn receive(from: &mut impl Read) -> io::Result<Option<Message>> {
    let mut head = [0; 5];
    if from.read(&mut head[..1])? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut head[1..])?;
    let len = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
    if len > MAX_BODY {
        return Err(foreign());
    }
    let mut body = vec![0; len as usize];
    from.read_exact(&mut body)?;
    Ok(Some(Message { tag: head[0], body }))
}

/// What the other side sent is no message of this protocol.
pub(super) fn foreign() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "it does not speak the decoding protocol",
    )
}

/// Body of a message while it is written.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn f64(&mut self, value: f64) -> &mut Self {
        self.u64(value.to_bits())
    }

    fn bytes(&mut self, value: &[u8]) -> &mut Self {
        let value = &value[..value.len().min(1 << 16)];
        self.u64(value.len() as u64).0.extend_from_slice(value);
        self
    }
}

/// Body of a message while it is read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn u64(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*head))
    }

    fn u32(&mut self) -> Option<u32> {
        self.u64()?.try_into().ok()
    }

    fn f64(&mut self) -> Option<f64> {
        self.u64().map(f64::from_bits)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u64()?).ok()?;
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn text(&mut self) -> Option<String> {
        self.bytes()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }
}

pub(super) fn open_body(path: &Path, limits: &Limits) -> Vec<u8> {
    let mut body = Body::default();
    body.bytes(path.as_os_str().as_encoded_bytes())
        .u64(u64::from(limits.max_channels))
        .u64(u64::from(limits.min_sample_rate))
        .u64(u64::from(limits.max_sample_rate))
        .f64(limits.max_duration_s)
        .u64(limits.max_idle_bytes)
        .u64(u64::from(limits.max_idle_packets));
    body.0
}

pub(super) fn read_open(body: &[u8]) -> Option<(PathBuf, Limits)> {
    let mut fields = Fields(body);
    let path = path(fields.bytes()?)?;
    let limits = Limits {
        max_channels: fields.u32()?,
        min_sample_rate: fields.u32()?,
        max_sample_rate: fields.u32()?,
        max_duration_s: fields.f64()?,
        max_idle_bytes: fields.u64()?,
        max_idle_packets: fields.u32()?,
    };
    Some((path, limits))
}

#[cfg(unix)]
fn path(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(PathBuf::from(OsString::from_vec(bytes.to_vec())))
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> Option<PathBuf> {
    String::from_utf8(bytes.to_vec())
        .ok()
        .map(|text| PathBuf::from(OsString::from(text)))
}

pub(super) fn info_body(info: &ClipInfo) -> Vec<u8> {
    let mut body = Body::default();
    body.bytes(info.container.as_bytes())
        .bytes(info.codec.as_bytes())
        .u64(u64::from(info.sample_rate))
        .u64(u64::from(info.channels))
        .f64(info.duration_s.unwrap_or(f64::NAN));
    body.0
}

pub(super) fn read_info(body: &[u8]) -> Option<ClipInfo> {
    let mut fields = Fields(body);
    Some(ClipInfo {
        container: fields.text()?,
        codec: fields.text()?,
        sample_rate: fields.u32()?,
        channels: fields.u32()?,
        duration_s: fields.f64().map(|s| (!s.is_nan()).then_some(s))?,
    })
}

pub(super) fn samples_body(samples: &[f32]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect()
}

pub(super) fn read_samples(body: &[u8]) -> Option<Vec<f32>> {
    let (samples, []) = body.as_chunks::<4>() else {
        return None;
    };
    Some(
        samples
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect(),
    )
}

pub(super) fn notes_body(notes: &[String]) -> Vec<u8> {
    let mut body = Body::default();
    for note in notes.iter().take(64) {
        let shown: String = note.chars().take(1000).collect();
        body.bytes(shown.as_bytes());
    }
    body.0
}

pub(super) fn read_notes(body: &[u8]) -> Option<Vec<String>> {
    let mut fields = Fields(body);
    let mut notes = Vec::new();
    while !fields.0.is_empty() {
        notes.push(fields.text()?);
    }
    Some(notes)
}

/// An error without its path, which the program knows.
pub(super) fn error_body(error: &AudioError) -> Vec<u8> {
    let os = |source: &io::Error| f64::from(source.raw_os_error().unwrap_or(0));
    let (kind, at_s, text, a, b) = match error {
        AudioError::Open { source, .. } => (b'o', 0.0, source.to_string(), os(source), 0.0),
        AudioError::NotAFile { kind, .. } => (b'f', 0.0, kind.clone(), 0.0, 0.0),
        AudioError::Unrecognized { .. } => (b'u', 0.0, String::new(), 0.0, 0.0),
        AudioError::Unsupported { what, .. } => (b'c', 0.0, what.clone(), 0.0, 0.0),
        AudioError::Malformed { reason, .. } => (b'h', 0.0, reason.clone(), 0.0, 0.0),
        AudioError::NoSound { .. } => (b'0', 0.0, String::new(), 0.0, 0.0),
        AudioError::Damaged { at_s, reason, .. } => (b'd', *at_s, reason.clone(), 0.0, 0.0),
        AudioError::SampleNotFinite { at_s, .. } => (b'n', *at_s, String::new(), 0.0, 0.0),
        AudioError::OverLimit {
            quantity,
            found,
            limit,
            ..
        } => (b'l', 0.0, quantity.name().into(), *found, *limit),
        AudioError::Read { at_s, source, .. } => (b'r', *at_s, source.to_string(), os(source), 0.0),
        AudioError::Stalled { at_s, .. } => (b's', *at_s, String::new(), 0.0, 0.0),
        AudioError::Panicked { at_s, message, .. } => (b'p', *at_s, message.clone(), 0.0, 0.0),
        other => (b'p', 0.0, other.to_string(), 0.0, 0.0),
    };
    let mut body = Body::default();
    body.u64(u64::from(kind))
        .f64(at_s)
        .f64(a)
        .f64(b)
        .bytes(text.as_bytes());
    body.0
}

pub(super) fn read_error(path: &Path, body: &[u8]) -> Option<AudioError> {
    let mut fields = Fields(body);
    let kind = u8::try_from(fields.u64()?).ok()?;
    let (at_s, a, b, text) = (fields.f64()?, fields.f64()?, fields.f64()?, fields.text()?);
    let path = path.to_owned();
    let source = |text: String| match a as i32 {
        0 => io::Error::other(text),
        code => io::Error::from_raw_os_error(code),
    };
    Some(match kind {
        b'o' => AudioError::Open {
            path,
            source: source(text),
        },
        b'f' => AudioError::NotAFile { path, kind: text },
        b'u' => AudioError::Unrecognized { path },
        b'c' => AudioError::Unsupported { path, what: text },
        b'h' => AudioError::Malformed { path, reason: text },
        b'0' => AudioError::NoSound { path },
        b'd' => AudioError::Damaged {
            path,
            at_s,
            reason: text,
        },
        b'n' => AudioError::SampleNotFinite { path, at_s },
        b'l' => {
            let all = [Quantity::Channels, Quantity::SampleRate, Quantity::Duration];
            let quantity = all.into_iter().find(|quantity| quantity.name() == text)?;
            AudioError::OverLimit {
                path,
                quantity,
                found: a,
                limit: b,
            }
        }
        b'r' => AudioError::Read {
            path,
            at_s,
            source: source(text),
        },
        b's' => AudioError::Stalled { path, at_s },
        b'p' => AudioError::Panicked {
            path,
            at_s,
            message: text,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_wire_and_a_torn_one_is_an_error() {
        let mut bytes = Vec::new();
        send(&mut bytes, SAMPLES, &samples_body(&[0.5, -1.0])).unwrap();
        assert_eq!(bytes[..5], [b'S', 8, 0, 0, 0]);
        let message = receive(&mut bytes.as_slice()).unwrap().unwrap();
        assert_eq!(read_samples(&message.body).unwrap(), [0.5, -1.0]);
        assert!(receive(&mut &bytes[..9]).is_err());
        assert_eq!(receive(&mut &bytes[..0]).unwrap(), None);
        assert!(receive(&mut &[b'S', 0, 0, 0, 0xFF][..]).is_err());
    }

    #[test]
    fn every_error_keeps_its_words() {
        let path = PathBuf::from("a/b.wav");
        for error in [
            AudioError::NoSound { path: path.clone() },
            AudioError::Unrecognized { path: path.clone() },
            AudioError::Unsupported {
                path: path.clone(),
                what: "AC-3".into(),
            },
            AudioError::Malformed {
                path: path.clone(),
                reason: "no format".into(),
            },
            AudioError::Damaged {
                path: path.clone(),
                at_s: 12.48,
                reason: "crc".into(),
            },
            AudioError::SampleNotFinite {
                path: path.clone(),
                at_s: 0.25,
            },
            AudioError::NotAFile {
                path: path.clone(),
                kind: "pipe".into(),
            },
            AudioError::Stalled {
                path: path.clone(),
                at_s: 1.0,
            },
            AudioError::Panicked {
                path: path.clone(),
                at_s: 1.0,
                message: "index".into(),
            },
            AudioError::Open {
                path: path.clone(),
                source: io::Error::from_raw_os_error(2),
            },
            AudioError::OverLimit {
                path: path.clone(),
                quantity: Quantity::Channels,
                found: 64.0,
                limit: 32.0,
            },
        ] {
            let back = read_error(&path, &error_body(&error)).unwrap();
            assert_eq!(back.to_string(), error.to_string());
            assert_eq!(
                std::mem::discriminant(&back),
                std::mem::discriminant(&error)
            );
        }
    }

    #[test]
    fn limits_and_info_come_back_as_they_were_sent() {
        let limits = Limits {
            max_duration_s: 12.5,
            ..Limits::default()
        };
        let sent = open_body(Path::new("x"), &limits);
        assert_eq!(read_open(&sent).unwrap(), (PathBuf::from("x"), limits));
        let info = ClipInfo {
            container: "wav".into(),
            codec: "pcm_u8".into(),
            sample_rate: 8_000,
            channels: 1,
            duration_s: None,
        };
        assert_eq!(read_info(&info_body(&info)).unwrap(), info);
        assert_eq!(read_info(&info_body(&info)[..20]), None);
    }
}
