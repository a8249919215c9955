//! Keys and values of what has been read, so that it is read once.

use aurola_compute::attention::Past;

/// Keys and values of one sequence's beginning, for every layer.
#[derive(Debug, Clone)]
pub struct KvCache {
    layers: Vec<(Vec<f32>, Vec<f32>)>,
    width: usize,
}

impl KvCache {
    /// Empty, for `layers` layers of `width = kv_heads · dim` numbers a row.
    pub(super) fn new(layers: usize, width: usize) -> Self {
        Self {
            layers: vec![(Vec::new(), Vec::new()); layers],
            width,
        }
    }

    /// Rows that are held.
    pub fn len(&self) -> usize {
        // The last layer is filled last: between layers of one pass it does not count them yet.
        self.layers.last().map_or(0, |(k, _)| k.len() / self.width)
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds what was read after this.
    pub(crate) fn extend(&mut self, more: &Self) {
        for ((k, v), (new_k, new_v)) in self.layers.iter_mut().zip(&more.layers) {
            k.extend_from_slice(new_k);
            v.extend_from_slice(new_v);
        }
    }

    pub(super) fn layer(&self, i: usize) -> Past<'_> {
        let (keys, values) = &self.layers[i];
        Past { keys, values }
    }

    pub(super) fn append(&mut self, i: usize, k: &[f32], v: &[f32]) {
        let (keys, values) = &mut self.layers[i];
        keys.extend_from_slice(k);
        values.extend_from_slice(v);
    }
}
