//! A policy package at one precision, run on the calling thread.

use std::sync::Arc;
use std::time::Instant;

use wink_engine::{
    Execution, Fusion, GraphInfo, LoadTimes, OpInfo, OpTime, Tensor, TensorSpec, Threads,
};

use super::action::ActionWriter;
use super::feeds::Feeds;
use super::loops::{Guide, NoiseSource};
use super::manifest::{ActionSpace, FlowSpec, Manifest, Method, Reference, Run};
use super::stages::{Network, Runs, StageRun, ValueRef};
use super::text::TextEncoder;
use super::{
    ActionChunk, ChunkShape, Condition, Conditioning, Observation, Package, Policy, PolicyError,
    PolicyTimes,
};

/// The seed of a policy's noise, until [`OnnxPolicy::seed`].
const SEED: u64 = 0;

/// A policy of a package.
///
/// A clone shares the graphs and has buffers of its own: load once, clone per thread. The output does not depend on how
/// many clones run.
#[derive(Debug, Clone)]
pub struct OnnxPolicy {
    pub(super) shared: Arc<Shared>,
    pub(super) feeds: Feeds,
    pub(super) runs: Runs,
    pub(super) noise: NoiseSource,
    /// `None` where the actions do not come from a flow.
    guide: Option<Guide>,
    begun: bool,
    times: PolicyTimes,
}

/// What all clones of a policy have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) manifest: Manifest,
    precision: String,
    pub(super) network: Network,
    encoder: Option<Arc<TextEncoder>>,
    pub(super) action: ActionWriter,
}

/// A loaded stage, as `wink inspect` shows it.
#[derive(Debug, Clone)]
pub struct StageReport {
    /// Its name.
    pub stage: String,
    /// When it runs.
    pub run: Run,
    /// How often it runs then, at most.
    pub steps: usize,
    /// File name.
    pub file: String,
    /// What the file holds.
    pub info: GraphInfo,
    /// Type and shape of each value that it reads, by the input's name in the file.
    pub inputs: Vec<(String, TensorSpec)>,
    /// Type and shape of each output that is kept, by its name in the file.
    pub outputs: Vec<(String, TensorSpec)>,
    /// Multiply-accumulates of one run.
    pub macs: u64,
    /// What runs in fused ops and what does not; `None` where tract runs alone.
    pub fusion: Option<Fusion>,
    /// How long it took to load.
    pub load: LoadTimes,
}

impl OnnxPolicy {
    /// Loads the graphs of a precision, or of the package's default one.
    ///
    /// # Errors
    /// When the precision is not in the package, or a graph or the tokenizer is broken or does not fit `policy.json`.
    pub fn load(package: &Package, precision: Option<&str>) -> Result<Self, PolicyError> {
        Self::load_with(package, precision, Execution::default())
    }

    /// [`OnnxPolicy::load`] with the choice of what runs the graphs.
    ///
    /// # Errors
    /// As for [`OnnxPolicy::load`].
    pub fn load_with(
        package: &Package,
        precision: Option<&str>,
        execution: Execution,
    ) -> Result<Self, PolicyError> {
        let manifest = package.manifest().clone();
        let precision = precision.unwrap_or(&manifest.default_precision).to_owned();
        if !manifest.precisions.contains_key(&precision) {
            let held = manifest.precisions.keys().cloned().collect();
            return Err(PolicyError::UnknownPrecision {
                asked: precision,
                held,
            });
        }
        let encoder = match &manifest.observations.text {
            Some(spec) => Some(Arc::new(TextEncoder::load(package, spec)?)),
            None => None,
        };
        let network = Network::load(package, &precision, execution)?;
        let feeds = Feeds::new(&manifest, &network.observed, encoder.clone())?;
        let runs = Runs::new(&network)?;
        Ok(Self {
            guide: guide(&network, &manifest),
            shared: Arc::new(Shared {
                action: ActionWriter::new(&manifest.action),
                manifest,
                precision,
                network,
                encoder,
            }),
            feeds,
            runs,
            noise: NoiseSource::seeded(SEED),
            begun: false,
            times: PolicyTimes::default(),
        })
    }

    /// The same policy with another graph for one stage: the same inputs and outputs, computed in another way. It begins with the
    /// noise that this one goes on with, and with an episode's beginning.
    ///
    /// # Errors
    /// When there is no such stage, or the graph is broken or of other inputs or outputs.
    pub fn with_graph(&self, stage: &str, onnx: Vec<u8>) -> Result<Self, PolicyError> {
        let shared = &self.shared;
        let mut network = shared.network.clone();
        let place = network
            .stage(stage)
            .ok_or_else(|| PolicyError::Other(format!("there is no stage {stage}")))?;
        network.stages[place].replace(onnx)?;
        Ok(Self {
            runs: Runs::new(&network)?,
            shared: Arc::new(Shared {
                action: ActionWriter::new(&shared.manifest.action),
                manifest: shared.manifest.clone(),
                precision: shared.precision.clone(),
                encoder: shared.encoder.clone(),
                network,
            }),
            feeds: self.feeds.clone(),
            noise: self.noise.clone(),
            guide: self.guide.clone(),
            begun: false,
            times: PolicyTimes::default(),
        })
    }

    /// Shares the work of the stages with other threads. Clones that are made afterwards share the threads too: one inference at a
    /// time has them, and the others run alone meanwhile. The next thing must be an episode's beginning.
    ///
    /// # Errors
    /// When the threads are to be pinned and cannot be.
    pub fn use_threads(&mut self, threads: Threads) -> Result<(), PolicyError> {
        self.begun = false;
        self.runs.use_threads(&self.shared.network, threads)
    }

    /// Sets the seed of the noise that loops start from. The same seed gives the same actions on every processor.
    pub fn seed(&mut self, seed: u64) {
        self.noise = NoiseSource::seeded(seed);
    }

    /// Name of the precision that was loaded.
    #[must_use]
    pub fn precision(&self) -> &str {
        &self.shared.precision
    }

    /// What `policy.json` says.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.shared.manifest
    }

    /// The loaded stages, in the order in which they run.
    #[must_use]
    pub fn stages(&self) -> Vec<StageReport> {
        let report = |stage: &super::stages::Stage| StageReport {
            stage: stage.spec.name.clone(),
            run: stage.spec.run,
            steps: match stage.spec.method() {
                None => 1,
                Some(Method::Flow(flow, _)) => flow.times().len().saturating_sub(1),
                Some(Method::Diffusion(diffusion, _)) => diffusion.steps,
                Some(Method::Tokens(tokens)) => tokens.max_tokens,
            },
            file: stage
                .graph
                .file()
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            info: stage.graph.info().clone(),
            inputs: stage.graph.inputs().to_vec(),
            outputs: stage.graph.outputs().to_vec(),
            macs: stage.graph.macs(),
            fusion: stage.graph.fusion().cloned(),
            load: stage.graph.load_times(),
        };
        self.shared.network.stages.iter().map(report).collect()
    }

    /// The ops of a stage in the order in which they run; none where the policy has no such stage.
    #[must_use]
    pub fn ops(&self, stage: &str) -> Vec<OpInfo> {
        let network = &self.shared.network;
        let stage = network.stage(stage).map(|index| &network.stages[index]);
        stage.map_or_else(Vec::new, |stage| stage.graph.ops())
    }

    /// Whether each op is timed from now on: two looks at the clock per op.
    pub fn time_ops(&mut self, on: bool) {
        self.runs.time_ops(on);
    }

    /// The times of a stage's last run, in the order of [`OnnxPolicy::ops`]; empty unless [`OnnxPolicy::time_ops`] was on and it
    /// ran since.
    #[must_use]
    pub fn op_times(&self, stage: &str) -> &[OpTime] {
        match self.shared.network.stage(stage) {
            Some(index) => self.runs.op_times(index),
            None => &[],
        }
    }

    /// Token ids of an instruction, filled up to the length that the graphs take; empty for a policy without text, or whose text
    /// holds the state.
    ///
    /// # Errors
    /// When the instruction is empty or too long.
    pub fn tokens(&self, instruction: &str) -> Result<Vec<i64>, PolicyError> {
        match (
            &self.shared.encoder,
            &self.shared.manifest.observations.text,
        ) {
            (Some(encoder), Some(text)) if text.holds_state() => {
                encoder.check(instruction).map(|()| Vec::new())
            }
            (Some(encoder), _) => Ok(encoder.encode(instruction, None)?.ids),
            (None, _) => Ok(Vec::new()),
        }
    }

    /// The values that the stages read of an instruction and an observation, by name; the first observation of an episode.
    ///
    /// # Errors
    /// When the instruction or the observation does not fit.
    pub fn observed(
        &self,
        instruction: &str,
        observation: &Observation<'_>,
    ) -> Result<Vec<(String, Tensor)>, PolicyError> {
        observation.check(&self.shared.manifest)?;
        let mut feeds = self.feeds.clone();
        feeds.begin(instruction)?;
        feeds.observe(observation)?;
        feeds.write_text()?;
        feeds.draw(&mut self.noise.clone(), |_| true)?;
        let names = self.shared.network.observed.iter();
        Ok(names
            .map(|(name, _)| name.clone())
            .zip(feeds.tensors)
            .collect())
    }

    /// Type, shape and values of an auxiliary value after [`Policy::act`].
    ///
    /// # Errors
    /// When the policy has none of this name, or has not acted yet.
    pub fn auxiliary(&self, name: &str) -> Result<(&TensorSpec, &[f32]), PolicyError> {
        let specs = &self.shared.manifest.auxiliary;
        let Some(index) = specs.iter().position(|spec| spec.name == name) else {
            let held: Vec<&str> = specs.iter().map(|spec| &*spec.name).collect();
            return Err(PolicyError::Unknown {
                kind: "auxiliary value",
                name: name.to_owned(),
                held: held.join(", "),
            });
        };
        let (value, spec) = &self.shared.network.auxiliary[index];
        Ok((spec, self.floats(*value)?))
    }

    /// [`Policy::begin_episode`]; `watch` sees every run of a graph.
    ///
    /// # Errors
    /// As for [`Policy::begin_episode`].
    pub fn begin_watched(
        &mut self,
        instruction: &str,
        watch: &mut dyn FnMut(&StageRun<'_>),
    ) -> Result<(), PolicyError> {
        self.begin(instruction, Some(watch))
    }

    /// [`Policy::act`]; `watch` sees every run of a graph.
    ///
    /// # Errors
    /// As for [`Policy::act`].
    pub fn act_watched(
        &mut self,
        observation: &Observation<'_>,
        out: &mut ActionChunk,
        watch: &mut dyn FnMut(&StageRun<'_>),
    ) -> Result<(), PolicyError> {
        self.infer(observation, out, Some(watch))
    }

    fn begin(
        &mut self,
        instruction: &str,
        watch: Option<&mut dyn FnMut(&StageRun<'_>)>,
    ) -> Result<(), PolicyError> {
        self.begun = false;
        self.feeds.begin(instruction)?;
        self.run_episode(watch)
    }

    /// Runs the stages of an episode on the values that lie in the feeds.
    pub(super) fn run_episode(
        &mut self,
        watch: Option<&mut dyn FnMut(&StageRun<'_>)>,
    ) -> Result<(), PolicyError> {
        let network = &self.shared.network;
        self.runs.episode(network, &self.feeds.tensors, watch)?;
        self.begun = true;
        Ok(())
    }

    fn infer(
        &mut self,
        observation: &Observation<'_>,
        out: &mut ActionChunk,
        watch: Option<&mut dyn FnMut(&StageRun<'_>)>,
    ) -> Result<(), PolicyError> {
        let start = Instant::now();
        self.take_in(observation)?;
        let preprocessed = Instant::now();
        self.run_observation(out, watch)?;
        self.times = PolicyTimes {
            preprocess_us: micros(start, preprocessed),
            inference_us: micros(preprocessed, Instant::now()),
        };
        Ok(())
    }

    fn take_in(&mut self, observation: &Observation<'_>) -> Result<(), PolicyError> {
        if !self.begun {
            return Err(PolicyError::NoEpisode);
        }
        observation.check(&self.shared.manifest)?;
        self.feeds.observe(observation)?;
        self.feeds.write_text()?;
        self.feeds.draw(&mut self.noise, |_| true)
    }

    /// Runs the other stages on the values that lie in the feeds.
    pub(super) fn run_observation(
        &mut self,
        out: &mut ActionChunk,
        watch: Option<&mut dyn FnMut(&StageRun<'_>)>,
    ) -> Result<(), PolicyError> {
        let network = &self.shared.network;
        let observed = &self.feeds.tensors;
        self.runs.observation(
            network,
            observed,
            &mut self.noise,
            self.guide.as_ref(),
            watch,
        )?;
        let values = self.floats(network.action.0)?;
        self.shared.action.run(values, out)
    }

    fn floats(&self, value: ValueRef) -> Result<&[f32], PolicyError> {
        let view = self
            .runs
            .value(&self.shared.network, &self.feeds.tensors, value)?;
        view.values().map_err(|e| PolicyError::Other(e.to_string()))
    }
}

impl Policy for OnnxPolicy {
    fn begin_episode(&mut self, instruction: &str) -> Result<(), PolicyError> {
        self.begin(instruction, None)
    }

    fn act(
        &mut self,
        observation: &Observation<'_>,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        self.infer(observation, out, None)
    }

    fn act_on(
        &mut self,
        observation: &Observation<'_>,
        condition: &Condition,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        self.check_conditioning(condition.how, condition.delay)?;
        if let Some(guide) = &mut self.guide {
            let action = &self.shared.action;
            guide.set(condition, |values, out| action.normalise(values, out));
        }
        let done = self.infer(observation, out, None);
        if let Some(guide) = &mut self.guide {
            guide.clear();
        }
        done
    }

    fn check_conditioning(&self, how: Conditioning, delay: usize) -> Result<(), PolicyError> {
        if how == Conditioning::None {
            return Ok(());
        }
        let refused = |message: String| PolicyError::Conditioning {
            how: how.name(),
            message,
        };
        let manifest = &self.shared.manifest;
        let Some(flow) = flow(&self.shared.network) else {
            let from = &manifest.action.from;
            return Err(refused(format!(
                "needs actions that a flow makes, and those of {} are \"{from}\", which none does",
                manifest.name
            )));
        };
        let relative = manifest.action.space == ActionSpace::JointPosition
            && manifest.action.reference == Reference::Relative;
        if relative || manifest.action.first != 0 {
            return Err(refused(format!(
                "needs chunks that begin at the observation and are not measured from its state; those of {} do not",
                manifest.name
            )));
        }
        match (how, flow.prefix) {
            (Conditioning::Prefix, None) => Err(refused(format!(
                "needs a policy that was trained for it, and {} was not (no `prefix` in its flow)",
                manifest.name
            ))),
            (Conditioning::Prefix, Some(most)) if delay > most => Err(refused(format!(
                "of {} takes at most {most} actions for executed while inference runs, not {delay}",
                manifest.name
            ))),
            _ => Ok(()),
        }
    }

    fn see(&mut self, observation: &Observation<'_>) -> Result<(), PolicyError> {
        if !self.begun {
            return Err(PolicyError::NoEpisode);
        }
        observation.check(&self.shared.manifest)?;
        self.feeds.observe(observation)
    }

    fn keeps_history(&self) -> bool {
        let observations = &self.shared.manifest.observations;
        let cameras = observations.cameras.iter().map(|camera| camera.history);
        let states = observations.states.iter().map(|state| state.history);
        cameras.chain(states).any(|history| history > 1)
    }

    fn needs_frame(&self) -> bool {
        !self.shared.manifest.observations.cameras.is_empty()
    }

    fn chunk_shape(&self) -> ChunkShape {
        let action = &self.shared.manifest.action;
        ChunkShape {
            steps: action.chunk,
            execute: action.execute,
            dim: action.names.len(),
        }
    }

    fn manifest(&self) -> Option<Manifest> {
        Some(self.shared.manifest.clone())
    }

    fn control_hz(&self) -> Option<f64> {
        Some(self.shared.manifest.control_hz)
    }

    fn times(&self) -> PolicyTimes {
        self.times
    }
}

/// The flow whose sample is the chunk; `None` where the actions come from something else.
fn flow(network: &Network) -> Option<&FlowSpec> {
    let ValueRef::Result(stage) = network.action.0 else {
        return None;
    };
    match network.stages.get(stage)?.spec.method() {
        Some(Method::Flow(flow, _)) => Some(flow),
        _ => None,
    }
}

fn guide(network: &Network, manifest: &Manifest) -> Option<Guide> {
    flow(network)?;
    let rows = network.action.1.shape.get(1).copied()?;
    let action = &manifest.action;
    Some(Guide::new(rows, action.width, action.names.len()))
}

fn micros(from: Instant, to: Instant) -> u64 {
    u64::try_from((to - from).as_micros()).unwrap_or(u64::MAX)
}
