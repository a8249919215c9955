//! A file's bytes as memory.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

/// A whole file, mapped read-only.
///
/// Pages are read from disk when they are first touched and belong to the system's page cache, so
/// two programs with the same checkpoint share them.
#[derive(Debug)]
pub struct MappedFile(memmap2::Mmap);

impl MappedFile {
    /// Maps `path`.
    ///
    /// The file must not be shortened while it is mapped: reading past its new end kills the
    /// process (SIGBUS), as with every program that maps files. Checkpoints are replaced by
    /// renaming a new file over the old name, which is safe.
    ///
    /// # Errors
    ///
    /// What the system says of opening or mapping the file; what is no regular file, or empty,
    /// cannot be mapped.
    #[allow(unsafe_code)]
    pub fn open(path: &Path) -> io::Result<Self> {
        // Asked before opening: a pipe in the place of a file would block there for ever.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file is empty",
            ));
        }
        // SAFETY: the map is read-only and private to this type, which hands out shared slices
        // only. What remains is the rule above on shortening the file, which no user of a map can
        // enforce.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Self(map))
    }

    /// Says that these bytes will not be needed soon: their pages no longer count as this process's memory,
    /// and are read again where they are. A hint; nothing is lost.
    ///
    /// # Panics
    ///
    /// Where the range is not inside the file.
    #[allow(unsafe_code)]
    pub fn release(&self, range: std::ops::Range<usize>) {
        assert!(range.start <= range.end && range.end <= self.len());
        #[cfg(unix)]
        {
            // SAFETY: the map is shared and never written to, so a page that is dropped is read again with
            // the same bytes; a refusal is no harm.
            let _ = unsafe {
                self.0.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    range.start,
                    range.len(),
                )
            };
        }
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
