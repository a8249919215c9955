//! Which type each product of a model is computed in.

use aurola_compute::packed::Form;

/// Version of the rules below: which layers are quantised, and how.
const VERSION: u32 = 1;

/// The type of a model's products, and which of them keep a wider one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Plan(Form);

impl Plan {
    pub(crate) fn new(form: Form) -> Self {
        Self(form)
    }

    /// The type of most products.
    pub(crate) fn form(self) -> Form {
        self.0
    }

    /// The type of products that are not quantised: an adapter's, and the output head's.
    pub(crate) fn unquantised(self) -> Form {
        match self.0 {
            Form::F32 => Form::F32,
            _ => Form::Bf16,
        }
    }

    /// The type of the layer `module`, named as the Thinker names it. The convolutions read the spectrogram,
    /// whose bands lie far apart within a block, and the projection ends the tower: a hundredth of the work,
    /// and all that is heard passes through them. They stay in bf16.
    pub(crate) fn of(self, module: &str) -> Form {
        let kept = ["audio_tower.conv1", "audio_tower.conv2", "audio_tower.proj"];
        if kept.contains(&module) {
            self.unquantised()
        } else {
            self.0
        }
    }

    /// What of it decides an embedding.
    pub(crate) fn numbers(self) -> String {
        match self.0 {
            Form::F32 | Form::Bf16 => self.0.to_string(),
            Form::Int8 | Form::Int4 => format!("{} by plan {VERSION}", self.0),
        }
    }
}

/// Whether `name`, below the Thinker's prefix, is the weight of a linear layer or a convolution: what a
/// product reads. The embedding table is read row by row, and the output head for captions only.
pub(crate) fn is_product(name: &str) -> Option<&str> {
    const LAYERS: [&str; 13] = [
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "out_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
        "fc1",
        "fc2",
        "conv1",
        "conv2",
        "proj",
    ];
    let module = name.strip_suffix(".weight")?;
    let ours = module.starts_with("audio_tower.") || module.starts_with("model.layers.");
    let layer = module.rsplit('.').next()?;
    (ours && LAYERS.contains(&layer)).then_some(module)
}
