//! RIFF's own tags: INFO (the older ones), BEXT (EBU Tech 3285) and iXML, in WAVE, RF64 and BW64.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::{Pairs, put};

/// The largest chunk that is read; a longer one is cut.
const LARGEST: u64 = 1 << 20;
/// Chunks looked at before giving up.
const CHUNKS: usize = 1_000;

/// Four letters of INFO and what they mean.
const INFO: [(&[u8; 4], &str); 9] = [
    (b"INAM", "title"),
    (b"IART", "artist"),
    (b"IPRD", "album"),
    (b"IGNR", "genre"),
    (b"IKEY", "keyword"),
    (b"ICMT", "comment"),
    (b"ISBJ", "description"),
    (b"ICOP", "copyright"),
    (b"ICRD", "date"),
];

/// Elements of iXML, in capitals, and what they mean.
const IXML: [(&str, &str); 20] = [
    ("PROJECT", "project"),
    ("SCENE", "scene"),
    ("TAKE", "take"),
    ("TAPE", "tape"),
    ("NOTE", "comment"),
    ("NOTES", "comment"),
    ("CATEGORY", "category"),
    ("SUBCATEGORY", "subcategory"),
    ("CATID", "catid"),
    ("FXNAME", "title"),
    ("TRACKTITLE", "title"),
    ("DESCRIPTION", "description"),
    ("BWF_DESCRIPTION", "description"),
    ("KEYWORDS", "keyword"),
    ("LIBRARY", "library"),
    ("MANUFACTURER", "publisher"),
    ("MICROPHONE", "microphone"),
    ("LOCATION", "location"),
    ("ARTIST", "artist"),
    ("LICENSE", "licence"),
];

/// Adds what the file says; nothing for one that is no RIFF.
pub(super) fn read(path: &Path, pairs: &mut Pairs) -> Option<()> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let mut head = [0; 12];
    file.read_exact(&mut head).ok()?;
    if !matches!(&head[..4], b"RIFF" | b"RF64" | b"BW64") || &head[8..] != b"WAVE" {
        return None;
    }
    let mut at = 12_u64;
    let mut long_data = None;
    for _ in 0..CHUNKS {
        file.seek(SeekFrom::Start(at)).ok()?;
        let mut head = [0; 8];
        file.read_exact(&mut head).ok()?;
        let (name, size) = (
            &head[..4],
            u32::from_le_bytes([head[4], head[5], head[6], head[7]]),
        );
        let mut size = u64::from(size);
        let mut body = Vec::new();
        match name {
            b"ds64" | b"bext" | b"iXML" | b"LIST" => {
                file.by_ref()
                    .take(size.min(LARGEST))
                    .read_to_end(&mut body)
                    .ok()?;
            }
            // RF64 keeps the length of long data elsewhere.
            b"data" if size == u64::from(u32::MAX) => size = long_data?,
            _ => {}
        }
        match name {
            b"ds64" => {
                let eight = body.get(8..16)?.first_chunk()?;
                long_data = Some(u64::from_le_bytes(*eight));
            }
            b"bext" => bext(&body, pairs),
            b"iXML" => ixml(&text(&body), pairs),
            b"LIST" if body.starts_with(b"INFO") => info(&body[4..], pairs),
            _ => {}
        }
        at = at
            .checked_add(8)?
            .checked_add(size)?
            .checked_add(size & 1)?;
    }
    Some(())
}

/// UTF-8 where it is, else Latin-1, up to the first NUL.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// EBU Tech 3285, table 1: description, originator, its reference, date.
fn bext(body: &[u8], pairs: &mut Pairs) {
    let mut field = |from: usize, to: usize, name: &str| {
        if let Some(bytes) = body.get(from..to.min(body.len())) {
            put(pairs, name, &text(bytes));
        }
    };
    field(0, 256, "description");
    field(256, 288, "originator");
    field(320, 330, "date");
}

fn info(mut body: &[u8], pairs: &mut Pairs) {
    while let Some((head, rest)) = body.split_first_chunk::<8>() {
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let value = &rest[..size.min(rest.len())];
        if let Some((_, name)) = INFO.iter().find(|(id, _)| head.starts_with(*id)) {
            put(pairs, name, &text(value));
        }
        body = rest.get(size + (size & 1)..).unwrap_or_default();
    }
}

/// The text of every element that holds nothing but text and that [`IXML`] names.
fn ixml(xml: &str, pairs: &mut Pairs) {
    let mut rest = xml;
    while let Some((_, after)) = rest.split_once('<') {
        rest = after;
        let Some((tag, content)) = after.split_once('>') else {
            return;
        };
        let name = tag.split_whitespace().next().unwrap_or_default();
        let Some((_, meaning)) = IXML
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
        else {
            continue;
        };
        if let Some((value, end)) = content.split_once('<')
            && end
                .strip_prefix('/')
                .is_some_and(|end| end.starts_with(name))
        {
            put(pairs, meaning, &unescaped(value));
        }
    }
}

/// XML's five entities, and the numbers of characters.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out += before;
        let Some((entity, behind)) = after
            .split_once(';')
            .filter(|(entity, _)| entity.len() < 10)
        else {
            out.push('&');
            rest = after;
            continue;
        };
        let number = match entity.strip_prefix('#') {
            Some(hex) if hex.starts_with(['x', 'X']) => u32::from_str_radix(&hex[1..], 16).ok(),
            Some(decimal) => decimal.parse().ok(),
            None => None,
        };
        match (entity, number.and_then(char::from_u32)) {
            (_, Some(character)) => out.push(character),
            ("lt", _) => out.push('<'),
            ("gt", _) => out.push('>'),
            ("amp", _) => out.push('&'),
            ("quot", _) => out.push('"'),
            ("apos", _) => out.push('\''),
            _ => {}
        }
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut chunk = name.to_vec();
        chunk.extend((body.len() as u32).to_le_bytes());
        chunk.extend(body);
        chunk.extend(vec![0; body.len() & 1]);
        chunk
    }

    fn found(form: &[u8; 4], chunks: &[Vec<u8>]) -> Vec<(String, String)> {
        let body = chunks.concat();
        let mut file = form.to_vec();
        file.extend((body.len() as u32 + 4).to_le_bytes());
        file.extend(b"WAVE");
        file.extend(body);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        std::fs::write(&path, file).unwrap();
        let mut pairs = Pairs::new();
        read(&path, &mut pairs);
        pairs.into_iter().collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn bext_ixml_and_info_are_read_wherever_they_stand() {
        let mut bext = vec![0; 602];
        bext[..14].copy_from_slice(b"Rain on a roof");
        bext[256..260].copy_from_slice(b"ZOOM");
        bext[320..330].copy_from_slice(b"2019-04-02");
        let ixml = b"<BWFXML><PROJECT>Storm &amp; Sea</PROJECT><USER><CATEGORY>RAIN</CATEGORY>\
                     <EMPTY/></USER></BWFXML>";
        let list = [
            b"INFO".to_vec(),
            chunk(b"IKEY", b"wet; roof\0"),
            chunk(b"IART", b"M\xfcller"),
        ];
        let all = found(
            b"RIFF",
            &[
                chunk(b"bext", &bext),
                chunk(b"data", &[0; 5]),
                chunk(b"iXML", ixml),
                chunk(b"LIST", &list.concat()),
            ],
        );
        assert_eq!(
            all,
            [
                pair("artist", "Müller"),
                pair("category", "RAIN"),
                pair("date", "2019-04-02"),
                pair("description", "Rain on a roof"),
                pair("keyword", "roof"),
                pair("keyword", "wet"),
                pair("originator", "ZOOM"),
                pair("project", "Storm & Sea"),
            ]
        );
    }

    #[test]
    fn behind_long_data_of_rf64_tags_are_found_too() {
        let mut ds64 = vec![0; 28];
        ds64[8] = 6;
        let mut data = chunk(b"data", &[0; 6]);
        data[4..8].fill(0xFF);
        let list = [b"INFO".to_vec(), chunk(b"INAM", b"long")].concat();
        let all = found(
            b"RF64",
            &[chunk(b"ds64", &ds64), data, chunk(b"LIST", &list)],
        );
        assert_eq!(all, [pair("title", "long")]);
    }

    #[test]
    fn entities_by_hand() {
        assert_eq!(
            unescaped("a &lt;b&gt; &#233;&#x41; &none; & c"),
            "a <b> éA  & c"
        );
    }
}
