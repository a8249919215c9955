//! Puts what `aurola train` wrote into this crate: one shard for the audio tower, one for the language model, and a
//! re-ranker that has its own language model, and a description where it is asked in words of its own.
//!
//! ```text
//! cargo run -p aurola-nano --example pack -- RUN_MODEL_DIR [RERANKER_MODEL_DIR]
//! ```
//!
//! Writes `model`, `reranker` (none without the second folder) and `SHA256SUMS`, and prints the sums.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use sha2::{Digest, Sha256};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const TOWER: &str = "model-00001-of-00002.safetensors";
const LANGUAGE: &str = "model-00002-of-00002.safetensors";
/// How a checkpoint is to be used, where it says so itself.
const DESCRIPTION: &str = "aurola.json";
const INDEX: &str = "model.safetensors.index.json";

/// A checkpoint, read.
struct Checkpoint {
    dir: PathBuf,
    /// Everything but weights and their index.
    files: BTreeMap<String, Vec<u8>>,
    tensors: BTreeMap<String, Tensor>,
}

#[derive(PartialEq)]
struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn main() -> Result<()> {
    let dirs: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let (model, reranker) = match &dirs[..] {
        [model] => (Checkpoint::read(model)?, None),
        [model, reranker] => (Checkpoint::read(model)?, Some(Checkpoint::read(reranker)?)),
        _ => return Err("usage: pack RUN_MODEL_DIR [RERANKER_MODEL_DIR]".into()),
    };
    if let Some(reranker) = &reranker {
        model.refuse_another_base(reranker)?;
    }

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut packed = BTreeMap::new();
    for (name, bytes) in &model.files {
        packed.insert(format!("model/{name}"), bytes.clone());
    }
    packed.insert(format!("model/{TOWER}"), model.shard(is_tower)?);
    packed.insert(format!("model/{LANGUAGE}"), model.shard(is_language)?);
    packed.insert(format!("model/{INDEX}"), model.index()?);
    if let Some(reranker) = &reranker {
        packed.insert(format!("reranker/{LANGUAGE}"), reranker.shard(is_language)?);
        if let Some(own) = reranker.files.get(DESCRIPTION) {
            packed.insert(format!("reranker/{DESCRIPTION}"), own.clone());
        }
    }

    for folder in ["model", "reranker"] {
        let folder = root.join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
    }
    let mut sums = String::new();
    let mut total = 0;
    for (name, bytes) in &packed {
        let path = root.join(name);
        fs::create_dir_all(path.parent().ok_or("a file without a folder")?)?;
        fs::write(&path, bytes)?;
        total += bytes.len();
        let sum = Sha256::digest(bytes);
        let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(sums, "{hex}  {name}")?;
    }
    fs::write(root.join("SHA256SUMS"), &sums)?;
    print!("{sums}");
    println!("{total} bytes in {} files", packed.len());
    Ok(())
}

fn is_tower(name: &str) -> bool {
    name.starts_with("audio_tower.")
}

fn is_language(name: &str) -> bool {
    name.starts_with("model.") || name.starts_with("lm_head.")
}

impl Checkpoint {
    fn read(dir: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut tensors = BTreeMap::new();
        for entry in fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                return Err(
                    format!("{}: a folder, and the layout has none", path.display()).into(),
                );
            }
            let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            if name.ends_with(".safetensors") {
                for (name, tensor) in read_tensors(&path, &bytes)? {
                    if let Some(_twice) = tensors.insert(name.clone(), tensor) {
                        return Err(format!("{}: {name} is in two files", dir.display()).into());
                    }
                }
            } else if name != INDEX {
                files.insert(name, bytes);
            }
        }
        let dir = dir.to_owned();
        if !tensors.keys().any(|name| is_tower(name))
            || !tensors.keys().any(|name| is_language(name))
        {
            return Err(format!("{}: no audio tower, or no language model", dir.display()).into());
        }
        Ok(Self {
            dir,
            files,
            tensors,
        })
    }

    /// A re-ranker shares all but its language model and its description, to the bit.
    fn refuse_another_base(&self, reranker: &Self) -> Result<()> {
        if let Some(name) = difference(&self.files, &reranker.files, |name| name != DESCRIPTION) {
            return Err(format!(
                "{}: not the model's {name}",
                reranker.dir.join(name).display()
            )
            .into());
        }
        if let Some(name) = difference(&self.tensors, &reranker.tensors, is_tower) {
            return Err(format!("{}: {name} is not the model's", reranker.dir.display()).into());
        }
        let (own, other) = (self.tensors.keys(), reranker.tensors.keys());
        if !own.eq(other) {
            return Err(format!(
                "{}: tensors of other names than the model's",
                reranker.dir.display()
            )
            .into());
        }
        Ok(())
    }

    /// The tensors that `chosen` accepts, as one file.
    fn shard(&self, chosen: impl Fn(&str) -> bool) -> Result<Vec<u8>> {
        let mut views = Vec::new();
        for (name, tensor) in self.tensors.iter().filter(|(name, _)| chosen(name)) {
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes)?;
            views.push((name.as_str(), view));
        }
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        Ok(safetensors::serialize(views, Some(metadata))?)
    }

    fn index(&self) -> Result<Vec<u8>> {
        let total: usize = self.tensors.values().map(|tensor| tensor.bytes.len()).sum();
        let map: BTreeMap<&str, &str> = self
            .tensors
            .keys()
            .map(|name| (name.as_str(), if is_tower(name) { TOWER } else { LANGUAGE }))
            .collect();
        let index = json!({"metadata": {"total_size": total}, "weight_map": map});
        Ok((serde_json::to_string_pretty(&index)? + "\n").into_bytes())
    }
}

fn read_tensors(path: &Path, bytes: &[u8]) -> Result<Vec<(String, Tensor)>> {
    let read =
        SafeTensors::deserialize(bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut tensors = Vec::new();
    for (name, view) in read.tensors() {
        if !is_tower(&name) && !is_language(&name) {
            let reason = "neither of the audio tower nor of the language model";
            return Err(format!("{}: {name} is {reason}", path.display()).into());
        }
        let (dtype, shape) = (view.dtype(), view.shape().to_vec());
        let bytes = view.data().to_vec();
        tensors.push((
            name,
            Tensor {
                dtype,
                shape,
                bytes,
            },
        ));
    }
    Ok(tensors)
}

/// The first name that `counts` accepts and under which the two differ.
fn difference<'a, T: PartialEq>(
    one: &'a BTreeMap<String, T>,
    other: &'a BTreeMap<String, T>,
    counts: impl Fn(&str) -> bool,
) -> Option<&'a str> {
    let mut names = one.keys().chain(other.keys());
    names
        .find(|name| counts(name) && one.get(*name) != other.get(*name))
        .map(String::as_str)
}
