//! The product of 8-bit activations and packed weights.

use crate::epilogue::{Epilogue, Finish, Output, Residual, RowScales, Shift};
use crate::tiles::{Job, Kernel, Packed, Panels, run};
use crate::{Activations, Isa, PANEL, PackedWeights, Pool};

/// Where the rows of the left side lie: row `m`, segment `s` starts at value `offsets[m] + segments[s]` of the buffer.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The buffer.
    pub activations: &'a Activations,
    /// Start of each row, M of them.
    pub offsets: &'a [u32],
    /// Start of each segment in a row.
    pub segments: &'a [u32],
}

/// `output = epilogue(activations x weights)`, M x N.
///
/// # Panics
/// When lengths do not fit: rows that leave the buffer, segments unlike the weights', an epilogue, residual or output of
/// another size, or an instruction set that this machine lacks.
pub fn product(
    weights: &PackedWeights,
    rows: Rows<'_>,
    epilogue: &Epilogue,
    scales: RowScales<'_>,
    residual: Residual<'_>,
    output: &mut Output<'_>,
    pool: &Pool,
) {
    let isa = weights.isa();
    let (m, n) = (rows.offsets.len(), weights.columns());
    let elements = m * n;
    assert!(isa.available(), "{} is missing here", isa.name());
    assert_eq!(output.len(), elements, "output");
    assert_eq!(rows.segments.len(), weights.segments(), "segments");
    assert_eq!(epilogue.columns(), weights.panels() * PANEL, "epilogue");
    assert!(residual.fits(elements), "residual");
    if let RowScales::Dynamic { scale, zero_point } = scales {
        let fits = |len: usize| len == 1 || len == m;
        assert!(fits(scale.len()) && fits(zero_point.len()), "row scales");
    }
    let end = farthest(rows.offsets) + farthest(rows.segments) + weights.padded_segment();
    let readable = rows.activations.readable();
    assert!(
        elements == 0 || end * isa.element_bytes() <= readable.len(),
        "rows leave the buffer"
    );
    let job = Job {
        isa,
        activations: readable.as_ptr(),
        element_bytes: isa.element_bytes(),
        offsets: rows.offsets,
        segments: rows.segments,
        groups: weights.groups(),
        group: isa.group(),
        weights: Panels::new(Packed::Bytes(weights.data()), weights.depth(), 0),
        columns: n,
        finish: Finish {
            epilogue,
            column_sums: Some(weights.sums_of_panels()),
            rows: scales,
            shift: match isa.element_bytes() {
                2 => Shift::None,
                _ => Shift::Plus(isa.effective_zero_point(0)),
            },
            residual,
            output: output.raw(),
        },
    };
    // SAFETY: the sizes were checked above, and the instruction set is there.
    unsafe { run(&job, kernel(isa), pool) }
}

/// The largest of some starts.
pub(crate) fn farthest(offsets: &[u32]) -> usize {
    offsets.iter().copied().max().unwrap_or(0) as usize
}

fn kernel(isa: Isa) -> Kernel {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => crate::x86_64::avx2,
        #[cfg(target_arch = "x86_64")]
        Isa::AvxVnni => crate::x86_64::avx_vnni,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => crate::x86_64::avx512_vnni,
        #[cfg(target_arch = "x86_64")]
        Isa::Amx => crate::amx::amx,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => crate::aarch64::neon,
        #[cfg(target_arch = "aarch64")]
        Isa::Dotprod => crate::aarch64::dotprod,
        #[cfg(target_arch = "aarch64")]
        Isa::I8mm => crate::aarch64::i8mm,
        _ => crate::scalar::scalar,
    }
}

impl PackedWeights {
    /// What to add to a sum over activations with this fixed zero point: [`Epilogue::new`]'s `offset`.
    #[must_use]
    pub fn offsets(&self, zero_point: i32) -> Vec<i32> {
        let zero = self.isa().effective_zero_point(zero_point);
        let sums = self.column_sums()[..self.columns()].iter();
        sums.map(|sum| zero.wrapping_mul(*sum).wrapping_neg())
            .collect()
    }
}
