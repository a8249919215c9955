//! A hub of our own: a real HTTP server on this machine that speaks the hub's language, remembers
//! what it was asked, and misbehaves on request.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// One file of the repository that is served.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
    /// Large files are announced by SHA-256, others by git's hash.
    pub(crate) large: bool,
}

impl Served {
    pub(crate) fn hash(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
        if self.large {
            hex(&Sha256::digest(&self.bytes))
        } else {
            let header = format!("blob {}\0", self.bytes.len());
            hex(&Sha1::new_with_prefix(header)
                .chain_update(&self.bytes)
                .finalize())
        }
    }
}

/// What to do wrong, once, with the next request for a path.
#[derive(Clone)]
pub(crate) enum Twist {
    /// Answer with this status and these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// Announce the whole answer, send this many bytes of it, and hang up.
    CutAfter(usize),
    /// Send this many bytes, then nothing more, and keep the line open.
    SilentAfter(usize),
    /// Send bytes of the right number, and wrong.
    Garbage,
    /// Send the whole file whatever range was asked for.
    WholeFile,
    /// Send the range from another byte on.
    WrongRange,
    /// Announce more bytes than the file has.
    TooLong,
}

/// What the server was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
}

#[derive(Default)]
struct State {
    commit: String,
    files: Vec<Served>,
    twists: HashMap<String, VecDeque<Twist>>,
    asked: Vec<Asked>,
    /// Where large files are sent from: another server, or a path of this one.
    storage: Option<String>,
    /// Whether listings tell sizes and hashes.
    terse: bool,
    /// Instead of the real listing.
    listing: Option<String>,
    /// Wait before every answer.
    delay: Duration,
}

#[derive(Clone)]
pub(crate) struct FakeHub {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

impl FakeHub {
    pub(crate) fn start(files: Vec<Served>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hub = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::new(Mutex::new(State {
                commit: COMMIT.to_owned(),
                files,
                ..State::default()
            })),
        };
        let serving = hub.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let hub = serving.clone();
                // A client that hangs up is no failure of the server.
                thread::spawn(move || hub.serve(stream).ok());
            }
        });
        hub
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// Misbehaves with the next request whose path ends in `path`; several twists queue up.
    pub(crate) fn twist(&self, path: &str, twist: Twist) {
        self.with(|s| {
            s.twists
                .entry(path.to_owned())
                .or_default()
                .push_back(twist)
        });
    }

    pub(crate) fn store_large_files_at(&self, storage: &str) {
        self.with(|s| s.storage = Some(storage.to_owned()));
    }

    pub(crate) fn list_names_only(&self) {
        self.with(|s| s.terse = true);
    }

    pub(crate) fn list(&self, json: &str) {
        self.with(|s| s.listing = Some(json.to_owned()));
    }

    pub(crate) fn answer_slowly(&self, delay: Duration) {
        self.with(|s| s.delay = delay);
    }

    pub(crate) fn publish(&self, commit: &str, files: Vec<Served>) {
        self.with(|s| (s.commit, s.files) = (commit.to_owned(), files));
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.with(|s| s.asked.clone())
    }

    /// The requests whose path ends in `path`.
    pub(crate) fn asked_for(&self, path: &str) -> Vec<Asked> {
        let mut asked = self.asked();
        asked.retain(|a| a.target.split('?').next().unwrap().ends_with(path));
        asked
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut out = stream;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let mut words = line.split_whitespace().map(str::to_owned);
            let (method, target) = (words.next().unwrap(), words.next().unwrap());
            let mut headers = HashMap::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line)?;
                match line.trim_end().split_once(": ") {
                    Some((name, value)) => {
                        headers.insert(name.to_ascii_lowercase(), value.to_owned())
                    }
                    None => break,
                };
            }
            let asked = Asked {
                method,
                target,
                headers,
            };
            self.with(|s| s.asked.push(asked.clone()));
            thread::sleep(self.with(|s| s.delay));
            // As a proxy, we lead every tunnel to ourselves.
            if asked.method == "CONNECT" {
                out.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                continue;
            }
            if !self.answer(&asked, &mut out)? {
                return Ok(());
            }
        }
    }

    /// Whether the connection goes on.
    fn answer(&self, asked: &Asked, out: &mut TcpStream) -> std::io::Result<bool> {
        let path = asked.target.split('?').next().unwrap();
        let twist = self.with(|s| {
            let queue = s.twists.iter_mut().find(|(end, _)| path.ends_with(*end));
            queue.and_then(|(_, queue)| queue.pop_front())
        });
        if let Some(Twist::Status(status, headers)) = twist {
            return send(out, status, &headers, b"").map(|()| true);
        }
        if path.starts_with("/api/models/") {
            let listing = self.listing(asked.target.ends_with("blobs=true"));
            return send(out, 200, &[], listing.as_bytes()).map(|()| true);
        }
        let (commit, files, storage) =
            self.with(|s| (s.commit.clone(), s.files.clone(), s.storage.clone()));
        let served = files.iter().find(|f| {
            path.ends_with(&format!("/resolve/{commit}/{}", f.path))
                || path.ends_with(&format!("/stored/{}", f.path))
        });
        let Some(served) = served else {
            let code = vec![("X-Error-Code", "EntryNotFound".to_owned())];
            return send(out, 404, &code, b"").map(|()| true);
        };
        let mark = format!("\"{}\"", served.hash());
        if served.large
            && !path.contains("/stored/")
            && let Some(storage) = storage
        {
            let headers = [
                (
                    "Location",
                    format!("{storage}/stored/{}?signature=s3cret", served.path),
                ),
                ("X-Linked-ETag", mark),
                ("X-Linked-Size", served.bytes.len().to_string()),
                ("X-Repo-Commit", commit),
            ];
            return send(out, 302, &headers, b"").map(|()| true);
        }
        let from = asked.headers.get("range").map(|range| {
            let number = range.strip_prefix("bytes=").unwrap().strip_suffix('-');
            number.unwrap().parse::<usize>().unwrap()
        });
        let size = served.bytes.len();
        let from = from.filter(|_| !matches!(twist, Some(Twist::WholeFile)));
        if from.is_some_and(|from| from >= size) {
            return send(out, 416, &[], b"").map(|()| true);
        }
        let mut head = vec![("ETag", mark), ("X-Repo-Commit", commit)];
        let start = match (from, &twist) {
            (Some(from), Some(Twist::WrongRange)) => from.saturating_sub(1),
            (from, _) => from.unwrap_or(0),
        };
        if from.is_some() {
            head.push((
                "Content-Range",
                format!("bytes {start}-{}/{size}", size - 1),
            ));
        }
        let mut body = served.bytes[start..].to_vec();
        let mut announced = body.len();
        match twist {
            Some(Twist::Garbage) => body.iter_mut().for_each(|byte| *byte ^= 0x55),
            Some(Twist::CutAfter(len) | Twist::SilentAfter(len)) => body.truncate(len),
            Some(Twist::TooLong) => announced += 1,
            _ => {}
        }
        let status = if from.is_some() { 206 } else { 200 };
        send_head(out, status, &head, announced)?;
        if asked.method != "HEAD" {
            out.write_all(&body)?;
        }
        if matches!(twist, Some(Twist::SilentAfter(_))) {
            thread::sleep(Duration::from_secs(20));
        }
        Ok(twist.is_none())
    }

    fn listing(&self, with_blobs: bool) -> String {
        self.with(|s| {
            if let Some(listing) = &s.listing {
                return listing.clone();
            }
            let siblings: Vec<String> = s
                .files
                .iter()
                .map(|file| {
                    let (path, size, hash) = (&file.path, file.bytes.len(), file.hash());
                    if s.terse || !with_blobs {
                        format!(r#"{{"rfilename":"{path}"}}"#)
                    } else if file.large {
                        format!(
                            r#"{{"rfilename":"{path}","size":{size},"blobId":"{}","lfs":{{"sha256":"{hash}","size":{size},"pointerSize":134}}}}"#,
                            "c".repeat(40)
                        )
                    } else {
                        format!(r#"{{"rfilename":"{path}","size":{size},"blobId":"{hash}"}}"#)
                    }
                })
                .collect();
            format!(
                r#"{{"id":"org/model","sha":"{}","private":false,"gated":false,"siblings":[{}]}}"#,
                s.commit,
                siblings.join(",")
            )
        })
    }
}

fn send(
    out: &mut TcpStream,
    status: u16,
    headers: &[(&str, String)],
    body: &[u8],
) -> std::io::Result<()> {
    send_head(out, status, headers, body.len())?;
    out.write_all(body)
}

fn send_head(
    out: &mut TcpStream,
    status: u16,
    headers: &[(&str, String)],
    length: usize,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    out.write_all(head.as_bytes())
}
