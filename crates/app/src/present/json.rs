//! JSON, as other programs rely on it. Field order is part of the promise.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

/// A path as JSON can hold it. A name that is not Unicode is shown with U+FFFD, and its exact bytes
/// follow in hexadecimal under `path_hex`.
#[derive(Debug, Serialize)]
pub(crate) struct JsonPath {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
}

impl From<&Path> for JsonPath {
    fn from(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self {
                path: text.to_owned(),
                path_hex: None,
            },
            None => Self {
                path: path.to_string_lossy().into_owned(),
                path_hex: Some(
                    (path.as_os_str().as_encoded_bytes().iter())
                        .map(|byte| format!("{byte:02x}"))
                        .collect(),
                ),
            },
        }
    }
}

impl JsonPath {
    /// The bytes of a name that is not Unicode.
    pub(crate) fn into_hex(self) -> Option<String> {
        self.path_hex
    }
}

/// A number of seconds without the tail that floating point leaves: to the microsecond.
pub(crate) fn seconds(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// One object on one line.
pub(crate) fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")
}

/// One document over several lines.
pub(crate) fn document(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_unicode_keeps_its_bytes() {
        let plain = serde_json::to_string(&JsonPath::from(Path::new("a.wav"))).unwrap();
        assert_eq!(plain, r#"{"path":"a.wav"}"#);
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            let odd = Path::new(std::ffi::OsStr::from_bytes(b"caf\xe9"));
            let odd = serde_json::to_string(&JsonPath::from(odd)).unwrap();
            assert_eq!(odd, "{\"path\":\"caf\u{fffd}\",\"path_hex\":\"636166e9\"}");
        }
    }
}
