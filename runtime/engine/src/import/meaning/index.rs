//! Going through tensors: axes, broadcasts, strides.

use super::super::value::volume;

/// An axis that may count from the end.
///
/// # Errors
/// When there is no such axis.
pub fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let count = i64::try_from(rank).unwrap_or(i64::MAX);
    let from_start = if axis < 0 {
        axis.saturating_add(count)
    } else {
        axis
    };
    match usize::try_from(from_start) {
        Ok(found) if found < rank => Ok(found),
        _ => Err(format!("axis {axis} of a tensor of rank {rank}")),
    }
}

/// Several axes, each of which may count from the end and none of which may come twice.
///
/// # Errors
/// When there is no such axis, or one is given twice.
pub fn axes_of(axes: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let mut found = axes
        .iter()
        .map(|&axis| axis_of(axis, rank))
        .collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    match found.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("axis {} is given twice", pair[0])),
        None => Ok(found),
    }
}

/// The shape to which shapes broadcast.
///
/// # Errors
/// When they do not.
pub fn broadcast(shapes: &[&[usize]]) -> Result<Vec<usize>, String> {
    let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut all = vec![1; rank];
    for shape in shapes {
        for (to, &from) in all[rank - shape.len()..].iter_mut().zip(*shape) {
            match (*to, from) {
                (to, from) if to == from || from == 1 => {}
                (1, _) => *to = from,
                _ => return Err(format!("shapes {shapes:?} do not broadcast")),
            }
        }
    }
    Ok(all)
}

/// Row-major strides.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut step = 1;
    let mut all: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&axis| {
            let this = step;
            step *= axis.max(1);
            this
        })
        .collect();
    all.reverse();
    all
}

/// Strides of a tensor of `shape` when it is broadcast to `to`.
pub fn broadcast_strides(shape: &[usize], to: &[usize]) -> Vec<usize> {
    let own = strides(shape);
    let missing = to.len() - shape.len();
    let mut all = vec![0; missing];
    all.extend(
        shape
            .iter()
            .zip(own)
            .map(|(&axis, step)| if axis == 1 { 0 } else { step }),
    );
    all
}

/// Calls `visit` with the offset of each element of a tensor of `shape` under `strides`, in row-major order.
pub fn each_offset(shape: &[usize], strides: &[usize], mut visit: impl FnMut(usize)) {
    let count = volume(shape).unwrap_or(0);
    let mut at = vec![0_usize; shape.len()];
    let mut offset = 0;
    for _ in 0..count {
        visit(offset);
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            offset += strides[axis];
            if at[axis] < shape[axis] {
                break;
            }
            offset -= strides[axis] * shape[axis];
            at[axis] = 0;
        }
    }
}

/// The values of a tensor broadcast to `to`.
pub fn spread<T: Copy>(values: &[T], shape: &[usize], to: &[usize]) -> Vec<T> {
    if shape == to {
        return values.to_vec();
    }
    let mut all = Vec::with_capacity(volume(to).unwrap_or(0));
    each_offset(to, &broadcast_strides(shape, to), |at| all.push(values[at]));
    all
}

/// Lengths before, of and after an axis.
pub fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    let product = |axes: &[usize]| axes.iter().product();
    [
        product(&shape[..axis]),
        shape[axis],
        product(&shape[axis + 1..]),
    ]
}
