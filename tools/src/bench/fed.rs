//! Inputs from a file instead of ones made from a seed.

use std::path::Path;

use anyhow::Result;
use half::f16;
use wink_engine::{OnnxElement, SeededInput, SeededValues, Value, graph_info};

use crate::bad_input::{as_bad_input, bad_input};
use crate::values::npz;

/// The tensors of a file for all inputs of a graph.
pub fn read(path: &Path, graph: &Path) -> Result<Vec<SeededInput>> {
    let given = npz::read(path).map_err(as_bad_input)?;
    let info = graph_info(graph).map_err(as_bad_input)?;
    npz::check_names(path, &given, graph, &info.inputs)?;
    let inputs = given.into_iter().map(|(name, value)| {
        let Some(values) = values(&value) else {
            return Err(bad_input(format!(
                "{}: \"{}\" is of {}, which cannot be fed",
                path.display(),
                name.escape_debug(),
                value.element
            )));
        };
        Ok(SeededInput {
            name,
            shape: value.shape,
            values,
        })
    });
    inputs.collect()
}

fn values(value: &Value<'_>) -> Option<SeededValues> {
    let whole = || value.ints().into_iter();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some(match value.element {
        OnnxElement::Bool => SeededValues::Bool(whole().map(|v| v != 0).collect()),
        OnnxElement::I8 => SeededValues::I8(whole().map(|v| v as i8).collect()),
        OnnxElement::U8 => SeededValues::U8(whole().map(|v| v as u8).collect()),
        OnnxElement::I16 => SeededValues::I16(whole().map(|v| v as i16).collect()),
        OnnxElement::U16 => SeededValues::U16(whole().map(|v| v as u16).collect()),
        OnnxElement::I32 => SeededValues::I32(whole().map(|v| v as i32).collect()),
        OnnxElement::U32 => SeededValues::U32(whole().map(|v| v as u32).collect()),
        OnnxElement::I64 => SeededValues::I64(whole().map(|v| v as i64).collect()),
        OnnxElement::U64 => SeededValues::U64(whole().map(|v| v as u64).collect()),
        OnnxElement::F16 => {
            let halves = value.floats().into_iter().map(f16::from_f64);
            SeededValues::F16(halves.map(f16::to_bits).collect())
        }
        OnnxElement::F32 => {
            SeededValues::F32(value.floats().into_iter().map(|v| v as f32).collect())
        }
        OnnxElement::F64 => SeededValues::F64(value.floats()),
        _ => return None,
    })
}
