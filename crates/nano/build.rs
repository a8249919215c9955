//! Lists what lies in `model` and `reranker`, so that the crate includes it: either may have its weights in
//! one file or in several, and a re-ranker need not be there at all.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let mut list = String::new();
    for (constant, folder) in [("MODEL", "model"), ("RERANKER", "reranker")] {
        println!("cargo::rerun-if-changed={folder}");
        writeln!(list, "const {constant}: &[File] = &[").map_err(io::Error::other)?;
        for name in names(&Path::new(&root).join(folder))? {
            let path = Path::new(&root).join(folder).join(&name);
            let line = format!("    File {{ name: {name:?}, bytes: include_bytes!({path:?}) }},");
            writeln!(list, "{line}").map_err(io::Error::other)?;
        }
        list.push_str("];\n");
    }
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("files.rs"), list)
}

/// Names of the files in `folder`, sorted; none where there is no such folder.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let name = name
            .to_str()
            .ok_or_else(|| io::Error::other(format!("{name:?}: not Unicode")))?;
        if !name.starts_with('.') {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
