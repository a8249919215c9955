//! The page is compiled in, so a new file of it is a reason to build.

fn main() {
    println!("cargo:rerun-if-changed=assets");
}
