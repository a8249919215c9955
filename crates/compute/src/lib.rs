//! The operations of the model on the CPU.
//!
//! ```text
//! weights (memory map) ──► MATRIX ─┐
//! activations, f32 ────────────────┴► product · norm · rotary · attention · activation · conv · pool
//! ```
//!
//! Activations are row-major `f32` slices with one row per position; a batch is ragged: the rows of
//! its sequences stand one after the other, and nothing is padded. Weights stay in the type of the
//! checkpoint and are read where the memory map has them, so loading copies nothing.
//!
//! Two laws hold for every operation, and the tests check them: an output row does not depend on
//! which other rows are computed with it, and no output depends on the number of threads. Both are
//! exact, bit for bit, because each output number is summed in an order set by its own row alone.
//!
//! Each product has a plain form in [`plain`] that is its definition; the forms for an instruction
//! set are chosen at run time ([`Isa::best`]) and tested against it.
//!
//! Shapes are the caller's contract: a slice of the wrong length is a bug in this program and
//! panics. What comes from files is checked where it is read, in the crates that read it.
//!
//! This is the only crate with `unsafe`.

pub mod attention;
pub mod backward;
pub mod conv;
mod cpu;
pub mod gemm;
mod isa;
mod map;
mod matrix;
mod memory;
pub mod norm;
pub mod plain;
pub mod pointwise;
pub mod pool;
pub mod product;
pub mod rope;
pub mod scan;

pub use isa::Isa;
pub use map::MappedFile;
pub use matrix::{Dtype, Matrix, MatrixError};
pub use memory::keep_freed_memory;
pub use product::{Precision, matmul_nt, matmul_nt_on};
