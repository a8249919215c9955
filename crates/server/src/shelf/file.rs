//! Files of the index, and nothing but them.
//!
//! A request names a number, and the catalogue a path. What lies there may have been changed since: a
//! link may lead out of the library by now. So a path is resolved first, must lie in an indexed
//! folder then, and is opened from that folder down by a call that follows nothing out of it.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::fault::{Fault, Kind};

/// An open file.
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) metadata: Metadata,
    /// Where it really is.
    pub(crate) path: PathBuf,
}

/// Opens `path`, which the catalogue knows, if it lies in one of `roots`, or is where the catalogue
/// says with no link on the way.
pub(crate) fn open_beneath(path: &Path, roots: &[PathBuf]) -> Result<Opened, Fault> {
    let gone = |_| Fault::not_found("the file is not there any more, or its drive is not");
    let real = std::fs::canonicalize(path).map_err(gone)?;
    let parent = real.parent().filter(|_| real == path);
    let folder = (roots.iter())
        .filter_map(|root| std::fs::canonicalize(root).ok())
        .find(|root| real != *root && real.starts_with(root))
        .or_else(|| parent.map(Path::to_path_buf))
        .ok_or_else(|| {
            Fault::new(
                Kind::Forbidden,
                "the file is a link out of the indexed folders",
            )
            .help("index the folder it leads to as well")
        })?;
    let below = real
        .strip_prefix(&folder)
        .map_err(|_| Fault::not_found("the file has moved"))?;
    let folder = Dir::open_ambient_dir(&folder, ambient_authority()).map_err(gone)?;
    let file = folder.open(below).map_err(gone)?.into_std();
    let metadata = file.metadata().map_err(gone)?;
    match metadata.is_file() {
        true => Ok(Opened {
            file,
            metadata,
            path: real,
        }),
        false => Err(Fault::not_found("that is no regular file any more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_the_library_is_not_followed_and_one_within_is() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let (library, other) = (base.join("library"), base.join("other"));
        std::fs::create_dir_all(&library).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(library.join("a.wav"), b"sound").unwrap();
        std::fs::write(other.join("secret"), b"secret").unwrap();
        symlink(other.join("secret"), library.join("out.wav")).unwrap();
        symlink(library.join("a.wav"), library.join("in.wav")).unwrap();
        symlink(&other, library.join("folder")).unwrap();
        let roots = [library.clone()];
        assert!(open_beneath(&library.join("a.wav"), &roots).is_ok());
        assert!(open_beneath(&library.join("in.wav"), &roots).is_ok());
        for out in ["out.wav", "folder/secret", "../other/secret", "folder", ""] {
            assert!(open_beneath(&library.join(out), &roots).is_err(), "{out}");
        }
        let both = [library.clone(), other];
        assert!(open_beneath(&library.join("out.wav"), &both).is_ok());
        // A single file that was indexed without its folder.
        assert!(open_beneath(&library.join("a.wav"), &[]).is_ok());
        assert!(open_beneath(&library.join("out.wav"), &[]).is_err());
    }
}
