//! What happens to a tile of sums before it is written: scale, bias, range, residual, activation, quantisation.

use crate::PANEL;
use crate::activations::Bytes;
use crate::math::{gelu, gelu_tanh, round_half_to_even, sigmoid};
use crate::quantise::Quantisation;

/// A tile of sums: up to 12 rows of a panel.
pub(crate) type Tile<S> = [[S; PANEL]; 12];

/// A sum of products.
pub(crate) trait Sum: Copy {
    const ZERO: Self;

    /// The sums of a row in floats, scaled and with the bias.
    fn floats(sums: &[Self; PANEL], row: usize, by: &Constants<'_>) -> [f32; PANEL];
}

impl Sum for i32 {
    const ZERO: Self = 0;

    #[inline(always)]
    fn floats(sums: &[Self; PANEL], row: usize, by: &Constants<'_>) -> [f32; PANEL] {
        let mut x = [0.0; PANEL];
        match by.rows {
            RowScales::Fixed => {
                for j in 0..PANEL {
                    x[j] = (sums[j].wrapping_add(by.offset[j])) as f32 * by.scale[j] + by.bias[j];
                }
            }
            RowScales::Dynamic { scale, zero_point } => {
                let pick = |len: usize| if len == 1 { 0 } else { row };
                let row_scale = scale[pick(scale.len())];
                let zero = match by.shift {
                    Shift::None => 0,
                    Shift::Plus(shift) => zero_point[pick(zero_point.len())] + shift,
                };
                for j in 0..PANEL {
                    let whole = sums[j]
                        .wrapping_add(by.offset[j])
                        .wrapping_sub(zero.wrapping_mul(by.column_sums[j]));
                    x[j] = whole as f32 * (by.scale[j] * row_scale) + by.bias[j];
                }
            }
        }
        x
    }
}

impl Sum for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn floats(sums: &[Self; PANEL], _: usize, by: &Constants<'_>) -> [f32; PANEL] {
        std::array::from_fn(|j| sums[j] + by.bias[j])
    }
}

/// What a panel's sums are scaled by.
pub(crate) struct Constants<'a> {
    scale: &'a [f32; PANEL],
    bias: &'a [f32; PANEL],
    offset: &'a [i32; PANEL],
    column_sums: &'a [i32; PANEL],
    rows: RowScales<'a>,
    shift: Shift,
}

impl<'a> Constants<'a> {
    #[inline(always)]
    fn of_panel(f: &Finish<'a>, column: usize) -> Option<Self> {
        let e = f.epilogue;
        let at = column..column + PANEL;
        Some(Self {
            scale: e.scale[at.clone()].first_chunk()?,
            bias: e.bias[at.clone()].first_chunk()?,
            offset: e.offset[at.clone()].first_chunk()?,
            column_sums: match f.column_sums {
                [] => &[0; PANEL],
                sums => sums[at].first_chunk()?,
            },
            rows: f.rows,
            shift: f.shift,
        })
    }
}

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
    /// Whether it is as long as an output of `elements`.
    pub(crate) fn fits(self, elements: usize) -> bool {
        match self {
            Self::None => true,
            Self::Float(values) => values.len() == elements,
            Self::Quantised(values, _) => values.len() == elements,
        }
    }

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

/// The constants of an epilogue, filled up to whole panels by [`Epilogue::new`]. Of a product in floats, scale and offset are not
/// used.
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
    /// Empty where the weights are floats.
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
pub(crate) unsafe fn finish<S: Sum>(tile: &Tile<S>, place: Place, f: &Finish<'_>) {
    let column = place.column;
    let e = f.epilogue;
    let Some(constants) = Constants::of_panel(f, column) else {
        return;
    };
    let width = PANEL.min(place.columns - column);
    for (index, sums) in tile.iter().enumerate().take(place.rows) {
        let row = place.row + index;
        let start = row * place.columns + column;
        let mut x = S::floats(sums, row, &constants);
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
