//! Gradients: for each operation, what a change of its output means for its inputs.
//!
//! Every function takes what the forward operation took and `dy`, the gradient with respect to its
//! output, of the same shape; what it returns or adds to has the shape of the input it belongs to.
//! Nothing is remembered between forward and backward: a layer's inputs are kept or computed again
//! by who trains it.
//!
//! Gradients of weights are products ([`crate::gemm`]). Sums over rows (of biases and norms) are
//! taken over blocks of rows and then over blocks, so that they depend on no number of threads.
//! Each is tested against differences of the forward operation's formula in double precision.

pub mod attention;
pub mod conv;
pub mod norm;
pub mod pointwise;
pub mod pool;

#[cfg(test)]
mod difference;
