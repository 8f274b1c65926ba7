//! Shapes of convolutions and pools.

use super::super::element::Element;
use super::super::meaning::Call;
use super::{Fact, Facts, Inferred, at, one};

/// Where the windows of a convolution or a pool lie, per spatial axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// Length of a window.
    pub kernel: Vec<usize>,
    /// From one window to the next.
    pub strides: Vec<usize>,
    /// From one element of a window to the next.
    pub dilations: Vec<usize>,
    /// Elements before the input.
    pub before: Vec<usize>,
    /// Elements after the input.
    pub after: Vec<usize>,
    /// How many windows there are.
    pub output: Vec<usize>,
}

/// A list of positive numbers, one for each spatial axis.
fn positive(call: &Call<'_>, name: &str, axes: usize) -> Result<Vec<usize>, String> {
    let given = call.ints(name).unwrap_or(&[]);
    if given.is_empty() {
        return Ok(vec![1; axes]);
    }
    let wrong = || format!("{}: {name} {given:?} for {axes} axes", call.op());
    let all = given
        .iter()
        .map(|&v| usize::try_from(v).ok().filter(|&v| v > 0 && v < 1 << 31))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(wrong)?;
    if all.len() == axes {
        Ok(all)
    } else {
        Err(wrong())
    }
}

fn pads(call: &Call<'_>, axes: usize) -> Result<[Vec<usize>; 2], String> {
    let given = call.ints("pads").unwrap_or(&[]);
    if given.is_empty() {
        return Ok([vec![0; axes], vec![0; axes]]);
    }
    let wrong = || format!("{}: pads {given:?} for {axes} axes", call.op());
    let all = given
        .iter()
        .map(|&v| usize::try_from(v).ok().filter(|&v| v < 1 << 31))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(wrong)?;
    if all.len() != 2 * axes {
        return Err(wrong());
    }
    Ok([all[..axes].to_vec(), all[axes..].to_vec()])
}

fn auto_pad<'a>(call: &Call<'a>) -> Result<&'a str, String> {
    match call.text("auto_pad", "NOTSET") {
        known @ ("NOTSET" | "SAME_UPPER" | "SAME_LOWER" | "VALID") => Ok(known),
        other => Err(format!("{}: auto_pad {}", call.op(), other.escape_debug())),
    }
}

/// The windows of a convolution or pool over a tensor of `shape`; `kernel` is that of the weights, if there are any.
///
/// # Errors
/// When an attribute is out of range or the kernel is larger than the padded input.
pub fn windows_of(
    call: &Call<'_>,
    shape: &[usize],
    kernel: Option<&[usize]>,
) -> Result<Windows, String> {
    let op = call.op();
    let spatial = shape.get(2..).filter(|axes| !axes.is_empty());
    let spatial = spatial.ok_or_else(|| format!("{op} of a tensor of shape {shape:?}"))?;
    let axes = spatial.len();
    let kernel = match kernel {
        Some(kernel) => {
            let named = call.ints("kernel_shape").is_none_or(|given| {
                given.is_empty()
                    || given
                        .iter()
                        .map(|&v| usize::try_from(v).ok())
                        .eq(kernel.iter().map(|&v| Some(v)))
            });
            if !named || kernel.len() != axes || kernel.contains(&0) {
                return Err(format!("{op}: a kernel of {kernel:?} over {spatial:?}"));
            }
            kernel.to_vec()
        }
        None if call.has("kernel_shape") => positive(call, "kernel_shape", axes)?,
        None => return Err(format!("{op} without a kernel_shape")),
    };
    let strides = positive(call, "strides", axes)?;
    let dilations = positive(call, "dilations", axes)?;
    let [mut before, mut after] = pads(call, axes)?;
    let auto = auto_pad(call)?;
    let mut output = vec![];
    for axis in 0..axes {
        let length = spatial[axis];
        let covered = (kernel[axis] - 1)
            .checked_mul(dilations[axis])
            .and_then(|covered| covered.checked_add(1))
            .ok_or_else(|| format!("{op}: dilations that overflow"))?;
        match auto {
            "SAME_UPPER" | "SAME_LOWER" => {
                let count = length.div_ceil(strides[axis]);
                let total = (count.max(1) - 1) * strides[axis] + covered;
                let total = total.saturating_sub(length);
                let small = total / 2;
                before[axis] = if auto == "SAME_UPPER" {
                    small
                } else {
                    total - small
                };
                after[axis] = total - before[axis];
                output.push(count);
                continue;
            }
            "VALID" => (before[axis], after[axis]) = (0, 0),
            _ => {}
        }
        let padded = length + before[axis] + after[axis];
        if covered > padded {
            return Err(format!(
                "{op}: a kernel of {covered} elements over {padded} (axis {})",
                axis + 2
            ));
        }
        let steps = padded - covered;
        let mut count = steps / strides[axis] + 1;
        if call.int("ceil_mode", 0) != 0 {
            count = steps.div_ceil(strides[axis]) + 1;
            // A window that starts behind the input and its first pad sees nothing.
            if (count - 1) * strides[axis] >= length + before[axis] {
                count -= 1;
            }
        }
        output.push(count);
    }
    Ok(Windows {
        kernel,
        strides,
        dilations,
        before,
        after,
        output,
    })
}

/// The windows of a transposed convolution: what each input element is spread over.
///
/// # Errors
/// As for [`windows_of`].
pub fn transposed_windows(
    call: &Call<'_>,
    shape: &[usize],
    kernel: &[usize],
) -> Result<Windows, String> {
    let op = call.op();
    let spatial = shape.get(2..).filter(|axes| axes.len() == kernel.len());
    let spatial = spatial.ok_or_else(|| format!("{op} of a tensor of shape {shape:?}"))?;
    let axes = spatial.len();
    let strides = positive(call, "strides", axes)?;
    let dilations = positive(call, "dilations", axes)?;
    let [mut before, mut after] = pads(call, axes)?;
    let extra = call.ints("output_padding").unwrap_or(&[]);
    let wanted = call.ints("output_shape").unwrap_or(&[]);
    let mut output = vec![];
    for axis in 0..axes {
        let extra = extra
            .get(axis)
            .and_then(|&v| usize::try_from(v).ok())
            .unwrap_or(0);
        let spread = spatial[axis]
            .checked_sub(1)
            .and_then(|steps| steps.checked_mul(strides[axis]))
            .and_then(|spread| {
                spread.checked_add((kernel[axis].checked_sub(1)?) * dilations[axis] + 1 + extra)
            })
            .ok_or_else(|| format!("{op}: impossible lengths"))?;
        let target = wanted
            .get(wanted.len().saturating_sub(axes) + axis)
            .and_then(|&v| usize::try_from(v).ok());
        let auto = auto_pad(call)?;
        let target = match (target, auto) {
            (Some(target), _) => Some(target),
            (None, "SAME_UPPER" | "SAME_LOWER") => Some(spatial[axis] * strides[axis]),
            _ => None,
        };
        if let Some(target) = target {
            let total = spread.saturating_sub(target);
            let small = total / 2;
            before[axis] = if auto == "SAME_UPPER" {
                small
            } else {
                total - small
            };
            after[axis] = total - before[axis];
            output.push(target);
            continue;
        }
        let length = spread.checked_sub(before[axis] + after[axis]);
        output.push(length.ok_or_else(|| format!("{op}: pads larger than the output"))?);
    }
    Ok(Windows {
        kernel: kernel.to_vec(),
        strides,
        dilations,
        before,
        after,
        output,
    })
}

pub(super) fn infer(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let Some(x) = at(inputs, 0) else {
        return Ok(None);
    };
    let batch_and = |channels: usize, spatial: &[usize]| {
        let mut shape = vec![x.shape[0], channels];
        shape.extend(spatial);
        shape
    };
    match call.op() {
        "Conv" | "ConvInteger" | "FusedConv" => {
            let Some(w) = at(inputs, 1) else {
                return Ok(None);
            };
            let groups = groups(call, x, w)?;
            if w.shape[1].checked_mul(groups) != Some(x.shape[1])
                || !w.shape[0].is_multiple_of(groups)
            {
                return Err(format!(
                    "{}: weights {:?} in {groups} groups for {:?}",
                    call.op(),
                    w.shape,
                    x.shape
                ));
            }
            if call.op() != "ConvInteger"
                && let Some(bias) = at(inputs, 2)
                && bias.shape != [w.shape[0]]
            {
                return Err(format!(
                    "{}: a bias of {:?} for {} channels",
                    call.op(),
                    bias.shape,
                    w.shape[0]
                ));
            }
            let windows = windows_of(call, x.shape, w.shape.get(2..))?;
            let element = if call.op() == "ConvInteger" {
                Element::I32
            } else {
                x.element
            };
            one(element, batch_and(w.shape[0], &windows.output))
        }
        "ConvTranspose" => {
            let Some(w) = at(inputs, 1) else {
                return Ok(None);
            };
            let groups = groups(call, x, w)?;
            let windows = transposed_windows(call, x.shape, &w.shape[2..])?;
            one(x.element, batch_and(w.shape[1] * groups, &windows.output))
        }
        "MaxPool" | "AveragePool" | "LpPool" => {
            let windows = windows_of(call, x.shape, None)?;
            let shape = batch_and(x.shape[1], &windows.output);
            Ok(Some(match call.op() {
                "MaxPool" => vec![(x.element, shape.clone()), (Element::I64, shape)],
                _ => vec![(x.element, shape)],
            }))
        }
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => {
            if x.shape.len() < 2 {
                return Err(format!("{} of {:?}", call.op(), x.shape));
            }
            one(
                x.element,
                batch_and(x.shape[1], &vec![1; x.shape.len() - 2]),
            )
        }
        _ => Ok(None),
    }
}

fn groups(call: &Call<'_>, x: Fact<'_>, w: Fact<'_>) -> Result<usize, String> {
    if x.shape.len() < 3 || w.shape.len() != x.shape.len() {
        return Err(format!(
            "{}: weights {:?} for {:?}",
            call.op(),
            w.shape,
            x.shape
        ));
    }
    let groups = call.int("group", 1);
    let groups = usize::try_from(groups).ok().filter(|&groups| groups > 0);
    groups.ok_or_else(|| format!("{}: {} groups", call.op(), call.int("group", 1)))
}
