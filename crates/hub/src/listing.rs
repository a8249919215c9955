//! What the hub says a model consists of: each file with its size and the hash of its bytes.

use std::io::Read;

use serde::Deserialize;

use crate::client::{Client, Failure, header, protocol};
use crate::name::is_commit;
use crate::select::{is_needed, lack};
use crate::{HubError, ModelName};

/// A listing longer than this is not one. The longest real ones are a few MB.
const MAX_LISTING: u64 = 64 << 20;

/// The files of one commit that we use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) commit: String,
    pub(crate) files: Vec<RemoteFile>,
}

/// One file, as the hub announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) hash: Hash,
}

/// What tells a file's bytes from others; its text names the blob in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hash {
    /// SHA-256 of the bytes: large files.
    Sha256(String),
    /// SHA-1 of git's header and the bytes: files that lie in git itself.
    Git(String),
    /// A mirror's own mark. It names the blob, and proves nothing: only the size is checked.
    Opaque(String),
}

impl Hash {
    /// Reads an ETag, or a hash; none for what could not name a file.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
        let hex = |len| text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit());
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if hex(64) {
            Some(Self::Sha256(text.to_ascii_lowercase()))
        } else if hex(40) {
            Some(Self::Git(text.to_ascii_lowercase()))
        } else if !text.is_empty()
            && text.len() <= 128
            && !text.starts_with('.')
            && text.chars().all(plain)
        {
            Some(Self::Opaque(text.to_owned()))
        } else {
            None
        }
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Sha256(text) | Self::Git(text) | Self::Opaque(text) => text,
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

impl Sibling {
    /// The hash and the size, where the listing tells both.
    fn identity(&self) -> Option<(Hash, u64)> {
        let hash = match &self.lfs {
            Some(lfs) => lfs.sha256.as_deref(),
            None => self.blob_id.as_deref(),
        };
        let size = self.lfs.as_ref().and_then(|lfs| lfs.size).or(self.size);
        Some((Hash::read(hash?)?, size?))
    }
}

/// Asks the hub, once, what the model consists of; and once more for each file whose size or hash
/// the listing leaves out, as some mirrors do.
///
/// # Errors
///
/// [`HubError::NotAModel`] where the files make no model we could load; the rest as the hub says.
pub(crate) fn fetch(client: &Client<'_>, model: &ModelName) -> Result<Listing, Failure> {
    let url = client.listing_url();
    let mut body = Vec::new();
    client
        .get(&url, 0)?
        .into_body()
        .into_reader()
        .take(MAX_LISTING)
        .read_to_end(&mut body)
        .map_err(|error| client.broken(&url, ureq::Error::from(error)))?;
    let answer: Answer =
        serde_json::from_slice(&body).map_err(|error| protocol(&url, error.to_string()))?;
    if !is_commit(&answer.sha) {
        return Err(protocol(&url, format!("`{}` is no commit", answer.sha)).into());
    }
    let all: Vec<&str> = answer
        .siblings
        .iter()
        .map(|s| s.rfilename.as_str())
        .collect();
    let chosen: Vec<&str> = all.iter().copied().filter(|path| is_needed(path)).collect();
    if let Some(reason) = lack(&chosen, &all) {
        let (name, page) = (model.to_string(), client.page());
        return Err(HubError::NotAModel { name, reason, page }.into());
    }
    let mut files = Vec::with_capacity(chosen.len());
    for sibling in answer.siblings.iter().filter(|s| is_needed(&s.rfilename)) {
        let (hash, size) = match sibling.identity() {
            Some(identity) => identity,
            None => ask_for_identity(client, &answer.sha, &sibling.rfilename)?,
        };
        files.push(RemoteFile {
            path: sibling.rfilename.clone(),
            size,
            hash,
        });
    }
    // A hub lists each path once; two of one name would be fetched over one another.
    files.sort_by(|a, b| a.path.cmp(&b.path));
    if let Some(pair) = files.windows(2).find(|pair| pair[0].path == pair[1].path) {
        return Err(protocol(&url, format!("it lists {} twice", pair[0].path)).into());
    }
    Ok(Listing {
        commit: answer.sha,
        files,
    })
}

fn ask_for_identity(client: &Client<'_>, commit: &str, path: &str) -> Result<(Hash, u64), Failure> {
    let url = client.file_url(commit, path);
    let headers = client.head(&url)?;
    let hash = header(&headers, "x-linked-etag")
        .or_else(|| header(&headers, "etag"))
        .and_then(Hash::read)
        .ok_or_else(|| protocol(&url, "no ETag"))?;
    let size = header(&headers, "x-linked-size")
        .or_else(|| header(&headers, "content-length"))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| protocol(&url, "no size"))?;
    Ok((hash, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_known_by_its_length() {
        let (sha1, sha256) = ("a".repeat(40), "B".repeat(64));
        assert_eq!(Hash::read(&format!("\"{sha1}\"")), Some(Hash::Git(sha1)));
        assert_eq!(
            Hash::read(&format!("W/\"{sha256}\"")),
            Some(Hash::Sha256("b".repeat(64)))
        );
        let mark = "5f3-abc".to_owned();
        assert_eq!(Hash::read("\"5f3-abc\""), Some(Hash::Opaque(mark)));
        for bad in ["", "\"\"", "../x", "a/b", "..", &"x".repeat(200)] {
            assert_eq!(Hash::read(bad), None, "{bad:?}");
        }
    }
}
