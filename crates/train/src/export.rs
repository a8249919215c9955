//! What a run leaves: a model's folder in the published layout, or an adapter in PEFT's.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use aurola_compute::{Dtype, MappedFile};
use aurola_model::lora::Adapter;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use crate::TrainError;
use crate::checkpoint::{write_synced, write_tensors};
use crate::thinker::{LoraConfig, Parameters};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Writes `out`: the folder `base` with the trained tensors in the place of its own, in the type it has them
/// in. A base without weights (a new model's) gets one file of bf16.
///
/// # Errors
///
/// [`TrainError::Io`], or [`TrainError::Checkpoint`] for a base that does not have what was trained.
pub fn model(out: &Path, base: &Path, parameters: &Parameters) -> Result<(), TrainError> {
    let mut trained: HashMap<&str, &[f32]> = parameters
        .iter()
        .map(|p| (p.name.as_str(), &p.values[..]))
        .collect();
    write_folder(out, base, |dir| {
        let files = weight_files(base)?;
        if files.is_empty() {
            let all: Vec<(&str, &[usize], Vec<u8>)> = parameters
                .iter()
                .map(|p| {
                    (
                        p.name.as_str(),
                        &p.shape[..],
                        narrow(&p.values, Dtype::Bf16),
                    )
                })
                .collect();
            let views = all.iter().map(|(name, shape, bytes)| {
                let view = TensorView::new(safetensors::Dtype::BF16, shape.to_vec(), bytes);
                (*name, view.expect("as many numbers as the shape"))
            });
            return write_views(&dir.join(SINGLE), views.collect());
        }
        for file in &files {
            rewrite(&base.join(file), &dir.join(file), |name, old| {
                Ok(trained.remove(name).map(|values| {
                    debug_assert_eq!(values.len() * old.size(), old.bytes);
                    values.to_vec()
                }))
            })?;
        }
        match trained.keys().next() {
            None => Ok(()),
            Some(name) => Err(TrainError::Checkpoint {
                path: base.to_owned(),
                reason: format!("has no tensor {name}, which was trained"),
            }),
        }
    })
}

/// Writes `out`: the folder `base` with the changes of the adapter in `adapter_dir` added to its weights.
///
/// # Errors
///
/// [`TrainError::Io`], [`TrainError::Model`] for an adapter that is damaged or of another base.
pub fn merge(out: &Path, base: &Path, adapter_dir: &Path) -> Result<(), TrainError> {
    let adapter = Adapter::open(adapter_dir)?;
    write_folder(out, base, |dir| {
        let files = weight_files(base)?;
        if files.is_empty() {
            return Err(TrainError::Checkpoint {
                path: base.join(SINGLE),
                reason: "is not there; the base of an adapter has weights".into(),
            });
        }
        for file in &files {
            rewrite(&base.join(file), &dir.join(file), |name, old| {
                let Some(module) = name.strip_suffix(".weight") else {
                    return Ok(None);
                };
                let [rows, cols] = old.shape[..] else {
                    return Ok(None);
                };
                let Some(change) = adapter.change(module, rows, cols)? else {
                    return Ok(None);
                };
                let mut values = old.values();
                change.add_to(&mut values);
                Ok(Some(values))
            })?;
        }
        adapter.refuse_unused()?;
        Ok(())
    })
}

/// Writes the trained low-rank factors to `out`, as Python's peft writes and reads them.
///
/// # Errors
///
/// [`TrainError::Io`].
pub fn adapter(
    out: &Path,
    base: &Path,
    lora: &LoraConfig,
    parameters: &Parameters,
) -> Result<(), TrainError> {
    let whole = parameters.iter().find(|p| !is_factor(&p.name));
    if let Some(parameter) = whole {
        return Err(TrainError::Scope {
            reason: format!(
                "{} is trained whole beside low-rank changes; an adapter's folder has no place for it",
                parameter.name
            ),
        });
    }
    replace_folder(out, |dir| {
        // The layout of the base decides whether names begin with `thinker.`.
        let prefix = layout_prefix(base)?;
        let tensors = parameters.iter().map(|p| {
            let name = format!("base_model.model.{prefix}{}", p.name);
            (name, p.shape.clone(), &p.values[..])
        });
        write_tensors(&dir.join("adapter_model.safetensors"), tensors)?;
        let mut modules: Vec<String> = parameters
            .iter()
            .filter_map(|p| p.name.strip_suffix(".lora_A.weight"))
            .map(|m| format!("{prefix}{m}"))
            .collect();
        modules.sort();
        let patterns =
            |list: Vec<(String, Value)>| list.into_iter().collect::<serde_json::Map<_, _>>();
        let config = json!({
            "peft_type": "LORA",
            "auto_mapping": null,
            "base_model_name_or_path": base.file_name().map(|n| n.to_string_lossy()),
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "lora_alpha": lora.lora_alpha,
            "lora_dropout": lora.lora_dropout,
            "modules_to_save": null,
            "r": lora.r,
            "rank_pattern": patterns(lora.rank_pattern.iter().map(|(p, r)| (p.clone(), json!(r))).collect()),
            "alpha_pattern": patterns(lora.alpha_pattern.iter().map(|(p, a)| (p.clone(), json!(a))).collect()),
            "target_modules": modules,
            "task_type": null,
            "use_dora": false,
            "use_rslora": false,
        });
        let text = serde_json::to_string_pretty(&config).expect("JSON") + "\n";
        write_synced(&dir.join("adapter_config.json"), text.as_bytes())
    })
}

fn is_factor(name: &str) -> bool {
    name.ends_with(".lora_A.weight") || name.ends_with(".lora_B.weight")
}

/// A tensor of the base.
struct Old<'o> {
    shape: &'o [usize],
    dtype: Dtype,
    data: &'o [u8],
    bytes: usize,
}

impl Old<'_> {
    fn size(&self) -> usize {
        self.dtype.size()
    }

    fn values(&self) -> Vec<f32> {
        self.dtype.widen(self.data).collect()
    }
}

/// Writes the safetensors file `from` to `to` with some tensors replaced; `new` is asked by the Thinker's own
/// names, and gives numbers or `None` for what stays.
fn rewrite(
    from: &Path,
    to: &Path,
    mut new: impl FnMut(&str, &Old<'_>) -> Result<Option<Vec<f32>>, TrainError>,
) -> Result<(), TrainError> {
    let file = MappedFile::open(from).map_err(TrainError::io(from))?;
    let refuse = |reason: String| TrainError::Checkpoint {
        path: from.to_owned(),
        reason,
    };
    let read = safetensors::SafeTensors::deserialize(&file)
        .map_err(|e| refuse(format!("damaged: {e}")))?;
    let mut replaced: Vec<(String, safetensors::Dtype, Vec<usize>, Option<Vec<u8>>)> = Vec::new();
    for (name, view) in read.tensors() {
        let dtype = match view.dtype() {
            safetensors::Dtype::F32 => Some(Dtype::F32),
            safetensors::Dtype::BF16 => Some(Dtype::Bf16),
            safetensors::Dtype::F16 => Some(Dtype::F16),
            _ => None,
        };
        let short = name.strip_prefix("thinker.").unwrap_or(&name);
        let bytes = match dtype {
            None => None,
            Some(dtype) => {
                let old = Old {
                    shape: view.shape(),
                    dtype,
                    data: view.data(),
                    bytes: view.data().len(),
                };
                new(short, &old)?.map(|values| narrow(&values, dtype))
            }
        };
        if bytes.as_ref().is_some_and(|b| b.len() != view.data().len()) {
            return Err(refuse(format!(
                "{name} is {:?}; another shape was trained",
                view.shape()
            )));
        }
        replaced.push((name, view.dtype(), view.shape().to_vec(), bytes));
    }
    let mut views = Vec::new();
    for (name, dtype, shape, bytes) in &replaced {
        let data = match bytes {
            Some(bytes) => &bytes[..],
            None => {
                let start = read.tensor(name).expect("read above").data();
                let at = start.as_ptr().addr() - file.as_ptr().addr();
                &file[at..at + start.len()]
            }
        };
        let view =
            TensorView::new(*dtype, shape.clone(), data).map_err(|e| refuse(e.to_string()))?;
        views.push((name.as_str(), view));
    }
    write_views(to, views)
}

fn write_views(to: &Path, views: Vec<(&str, TensorView<'_>)>) -> Result<(), TrainError> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), to).map_err(|e| {
        TrainError::Checkpoint {
            path: to.to_owned(),
            reason: e.to_string(),
        }
    })?;
    fs::File::open(to)
        .and_then(|f| f.sync_all())
        .map_err(TrainError::io(to))
}

fn narrow(values: &[f32], dtype: Dtype) -> Vec<u8> {
    let matrix = aurola_compute::Matrix::from_f32(values, dtype, 1, values.len());
    matrix.expect("one row").bytes().to_vec()
}

/// Names of the files with the base's weights; none for a new model.
fn weight_files(base: &Path) -> Result<Vec<String>, TrainError> {
    let index = base.join(INDEX);
    if index.exists() {
        let text = fs::read_to_string(&index).map_err(TrainError::io(&index))?;
        let parsed: Value = serde_json::from_str(&text).map_err(|e| TrainError::Checkpoint {
            path: index.clone(),
            reason: e.to_string(),
        })?;
        let map = parsed["weight_map"].as_object().into_iter().flatten();
        let mut files: Vec<String> = map
            .filter_map(|(_, f)| f.as_str().map(str::to_owned))
            .collect();
        files.sort();
        files.dedup();
        return Ok(files);
    }
    Ok(if base.join(SINGLE).exists() {
        vec![SINGLE.to_owned()]
    } else {
        Vec::new()
    })
}

/// `thinker.` where the base's names begin so.
fn layout_prefix(base: &Path) -> Result<&'static str, TrainError> {
    for file in weight_files(base)? {
        let path = base.join(file);
        let file = MappedFile::open(&path).map_err(TrainError::io(&path))?;
        let read = safetensors::SafeTensors::deserialize(&file);
        if read.is_ok_and(|r| r.names().iter().any(|n| n.starts_with("thinker."))) {
            return Ok("thinker.");
        }
    }
    Ok("")
}

/// Makes the folder `out`: `base`'s files but for its weights, and what `weights` adds.
fn write_folder(
    out: &Path,
    base: &Path,
    weights: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    replace_folder(out, |dir| {
        copy_all(base, dir)?;
        weights(dir)
    })
}

/// Everything but weights; folders such as `1_Pooling` with what is in them.
fn copy_all(from: &Path, to: &Path) -> Result<(), TrainError> {
    for entry in fs::read_dir(from).map_err(TrainError::io(from))? {
        let path = entry.map_err(TrainError::io(from))?.path();
        let name = path.file_name().expect("an entry of a folder").to_owned();
        let target = to.join(&name);
        if path.is_dir() {
            fs::create_dir_all(&target).map_err(TrainError::io(&target))?;
            copy_all(&path, &target)?;
        } else if path.extension().is_none_or(|e| e != "safetensors") {
            fs::copy(&path, &target).map_err(TrainError::io(&path))?;
        }
    }
    Ok(())
}

/// Makes a folder beside `out` and then puts it in its place, so that `out` is never half of one.
fn replace_folder(
    out: &Path,
    fill: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    let parent = out
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(TrainError::io(parent))?;
    let beside = tempfile::Builder::new()
        .prefix(".aurola-")
        .tempdir_in(parent)
        .map_err(TrainError::io(parent))?;
    let dir = beside.path().join("new");
    fs::create_dir(&dir).map_err(TrainError::io(&dir))?;
    fill(&dir)?;
    if out.exists() {
        fs::rename(out, beside.path().join("old")).map_err(TrainError::io(out))?;
    }
    fs::rename(&dir, out).map_err(TrainError::io(out))
}
