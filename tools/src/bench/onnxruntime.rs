//! ONNX Runtime through its shared library, if the user has one.

use std::env;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::Tensor;
use wink_engine::{SeededInput, SeededValues};

use super::engine::Engine;
use crate::bad_input::bad_input;

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
                SeededValues::Bool(values) => Tensor::from_array((shape, values))?.into(),
                SeededValues::I8(values) => Tensor::from_array((shape, values))?.into(),
                SeededValues::U8(values) => Tensor::from_array((shape, values))?.into(),
                SeededValues::I16(values) => Tensor::from_array((shape, values))?.into(),
                SeededValues::U16(values) => Tensor::from_array((shape, values))?.into(),
                SeededValues::I32(values) => Tensor::from_array((shape, values))?.into(),
                SeededValues::U32(values) => Tensor::from_array((shape, values))?.into(),
                SeededValues::I64(values) => Tensor::from_array((shape, values))?.into(),
                SeededValues::U64(values) => Tensor::from_array((shape, values))?.into(),
                SeededValues::F16(_) => {
                    let name = &input.name;
                    bail!("input {name}: this binding of ONNX Runtime feeds no half precision")
                }
                SeededValues::F32(values) => Tensor::from_array((shape, values))?.into(),
                SeededValues::F64(values) => Tensor::from_array((shape, values))?.into(),
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

impl Engine for OnnxRuntime {
    fn load_time(&self) -> Duration {
        self.load
    }

    fn run(&mut self) -> Result<Vec<f32>> {
        let views: Vec<(&str, SessionInputValue<'_>)> = self
            .inputs
            .iter()
            .map(|(name, value)| (name.as_str(), SessionInputValue::View((**value).view())))
            .collect();
        let outputs = self.session.run(views)?;
        let first = outputs.values().next().context("no output")?;
        Ok(first.try_extract_tensor::<f32>()?.1.to_vec())
    }
}
