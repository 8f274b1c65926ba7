//! Tiles by AMX, for which there are no stable intrinsics: inline assembly. Weights and activations lie as for AVX-512 VNNI, and the sums
//! are the same exact integers.

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, _MM_HINT_T0, _mm_prefetch};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::OnceLock;

use crate::epilogue::{Place, RawOutput, Residual, finish};
use crate::lanes::Avx512;
use crate::tiles::{Job, Strip, TALLEST, parts};
use crate::{Isa, PANEL};

/// Rows of a tile register.
pub(crate) const ROWS: usize = 16;
/// Bytes of a row of a tile register.
const ROW: usize = 64;
/// Groups of four values along K that a tile register holds of a row.
const GROUPS: usize = ROW / 4;

const _: () = assert!(ROWS <= TALLEST && PANEL * 4 == ROW);

/// Rows up to which AVX-512 is as fast: most of a tile register would be empty.
const FEW: usize = Isa::Avx512Vnni.tile_rows();

/// Whether the processor has it and the system lets this process use it. The state of the tile registers is saved only for those
/// who asked.
pub(crate) fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| cfg!(target_os = "linux") && has_instructions() && permitted())
}

fn has_instructions() -> bool {
    const TILE_AND_INT8: u32 = 1 << 24 | 1 << 25;
    if __cpuid_count(0, 0).eax < 7 {
        return false;
    }
    __cpuid_count(7, 0).edx & TILE_AND_INT8 == TILE_AND_INT8
}

/// Asks Linux for the tile registers: `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`.
fn permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST: i64 = 0x1023;
    const TILE_DATA: i64 = 18;
    let answer: i64;
    // SAFETY: the call reads and writes no memory of this process; the kernel overwrites rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => answer,
            in("rdi") REQUEST,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer == 0
}

/// Panels at a time: with as many sums, an instruction need not wait for the one before.
const ABREAST: usize = 4;

/// Bytes of the panels that are gone through for several strips of rows: with the activations beside them they stay in the first-level
/// cache, from which a tile register is loaded twice as fast as it is used.
const NEAR_BYTES: usize = 24 * 1024;
/// Strips whose sums wait meanwhile.
const STRIPS: usize = 8;

/// What the tile registers hold: 0 to 3 sums, 4 activations, 5 and 6 weights, all of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static SHAPES: Shapes = {
    let mut shapes = Shapes {
        palette: 1,
        start: 0,
        reserved: [0; 14],
        row_bytes: [0; 16],
        rows: [0; 16],
    };
    let mut register = 0;
    while register < 7 {
        shapes.row_bytes[register] = 64;
        shapes.rows[register] = 16;
        register += 1;
    }
    shapes
};

/// Sums of some panels. A row of a tile register that crosses two cache lines is moved half as fast.
#[repr(align(64))]
struct Sums([Panel; ABREAST]);

type Panel = [[i32; PANEL]; ROWS];

/// # Safety
/// As for `tiles::Kernel`.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(crate) unsafe fn amx(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe {
        if rows.len() <= FEW {
            return crate::x86_64::avx512_vnni(job, rows, panels);
        }
        asm!("ldtilecfg [{}]", in(reg) &raw const SHAPES, options(nostack, readonly));
        let first = rows.start;
        // Every tile writes all of its sums.
        let mut sums = [const { MaybeUninit::<Sums>::uninit() }; STRIPS];
        for panels in parts(panels, ABREAST) {
            let cut = Cut::new(job, panels.len());
            for rows in parts(rows.clone(), STRIPS * ROWS) {
                for part in cut.parts() {
                    if part.ends {
                        for rows in parts(rows.clone(), ROWS).take(1) {
                            fetch(job, rows, &panels);
                        }
                    }
                    for (place, rows) in parts(rows.clone(), ROWS).enumerate() {
                        let rows = whole_strip(rows, first);
                        let strip = job.strip(rows, panels.start, panels.len());
                        let sums = sums[place].as_mut_ptr();
                        match panels.len() {
                            1 => tile::<1>(&strip, &part, sums),
                            2 => tile::<2>(&strip, &part, sums),
                            3 => tile::<3>(&strip, &part, sums),
                            _ => tile::<ABREAST>(&strip, &part, sums),
                        }
                    }
                }
                let mut next = parts(rows.clone(), ROWS).skip(1);
                for (rows, sums) in parts(rows, ROWS).zip(&sums) {
                    if let Some(rows) = next.next() {
                        fetch(job, rows, &panels);
                    }
                    for (panel, sums) in panels.clone().zip(&sums.assume_init_ref().0) {
                        let place = Place {
                            row: rows.start,
                            column: panel * PANEL,
                            columns: job.columns,
                        };
                        let skipped = rows.start - whole_strip(rows.clone(), first).start;
                        let sums = &sums[skipped..skipped + rows.len()];
                        finish::<i32, Avx512>(sums, place, &job.finish);
                    }
                }
            }
        }
        asm!("tilerelease", options(nostack, nomem));
    }
}

/// Asks for what the epilogue of a strip reads and writes besides sums: a line here and there, which the processor does not foresee.
fn fetch(job: &Job<'_>, rows: Range<usize>, panels: &Range<usize>) {
    let (from, to) = (panels.start * PANEL, job.columns.min(panels.end * PANEL));
    for row in rows {
        for place in (from..to).step_by(PANEL) {
            let at = row * job.columns + place;
            // SAFETY: every processor of this architecture has the instruction, which reads and writes nothing.
            unsafe {
                if let Residual::Float(values) | Residual::Factor(values) = job.finish.residual {
                    _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().wrapping_add(at).cast());
                }
                if let RawOutput::Float(values) = job.finish.output {
                    _mm_prefetch::<_MM_HINT_T0>(values.wrapping_add(at).cast());
                }
            }
        }
    }
}

/// The rows of a strip, of the last one with as many before as make it whole, where there are: rows that all are there lie evenly in memory
/// and need no copy.
fn whole_strip(rows: Range<usize>, first: usize) -> Range<usize> {
    rows.end.saturating_sub(ROWS).max(first).min(rows.start)..rows.end
}

/// How rows are cut along K.
struct Cut {
    /// Whole tile registers along a segment.
    whole: usize,
    /// Of them in a part.
    step: usize,
}

/// A part of every row of a strip.
struct Part {
    /// Tile registers along each segment.
    steps: Range<usize>,
    /// Whether the sums begin here.
    begins: bool,
    /// Whether what is left behind the last whole register belongs to it.
    ends: bool,
}

impl Cut {
    /// For so many panels at a time.
    fn new(job: &Job<'_>, panels: usize) -> Self {
        let whole = job.groups / GROUPS;
        let near = NEAR_BYTES / (panels * ROWS * ROW);
        let count = match job.segments.len() {
            1 => whole.div_ceil(near).max(1),
            // Parts of a row with gaps are few registers long.
            _ => 1,
        };
        Self {
            whole,
            step: whole.div_ceil(count).max(1),
        }
    }

    fn count(&self) -> usize {
        self.whole.div_ceil(self.step).max(1)
    }

    fn parts(&self) -> impl Iterator<Item = Part> {
        (0..self.count()).map(|index| Part {
            steps: index * self.step..self.whole.min((index + 1) * self.step),
            begins: index == 0,
            ends: index + 1 == self.count(),
        })
    }
}

/// A part of 16 rows, or of as many groups of a panel.
#[repr(align(64))]
struct Copied([[u8; ROW]; ROWS]);

/// A part of 16 rows and `P` panels.
///
/// # Safety
/// All rows of `strip` and `P` panels must be readable to their ends, the part lie within, the tile registers have [`SHAPES`], and
/// `sums` be writable: those of the part before, where there was one.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn tile<const P: usize>(strip: &Strip<'_>, part: &Part, sums: *mut Sums) {
    const { assert!(P > 0 && P <= ABREAST) };
    // SAFETY: the caller's promise covers every group of every segment; a group of a row is 4 bytes, of a panel 64.
    unsafe {
        let mut copied = Copied([[0; ROW]; ROWS]);
        let stride = strip.rows[1].addr().wrapping_sub(strip.rows[0].addr());
        let regular = strip.rows[..ROWS]
            .windows(2)
            .all(|pair| pair[1].addr().wrapping_sub(pair[0].addr()) == stride);
        match part.begins {
            true => zero(),
            false => load(sums),
        }
        let (whole, left) = (strip.groups / GROUPS, strip.groups % GROUPS);
        for (index, &segment) in strip.segments.iter().enumerate() {
            let at = strip.segment::<ROWS>(segment, 1);
            let weights = strip.weights.add(index * strip.groups * ROW);
            for step in part.steps.clone() {
                let weights = weights.add(step * ROWS * ROW);
                if regular {
                    multiply::<P>(at[0].add(step * ROW), stride, weights, strip.panel_bytes);
                } else {
                    copy(&at, step * ROW, ROW, &mut copied);
                    multiply::<P>(copied.0.as_ptr().cast(), ROW, weights, strip.panel_bytes);
                }
            }
            if left > 0 && part.ends {
                let weights = weights.add(whole * ROWS * ROW);
                copied = Copied([[0; ROW]; ROWS]);
                copy(&at, whole * ROW, left * 4, &mut copied);
                let mut panels = [const { Copied([[0; ROW]; ROWS]) }; P];
                for (p, panel) in panels.iter_mut().enumerate() {
                    let from = weights.add(p * strip.panel_bytes);
                    from.copy_to_nonoverlapping(panel.0.as_mut_ptr().cast(), left * ROW);
                }
                let from = panels.as_ptr().cast();
                multiply::<P>(copied.0.as_ptr().cast(), ROW, from, size_of::<Copied>());
            }
        }
        store(sums);
    }
}

/// Bytes `start..start + count` of each row.
///
/// # Safety
/// They must be readable, and at most [`ROW`].
#[inline(always)]
unsafe fn copy(rows: &[*const u8; ROWS], start: usize, count: usize, to: &mut Copied) {
    for (row, to) in rows.iter().zip(&mut to.0) {
        // SAFETY: the caller's promise.
        unsafe {
            row.add(start)
                .copy_to_nonoverlapping(to.as_mut_ptr(), count)
        }
    }
}

/// Zeros the sums.
///
/// # Safety
/// The tile registers must have [`SHAPES`].
#[inline(always)]
unsafe fn zero() {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            out("tmm0") _,
            out("tmm1") _,
            out("tmm2") _,
            out("tmm3") _,
            options(nostack, nomem, preserves_flags),
        );
    }
}

/// Adds 16 rows, `stride` bytes apart, times 16 groups of `P` panels, `next` bytes apart.
///
/// # Safety
/// All of them must be readable, and the tile registers have [`SHAPES`]. Between blocks of assembly nothing else uses them: the
/// compiler does not know them as registers for values.
#[inline(always)]
unsafe fn multiply<const P: usize>(rows: *const u8, stride: usize, panel: *const u8, next: usize) {
    /// One panel.
    macro_rules! add {
        ($sums:tt, $weights:tt, $panel:expr) => {
            asm!(
                concat!("tileloadd ", $weights, ", [{panel} + {line}*1]"),
                concat!("tdpbusd ", $sums, ", tmm4, ", $weights),
                panel = in(reg) $panel,
                line = in(reg) ROW,
                out($sums) _,
                out($weights) _,
                options(nostack, readonly, preserves_flags),
            )
        };
    }
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "tileloadd tmm4, [{rows} + {stride}*1]",
            rows = in(reg) rows,
            stride = in(reg) stride,
            out("tmm4") _,
            options(nostack, readonly, preserves_flags),
        );
        add!("tmm0", "tmm5", panel);
        if P > 1 {
            add!("tmm1", "tmm6", panel.add(next));
        }
        if P > 2 {
            add!("tmm2", "tmm5", panel.add(2 * next));
        }
        if P > 3 {
            add!("tmm3", "tmm6", panel.add(3 * next));
        }
    }
}

/// Loads the sums.
///
/// # Safety
/// As for [`zero`], and `from` must be readable.
#[inline(always)]
unsafe fn load(from: *const Sums) {
    // SAFETY: the caller's promise, and each is 16 rows of 64 bytes.
    unsafe {
        let [a, b, c, d] = &(*from).0;
        asm!(
            "tileloadd tmm0, [{a} + {line}*1]",
            "tileloadd tmm1, [{b} + {line}*1]",
            "tileloadd tmm2, [{c} + {line}*1]",
            "tileloadd tmm3, [{d} + {line}*1]",
            a = in(reg) a.as_ptr(),
            b = in(reg) b.as_ptr(),
            c = in(reg) c.as_ptr(),
            d = in(reg) d.as_ptr(),
            line = in(reg) ROW,
            out("tmm0") _,
            out("tmm1") _,
            out("tmm2") _,
            out("tmm3") _,
            options(nostack, readonly, preserves_flags),
        );
    }
}

/// Stores the sums.
///
/// # Safety
/// As for [`zero`], and `to` must be writable.
#[inline(always)]
unsafe fn store(to: *mut Sums) {
    let to: *mut Panel = to.cast();
    // SAFETY: the caller's promise, and there is room for each.
    unsafe {
        asm!(
            "tilestored [{a} + {line}*1], tmm0",
            "tilestored [{b} + {line}*1], tmm1",
            "tilestored [{c} + {line}*1], tmm2",
            "tilestored [{d} + {line}*1], tmm3",
            a = in(reg) to,
            b = in(reg) to.add(1),
            c = in(reg) to.add(2),
            d = in(reg) to.add(3),
            line = in(reg) ROW,
            options(nostack, preserves_flags),
        );
    }
}
