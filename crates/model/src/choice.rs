//! Which weights in a folder are used, and in which type: by what is asked for, what is there, and the
//! memory of the machine.

use std::path::Path;

use aurola_compute::Dtype;
use aurola_compute::packed::Form;

use crate::plan::Plan;
use crate::quantise::file_name;
use crate::weights::{Checkpoint, is_ours};
use crate::{DtypeChoice, ModelError};

/// What was chosen.
pub(crate) struct Choice {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) plan: Plan,
    /// The type most weights had before they were packed.
    pub(crate) stored: Option<Dtype>,
    /// What, and why, for people.
    pub(crate) why: String,
}

/// Weights that could be used.
struct Candidate {
    form: Form,
    /// Their packed file is there; else they are read, or quantised, from the checkpoint.
    packed: bool,
    /// Bytes that products read.
    bytes: u64,
    /// Whether they are pages of a file, which the system can take back, or memory of our own.
    is_map: bool,
}

/// Chooses among the weights in `dir`. `memory`: bytes that may be used; what the system has free where it
/// is `None`.
pub(crate) fn choose(
    dir: &Path,
    dtype: DtypeChoice,
    memory: Option<u64>,
) -> Result<Choice, ModelError> {
    let packed: Vec<Form> = [Form::Bf16, Form::Int8, Form::Int4]
        .into_iter()
        .filter(|form| dir.join(file_name(*form)).exists())
        .collect();
    let plain = if Checkpoint::is_in(dir) || packed.is_empty() {
        // Where there are no weights at all, this says so.
        Some(Checkpoint::open(dir)?)
    } else {
        None
    };
    let stored = plain.as_ref().and_then(|c| c.main_dtype(is_ours));
    let natural = match stored {
        Some(Dtype::Bf16) | None => Form::Bf16,
        Some(Dtype::F32 | Dtype::F16) => Form::F32,
    };
    let forms = match dtype {
        DtypeChoice::Auto => vec![natural, Form::Int8, Form::Int4],
        DtypeChoice::F32 => vec![Form::F32],
        DtypeChoice::Bf16 => vec![Form::Bf16],
        DtypeChoice::Int8 => vec![Form::Int8],
        DtypeChoice::Int4 => vec![Form::Int4],
    };
    let mut candidates = Vec::new();
    for form in forms.iter().copied() {
        if packed.contains(&form) {
            let file = dir.join(file_name(form));
            let bytes = std::fs::metadata(&file)
                .map_err(ModelError::io(&file))?
                .len();
            candidates.push(Candidate {
                form,
                packed: true,
                bytes,
                is_map: true,
            });
        } else if let Some(plain) = &plain {
            let bytes = plain.product_bytes(Some(Plan::new(form)));
            let is_map = bytes == plain.product_bytes(None);
            candidates.push(Candidate {
                form,
                packed: false,
                bytes,
                is_map,
            });
        }
    }
    let memory = memory.or_else(available);
    let chosen =
        pick(&candidates, memory).map_err(|needed| refusal(dir, dtype, &packed, needed, memory))?;
    let why = reason(chosen, dtype, memory);
    let checkpoint = match plain {
        Some(plain) if !chosen.packed => plain,
        plain => open_packed(dir, chosen.form, plain.as_ref())?,
    };
    let stored = checkpoint.main_dtype(is_ours);
    Ok(Choice {
        checkpoint,
        plan: Plan::new(chosen.form),
        stored,
        why,
    })
}

/// The first candidate that fits the memory; where none does, the first whose pages the system can take
/// back and read again; else the least that would be needed (`None` where there is no candidate).
fn pick(candidates: &[Candidate], memory: Option<u64>) -> Result<&Candidate, Option<u64>> {
    let Some(memory) = memory else {
        return candidates.first().ok_or(None);
    };
    candidates
        .iter()
        .find(|c| c.bytes <= memory)
        .or_else(|| {
            candidates
                .iter()
                .filter(|c| c.is_map)
                .min_by_key(|c| c.bytes)
        })
        .ok_or_else(|| candidates.iter().map(|c| c.bytes).min())
}

fn reason(chosen: &Candidate, dtype: DtypeChoice, memory: Option<u64>) -> String {
    let how = match (chosen.packed, chosen.is_map) {
        (true, _) => format!("from {}", file_name(chosen.form)),
        (false, true) => "from the weights where they lie".into(),
        (false, false) => "packed now; `aurola model quantize` does it once".into(),
    };
    let mut why = format!("{}, {how}, {}", chosen.form, gib(chosen.bytes));
    if let Some(memory) = memory {
        if chosen.bytes > memory {
            why += &format!(
                "; only {} of memory are free, so weights will be read from the disk again and again",
                gib(memory)
            );
        } else if dtype == DtypeChoice::Auto {
            why += &format!(" of {} that are free", gib(memory));
        }
    }
    why
}

/// Why nothing can be loaded.
fn refusal(
    dir: &Path,
    dtype: DtypeChoice,
    packed: &[Form],
    needed: Option<u64>,
    memory: Option<u64>,
) -> ModelError {
    let others: Vec<String> = packed.iter().map(ToString::to_string).collect();
    match (needed, memory) {
        (Some(needed), Some(memory)) => ModelError::Memory {
            dir: dir.to_owned(),
            needed: gib(needed),
            available: gib(memory),
            help: match dtype {
                DtypeChoice::Int4 | DtypeChoice::Auto => {
                    "a packed file is read from the disk where memory is short: `aurola model quantize --dtype int4`".into()
                }
                _ => "`--dtype int4` needs about half of int8, and a packed file (`aurola model quantize`) is read \
                      from the disk where memory is short".into(),
            },
        },
        _ => ModelError::MissingFile {
            dir: dir.to_owned(),
            name: "weights of that type".into(),
            help: format!(
                "there are only packed ones ({}); choose --dtype among them, or --dtype auto",
                others.join(", ")
            ),
        },
    }
}

/// Opens a packed file; where the checkpoint is there as well, it must be the one that it was made from.
fn open_packed(
    dir: &Path,
    form: Form,
    plain: Option<&Checkpoint>,
) -> Result<Checkpoint, ModelError> {
    let path = dir.join(file_name(form));
    let checkpoint = Checkpoint::open_packed(&path)?;
    let header = checkpoint.packed().expect("opened as a packed file");
    let refuse = |reason: &str| ModelError::Weights {
        path: path.clone(),
        reason: format!("{reason}; `aurola model quantize --dtype {form}` writes it anew"),
    };
    if Form::from(header.form) != form || header.plan != Plan::new(form).numbers() {
        return Err(refuse("packed by other rules than this program's"));
    }
    if plain.is_some_and(|plain| plain.source() != header.source) {
        return Err(refuse(
            "packed from another checkpoint than the one beside it",
        ));
    }
    Ok(checkpoint)
}

/// Bytes of memory that the system could give; `None` where it does not tell.
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn gib(bytes: u64) -> String {
    const GIB: f64 = (1_u64 << 30) as f64;
    match bytes as f64 / GIB {
        size if size >= 0.1 => format!("{size:.1} GiB"),
        size => format!("{:.1} MiB", size * 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(form: Form, bytes: u64, is_map: bool) -> Candidate {
        Candidate {
            form,
            packed: false,
            bytes,
            is_map,
        }
    }

    #[test]
    fn the_first_that_fits_is_chosen_and_pages_that_can_be_read_again_where_none_does() {
        let all = [
            candidate(Form::Bf16, 64, true),
            candidate(Form::Int8, 33, false),
            candidate(Form::Int4, 18, false),
        ];
        let form = |memory| pick(&all, memory).map(|c| c.form).ok();
        assert_eq!(form(None), Some(Form::Bf16));
        assert_eq!(
            [64, 63, 32, 17].map(|m| form(Some(m)).unwrap()),
            [Form::Bf16, Form::Int8, Form::Int4, Form::Bf16]
        );
        assert_eq!(pick(&all[1..], Some(10)).err(), Some(Some(18)));
        assert_eq!(pick(&[], Some(10)).err(), Some(None));
    }
}
