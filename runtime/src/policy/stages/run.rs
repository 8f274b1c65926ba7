//! Runs stages on one thread. What a stage made lies in the engine's buffers and is fed to later stages from there.

use heapless::Vec as Fixed;
use wink_engine::{Element, Graph, OpTime, State, Tensor, Threads, View};

use super::super::PolicyError;
use super::super::loops::{Guide, NoiseSource};
use super::super::manifest::Run;
use super::load::Stage;
use super::network::Network;
use super::repeat::LoopState;
use super::values::ValueRef;
use super::watch::StageRun;
use super::{MAX_INPUTS, rate};

/// Called after each run of a graph.
pub(in super::super) type Watch<'a, 'w> = &'a mut (dyn FnMut(&StageRun<'_>) + 'w);

/// The buffers of one thread.
#[derive(Debug, Clone)]
pub(in super::super) struct Runs {
    stages: Vec<StageState>,
    time_ops: bool,
}

#[derive(Debug, Clone)]
pub(super) struct StageState {
    pub(super) state: State,
    pub(super) repeat: Option<LoopState>,
    /// Whether values of the episode may have changed since the last run.
    fresh: bool,
    times: Option<Vec<OpTime>>,
}

/// What a stage reads from.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) network: &'a Network,
    pub(super) observed: &'a [Tensor],
    /// The stages before it.
    pub(super) before: &'a [StageState],
}

pub(super) type Views<'a> = Fixed<View<'a>, MAX_INPUTS>;

impl Runs {
    pub(in super::super) fn new(network: &Network) -> Result<Self, PolicyError> {
        let mut stages: Vec<StageState> = Vec::new();
        for stage in &network.stages {
            let state = match stages.first() {
                None => stage.graph.state()?,
                Some(first) => stage.graph.state_beside(&first.state)?,
            };
            stages.push(StageState {
                state,
                repeat: LoopState::new(stage)?,
                fresh: true,
                times: None,
            });
        }
        Ok(Self {
            stages,
            time_ops: false,
        })
    }

    /// Shares the work of all stages with other threads. Forgets what was computed.
    pub(in super::super) fn use_threads(
        &mut self,
        network: &Network,
        threads: Threads,
    ) -> Result<(), PolicyError> {
        let Some((first, others)) = self.stages.split_first_mut() else {
            return Ok(());
        };
        first.state.use_threads(threads)?;
        for (stage, other) in network.stages.iter().skip(1).zip(others) {
            other.state = stage.graph.state_beside(&first.state)?;
        }
        Ok(())
    }

    pub(in super::super) fn time_ops(&mut self, on: bool) {
        self.time_ops = on;
        for stage in &mut self.stages {
            stage.times = None;
        }
    }

    /// Times of each op of a stage's last run; empty where none were taken.
    pub(in super::super) fn op_times(&self, stage: usize) -> &[OpTime] {
        let times = self
            .stages
            .get(stage)
            .and_then(|stage| stage.times.as_ref());
        times.map_or(&[], Vec::as_slice)
    }

    /// Runs the stages of an episode, on values of an episode that have changed.
    pub(in super::super) fn episode(
        &mut self,
        network: &Network,
        observed: &[Tensor],
        watch: Option<Watch<'_, '_>>,
    ) -> Result<(), PolicyError> {
        for stage in &mut self.stages {
            stage.fresh = true;
        }
        let mut nothing = NoiseSource::seeded(0);
        self.run(network, observed, &mut nothing, None, watch, |run| {
            run == Run::Episode
        })
    }

    /// Runs all other stages, on values of an observation that have changed. The flow that the actions come from is steered by
    /// `guide`.
    pub(in super::super) fn observation(
        &mut self,
        network: &Network,
        observed: &[Tensor],
        noise: &mut NoiseSource,
        guide: Option<&Guide>,
        watch: Option<Watch<'_, '_>>,
    ) -> Result<(), PolicyError> {
        self.run(network, observed, noise, guide, watch, |run| {
            run != Run::Episode
        })
    }

    fn run(
        &mut self,
        network: &Network,
        observed: &[Tensor],
        noise: &mut NoiseSource,
        guide: Option<&Guide>,
        mut watch: Option<Watch<'_, '_>>,
        chosen: impl Fn(Run) -> bool,
    ) -> Result<(), PolicyError> {
        for (index, stage) in network.stages.iter().enumerate() {
            if !chosen(stage.spec.run) {
                continue;
            }
            let (before, rest) = self.stages.split_at_mut(index);
            let Some(current) = rest.first_mut() else {
                break;
            };
            let sources = Sources {
                network,
                observed,
                before,
            };
            if self.time_ops {
                current.times.get_or_insert_default();
            }
            let changed = if current.fresh {
                Run::Episode
            } else {
                Run::Observation
            };
            match &mut current.repeat {
                None => {
                    let mut once = Once {
                        stage,
                        state: &mut current.state,
                        times: current.times.as_mut(),
                        watch: watch.as_deref_mut(),
                    };
                    let mut views = Views::new();
                    sources.gather(stage, None, &mut views)?;
                    once.run(&views, 0, changed)?;
                }
                Some(repeat) => {
                    let mut once = Once {
                        stage,
                        state: &mut current.state,
                        times: current.times.as_mut(),
                        watch: watch.as_deref_mut(),
                    };
                    let of_actions = network.action.0 == ValueRef::Result(index);
                    let guide = guide.filter(|_| of_actions);
                    repeat.run(&mut once, sources, noise, guide, changed)?;
                }
            }
            current.fresh = false;
        }
        Ok(())
    }

    /// A value that some stage made, or that was observed.
    pub(in super::super) fn value<'a>(
        &'a self,
        network: &'a Network,
        observed: &'a [Tensor],
        value: ValueRef,
    ) -> Result<View<'a>, PolicyError> {
        let sources = Sources {
            network,
            observed,
            before: &self.stages,
        };
        sources.view(value, None)
    }
}

impl<'a> Sources<'a> {
    /// What each input of a graph is fed.
    pub(super) fn gather(
        self,
        stage: &Stage,
        own: Option<&'a LoopState>,
        views: &mut Views<'a>,
    ) -> Result<(), PolicyError> {
        for place in &stage.inputs {
            let view = self.view(*place, own)?;
            if views.push(view).is_err() {
                let message = format!("stage \"{}\" has too many inputs", stage.spec.name);
                return Err(PolicyError::Other(message));
            }
        }
        Ok(())
    }

    pub(super) fn view(
        self,
        place: ValueRef,
        own: Option<&'a LoopState>,
    ) -> Result<View<'a>, PolicyError> {
        let missing = || PolicyError::Other("a value was read before it was made".to_owned());
        let view = match place {
            ValueRef::Observed(index) => self.observed.get(index).map(Tensor::view),
            ValueRef::Output(stage, output) => {
                let (graph, made) = self.stage(stage).ok_or_else(missing)?;
                Some(graph.output(&made.state, output)?)
            }
            ValueRef::Result(stage) => {
                let made = self.stage(stage).and_then(|(_, made)| made.repeat.as_ref());
                made.map(LoopState::result)
            }
            own_value => own.and_then(|own| own.value(own_value)),
        };
        view.ok_or_else(missing)
    }

    fn stage(self, index: usize) -> Option<(&'a Graph, &'a StageState)> {
        let stage = self.network.stages.get(index)?;
        Some((&stage.graph, self.before.get(index)?))
    }
}

/// A graph that is about to run.
pub(super) struct Once<'a, 'w> {
    pub(super) stage: &'a Stage,
    pub(super) state: &'a mut State,
    times: Option<&'a mut Vec<OpTime>>,
    watch: Option<Watch<'a, 'w>>,
}

impl Once<'_, '_> {
    /// Runs the graph and checks its outputs; `changed`: what may have changed most seldom since the last run.
    pub(super) fn run(
        &mut self,
        views: &[View<'_>],
        step: usize,
        changed: Run,
    ) -> Result<(), PolicyError> {
        let graph = &self.stage.graph;
        let times = self.times.as_deref_mut();
        graph.run_timed(self.state, views, rate(changed), times)?;
        for (index, (tensor, _)) in graph.outputs().iter().enumerate() {
            let view = graph.output(self.state, index)?;
            if let Some(index) = not_finite(&view) {
                let what = format!("{}.{tensor}", self.stage.spec.name);
                return Err(PolicyError::NotFinite { what, index });
            }
        }
        if let Some(watch) = &mut self.watch {
            watch(&StageRun {
                stage: &self.stage.spec.name,
                step,
                graph,
                state: self.state,
                inputs: views,
            });
        }
        Ok(())
    }

    /// The values of an output of the last run.
    pub(super) fn floats(&self, output: usize) -> Result<&[f32], PolicyError> {
        Ok(self.stage.graph.values(self.state, output)?)
    }
}

/// All bits of the exponent of an f16, which NaN and infinities have set.
const EXPONENT_F16: u16 = 0x7C00;

/// The flat index of the first NaN or infinity.
fn not_finite(view: &View<'_>) -> Option<usize> {
    match view.element()? {
        Element::F32 => {
            let values = view.values::<f32>().ok()?;
            values.iter().position(|value| !value.is_finite())
        }
        Element::F64 => {
            let values = view.values::<f64>().ok()?;
            values.iter().position(|value| !value.is_finite())
        }
        Element::F16 => {
            let (values, _) = view.bytes().as_chunks::<2>();
            let infinite = |bits: u16| bits & EXPONENT_F16 == EXPONENT_F16;
            values
                .iter()
                .position(|bytes| infinite(u16::from_ne_bytes(*bytes)))
        }
        _ => None,
    }
}
