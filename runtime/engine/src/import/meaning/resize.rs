//! Resizes: each axis by itself, as weighted sums of the elements around a place.

use super::super::shapes::{Fact, Resized, resized};
use super::super::value::Value;
use super::index::around;
use super::{Call, Inputs, input};

type Outputs = Result<Option<Vec<Value<'static>>>, String>;

/// The element that a result is made of, with their weights.
type Taps = Vec<(usize, f64)>;

pub(super) fn evaluate(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    match call.op() {
        "Resize" | "Upsample" => Ok(Some(vec![resize(call, inputs)?])),
        _ => Ok(None),
    }
}

/// How places and elements belong together.
struct Rules<'a> {
    coordinates: &'a str,
    mode: &'a str,
    nearest: &'a str,
    antialias: bool,
    /// Elements outside count nothing, instead of as much as the one at the edge.
    exclude_outside: bool,
    cubic: f32,
}

impl<'a> Rules<'a> {
    fn of(call: &Call<'a>) -> Result<Self, String> {
        let old = call.opset < 11 || call.op() == "Upsample";
        let text = |name, default: &'a str| {
            if old {
                default
            } else {
                call.text(name, default)
            }
        };
        let asymmetric = if old { "asymmetric" } else { "half_pixel" };
        let prefer_floor = if old { "simple" } else { "round_prefer_floor" };
        let rules = Self {
            coordinates: text("coordinate_transformation_mode", asymmetric),
            mode: call.text("mode", "nearest"),
            nearest: text("nearest_mode", prefer_floor),
            antialias: call.int("antialias", 0) != 0,
            exclude_outside: call.int("exclude_outside", 0) != 0,
            #[expect(clippy::cast_possible_truncation)]
            cubic: call.float("cubic_coeff_a", -0.75) as f32,
        };
        let op = call.op();
        let known = [
            (
                "mode",
                rules.mode,
                &["nearest", "linear", "bilinear", "cubic"][..],
            ),
            (
                "coordinate_transformation_mode",
                rules.coordinates,
                &[
                    "half_pixel",
                    "half_pixel_symmetric",
                    "pytorch_half_pixel",
                    "align_corners",
                    "asymmetric",
                    "tf_half_pixel_for_nn",
                    "tf_crop_and_resize",
                ],
            ),
            (
                "nearest_mode",
                rules.nearest,
                &[
                    "simple",
                    "round_prefer_floor",
                    "round_prefer_ceil",
                    "floor",
                    "ceil",
                ],
            ),
        ];
        if rules.mode == "nearest" && rules.exclude_outside {
            return Err(format!("{op}: exclude_outside with the mode nearest"));
        }
        match known
            .iter()
            .find(|(_, value, known)| !known.contains(value))
        {
            Some((name, value, _)) => Err(format!("{op}: {name} {}", value.escape_debug())),
            None => Ok(rules),
        }
    }

    /// The place in the input, in elements, of an element of the output.
    #[expect(clippy::cast_precision_loss)]
    fn place(&self, axis: Resized, at: usize) -> f32 {
        let (at, from, to) = (at as f32, axis.from as f32, axis.to as f32);
        let scale = axis.scale;
        match self.coordinates {
            "asymmetric" => at / scale,
            "pytorch_half_pixel" if to <= 1.0 => 0.0,
            "tf_half_pixel_for_nn" => (at + 0.5) / scale,
            "align_corners" if to == 1.0 => 0.0,
            "align_corners" => at * (from - 1.0) / (to - 1.0),
            "tf_crop_and_resize" => {
                let [start, end] = axis.region;
                if to > 1.0 {
                    start * (from - 1.0) + at * (end - start) * (from - 1.0) / (to - 1.0)
                } else {
                    0.5 * (start + end) * (from - 1.0)
                }
            }
            "half_pixel_symmetric" => {
                let adjustment = to / (scale * from);
                let offset = from / 2.0 * (1.0 - adjustment);
                offset + (at + 0.5) / scale - 0.5
            }
            _ => (at + 0.5) / scale - 0.5,
        }
    }

    /// Whether an axis stays as it is.
    fn keeps(&self, axis: Resized) -> bool {
        axis.scale == 1.0 && axis.from == axis.to && self.coordinates != "tf_crop_and_resize"
    }

    fn taps(&self, axis: Resized, at: usize) -> Taps {
        let place = self.place(axis, at);
        match self.mode {
            "nearest" => vec![(nearest(self.nearest, place, axis), 1.0)],
            _ if self.antialias => self.filtered(axis, place),
            "cubic" => {
                let first = place.floor();
                let weights = cubic_weights(place - first, self.cubic);
                #[expect(clippy::cast_possible_truncation)]
                let first = first as i64 - 1;
                self.edged(axis.from, first, &weights)
            }
            _ => linear(place, axis.from),
        }
    }

    /// A filter as wide as the elements of the output are in the input, where it has less elements than the input.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn filtered(&self, axis: Resized, place: f32) -> Taps {
        let wide = (1.0 / axis.scale).max(1.0);
        let reach = if self.mode == "cubic" { 2.0 } else { 1.0 };
        let (centre, support) = (place + 0.5, reach * wide);
        let first = (centre - support + 0.5).floor();
        let end = (centre + support + 0.5).floor();
        let (first, count) = (first as i64, (end - first).max(0.0) as usize);
        let weights: Vec<f32> = (0..count)
            .map(|index| {
                let distance = ((index as i64 + first) as f32 - centre + 0.5) / wide;
                match self.mode {
                    "cubic" => cubic_filter(distance, self.cubic),
                    _ => (1.0 - distance.abs()).max(0.0),
                }
            })
            .collect();
        let sum: f32 = weights.iter().sum();
        let sum = if sum == 0.0 || self.exclude_outside {
            1.0
        } else {
            sum
        };
        let weights: Vec<f32> = weights.iter().map(|weight| weight / sum).collect();
        self.edged(axis.from, first, &weights)
    }

    /// Weights of the elements from `first` on, of which some may lie outside.
    fn edged(&self, length: usize, first: i64, weights: &[f32]) -> Taps {
        let last = length as i64 - 1;
        let places = weights.iter().zip(first..);
        if !self.exclude_outside {
            return places
                .map(|(&weight, at)| (at.clamp(0, last) as usize, f64::from(weight)))
                .collect();
        }
        let inside: Taps = places
            .filter(|(_, at)| (0..=last).contains(at))
            .map(|(&weight, at)| (at as usize, f64::from(weight)))
            .collect();
        let sum: f64 = inside.iter().map(|(_, weight)| weight).sum();
        let sum = if sum == 0.0 { 1.0 } else { sum };
        inside
            .into_iter()
            .map(|(at, weight)| (at, weight / sum))
            .collect()
    }
}

#[expect(clippy::cast_possible_truncation)]
fn nearest(rule: &str, place: f32, axis: Resized) -> usize {
    let whole = match rule {
        "simple" if axis.scale < 1.0 => place.ceil(),
        "simple" => place.trunc(),
        "round_prefer_floor" if place == place.trunc() + 0.5 => place.trunc(),
        "round_prefer_floor" | "round_prefer_ceil" => place.round(),
        "ceil" => place.ceil(),
        _ => place.floor(),
    };
    (whole as i64).clamp(0, (axis.from as i64 - 1).max(0)) as usize
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)]
fn linear(place: f32, length: usize) -> Taps {
    let last = length.saturating_sub(1);
    let place = place.clamp(0.0, last as f32);
    let low = (place as usize).min(last);
    let part = f64::from(place - low as f32);
    vec![(low, 1.0 - part), ((low + 1).min(last), part)]
}

/// The cubic through four elements, `part` of the way from the second to the third.
fn cubic_weights(part: f32, a: f32) -> [f32; 4] {
    [part + 1.0, part, 1.0 - part, 2.0 - part].map(|distance| cubic_filter(distance, a))
}

fn cubic_filter(distance: f32, a: f32) -> f32 {
    let d = distance.abs();
    match d {
        d if d < 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
        d if d < 2.0 => (((d - 5.0) * d + 8.0) * d - 4.0) * a,
        _ => 0.0,
    }
}

fn resize(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let facts: Vec<Option<Fact<'_>>> = inputs.iter().map(|value| value.map(Fact::of)).collect();
    let axes = resized(call, &facts)?.ok_or_else(|| format!("{}: no sizes", call.op()))?;
    let rules = Rules::of(call)?;
    let mut shape = x.shape.clone();
    let mut values = x.floats();
    // Which places of the output lie outside of the input, for the axes that may.
    let mut outside: Vec<(usize, Vec<bool>)> = vec![];
    for (index, &axis) in axes.iter().enumerate() {
        if rules.keeps(axis) || values.is_empty() {
            continue;
        }
        let taps: Vec<Taps> = (0..axis.to).map(|at| rules.taps(axis, at)).collect();
        values = along(&values, around(&shape, index), &taps);
        shape[index] = axis.to;
        if rules.coordinates == "tf_crop_and_resize" {
            #[expect(clippy::cast_precision_loss)]
            let is_outside = |at| {
                let place = rules.place(axis, at);
                place < 0.0 || place > axis.from as f32 - 1.0
            };
            outside.push((index, (0..axis.to).map(is_outside).collect()));
        }
    }
    let shape: Vec<usize> = axes.iter().map(|axis| axis.to).collect();
    let beyond = call.float("extrapolation_value", 0.0);
    for (index, outside) in outside {
        let [_, length, inner] = around(&shape, index);
        for (at, value) in values.iter_mut().enumerate() {
            if outside[at / inner % length] {
                *value = beyond;
            }
        }
    }
    if x.element.is_float() {
        return Ok(Value::of_floats(x.element, &shape, values.into_iter()));
    }
    let (low, high) = x.element.range();
    #[expect(clippy::cast_precision_loss)]
    let within = values.into_iter().map(|v| v.clamp(low as f64, high as f64));
    Ok(Value::of_floats(x.element, &shape, within))
}

/// Makes each element of the middle axis from elements of it.
fn along(values: &[f64], [outer, length, inner]: [usize; 3], taps: &[Taps]) -> Vec<f64> {
    let mut made = Vec::with_capacity(outer * taps.len() * inner);
    for block in values.chunks(length * inner).take(outer) {
        for taps in taps {
            let start = made.len();
            match &**taps {
                // Without arithmetic, through which an infinity would become NaN.
                [(at, _)] => made.extend_from_slice(&block[at * inner..][..inner]),
                taps => {
                    made.resize(start + inner, 0.0);
                    for &(at, weight) in taps.iter().filter(|(_, weight)| *weight != 0.0) {
                        let row = &block[at * inner..][..inner];
                        let to = made[start..].iter_mut();
                        to.zip(row).for_each(|(to, from)| *to += weight * from);
                    }
                }
            }
        }
    }
    made
}
