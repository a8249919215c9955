//! How a server is run: every bound in one place.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How a server is run. The defaults are those of the program.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the model is called; the first is what answers say, the others are understood as well.
    pub models: Vec<String>,
    /// What requests must bring, if anything.
    pub keys: Keys,
    /// Names under which this server may be called besides those of loopback. Empty on an address
    /// that is not loopback: any.
    pub hosts: Vec<String>,
    /// Hosts whose sounds may be fetched: `None` for none at all, an empty list for any public one.
    pub remote: Option<Vec<String>>,
    /// Bytes of a request with sounds in it; default 100 MiB.
    pub body_bytes: usize,
    /// Bytes of any other request; default 1 MiB.
    pub json_bytes: usize,
    /// Seconds of a sound in a request; default 600.
    pub upload_s: f64,
    /// Requests under way at once; default 512, as in TEI. Beyond it: 429.
    pub requests: usize,
    /// Inputs of one request; default 2,048, as in OpenAI's API.
    pub inputs: usize,
    /// Tokens of one batch, and of the longest text; default 16,384, as in TEI.
    pub batch_tokens: usize,
    /// Inputs of one batch; default 256.
    pub batch_inputs: usize,
    /// Open connections; default 512.
    pub connections: usize,
    /// Until a request's head is there; default 10 s.
    pub head_time: Duration,
    /// Until the next piece of a body is there; default 10 s.
    pub body_time: Duration,
    /// Until an answer begins; default 300 s.
    pub answer_time: Duration,
    /// For what is under way when the server is to stop; default 30 s.
    pub stop_time: Duration,
    /// Threads that decode, each with processes of its own; default: the cores, at most 4.
    pub ears: usize,
    /// Where waveforms and spectrograms are kept; `None`: they are made anew each time.
    pub cache: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            models: vec!["aurola".into()],
            keys: Keys::default(),
            hosts: Vec::new(),
            remote: None,
            body_bytes: 100 << 20,
            json_bytes: 1 << 20,
            upload_s: 600.0,
            requests: 512,
            inputs: 2_048,
            batch_tokens: 16_384,
            batch_inputs: 256,
            connections: 512,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(300),
            stop_time: Duration::from_secs(30),
            ears: std::thread::available_parallelism().map_or(1, |n| n.get().min(4)),
            cache: None,
        }
    }
}

/// What a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// Search, embed, listen.
    Read,
    /// Index, tag and collect as well.
    Write,
}

/// Keys, kept as their hashes. None at all: whoever can call may do everything.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    write: Option<blake3::Hash>,
    read: Option<blake3::Hash>,
}

impl Keys {
    /// `write` allows everything, `read` everything that changes nothing.
    pub fn new(write: Option<&str>, read: Option<&str>) -> Self {
        let hash = |key: &str| blake3::hash(key.as_bytes());
        Self {
            write: write.map(hash),
            read: read.map(hash),
        }
    }

    /// Whether none is asked for.
    pub fn is_open(&self) -> bool {
        self.write.is_none() && self.read.is_none()
    }

    /// What `key` allows. Hashes are compared, in constant time, and always both of them.
    pub(crate) fn access(&self, key: &str) -> Option<Access> {
        let hash = blake3::hash(key.as_bytes());
        let write = self.write.is_some_and(|mine| mine == hash);
        let read = self.read.is_some_and(|mine| mine == hash);
        match (write, read) {
            (true, _) => Some(Access::Write),
            (_, true) => Some(Access::Read),
            _ => None,
        }
    }
}

/// Whether a server may listen on `address`: on loopback always, elsewhere with a key or where
/// somebody has said that they mean it.
pub fn may_listen(address: IpAddr, keys: &Keys, insecure: bool) -> bool {
    address.is_loopback() || !keys.is_open() || insecure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_open_what_they_are_for() {
        let keys = Keys::new(Some("all"), Some("some"));
        assert_eq!(keys.access("all"), Some(Access::Write));
        assert_eq!(keys.access("some"), Some(Access::Read));
        assert_eq!(keys.access(""), None);
        assert_eq!(keys.access("al"), None);
        assert!(Keys::default().is_open() && !keys.is_open());
    }

    #[test]
    fn only_loopback_is_open_to_whoever_comes() {
        let key = Keys::new(Some("k"), None);
        for loopback in ["127.0.0.1", "127.8.8.8", "::1"] {
            assert!(may_listen(
                loopback.parse().unwrap(),
                &Keys::default(),
                false
            ));
        }
        for other in ["0.0.0.0", "::", "192.168.1.2", "8.8.8.8"] {
            let other = other.parse().unwrap();
            assert!(!may_listen(other, &Keys::default(), false));
            assert!(may_listen(other, &key, false));
            assert!(may_listen(other, &Keys::default(), true));
        }
    }
}
