//! The product of any two matrices, in any orientation: what training multiplies.
//!
//! ```text
//! a [m, k] ──► packed, 8 rows at a time ────┐
//!                                           ├─► tiles of 8 × 48 ─► out [m, n]
//! b [k, n] ──► packed, 48 columns at a time ┘
//! ```
//!
//! A step of training multiplies in three ways: `y = x wᵀ`, `dx = dy w` and `dw = dyᵀ x`. Reading
//! either side along the wrong axis would cost more than the products, so both are packed first
//! into the order in which a tile reads them; the cost is one pass over each. Lanes run along the
//! columns, so nothing is added up across lanes. Serving multiplies in the first way only, with
//! weights that do not change: [`crate::packed`].
//!
//! Each output number is one chain of fused multiply-adds in the order of `k`, whatever the tile,
//! the threads and the neighbours are. In [`Precision::Bf16`] both sides are rounded to bf16 first
//! (and multiplied in pairs where the machine can); sums are `f32`.

#![allow(unsafe_code)]

mod pack;
mod tile;
mod view;

use std::cell::RefCell;

use rayon::prelude::*;

use crate::{Isa, Precision};
use pack::{Packing, pack_columns, pack_rows};
pub use view::View;

/// Rows of one tile.
const TILE_ROWS: usize = 8;
/// Columns of one tile: three vectors of 16 lanes.
const TILE_COLS: usize = 48;
/// Lanes that columns are rounded up to.
const LANES: usize = 16;
/// Steps along `k` between two visits of the output: a panel of columns then fits the caches.
const DEPTH: usize = 256;
/// Words from one packed row to the next: not a power of two, so that rows do not share cache sets.
const ROW_STRIDE: usize = DEPTH + 16;
/// Most rows of one task: as many as stay in the second-level cache.
const TASK_ROWS: usize = 96;
/// Fewest rows of one task where there are more.
const LEAST_TASK_ROWS: usize = 32;

thread_local! {
    /// Packed columns, kept from call to call.
    static COLUMNS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
    /// Packed rows of one task.
    static ROWS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// The first `len` words of `kept`, which never shrinks: a product after a smaller one clears nothing anew.
fn at_least(kept: &mut Vec<u32>, len: usize) -> &mut [u32] {
    if kept.len() < len {
        kept.resize(len, 0);
    }
    &mut kept[..len]
}

/// `out = a b`, or `out += a b` where `accumulate`: `a [m, k]`, `b [k, n]`, `out [m, n]`.
///
/// # Panics
///
/// Where the shapes contradict each other.
pub fn gemm(a: View<'_>, b: View<'_>, precision: Precision, accumulate: bool, out: &mut [f32]) {
    gemm_on(Isa::best(), a, b, precision, accumulate, out);
}

/// [`gemm`] into memory of its own, which is not cleared first.
///
/// # Panics
///
/// As [`gemm`].
pub fn product(a: View<'_>, b: View<'_>, precision: Precision) -> Vec<f32> {
    let len = a
        .rows()
        .checked_mul(b.cols())
        .expect("outputs fit the memory");
    let mut out = Vec::with_capacity(len);
    // SAFETY: `run` writes `len` numbers, every one of them: without accumulation each tile stores all of
    // its rows and columns, also where there is nothing to add up.
    unsafe {
        run(Isa::best(), a, b, precision, false, out.as_mut_ptr());
        out.set_len(len);
    }
    out
}

/// [`gemm`] on a named instruction set, for tests and measurements.
///
/// # Panics
///
/// As [`gemm`], and where this machine lacks `isa`.
pub fn gemm_on(
    isa: Isa,
    a: View<'_>,
    b: View<'_>,
    precision: Precision,
    accumulate: bool,
    out: &mut [f32],
) {
    let (m, n) = (a.rows(), b.cols());
    assert_eq!(Some(out.len()), m.checked_mul(n), "outputs [{m}, {n}]");
    // SAFETY: as many numbers as outputs, borrowed exclusively.
    unsafe { run(isa, a, b, precision, accumulate, out.as_mut_ptr()) };
}

/// The product into `[a.rows, b.cols]` numbers at `out`.
///
/// # Safety
///
/// `out` is valid for writing as many numbers, and for reading them where `accumulate`; nobody else touches
/// them meanwhile.
unsafe fn run(
    isa: Isa,
    a: View<'_>,
    b: View<'_>,
    precision: Precision,
    accumulate: bool,
    out: *mut f32,
) {
    let (m, n) = (a.rows(), b.cols());
    assert!(isa.is_available(), "{isa} is not available on this machine");
    assert_eq!(a.cols(), b.rows(), "inner sizes");
    if m == 0 || n == 0 {
        return;
    }
    let packing = Packing::choose(isa, precision);
    let mut kept = COLUMNS.take();
    let depth = packing.depth(a.cols());
    let columns = at_least(&mut kept, depth * n.next_multiple_of(LANES));
    columns
        .par_chunks_mut(depth.max(1) * TILE_COLS)
        .enumerate()
        .for_each(|(i, panel)| pack_columns(packing, b, i * TILE_COLS, panel));

    let out = Output {
        start: out,
        len: m * n,
        stride: n,
    };
    // A few tasks for each thread. Rows are shared first: columns are packed once for all tasks, rows once
    // for each.
    let wanted = 3 * rayon::current_num_threads();
    let task_rows = m
        .div_ceil(wanted)
        .next_multiple_of(TILE_ROWS)
        .clamp(LEAST_TASK_ROWS, TASK_ROWS);
    let row_tasks = m.div_ceil(task_rows);
    let panels = n.div_ceil(TILE_COLS);
    let groups = wanted.div_ceil(row_tasks).clamp(1, panels);
    let group = panels.div_ceil(groups);
    let col_tasks = panels.div_ceil(group);
    (0..row_tasks * col_tasks).into_par_iter().for_each(|task| {
        let (i, g) = (task / col_tasks, task % col_tasks);
        let rows = i * task_rows..m.min((i + 1) * task_rows);
        let task = Task {
            isa,
            packing,
            a,
            rows,
            columns,
            panels: g * group..panels.min((g + 1) * group),
            n,
            accumulate,
        };
        // SAFETY: tasks are the cells of a grid over the output, which outlives them.
        unsafe { task.run(&out) };
    });
    COLUMNS.set(kept);
}

/// The product in `f32` on the calling thread, into rows that are `ldo` apart: for the many small
/// products inside attention.
pub(crate) fn gemm_serial(a: View<'_>, b: View<'_>, accumulate: bool, out: &mut [f32], ldo: usize) {
    let (m, n) = (a.rows(), b.cols());
    assert_eq!(a.cols(), b.rows(), "inner sizes");
    if m == 0 || n == 0 {
        return;
    }
    assert!(n <= ldo && (m - 1) * ldo + n <= out.len());
    let isa = Isa::best();
    let packing = Packing::choose(isa, Precision::F32);
    let depth = packing.depth(a.cols());
    let mut kept = COLUMNS.take();
    let columns = at_least(&mut kept, depth * n.next_multiple_of(LANES));
    for (i, panel) in columns.chunks_mut(depth.max(1) * TILE_COLS).enumerate() {
        pack_columns(packing, b, i * TILE_COLS, panel);
    }
    let task = Task {
        isa,
        packing,
        a,
        rows: 0..m,
        columns,
        panels: 0..n.div_ceil(TILE_COLS),
        n,
        accumulate,
    };
    let output = Output {
        start: out.as_mut_ptr(),
        len: out.len(),
        stride: ldo,
    };
    // SAFETY: the output is this call's alone.
    unsafe { task.run(&output) };
    COLUMNS.set(kept);
}

/// The output, shared among tasks that write disjoint rectangles of it.
struct Output {
    start: *mut f32,
    len: usize,
    stride: usize,
}

// SAFETY: the pointer stands for the exclusive borrow that `gemm` holds while tasks run, and each
// task writes its own rectangle only.
unsafe impl Sync for Output {}

/// One rectangle of the output.
struct Task<'t> {
    isa: Isa,
    packing: Packing,
    a: View<'t>,
    rows: std::ops::Range<usize>,
    columns: &'t [u32],
    panels: std::ops::Range<usize>,
    n: usize,
    accumulate: bool,
}

impl Task<'_> {
    /// # Safety
    ///
    /// `out` is valid, and nobody else touches the rectangle of this task's rows and panels.
    unsafe fn run(&self, out: &Output) {
        let depth = self.packing.depth(self.a.cols());
        let mut kept = ROWS.take();
        let strips = self.rows.len().div_ceil(TILE_ROWS);
        let packed = at_least(&mut kept, strips * TILE_ROWS * ROW_STRIDE);
        let mut from = 0;
        // Once even where there is nothing to add up: the output must become zero.
        loop {
            let steps = DEPTH.min(depth - from);
            for (s, strip) in packed.chunks_exact_mut(TILE_ROWS * ROW_STRIDE).enumerate() {
                let first = self.rows.start + s * TILE_ROWS;
                let count = TILE_ROWS.min(self.rows.end - first);
                pack_rows(self.packing, self.a, first, count, from, steps, strip);
            }
            for panel in self.panels.clone() {
                let col = panel * TILE_COLS;
                let cols = TILE_COLS.min(self.n - col);
                let width = cols.next_multiple_of(LANES);
                let columns = &self.columns[col * depth + from * width..][..steps * width];
                for (s, strip) in packed.chunks_exact(TILE_ROWS * ROW_STRIDE).enumerate() {
                    let first = self.rows.start + s * TILE_ROWS;
                    let rows = TILE_ROWS.min(self.rows.end - first);
                    let at = first * out.stride + col;
                    assert!(at + (rows - 1) * out.stride + cols <= out.len);
                    let tile = tile::Tile {
                        strip,
                        by_row: self.a.is_by_row(),
                        columns,
                        vectors: width / LANES,
                        steps,
                        rows,
                        cols,
                        accumulate: self.accumulate || from > 0,
                    };
                    // SAFETY: inside the output by the assertion, and this task's alone by the
                    // caller's promise; the instruction set was checked by `gemm_on`.
                    unsafe { tile.run(self.isa, self.packing, out.start.add(at), out.stride) };
                }
            }
            from += steps;
            if from >= depth {
                break;
            }
        }
        ROWS.set(kept);
    }
}
