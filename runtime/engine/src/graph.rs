//! A loaded graph that threads share, and the memory in which each of them runs it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::TractErrorContext;
use wink_kernels::Pool;

use crate::contain::contain;
use crate::error::{EngineError, one_line};
use crate::import::GraphInfo;
use crate::ops::{view_of, with_pool};
use crate::plan::{self, LoadTimes, Memory, OpInfo, OpTime, Program, Rate, Threads};
use crate::rewrite::Fusion;
use crate::tensor::{InputViews, Number, TensorSpec, View};

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

#[derive(Debug)]
enum Tensors {
    Program(Memory),
    Plain {
        plan: TypedSimpleState,
        outputs: TVec<TValue>,
    },
}

/// A clone begins anew: nothing is copied that the next run computes anyway.
impl Clone for Tensors {
    fn clone(&self) -> Self {
        match self {
            Self::Program(memory) => Self::Program(memory.clone()),
            Self::Plain { plan, .. } => Self::Plain {
                // A new state computes the constants, which tract's own clone lacks.
                plan: plan
                    .plan()
                    .spawn()
                    .unwrap_or_else(|_| plan::with_values(plan.clone())),
                outputs: tvec![],
            },
        }
    }
}

impl State {
    /// Shares the work of the fused ops with other threads. Clones that are made afterwards share the threads too: one inference
    /// at a time has them, and the others run alone meanwhile.
    ///
    /// # Errors
    /// When the threads are to be pinned and cannot be.
    pub fn use_threads(&mut self, threads: Threads) -> Result<(), EngineError> {
        self.pool = threads.pool()?;
        Ok(())
    }
}

impl Graph {
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

    /// Name and type of each output, in the order in which they were asked for.
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

    /// Runs the graph on its inputs, in the order of [`Graph::inputs`].
    ///
    /// Inputs of the rate `changed` or faster may be others than in the last run of this state; slower ones are the same, and what
    /// depends on those alone is not computed again. The first run of a state computes everything, and so does the first one after
    /// an error, which leaves a new state behind. Allocates nothing where [`Fusion::engine`] is empty.
    ///
    /// # Errors
    /// When an input does not fit or an op fails.
    pub fn run(
        &self,
        state: &mut State,
        inputs: &(impl InputViews + ?Sized),
        changed: Rate,
    ) -> Result<(), EngineError> {
        self.run_timed(state, inputs, changed, None)
    }

    /// [`Graph::run`]; `times` gets a time for each of [`Graph::ops`].
    ///
    /// # Errors
    /// As for [`Graph::run`].
    pub fn run_timed(
        &self,
        state: &mut State,
        inputs: &(impl InputViews + ?Sized),
        changed: Rate,
        times: Option<&mut Vec<OpTime>>,
    ) -> Result<(), EngineError> {
        let State { tensors, pool } = state;
        let result = with_pool(pool, || {
            contain(|| {
                let ran = match (&self.runner, tensors) {
                    (Runner::Program(program), Tensors::Program(memory)) => {
                        program.run(memory, &inputs, changed, times)
                    }
                    (_, Tensors::Plain { plan, outputs }) => {
                        plan::run_plain(plan, &inputs, times).map(|made| *outputs = made)
                    }
                    _ => Err(TractError::msg("the state is of another graph")),
                };
                ran.map_err(|e| format!("{e:#}"))
            })
        });
        if let Err(mut message) = result {
            if let (Runner::Program(program), Tensors::Program(memory)) =
                (&self.runner, &state.tensors)
                && let Some(node) = program.running(memory)
            {
                message = format!("node \"{}\": {message}", node.escape_debug());
            }
            *state = self.state_beside(state)?;
            return Err(self.failed(&message));
        }
        Ok(())
    }

    /// An output of the last run, by its place in [`Graph::outputs`]: the engine's own memory, which other graphs can be fed with.
    /// It holds until the next run of this state: a loop that feeds a graph its own outputs has two states, which take turns.
    ///
    /// # Errors
    /// When there is no such output, or no run has ended.
    pub fn output<'a>(&'a self, state: &'a State, index: usize) -> Result<View<'a>, EngineError> {
        let view = match (&self.runner, &state.tensors) {
            (Runner::Program(program), Tensors::Program(memory)) => program.output(memory, index),
            (_, Tensors::Plain { outputs, .. }) => outputs
                .get(index)
                .context("no such output, or no run has ended")
                .and_then(|output| view_of(output)),
            _ => Err(TractError::msg("the state is of another graph")),
        };
        view.map_err(|error| self.failed(&format!("{error:#}")))
    }

    /// The values of an output of the last run.
    ///
    /// # Errors
    /// As for [`Graph::output`], and when it is of another element type.
    pub fn values<'a, T: Number>(
        &'a self,
        state: &'a State,
        index: usize,
    ) -> Result<&'a [T], EngineError> {
        let view = self.output(state, index)?;
        view.values().map_err(|_| EngineError::OutputType {
            file: self.file.clone(),
            tensor: self.outputs[index].0.clone(),
            found: self.outputs[index].1.to_string(),
            wanted: T::ELEMENT,
        })
    }

    fn failed(&self, message: &str) -> EngineError {
        EngineError::Inference {
            file: self.file.clone(),
            message: one_line(message),
        }
    }
}
