//! Functions of each element, which may broadcast.

use super::super::element::Element;
use super::super::value::Value;
use super::index::{broadcast, spread};
use super::{Call, Inputs, input, optional};

type Outputs = Result<Option<Vec<Value<'static>>>, String>;

pub(super) fn evaluate(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    let one = |value: Value<'static>| Ok(Some(vec![value]));
    match call.op() {
        "Identity" => return one(input(call, inputs, 0)?.clone().into_owned()),
        "Cast" | "CastLike" => return one(cast(call, inputs)?),
        "RoundToHalf" => {
            let half = Element::of_onnx(i32::try_from(call.int("to", 0)).unwrap_or(0));
            let x = input(call, inputs, 0)?;
            return one(x.cast(half.unwrap_or(Element::F16)).cast(Element::F32));
        }
        "Clip" => return one(clip(call, inputs)?),
        "Where" => return one(select(call, inputs)?),
        "Min" | "Max" | "Sum" | "Mean" => return one(variadic(call, inputs)?),
        "BiasGelu" => {
            let sum = binary(
                "Add",
                call,
                input(call, inputs, 0)?,
                input(call, inputs, 1)?,
            )?;
            return one(Value::of_floats(
                sum.element,
                &sum.shape,
                sum.floats().into_iter().map(gelu),
            ));
        }
        _ => {}
    }
    let Some(x) = optional(inputs, 0) else {
        return Ok(None);
    };
    if let Some(value) = unary(call, x) {
        return one(value);
    }
    match (BINARY.contains(&call.op()), optional(inputs, 1)) {
        (true, Some(y)) => one(binary(call.op(), call, x, y)?),
        _ => Ok(None),
    }
}

/// Functions of two elements.
pub const BINARY: [&str; 20] = [
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Mod",
    "Pow",
    "PRelu",
    "And",
    "Or",
    "Xor",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "BitShift",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "Atan2",
];

fn cast(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let to = match call.op() {
        "CastLike" => Some(input(call, inputs, 1)?.element),
        _ => Element::of_onnx(i32::try_from(call.int("to", 0)).unwrap_or(0)),
    };
    let to = to.ok_or_else(|| format!("Cast to element type {}", call.int("to", 0)))?;
    let x = input(call, inputs, 0)?;
    if to.is_eighth() && call.int("saturate", 1) == 0 {
        return Ok(Value::of_eighths(
            to,
            &x.shape,
            x.floats().into_iter(),
            false,
        ));
    }
    Ok(x.cast(to))
}

fn clip(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let bound = |index: usize, name: &str| match optional(inputs, index) {
        Some(bound) if bound.len() == 1 => Ok(Some(bound.clone())),
        Some(bound) => Err(format!("Clip: a bound of shape {:?}", bound.shape)),
        None if call.has(name) => {
            let bound = std::iter::once(call.float(name, 0.0));
            Ok(Some(Value::of_floats(Element::F32, &[], bound)))
        }
        None => Ok(None),
    };
    let (low, high) = (bound(1, "min")?, bound(2, "max")?);
    if x.element.is_float() {
        let low = low.map_or(f64::NEG_INFINITY, |v| v.floats()[0]);
        let high = high.map_or(f64::INFINITY, |v| v.floats()[0]);
        // Not `clamp`, which panics where the bounds cross, and keeps NaN.
        let values = x.floats().into_iter().map(|v| {
            let raised = if v < low { low } else { v };
            if raised > high { high } else { raised }
        });
        return Ok(Value::of_floats(x.element, &x.shape, values));
    }
    let low = low.map_or(i128::MIN, |v| v.ints()[0]);
    let high = high.map_or(i128::MAX, |v| v.ints()[0]);
    let values = x.ints().into_iter().map(|v| v.max(low).min(high));
    Ok(Value::of_ints(x.element, &x.shape, values))
}

fn select(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let condition = input(call, inputs, 0)?;
    let (x, y) = (input(call, inputs, 1)?, input(call, inputs, 2)?);
    if x.element != y.element {
        return Err(format!("Where: {} and {}", x.element, y.element));
    }
    let shape = broadcast(&[&condition.shape, &x.shape, &y.shape])?;
    let size = x.element.size();
    let offsets = |value: &Value<'_>| {
        let all: Vec<usize> = (0..value.len()).collect();
        spread(&all, &value.shape, &shape)
    };
    let (from_x, from_y) = (offsets(x), offsets(y));
    let mut bytes = Vec::with_capacity(from_x.len() * size);
    for (index, at) in offsets(condition).into_iter().enumerate() {
        let (source, at) = match condition.bytes[at] != 0 {
            true => (x, from_x[index]),
            false => (y, from_y[index]),
        };
        bytes.extend_from_slice(&source.bytes[at * size..][..size]);
    }
    Ok(Value {
        element: x.element,
        shape,
        bytes: bytes.into(),
    })
}

fn variadic(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let mut all = inputs.iter().flatten();
    let first = all.next().ok_or("no input")?;
    let mut value = (*first).clone().into_owned();
    let mut count = 1.0;
    for next in all {
        value = binary(call.op(), call, &value, next)?;
        count += 1.0;
    }
    if call.op() == "Mean" {
        let values = value.floats().into_iter().map(|v| v / count);
        value = Value::of_floats(value.element, &value.shape, values);
    }
    Ok(value)
}

fn binary(
    op: &str,
    call: &Call<'_>,
    x: &Value<'_>,
    y: &Value<'_>,
) -> Result<Value<'static>, String> {
    let shape = broadcast(&[&x.shape, &y.shape])?;
    if op == "Pow" && x.element != y.element {
        let (a, b) = (
            spread(&x.floats(), &x.shape, &shape),
            spread(&y.floats(), &y.shape, &shape),
        );
        let values = a.into_iter().zip(b).map(|(a, b)| power(a, b));
        return Ok(Value::of_floats(x.element, &shape, values));
    }
    if x.element != y.element {
        return Err(format!("{op}: {} and {}", x.element, y.element));
    }
    if x.element.is_float() {
        let (a, b) = (
            spread(&x.floats(), &x.shape, &shape),
            spread(&y.floats(), &y.shape, &shape),
        );
        let pairs = a.into_iter().zip(b);
        if let Some(compare) = comparison::<f64>(op) {
            let values = pairs.map(|(a, b)| i128::from(compare(&a, &b)));
            return Ok(Value::of_ints(Element::Bool, &shape, values));
        }
        let of = of_floats(op, call).ok_or_else(|| format!("{op} of {}", x.element))?;
        return Ok(Value::of_floats(
            x.element,
            &shape,
            pairs.map(|(a, b)| of(a, b)),
        ));
    }
    let (a, b) = (
        spread(&x.ints(), &x.shape, &shape),
        spread(&y.ints(), &y.shape, &shape),
    );
    let pairs = a.into_iter().zip(b);
    if let Some(compare) = comparison::<i128>(op) {
        let values = pairs.map(|(a, b)| i128::from(compare(&a, &b)));
        return Ok(Value::of_ints(Element::Bool, &shape, values));
    }
    let of = of_ints(op, call, x.element).ok_or_else(|| format!("{op} of {}", x.element))?;
    let values: Vec<i128> = pairs.map(|(a, b)| of(a, b)).collect::<Result<_, _>>()?;
    Ok(Value::of_ints(x.element, &shape, values.into_iter()))
}

fn comparison<T: PartialOrd>(op: &str) -> Option<fn(&T, &T) -> bool> {
    Some(match op {
        "Equal" => T::eq,
        "Greater" => T::gt,
        "GreaterOrEqual" => T::ge,
        "Less" => T::lt,
        "LessOrEqual" => T::le,
        _ => return None,
    })
}

fn of_floats(op: &str, call: &Call<'_>) -> Option<fn(f64, f64) -> f64> {
    Some(match op {
        "Add" | "Sum" | "Mean" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Mod" if call.int("fmod", 0) == 1 => libm::fmod,
        "Mod" => |a, b| a - (a / b).floor() * b,
        "Pow" => power,
        "PRelu" => |a, b| if a < 0.0 { a * b } else { a },
        "Atan2" => libm::atan2,
        // NaN stays.
        "Min" => |a, b| if a < b || a.is_nan() { a } else { b },
        "Max" => |a, b| if a > b || a.is_nan() { a } else { b },
        _ => return None,
    })
}

fn power(a: f64, b: f64) -> f64 {
    libm::pow(a, b)
}

type OfInts = Box<dyn Fn(i128, i128) -> Result<i128, String>>;

fn of_ints(op: &str, call: &Call<'_>, element: Element) -> Option<OfInts> {
    let bits = element.size() as i128 * 8;
    let left = call.text("direction", "LEFT") == "LEFT";
    let truncated = call.int("fmod", 0) == 1;
    let name = op.to_owned();
    let nonzero = move |b: i128| match b {
        0 => Err(format!("{name} of an integer by zero")),
        b => Ok(b),
    };
    Some(match op {
        "Add" | "Sum" | "Mean" => Box::new(|a, b| Ok(a.wrapping_add(b))),
        "Sub" => Box::new(|a, b| Ok(a.wrapping_sub(b))),
        "Mul" => Box::new(|a, b| Ok(a.wrapping_mul(b))),
        "Div" => Box::new(move |a, b| Ok(a / nonzero(b)?)),
        "Mod" if truncated => Box::new(move |a, b| Ok(a % nonzero(b)?)),
        "Mod" => Box::new(move |a, b| {
            let rest = a % nonzero(b)?;
            Ok(match rest != 0 && (rest < 0) != (b < 0) {
                true => rest + b,
                false => rest,
            })
        }),
        "Pow" => Box::new(|a, b| Ok(integer_power(a, b))),
        "PRelu" => Box::new(|a, b| Ok(if a < 0 { a.wrapping_mul(b) } else { a })),
        "Min" => Box::new(|a, b| Ok(a.min(b))),
        "Max" => Box::new(|a, b| Ok(a.max(b))),
        "And" | "BitwiseAnd" => Box::new(|a, b| Ok(a & b)),
        "Or" | "BitwiseOr" => Box::new(|a, b| Ok(a | b)),
        "Xor" | "BitwiseXor" => Box::new(|a, b| Ok(a ^ b)),
        "BitShift" => Box::new(move |a, b| {
            Ok(match (b >= bits || b < 0, left) {
                (true, _) => 0,
                (false, true) => a << b,
                (false, false) => a >> b,
            })
        }),
        _ => return None,
    })
}

fn integer_power(base: i128, exponent: i128) -> i128 {
    match u32::try_from(exponent) {
        Ok(exponent) => base.wrapping_pow(exponent),
        Err(_) => match base {
            1 => 1,
            -1 if exponent % 2 == 0 => 1,
            -1 => -1,
            _ => 0,
        },
    }
}

fn unary(call: &Call<'_>, x: &Value<'_>) -> Option<Value<'static>> {
    if let Some(test) = float_test(call) {
        let values = x.floats().into_iter().map(|v| i128::from(test(v)));
        return Some(Value::of_ints(Element::Bool, &x.shape, values));
    }
    if x.element.is_float() {
        let of = float_function(call)?;
        let values = x.floats().into_iter().map(of);
        return Some(Value::of_floats(x.element, &x.shape, values));
    }
    let element = x.element;
    if call.op() == "Shrink" {
        let of = with_attributes(call)?;
        let values = x.floats().into_iter().map(of);
        return Some(Value::of_floats(element, &x.shape, values));
    }
    let of: fn(i128) -> i128 = match call.op() {
        "Abs" => |v| v.abs(),
        "Neg" => |v| -v,
        "Sign" => |v| v.signum(),
        "Relu" => |v| v.max(0),
        "Not" => |v| i128::from(v == 0),
        "BitwiseNot" => |v| !v,
        "Ceil" | "Floor" | "Round" => |v| v,
        _ => return None,
    };
    let values = x.ints().into_iter().map(of);
    Some(Value::of_ints(element, &x.shape, values))
}

type Test = Box<dyn Fn(f64) -> bool>;

fn float_test(call: &Call<'_>) -> Option<Test> {
    match call.op() {
        "IsNaN" => Some(Box::new(f64::is_nan)),
        "IsInf" => {
            let positive = call.int("detect_positive", 1) != 0;
            let negative = call.int("detect_negative", 1) != 0;
            Some(Box::new(move |v| {
                (positive && v == f64::INFINITY) || (negative && v == f64::NEG_INFINITY)
            }))
        }
        _ => None,
    }
}

type Function = Box<dyn Fn(f64) -> f64>;

/// A function of one float by the name and attributes of its operator.
pub(super) fn float_function(call: &Call<'_>) -> Option<Function> {
    let simple: fn(f64) -> f64 = match call.op() {
        "Abs" => f64::abs,
        "Neg" => |v| -v,
        "Sign" => |v| {
            if v.is_nan() || v == 0.0 {
                v
            } else {
                v.signum()
            }
        },
        "Ceil" => libm::ceil,
        "Floor" => libm::floor,
        "Round" => libm::rint,
        "Sqrt" => libm::sqrt,
        "Reciprocal" => |v| 1.0 / v,
        "Exp" => libm::exp,
        "Log" => libm::log,
        "Sin" => libm::sin,
        "Cos" => libm::cos,
        "Tan" => libm::tan,
        "Asin" => libm::asin,
        "Acos" => libm::acos,
        "Atan" => libm::atan,
        "Sinh" => libm::sinh,
        "Cosh" => libm::cosh,
        "Tanh" => libm::tanh,
        "Asinh" => libm::asinh,
        "Acosh" => libm::acosh,
        "Atanh" => libm::atanh,
        "Erf" => libm::erf,
        "Sigmoid" => sigmoid,
        "Relu" => |v| if v < 0.0 { 0.0 } else { v },
        "Softplus" => softplus,
        "Softsign" => |v| v / (1.0 + v.abs()),
        "Mish" => |v| v * libm::tanh(softplus(v)),
        "HardSwish" => |v| v * (v / 6.0 + 0.5).clamp(0.0, 1.0),
        "QuickGelu" => return Some(scaled_swish(call.float("alpha", 1.702))),
        "Swish" => return Some(scaled_swish(call.float("alpha", 1.0))),
        "Gelu" if call.text("approximate", "none") == "tanh" => tanh_gelu,
        "Gelu" => gelu,
        "FastGelu" => tanh_gelu,
        _ => return with_attributes(call),
    };
    Some(Box::new(simple))
}

fn with_attributes(call: &Call<'_>) -> Option<Function> {
    let attribute = |name, default| call.float(name, default);
    Some(match call.op() {
        "LeakyRelu" => {
            let alpha = attribute("alpha", 0.01);
            Box::new(move |v| if v < 0.0 { alpha * v } else { v })
        }
        "Elu" => {
            let alpha = attribute("alpha", 1.0);
            Box::new(move |v| if v < 0.0 { alpha * libm::expm1(v) } else { v })
        }
        "Celu" => {
            let alpha = attribute("alpha", 1.0);
            Box::new(move |v| {
                if v < 0.0 {
                    alpha * libm::expm1(v / alpha)
                } else {
                    v
                }
            })
        }
        "Selu" => {
            let (alpha, gamma) = (
                attribute("alpha", 1.673_263_2),
                attribute("gamma", 1.050_701),
            );
            Box::new(move |v| gamma * if v > 0.0 { v } else { alpha * libm::expm1(v) })
        }
        "HardSigmoid" => {
            let (alpha, beta) = (attribute("alpha", 0.2), attribute("beta", 0.5));
            Box::new(move |v| (alpha * v + beta).clamp(0.0, 1.0))
        }
        "ThresholdedRelu" => {
            let alpha = attribute("alpha", 1.0);
            Box::new(move |v| if v > alpha || v.is_nan() { v } else { 0.0 })
        }
        "Shrink" => {
            let (bias, lambda) = (attribute("bias", 0.0), attribute("lambd", 0.5));
            Box::new(move |v| match v {
                v if v < -lambda => v + bias,
                v if v > lambda => v - bias,
                v if v.is_nan() => v,
                _ => 0.0,
            })
        }
        _ => return None,
    })
}

fn sigmoid(v: f64) -> f64 {
    match v < 0.0 {
        true => {
            let e = libm::exp(v);
            e / (1.0 + e)
        }
        false => 1.0 / (1.0 + libm::exp(-v)),
    }
}

fn softplus(v: f64) -> f64 {
    (if v < 0.0 { 0.0 } else { v }) + libm::log1p(libm::exp(-v.abs()))
}

fn gelu(v: f64) -> f64 {
    0.5 * v * (1.0 + libm::erf(v * std::f64::consts::FRAC_1_SQRT_2))
}

fn tanh_gelu(v: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (v + 0.044_715 * v * v * v);
    0.5 * v * (1.0 + libm::tanh(inner))
}

fn scaled_swish(alpha: f64) -> Function {
    Box::new(move |v| v * sigmoid(alpha * v))
}
