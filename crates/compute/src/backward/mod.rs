//! Gradients: for each operation, what a change of its output means for its inputs.
//!
//! Every function takes what the forward operation took and `dy`, the gradient with respect to its
//! output, of the same shape; what it returns or adds to has the shape of the input it belongs to.
//! Nothing is remembered between forward and backward: a layer's inputs are kept or computed again
//! by who trains it.
//!
//! Sums over rows (of biases, norms and weights) run in the order of the rows, so gradients do not
//! depend on the number of threads. Each is tested against differences of the forward operation's
//! formula in double precision.

pub mod attention;
pub mod conv;
pub mod norm;
pub mod pointwise;
pub mod pool;
pub mod product;

/// `[rows, cols]` with `stride` numbers from row to row, as `[cols, rows]`.
fn transpose(x: &[f32], rows: usize, cols: usize, stride: usize) -> Vec<f32> {
    // Square pieces, so that neither side is read or written with large steps for long.
    const PIECE: usize = 16;
    let mut out = vec![0.0; rows * cols];
    for row in (0..rows).step_by(PIECE) {
        for col in (0..cols).step_by(PIECE) {
            for i in row..rows.min(row + PIECE) {
                for j in col..cols.min(col + PIECE) {
                    out[j * rows + i] = x[i * stride + j];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod difference;
