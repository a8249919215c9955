//! One file, from the hub into the cache: taken up where it broke off, checked, and put in place
//! in one step. Until then it bears a name that nothing reads.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};
use ureq::Body;
use ureq::http::{Response, StatusCode};

use crate::cache::{ModelCache, create_parent, sync_folder_of};
use crate::client::{Again, Attempts, Client, Failure, header, protocol};
use crate::listing::{Hash, RemoteFile};
use crate::{HubError, HubOptions, ModelName, Progress, Transfer, Waiting};

/// Bytes between two reports, and per write.
const CHUNK: usize = 256 << 10;

/// A download of several files, and whom it tells.
pub(crate) struct Download<'a> {
    pub(crate) client: &'a Client<'a>,
    pub(crate) options: &'a HubOptions,
    pub(crate) model: &'a ModelName,
    pub(crate) cache: &'a ModelCache,
    pub(crate) commit: &'a str,
    pub(crate) progress: &'a mut dyn Progress,
    /// Bytes of the files that are whole.
    pub(crate) done: u64,
    /// Bytes of all files.
    pub(crate) total: u64,
}

impl Download<'_> {
    /// Makes sure that the blob of `file` is in the cache.
    ///
    /// One process at a time fetches a blob; the others wait for it, and find it there.
    pub(crate) fn fetch(&mut self, file: &RemoteFile) -> Result<(), HubError> {
        let hash = file.hash.text();
        let blob = self.cache.blob(hash);
        let _lock = self.lock(&self.cache.lock(hash))?;
        if !blob.is_file() {
            let mut partial = Partial::open(self.cache.incomplete(hash), file)?;
            let mut attempts = Attempts::new(self.options, self.model);
            loop {
                let before = partial.len;
                match self.attempt(file, &mut partial) {
                    Ok(()) => break,
                    Err(failure) => {
                        if partial.len > before {
                            attempts.got_somewhere();
                        }
                        attempts.after(failure, self.progress)?;
                    }
                }
            }
            partial.put_in_place(&blob)?;
        }
        self.done += file.size;
        self.report(file, file.size, 0)
    }

    /// Asks for what is missing of the file, writes it down and checks the whole.
    fn attempt(&mut self, file: &RemoteFile, partial: &mut Partial) -> Result<(), Failure> {
        let url = self.client.file_url(self.commit, &file.path);
        if partial.len < file.size {
            let answer = self.client.get(&url, partial.len)?;
            check_range(&url, file, partial, &answer)?;
            self.receive(&url, file, partial, answer)?;
        }
        let found = partial.hasher.text();
        if found == file.hash.text() || matches!(file.hash, Hash::Opaque(_)) {
            return Ok(());
        }
        let inherited = partial.inherited;
        partial.start_again()?;
        let again = if inherited { Again::Soon } else { Again::No };
        let expected = file.hash.text().to_owned();
        if !inherited {
            partial.forget()?;
        }
        Err(Failure {
            error: HubError::Integrity {
                url,
                expected,
                found,
            },
            again,
        })
    }

    fn receive(
        &mut self,
        url: &str,
        file: &RemoteFile,
        partial: &mut Partial,
        answer: Response<Body>,
    ) -> Result<(), Failure> {
        let mut body = answer.into_body().into_reader();
        let mut chunk = vec![0; CHUNK];
        loop {
            let filled = fill(&mut body, &mut chunk);
            let (len, broken) = match filled {
                Ok(len) => (len, None),
                Err((len, error)) => (len, Some(error)),
            };
            if partial.len + len as u64 > file.size {
                partial.start_again()?;
                return Err(wrong_size(url, file, "more").into());
            }
            partial.append(&chunk[..len])?;
            self.report(file, partial.len, partial.len)?;
            if let Some(error) = broken {
                return Err(self.client.broken(url, ureq::Error::from(error)));
            }
            if len == 0 {
                break;
            }
        }
        if partial.len == file.size {
            return Ok(());
        }
        Err(Failure {
            error: HubError::Network {
                url: url.to_owned(),
                reason: format!("it ended after {} of {} bytes", partial.len, file.size),
                never_reached: false,
                source: None,
            },
            again: Again::Soon,
        })
    }

    fn report(&mut self, file: &RemoteFile, file_done: u64, of_this: u64) -> Result<(), HubError> {
        let transfer = Transfer {
            file: &file.path,
            file_done,
            file_size: file.size,
            done: self.done + of_this,
            total: self.total,
        };
        if self.progress.moved(&transfer).is_break() {
            return Err(self.stopped());
        }
        Ok(())
    }

    fn stopped(&self) -> HubError {
        HubError::Stopped {
            name: self.model.to_string(),
        }
    }

    /// Takes the lock that Python's programs take, too (`flock`), and waits for as long as another
    /// process holds it. It is given back when the file is dropped.
    fn lock(&mut self, path: &Path) -> Result<File, HubError> {
        let failed = |source| HubError::Lock {
            path: path.to_owned(),
            source,
        };
        create_parent(path)?;
        loop {
            let mut open = OpenOptions::new();
            let file = open.create(true).truncate(false).write(true).open(path);
            let file = file.map_err(failed)?;
            match file.try_lock() {
                // Some programs delete the lock's file when they are done with it: then ours is
                // a lock on a file that no one else will find.
                Ok(()) if is_still_at(&file, path) => return Ok(file),
                Ok(()) => continue,
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) => {}
            }
            if self.progress.waiting(&Waiting::Lock(path)).is_break() {
                return Err(self.stopped());
            }
            sleep(Duration::from_millis(100));
        }
    }
}

/// Checks that the answer is the part of the file that we lack, or else the whole file.
fn check_range(
    url: &str,
    file: &RemoteFile,
    partial: &mut Partial,
    answer: &Response<Body>,
) -> Result<(), Failure> {
    let status = answer.status();
    if status == StatusCode::PARTIAL_CONTENT && partial.len > 0 {
        let range = header(answer.headers(), "content-range").unwrap_or_default();
        let start = format!("bytes {}-", partial.len);
        let size = range.rsplit_once('/').map(|(_, size)| size);
        if range.starts_with(&start)
            && size.is_some_and(|size| size == "*" || size == file.size.to_string())
        {
            return Ok(());
        }
        partial.start_again()?;
        return Err(Failure {
            error: protocol(url, format!("asked for {start}, it sent `{range}`")),
            again: Again::Soon,
        });
    }
    partial.start_again()?;
    if status != StatusCode::OK {
        return Err(Failure {
            error: protocol(url, format!("it answered {status} to a request for a file")),
            again: Again::Soon,
        });
    }
    match answer.body().content_length() {
        Some(len) if len != file.size => Err(wrong_size(url, file, &len.to_string()).into()),
        _ => Ok(()),
    }
}

fn wrong_size(url: &str, file: &RemoteFile, found: &str) -> HubError {
    HubError::Integrity {
        url: url.to_owned(),
        expected: format!("{} bytes", file.size),
        found: found.to_owned(),
    }
}

/// Reads until `chunk` is full or the body ends. An error comes with the bytes before it, which
/// are good.
fn fill(body: &mut impl Read, chunk: &mut [u8]) -> Result<usize, (usize, std::io::Error)> {
    let mut len = 0;
    while len < chunk.len() {
        match body.read(&mut chunk[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) => return Err((len, error)),
        }
    }
    Ok(len)
}

/// A file that is on its way: what is there of it, and the hash of that.
struct Partial {
    path: PathBuf,
    file: File,
    len: u64,
    hasher: Hasher,
    /// Whether some of its bytes are from an earlier run, of this program or another.
    inherited: bool,
    fresh_hasher: Hasher,
}

impl Partial {
    fn open(path: PathBuf, file: &RemoteFile) -> Result<Self, HubError> {
        create_parent(&path)?;
        let mut open = OpenOptions::new();
        let handle = open.read(true).write(true).create(true).truncate(false);
        let handle = handle
            .open(&path)
            .map_err(HubError::disk(&path, "create"))?;
        let hasher = Hasher::new(file);
        let mut partial = Self {
            path,
            file: handle,
            len: 0,
            hasher: hasher.clone(),
            inherited: false,
            fresh_hasher: hasher,
        };
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = partial.file.read(&mut chunk);
            let read = read.map_err(HubError::disk(&partial.path, "read"))?;
            if read == 0 {
                break;
            }
            partial.hasher.update(&chunk[..read]);
            partial.len += read as u64;
        }
        partial.inherited = partial.len > 0;
        if partial.len > file.size {
            partial.start_again()?;
        }
        Ok(partial)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        let written = self.file.write_all(bytes);
        written.map_err(HubError::disk(&self.path, "write"))?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn start_again(&mut self) -> Result<(), HubError> {
        let emptied = self.file.set_len(0);
        emptied
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(HubError::disk(&self.path, "empty"))?;
        self.len = 0;
        self.inherited = false;
        self.hasher = self.fresh_hasher.clone();
        Ok(())
    }

    fn forget(&self) -> Result<(), HubError> {
        fs::remove_file(&self.path).map_err(HubError::disk(&self.path, "delete"))
    }

    fn put_in_place(self, blob: &Path) -> Result<(), HubError> {
        let synced = self.file.sync_all();
        synced
            .and_then(|()| fs::rename(&self.path, blob))
            .and_then(|()| sync_folder_of(blob))
            .map_err(HubError::disk(blob, "write"))
    }
}

#[derive(Clone)]
enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
    None,
}

impl Hasher {
    fn new(file: &RemoteFile) -> Self {
        match file.hash {
            Hash::Sha256(_) => Self::Sha256(Sha256::new()),
            Hash::Git(_) => Self::Git(Sha1::new_with_prefix(format!("blob {}\0", file.size))),
            Hash::Opaque(_) => Self::None,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Git(hasher) => hasher.update(bytes),
            Self::None => {}
        }
    }

    /// The hash of what has been seen so far, as hexadecimal digits.
    fn text(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Sha256(hasher) => hex(&hasher.clone().finalize()),
            Self::Git(hasher) => hex(&hasher.clone().finalize()),
            Self::None => String::new(),
        }
    }
}

#[cfg(unix)]
fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_still_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(bytes: &[u8], hash: Hash) -> String {
        let file = RemoteFile {
            path: "x".to_owned(),
            size: bytes.len() as u64,
            hash,
        };
        let mut hasher = Hasher::new(&file);
        for part in bytes.chunks(2) {
            hasher.update(part);
        }
        hasher.text()
    }

    /// The examples of FIPS 180 and of git's manual (`echo 'test content' | git hash-object`).
    #[test]
    fn hashes_agree_with_published_ones() {
        assert_eq!(
            hash_of(b"abc", Hash::Sha256(String::new())),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hash_of(b"test content\n", Hash::Git(String::new())),
            "d670460b4b4aece5915caf5c68d12f560a9fe3e4"
        );
    }
}
