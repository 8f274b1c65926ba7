//! ONNX Runtime through its shared library, if the user has one.

use std::env;
use std::fmt::Debug;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use half::f16;
use ort::memory::Allocator;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::tensor::{PrimitiveTensorElementType, TensorElementType};
use ort::value::{DynValue, Tensor, ValueType};
use wink_engine::{OnnxElement, SeededInput, SeededValues, Value};

use super::engine::Engine;
use crate::bad_input::bad_input;
use crate::values::npz::Named;

/// Where the library is looked for, as the `ort` crate does it.
const LIBRARY: &str = "ORT_DYLIB_PATH";

/// Whether the user named a library.
pub fn available() -> bool {
    env::var_os(LIBRARY).is_some()
}

/// A session with its inputs.
pub struct OnnxRuntime {
    session: Session,
    inputs: Vec<(String, SessionInputValue<'static>)>,
    load: Duration,
}

impl OnnxRuntime {
    pub fn load(file: &Path, fed: &[SeededInput], threads: usize, exact: bool) -> Result<Self> {
        let library = env::var(LIBRARY)
            .ok()
            .filter(|path| Path::new(path).is_file());
        let Some(library) = library else {
            return Err(bad_input(format!(
                "{LIBRARY} must name ONNX Runtime's shared library (libonnxruntime.so)"
            )));
        };
        ort::init_from(&library)
            .commit()
            .with_context(|| library.clone())?;
        let clock = Instant::now();
        let mut builder = Session::builder()?;
        if exact {
            builder = builder.with_config_entry("session.x64quantprecision", "1")?;
        }
        let session = builder
            .with_optimization_level(GraphOptimizationLevel::Level3)?
            .with_intra_threads(threads)?
            .with_inter_threads(1)?
            .commit_from_file(file)
            .with_context(|| format!("{}: ONNX Runtime refuses it", file.display()))?;
        let load = clock.elapsed();
        let mut inputs = Vec::new();
        for input in fed.iter().cloned() {
            let shape = input.shape;
            let value: SessionInputValue<'static> = match input.values {
                SeededValues::Bool(values) => fed_with(shape, values)?,
                SeededValues::I8(values) => fed_with(shape, values)?,
                SeededValues::U8(values) => fed_with(shape, values)?,
                SeededValues::I16(values) => fed_with(shape, values)?,
                SeededValues::U16(values) => fed_with(shape, values)?,
                SeededValues::I32(values) => fed_with(shape, values)?,
                SeededValues::U32(values) => fed_with(shape, values)?,
                SeededValues::I64(values) => fed_with(shape, values)?,
                SeededValues::U64(values) => fed_with(shape, values)?,
                SeededValues::F16(bits) => {
                    let halves = bits.into_iter().map(f16::from_bits).collect();
                    fed_with::<f16>(shape, halves)?
                }
                SeededValues::F32(values) => fed_with(shape, values)?,
                SeededValues::F64(values) => fed_with(shape, values)?,
            };
            inputs.push((input.name, value));
        }
        Ok(Self {
            session,
            inputs,
            load,
        })
    }
}

/// An input. The library's own way to hand over values refuses axes of length 0.
fn fed_with<T: PrimitiveTensorElementType + Debug + Clone + 'static>(
    shape: Vec<usize>,
    values: Vec<T>,
) -> Result<SessionInputValue<'static>> {
    Ok(match values.is_empty() {
        true => Tensor::<T>::new(&Allocator::default(), shape)?.into(),
        false => Tensor::from_array((shape, values))?.into(),
    })
}

impl OnnxRuntime {
    fn infer(&mut self) -> Result<SessionOutputs<'_>> {
        let views: Vec<(&str, SessionInputValue<'_>)> = self
            .inputs
            .iter()
            .map(|(name, value)| (name.as_str(), SessionInputValue::View((**value).view())))
            .collect();
        Ok(self.session.run(views)?)
    }
}

impl Engine for OnnxRuntime {
    fn load_time(&self) -> Duration {
        self.load
    }

    fn run(&mut self) -> Result<()> {
        self.infer().map(drop)
    }

    fn outputs(&mut self) -> Result<Vec<Named>> {
        let outputs = self.infer()?;
        let value = |(name, output): (&str, DynValue)| {
            let value = compared(&output).with_context(|| format!("output \"{name}\""))?;
            Ok((name.to_owned(), value))
        };
        outputs.into_iter().map(value).collect()
    }
}

fn compared(output: &DynValue) -> Result<Value<'static>> {
    let ValueType::Tensor { ty, .. } = output.dtype() else {
        bail!("is no tensor");
    };
    let ints = |element, (shape, values): (Vec<usize>, Vec<i128>)| {
        Value::of_ints(element, &shape, values.into_iter())
    };
    let floats = |element, (shape, values): (Vec<usize>, Vec<f64>)| {
        Value::of_floats(element, &shape, values.into_iter())
    };
    Ok(match ty {
        TensorElementType::Bool => ints(OnnxElement::Bool, each::<bool, _>(output, i128::from)?),
        TensorElementType::Int8 => ints(OnnxElement::I8, each::<i8, _>(output, i128::from)?),
        TensorElementType::Uint8 => ints(OnnxElement::U8, each::<u8, _>(output, i128::from)?),
        TensorElementType::Int16 => ints(OnnxElement::I16, each::<i16, _>(output, i128::from)?),
        TensorElementType::Uint16 => ints(OnnxElement::U16, each::<u16, _>(output, i128::from)?),
        TensorElementType::Int32 => ints(OnnxElement::I32, each::<i32, _>(output, i128::from)?),
        TensorElementType::Uint32 => ints(OnnxElement::U32, each::<u32, _>(output, i128::from)?),
        TensorElementType::Int64 => ints(OnnxElement::I64, each::<i64, _>(output, i128::from)?),
        TensorElementType::Uint64 => ints(OnnxElement::U64, each::<u64, _>(output, i128::from)?),
        TensorElementType::Float16 => floats(OnnxElement::F16, each(output, f16::to_f64)?),
        TensorElementType::Float32 => floats(OnnxElement::F32, each::<f32, _>(output, f64::from)?),
        TensorElementType::Float64 => floats(OnnxElement::F64, each::<f64, _>(output, f64::from)?),
        other => bail!("is of {other}, which cannot be read"),
    })
}

/// Shape and values.
fn each<T: PrimitiveTensorElementType + Copy, W>(
    output: &DynValue,
    wider: fn(T) -> W,
) -> Result<(Vec<usize>, Vec<W>)> {
    let (shape, values) = output.try_extract_tensor::<T>()?;
    let shape = shape.iter().map(|&length| usize::try_from(length));
    let values = values.iter().map(|&value| wider(value));
    Ok((shape.collect::<Result<_, _>>()?, values.collect()))
}
