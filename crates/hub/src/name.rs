//! What a model is called on the hub: `org/name`, or `org/name@revision`.

use std::fmt;
use std::str::FromStr;

/// A model's name on the hub, checked: it is safe in a URL and as part of a path.
///
/// ```
/// use aurola_hub::ModelName;
/// let name: ModelName = "org/small@refs/pr/3".parse().unwrap();
/// assert_eq!((name.id(), name.revision()), ("org/small", "refs/pr/3"));
/// assert!("../secrets".parse::<ModelName>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    id: String,
    revision: String,
}

/// The branch that is meant where none is named.
pub(crate) const DEFAULT_REVISION: &str = "main";

impl ModelName {
    /// `org/name`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A branch, a tag or a commit; `main` where none was named.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The commit the name pins, where it pins one.
    pub(crate) fn pinned_commit(&self) -> Option<&str> {
        is_commit(&self.revision).then_some(self.revision.as_str())
    }
}

impl FromStr for ModelName {
    type Err = &'static str;

    /// The rules are the hub's own: two parts of letters, digits, `-`, `_` and `.`, at most 96
    /// characters in all, neither part beginning or ending with `-` or `.`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, revision) = text.split_once('@').unwrap_or((text, DEFAULT_REVISION));
        let Some((org, name)) = id.split_once('/') else {
            return Err("a name has the form org/name");
        };
        if id.len() > 96 {
            return Err("a name has at most 96 characters");
        }
        for part in [org, name] {
            if part.is_empty() {
                return Err("a name has the form org/name");
            }
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if !part.chars().all(allowed) {
                return Err("a name holds only letters, digits, `-`, `_`, `.` and one `/`");
            }
            if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
                return Err("no part of a name begins or ends with `-` or `.`");
            }
        }
        if id.contains("--") || id.contains("..") || id.ends_with(".git") {
            return Err("a name holds no `--` or `..` and does not end in `.git`");
        }
        if !is_safe_revision(revision) {
            return Err("what follows `@` is not a branch, a tag or a commit");
        }
        Ok(Self {
            id: id.to_owned(),
            revision: revision.to_owned(),
        })
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if self.revision != DEFAULT_REVISION {
            write!(f, "@{}", self.revision)?;
        }
        Ok(())
    }
}

/// Whether `text` is a full commit, as snapshots are named after.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A revision becomes a path under `refs/`, so no part of it may climb or hide.
fn is_safe_revision(revision: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    revision.len() <= 200
        && revision
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && part.chars().all(safe))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_parts() {
        let plain: ModelName = "Qwen/Qwen2.5-Omni-3B".parse().unwrap();
        assert_eq!(plain.id(), "Qwen/Qwen2.5-Omni-3B");
        assert_eq!(plain.revision(), "main");
        assert_eq!(plain.to_string(), "Qwen/Qwen2.5-Omni-3B");

        let pinned: ModelName = "a/b@0123456789abcdef0123456789abcdef01234567"
            .parse()
            .unwrap();
        assert_eq!(pinned.pinned_commit(), Some(pinned.revision()));
        assert_eq!(
            pinned.to_string(),
            "a/b@0123456789abcdef0123456789abcdef01234567"
        );
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for bad in [
            "", "bert", "a/b/c", "/a/b", "a/", "/b", "../x", "a/..", "./a", "a/.b", "-a/b", "a/b-",
            "a/b--c", "a/b.git", "a/b c", "a/b@", "a/b@../x", "a/b@.hid", "a/b@x//y", "a/b@/x",
            "a/b@x\\y", "a/b?x", "a/é", "a/b@x@y",
        ] {
            assert!(bad.parse::<ModelName>().is_err(), "{bad:?} was taken");
        }
        assert!(
            format!("a/{}", "b".repeat(95))
                .parse::<ModelName>()
                .is_err()
        );
    }
}
