//! Embeddings, as similarities, and gradients the way back.
//!
//! ```text
//! raw ──(÷ length)──► audio [batch, dim] ─┐
//!                                         ├─► s = audio · textᵀ [batch, batch] ─► loss
//! raw ──(÷ length)──► text  [batch, dim] ─┘
//! ```

use super::LossError;

const AUDIO: &str = "audio embeddings";
const TEXT: &str = "text embeddings";

/// Shorter than this, an embedding has no direction.
const SHORTEST: f64 = 1e-12;

/// How alike every sound and every caption of a batch are: finite, `[batch, batch]`, row `i` the
/// sound and column `j` the caption, pair `i` on the diagonal.
///
/// Cosines where the embeddings are of unit length, dot products otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Similarities {
    batch: usize,
    values: Vec<f64>,
}

impl Similarities {
    /// Takes `values`, `[batch, batch]`, row-major.
    ///
    /// # Errors
    ///
    /// [`LossError::Empty`], [`LossError::Shape`] or [`LossError::NotFinite`].
    pub fn new(batch: usize, values: &[f32]) -> Result<Self, LossError> {
        let values = checked("similarities", batch, batch, values)?;
        Ok(Self { batch, values })
    }

    /// Without a rounding to `f32`, for differences too small for it.
    #[cfg(test)]
    pub(super) fn from_f64(batch: usize, values: Vec<f64>) -> Self {
        assert_eq!(values.len(), batch * batch);
        Self { batch, values }
    }

    /// How many pairs.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The numbers, row-major.
    pub fn as_slice(&self) -> &[f64] {
        &self.values
    }
}

/// One sound among all captions, or one caption among all sounds: a row or a column of the matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    first: usize,
    stride: usize,
    batch: usize,
    anchor: usize,
}

impl Line {
    pub(super) fn row(anchor: usize, batch: usize) -> Self {
        Self {
            first: anchor * batch,
            stride: 1,
            batch,
            anchor,
        }
    }

    pub(super) fn column(anchor: usize, batch: usize) -> Self {
        Self {
            first: anchor,
            stride: batch,
            batch,
            anchor,
        }
    }

    /// The cell of the pair itself.
    pub(super) fn own(self) -> usize {
        self.first + self.anchor * self.stride
    }

    /// The cells of the others.
    pub(super) fn others(self) -> impl Iterator<Item = usize> {
        (0..self.batch)
            .filter(move |k| *k != self.anchor)
            .map(move |k| self.first + k * self.stride)
    }
}

/// A batch of pairs: row `i` of the one side belongs to row `i` of the other.
#[derive(Debug, Clone)]
pub struct Pairs {
    batch: usize,
    dim: usize,
    audio: Side,
    text: Side,
}

/// `[batch, dim]`, and how long the rows were where they were scaled to length 1.
#[derive(Debug, Clone)]
struct Side {
    values: Vec<f64>,
    norms: Option<Vec<f64>>,
}

/// Gradients with respect to what a [`Pairs`] was made of, each `[batch, dim]`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingGradients {
    /// Of the audio embeddings.
    pub audio: Vec<f32>,
    /// Of the text embeddings.
    pub text: Vec<f32>,
}

impl Pairs {
    /// Takes `audio` and `text`, each `[batch, dim]`, row-major, as they are: usually of unit length.
    /// Gradients are with respect to these numbers, as if each were free.
    ///
    /// # Errors
    ///
    /// [`LossError::Empty`], [`LossError::Shape`] where the sides differ or are no whole rows, or
    /// [`LossError::NotFinite`].
    pub fn new(audio: &[f32], text: &[f32], dim: usize) -> Result<Self, LossError> {
        let batch = audio.len().checked_div(dim).unwrap_or(0);
        let side = |what, values| {
            Ok(Side {
                values: checked(what, batch, dim, values)?,
                norms: None,
            })
        };
        Ok(Self {
            batch,
            dim,
            audio: side(AUDIO, audio)?,
            text: side(TEXT, text)?,
        })
    }

    /// As [`Pairs::new`], with every row scaled to length 1. Gradients go through that: they are with
    /// respect to the numbers given, and stand at right angles to each row.
    ///
    /// # Errors
    ///
    /// As [`Pairs::new`], and [`LossError::NoDirection`] at a row shorter than 1e-12.
    pub fn normalized(audio: &[f32], text: &[f32], dim: usize) -> Result<Self, LossError> {
        let mut pairs = Self::new(audio, text, dim)?;
        pairs.audio.normalize(AUDIO, dim)?;
        pairs.text.normalize(TEXT, dim)?;
        Ok(pairs)
    }

    /// How many pairs.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The dot product of every sound with every caption.
    pub fn similarities(&self) -> Similarities {
        let values = self
            .audio
            .values
            .chunks_exact(self.dim)
            .flat_map(|a| self.text.values.chunks_exact(self.dim).map(|t| dot(a, t)))
            .collect();
        Similarities {
            batch: self.batch,
            values,
        }
    }

    /// Takes a gradient with respect to [`Pairs::similarities`], `[batch, batch]`, on to both sides.
    ///
    /// # Errors
    ///
    /// [`LossError::Shape`] where it is of another batch.
    pub fn backward(&self, gradient: &[f64]) -> Result<EmbeddingGradients, LossError> {
        if gradient.len() != self.batch * self.batch {
            return Err(LossError::Shape {
                what: "gradient of the similarities",
                rows: self.batch,
                columns: self.batch,
                got: gradient.len(),
            });
        }
        let mut audio = vec![0.0; self.audio.values.len()];
        let mut text = vec![0.0; self.text.values.len()];
        for (i, line) in gradient.chunks_exact(self.batch).enumerate() {
            let i = i * self.dim..(i + 1) * self.dim;
            for (j, by) in line.iter().enumerate() {
                let j = j * self.dim..(j + 1) * self.dim;
                add_scaled(&mut audio[i.clone()], *by, &self.text.values[j.clone()]);
                add_scaled(&mut text[j], *by, &self.audio.values[i.clone()]);
            }
        }
        Ok(EmbeddingGradients {
            audio: self.audio.before_scaling(audio, self.dim),
            text: self.text.before_scaling(text, self.dim),
        })
    }
}

impl Side {
    fn normalize(&mut self, what: &'static str, dim: usize) -> Result<(), LossError> {
        let mut norms = Vec::with_capacity(self.values.len() / dim);
        for (row, values) in self.values.chunks_exact_mut(dim).enumerate() {
            let norm = dot(values, values).sqrt();
            if norm < SHORTEST {
                return Err(LossError::NoDirection { what, row, norm });
            }
            values.iter_mut().for_each(|v| *v /= norm);
            norms.push(norm);
        }
        self.norms = Some(norms);
        Ok(())
    }

    /// A gradient with respect to `u = v / ‖v‖` is one of `(g − u (u·g)) / ‖v‖` with respect to `v`.
    fn before_scaling(&self, mut gradient: Vec<f64>, dim: usize) -> Vec<f32> {
        if let Some(norms) = &self.norms {
            let rows = gradient
                .chunks_exact_mut(dim)
                .zip(self.values.chunks_exact(dim));
            for ((g, u), norm) in rows.zip(norms) {
                let along = dot(g, u);
                for (g, u) in g.iter_mut().zip(u) {
                    *g = (*g - u * along) / norm;
                }
            }
        }
        gradient.into_iter().map(|g| g as f32).collect()
    }
}

/// `values` in `f64`, where they are `[rows, columns]`, at least one of each, and finite.
pub(super) fn checked(
    what: &'static str,
    rows: usize,
    columns: usize,
    values: &[f32],
) -> Result<Vec<f64>, LossError> {
    if rows == 0 || columns == 0 {
        return Err(LossError::Empty { what });
    }
    if rows.checked_mul(columns) != Some(values.len()) {
        return Err(LossError::Shape {
            what,
            rows,
            columns,
            got: values.len(),
        });
    }
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        return Err(LossError::NotFinite {
            what,
            row: at / columns,
            column: at % columns,
            value: values[at],
        });
    }
    Ok(values.iter().map(|v| f64::from(*v)).collect())
}

/// In eight running sums, which a processor adds side by side.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a_blocks.remainder().iter().zip(b_blocks.remainder());
    let rest: f64 = rest.map(|(a, b)| a * b).sum();
    let mut sums = [0.0; 8];
    for (a, b) in a_blocks.zip(b_blocks) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + rest
}

fn add_scaled(to: &mut [f64], by: f64, values: &[f64]) {
    for (to, value) in to.iter_mut().zip(values) {
        *to += by * value;
    }
}
