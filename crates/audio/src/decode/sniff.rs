//! What a file is, by its first bytes.

use super::pcm::PcmStream;
use super::source::Source;
use super::wave::{self, Wave};
use super::{Decode, Failure, aiff, au, media};

/// Containers known by name and not decoded: (offset, first bytes, name).
const FOREIGN: [(usize, &[u8], &str); 15] = [
    (28, b"Speex   ", "Speex"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"TTA1", "True Audio"),
    (
        0,
        b"\x30\x26\xB2\x75\x8E\x66\xCF\x11",
        "Windows Media (ASF)",
    ),
    (0, b"DSD ", "DSD (dsf)"),
    (0, b"FRM8", "DSD (dff)"),
    (0, b"#!AMR", "AMR"),
    (0, b"MThd", "MIDI, which is notes and not sound,"),
    (0, b"FLV\x01", "Flash video"),
    (8, b"AVI ", "AVI video"),
    (0, b"\x0B\x77", "AC-3"),
    (0, b"OFR ", "OptimFROG"),
];

/// Pictures, documents and archives, in which a scan for sync words could only find a false one.
const NOT_SOUND: [&[u8]; 9] = [
    b"\x89PNG",
    b"\xFF\xD8\xFF\xE0",
    b"\xFF\xD8\xFF\xE1",
    b"GIF8",
    b"%PDF",
    b"PK\x03\x04",
    b"\x1F\x8B\x08",
    b"\x7FELF",
    b"<?xml",
];

/// Opens whatever `source` holds.
pub(crate) fn open(mut source: Source) -> Result<Box<dyn Decode>, Failure> {
    source.skip_tags()?;
    let (magic, n) = source.peek::<64>(0)?;
    let magic = &magic[..n];
    if magic.is_empty() {
        return Err(Failure::NoSound);
    }
    let form = magic.get(8..12).unwrap_or_default();
    let wave = match magic.get(..4).unwrap_or_default() {
        b"RIFF" | b"RIFX" | b"RF64" | b"BW64" if form == b"WAVE" => Some(wave::read(&mut source)?),
        b"riff" if magic[4..].starts_with(&[0x2E, 0x91, 0xCF, 0x11]) => {
            Some(wave::read_w64(&mut source)?)
        }
        b"FORM" if matches!(form, b"AIFF" | b"AIFC") => Some(Wave::Pcm(aiff::layout(&mut source)?)),
        b".snd" => Some(Wave::Pcm(au::layout(&mut source)?)),
        _ => None,
    };
    match wave {
        Some(Wave::Pcm(layout)) => return Ok(Box::new(PcmStream::new(source, layout)?)),
        Some(Wave::Mpeg { start, len, notes }) => {
            source.narrow(start, start.saturating_add(len));
            return media::open(source, Some("wav"), notes);
        }
        None => {}
    }
    if let Some((_, _, name)) = FOREIGN
        .iter()
        .find(|(at, first, _)| magic.get(*at..).is_some_and(|rest| rest.starts_with(first)))
    {
        return Err(Failure::Unsupported((*name).into()));
    }
    if NOT_SOUND.iter().any(|first| magic.starts_with(first)) || is_text(&mut source)? {
        return Err(Failure::Unrecognized);
    }
    media::open(source, None, Vec::new())
}

/// Whether the file starts with a screenful of plain text.
fn is_text(source: &mut Source) -> Result<bool, Failure> {
    let (head, n) = source.peek::<256>(0)?;
    Ok(n > 0
        && head[..n]
            .iter()
            .all(|&b| matches!(b, b'\t' | b'\n' | b'\r' | 32..=126)))
}
