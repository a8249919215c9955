//! The figures of an evaluation: against recorded values, and what they must never do.

mod knows_nothing;
mod readers;
mod recorded;

use std::path::PathBuf;

/// The recordings and annotation files beside the project, where they are present.
fn shared(path: &str) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let places = ["../shared", "../../shared"].map(|place| root.join(place));
    let named = std::env::var_os("AUROLA_SHARED").map(PathBuf::from);
    let found = (named.into_iter().chain(places))
        .map(|place| place.join(path))
        .find(|path| path.exists());
    if found.is_none() {
        println!("not run: ../shared/{path} is not there");
    }
    found
}
