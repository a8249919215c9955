//! AMX: products of bf16 in tiles of 16 × 32 by 32 × 16, a thousand multiplications and additions
//! to an instruction.
//!
//! The unit multiplies `A [16, 32]`, stored by rows, with `B [32, 16]`, stored by pairs of rows. Rows
//! of weights as the checkpoint has them are such an `A`, so weights are read in place; the
//! activations, of which there are few, are packed into the form of `B`. The result is the
//! transpose of what is wanted and is turned on the way out.
//!
//! Each output number is summed along `k` in the unit's fixed order, whatever its neighbours.
//!
//! The instructions are written as assembly: the compiler's own forms of them are not stable.

use std::arch::asm;
use std::arch::x86_64::*;
use std::sync::OnceLock;

use half::bf16;
use rayon::prelude::*;

use crate::Matrix;

/// Outputs, or positions, of one tile.
const SIDE: usize = 16;
/// Outputs of one task: two tiles.
pub(crate) const PANEL: usize = 2 * SIDE;
/// Positions of one task.
const TASK_ROWS: usize = 256;
/// Terms of one tile.
const DEPTH: usize = 32;
/// Tiles along `k` whose weights stay in the first-level cache: two of them are 32 KiB.
const CHUNK: usize = 16;

/// Whether this machine has the unit and the system lets this process use it.
pub(crate) fn is_available() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        const TILE_AND_BF16: u32 = 1 << 24 | 1 << 22;
        __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & TILE_AND_BF16 == TILE_AND_BF16 && request()
    })
}

/// Asks the system for the tiles' registers, which it keeps from processes that do not ask.
#[cfg(target_os = "linux")]
fn request() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers and changes nothing but this process's permission.
    unsafe {
        libc::syscall(
            libc::SYS_arch_prctl,
            ARCH_REQ_XCOMP_PERM,
            XFEATURE_XTILEDATA,
        ) == 0
    }
}

#[cfg(not(target_os = "linux"))]
fn request() -> bool {
    false
}

/// `x [m, k]` times the transpose of the first `panels · PANEL` rows of `w`, into those columns of
/// `out`. The rest of the columns is the caller's.
pub(crate) fn matmul(x: &[f32], m: usize, w: &Matrix, panels: usize, out: &mut [f32]) {
    assert!(is_available() && panels * PANEL <= w.rows() && x.len() == m * w.cols());
    assert_eq!(out.len(), m * w.rows());
    let out = &Output {
        start: out.as_mut_ptr(),
        len: out.len(),
        stride: w.rows(),
    };
    assert_eq!(w.dtype(), crate::Dtype::Bf16);
    let packed = Packed::new(x, m, w.cols());
    let row_tasks = m.div_ceil(TASK_ROWS);
    (0..row_tasks * panels).into_par_iter().for_each(|task| {
        let (start, panel) = (task % row_tasks * TASK_ROWS, task / row_tasks);
        let rows = TASK_ROWS.min(m - start);
        let mut sums = vec![0.0; PANEL * TASK_ROWS];
        compute(
            &packed,
            start / SIDE,
            rows.div_ceil(SIDE),
            w,
            panel * PANEL,
            &mut sums,
        );
        for block in 0..rows.div_ceil(SIDE) {
            let first = start + block * SIDE;
            for half in 0..2 {
                let tile = &sums[half * SIDE * TASK_ROWS + block * SIDE..];
                // SAFETY: AMX machines have AVX-512F.
                let turned = unsafe { transpose(tile) };
                for (i, row) in turned
                    .chunks_exact(SIDE)
                    .take(SIDE.min(m - first))
                    .enumerate()
                {
                    // SAFETY: a task's rows and columns are no other task's.
                    unsafe { out.write(first + i, panel * PANEL + half * SIDE, row) };
                }
            }
        }
    });
}

/// The output, shared among tasks that write disjoint rectangles of it.
struct Output {
    start: *mut f32,
    len: usize,
    stride: usize,
}

// SAFETY: the pointer stands for the exclusive borrow that `matmul` holds while tasks run, and each task
// writes its own rectangle only.
unsafe impl Sync for Output {}

impl Output {
    /// Writes a part of one row, from column `j` on.
    ///
    /// # Safety
    ///
    /// Nobody else touches it meanwhile.
    unsafe fn write(&self, i: usize, j: usize, values: &[f32]) {
        let start = i * self.stride + j;
        assert!(j + values.len() <= self.stride && start + values.len() <= self.len);
        // SAFETY: inside the output by the assertion, and the caller's alone.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr(), self.start.add(start), values.len());
        }
    }
}

/// Activations as the unit's second operand: for each 16 positions, for each pair of terms, the
/// pairs of the 16 positions. Missing positions and terms are zero.
struct Packed {
    values: Vec<bf16>,
    /// Tiles along `k`.
    depth: usize,
}

impl Packed {
    fn new(x: &[f32], m: usize, k: usize) -> Self {
        let depth = k.div_ceil(DEPTH);
        let block = depth * DEPTH * SIDE;
        let mut values = vec![bf16::ZERO; m.div_ceil(SIDE) * block];
        values
            .par_chunks_mut(block)
            .zip(x.par_chunks(SIDE * k))
            .for_each(|(block, rows)| {
                for (i, row) in rows.chunks_exact(k).enumerate() {
                    let (pairs, rest) = row.as_chunks::<2>();
                    let mut places = block[2 * i..].chunks_mut(2 * SIDE);
                    for (pair, place) in pairs.iter().zip(&mut places) {
                        place[0] = bf16::from_f32(pair[0]);
                        place[1] = bf16::from_f32(pair[1]);
                    }
                    if let ([last], Some(place)) = (rest, places.next()) {
                        place[0] = bf16::from_f32(*last);
                    }
                }
            });
        Self { values, depth }
    }

    /// The tiles of one block of positions.
    fn block(&self, block: usize) -> &[bf16] {
        let len = self.depth * DEPTH * SIDE;
        &self.values[block * len..(block + 1) * len]
    }
}

/// One panel of outputs for some blocks of positions, into `sums [PANEL, TASK_ROWS]`.
fn compute(x: &Packed, first: usize, blocks: usize, w: &Matrix, row: usize, sums: &mut [f32]) {
    let k = w.cols();
    let whole = k / DEPTH;
    let weights = &w.bytes()[row * k * 2..(row + PANEL) * k * 2];
    // What is left of each row behind its whole tiles, with zeros behind it.
    let mut rest = [0_u8; PANEL * DEPTH * 2];
    if whole < x.depth {
        let left = (k - whole * DEPTH) * 2;
        for (i, r) in rest.chunks_exact_mut(DEPTH * 2).enumerate() {
            r[..left].copy_from_slice(&weights[(i * k + whole * DEPTH) * 2..][..left]);
        }
    }
    assert!(blocks * SIDE <= TASK_ROWS && sums.len() == PANEL * TASK_ROWS);
    let configuration = Configuration::load();
    for start in (0..x.depth).step_by(CHUNK) {
        // What comes next is fetched while this is worked on: the unit's own reads, 16 rows at
        // once, are an order that memory is slow in. Behind the last chunk comes the next panel.
        let next = start + CHUNK;
        if next < x.depth {
            prefetch(w, row, next);
        } else {
            prefetch(w, row + PANEL, 0);
        }
        for block in (0..blocks).step_by(2) {
            let two = block + 1 < blocks;
            let tiles = x.block(first + block);
            let other = if two {
                x.block(first + block + 1)
            } else {
                tiles
            };
            let out = &mut sums[block * SIDE..];
            let steps = CHUNK.min(whole.saturating_sub(start));
            let run = |weights: &[u8],
                       stride: usize,
                       at: usize,
                       steps: usize,
                       fresh: bool,
                       out: &mut [f32]| {
                assert!((PANEL - 1) * stride + steps * DEPTH * 2 <= weights.len());
                assert!((at + steps) * DEPTH * SIDE <= tiles.len().min(other.len()));
                assert!((PANEL - 1) * TASK_ROWS + if two { 2 * SIDE } else { SIDE } <= out.len());
                let operands = Operands {
                    weights: weights.as_ptr(),
                    stride,
                    tiles: [
                        tiles[at * DEPTH * SIDE..].as_ptr(),
                        other[at * DEPTH * SIDE..].as_ptr(),
                    ],
                    steps,
                    sums: out.as_mut_ptr(),
                    fresh,
                };
                // SAFETY: the unit is available and configured; the assertions above keep every
                // tile of weights, activations and sums inside its slice.
                unsafe {
                    if two {
                        operands.multiply_two()
                    } else {
                        operands.multiply_one()
                    }
                }
            };
            if steps > 0 {
                run(
                    &weights[start * DEPTH * 2..],
                    k * 2,
                    start,
                    steps,
                    start == 0,
                    out,
                );
            }
            if start + steps < x.depth && steps < CHUNK {
                run(&rest, DEPTH * 2, whole, 1, whole == 0, out);
            }
        }
    }
    drop(configuration);
}

/// Asks for a chunk of a panel's weights, from tile `start` along `k`, to be brought near.
fn prefetch(w: &Matrix, row: usize, start: usize) {
    const LINE: usize = 64;
    let stride = w.cols() * 2;
    let from = start * DEPTH * 2;
    let to = stride.min(from + CHUNK * DEPTH * 2);
    for i in row..w.rows().min(row + PANEL) {
        for line in w.bytes()[i * stride + from..i * stride + to].chunks(LINE) {
            // SAFETY: a hint; the address is inside the weights, and nothing is read or written.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
        }
    }
}

/// What one run of the unit works on.
struct Operands {
    /// 32 rows of weights, `stride` bytes apart.
    weights: *const u8,
    stride: usize,
    /// Packed tiles of two blocks of positions.
    tiles: [*const bf16; 2],
    /// Tiles along `k`, at least one.
    steps: usize,
    /// `[PANEL, TASK_ROWS]`, at the first position of the first block.
    sums: *mut f32,
    /// Whether to start from zero and not from `sums`.
    fresh: bool,
}

/// Bytes from one output's sums to the next's.
const SUMS_STRIDE: usize = TASK_ROWS * 4;

impl Operands {
    /// Two blocks of positions: four tiles of sums.
    ///
    /// # Safety
    ///
    /// The unit is available and configured, and all that the fields point to is valid.
    unsafe fn multiply_two(&self) {
        // SAFETY: by the caller's promise every tile is inside its slice. The registers that are
        // written are named as outputs or clobbers, and memory is written through `sums` alone.
        unsafe {
            asm!(
                "test {fresh}, {fresh}",
                "jnz 2f",
                "tileloadd tmm0, [{sums} + {sums_stride}]",
                "tileloadd tmm1, [{sums} + {sums_stride} + 64]",
                "tileloadd tmm2, [{lower} + {sums_stride}]",
                "tileloadd tmm3, [{lower} + {sums_stride} + 64]",
                "jmp 3f",
                "2:",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "3:",
                "tileloadd tmm4, [{upper_w} + {stride}]",
                "tileloadd tmm6, [{x} + {tile_stride}]",
                "tileloadd tmm7, [{y} + {tile_stride}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{lower_w} + {stride}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {upper_w}, 64",
                "add {lower_w}, 64",
                "add {x}, 1024",
                "add {y}, 1024",
                "dec {steps}",
                "jnz 3b",
                "tilestored [{sums} + {sums_stride}], tmm0",
                "tilestored [{sums} + {sums_stride} + 64], tmm1",
                "tilestored [{lower} + {sums_stride}], tmm2",
                "tilestored [{lower} + {sums_stride} + 64], tmm3",
                fresh = in(reg) usize::from(self.fresh),
                sums = in(reg) self.sums,
                lower = in(reg) self.sums.add(SIDE * TASK_ROWS),
                sums_stride = in(reg) SUMS_STRIDE,
                upper_w = inout(reg) self.weights => _,
                lower_w = inout(reg) self.weights.add(SIDE * self.stride) => _,
                stride = in(reg) self.stride,
                x = inout(reg) self.tiles[0] => _,
                y = inout(reg) self.tiles[1] => _,
                tile_stride = in(reg) 64_usize,
                steps = inout(reg) self.steps => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }

    /// One block of positions: two tiles of sums.
    ///
    /// # Safety
    ///
    /// As [`Operands::multiply_two`].
    unsafe fn multiply_one(&self) {
        // SAFETY: as above.
        unsafe {
            asm!(
                "test {fresh}, {fresh}",
                "jnz 2f",
                "tileloadd tmm0, [{sums} + {sums_stride}]",
                "tileloadd tmm2, [{lower} + {sums_stride}]",
                "jmp 3f",
                "2:",
                "tilezero tmm0",
                "tilezero tmm2",
                "3:",
                "tileloadd tmm4, [{upper_w} + {stride}]",
                "tileloadd tmm6, [{x} + {tile_stride}]",
                "tileloadd tmm5, [{lower_w} + {stride}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "add {upper_w}, 64",
                "add {lower_w}, 64",
                "add {x}, 1024",
                "dec {steps}",
                "jnz 3b",
                "tilestored [{sums} + {sums_stride}], tmm0",
                "tilestored [{lower} + {sums_stride}], tmm2",
                fresh = in(reg) usize::from(self.fresh),
                sums = in(reg) self.sums,
                lower = in(reg) self.sums.add(SIDE * TASK_ROWS),
                sums_stride = in(reg) SUMS_STRIDE,
                upper_w = inout(reg) self.weights => _,
                lower_w = inout(reg) self.weights.add(SIDE * self.stride) => _,
                stride = in(reg) self.stride,
                x = inout(reg) self.tiles[0] => _,
                tile_stride = in(reg) 64_usize,
                steps = inout(reg) self.steps => _,
                out("tmm0") _, out("tmm2") _, out("tmm4") _, out("tmm5") _, out("tmm6") _,
                options(nostack),
            );
        }
    }
}

/// All eight tiles at their full size, for as long as it lives.
struct Configuration;

impl Configuration {
    fn load() -> Self {
        #[repr(C, align(64))]
        struct Palette {
            id: u8,
            start_row: u8,
            reserved: [u8; 14],
            bytes_per_row: [u16; 16],
            rows: [u8; 16],
        }
        let mut palette = Palette {
            id: 1,
            start_row: 0,
            reserved: [0; 14],
            bytes_per_row: [0; 16],
            rows: [0; 16],
        };
        palette.bytes_per_row[..8].fill(64);
        palette.rows[..8].fill(16);
        // SAFETY: callers have found the unit available; the palette is the 64 bytes it reads, and
        // the tiles that it clears are named.
        unsafe {
            asm!(
                "ldtilecfg [{}]",
                in(reg) &palette,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly),
            );
        }
        Self
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        // SAFETY: gives the registers back, so that the system need not save them; nobody reads
        // them any more.
        unsafe {
            asm!(
                "tilerelease",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, nomem),
            );
        }
    }
}

/// A tile `[16, 16]` of sums, whose rows are `TASK_ROWS` apart, with rows and columns exchanged.
#[target_feature(enable = "avx512f")]
fn transpose(tile: &[f32]) -> [f32; SIDE * SIDE] {
    assert!((SIDE - 1) * TASK_ROWS + SIDE <= tile.len());
    // SAFETY: each row's 16 numbers are inside the tile by the assertion.
    let r: [__m512; 16] =
        std::array::from_fn(|i| unsafe { _mm512_loadu_ps(tile.as_ptr().add(i * TASK_ROWS)) });
    // Pairs, then fours of numbers; then fours of fours.
    let mut t = [_mm512_setzero_ps(); 16];
    for i in 0..4 {
        let [a, b, c, d] = [r[4 * i], r[4 * i + 1], r[4 * i + 2], r[4 * i + 3]];
        let as_pd = |x| _mm512_castps_pd(x);
        let (ab_low, ab_high) = (
            as_pd(_mm512_unpacklo_ps(a, b)),
            as_pd(_mm512_unpackhi_ps(a, b)),
        );
        let (cd_low, cd_high) = (
            as_pd(_mm512_unpacklo_ps(c, d)),
            as_pd(_mm512_unpackhi_ps(c, d)),
        );
        t[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab_low, cd_low));
        t[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab_low, cd_low));
        t[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab_high, cd_high));
        t[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab_high, cd_high));
    }
    let mut out = [0.0; SIDE * SIDE];
    for i in 0..4 {
        let low_even = _mm512_shuffle_f32x4::<0x88>(t[i], t[4 + i]);
        let low_odd = _mm512_shuffle_f32x4::<0xdd>(t[i], t[4 + i]);
        let high_even = _mm512_shuffle_f32x4::<0x88>(t[8 + i], t[12 + i]);
        let high_odd = _mm512_shuffle_f32x4::<0xdd>(t[8 + i], t[12 + i]);
        let rows = [
            _mm512_shuffle_f32x4::<0x88>(low_even, high_even),
            _mm512_shuffle_f32x4::<0x88>(low_odd, high_odd),
            _mm512_shuffle_f32x4::<0xdd>(low_even, high_even),
            _mm512_shuffle_f32x4::<0xdd>(low_odd, high_odd),
        ];
        for (j, row) in rows.into_iter().enumerate() {
            // SAFETY: row `4 j + i` of 16 has its 16 numbers inside `out`.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr().add((4 * j + i) * SIDE), row) };
        }
    }
    out
}
