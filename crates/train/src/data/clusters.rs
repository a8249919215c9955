//! Tags as cluster numbers, which say that two captions speak of the same things.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::DataError;
use crate::loss::ClusterSet;

/// What turns tags into clusters.
#[derive(Debug, Clone, PartialEq)]
pub enum Clusters {
    /// Each tag is a cluster of its own. Its number is 32 bits of its BLAKE3 hash, so every process of a
    /// run gives it the same one without knowing the others' tags; of ten thousand tags, two share a
    /// number once in eighty vocabularies.
    Each,
    /// By a vocabulary; a tag that is not in it, or has `null` there, is in none.
    Vocabulary(HashMap<String, Option<u32>>),
}

/// A tag's entry: a number, or the object that the released file holds.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Plain(Option<u32>),
    Released { cluster_index: Option<u32> },
}

impl Clusters {
    /// Reads a vocabulary.
    ///
    /// # Errors
    ///
    /// [`DataError::File`] where it cannot be read, or where two spellings of one tag differ.
    pub fn read(file: &Path) -> Result<Self, DataError> {
        let failed = |reason: String| DataError::file(file, reason);
        let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
        let entries: HashMap<String, Entry> =
            serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        let mut known = HashMap::with_capacity(entries.len());
        for (tag, entry) in entries {
            let (Entry::Plain(cluster)
            | Entry::Released {
                cluster_index: cluster,
            }) = entry;
            let tag = normalised(&tag);
            let first = *known.entry(tag.clone()).or_insert(cluster);
            if first != cluster {
                return Err(failed(format!(
                    "`{tag}` is spelt twice, in different clusters"
                )));
            }
        }
        Ok(Self::Vocabulary(known))
    }

    /// The clusters of `tags`.
    pub fn of<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> ClusterSet {
        let tags = tags.into_iter().map(normalised);
        match self {
            Clusters::Each => tags.map(|tag| number(&tag)).collect(),
            Clusters::Vocabulary(known) => tags.filter_map(|tag| *known.get(&tag)?).collect(),
        }
    }
}

/// A tag in lower case, with single spaces.
fn normalised(tag: &str) -> String {
    let words: Vec<&str> = tag.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

fn number(tag: &str) -> u32 {
    let hash = blake3::hash(tag.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_matter_and_tags_do() {
        let of = |tags: &[&str]| Clusters::Each.of(tags.iter().copied());
        assert_eq!(of(&["Dog", "rain  fall"]), of(&["rain fall", " dog"]));
        assert_ne!(of(&["dog"]), of(&["cat"]));
    }
}
