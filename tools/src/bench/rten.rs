//! rten, an inference engine in Rust.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rten::{Model, NodeId, RunOptions, ThreadPool, Value};
use wink_engine::{SeededInput, SeededValues};

use super::engine::Engine;

/// A model with its inputs and its threads.
pub struct Rten {
    model: Model,
    inputs: Vec<(NodeId, Value)>,
    output: NodeId,
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
        let output = *model.output_ids().first().context("no output")?;
        Ok(Self {
            model,
            inputs,
            output,
            pool,
            load,
        })
    }
}

impl Engine for Rten {
    fn load_time(&self) -> Duration {
        self.load
    }

    fn run(&mut self) -> Result<Vec<f32>> {
        let inputs = self.inputs.iter().map(|(id, value)| (*id, value.into()));
        let options = RunOptions::default().with_thread_pool(Some(self.pool.clone()));
        let [output] = self
            .model
            .run_n(inputs.collect(), [self.output], Some(options))?;
        let floats = output.into_tensor::<f32>();
        Ok(floats.context("an output that is not of f32")?.into_data())
    }
}
