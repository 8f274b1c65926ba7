//! Attributes whose value must be one of a few.

use super::super::meaning::Call;
use super::{Facts, at};

/// Flags, which are 0 or 1.
const FLAGS: [(&str, &str); 3] = [
    ("CumSum", "exclusive"),
    ("CumSum", "reverse"),
    ("Mod", "fmod"),
];

/// Refuses values that an operator does not have.
///
/// # Errors
/// With the attribute and its value.
pub(super) fn check(call: &Call<'_>, inputs: Facts<'_, '_>) -> Result<(), String> {
    let op = call.op();
    for (_, flag) in FLAGS.iter().filter(|(of, _)| *of == op) {
        let value = call.int(flag, 0);
        if !matches!(value, 0 | 1) {
            return Err(format!("{op}: {flag} {value}"));
        }
    }
    match op {
        "Gelu" => match call.text("approximate", "none") {
            "none" | "tanh" => Ok(()),
            other => Err(format!("Gelu: approximate {}", other.escape_debug())),
        },
        "Mod"
            if at(inputs, 0).is_some_and(|x| x.element.is_float()) && call.int("fmod", 0) == 0 =>
        {
            Err("Mod of floats needs fmod 1".to_owned())
        }
        "LSTM" | "GRU" | "RNN" if call.has("clip") && call.float("clip", 1.0) <= 0.0 => {
            Err(format!("{op}: clip {}", call.float("clip", 1.0)))
        }
        "Split" if call.opset >= 18 && !call.given(1) && !call.has("num_outputs") => {
            Err("Split with neither lengths nor num_outputs".to_owned())
        }
        "Clip" if call.opset < 11 && call.float("min", f32::MIN) > call.float("max", f32::MAX) => {
            Err("Clip: min above max".to_owned())
        }
        _ => Ok(()),
    }
}
