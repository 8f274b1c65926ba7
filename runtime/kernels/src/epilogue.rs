//! What happens to a tile of sums before it is written: scale, bias, range, residual, activation, quantisation.

use crate::PANEL;
use crate::activations::Bytes;
use crate::math::{gelu, gelu_tanh, round_half_to_even, sigmoid};
use crate::quantise::Quantisation;

/// A tile of sums: up to 12 rows of a panel.
pub(crate) type Tile = [[i32; PANEL]; 12];

/// An activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Activation {
    /// None.
    #[default]
    Identity,
    /// max(x, 0).
    Relu,
    /// x Phi(x).
    Gelu,
    /// GELU in its tanh form.
    GeluTanh,
    /// x sigmoid(x).
    Silu,
}

/// What is added before the activation.
#[derive(Debug, Clone, Copy, Default)]
pub enum Residual<'a> {
    /// Nothing.
    #[default]
    None,
    /// Floats, laid out like the output.
    Float(&'a [f32]),
    /// 8-bit values, laid out like the output.
    Quantised(Bytes<'a>, Quantisation),
}

impl Residual<'_> {
    /// A range of it.
    #[must_use]
    pub fn part(self, at: std::ops::Range<usize>) -> Self {
        match self {
            Self::None => Self::None,
            Self::Float(values) => Self::Float(&values[at]),
            Self::Quantised(values, q) => Self::Quantised(values.part(at), q),
        }
    }
}

/// Scales and zero points of the activations' rows, where they are known only now.
#[derive(Debug, Clone, Copy, Default)]
pub enum RowScales<'a> {
    /// Known before: they are part of the [`Epilogue`].
    #[default]
    Fixed,
    /// One scale and effective correction for all rows, or one for each.
    Dynamic {
        /// Scale of each row.
        scale: &'a [f32],
        /// Zero point of each row, as a signed value.
        zero_point: &'a [i32],
    },
}

/// Where a product goes.
#[derive(Debug)]
pub enum Output<'a> {
    /// Floats, row-major.
    Float(&'a mut [f32]),
    /// Signed 8-bit values, row-major.
    Signed(&'a mut [i8], Quantisation),
    /// Unsigned 8-bit values, row-major; the zero point counts from -128.
    Unsigned(&'a mut [u8], Quantisation),
}

impl Output<'_> {
    /// A range of it.
    pub fn part(&mut self, at: std::ops::Range<usize>) -> Output<'_> {
        match self {
            Self::Float(values) => Output::Float(&mut values[at]),
            Self::Signed(values, q) => Output::Signed(&mut values[at], *q),
            Self::Unsigned(values, q) => Output::Unsigned(&mut values[at], *q),
        }
    }

    /// A range of 8-bit values: raw bytes, and what makes a signed byte one of them.
    #[inline(always)]
    pub(crate) fn raw_bytes(
        &mut self,
        at: std::ops::Range<usize>,
    ) -> Option<(&mut [u8], u8, Quantisation)> {
        match self {
            Self::Float(_) => None,
            Self::Signed(values, q) => {
                let values = &mut values[at];
                // SAFETY: i8 and u8 have the same size and alignment, and every bit pattern is valid for both.
                let raw = unsafe {
                    std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), values.len())
                };
                Some((raw, 0, *q))
            }
            Self::Unsigned(values, q) => Some((&mut values[at], 0x80, *q)),
        }
    }

    /// For threads that each write another part.
    pub(crate) fn raw(&mut self) -> RawOutput {
        match self {
            Self::Float(values) => RawOutput::Float(values.as_mut_ptr()),
            Self::Signed(values, q) => RawOutput::Bytes(values.as_mut_ptr().cast(), 0, *q),
            Self::Unsigned(values, q) => RawOutput::Bytes(values.as_mut_ptr(), 0x80, *q),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Signed(values, _) => values.len(),
            Self::Unsigned(values, _) => values.len(),
        }
    }
}

/// The constants of an epilogue, filled up to whole panels by [`Epilogue::new`].
#[derive(Debug, Clone, PartialEq)]
pub struct Epilogue {
    scale: Vec<f32>,
    bias: Vec<f32>,
    offset: Vec<i32>,
    /// The range of the tensor between sum and activation, where the graph quantises it there: only its clamping is kept.
    pub range: Option<(f32, f32)>,
    /// The activation.
    pub activation: Activation,
}

impl Epilogue {
    /// For `scale.len()` columns. `scale` is that of the weights, times that of the activations where it is fixed; `offset` is
    /// added to the sums. A missing `bias` is zero.
    #[must_use]
    pub fn new(scale: &[f32], bias: Option<&[f32]>, offset: Option<&[i32]>) -> Self {
        let padded = scale.len().next_multiple_of(PANEL);
        let fill = |values: &[f32]| {
            let mut filled = values.to_vec();
            filled.resize(padded, 0.0);
            filled
        };
        let mut whole = offset.unwrap_or_default().to_vec();
        whole.resize(padded, 0);
        Self {
            scale: fill(scale),
            bias: fill(bias.unwrap_or_default()),
            offset: whole,
            range: None,
            activation: Activation::Identity,
        }
    }

    pub(crate) fn columns(&self) -> usize {
        self.scale.len()
    }
}

/// Where a tile lies in the output.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub row: usize,
    pub rows: usize,
    pub column: usize,
    /// Columns of the whole output.
    pub columns: usize,
}

/// Raw output, since threads write parts of rows that interleave in memory.
#[derive(Clone, Copy)]
pub(crate) enum RawOutput {
    Float(*mut f32),
    Bytes(*mut u8, u8, Quantisation),
}

// SAFETY: whoever writes through it vouches for being alone in that part.
unsafe impl Sync for RawOutput {}

impl RawOutput {
    /// A range of the output that it was made of.
    ///
    /// # Safety
    /// The output must live, hold the range, and nobody else may touch that for `'a`.
    pub(crate) unsafe fn part<'a>(self, at: std::ops::Range<usize>) -> Output<'a> {
        let (start, len) = (at.start, at.len());
        // SAFETY: the caller's promise; i8 and u8 have the same layout.
        unsafe {
            match self {
                Self::Float(to) => {
                    Output::Float(std::slice::from_raw_parts_mut(to.add(start), len))
                }
                Self::Bytes(to, 0, q) => {
                    let to = to.add(start).cast();
                    Output::Signed(std::slice::from_raw_parts_mut(to, len), q)
                }
                Self::Bytes(to, _, q) => {
                    Output::Unsigned(std::slice::from_raw_parts_mut(to.add(start), len), q)
                }
            }
        }
    }
}

/// Everything that the epilogue of one product needs.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a> {
    pub epilogue: &'a Epilogue,
    pub column_sums: &'a [i32],
    pub rows: RowScales<'a>,
    /// Added to each dynamic zero point: the instruction's own shift, or what makes it vanish.
    pub shift: Shift,
    pub residual: Residual<'a>,
    pub output: RawOutput,
}

/// How a dynamic zero point enters the sums.
#[derive(Clone, Copy)]
pub(crate) enum Shift {
    /// Already subtracted.
    None,
    /// Plus this much.
    Plus(i32),
}

/// Writes a tile.
///
/// # Safety
/// The output must hold every row and column of `place`, and nobody else may touch those.
#[inline(always)]
pub(crate) unsafe fn finish(tile: &Tile, place: Place, f: &Finish<'_>) {
    let column = place.column;
    let constants = column..column + PANEL;
    let e = f.epilogue;
    let (Some(scale), Some(bias), Some(offset), Some(sums)) = (
        e.scale[constants.clone()].first_chunk::<PANEL>(),
        e.bias[constants.clone()].first_chunk::<PANEL>(),
        e.offset[constants.clone()].first_chunk::<PANEL>(),
        f.column_sums[constants].first_chunk::<PANEL>(),
    ) else {
        return;
    };
    let width = PANEL.min(place.columns - column);
    for (index, sum) in tile.iter().enumerate().take(place.rows) {
        let row = place.row + index;
        let start = row * place.columns + column;
        let mut x = [0.0; PANEL];
        match f.rows {
            RowScales::Fixed => {
                for j in 0..PANEL {
                    x[j] = (sum[j].wrapping_add(offset[j])) as f32 * scale[j] + bias[j];
                }
            }
            RowScales::Dynamic {
                scale: row_scale,
                zero_point,
            } => {
                let pick = |len: usize| if len == 1 { 0 } else { row };
                let by = row_scale[pick(row_scale.len())];
                let zero = match f.shift {
                    Shift::None => 0,
                    Shift::Plus(shift) => zero_point[pick(zero_point.len())] + shift,
                };
                for j in 0..PANEL {
                    let whole = sum[j]
                        .wrapping_add(offset[j])
                        .wrapping_sub(zero.wrapping_mul(sums[j]));
                    x[j] = whole as f32 * (scale[j] * by) + bias[j];
                }
            }
        }
        if let Some((low, high)) = e.range {
            for v in &mut x {
                *v = clamp(*v, low, high);
            }
        }
        match f.residual {
            Residual::None => {}
            Residual::Float(values) => {
                for (v, r) in x.iter_mut().zip(&values[start..start + width]) {
                    *v += r;
                }
            }
            Residual::Quantised(values, q) => {
                let (raw, flip) = values.raw();
                for (v, &r) in x.iter_mut().zip(&raw[start..start + width]) {
                    let r = i32::from((r ^ flip).cast_signed()) - q.zero_point;
                    *v += r as f32 * q.scale;
                }
            }
        }
        activate(&mut x, e.activation);
        match f.output {
            RawOutput::Float(out) => {
                // SAFETY: the caller vouches for `start..start + width`.
                let out = unsafe { std::slice::from_raw_parts_mut(out.add(start), width) };
                if let Some(out) = out.first_chunk_mut::<PANEL>() {
                    *out = x;
                } else {
                    out.copy_from_slice(&x[..width]);
                }
            }
            RawOutput::Bytes(out, flip, q) => {
                let mut bytes = [0; PANEL];
                quantise_row(&x, &mut bytes, flip, q);
                // SAFETY: the caller vouches for `start..start + width`.
                let out = unsafe { std::slice::from_raw_parts_mut(out.add(start), width) };
                if let Some(out) = out.first_chunk_mut::<PANEL>() {
                    *out = bytes;
                } else {
                    out.copy_from_slice(&bytes[..width]);
                }
            }
        }
    }
}

#[inline(always)]
fn activate(x: &mut [f32; PANEL], activation: Activation) {
    match activation {
        Activation::Identity => {}
        Activation::Relu => {
            for v in x {
                *v = if *v > 0.0 { *v } else { 0.0 };
            }
        }
        Activation::Gelu => {
            for v in x {
                *v = gelu(*v);
            }
        }
        Activation::GeluTanh => {
            for v in x {
                *v = gelu_tanh(*v);
            }
        }
        Activation::Silu => {
            for v in x {
                *v *= sigmoid(*v);
            }
        }
    }
}

/// Quantises a run of values; `flip` makes the signed byte an unsigned one.
#[inline(always)]
pub(crate) fn quantise_row(x: &[f32], bytes: &mut [u8], flip: u8, q: Quantisation) {
    let inverse = 1.0 / q.scale;
    let zero = q.zero_point as f32;
    let (low, high) = (-128.0 - zero, 127.0 - zero);
    for (byte, &v) in bytes.iter_mut().zip(x) {
        let value = round_half_to_even(clamp(v * inverse, low, high)) + q.zero_point;
        *byte = value.to_le_bytes()[0] ^ flip;
    }
}

/// Not `f32::clamp`: a NaN becomes `low`, and it compiles to two instructions.
#[inline(always)]
pub(crate) fn clamp(v: f32, low: f32, high: f32) -> f32 {
    let v = if v > low { v } else { low };
    if v < high { v } else { high }
}
