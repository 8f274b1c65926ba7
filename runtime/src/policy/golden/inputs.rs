//! Feeds a policy with the inputs of its golden values.

use wink_engine::{Element, Tensor};

use super::super::feeds::integers;
use super::super::loops::{Listed, NoiseSource, Stream};
use super::super::{
    CameraFrame, Name, Observation, OnnxPolicy, Package, PackageError, PolicyError, StateVector,
};
use super::compare::number;
use super::file::{Given, GivenNoise, Golden, SeededFrames};
use crate::camera::Frame;

/// What is wrong with golden values: the file, or the run.
pub(super) enum Fault {
    Golden(String),
    Policy(PolicyError),
}

impl From<PolicyError> for Fault {
    fn from(error: PolicyError) -> Self {
        Self::Policy(error)
    }
}

impl Fault {
    pub(super) fn told(self, refused: &impl Fn(String) -> PackageError) -> PolicyError {
        match self {
            Self::Golden(message) => refused(message).into(),
            Self::Policy(error) => error,
        }
    }
}

impl OnnxPolicy {
    /// Fills the feeds with the golden inputs.
    pub(super) fn feed(&mut self, golden: &Golden, package: &Package) -> Result<(), Fault> {
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
            let tensor = &mut self.feeds.tensors[index];
            let written = match &given.file {
                Some(file) => write_bytes(
                    tensor,
                    given,
                    &package.read(file).map_err(PolicyError::from)?,
                ),
                None => write(tensor, given),
            };
            written.map_err(|message| Fault::Golden(format!("`inputs.{name}` {message}")))?;
        }
        if golden.instruction.is_some() {
            self.feeds.write_text()?;
        }
        if let (Some(text), Some(tokens)) = (&text, &golden.tokens) {
            self.compare_tokens(&text.name, tokens, golden.instruction.is_some())?;
        }
        if let Some(noise) = &golden.noise {
            self.noise = source(noise)?;
        }
        let given = |name: &str| golden.inputs.contains_key(name);
        self.feeds.draw(&mut self.noise, |name| !given(name))?;
        Ok(())
    }

    /// Whether as many numbers were drawn as there are in the list of golden noise.
    pub(super) fn check_drawn(&self) -> Result<(), String> {
        match &self.noise {
            NoiseSource::Listed(list) => match list.counts() {
                (held, taken) if held == taken => Ok(()),
                (held, taken) => Err(format!(
                    "`noise.values` has {held} numbers, the policy draws {taken}"
                )),
            },
            NoiseSource::Drawn(_) | NoiseSource::Given(_) => Ok(()),
        }
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
                let names: Vec<Name> = spec.names.iter().cloned().map(Name::Owned).collect();
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

/// What is drawn from in place of the policy's own noise.
fn source(noise: &GivenNoise) -> Result<NoiseSource, Fault> {
    match (&noise.values, noise.seed, noise.low, noise.high) {
        (Some(values), None, None, None) => {
            let values = values.iter().map(|value| *value as f32);
            Ok(NoiseSource::Listed(Listed::new(values)))
        }
        (None, Some(seed), Some(low), Some(high)) => {
            Ok(NoiseSource::Given(Stream::new(seed, low, high)))
        }
        _ => Err(Fault::Golden(
            "`noise` must hold either `values`, or `seed`, `low` and `high`".to_owned(),
        )),
    }
}

/// Writes the content of a file into a tensor.
fn write_bytes(tensor: &mut Tensor, given: &Given, bytes: &[u8]) -> Result<(), String> {
    let spec = tensor.spec().clone();
    if given.values.is_some() || given.seed.is_some() {
        return Err("holds a `file` and numbers".to_owned());
    }
    if given.shape != spec.shape {
        return Err(format!(
            "has the shape {:?}, the value is {spec}",
            given.shape
        ));
    }
    let wrong = |e: wink_engine::TensorError| e.to_string();
    match spec.element {
        Element::F32 => {
            let (numbers, rest) = bytes.as_chunks::<4>();
            let target = tensor.values_mut::<f32>().map_err(wrong)?;
            if numbers.len() != target.len() || !rest.is_empty() {
                return Err(format!("has {} bytes, the value is {spec}", bytes.len()));
            }
            for (target, number) in target.iter_mut().zip(numbers) {
                *target = f32::from_le_bytes(*number);
            }
            Ok(())
        }
        other => Err(format!("is a file, and the value is {other}, not f32")),
    }
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
