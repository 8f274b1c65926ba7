//! Starts and steps of slices, lengths of pads.

use super::super::meaning::Call;
use super::{Facts, at, known};
use crate::import::meaning::{axes_of, axis_of};

/// Which elements of an axis a slice takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceAxis {
    /// The first one.
    pub start: usize,
    /// From one to the next; may be negative.
    pub step: i64,
    /// How many.
    pub count: usize,
}

/// What a `Slice` takes of each axis; `None` where it depends on values that are not known.
///
/// # Errors
/// When an axis does not exist or a step is 0.
pub fn slice_axes(
    call: &Call<'_>,
    inputs: Facts<'_, '_>,
) -> Result<Option<Vec<SliceAxis>>, String> {
    let Some(x) = at(inputs, 0) else {
        return Ok(None);
    };
    let attributes = call.opset < 10;
    let list = |index: usize, name: &str| match attributes {
        true => call.ints(name).map(<[i64]>::to_vec),
        false => known(inputs, index),
    };
    let (Some(starts), Some(ends)) = (list(1, "starts"), list(2, "ends")) else {
        return Ok(None);
    };
    let axes = match list(3, "axes") {
        Some(axes) => axes,
        None if !attributes && call.given(3) => return Ok(None),
        None => (0..).take(starts.len()).collect(),
    };
    let steps = match attributes {
        true => vec![1; starts.len()],
        false if call.given(4) => match known(inputs, 4) {
            Some(steps) => steps,
            None => return Ok(None),
        },
        false => vec![1; starts.len()],
    };
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err("Slice: starts, ends, axes and steps of different lengths".to_owned());
    }
    let mut all: Vec<SliceAxis> = x
        .shape
        .iter()
        .map(|&count| SliceAxis {
            start: 0,
            step: 1,
            count,
        })
        .collect();
    axes_of(&axes, x.shape.len()).map_err(|message| format!("Slice: {message}"))?;
    for (index, &axis) in axes.iter().enumerate() {
        let axis = axis_of(axis, x.shape.len())?;
        all[axis] = slice_axis(x.shape[axis], starts[index], ends[index], steps[index])?;
    }
    Ok(Some(all))
}

fn slice_axis(length: usize, start: i64, end: i64, step: i64) -> Result<SliceAxis, String> {
    if step == 0 {
        return Err("Slice: a step of 0".to_owned());
    }
    let length = i64::try_from(length).map_err(|e| e.to_string())?;
    let from_start = |at: i64| {
        if at < 0 {
            at.saturating_add(length)
        } else {
            at
        }
    };
    let (low, high) = if step > 0 {
        (0, length)
    } else {
        (-1, length - 1)
    };
    let start_low = if step > 0 { 0 } else { 0.min(high) };
    let start = from_start(start).clamp(start_low, high.max(start_low));
    let end = from_start(end).clamp(low, high.max(low));
    let span = if step > 0 { end - start } else { start - end };
    let count = match span > 0 {
        true => (span.unsigned_abs() - 1) / step.unsigned_abs() + 1,
        false => 0,
    };
    Ok(SliceAxis {
        start: usize::try_from(start.max(0)).unwrap_or(0),
        step,
        count: usize::try_from(count).map_err(|e| e.to_string())?,
    })
}

/// Elements that are put before and after each axis; negative ones are taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pads {
    /// Before.
    pub before: Vec<i64>,
    /// After.
    pub after: Vec<i64>,
}

/// What a `Pad` puts around each axis; `None` where it depends on values that are not known.
///
/// # Errors
/// When the pads do not fit the tensor.
pub fn pads_of(call: &Call<'_>, inputs: Facts<'_, '_>) -> Result<Option<Pads>, String> {
    let Some(x) = at(inputs, 0) else {
        return Ok(None);
    };
    let rank = x.shape.len();
    let attribute = || {
        call.ints("pads")
            .or(call.ints("paddings"))
            .map(<[i64]>::to_vec)
    };
    let given = if call.opset < 11 {
        attribute()
    } else {
        known(inputs, 1)
    };
    let Some(given) = given else {
        return Ok(None);
    };
    let axes: Vec<i64> = match call.given(3) {
        true => match known(inputs, 3) {
            Some(axes) => axes,
            None => return Ok(None),
        },
        false => (0..).take(rank).collect(),
    };
    if given.len() != 2 * axes.len() {
        return Err(format!("Pad: {} pads for {} axes", given.len(), axes.len()));
    }
    let mut pads = Pads {
        before: vec![0; rank],
        after: vec![0; rank],
    };
    for (index, &axis) in axes.iter().enumerate() {
        let axis = axis_of(axis, rank)?;
        pads.before[axis] = given[index];
        pads.after[axis] = given[axes.len() + index];
    }
    Ok(Some(pads))
}

/// The length of an axis with its pads.
pub(super) fn padded(length: usize, before: i64, after: i64) -> Result<usize, String> {
    let sum =
        i128::try_from(length).map_err(|e| e.to_string())? + i128::from(before) + i128::from(after);
    usize::try_from(sum).map_err(|_| format!("Pad: {before} and {after} around {length} elements"))
}
