//! Seals: eight bytes of BLAKE3 beside each row, over everything the row means.
//!
//! A seal covers what a row points to by value (the hash of the content, the fingerprint of the
//! space), not by row number, so a flipped bit anywhere, also one that makes a row point to
//! another, is noticed. This guards against accidents; it is no signature.

/// Collects what a row means.
pub(super) struct Seal(blake3::Hasher);

impl Seal {
    /// `table` keeps rows of different tables apart.
    pub(super) fn of(table: &str) -> Self {
        Self(blake3::Hasher::new()).bytes(table.as_bytes())
    }

    /// A field of any length; its length counts too.
    pub(super) fn bytes(mut self, field: &[u8]) -> Self {
        self.0.update(&(field.len() as u64).to_le_bytes());
        self.0.update(field);
        self
    }

    /// A number.
    pub(super) fn number(mut self, field: i64) -> Self {
        self.0.update(&field.to_le_bytes());
        self
    }

    /// A number that may be missing.
    pub(super) fn maybe(self, field: Option<i64>) -> Self {
        match field {
            Some(number) => self.number(1).number(number),
            None => self.number(0),
        }
    }

    /// A text that may be missing.
    pub(super) fn maybe_text(self, field: Option<&str>) -> Self {
        match field {
            Some(text) => self.number(1).bytes(text.as_bytes()),
            None => self.number(0),
        }
    }

    /// The seal itself.
    pub(super) fn close(self) -> [u8; 8] {
        *self
            .0
            .finalize()
            .as_bytes()
            .first_chunk()
            .expect("a hash of 32 bytes has 8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_one_field_ends_counts() {
        let a = Seal::of("file").bytes(b"ab").bytes(b"c").close();
        let b = Seal::of("file").bytes(b"a").bytes(b"bc").close();
        assert_ne!(a, b);
        assert_eq!(a, Seal::of("file").bytes(b"ab").bytes(b"c").close());
        assert_ne!(
            Seal::of("x").maybe(None).number(0).close(),
            Seal::of("x").maybe(Some(0)).close()
        );
    }
}
