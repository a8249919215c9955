//! The byte-level alphabet: every byte as one printable character, and back to text piece by piece.
//!
//! GPT-2's byte-level vocabulary writes each of the 256 bytes as a visible character: printable
//! Latin-1 stands for itself, the other 68 bytes stand as U+0100 and up, in byte order. Tokens are
//! therefore strings of this alphabet, and a token may end in the middle of a UTF-8 character.

/// The character that stands for `byte` in a byte-level vocabulary.
pub(crate) fn char_of(byte: u8) -> char {
    if stands_for_itself(byte) {
        return char::from(byte);
    }
    let rank = (0..byte).filter(|&b| !stands_for_itself(b)).count() as u32;
    char::from_u32(256 + rank).expect("68 characters from U+0100 on")
}

/// The byte that `c` stands for, or nothing where `c` is not of the alphabet.
fn byte_of(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ 0..256 => Some(code as u8).filter(|&b| stands_for_itself(b)),
        code @ 256..324 => (0..=255u8)
            .filter(|&b| !stands_for_itself(b))
            .nth(code as usize - 256),
        _ => None,
    }
}

fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The bytes that `token` spells; a character outside the alphabet spells itself.
pub(crate) fn bytes_of(token: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(token.len());
    for c in token.chars() {
        match byte_of(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    bytes
}

/// Bytes on their way to text: whole characters leave, the beginning of one waits for its rest.
#[derive(Debug, Default)]
pub(crate) struct Utf8Buffer {
    waiting: Vec<u8>,
}

impl Utf8Buffer {
    /// Takes `bytes` in; returns what is now certain. A byte that cannot be part of any character
    /// leaves as U+FFFD at once.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.waiting.extend_from_slice(bytes);
        let mut out = String::new();
        loop {
            match std::str::from_utf8(&self.waiting) {
                Ok(all) => {
                    out.push_str(all);
                    self.waiting.clear();
                    return out;
                }
                Err(error) => {
                    let (good, rest) = self.waiting.split_at(error.valid_up_to());
                    out.push_str(&String::from_utf8_lossy(good));
                    let Some(bad) = error.error_len() else {
                        self.waiting = rest.to_vec();
                        return out;
                    };
                    out.push(char::REPLACEMENT_CHARACTER);
                    self.waiting = rest[bad..].to_vec();
                }
            }
        }
    }

    /// What is still waiting when nothing more will come: nothing, or one U+FFFD.
    pub(crate) fn finish(self) -> String {
        String::from_utf8_lossy(&self.waiting).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_by_hand() {
        // GPT-2's table: space is U+0120 (Ġ), newline U+010A (Ċ), 0x7F U+0121, 0xAD U+0143.
        assert_eq!(char_of(b'a'), 'a');
        assert_eq!(char_of(b' '), 'Ġ');
        assert_eq!(char_of(b'\n'), 'Ċ');
        assert_eq!(char_of(0x7F), 'ġ');
        assert_eq!(char_of(0xAD), 'Ń');
    }

    #[test]
    fn every_byte_has_its_own_character_and_comes_back() {
        for byte in 0..=255u8 {
            assert_eq!(byte_of(char_of(byte)), Some(byte));
        }
        assert_eq!(byte_of('\u{144}'), None);
        assert_eq!(bytes_of("Ġ你"), [b' ', 0xE4, 0xBD, 0xA0]);
    }

    #[test]
    fn a_character_split_over_two_tokens_waits_for_its_second_half() {
        let mut buffer = Utf8Buffer::default();
        assert_eq!(buffer.push(b"caf\xC3"), "caf");
        assert_eq!(buffer.push(b"\xA9."), "é.");
        assert_eq!(buffer.finish(), "");
    }

    #[test]
    fn bytes_that_are_no_character_are_shown_as_such_and_hold_nothing_back() {
        let mut buffer = Utf8Buffer::default();
        assert_eq!(buffer.push(b"a\xFFb"), "a\u{FFFD}b");
        assert_eq!(buffer.push(b"\xE2\x82"), "");
        assert_eq!(buffer.finish(), "\u{FFFD}");
    }

    #[test]
    fn however_text_is_cut_the_pieces_join_to_the_whole() {
        let text = "Löwe, 雨, 🐋 — «ok»";
        for step in 1..5 {
            let mut buffer = Utf8Buffer::default();
            let mut joined: String = text
                .as_bytes()
                .chunks(step)
                .map(|c| buffer.push(c))
                .collect();
            joined.push_str(&buffer.finish());
            assert_eq!(joined, text);
        }
    }
}
