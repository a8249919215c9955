//! Checkpoints other than the recorded ones: damaged, and unusual but sound.

mod damaged;
mod unusual;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aurola_model::{LoadOptions, Model, ModelError};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;
use tempfile::TempDir;

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/checkpoints")
        .join(name)
}

/// A copy of a checkpoint that a test may change.
fn copy_of(name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(testdata(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file()
            && !path
                .file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("golden")
        {
            fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    dir
}

fn load(dir: &Path) -> Result<Model, ModelError> {
    Model::load(dir, &LoadOptions::default())
}

fn edit_config(dir: &Path, edit: impl FnOnce(&mut Value)) {
    let path = dir.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut config);
    fs::write(path, config.to_string()).unwrap();
}

/// A tensor to be written: type, shape, bytes.
#[derive(Clone)]
struct Stored(Dtype, Vec<usize>, Vec<u8>);

fn edit_weights(path: &Path, edit: impl FnOnce(&mut BTreeMap<String, Stored>)) {
    let bytes = fs::read(path).unwrap();
    let mut tensors = SafeTensors::deserialize(&bytes)
        .unwrap()
        .tensors()
        .into_iter()
        .map(|(name, t)| {
            let stored = Stored(t.dtype(), t.shape().to_vec(), t.data().to_vec());
            (name, stored)
        })
        .collect();
    edit(&mut tensors);
    let views = tensors.iter().map(|(name, Stored(dtype, shape, data))| {
        (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}
