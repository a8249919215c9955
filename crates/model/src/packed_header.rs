//! What a packed file says of itself: a safetensors file whose products' weights are in the order in which
//! tiles read them.

use std::collections::BTreeMap;

use aurola_compute::packed::Form;
use serde::{Deserialize, Serialize};

/// Where the header stands among the file's own words.
pub(crate) const KEY: &str = "aurola.packed";
/// Version of the header and of what follows it.
const VERSION: u32 = 1;
/// The order of the words: one for all machines whose numbers are little-endian.
const LAYOUT: &str = "lines of 16 outputs, panels of 3, words of 32 bits, little-endian";
/// What sets it right.
const HELP: &str = "`aurola model quantize` writes it anew from the checkpoint";

/// The header.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PackedHeader {
    version: u32,
    layout: String,
    /// The type of most products.
    pub(crate) form: Stored,
    /// The rules by which layers were given their types.
    pub(crate) plan: String,
    /// Digest of the checkpoint it was packed from.
    pub(crate) source: String,
    /// The packed tensors.
    pub(crate) layers: BTreeMap<String, Layer>,
}

/// A packed tensor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Layer {
    pub(crate) form: Stored,
    /// Type and shape it has in the checkpoint.
    pub(crate) stored: safetensors::Dtype,
    pub(crate) shape: Vec<usize>,
}

/// A [`Form`] as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stored {
    F32,
    Bf16,
    Int8,
    Int4,
}

impl PackedHeader {
    pub(crate) fn new(
        form: Form,
        plan: String,
        source: String,
        layers: BTreeMap<String, Layer>,
    ) -> Self {
        Self {
            version: VERSION,
            layout: LAYOUT.into(),
            form: form.into(),
            plan,
            source,
            layers,
        }
    }

    /// Reads the header of a safetensors file; or the reason why it cannot be used.
    pub(crate) fn read(file: &[u8]) -> Result<Self, String> {
        let (_, metadata) = safetensors::SafeTensors::read_metadata(file)
            .map_err(|e| format!("damaged or not safetensors: {e}"))?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let text = text.ok_or_else(|| format!("not a packed file; {HELP}"))?;
        // The version first: another one may have other fields.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let parse = |e: serde_json::Error| format!("its header {KEY}: {e}; {HELP}");
        let versioned: Versioned = serde_json::from_str(text).map_err(parse)?;
        if versioned.version != VERSION {
            return Err(format!(
                "packed by version {} of the format, this program reads {VERSION}; {HELP}",
                versioned.version
            ));
        }
        let header: Self = serde_json::from_str(text).map_err(parse)?;
        if header.layout != LAYOUT {
            return Err(format!(
                "packed for another class of machine ({}, here {LAYOUT}); {HELP}",
                header.layout
            ));
        }
        Ok(header)
    }
}

impl From<Form> for Stored {
    fn from(form: Form) -> Self {
        match form {
            Form::F32 => Stored::F32,
            Form::Bf16 => Stored::Bf16,
            Form::Int8 => Stored::Int8,
            Form::Int4 => Stored::Int4,
        }
    }
}

impl From<Stored> for Form {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::F32 => Form::F32,
            Stored::Bf16 => Form::Bf16,
            Stored::Int8 => Form::Int8,
            Stored::Int4 => Form::Int4,
        }
    }
}
