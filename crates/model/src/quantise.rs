//! Packed files: a checkpoint's weights rounded, in the order in which products read them, written once.
//!
//! ```text
//! model.safetensors ──► PACKED layer by layer ──► packed-int8.safetensors ──► memory map ──► products
//! ```
//!
//! The file is safetensors, so any reader lists it; its metadata tell the digest of the checkpoint it was
//! made from, so that it is never used with another. It holds every tensor that the model needs: beside the
//! configuration and the tokenizer it is a whole model, and the checkpoint may go.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use aurola_compute::packed::{Form, Packed};
use serde_json::{Map, Value, json};

use crate::ModelError;
use crate::packed_header::{KEY, Layer, PackedHeader};
use crate::plan::Plan;
use crate::weights::{Checkpoint, ToPack, Writing};

/// What a packed file is called.
pub fn file_name(form: Form) -> String {
    format!("packed-{form}.safetensors")
}

/// Packs the checkpoint in `dir` for products of `form`, into the folder `out`, which may be the same one:
/// else configuration, tokenizer and the other small files are copied beside it. A packed file that was
/// there is replaced, once the new one is complete. `moved` sees bytes done and bytes in all.
///
/// Memory: one layer at a time.
///
/// Returns the file's path.
///
/// # Errors
///
/// [`ModelError`] for a checkpoint that cannot be read, a folder that cannot be written, and for f32, which
/// a packed file gains nothing for.
pub fn pack(
    dir: &Path,
    form: Form,
    out: &Path,
    moved: &mut dyn FnMut(u64, u64),
) -> Result<PathBuf, ModelError> {
    if form == Form::F32 {
        let reason = "f32 weights are read where they lie; pack bf16, int8 or int4".into();
        return Err(ModelError::Input(reason));
    }
    let checkpoint = Checkpoint::open(dir)?;
    let plan = Plan::new(form);
    let tensors = checkpoint.to_pack(plan)?;
    fs::create_dir_all(out).map_err(ModelError::io(out))?;
    let path = out.join(file_name(form));
    let partial = out.join(format!("{}.partial", file_name(form)));
    let written = write(&partial, &checkpoint, plan, &tensors, moved)
        .and_then(|()| fs::rename(&partial, &path).map_err(ModelError::io(&path)));
    if let Err(error) = written {
        // What is left of it helps nobody; that it is left is the smaller trouble.
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    if !same_folder(dir, out) {
        copy_small_files(dir, out)?;
    }
    Ok(path)
}

fn write(
    path: &Path,
    checkpoint: &Checkpoint,
    plan: Plan,
    tensors: &[ToPack<'_>],
    moved: &mut dyn FnMut(u64, u64),
) -> Result<(), ModelError> {
    let size = |tensor: &ToPack<'_>| match &tensor.what {
        Writing::Packed(matrix, form) => {
            let stored = (*form, tensor.stored);
            Packed::size(stored, matrix.rows(), matrix.cols()).unwrap_or(usize::MAX)
        }
        Writing::Raw(bytes) => bytes.len(),
    };
    // Packed ones first: they are whole lines, and so each begins at one.
    let is_raw = |tensor: &&ToPack<'_>| matches!(tensor.what, Writing::Raw(_));
    let (raw, packed): (Vec<_>, Vec<_>) = tensors.iter().partition(is_raw);
    let ordered = || packed.iter().chain(&raw).copied();

    let mut layers = BTreeMap::new();
    let mut header = Map::new();
    let mut at = 0;
    for tensor in ordered() {
        let end = at + size(tensor);
        let (dtype, shape) = match &tensor.what {
            Writing::Packed(_, form) => {
                let layer = Layer {
                    form: (*form).into(),
                    stored: tensor.dtype,
                    shape: tensor.shape.to_vec(),
                };
                layers.insert(tensor.name.to_owned(), layer);
                (json!("U32"), json!([(end - at) / 4]))
            }
            Writing::Raw(_) => (json!(tensor.dtype), json!(tensor.shape)),
        };
        let offsets = json!([at, end]);
        header.insert(
            tensor.name.to_owned(),
            json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}),
        );
        at = end;
    }
    let about = PackedHeader::new(plan.form(), plan.numbers(), checkpoint.source(), layers);
    let about = serde_json::to_string(&about).expect("a header of strings and numbers");
    header.insert("__metadata__".into(), json!({KEY: about}));
    let mut text = Value::Object(header).to_string();
    // The format allows spaces behind the header, and lines begin at multiples of 64 bytes.
    let behind = (8 + text.len()).next_multiple_of(64) - 8 - text.len();
    text.extend(std::iter::repeat_n(' ', behind));

    let io = ModelError::io;
    let mut file = File::create(path).map_err(io(path))?;
    let length = (text.len() as u64).to_le_bytes();
    file.write_all(&length).map_err(io(path))?;
    file.write_all(text.as_bytes()).map_err(io(path))?;
    let (mut done, total) = (0, at as u64);
    for tensor in ordered() {
        match &tensor.what {
            Writing::Packed(matrix, form) => {
                let packed = Packed::new(matrix, *form);
                matrix.release();
                file.write_all(packed.bytes()).map_err(io(path))?;
            }
            Writing::Raw(bytes) => file.write_all(bytes).map_err(io(path))?,
        }
        done += size(tensor) as u64;
        moved(done, total);
    }
    file.sync_all().map_err(io(path))
}

fn same_folder(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// Copies what is not weights: configuration, tokenizer, description, and the folders of
/// sentence-transformers with theirs.
fn copy_small_files(from: &Path, to: &Path) -> Result<(), ModelError> {
    const WEIGHTS: [&str; 7] = ["safetensors", "bin", "pt", "pth", "gguf", "onnx", "partial"];
    for entry in fs::read_dir(from).map_err(ModelError::io(from))? {
        let path = entry.map_err(ModelError::io(from))?.path();
        let (Some(name), Ok(metadata)) = (path.file_name(), fs::metadata(&path)) else {
            continue;
        };
        let target = to.join(name);
        if metadata.is_dir() {
            // Only folders of a model's own modules: one level, small.
            if path.join("config.json").is_file() && !same_folder(&path, to) {
                fs::create_dir_all(&target).map_err(ModelError::io(&target))?;
                copy_small_files(&path, &target)?;
            }
            continue;
        }
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let is_index = name.to_string_lossy().ends_with(".safetensors.index.json");
        if metadata.is_file() && !WEIGHTS.contains(&&*extension) && !is_index {
            fs::copy(&path, &target).map_err(ModelError::io(&target))?;
        }
    }
    Ok(())
}
