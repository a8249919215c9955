//! What a run leaves: a model's folder in the published layout, or an adapter in PEFT's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use aurola_compute::{Dtype, MappedFile};
use aurola_model::lora::Adapter;
use aurola_model::text::RerankPrompts;
use aurola_model::weights::Checkpoint;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use crate::TrainError;
use crate::checkpoint::{write_synced, write_tensors};
use crate::thinker::{LoraConfig, Parameter, Parameters};

/// What a model's folder says about its use, in our own words.
const DESCRIPTION: &str = "aurola.json";
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// The file by which a model's folder is known, and an adapter's.
const MODEL_MARK: &str = "config.json";
const ADAPTER_MARK: &str = "adapter_config.json";

/// Writes `out`: the folder `base` with the trained tensors in the place of its own, in the type it has them
/// in. A base without weights (a new model's) gets one file of bf16. With `rerank`, `out` says in its `aurola.json`
/// that pairs are asked so.
///
/// # Errors
///
/// - [`TrainError::Checkpoint`] for a base that does not have what was trained, and for an `out` that is the
///   base or another folder than a model's.
/// - [`TrainError::Io`]. Whatever the error, `out` is as it was.
pub fn model(
    out: &Path,
    base: &Path,
    parameters: &Parameters,
    rerank: Option<&RerankPrompts>,
) -> Result<(), TrainError> {
    let mut trained: HashMap<&str, &Parameter> =
        parameters.iter().map(|p| (p.name.as_str(), p)).collect();
    write_folder(out, base, |dir| {
        if let Some(prompts) = rerank {
            ask_so(&dir.join(DESCRIPTION), prompts)?;
        }
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
                let Some(parameter) = trained.remove(name) else {
                    return Ok(None);
                };
                if parameter.shape != old.shape {
                    return Err(TrainError::Checkpoint {
                        path: base.join(file),
                        reason: format!(
                            "{name} is {:?}; one of {:?} was trained",
                            old.shape, parameter.shape
                        ),
                    });
                }
                Ok(Some(parameter.values.clone()))
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

/// Puts `prompts` into the description at `path`, new or beside what it says.
fn ask_so(path: &Path, prompts: &RerankPrompts) -> Result<(), TrainError> {
    let refuse = |reason: String| TrainError::Checkpoint {
        path: path.to_owned(),
        reason,
    };
    let mut description: Value = match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| refuse(e.to_string()))?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => json!({ "schema": 1 }),
        Err(e) => return Err(TrainError::io(path)(e)),
    };
    let keys = description.as_object_mut();
    let keys = keys.ok_or_else(|| refuse("is not an object".into()))?;
    keys.insert("rerank".into(), json!(prompts));
    let text = serde_json::to_string_pretty(&description).expect("a value is JSON");
    write_synced(path, (text + "\n").as_bytes())
}

/// Writes `out`: the folder `base` with the changes of the adapter in `adapter_dir` added to its weights.
///
/// # Errors
///
/// - [`TrainError::Model`] for an adapter that is damaged or of another base.
/// - [`TrainError::Checkpoint`] for an `out` that is the base or another folder than a model's.
/// - [`TrainError::Io`]. Whatever the error, `out` is as it was.
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

/// Writes the trained low-rank factors to `out`, as Python's peft writes and reads them for the Thinker's own
/// class. That names its layers without `thinker.` even where the base's files have it, and so does this.
///
/// # Errors
///
/// - [`TrainError::Scope`] where whole tensors were trained too: an adapter has no place for them.
/// - [`TrainError::Checkpoint`] for a base that lacks a layer that was trained, and for an `out` that is
///   another folder than an adapter's.
/// - [`TrainError::Io`]. Whatever the error, `out` is as it was.
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
    let trained: BTreeSet<&str> = parameters
        .iter()
        .filter_map(|p| p.name.strip_suffix(".lora_A.weight"))
        .collect();
    let stored = Checkpoint::open(base)?;
    let layers: BTreeSet<&str> = stored
        .names()
        .filter_map(|n| own_name(n).strip_suffix(".weight"))
        .collect();
    if let Some(layer) = trained.difference(&layers).next() {
        return Err(TrainError::Checkpoint {
            path: base.to_owned(),
            reason: format!("has no layer {layer}, which was trained"),
        });
    }
    replace_folder(out, ADAPTER_MARK, |dir| {
        let tensors = parameters.iter().map(|p| {
            let name = format!("base_model.model.{}", p.name);
            (name, p.shape.clone(), &p.values[..])
        });
        write_tensors(&dir.join("adapter_model.safetensors"), tensors)?;
        let ranks = lora.rank_pattern.iter();
        let ranks: serde_json::Map<_, _> = ranks.map(|(p, r)| (p.clone(), json!(r))).collect();
        let alphas = lora.alpha_pattern.iter();
        let alphas: serde_json::Map<_, _> = alphas.map(|(p, a)| (p.clone(), number(*a))).collect();
        let config = json!({
            "peft_type": "LORA",
            "auto_mapping": null,
            "base_model_name_or_path": base.file_name().map(|n| n.to_string_lossy()),
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "lora_alpha": number(lora.lora_alpha),
            "lora_dropout": number(lora.lora_dropout),
            "modules_to_save": null,
            "r": lora.r,
            "rank_pattern": ranks,
            "alpha_pattern": alphas,
            "target_modules": target_modules(&trained, &layers),
            "task_type": null,
            "use_dora": false,
            "use_rslora": false,
        });
        let text = serde_json::to_string_pretty(&config).expect("JSON") + "\n";
        write_synced(&dir.join(ADAPTER_MARK), text.as_bytes())
    })
}

/// The layers that were trained, as peft reads them: a regular expression for whole names where it takes every
/// layer of its kind, else the list of them. The last parts of names alone (`q_proj`) would also match the
/// vision tower, and peft would complain of each layer there that the file lacks.
fn target_modules(trained: &BTreeSet<&str>, layers: &BTreeSet<&str>) -> Value {
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    // `model.layers.3.mlp.up_proj` is of the kind (`model\.layers\.\d+\.`, `mlp\.up_proj`).
    let kind = |layer: &str| -> (String, String) {
        let parts: Vec<&str> = layer.split('.').collect();
        let at = parts.iter().position(|p| is_number(p)).map_or(0, |i| i + 1);
        let (stack, rest) = parts.split_at(at);
        let stack = stack.iter().map(|p| {
            if is_number(p) {
                r"\d+\.".into()
            } else {
                format!(r"{p}\.")
            }
        });
        (stack.collect(), rest.join(r"\."))
    };
    let kinds: BTreeSet<(String, String)> = trained.iter().map(|m| kind(m)).collect();
    if layers
        .iter()
        .any(|m| kinds.contains(&kind(m)) && !trained.contains(m))
    {
        return json!(trained);
    }
    let mut stacks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (stack, rest) in &kinds {
        stacks.entry(stack).or_default().push(rest);
    }
    let stacks = stacks
        .iter()
        .map(|(stack, rests)| format!("{stack}({})", rests.join("|")));
    json!(stacks.collect::<Vec<_>>().join("|"))
}

/// A number as it was written in the recipe: widened to `f64` as it is, 0.05 would be 0.05000000074505806.
fn number(value: f32) -> Value {
    json!(value.to_string().parse::<f64>().expect("a number"))
}

/// A tensor's name by the Thinker's own class.
fn own_name(name: &str) -> &str {
    name.strip_prefix("thinker.").unwrap_or(name)
}

fn is_factor(name: &str) -> bool {
    name.ends_with(".lora_A.weight") || name.ends_with(".lora_B.weight")
}

/// A tensor of the base.
struct Old<'o> {
    shape: &'o [usize],
    dtype: Dtype,
    data: &'o [u8],
}

impl Old<'_> {
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
    let tensors = read.tensors();
    let mut replaced: HashMap<&str, Vec<u8>> = HashMap::new();
    for (name, view) in &tensors {
        let dtype = match view.dtype() {
            safetensors::Dtype::F32 => Dtype::F32,
            safetensors::Dtype::BF16 => Dtype::Bf16,
            safetensors::Dtype::F16 => Dtype::F16,
            _ => continue,
        };
        let old = Old {
            shape: view.shape(),
            dtype,
            data: view.data(),
        };
        if let Some(values) = new(own_name(name), &old)? {
            replaced.insert(name, narrow(&values, dtype));
        }
    }
    let views = tensors.iter().map(|(name, view)| {
        let data = replaced.get(name.as_str()).map_or(view.data(), |new| new);
        let view = TensorView::new(view.dtype(), view.shape().to_vec(), data);
        Ok((name.as_str(), view.map_err(|e| refuse(e.to_string()))?))
    });
    write_views(to, views.collect::<Result<_, TrainError>>()?)
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
    if !base.join(INDEX).exists() && !base.join(SINGLE).exists() {
        return Ok(Vec::new());
    }
    let stored = Checkpoint::open(base)?;
    let names = stored.files().iter().filter_map(|f| f.file_name());
    Ok(names.map(|n| n.to_string_lossy().into_owned()).collect())
}

/// Makes the folder `out`: `base`'s files but for its weights, and what `weights` adds.
fn write_folder(
    out: &Path,
    base: &Path,
    weights: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    if fs::canonicalize(out).is_ok_and(|out| fs::canonicalize(base).is_ok_and(|b| out == b)) {
        return Err(TrainError::Checkpoint {
            path: out.to_owned(),
            reason: "is the base itself; give another folder to write".into(),
        });
    }
    replace_folder(out, MODEL_MARK, |dir| {
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

/// Makes a folder beside `out` and then puts it in its place, so that `out` is never half of one. An `out` that
/// is there is replaced only where it has the file `mark`, as one of ours does, or nothing.
fn replace_folder(
    out: &Path,
    mark: &str,
    fill: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    if out.exists() && !out.join(mark).exists() {
        let mut inside = fs::read_dir(out).map_err(TrainError::io(out))?;
        if inside.next().is_some() {
            return Err(TrainError::Checkpoint {
                path: out.to_owned(),
                reason: format!(
                    "holds something else than what is to be written (no {mark}); give another folder"
                ),
            });
        }
    }
    let parent = out
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(TrainError::io(parent))?;
    let beside = tempfile::Builder::new()
        .prefix(".aurola-")
        .tempdir_in(parent)
        .map_err(TrainError::io(parent))?;
    let (new, old) = (beside.path().join("new"), beside.path().join("old"));
    fs::create_dir(&new).map_err(TrainError::io(&new))?;
    fill(&new)?;
    let is_there = out.exists();
    if is_there {
        fs::rename(out, &old).map_err(TrainError::io(out))?;
    }
    fs::rename(&new, out).map_err(|error| {
        if is_there && fs::rename(&old, out).is_err() {
            // Kept where it is rather than deleted with the folder it was moved to.
            let _ = beside.keep();
        }
        TrainError::io(out)(error)
    })
}
