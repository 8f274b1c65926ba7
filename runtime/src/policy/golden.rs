//! Golden values of a package: what the policy that was exported computed, compared with what is computed here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wink_engine::{Element, Tensor, View};

use super::feeds::integers;
use super::loops::{NoiseSource, Stream};
use super::stages::{StageRun, ValueRef};
use super::{
    ActionChunk, CameraFrame, Observation, OnnxPolicy, Package, PackageError, PolicyError,
    StateVector,
};
use crate::camera::Frame;

/// The content of `golden.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    reference: String,
    instruction: Option<String>,
    tokens: Option<Vec<i64>>,
    #[serde(default)]
    frames: BTreeMap<String, SeededFrames>,
    #[serde(default)]
    states: BTreeMap<String, Vec<Vec<f32>>>,
    #[serde(default)]
    inputs: BTreeMap<String, Given>,
    noise: Option<Range>,
    precisions: BTreeMap<String, Expected>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeededFrames {
    width: u32,
    height: u32,
    seeds: Vec<u32>,
}

/// Numbers made from a seed.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    seed: u32,
    low: f64,
    high: f64,
}

/// A value that is fed as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    shape: Vec<usize>,
    values: Option<Vec<f64>>,
    seed: Option<u32>,
    low: Option<f64>,
    high: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    #[serde(default)]
    values: BTreeMap<String, Sampled>,
    action: Option<Whole>,
}

/// Every so many-th element of a tensor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sampled {
    shape: Vec<usize>,
    every: usize,
    values: Vec<f64>,
    tolerance: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    shape: Vec<usize>,
    values: Vec<f64>,
    tolerance: f64,
}

/// How far this runtime is from the reference, value by value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GoldenReport {
    /// What computed the golden values.
    pub reference: String,
    /// Each value, in the order in which it is computed; `action` is the whole.
    pub values: Vec<GoldenValue>,
}

/// How far one value is from the reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GoldenValue {
    /// Its name in `policy.json`, or `action`.
    pub value: String,
    /// Largest difference.
    pub max_error: f64,
    /// Root mean square of the differences.
    pub rms_error: f64,
    /// Numbers compared.
    pub count: usize,
    /// Largest difference that passes.
    pub tolerance: f64,
}

impl GoldenValue {
    /// Whether the difference is small enough.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.max_error <= self.tolerance
    }
}

impl GoldenReport {
    /// Whether every difference is small enough.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.values.iter().all(GoldenValue::passed)
    }

    /// The value that is furthest off, measured in its tolerance.
    #[must_use]
    pub fn worst(&self) -> Option<&GoldenValue> {
        let off = |value: &GoldenValue| value.max_error / value.tolerance.max(f64::MIN_POSITIVE);
        self.values.iter().max_by(|a, b| off(a).total_cmp(&off(b)))
    }
}

impl OnnxPolicy {
    /// Computes the golden values of the package; `None` where it has none for this precision.
    ///
    /// # Errors
    /// When the file of golden values is broken or does not fit the package, or a graph cannot be run on them.
    pub fn check(&self, package: &Package) -> Result<Option<GoldenReport>, PolicyError> {
        let Some(file) = &package.manifest().golden else {
            return Ok(None);
        };
        let content = package.read(file)?;
        let refused = |message: String| PackageError::Manifest {
            file: package.path(file),
            message,
        };
        let golden: Golden =
            serde_json::from_slice(&content).map_err(|e| refused(e.to_string()))?;
        let Some(expected) = golden.precisions.get(self.precision()) else {
            return Ok(None);
        };
        let mut policy = self.clone();
        policy.feed(&golden).map_err(|fault| fault.told(&refused))?;
        let mut compared = Compared {
            expected,
            rows: Vec::new(),
            fault: None,
        };
        let mut chunk = ActionChunk::default();
        for ((name, _), tensor) in policy
            .shared
            .network
            .observed
            .iter()
            .zip(&policy.feeds.tensors)
        {
            compared.see(name, &tensor.view());
        }
        let mut watch = |run: &StageRun<'_>| {
            if run.step() == 0 {
                for (tensor, view) in run.outputs() {
                    compared.see(&format!("{}.{tensor}", run.stage()), &view);
                }
            }
        };
        policy.run_episode(Some(&mut watch))?;
        policy.run_observation(&mut chunk, Some(&mut watch))?;
        let network = &policy.shared.network;
        for (index, stage) in network.stages.iter().enumerate() {
            if stage.spec.repeat.is_some() {
                let value = ValueRef::Result(index);
                let view = policy.runs.value(network, &policy.feeds.tensors, value)?;
                compared.see(&format!("{}.sample", stage.spec.name), &view);
            }
        }
        compared.action(&chunk);
        compared
            .report(golden.reference)
            .map(Some)
            .map_err(|message| refused(message).into())
    }

    /// Fills the feeds with the golden inputs.
    fn feed(&mut self, golden: &Golden) -> Result<(), Fault> {
        let text = self.shared.manifest.observations.text.clone();
        if text.is_some() && golden.instruction.is_none() && golden.tokens.is_none() {
            return Err(Fault::Golden(
                "holds no `instruction` and no `tokens`".to_owned(),
            ));
        }
        if let Some(instruction) = golden.instruction.as_deref().filter(|_| text.is_some()) {
            self.feeds.begin(instruction)?;
        }
        self.feed_observations(golden)?;
        for (name, given) in &golden.inputs {
            let observed = &self.shared.network.observed;
            let Some(index) = observed.iter().position(|(value, _)| value == name) else {
                let message = format!("`inputs.{name}` is no value of the observations");
                return Err(Fault::Golden(message));
            };
            write(&mut self.feeds.tensors[index], given)
                .map_err(|message| Fault::Golden(format!("`inputs.{name}` {message}")))?;
        }
        if golden.instruction.is_some() {
            self.feeds.write_text()?;
        }
        if let (Some(text), Some(tokens)) = (&text, &golden.tokens) {
            self.compare_tokens(&text.name, tokens, golden.instruction.is_some())?;
        }
        if let Some(Range { seed, low, high }) = golden.noise {
            self.noise = NoiseSource::Given(Stream::new(seed, low, high));
        }
        Ok(())
    }

    /// Gives the golden tokens where there is no instruction, and compares them where there is one.
    fn compare_tokens(&mut self, name: &str, tokens: &[i64], encoded: bool) -> Result<(), Fault> {
        let observed = &self.shared.network.observed;
        let Some(index) = observed.iter().position(|(value, _)| value == name) else {
            return Ok(());
        };
        let tensor = &mut self.feeds.tensors[index];
        let length = tensor.spec().elements().unwrap_or(0);
        if tokens.len() != length {
            let message = format!("`tokens` has {} values instead of {length}", tokens.len());
            return Err(Fault::Golden(message));
        }
        if !encoded {
            return Ok(integers(tensor, tokens)?);
        }
        let view = tensor.view();
        let found: Vec<i64> = (0..length)
            .filter_map(|index| number(&view, index))
            .map(|value| value as i64)
            .collect();
        if found == tokens {
            return Ok(());
        }
        let message = format!("the tokenizer makes {found:?} of `instruction`");
        Err(Fault::Golden(message))
    }

    /// Shows the frames and states, the oldest first.
    fn feed_observations(&mut self, golden: &Golden) -> Result<(), Fault> {
        let shared = self.shared.clone();
        let observations = &shared.manifest.observations;
        for name in golden.frames.keys() {
            if !observations.cameras.iter().any(|c| c.name == *name) {
                return Err(Fault::Golden(format!("`frames.{name}` is no camera")));
            }
        }
        for name in golden.states.keys() {
            if !observations.states.iter().any(|s| s.name == *name) {
                return Err(Fault::Golden(format!("`states.{name}` is no state")));
            }
        }
        let mut missing = observations
            .cameras
            .iter()
            .map(|camera| (&camera.name, golden.frames.contains_key(&camera.name)))
            .chain(
                observations
                    .states
                    .iter()
                    .map(|state| (&state.name, golden.states.contains_key(&state.name))),
            )
            .filter(|(name, given)| !given && !golden.inputs.contains_key(*name));
        if let Some((name, _)) = missing.next() {
            return Err(Fault::Golden(format!("gives no value to \"{name}\"")));
        }
        let frames = golden.frames.values().map(|frames| frames.seeds.len());
        let states = golden.states.values().map(Vec::len);
        let count = frames.chain(states).max().unwrap_or(0);
        for step in 0..count {
            let mut images = Vec::new();
            for (name, frames) in &golden.frames {
                images.push((
                    name,
                    seeded(frames, entry(frames.seeds.len(), count, step))?,
                ));
            }
            let cameras: Vec<CameraFrame<'_>> = images
                .iter()
                .map(|(name, frame)| CameraFrame { name, frame })
                .collect();
            let mut vectors = Vec::new();
            for spec in &observations.states {
                let Some(rows) = golden.states.get(&spec.name) else {
                    continue;
                };
                let names: Vec<super::Name> =
                    spec.names.iter().cloned().map(super::Name::Owned).collect();
                let values = entry(rows.len(), count, step)
                    .and_then(|index| rows.get(index))
                    .filter(|values| values.len() == names.len());
                let Some(values) = values else {
                    let message = format!(
                        "`states.{}` does not hold rows of {} numbers",
                        spec.name,
                        names.len()
                    );
                    return Err(Fault::Golden(message));
                };
                vectors.push((spec, names, values));
            }
            let states: Vec<StateVector<'_>> = vectors
                .iter()
                .map(|(spec, names, values)| StateVector {
                    name: &spec.name,
                    names,
                    units: &spec.units,
                    values,
                })
                .collect();
            self.feeds.observe(&Observation {
                cameras: &cameras,
                states: &states,
            })?;
        }
        Ok(())
    }
}

/// Which entry of a history of `length` is seen at `step` of `count`.
fn entry(length: usize, count: usize, step: usize) -> Option<usize> {
    let index = (step + length).saturating_sub(count);
    (index < length).then_some(index)
}

fn seeded(spec: &SeededFrames, index: Option<usize>) -> Result<Frame, Fault> {
    const MAX_SIDE: u32 = 4096;
    let seed = index.and_then(|index| spec.seeds.get(index));
    let (Some(seed), 1..=MAX_SIDE, 1..=MAX_SIDE) = (seed, spec.width, spec.height) else {
        let message = "`frames` holds no seeds, or a frame of an impossible size";
        return Err(Fault::Golden(message.to_owned()));
    };
    let mut frame = Frame::default();
    frame.resize(spec.width, spec.height);
    Stream::new(*seed, 0.0, 1.0).bytes(&mut frame.rgb);
    Ok(frame)
}

/// Writes given numbers into a tensor.
fn write(tensor: &mut Tensor, given: &Given) -> Result<(), String> {
    let spec = tensor.spec().clone();
    if given.shape != spec.shape {
        return Err(format!(
            "has the shape {:?}, the value is {spec}",
            given.shape
        ));
    }
    match (&given.values, given.seed, given.low, given.high) {
        (None, Some(seed), Some(low), Some(high)) => {
            let values = tensor.values_mut().map_err(|e| e.to_string())?;
            Stream::new(seed, low, high).floats(values);
            Ok(())
        }
        (Some(values), None, None, None) if Some(values.len()) == spec.elements() => {
            if spec.element == Element::F32 {
                let target = tensor.values_mut::<f32>().map_err(|e| e.to_string())?;
                for (target, value) in target.iter_mut().zip(values) {
                    *target = *value as f32;
                }
                return Ok(());
            }
            let values: Vec<i64> = values.iter().map(|value| *value as i64).collect();
            integers(tensor, &values).map_err(|e| e.to_string())
        }
        _ => Err(
            "must hold either as many `values` as its shape says, or `seed`, `low` and `high`"
                .to_owned(),
        ),
    }
}

/// What is wrong with golden values: the file, or the run.
enum Fault {
    Golden(String),
    Policy(PolicyError),
}

impl From<PolicyError> for Fault {
    fn from(error: PolicyError) -> Self {
        Self::Policy(error)
    }
}

impl Fault {
    fn told(self, refused: &impl Fn(String) -> PackageError) -> PolicyError {
        match self {
            Self::Golden(message) => refused(message).into(),
            Self::Policy(error) => error,
        }
    }
}

/// Differences found so far.
struct Compared<'a> {
    expected: &'a Expected,
    rows: Vec<GoldenValue>,
    fault: Option<String>,
}

impl Compared<'_> {
    fn see(&mut self, name: &str, view: &View<'_>) {
        let Some(sampled) = self.expected.values.get(name) else {
            return;
        };
        let count: usize = view.shape().iter().product();
        let fits = sampled.every > 0
            && sampled.shape == view.shape()
            && sampled.values.len() == count.div_ceil(sampled.every);
        if !fits {
            self.fault = Some(format!(
                "the golden value \"{name}\" has the shape {:?} and {} numbers, one in {}; the value has {:?}",
                sampled.shape,
                sampled.values.len(),
                sampled.every,
                view.shape()
            ));
            return;
        }
        let found = (0..count).step_by(sampled.every);
        let found = found.map(|index| number(view, index).unwrap_or(f64::NAN));
        let single = view.element() == Some(Element::F32);
        self.push(name, found, &sampled.values, sampled.tolerance, single);
    }

    fn action(&mut self, chunk: &ActionChunk) {
        let Some(whole) = &self.expected.action else {
            return;
        };
        if whole.shape != [chunk.steps, chunk.dim] || whole.values.len() != chunk.data.len() {
            self.fault = Some(format!(
                "the golden `action` has the shape {:?}, the chunk {:?}",
                whole.shape,
                [chunk.steps, chunk.dim]
            ));
            return;
        }
        let found = chunk.data.iter().map(|value| f64::from(*value));
        self.push("action", found, &whole.values, whole.tolerance, true);
    }

    /// `single`: the values are f32, and the decimal numbers of the file stand for f32. A mask of -2e38 is then met exactly; as
    /// f64 its few digits would be off by 1e30.
    fn push(
        &mut self,
        name: &str,
        found: impl Iterator<Item = f64>,
        expected: &[f64],
        tolerance: f64,
        single: bool,
    ) {
        let (mut max_error, mut sum) = (0.0_f64, 0.0);
        for (found, &expected) in found.zip(expected) {
            let expected = if single {
                f64::from(expected as f32)
            } else {
                expected
            };
            let error = (found - expected).abs();
            let error = if error.is_nan() { f64::INFINITY } else { error };
            max_error = max_error.max(error);
            sum += error * error;
        }
        self.rows.push(GoldenValue {
            value: name.to_owned(),
            max_error,
            rms_error: (sum / expected.len().max(1) as f64).sqrt(),
            count: expected.len(),
            tolerance,
        });
    }

    fn report(self, reference: String) -> Result<GoldenReport, String> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let seen = |name: &String| self.rows.iter().any(|row| row.value == *name);
        if let Some(name) = self.expected.values.keys().find(|name| !seen(name)) {
            return Err(format!(
                "the golden value \"{name}\" is no value of the policy"
            ));
        }
        if self.rows.is_empty() {
            return Err("holds nothing to compare".to_owned());
        }
        Ok(GoldenReport {
            reference,
            values: self.rows,
        })
    }
}

/// An element of a tensor of any type.
fn number(view: &View<'_>, index: usize) -> Option<f64> {
    fn at<T: wink_engine::Number>(view: &View<'_>, index: usize) -> Option<T> {
        view.values::<T>().ok()?.get(index).copied()
    }
    match view.element()? {
        Element::F32 => at::<f32>(view, index).map(f64::from),
        Element::F64 => at::<f64>(view, index),
        Element::I64 => at::<i64>(view, index).map(|value| value as f64),
        Element::I32 => at::<i32>(view, index).map(f64::from),
        Element::Bool | Element::U8 => view.bytes().get(index).map(|byte| f64::from(*byte)),
        _ => None,
    }
}
