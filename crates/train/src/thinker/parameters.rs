//! What is trained: named `f32` numbers, and their gradients.

/// One tensor that is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name in the checkpoint, without what a layout puts before it; for a low-rank factor the
    /// module's name and `lora_A.weight` or `lora_B.weight`.
    pub name: String,
    /// Its shape in the checkpoint.
    pub shape: Vec<usize>,
    /// Its numbers, row-major.
    pub values: Vec<f32>,
}

/// All tensors that are trained, in the order the model asks for them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters {
    all: Vec<Parameter>,
}

/// Which of [`Parameters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(usize);

impl Parameters {
    pub(super) fn add(&mut self, parameter: Parameter) -> Id {
        debug_assert_eq!(
            parameter.values.len(),
            parameter.shape.iter().product::<usize>()
        );
        self.all.push(parameter);
        Id(self.all.len() - 1)
    }

    pub(super) fn get(&self, id: Id) -> &[f32] {
        &self.all[id.0].values
    }

    /// Every tensor.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Parameter> {
        self.all.iter()
    }

    /// Every tensor's numbers, to be changed.
    pub fn values_mut(&mut self) -> Vec<&mut [f32]> {
        self.all.iter_mut().map(|p| &mut p.values[..]).collect()
    }

    /// Numbers in every tensor.
    pub fn lengths(&self) -> Vec<usize> {
        self.all.iter().map(|p| p.values.len()).collect()
    }

    /// Numbers in all tensors together.
    pub fn count(&self) -> usize {
        self.all.iter().map(|p| p.values.len()).sum()
    }
}

/// One gradient per parameter, of its length.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    all: Vec<Vec<f32>>,
}

impl Gradients {
    /// Zeros for every parameter.
    pub fn zeros(parameters: &Parameters) -> Self {
        Self {
            all: parameters
                .iter()
                .map(|p| vec![0.0; p.values.len()])
                .collect(),
        }
    }

    pub(super) fn of(&mut self, id: Id) -> &mut [f32] {
        &mut self.all[id.0]
    }

    /// Two gradients at once.
    pub(super) fn both(&mut self, a: Id, b: Id) -> (&mut [f32], &mut [f32]) {
        let [a, b] = self
            .all
            .get_disjoint_mut([a.0, b.0])
            .expect("two parameters of this model");
        (a, b)
    }

    /// In the order of the parameters.
    pub fn as_slices(&self) -> Vec<&[f32]> {
        self.all.iter().map(Vec::as_slice).collect()
    }

    /// In the order of the parameters.
    pub fn as_mut_slices(&mut self) -> Vec<&mut [f32]> {
        self.all.iter_mut().map(Vec::as_mut_slice).collect()
    }

    /// Adds gradients of the same parameters.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in self.all.iter_mut().zip(&other.all) {
            aurola_compute::pointwise::add(own, other);
        }
    }

    /// Back to zero.
    pub fn clear(&mut self) {
        self.all.iter_mut().for_each(|g| g.fill(0.0));
    }
}
