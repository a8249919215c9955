//! Whole products: rows by the weights of one layer, or of several layers that share their input.

use std::cell::RefCell;

use rayon::prelude::*;

use super::rows::Rows;
use super::tile::{Base, Tile};
use super::{CHUNK, Form, LANES, PANEL, Packed, TILE_ROWS, Words, fill, width};
use crate::{Isa, Matrix};

/// Rows that are in words at a time; more are computed in turns.
const ROWS_AT_ONCE: usize = 512;
/// Tasks for each thread: enough that none waits long for the last.
const TASKS: usize = 8;
/// Strips from which on the next chunk of weights is asked for while one is used. With fewer, reading is
/// all there is to do, and the machine sees that the order is plain.
const STRIPS_TO_PREFETCH: usize = 4;

thread_local! {
    /// Rows in words.
    static ROWS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
    /// One chunk of a panel of stored weights in words.
    static PANEL_WORDS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// The weights of a product, `[outputs, inputs]`.
#[derive(Debug, Clone)]
pub enum Weight {
    /// As the checkpoint has them, turned into words when they are used. [`Form::F32`] or [`Form::Bf16`].
    Stored(Matrix, Form),
    /// In words already.
    Packed(Packed),
}

impl Weight {
    /// Outputs.
    pub fn rows(&self) -> usize {
        match self {
            Weight::Stored(matrix, _) => matrix.rows(),
            Weight::Packed(packed) => packed.rows(),
        }
    }

    /// Inputs.
    pub fn cols(&self) -> usize {
        match self {
            Weight::Stored(matrix, _) => matrix.cols(),
            Weight::Packed(packed) => packed.cols(),
        }
    }

    /// The type of products.
    pub fn form(&self) -> Form {
        match self {
            Weight::Stored(_, form) => *form,
            Weight::Packed(packed) => packed.form(),
        }
    }

    fn words(&self) -> Words {
        match self {
            Weight::Stored(matrix, form) => Words::choose(*form, matrix.dtype()),
            Weight::Packed(packed) => packed.words,
        }
    }
}

/// What a product is added to.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// Nothing.
    Zero,
    /// One number for each output.
    Bias(&'a [f32]),
    /// What the output holds, such as the stream that a layer adds to.
    Output,
}

/// One product's weights, start, and place: `[rows, weight.rows]`.
#[derive(Debug)]
pub struct Target<'a> {
    /// The weights.
    pub weight: &'a Weight,
    /// What their product is added to.
    pub start: Start<'a>,
    /// The output.
    pub out: &'a mut [f32],
}

/// `x [m, k]` times the transposes of several weights, each into its own output: as one piece of work,
/// whose input is turned into words once.
///
/// # Panics
///
/// Where lengths do not fit the shapes, and where stored weights are to be quantised at every call.
pub fn products(x: &[f32], m: usize, targets: &mut [Target<'_>]) {
    products_on(Isa::best(), x, m, targets);
}

/// [`products`] on a named instruction set, for tests and measurements.
///
/// # Panics
///
/// As [`products`], and where this machine lacks `isa`.
pub fn products_on(isa: Isa, x: &[f32], m: usize, targets: &mut [Target<'_>]) {
    assert!(isa.is_available(), "{isa} is not available on this machine");
    let Some(k) = targets.first().map(|t| t.weight.cols()) else {
        return;
    };
    assert_eq!(Some(x.len()), m.checked_mul(k), "activations [{m}, {k}]");
    for Target { weight, start, out } in targets.iter() {
        let n = weight.rows();
        assert_eq!(weight.cols(), k, "weights that share an input of {k}");
        assert_eq!(Some(out.len()), m.checked_mul(n), "outputs [{m}, {n}]");
        if let Start::Bias(bias) = start {
            assert_eq!(bias.len(), n, "one bias for each output");
        }
        let stored = matches!(weight, Weight::Stored(..));
        assert!(
            !(stored && weight.words().is_integer()),
            "pack weights to quantise them"
        );
    }
    if m == 0 {
        return;
    }
    if k == 0 {
        targets.iter_mut().for_each(start_only);
        return;
    }
    for words in [
        Words::Single,
        Words::Widened,
        Words::Pairs,
        Words::Quads,
        Words::Nibbles,
    ] {
        let jobs: Vec<Job<'_>> = targets
            .iter_mut()
            .filter(|t| t.weight.words() == words && t.weight.rows() > 0)
            .filter_map(|target| Job::new(isa, x, m, target))
            .collect();
        if jobs.is_empty() {
            continue;
        }
        let mut room = ROWS.take();
        for first in (0..m).step_by(ROWS_AT_ONCE) {
            let last = m.min(first + ROWS_AT_ONCE);
            let rows = Rows::new(words, &x[first * k..last * k], k, &mut room);
            run(isa, &jobs, &rows, first..last, k);
        }
        ROWS.set(room);
    }
}

/// The empty sum.
fn start_only(target: &mut Target<'_>) {
    match target.start {
        Start::Zero => target.out.fill(0.0),
        Start::Bias([]) | Start::Output => {}
        Start::Bias(bias) => target
            .out
            .chunks_exact_mut(bias.len())
            .for_each(|row| row.copy_from_slice(bias)),
    }
}

/// One target, shared among tasks that write disjoint rectangles of its output.
struct Job<'t> {
    weight: &'t Weight,
    /// Outputs before this one are done already, by a unit of another kind.
    from: usize,
    start: Start<'t>,
    out: *mut f32,
    /// Outputs, and numbers from one row of them to the next.
    n: usize,
}

// SAFETY: the pointer stands for the exclusive borrow of the target's output that `Job::new` was given for
// as long, and each task writes its own panels' columns only.
unsafe impl Sync for Job<'_> {}

impl<'t> Job<'t> {
    /// What is left to do for a target: nothing, where a unit of another kind does all of it.
    fn new(isa: Isa, x: &[f32], m: usize, target: &'t mut Target<'_>) -> Option<Self> {
        let n = target.weight.rows();
        let from = other_unit(isa, x, m, target);
        (from < n).then_some(Self {
            weight: target.weight,
            from,
            start: target.start,
            out: target.out.as_mut_ptr(),
            n,
        })
    }

    fn panels(&self) -> usize {
        (self.n - self.from).div_ceil(PANEL)
    }

    /// Rows `rows` of panel `p`.
    ///
    /// # Safety
    ///
    /// The machine has `isa`; the output is valid, and nobody else touches the panel's columns of it.
    unsafe fn panel(
        &self,
        isa: Isa,
        p: usize,
        rows: &Rows<'_>,
        range: std::ops::Range<usize>,
        k: usize,
    ) {
        let words = self.weight.words();
        let col = self.from + p * PANEL;
        let cols = PANEL.min(self.n - col);
        let vectors = width(self.n - self.from, p) / LANES;
        let strips = range.len().div_ceil(TILE_ROWS);
        let mut room = PANEL_WORDS.take();
        for (c, at) in (0..k).step_by(words.chunk()).enumerate() {
            let len = words.chunk().min(k - at);
            let panel = match self.weight {
                Weight::Packed(packed) => packed.chunk(p, at, len),
                Weight::Stored(matrix, _) => {
                    room.resize(CHUNK * PANEL, 0);
                    let panel = &mut room[..words.lines(len) * vectors * LANES];
                    fill::fill(words, matrix, col..col + cols, at..at + len, panel);
                    panel
                }
            };
            let next = (strips >= STRIPS_TO_PREFETCH).then(|| self.next(p, at + len, k));
            for s in 0..strips {
                if let Some(next) = &next {
                    next.prefetch(s, strips);
                }
                let first = range.start + s * TILE_ROWS;
                let tile = Tile {
                    words,
                    strip: rows.piece(s, c),
                    panel,
                    vectors,
                    k: len,
                    rows: TILE_ROWS.min(range.end - first),
                    cols,
                    base: match self.start {
                        _ if at > 0 => Base::Output,
                        Start::Zero => Base::Zero,
                        Start::Bias(bias) => Base::Bias(&bias[col..]),
                        Start::Output => Base::Output,
                    },
                };
                // SAFETY: rows and columns that exist, by the shapes `products_on` has checked; the
                // caller answers for the rest.
                unsafe { tile.run(isa, self.out.add(first * self.n + col), self.n) };
            }
        }
        PANEL_WORDS.set(room);
    }

    /// The weights that are used after those before `at` of panel `p`.
    fn next(&self, p: usize, at: usize, k: usize) -> Next<'_> {
        let words = self.weight.words();
        let (p, at) = if at < k { (p, at) } else { (p + 1, 0) };
        let len = words.chunk().min(k - at);
        match self.weight {
            _ if p >= self.panels() => Next {
                bytes: &[],
                stride: 0,
                len: 0,
            },
            Weight::Packed(packed) => {
                let chunk = packed.chunk(p, at, len);
                // A line of the cache is a line of the panel.
                Next {
                    bytes: as_bytes(chunk),
                    stride: 64,
                    len: 64,
                }
            }
            Weight::Stored(matrix, _) => {
                let size = matrix.dtype().size();
                let (col, stride) = (self.from + p * PANEL, k * size);
                let end = ((col + PANEL).min(self.n) - 1) * stride + (at + len) * size;
                let bytes = &matrix.bytes()[col * stride + at * size..end];
                Next {
                    bytes,
                    stride,
                    len: len * size,
                }
            }
        }
    }
}

/// Weights that will be read soon: pieces of `len` bytes, `stride` apart.
struct Next<'w> {
    bytes: &'w [u8],
    stride: usize,
    len: usize,
}

impl Next<'_> {
    /// Asks for one of `parts` parts of them.
    fn prefetch(&self, part: usize, parts: usize) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            if self.stride == 0 {
                return;
            }
            let pieces = self.bytes.len().div_ceil(self.stride);
            for piece in part * pieces / parts..(part + 1) * pieces / parts {
                let start = piece * self.stride;
                for line in (start..self.bytes.len().min(start + self.len)).step_by(64) {
                    // SAFETY: a hint, on an address inside the slice; SSE is there on every x86-64.
                    unsafe { _mm_prefetch::<_MM_HINT_T1>(self.bytes.as_ptr().add(line).cast()) };
                }
            }
        }
        let _ = (part, parts, self.bytes, self.stride, self.len);
    }
}

fn as_bytes(words: &[u32]) -> &[u8] {
    // SAFETY: words have no padding and are initialised.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

/// All panels of all jobs, for rows `range`, which `rows` are the words of.
fn run(isa: Isa, jobs: &[Job<'_>], rows: &Rows<'_>, range: std::ops::Range<usize>, k: usize) {
    let panels: usize = jobs.iter().map(Job::panels).sum();
    let tasks = panels.min(TASKS * rayon::current_num_threads());
    let group = panels.div_ceil(tasks);
    (0..panels.div_ceil(group))
        .into_par_iter()
        .for_each(|task| {
            for panel in task * group..panels.min((task + 1) * group) {
                let mut p = panel;
                for job in jobs {
                    if p < job.panels() {
                        // SAFETY: each panel of each job is one task's alone; outputs outlive the jobs; the
                        // instruction set was checked by `products_on`.
                        unsafe { job.panel(isa, p, rows, range.clone(), k) };
                        break;
                    }
                    p -= job.panels();
                }
            }
        });
}

/// Computes the first outputs of a target on a unit that reads stored weights in place, where there is
/// one: how many are done.
#[cfg(target_arch = "x86_64")]
fn other_unit(isa: Isa, x: &[f32], m: usize, target: &mut Target<'_>) -> usize {
    use crate::cpu::amx;
    let Weight::Stored(matrix, Form::Bf16) = target.weight else {
        return 0;
    };
    let n = matrix.rows();
    let panels = n / amx::PANEL;
    if isa != Isa::Amx || matrix.dtype() != crate::Dtype::Bf16 || panels == 0 {
        return 0;
    }
    // The unit writes its sums; what they are added to is put beside it first.
    let before = match target.start {
        Start::Output => target.out.to_vec(),
        _ => Vec::new(),
    };
    amx::matmul(x, m, matrix, panels, target.out);
    let done = panels * amx::PANEL;
    for (i, row) in target.out.chunks_exact_mut(n).enumerate() {
        let start = match target.start {
            Start::Zero => continue,
            Start::Bias(bias) => bias,
            Start::Output => &before[i * n..(i + 1) * n],
        };
        crate::pointwise::add_task(&mut row[..done], &start[..done]);
    }
    done
}

#[cfg(not(target_arch = "x86_64"))]
fn other_unit(_: Isa, _: &[f32], _: usize, _: &mut Target<'_>) -> usize {
    0
}
