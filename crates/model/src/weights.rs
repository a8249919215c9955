//! The numbers of a checkpoint: safetensors files, single or sharded, read by memory map.
//!
//! Only safetensors is read. Pickled files (`.bin`, `.pt`, `.pth`) can run code and are refused by
//! name.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aurola_compute::packed::{Form, Packed, Weight};
use aurola_compute::{Dtype, MappedFile, Matrix};
use serde::Deserialize;

use crate::ModelError;
use crate::linear::{is_in_place, ready};
use crate::lora::{Adapter, LowRank};
use crate::packed_header::PackedHeader;
use crate::plan::{Plan, is_product};

/// All tensors of one checkpoint, by name.
#[derive(Debug)]
pub struct Checkpoint {
    tensors: BTreeMap<String, Entry>,
    files: Vec<PathBuf>,
    /// Names that something asked for.
    used: Mutex<BTreeSet<String>>,
    /// What a packed file says of itself.
    packed: Option<PackedHeader>,
}

#[derive(Debug, Clone)]
struct Entry {
    path: Arc<PathBuf>,
    file: Arc<MappedFile>,
    range: Range<usize>,
    /// Type and shape of the checkpoint's tensor, packed or not.
    dtype: safetensors::Dtype,
    shape: Vec<usize>,
    packed: Option<Form>,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// A tensor that every Thinker has.
const MARK: &str = "audio_tower.conv1.weight";

/// Blocks of one tensor that a digest reads.
const SAMPLES: usize = 16;
/// Bytes of one block.
const SAMPLE_BYTES: usize = 256;

impl Checkpoint {
    /// Maps the weights in `dir`: the shards that `model.safetensors.index.json` names, or
    /// `model.safetensors`.
    ///
    /// # Errors
    ///
    /// [`ModelError::MissingFile`] where there are none (or only pickled ones), [`ModelError::Weights`]
    /// for a damaged file, naming it.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        let index = dir.join(INDEX);
        if index.exists() {
            let text = std::fs::read_to_string(&index).map_err(ModelError::io(&index))?;
            let parsed: ShardIndex = serde_json::from_str(&text).map_err(|e| ModelError::Json {
                path: index.clone(),
                reason: e.to_string(),
            })?;
            return Self::open_shards(dir, &index, &parsed);
        }
        let single = dir.join(SINGLE);
        if single.exists() {
            return Self::open_files(vec![single]);
        }
        let pickled = [
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "model.pt",
            "model.pth",
        ]
        .into_iter()
        .find(|name| dir.join(name).exists());
        Err(ModelError::MissingFile {
            dir: dir.to_owned(),
            name: format!("{SINGLE} or {INDEX}"),
            help: match pickled {
                Some(name) => {
                    format!("{name} is pickled and could run code; convert it to safetensors first")
                }
                None => "the checkpoint's weights are not there; was the download finished?".into(),
            },
        })
    }

    /// Whether there are weights in `dir` that are not packed.
    pub(crate) fn is_in(dir: &Path) -> bool {
        dir.join(INDEX).exists() || dir.join(SINGLE).exists()
    }

    /// Maps a packed file ([`crate::quantise`]).
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open_file`], and for a packed file of another version or layout.
    pub(crate) fn open_packed(path: &Path) -> Result<Self, ModelError> {
        let mut checkpoint = Self::open_files(vec![path.to_owned()])?;
        let refuse = |reason: String| ModelError::Weights {
            path: path.to_owned(),
            reason,
        };
        let file = MappedFile::open(path).map_err(ModelError::io(path))?;
        let header = PackedHeader::read(&file).map_err(refuse)?;
        for (name, layer) in &header.layers {
            let entry = checkpoint.tensors.get_mut(name).ok_or_else(|| {
                refuse(format!(
                    "tensor {name} is not in it, though its header says so"
                ))
            })?;
            (entry.dtype, entry.shape) = (layer.stored, layer.shape.clone());
            entry.packed = Some(layer.form.into());
        }
        checkpoint.packed = Some(header);
        Ok(checkpoint)
    }

    /// What a packed file says of itself; `None` for any other.
    pub(crate) fn packed(&self) -> Option<&PackedHeader> {
        self.packed.as_ref()
    }

    /// Maps one safetensors file.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open`].
    pub fn open_file(path: &Path) -> Result<Self, ModelError> {
        Self::open_files(vec![path.to_owned()])
    }

    fn open_shards(dir: &Path, index: &Path, parsed: &ShardIndex) -> Result<Self, ModelError> {
        let names: BTreeSet<&str> = parsed.weight_map.values().map(String::as_str).collect();
        let mut files = Vec::new();
        for name in names {
            // A shard is a file beside the index; anything else would leave the folder.
            if name.is_empty() || Path::new(name).file_name() != Some(name.as_ref()) {
                return Err(ModelError::Json {
                    path: index.to_owned(),
                    reason: format!("shard {name:?} is not the name of a file beside it"),
                });
            }
            if !dir.join(name).exists() {
                return Err(ModelError::MissingFile {
                    dir: dir.to_owned(),
                    name: name.into(),
                    help: format!("{INDEX} names it; was the download finished?"),
                });
            }
            files.push(dir.join(name));
        }
        let checkpoint = Self::open_files(files)?;
        for (tensor, shard) in &parsed.weight_map {
            let found = checkpoint.tensors.get(tensor);
            if found.and_then(|e| e.path.file_name()) != Some(shard.as_ref()) {
                return Err(ModelError::Weights {
                    path: dir.join(shard),
                    reason: format!("tensor {tensor} is not in it, though {INDEX} says so"),
                });
            }
        }
        Ok(checkpoint)
    }

    fn open_files(files: Vec<PathBuf>) -> Result<Self, ModelError> {
        let mut tensors = BTreeMap::new();
        for path in &files {
            let file = Arc::new(MappedFile::open(path).map_err(ModelError::io(path))?);
            let refuse = |reason: String| ModelError::Weights {
                path: path.clone(),
                reason,
            };
            // Checks the header, and that the tensors cover the file without gap or overlap.
            let read = safetensors::SafeTensors::deserialize(&file)
                .map_err(|e| refuse(format!("damaged or not safetensors: {e}")))?;
            let shared = Arc::new(path.clone());
            for (name, view) in read.tensors() {
                let start = view.data().as_ptr().addr() - file.as_ptr().addr();
                let entry = Entry {
                    path: Arc::clone(&shared),
                    file: Arc::clone(&file),
                    range: start..start + view.data().len(),
                    dtype: view.dtype(),
                    shape: view.shape().to_vec(),
                    packed: None,
                };
                if let Some(other) = tensors.insert(name.clone(), entry) {
                    return Err(refuse(format!(
                        "tensor {name} is also in {}",
                        other.path.display()
                    )));
                }
            }
        }
        Ok(Self {
            tensors,
            files,
            used: Mutex::default(),
            packed: None,
        })
    }

    /// The files the weights are in.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Names that nothing has asked for yet.
    pub fn unused(&self) -> Vec<&str> {
        let used = self.used.lock().expect("no panic while held");
        self.names().filter(|n| !used.contains(*n)).collect()
    }

    /// How many numbers all tensors hold whose names `count` accepts.
    pub fn parameters(&self, count: impl Fn(&str) -> bool) -> u64 {
        self.tensors
            .iter()
            .filter(|(name, _)| count(name))
            .map(|(_, e)| e.shape.iter().map(|n| *n as u64).product::<u64>())
            .sum()
    }

    /// The type that holds most numbers of the tensors whose names `count` accepts, where it is one we
    /// know.
    pub(crate) fn main_dtype(&self, count: impl Fn(&str) -> bool) -> Option<Dtype> {
        let counted = || {
            self.tensors
                .iter()
                .filter(|(name, _)| count(name))
                .map(|(_, e)| e)
        };
        [Dtype::F32, Dtype::Bf16, Dtype::F16]
            .into_iter()
            .map(|d| {
                let of = |e: &&Entry| known_dtype("", e).is_ok_and(|k| k == d);
                (
                    d,
                    counted()
                        .filter(of)
                        .map(|e| e.shape.iter().map(|n| *n as u64).product::<u64>())
                        .sum::<u64>(),
                )
            })
            .max_by_key(|(_, numbers)| *numbers)
            .filter(|(_, numbers)| *numbers > 0)
            .map(|(d, _)| d)
    }

    /// A digest of names, types, shapes and a sample of each tensor's bytes: [`SAMPLES`] blocks of
    /// [`SAMPLE_BYTES`], evenly spread, or all of a tensor that is no longer than they are. Its cost
    /// does not grow with the checkpoint's size (docs/decisions/0006).
    pub(crate) fn digest(&self, into: &mut blake3::Hasher, count: impl Fn(&str) -> bool) {
        for (name, e) in self.tensors.iter().filter(|(name, _)| count(name)) {
            into.update(format!("{name} {:?} {:?}\n", e.dtype, e.shape).as_bytes());
            let bytes = &e.file[e.range.clone()];
            if bytes.len() <= SAMPLES * SAMPLE_BYTES {
                into.update(bytes);
            } else {
                for i in 0..SAMPLES {
                    let at = (bytes.len() - SAMPLE_BYTES) / (SAMPLES - 1) * i;
                    into.update(&bytes[at..at + SAMPLE_BYTES]);
                }
            }
        }
    }

    /// [`Checkpoint::digest`] of what decides an embedding, as 64 hex digits; for a packed file, that of the
    /// checkpoint it was packed from.
    pub(crate) fn source(&self) -> String {
        if let Some(packed) = &self.packed {
            return packed.source.clone();
        }
        let mut hasher = blake3::Hasher::new();
        // The head makes no embedding: a checkpoint saved with and without it is the same space.
        self.digest(&mut hasher, |name| {
            is_ours(name) && !name.ends_with("lm_head.weight")
        });
        hasher.finalize().to_hex().to_string()
    }

    /// The prefix that the layout puts before the Thinker's own names.
    fn layout(&self) -> Option<&str> {
        self.names().find_map(|n| n.strip_suffix(MARK))
    }

    /// Bytes of the products' weights as they are here, or as `plan` would pack them. An embedding table is
    /// read row by row, and a head for captions alone: neither is counted.
    pub(crate) fn product_bytes(&self, plan: Option<Plan>) -> u64 {
        let layout = self.layout().unwrap_or_default();
        self.tensors
            .iter()
            .filter_map(|(name, e)| Some((is_product(name.strip_prefix(layout)?)?, e)))
            .map(|(module, e)| {
                let as_it_is = e.range.len() as u64;
                let (Some(plan), Ok(stored)) = (plan, known_dtype("", e)) else {
                    return as_it_is;
                };
                let form = plan.of(module);
                if e.packed.is_some() || is_in_place(stored, form) {
                    return as_it_is;
                }
                let cols = e.shape.iter().skip(1).product();
                let rows = e.shape.first().copied().unwrap_or(0);
                Packed::size((form, stored), rows, cols).map_or(u64::MAX, |n| n as u64)
            })
            .sum()
    }

    /// All tensors that the model we run has: name, and what a packed file writes for it.
    pub(crate) fn to_pack(&self, plan: Plan) -> Result<Vec<ToPack<'_>>, ModelError> {
        let layout = self.layout().unwrap_or_default();
        let mut all = Vec::new();
        for (name, e) in self.tensors.iter().filter(|(name, _)| is_ours(name)) {
            let dtype = known_dtype(name, e)?;
            let module = name.strip_prefix(layout).and_then(is_product);
            let what = match module.filter(|_| e.shape.len() > 1) {
                Some(module) => Writing::Packed(matrix_of(name, e, &e.shape)?, plan.of(module)),
                None => Writing::Raw(&e.file[e.range.clone()]),
            };
            all.push(ToPack {
                name,
                dtype: e.dtype,
                stored: dtype,
                shape: &e.shape,
                what,
            });
        }
        Ok(all)
    }

    fn entry(&self, name: &str) -> Result<&Entry, ModelError> {
        let found = self.tensors.get(name).ok_or_else(|| {
            let near: Vec<&str> = self.names().take(3).collect();
            ModelError::Weights {
                path: self.files.first().cloned().unwrap_or_default(),
                reason: format!(
                    "no tensor {name} among {} (the first: {}); the configuration and the weights belong to \
                     different models",
                    self.tensors.len(),
                    near.join(", ")
                ),
            }
        })?;
        self.used
            .lock()
            .expect("no panic while held")
            .insert(name.to_owned());
        Ok(found)
    }
}

/// A place in a checkpoint: the names below one prefix, as modules are nested.
#[derive(Clone)]
pub struct Weights<'c> {
    checkpoint: &'c Checkpoint,
    adapter: Option<&'c Adapter>,
    prefix: String,
    /// The part of `prefix` that the layout adds before the Thinker's own names.
    layout: usize,
}

impl<'c> Weights<'c> {
    /// The Thinker's own names, whatever the layout puts before them.
    ///
    /// # Errors
    ///
    /// [`ModelError::Weights`] where no audio tower is there.
    pub fn thinker(
        checkpoint: &'c Checkpoint,
        adapter: Option<&'c Adapter>,
    ) -> Result<Self, ModelError> {
        let prefix = checkpoint.layout().ok_or_else(|| {
            let near: Vec<&str> = checkpoint.names().take(3).collect();
            ModelError::Weights {
                path: checkpoint.files.first().cloned().unwrap_or_default(),
                reason: format!(
                    "no tensor {MARK}, with or without the prefix `thinker.`; this is not a Qwen2.5-Omni Thinker \
                     (the first tensors: {})",
                    near.join(", ")
                ),
            }
        })?;
        Ok(Self {
            checkpoint,
            adapter,
            prefix: prefix.to_owned(),
            layout: prefix.len(),
        })
    }

    /// All names of a checkpoint, as they are.
    pub(crate) fn root(checkpoint: &'c Checkpoint) -> Self {
        Self {
            checkpoint,
            adapter: None,
            prefix: String::new(),
            layout: 0,
        }
    }

    /// The place `name` below this one.
    #[must_use]
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self {
            prefix: format!("{}{name}.", self.prefix),
            ..self.clone()
        }
    }

    /// The low-rank change an adapter makes to the linear layer at this place.
    pub(crate) fn low_rank(&self, rows: usize, cols: usize) -> Result<Option<LowRank>, ModelError> {
        self.adapter
            .map_or(Ok(None), |a| a.change(self.module(), rows, cols))
    }

    /// Whether there is a tensor `name` here.
    pub fn has(&self, name: &str) -> bool {
        self.checkpoint
            .tensors
            .contains_key(&format!("{}{name}", self.prefix))
    }

    /// How many rows the matrix `name` has, for tables whose height the file decides.
    ///
    /// # Errors
    ///
    /// [`ModelError::Weights`] where it is not there or is no matrix.
    pub fn rows(&self, name: &str) -> Result<usize, ModelError> {
        let name = format!("{}{name}", self.prefix);
        let entry = self.checkpoint.entry(&name)?;
        match entry.shape[..] {
            [rows, _] => Ok(rows),
            _ => Err(wrong_shape(&name, entry, "a matrix")),
        }
    }

    /// The matrix `name`; dimensions behind the first are flattened, so that a convolution's
    /// kernel `[out, in, taps]` is `[out, in · taps]`.
    ///
    /// # Errors
    ///
    /// [`ModelError::Weights`] where it is missing, of another shape, or of a type that is not f32,
    /// bf16 or f16.
    pub fn matrix(&self, name: &str, shape: &[usize]) -> Result<Matrix, ModelError> {
        let name = format!("{}{name}", self.prefix);
        let entry = self.checkpoint.entry(&name)?;
        if entry.shape != shape {
            return Err(wrong_shape(&name, entry, &format!("{shape:?}")));
        }
        matrix_of(&name, entry, shape)
    }

    /// The matrix `name` for products: as `plan` says for the layer at this place, or as it was packed.
    ///
    /// # Errors
    ///
    /// As [`Weights::matrix`].
    pub(crate) fn weight(
        &self,
        name: &str,
        shape: &[usize],
        plan: Plan,
    ) -> Result<Weight, ModelError> {
        let full = format!("{}{name}", self.prefix);
        let entry = self.checkpoint.entry(&full)?;
        let Some(form) = entry.packed else {
            return Ok(ready(&self.matrix(name, shape)?, plan.of(self.module())));
        };
        if entry.shape != shape {
            return Err(wrong_shape(&full, entry, &format!("{shape:?}")));
        }
        let (dtype, cols) = (known_dtype(&full, entry)?, shape[1..].iter().product());
        Packed::mapped(
            &entry.file,
            entry.range.clone(),
            (form, dtype),
            shape[0],
            cols,
        )
        .map(Weight::Packed)
        .map_err(|e| ModelError::Weights {
            path: entry.path.to_path_buf(),
            reason: format!("packed tensor {full}: {e}"),
        })
    }

    /// The name of this place, without what the layout puts before it.
    fn module(&self) -> &str {
        self.prefix[self.layout..].trim_end_matches('.')
    }

    /// The vector `name`, widened to `f32`.
    ///
    /// # Errors
    ///
    /// As [`Weights::matrix`].
    pub fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>, ModelError> {
        let name = format!("{}{name}", self.prefix);
        let entry = self.checkpoint.entry(&name)?;
        if entry.shape != [len] {
            return Err(wrong_shape(&name, entry, &format!("[{len}]")));
        }
        let dtype = known_dtype(&name, entry)?;
        Ok(dtype.widen(&entry.file[entry.range.clone()]).collect())
    }

    /// Refuses tensors below this place that nothing asked for: the configuration describes a
    /// smaller model than the file holds.
    pub(crate) fn refuse_unused(&self, below: &[&str]) -> Result<(), ModelError> {
        let extra = self.checkpoint.unused().into_iter().find(|name| {
            name.strip_prefix(&self.prefix)
                .is_some_and(|n| below.iter().any(|b| n.starts_with(b)))
        });
        match extra {
            None => Ok(()),
            Some(name) => Err(ModelError::Weights {
                path: self.checkpoint.tensors[name].path.to_path_buf(),
                reason: format!(
                    "tensor {name} has no place in the model that config.json describes"
                ),
            }),
        }
    }
}

fn known_dtype(name: &str, entry: &Entry) -> Result<Dtype, ModelError> {
    match entry.dtype {
        safetensors::Dtype::F32 => Ok(Dtype::F32),
        safetensors::Dtype::BF16 => Ok(Dtype::Bf16),
        safetensors::Dtype::F16 => Ok(Dtype::F16),
        other => Err(ModelError::Weights {
            path: entry.path.to_path_buf(),
            reason: format!("tensor {name} is {other:?}; only F32, BF16 and F16 are known"),
        }),
    }
}

/// A tensor as a matrix where it lies; dimensions behind the first are flattened.
fn matrix_of(name: &str, entry: &Entry, shape: &[usize]) -> Result<Matrix, ModelError> {
    let refuse = |reason: String| ModelError::Weights {
        path: entry.path.to_path_buf(),
        reason: format!("tensor {name}: {reason}"),
    };
    if let Some(form) = entry.packed {
        return Err(refuse(format!(
            "packed as {form}; the whole weights are needed here"
        )));
    }
    let dtype = known_dtype(name, entry)?;
    let cols = shape[1..].iter().product();
    Matrix::mapped(&entry.file, entry.range.clone(), dtype, shape[0], cols)
        .map_err(|e| refuse(e.to_string()))
}

/// One tensor of a checkpoint, and how a packed file has it.
pub(crate) struct ToPack<'c> {
    pub(crate) name: &'c str,
    pub(crate) dtype: safetensors::Dtype,
    pub(crate) stored: Dtype,
    pub(crate) shape: &'c [usize],
    pub(crate) what: Writing<'c>,
}

/// What is written of a tensor.
pub(crate) enum Writing<'c> {
    Packed(Matrix, Form),
    Raw(&'c [u8]),
}

/// Whether a tensor is part of the model we run: not vision, not the talker.
pub(crate) fn is_ours(name: &str) -> bool {
    name.contains("audio_tower.")
        || name.contains("model.") && !is_other_tower(name)
        || name.ends_with("lm_head.weight") && !is_other_tower(name)
}

fn is_other_tower(name: &str) -> bool {
    ["visual.", "talker.", "token2wav."]
        .iter()
        .any(|t| name.starts_with(t) || name.contains(&format!(".{t}")))
}

fn wrong_shape(name: &str, entry: &Entry, expected: &str) -> ModelError {
    ModelError::Weights {
        path: entry.path.to_path_buf(),
        reason: format!(
            "tensor {name} is {:?}; config.json asks for {expected}",
            entry.shape
        ),
    }
}
