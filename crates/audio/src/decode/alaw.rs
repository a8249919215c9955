//! The two telephone codes of ITU-T G.711: 8 bits a sample, logarithmic.

/// Expands a µ-law byte to 16 bits (G.711, table 2).
pub(super) fn from_mulaw(code: u8) -> i16 {
    let code = !code;
    let exponent = (code >> 4) & 7;
    let magnitude = ((i16::from(code & 15) << 3) + 0x84) << exponent;
    let value = magnitude - 0x84;
    if code & 0x80 != 0 { -value } else { value }
}

/// Expands an A-law byte to 16 bits (G.711, table 1).
pub(super) fn from_alaw(code: u8) -> i16 {
    let code = code ^ 0x55;
    let exponent = (code >> 4) & 7;
    let mantissa = (i16::from(code & 15) << 4) + 8;
    let value = if exponent == 0 {
        mantissa
    } else {
        (mantissa + 0x100) << (exponent - 1)
    };
    if code & 0x80 != 0 { value } else { -value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mulaw_by_hand() {
        // 0xFF is +0, 0x80 the largest; the sign bit is inverted with the rest.
        assert_eq!(
            [0xFF, 0x7F, 0x80, 0x00, 0xFE].map(from_mulaw),
            [0, 0, 32124, -32124, 8]
        );
    }

    #[test]
    fn alaw_by_hand() {
        assert_eq!(
            [0xD5, 0x55, 0xAA, 0x2A].map(from_alaw),
            [8, -8, 32256, -32256]
        );
    }

    #[test]
    fn codes_are_odd_functions_of_the_sign_bit() {
        for code in 0..=127u8 {
            assert_eq!(from_mulaw(code), -from_mulaw(code | 0x80));
            assert_eq!(from_alaw(code), -from_alaw(code | 0x80));
        }
    }
}
