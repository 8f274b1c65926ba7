//! What happens to a tile of sums before it is written: scale, bias, range, residual, activation, quantisation.

use crate::PANEL;
use crate::activations::Bytes;
use crate::lanes::Lanes;
use crate::math::{gelu, gelu_tanh, round_half_to_even, sigmoid};
use crate::quantise::{Quantisation, Steps};
use crate::tiles::TALLEST;

/// A tile of sums: some rows of a panel, and then the same rows of the next one where a tile covers two.
pub(crate) type Tile<S> = [[S; PANEL]; 2 * TALLEST];

/// A sum of products.
pub(crate) trait Sum: Copy {
    const ZERO: Self;

    /// The sums of a row in floats, scaled and with the bias.
    ///
    /// # Safety
    /// As for [`Lanes`].
    unsafe fn floats<L: Lanes>(sums: &[Self; PANEL], row: usize, by: &Constants<'_>) -> L;
}

impl Sum for i32 {
    const ZERO: Self = 0;

    #[inline(always)]
    unsafe fn floats<L: Lanes>(sums: &[Self; PANEL], row: usize, by: &Constants<'_>) -> L {
        // SAFETY: the caller's promise.
        unsafe {
            let sums = L::add_whole(L::load_whole(sums), L::load_whole(by.offset));
            let scale = L::load(by.scale);
            let x = match by.rows {
                RowScales::Fixed => L::from_whole(sums).mul(scale),
                RowScales::Dynamic {
                    scale: of_rows,
                    zero_point,
                } => {
                    let pick = |len: usize| if len == 1 { 0 } else { row };
                    let zero = match by.shift {
                        Shift::None => 0,
                        Shift::Plus(shift) => zero_point[pick(zero_point.len())] + shift,
                    };
                    let column_sums = L::load_whole(by.column_sums);
                    let excess = L::mul_whole(L::all_whole(zero), column_sums);
                    let scale = scale.mul(L::all(of_rows[pick(of_rows.len())]));
                    L::from_whole(L::sub_whole(sums, excess)).mul(scale)
                }
            };
            x.add(L::load(by.bias))
        }
    }
}

impl Sum for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    unsafe fn floats<L: Lanes>(sums: &[Self; PANEL], _: usize, by: &Constants<'_>) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load(sums).add(L::load(by.bias)) }
    }
}

/// What a panel's sums are scaled by.
pub(crate) struct Constants<'a> {
    scale: &'a [f32; PANEL],
    bias: &'a [f32; PANEL],
    ranges: Option<&'a [[f32; PANEL]; 2]>,
    offset: &'a [i32; PANEL],
    column_sums: &'a [i32; PANEL],
    rows: RowScales<'a>,
    shift: Shift,
}

impl<'a> Constants<'a> {
    /// # Panics
    /// When the epilogue has no such panel.
    #[inline(always)]
    fn of_panel(f: &Finish<'a>, panel: usize) -> Self {
        let e = f.epilogue;
        Self {
            ranges: e.ranges.as_ref().map(|ranges| &ranges[panel]),
            scale: &e.scale[panel],
            bias: &e.bias[panel],
            offset: &e.offset[panel],
            column_sums: f.column_sums.map_or(&[0; PANEL], |sums| &sums[panel]),
            rows: f.rows,
            shift: f.shift,
        }
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

/// What is added, or multiplied by, before the activation.
#[derive(Debug, Clone, Copy, Default)]
pub enum Residual<'a> {
    /// Nothing.
    #[default]
    None,
    /// Floats, laid out like the output.
    Float(&'a [f32]),
    /// 8-bit values, laid out like the output.
    Quantised(Bytes<'a>, Quantisation),
    /// Floats that are multiplied by, laid out like the output.
    Factor(&'a [f32]),
}

impl Residual<'_> {
    /// Whether it is as long as an output of `elements`.
    pub(crate) fn fits(self, elements: usize) -> bool {
        match self {
            Self::None => true,
            Self::Float(values) | Self::Factor(values) => values.len() == elements,
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
            Self::Factor(values) => Self::Factor(&values[at]),
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
    scale: Vec<[f32; PANEL]>,
    bias: Vec<[f32; PANEL]>,
    offset: Vec<[i32; PANEL]>,
    /// Smallest and largest value of each column between bias and residual.
    ranges: Option<Vec<[[f32; PANEL]; 2]>>,
    /// The activation.
    pub activation: Activation,
}

impl Epilogue {
    /// For `scale.len()` columns. `scale` is that of the weights, times that of the activations where it is fixed; `offset` is
    /// added to the sums. A missing `bias` is zero.
    ///
    /// # Panics
    /// When `bias` or `offset` are for more columns.
    #[must_use]
    pub fn new(scale: &[f32], bias: Option<&[f32]>, offset: Option<&[i32]>) -> Self {
        let panels = scale.len().div_ceil(PANEL);
        let whole = |values: &[f32]| in_panels(values, panels);
        Self {
            scale: whole(scale),
            bias: whole(bias.unwrap_or_default()),
            offset: in_panels(offset.unwrap_or_default(), panels),
            ranges: None,
            activation: Activation::Identity,
        }
    }

    /// Clamps each column, after the bias, to the range of the tensor that the graph quantises there: only that is kept of it.
    ///
    /// # Panics
    /// When there are more ranges than columns.
    pub fn clamp(&mut self, ranges: &[(f32, f32)]) {
        let fill = |of: fn(&(f32, f32)) -> f32| {
            let ends: Vec<f32> = ranges.iter().map(of).collect();
            in_panels(&ends, self.scale.len())
        };
        let (low, high) = (fill(|range| range.0), fill(|range| range.1));
        self.ranges = Some(low.into_iter().zip(high).map(Into::into).collect());
    }

    /// Columns, with those that fill up the last panel.
    pub(crate) fn columns(&self) -> usize {
        self.scale.len() * PANEL
    }
}

/// Values of columns as so many panels, filled up with zeros.
fn in_panels<T: Copy + Default>(values: &[T], panels: usize) -> Vec<[T; PANEL]> {
    assert!(values.len() <= panels * PANEL, "more values than columns");
    let mut filled = vec![[T::default(); PANEL]; panels];
    filled.as_flattened_mut()[..values.len()].copy_from_slice(values);
    filled
}

/// Where a tile lies in the output.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub row: usize,
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

// SAFETY: the code that writes through it vouches for being alone in that part.
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
    /// None where the weights are floats.
    pub column_sums: Option<&'a [[i32; PANEL]]>,
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

/// Writes rows of sums, at most [`TALLEST`].
///
/// # Safety
/// As for [`Lanes`]; the output must hold every row and column of `place`, and nobody else may touch those.
#[inline(always)]
pub(crate) unsafe fn finish<S: Sum, L: Lanes>(rows: &[[S; PANEL]], place: Place, f: &Finish<'_>) {
    let constants = Constants::of_panel(f, place.column / PANEL);
    let steps = match f.output {
        RawOutput::Float(_) => Steps::NONE,
        RawOutput::Bytes(_, _, q) => q.steps(),
    };
    let width = PANEL.min(place.columns - place.column);
    let start = |index: usize| (place.row + index) * place.columns + place.column;
    let activation = f.epilogue.activation;
    // SAFETY: the caller's promise.
    unsafe {
        if matches!(activation, Activation::Identity | Activation::Relu) {
            for (index, sums) in rows.iter().enumerate() {
                let row = place.row + index;
                let x = of_sums::<S, L>(sums, row, start(index), width, f, &constants);
                put(x, start(index), width, f.output, steps);
            }
            return;
        }
        // All rows at once: over the few values of one the compiler would not make vector instructions of it.
        let mut values = [[0.0; PANEL]; TALLEST];
        for (index, (sums, values)) in rows.iter().zip(&mut values).enumerate() {
            let row = place.row + index;
            of_sums::<S, L>(sums, row, start(index), width, f, &constants).store(values);
        }
        activate(values[..rows.len()].as_flattened_mut(), activation);
        for (index, values) in values[..rows.len()].iter().enumerate() {
            put(L::load(values), start(index), width, f.output, steps);
        }
    }
}

/// The sums of a row, scaled, with bias and residual, and past an activation that is one instruction; `start` is where they lie in the
/// output.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
unsafe fn of_sums<S: Sum, L: Lanes>(
    sums: &[S; PANEL],
    row: usize,
    start: usize,
    width: usize,
    f: &Finish<'_>,
    constants: &Constants<'_>,
) -> L {
    // SAFETY: the caller's promise.
    unsafe {
        let mut x = S::floats::<L>(sums, row, constants);
        if let Some([low, high]) = constants.ranges {
            x = x.at_least(L::load(low)).at_most(L::load(high));
        }
        x = match f.residual {
            Residual::None => x,
            Residual::Float(values) => x.add(L::load(&chunk(&values[start..], width))),
            Residual::Factor(values) => x.mul(L::load(&chunk(&values[start..], width))),
            Residual::Quantised(values, q) => {
                let (raw, flip) = values.raw();
                let bytes = L::load_bytes(&chunk(&raw[start..], width), flip);
                let steps = L::sub_whole(bytes, L::all_whole(q.zero_point));
                x.add(L::from_whole(steps).mul(L::all(q.scale)))
            }
        };
        match f.epilogue.activation {
            Activation::Relu => x.at_least(L::all(0.0)),
            _ => x,
        }
    }
}

/// Writes the values of a row, the first of them to `start`.
///
/// # Safety
/// As for [`Lanes`]; the output must hold `width` values there, and nobody else may touch those.
#[inline(always)]
unsafe fn put<L: Lanes>(x: L, start: usize, width: usize, output: RawOutput, steps: Steps) {
    // SAFETY: the caller's promise.
    unsafe {
        match output {
            RawOutput::Float(out) if width == PANEL => x.store(&mut *out.add(start).cast()),
            RawOutput::Float(out) => {
                let mut whole = [0.0; PANEL];
                x.store(&mut whole);
                std::ptr::copy_nonoverlapping(whole.as_ptr(), out.add(start), width);
            }
            RawOutput::Bytes(out, flip, q) => {
                let steps = steps.of_lanes(x).round();
                let values = L::add_whole(steps, L::all_whole(q.zero_point));
                if width == PANEL {
                    L::store_bytes(values, flip, &mut *out.add(start).cast());
                } else {
                    let mut whole = [0; PANEL];
                    L::store_bytes(values, flip, &mut whole);
                    std::ptr::copy_nonoverlapping(whole.as_ptr(), out.add(start), width);
                }
            }
        }
    }
}

/// The first `width` values, filled up.
#[inline(always)]
fn chunk<T: Copy + Default>(values: &[T], width: usize) -> [T; PANEL] {
    if width == PANEL
        && let Some(chunk) = values.first_chunk()
    {
        return *chunk;
    }
    let mut chunk = [T::default(); PANEL];
    chunk[..width].copy_from_slice(&values[..width]);
    chunk
}

/// What [`of_sums`] left to do. Inlined into functions that have an instruction set's features.
#[inline(always)]
fn activate(values: &mut [f32], activation: Activation) {
    #[inline(always)]
    fn each(values: &mut [f32], of: impl Fn(f32) -> f32) {
        for v in values {
            *v = of(*v);
        }
    }
    match activation {
        Activation::Identity | Activation::Relu => {}
        Activation::Gelu => each(values, gelu),
        Activation::GeluTanh => each(values, gelu_tanh),
        Activation::Silu => each(values, |v| v * sigmoid(v)),
    }
}

/// Quantises a run of values; `flip` makes the signed byte an unsigned one.
#[inline(always)]
pub(crate) fn quantise_row(x: &[f32], bytes: &mut [u8], flip: u8, q: Quantisation) {
    let steps = q.steps();
    for (byte, &v) in bytes.iter_mut().zip(x) {
        let value = round_half_to_even(steps.of(v)) + q.zero_point;
        *byte = value.to_le_bytes()[0] ^ flip;
    }
}
