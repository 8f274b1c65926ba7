//! Lengths and scales of resizes.

use super::super::element::Element;
use super::super::meaning::{Call, axes_of, axis_of};
use super::{Facts, Inferred, at, one};

/// What becomes of an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resized {
    /// Its length before.
    pub from: usize,
    /// Its length.
    pub to: usize,
    /// The factor by which places are scaled; single precision, since its rounding decides which element is the nearest.
    pub scale: f32,
    /// Where the region that is cut out starts and ends, in lengths of the axis.
    pub region: [f32; 2],
}

/// What a `Resize` or `Upsample` makes of each axis; `None` where it depends on values that are not known.
///
/// # Errors
/// When scales, sizes or axes do not fit.
pub fn resized(call: &Call<'_>, inputs: Facts<'_, '_>) -> Result<Option<Vec<Resized>>, String> {
    let Some(x) = at(inputs, 0) else {
        return Ok(None);
    };
    let (op, rank) = (call.op(), x.shape.len());
    let axes: Vec<usize> = match call.ints("axes").filter(|_| call.has("axes")) {
        Some(given) => {
            axes_of(given, rank).map_err(|message| format!("{op}: {message}"))?;
            let of_one = given.iter().map(|&axis| axis_of(axis, rank));
            of_one.collect::<Result<_, _>>()?
        }
        None => (0..rank).collect(),
    };
    let floats = |index: usize| -> Option<Vec<f64>> {
        Some(at(inputs, index)?.value?.floats()).filter(|values| !values.is_empty())
    };
    let by_attribute = call.node.attribute.iter().find(|a| a.name == "scales");
    let (scales, sizes) = match (by_attribute, call.op() == "Upsample" || call.opset < 11) {
        (Some(scales), true) => {
            let scales = scales.floats.iter().map(|&scale| f64::from(scale));
            (Some(scales.collect()), None)
        }
        (None, true) => (floats(1), None),
        _ => (floats(2), floats(3)),
    };
    let mut all: Vec<Resized> = x
        .shape
        .iter()
        .map(|&length| Resized {
            from: length,
            to: length,
            scale: 1.0,
            region: [0.0, 1.0],
        })
        .collect();
    if let Some(region) = floats(1).filter(|_| call.opset >= 11) {
        if region.len() != 2 * axes.len() {
            return Ok(None);
        }
        for (index, &axis) in axes.iter().enumerate() {
            #[expect(clippy::cast_possible_truncation)]
            let ends = [region[index] as f32, region[axes.len() + index] as f32];
            all[axis].region = ends;
        }
    }
    match (sizes, scales) {
        (Some(sizes), _) => by_sizes(call, &mut all, &axes, &sizes)?,
        (None, Some(scales)) => by_scales(op, &mut all, &axes, &scales)?,
        (None, None) => return Ok(None),
    }
    Ok(Some(all))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)]
fn by_scales(op: &str, all: &mut [Resized], axes: &[usize], scales: &[f64]) -> Result<(), String> {
    let positive = scales.iter().all(|scale| scale.is_finite() && *scale > 0.0);
    if scales.len() != axes.len() || !positive {
        return Err(format!("{op}: scales {scales:?} for {} axes", axes.len()));
    }
    for (&axis, &scale) in axes.iter().zip(scales) {
        let of = &mut all[axis];
        of.scale = scale as f32;
        of.to = (of.scale * of.from as f32).floor() as usize;
    }
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)]
fn by_sizes(
    call: &Call<'_>,
    all: &mut [Resized],
    axes: &[usize],
    sizes: &[f64],
) -> Result<(), String> {
    let op = call.op();
    let fits = sizes.iter().all(|&size| (0.0..9e15).contains(&size));
    if sizes.len() != axes.len() || !fits {
        return Err(format!("{op}: sizes {sizes:?} for {} axes", axes.len()));
    }
    let policy = call.text("keep_aspect_ratio_policy", "stretch");
    let ratio = |axis: usize, size: f64| size as f32 / all[axis].from.max(1) as f32;
    let ratios: Vec<f32> = axes
        .iter()
        .zip(sizes)
        .map(|(&axis, &size)| ratio(axis, size))
        .collect();
    let one = match policy {
        "stretch" => None,
        "not_larger" => ratios.iter().copied().reduce(f32::min),
        "not_smaller" => ratios.iter().copied().reduce(f32::max),
        other => {
            return Err(format!(
                "{op}: keep_aspect_ratio_policy {}",
                other.escape_debug()
            ));
        }
    };
    for (index, &axis) in axes.iter().enumerate() {
        let of = &mut all[axis];
        of.scale = one.unwrap_or(ratios[index]);
        of.to = match one {
            Some(scale) => (scale * of.from as f32).round() as usize,
            None => sizes[index] as usize,
        };
    }
    Ok(())
}

pub(super) fn infer(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let (true, Some(x)) = (matches!(call.op(), "Resize" | "Upsample"), at(inputs, 0)) else {
        return Ok(None);
    };
    let element: Element = x.element;
    match resized(call, inputs)? {
        Some(axes) => one(element, axes.iter().map(|axis| axis.to).collect()),
        None => Ok(None),
    }
}
