//! rten, an inference engine in Rust.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rten::{Model, NodeId, RunOptions, ThreadPool, Value};
use rten_tensor::Layout;
use wink_engine::{OnnxElement, SeededInput, SeededValues, Value as Compared};

use super::engine::Engine;
use crate::values::npz::Named;

/// A model with its inputs and its threads.
pub struct Rten {
    model: Model,
    inputs: Vec<(NodeId, Value)>,
    outputs: Vec<NodeId>,
    pool: Arc<ThreadPool>,
    load: Duration,
}

impl Rten {
    pub fn load(file: &Path, fed: &[SeededInput], threads: usize) -> Result<Self> {
        let clock = Instant::now();
        let model = Model::load_file(file)?;
        let pool = Arc::new(ThreadPool::with_num_threads(threads));
        let load = clock.elapsed();
        let mut inputs = Vec::new();
        for input in fed {
            let value = match &input.values {
                SeededValues::F32(values) => Value::from_shape(&input.shape, values.clone())?,
                SeededValues::I32(values) => Value::from_shape(&input.shape, values.clone())?,
                SeededValues::I8(values) => Value::from_shape(&input.shape, values.clone())?,
                SeededValues::U8(values) => Value::from_shape(&input.shape, values.clone())?,
                SeededValues::Bool(values) => {
                    let values: Vec<i32> = values.iter().copied().map(i32::from).collect();
                    Value::from_shape(&input.shape, values)?
                }
                // Its integers have 32 bits.
                SeededValues::I64(values) => {
                    let values: Result<Vec<i32>, _> =
                        values.iter().copied().map(i32::try_from).collect();
                    Value::from_shape(&input.shape, values?)?
                }
                _ => bail!("input {}: rten has no tensors of its type", input.name),
            };
            inputs.push((model.node_id(&input.name)?, value));
        }
        let outputs = model.output_ids().to_vec();
        Ok(Self {
            model,
            inputs,
            outputs,
            pool,
            load,
        })
    }
}

impl Rten {
    fn infer(&self) -> Result<Vec<Value>> {
        let inputs = self.inputs.iter().map(|(id, value)| (*id, value.into()));
        let options = RunOptions::default().with_thread_pool(Some(self.pool.clone()));
        let outputs = self
            .model
            .run(inputs.collect(), &self.outputs, Some(options))?;
        Ok(outputs)
    }
}

impl Engine for Rten {
    fn load_time(&self) -> Duration {
        self.load
    }

    fn run(&mut self) -> Result<()> {
        self.infer().map(drop)
    }

    fn outputs(&mut self) -> Result<Vec<Named>> {
        let values = self.infer()?;
        let named = self.outputs.iter().zip(values);
        let outputs = named.map(|(id, value)| {
            let info = self.model.node_info(*id);
            let name = info.and_then(|info| info.name()).unwrap_or_default();
            Ok((name.to_owned(), compared(value)?))
        });
        outputs.collect()
    }
}

/// An output with the type that it has in rten: bools and 64-bit integers are integers of 32 bits, floats are of single precision.
fn compared(value: Value) -> Result<Compared<'static>> {
    let shape = value.shape().to_vec();
    Ok(match value {
        Value::FloatTensor(tensor) => {
            let values = tensor.into_data().into_iter().map(f64::from);
            Compared::of_floats(OnnxElement::F32, &shape, values)
        }
        Value::Int32Tensor(tensor) => {
            let values = tensor.into_data().into_iter().map(i128::from);
            Compared::of_ints(OnnxElement::I32, &shape, values)
        }
        Value::Int8Tensor(tensor) => {
            let values = tensor.into_data().into_iter().map(i128::from);
            Compared::of_ints(OnnxElement::I8, &shape, values)
        }
        Value::UInt8Tensor(tensor) => {
            let values = tensor.into_data().into_iter().map(i128::from);
            Compared::of_ints(OnnxElement::U8, &shape, values)
        }
        _ => bail!("an output that is no tensor"),
    })
}
