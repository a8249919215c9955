//! What a file looked like from outside when its bytes were last hashed.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::error::Result;

/// Size, time and place of a file, as the file system tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    /// Bytes.
    pub size: u64,
    /// Last change of the bytes, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// The file's number on its file system; 0 where there is none.
    pub inode: u64,
    /// The file system's number; 0 where there is none. Kept to tell drives apart, never compared:
    /// a drive that is plugged in again may get another.
    pub device: u64,
}

/// A clock's step of file systems that keep whole seconds (FAT keeps even ones).
const COARSE_STEP_NS: i64 = 2_000_000_000;
/// The same for all others: Linux stamps with the timer tick, at most 10 ms.
const FINE_STEP_NS: i64 = 20_000_000;

impl FileState {
    /// Of a file that was just looked at.
    pub fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let (inode, device) = {
            use std::os::unix::fs::MetadataExt;
            (metadata.ino(), metadata.dev())
        };
        #[cfg(not(unix))]
        let (inode, device) = (0, 0);
        Self {
            size: metadata.len(),
            mtime_ns: metadata.modified().map_or(0, nanoseconds),
            inode,
            device,
        }
    }

    /// Whether a file that now looks like `now` surely holds the bytes it held when it looked like
    /// `self` and was hashed at `checked_ns`.
    ///
    /// A file changed again within one step of the file system's clock looks the same, so a file
    /// that was hashed that soon after its change is not trusted.
    pub fn still_holds(&self, now: &Self, checked_ns: i64) -> bool {
        let step = if self.mtime_ns % 1_000_000_000 == 0 {
            COARSE_STEP_NS
        } else {
            FINE_STEP_NS
        };
        (self.size, self.mtime_ns, self.inode) == (now.size, now.mtime_ns, now.inode)
            && checked_ns.saturating_sub(self.mtime_ns) > step
    }
}

/// Nanoseconds since 1970, the store's clock.
pub(super) fn now_ns() -> i64 {
    nanoseconds(SystemTime::now())
}

fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// A path as the bytes the store keeps: on Unix any name, Unicode or not.
pub(super) fn path_bytes(path: &Path) -> Result<&[u8]> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Ok(path.as_os_str().as_bytes())
    }
    #[cfg(not(unix))]
    {
        path.to_str()
            .map(str::as_bytes)
            .ok_or_else(|| super::error::StoreError::Name { path: path.into() })
    }
}

/// The inverse of [`path_bytes`].
pub(super) fn bytes_path(bytes: Vec<u8>) -> Result<PathBuf> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        Ok(std::ffi::OsString::from_vec(bytes).into())
    }
    #[cfg(not(unix))]
    {
        String::from_utf8(bytes)
            .map(PathBuf::from)
            .map_err(|error| super::error::StoreError::Name {
                path: String::from_utf8_lossy(error.as_bytes())
                    .into_owned()
                    .into(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: FileState = FileState {
        size: 100,
        mtime_ns: 5_000_000_001,
        inode: 7,
        device: 1,
    };

    #[test]
    fn a_file_that_looks_the_same_holds_the_same_on_any_drive() {
        let checked = SEEN.mtime_ns + 1_000_000_000;
        assert!(SEEN.still_holds(&SEEN, checked));
        assert!(SEEN.still_holds(&FileState { device: 2, ..SEEN }, checked));
        for changed in [
            FileState { size: 101, ..SEEN },
            FileState {
                mtime_ns: 6_000_000_001,
                ..SEEN
            },
            FileState { inode: 8, ..SEEN },
        ] {
            assert!(!SEEN.still_holds(&changed, checked));
        }
    }

    #[test]
    fn a_file_hashed_within_a_clock_step_of_its_change_is_not_trusted() {
        assert!(!SEEN.still_holds(&SEEN, SEEN.mtime_ns + 1_000_000));
        let on_a_memory_card = FileState {
            mtime_ns: 4_000_000_000,
            ..SEEN
        };
        assert!(!on_a_memory_card.still_holds(&on_a_memory_card, 5_000_000_000));
        assert!(on_a_memory_card.still_holds(&on_a_memory_card, 6_000_000_001));
    }
}
