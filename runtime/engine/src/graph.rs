//! A loaded graph that threads share, and the memory in which each of them runs it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tract_onnx::prelude::*;
use wink_kernels::Pool;

use crate::build::{Execution, Feed, Source, TensorSpec, build, one_line};
use crate::contain::contain;
use crate::error::EngineError;
use crate::import::GraphInfo;
use crate::ops::{View, with_pool};
use crate::plan::{self, LoadTimes, Memory, OpInfo, OpTime, Program, Threads};
use crate::rewrite::Fusion;

/// A graph that is ready to run. Cheap to clone and shared by threads; each thread has its own [`State`].
#[derive(Debug, Clone)]
pub struct Graph {
    pub(crate) file: PathBuf,
    pub(crate) info: GraphInfo,
    pub(crate) macs: u64,
    pub(crate) inputs: Vec<(String, TensorSpec)>,
    pub(crate) outputs: Vec<(String, TensorSpec)>,
    pub(crate) fusion: Option<Fusion>,
    pub(crate) load: LoadTimes,
    pub(crate) runner: Runner,
}

/// What goes through the ops of a graph.
#[derive(Debug, Clone)]
pub(crate) enum Runner {
    Program(Arc<Program>),
    Plain(Arc<TypedSimplePlan>),
}

/// Tensors of one thread, and the threads that help it.
#[derive(Debug, Clone)]
pub struct State {
    tensors: Tensors,
    pool: Arc<Pool>,
}

#[derive(Debug, Clone)]
enum Tensors {
    Program(Memory),
    Plain {
        plan: TypedSimpleState,
        outputs: TVec<TValue>,
    },
}

impl State {
    /// Steady inputs have changed.
    pub fn refresh(&mut self) {
        if let Tensors::Program(memory) = &mut self.tensors {
            memory.refresh();
        }
    }

    /// Shares the work of the fused ops with other threads. Clones that are made afterwards share the threads too: one inference
    /// at a time has them, and the others run alone meanwhile.
    pub fn use_threads(&mut self, threads: Threads) {
        self.pool = threads.pool();
    }
}

/// The outputs of a run.
pub struct Outputs<'a> {
    graph: &'a Graph,
    state: &'a State,
    inputs: &'a [Arc<Tensor>],
}

impl<'a> Outputs<'a> {
    fn view(&self, index: usize) -> Option<View<'a>> {
        match (&self.graph.runner, &self.state.tensors) {
            (Runner::Program(program), Tensors::Program(memory)) => {
                program.output(memory, self.inputs, index).ok()
            }
            (_, Tensors::Plain { outputs, .. }) => View::of(outputs.get(index)?).ok(),
            _ => None,
        }
    }

    /// The values of the output of this number, where there is one and it is of f32.
    #[must_use]
    pub fn floats(&self, index: usize) -> Option<&'a [f32]> {
        self.view(index)?.values().ok()
    }
}

impl Graph {
    /// Loads a graph. `feeds` says what each input will be given, `outputs` which tensors are wanted and in which order; what only
    /// other outputs need is not computed.
    ///
    /// # Errors
    /// When the file is broken, has an op that nothing here computes, or an input or output that does not fit.
    pub fn load(
        source: Source,
        execution: Execution,
        feeds: Vec<Feed>,
        outputs: &[String],
    ) -> Result<Self, EngineError> {
        build(source, execution, feeds, outputs)
    }

    /// The ONNX file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What the file holds.
    #[must_use]
    pub fn info(&self) -> &GraphInfo {
        &self.info
    }

    /// Multiply-accumulates of one run.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.macs
    }

    /// Name and type of each input, in the order in which they are fed.
    #[must_use]
    pub fn inputs(&self) -> &[(String, TensorSpec)] {
        &self.inputs
    }

    /// Name and type of each output, in the order of [`Outputs`].
    #[must_use]
    pub fn outputs(&self) -> &[(String, TensorSpec)] {
        &self.outputs
    }

    /// What runs in fused ops; `None` where tract runs alone.
    #[must_use]
    pub fn fusion(&self) -> Option<&Fusion> {
        self.fusion.as_ref()
    }

    /// How long each step of loading took.
    #[must_use]
    pub fn load_times(&self) -> LoadTimes {
        self.load
    }

    /// The ops in the order in which they run.
    #[must_use]
    pub fn ops(&self) -> Vec<OpInfo> {
        let kernels = self.fusion.as_ref().map_or("", |fusion| fusion.kernels);
        match &self.runner {
            Runner::Program(program) => program.ops(kernels),
            Runner::Plain(plan) => plan::plain_ops(plan, kernels),
        }
    }

    /// Scratch memory for one thread, which works alone until [`State::use_threads`].
    ///
    /// # Errors
    /// When tract cannot make the state of an op that only it knows.
    pub fn state(&self) -> Result<State, EngineError> {
        self.state_with(&Arc::new(Pool::alone()))
    }

    /// Scratch memory that shares the threads of another graph's.
    ///
    /// # Errors
    /// As for [`Graph::state`].
    pub fn state_beside(&self, other: &State) -> Result<State, EngineError> {
        self.state_with(&other.pool)
    }

    fn state_with(&self, pool: &Arc<Pool>) -> Result<State, EngineError> {
        let tensors = contain(|| {
            let tensors = match &self.runner {
                Runner::Program(program) => program.memory().map(Tensors::Program),
                Runner::Plain(plan) => plan.spawn().map(|plan| Tensors::Plain {
                    plan,
                    outputs: tvec![],
                }),
            };
            tensors.map_err(|e| format!("{e:#}"))
        });
        Ok(State {
            tensors: tensors.map_err(|message| self.failed(&message))?,
            pool: pool.clone(),
        })
    }

    /// Runs the graph; `times` gets a time for each of [`Graph::ops`]. After an error the state is replaced, so that nothing of
    /// the failed run stays behind.
    ///
    /// # Errors
    /// When an input does not fit or an op fails.
    pub fn run<'a>(
        &'a self,
        state: &'a mut State,
        inputs: &'a [Arc<Tensor>],
        times: Option<&mut Vec<OpTime>>,
    ) -> Result<Outputs<'a>, EngineError> {
        let State { tensors, pool } = state;
        let result = with_pool(pool, || {
            contain(|| {
                let ran = match (&self.runner, tensors) {
                    (Runner::Program(program), Tensors::Program(memory)) => {
                        program.run(memory, inputs, times)
                    }
                    (_, Tensors::Plain { plan, outputs }) => {
                        plan::run_plain(plan, inputs, times).map(|made| *outputs = made)
                    }
                    _ => Err(TractError::msg("the state is of another graph")),
                };
                ran.map_err(|e| format!("{e:#}"))
            })
        });
        if let Err(message) = result {
            *state = self.state_beside(state)?;
            return Err(self.failed(&message));
        }
        Ok(Outputs {
            graph: self,
            state,
            inputs,
        })
    }

    fn failed(&self, message: &str) -> EngineError {
        EngineError::Inference {
            file: self.file.clone(),
            message: one_line(message),
        }
    }
}
