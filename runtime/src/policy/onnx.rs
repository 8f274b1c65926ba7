//! A policy package at one precision, run on the calling thread.

use std::sync::Arc;
use std::time::Instant;

use wink_engine::{
    Element, EngineError, Execution, Fusion, GraphInfo, LoadTimes, OpInfo, OpTime, Rate, State,
    Tensor, TensorError, TensorSpec, Threads, View,
};

use super::manifest::{Manifest, Role};
use super::preprocess::{ImagePreprocessor, normalise_state};
use super::text::TextEncoder;
use super::wired::{Fed, WiredGraph};
use super::{ActionChunk, ChunkShape, Observation, Package, Policy, PolicyError, PolicyTimes};

/// Text and what else stays the same during an episode.
const EPISODE: Rate = Rate(0);
/// Image and state.
const OBSERVATION: Rate = Rate(1);

/// A vision-language-action network.
///
/// A clone shares the graphs and has buffers of its own: load once, clone per thread. The output does not depend on how
/// many clones run.
#[derive(Debug, Clone)]
pub struct OnnxPolicy {
    shared: Arc<Shared>,
    act: State,
    /// What is fed to the act graph, in its order. Text stays the same during an episode.
    inputs: Vec<Tensor>,
    /// The slowest rate at which an input changed since the last run.
    changed: Rate,
    image: Option<(usize, ImagePreprocessor)>,
    state: Option<usize>,
    begun: bool,
    times: PolicyTimes,
    /// Of the last run of each graph, where asked for.
    op_times: Option<OpTimes>,
}

#[derive(Debug, Clone, Default)]
struct OpTimes {
    text: Vec<OpTime>,
    act: Vec<OpTime>,
}

#[derive(Debug)]
struct Shared {
    manifest: Manifest,
    precision: String,
    encoder: Option<TextEncoder>,
    text: Option<WiredGraph>,
    act: WiredGraph,
    thresholds: Vec<Option<f32>>,
}

/// A loaded graph, as `wink inspect` shows it.
#[derive(Debug, Clone)]
pub struct GraphReport {
    /// `text` or `act`.
    pub role: &'static str,
    /// File name.
    pub file: String,
    /// What the file holds.
    pub info: GraphInfo,
    /// Multiply-accumulates of one run, as the engine counts them.
    pub macs: u64,
    /// What runs in fused 8-bit ops and what does not; `None` where the engine runs alone.
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

    /// [`OnnxPolicy::load`] with the choice of what runs the quantised products.
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
        let Some(graphs) = manifest.precisions.get(&precision) else {
            let held = manifest.precisions.keys().cloned().collect();
            return Err(PolicyError::UnknownPrecision {
                asked: precision,
                held,
            });
        };
        let observed = |feed: &str| observed_feed(&manifest, feed);
        let text = graphs
            .graph(Role::Text)
            .map(|spec| {
                WiredGraph::load(package, spec, execution, |feed| {
                    let spec = observed(feed)?;
                    let rate = EPISODE;
                    Some(Fed { spec, rate })
                })
            })
            .transpose()?;
        let encoded = |feed: &str| text.as_ref()?.output(feed).cloned();
        let Some(act_spec) = graphs.graph(Role::Act) else {
            let file = package.path("policy.json");
            return Err(PolicyError::Graph {
                file,
                message: format!("precision {precision} has no act graph"),
            });
        };
        let act = WiredGraph::load(package, act_spec, execution, |feed| {
            let spec = encoded(feed).or_else(|| observed(feed))?;
            // What the text graph computes changes with the instruction, as do the tokens; the rest is observed.
            let episode = encoded(feed).is_some() || feed == "tokens";
            let rate = if episode { EPISODE } else { OBSERVATION };
            Some(Fed { spec, rate })
        })?;
        check_outputs(&manifest, text.as_ref(), &act)?;
        let encoder = manifest
            .text
            .as_ref()
            .map(|spec| TextEncoder::load(package, spec))
            .transpose()?;
        let thresholds = manifest
            .action
            .names
            .iter()
            .map(|name| manifest.action.threshold.get(name).copied())
            .collect();
        Self::new(Arc::new(Shared {
            manifest,
            precision,
            encoder,
            text,
            act,
            thresholds,
        }))
    }

    fn new(shared: Arc<Shared>) -> Result<Self, PolicyError> {
        let position = |feed: &str| shared.act.inputs.iter().position(|name| name == feed);
        let image = match (position("image"), &shared.manifest.image) {
            (Some(index), Some(spec)) => Some((index, ImagePreprocessor::new(spec))),
            _ => None,
        };
        let state = position("state");
        let mut inputs = Vec::new();
        for (_, spec) in shared.act.graph.inputs() {
            let zeros = Tensor::zeros(spec.clone());
            inputs.push(zeros.map_err(|error| broken(&shared.act, &error))?);
        }
        let act = shared.act.graph.state()?;
        Ok(Self {
            shared,
            act,
            inputs,
            changed: EPISODE,
            image,
            state,
            begun: false,
            times: PolicyTimes::default(),
            op_times: None,
        })
    }

    /// Shares the work of the fused ops with other threads. Clones that are made afterwards share the threads too: one inference
    /// at a time has them, and the others run alone meanwhile.
    ///
    /// # Errors
    /// When the threads are to be pinned and cannot be.
    pub fn use_threads(&mut self, threads: Threads) -> Result<(), PolicyError> {
        self.act.use_threads(threads)?;
        Ok(())
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

    /// The loaded graphs.
    #[must_use]
    pub fn graphs(&self) -> Vec<GraphReport> {
        let report = |role: Role, WiredGraph { graph, .. }: &WiredGraph| GraphReport {
            role: role.name(),
            file: graph
                .file()
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            info: graph.info().clone(),
            macs: graph.macs(),
            fusion: graph.fusion().cloned(),
            load: graph.load_times(),
        };
        let text = self
            .shared
            .text
            .iter()
            .map(|graph| report(Role::Text, graph));
        text.chain([report(Role::Act, &self.shared.act)]).collect()
    }

    /// The ops of a graph in the order in which they run; none where the policy has no such graph.
    #[must_use]
    pub fn ops(&self, role: Role) -> Vec<OpInfo> {
        match role {
            Role::Text => {
                let text = self.shared.text.as_ref();
                text.map_or_else(Vec::new, |text| text.graph.ops())
            }
            Role::Act => self.shared.act.graph.ops(),
        }
    }

    /// Whether each op is timed from now on: two looks at the clock per op.
    pub fn time_ops(&mut self, on: bool) {
        self.op_times = on.then(OpTimes::default);
    }

    /// The times of a graph's last run, in the order of [`OnnxPolicy::ops`]; empty unless
    /// [`OnnxPolicy::time_ops`] was on and it ran since.
    #[must_use]
    pub fn op_times(&self, role: Role) -> &[OpTime] {
        match (&self.op_times, role) {
            (Some(times), Role::Text) => &times.text,
            (Some(times), Role::Act) => &times.act,
            (None, _) => &[],
        }
    }

    /// Token ids of an instruction, filled up to the length that the text graph takes; empty for a policy without text.
    ///
    /// # Errors
    /// When the instruction is empty or too long.
    pub fn tokens(&self, instruction: &str) -> Result<Vec<i64>, PolicyError> {
        self.shared
            .encoder
            .as_ref()
            .map_or(Ok(Vec::new()), |encoder| encoder.encode(instruction))
    }

    /// Runs the text graph and keeps its outputs for the episode.
    pub(crate) fn set_tokens(&mut self, tokens: &[i64]) -> Result<(), PolicyError> {
        self.begun = false;
        let shared = self.shared.clone();
        let act = &shared.act;
        let shape = [1, tokens.len()];
        let tokens = View::of(&shape, tokens).map_err(|error| broken(act, &error))?;
        self.changed = EPISODE;
        self.set_input("tokens", tokens)?;
        if let Some(text) = &shared.text {
            let mut state = text.graph.state_beside(&self.act)?;
            let times = self.op_times.as_mut().map(|times| &mut times.text);
            text.graph
                .run_timed(&mut state, &[tokens], EPISODE, times)?;
            for (index, name) in text.outputs.iter().enumerate() {
                check_finite("text", text.graph.values(&state, index)?)?;
                self.set_input(name, text.graph.output(&state, index)?)?;
            }
        }
        self.begun = true;
        Ok(())
    }

    /// Copies a tensor to the input of this feed, where the act graph has one.
    fn set_input(&mut self, feed: &str, view: View<'_>) -> Result<(), PolicyError> {
        let Some(index) = self.input_position(feed) else {
            return Ok(());
        };
        let copied = self.inputs[index].copy_from(view);
        copied.map_err(|error| broken(&self.shared.act, &error))
    }

    /// Runs the act graph on what lies in the input buffers and hands its normalised output to `take`.
    pub(crate) fn infer(&mut self, take: impl FnOnce(&[f32])) -> Result<(), PolicyError> {
        let graph = &self.shared.act.graph;
        let times = self.op_times.as_mut().map(|times| &mut times.act);
        graph.run_timed(&mut self.act, &*self.inputs, self.changed, times)?;
        self.changed = OBSERVATION;
        take(check_finite("action", graph.values(&self.act, 0)?)?);
        Ok(())
    }

    /// Lets `fill` write the buffer of a feed.
    pub(crate) fn fill_input(
        &mut self,
        index: usize,
        fill: impl FnOnce(&mut [f32]) -> Result<(), PolicyError>,
    ) -> Result<(), PolicyError> {
        let values = self.inputs[index].values_mut();
        fill(values.map_err(|error| broken(&self.shared.act, &error))?)
    }

    /// Position of a feed among the act graph's inputs.
    pub(crate) fn input_position(&self, feed: &str) -> Option<usize> {
        self.shared.act.inputs.iter().position(|name| name == feed)
    }
}

impl Policy for OnnxPolicy {
    fn begin_episode(&mut self, instruction: &str) -> Result<(), PolicyError> {
        self.begun = false;
        let tokens = self.tokens(instruction)?;
        self.set_tokens(&tokens)
    }

    fn act(
        &mut self,
        observation: &Observation<'_>,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        if !self.begun {
            return Err(PolicyError::NoEpisode);
        }
        let start = Instant::now();
        let shared = self.shared.clone();
        if let Some(index) = self.state {
            let spec = &shared.manifest.state;
            self.fill_input(index, |values| {
                normalise_state(observation.proprio, &spec.mean, &spec.std, values)
            })?;
        }
        if let Some((index, mut preprocessor)) = self.image.take() {
            let written = match observation.frame {
                Some(frame) => self.fill_input(index, |values| preprocessor.run(frame, values)),
                None => Err(PolicyError::MissingFrame),
            };
            self.image = Some((index, preprocessor));
            written?;
        }
        let preprocessed = Instant::now();
        let action = &shared.manifest.action;
        out.reset(action.chunk, action.names.len());
        self.infer(|normalised| {
            for (step, values) in out
                .data
                .chunks_exact_mut(action.names.len())
                .zip(normalised.chunks_exact(action.names.len()))
            {
                for (index, (value, x)) in step.iter_mut().zip(values).enumerate() {
                    let physical = x * action.std[index] + action.mean[index];
                    *value = match shared.thresholds[index] {
                        Some(threshold) => f32::from(u8::from(physical > threshold)),
                        None => physical,
                    };
                }
            }
        })?;
        if let Some(index) = out.data.iter().position(|value| !value.is_finite()) {
            return Err(PolicyError::NotFinite {
                what: "action",
                index,
            });
        }
        self.times = PolicyTimes {
            preprocess_us: micros(start, preprocessed),
            inference_us: micros(preprocessed, Instant::now()),
        };
        Ok(())
    }

    fn needs_frame(&self) -> bool {
        self.image.is_some()
    }

    fn chunk_shape(&self) -> ChunkShape {
        let action = &self.shared.manifest.action;
        ChunkShape {
            steps: action.chunk,
            execute: action.execute,
            dim: action.names.len(),
        }
    }

    fn times(&self) -> PolicyTimes {
        self.times
    }
}

fn micros(from: Instant, to: Instant) -> u64 {
    u64::try_from((to - from).as_micros()).unwrap_or(u64::MAX)
}

/// What the runtime itself feeds.
fn observed_feed(manifest: &Manifest, feed: &str) -> Option<TensorSpec> {
    match feed {
        "image" => manifest
            .image
            .as_ref()
            .map(|spec| TensorSpec::new(Element::F32, &ImagePreprocessor::new(spec).shape())),
        "state" => Some(TensorSpec::new(
            Element::F32,
            &[1, manifest.state.names.len()],
        )),
        "tokens" => manifest
            .text
            .as_ref()
            .map(|spec| TensorSpec::new(Element::I64, &[1, spec.max_tokens])),
        _ => None,
    }
}

fn check_outputs(
    manifest: &Manifest,
    text: Option<&WiredGraph>,
    act: &WiredGraph,
) -> Result<(), PolicyError> {
    let wrong = |wired: &WiredGraph, message| PolicyError::Graph {
        file: wired.graph.file().to_owned(),
        message,
    };
    if let Some(text) = text {
        for (name, (_, spec)) in text.outputs.iter().zip(text.graph.outputs()) {
            if *spec != TensorSpec::new(Element::F32, &spec.shape) {
                return Err(wrong(
                    text,
                    format!("output \"{name}\" is {spec}, must be f32"),
                ));
            }
        }
    }
    let wanted = TensorSpec::new(
        Element::F32,
        &[1, manifest.action.chunk, manifest.action.names.len()],
    );
    let first = act.outputs.iter().zip(act.graph.outputs()).next();
    match first {
        Some((_, (_, spec))) if *spec == wanted => Ok(()),
        Some((name, (_, spec))) => Err(wrong(
            act,
            format!("output \"{name}\" is {spec}, policy.json makes it {wanted}"),
        )),
        None => Err(wrong(act, "has no output".to_owned())),
    }
}

/// A tensor that the graph was loaded for cannot be had.
fn broken(wired: &WiredGraph, error: &TensorError) -> PolicyError {
    let error = EngineError::Inference {
        file: wired.graph.file().to_owned(),
        message: error.to_string(),
    };
    error.into()
}

/// The values, where all of them are finite.
fn check_finite<'a>(what: &'static str, values: &'a [f32]) -> Result<&'a [f32], PolicyError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(index) => Err(PolicyError::NotFinite { what, index }),
    }
}
