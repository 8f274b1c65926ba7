//! The values that observations and instructions give: image tensors, normalised states, tokens, each with
//! its history, and noise.

use std::sync::Arc;

use wink_engine::{Element, Tensor, TensorSpec, View};

use super::loops::NoiseSource;
use super::manifest::{Manifest, Noise};
use super::preprocess::{ImagePreprocessor, Normaliser};
use super::text::{TextEncoder, Tokens};
use super::{Observation, PolicyError};

/// The observed values of one thread, in the order of [`Network::observed`](super::stages::Network).
#[derive(Debug, Clone)]
pub(super) struct Feeds {
    pub(super) tensors: Vec<Tensor>,
    cameras: Vec<Slots<ImagePreprocessor>>,
    states: Vec<Slots<Normaliser>>,
    encoder: Option<Arc<TextEncoder>>,
    /// Whether the tokens have a mask.
    masked: bool,
    /// Names and distributions of the noise, whose tensors come last.
    noise: Vec<(String, Noise)>,
    /// The state whose value the text holds, by its place among the states.
    written: Option<usize>,
    instruction: String,
    /// Whether the histories hold observations of this episode.
    begun: bool,
}

/// What fills a tensor, one observation at a time.
#[derive(Debug, Clone)]
struct Slots<F> {
    name: String,
    fill: F,
    history: usize,
    /// Numbers of one observation.
    length: usize,
    /// The newest observation, until all of them are known to fit; empty where there is no history.
    newest: Vec<f32>,
}

impl<F> Slots<F> {
    fn new(name: &str, fill: F, history: usize, length: usize) -> Self {
        let newest = if history > 1 { length } else { 0 };
        Self {
            name: name.to_owned(),
            fill,
            history,
            length,
            newest: vec![0.0; newest],
        }
    }

    /// Makes the newest observation the last of the tensor.
    fn commit(&self, tensor: &mut [f32], begun: bool) {
        if self.history == 1 {
            return;
        }
        if begun {
            tensor.copy_within(self.length.., 0);
            let last = tensor.len() - self.length;
            tensor[last..].copy_from_slice(&self.newest);
        } else {
            for slot in tensor.chunks_exact_mut(self.length) {
                slot.copy_from_slice(&self.newest);
            }
        }
    }
}

impl Feeds {
    pub(super) fn new(
        manifest: &Manifest,
        specs: &[(String, TensorSpec)],
        encoder: Option<Arc<TextEncoder>>,
    ) -> Result<Self, PolicyError> {
        let observations = &manifest.observations;
        let cameras = observations.cameras.iter().map(|camera| {
            let preprocessor = ImagePreprocessor::new(camera);
            let length = preprocessor.len();
            Slots::new(&camera.name, preprocessor, camera.history, length)
        });
        let states = observations.states.iter().map(|state| {
            let normaliser = Normaliser::new(&state.normalisation, state.names.len());
            Slots::new(&state.name, normaliser, state.history, state.width())
        });
        let written = observations.text.as_ref().and_then(|text| {
            let name = &text.state.as_ref()?.name;
            let mut states = observations.states.iter();
            states.position(|state| state.name == *name)
        });
        let mut tensors = Vec::new();
        for (name, spec) in specs {
            let tensor = Tensor::zeros(spec.clone());
            tensors.push(tensor.map_err(|e| PolicyError::Other(format!("\"{name}\": {e}")))?);
        }
        Ok(Self {
            cameras: cameras.collect(),
            states: states.collect(),
            masked: observations
                .text
                .as_ref()
                .is_some_and(|text| text.mask.is_some()),
            noise: observations
                .noise
                .iter()
                .map(|noise| (noise.name.clone(), noise.draw))
                .collect(),
            tensors,
            encoder,
            written,
            instruction: String::new(),
            begun: false,
        })
    }

    /// Begins an episode: forgets the histories, and encodes the instruction.
    pub(super) fn begin(&mut self, instruction: &str) -> Result<(), PolicyError> {
        self.begun = false;
        self.instruction.clear();
        self.instruction.push_str(instruction);
        match (&self.encoder, self.written) {
            (Some(encoder), None) => {
                let tokens = encoder.encode(instruction, None)?;
                self.write_tokens(&tokens)
            }
            (Some(encoder), Some(_)) => encoder.check(instruction),
            (None, _) => Ok(()),
        }
    }

    /// Takes in an observation, which was checked to hold all cameras and states. Where it does not fit nothing is kept of it.
    pub(super) fn observe(&mut self, observation: &Observation<'_>) -> Result<(), PolicyError> {
        let (images, others) = self.tensors.split_at_mut(self.cameras.len());
        for (camera, tensor) in self.cameras.iter_mut().zip(&mut *images) {
            let Some(frame) = observation.camera(&camera.name) else {
                continue;
            };
            match camera.history {
                1 => camera.fill.run(frame, floats(tensor)?)?,
                _ => camera.fill.run(frame, &mut camera.newest)?,
            }
        }
        for (state, tensor) in self.states.iter_mut().zip(&mut *others) {
            let Some(vector) = observation.state(&state.name) else {
                continue;
            };
            let newest = match state.history {
                1 => floats(tensor)?,
                _ => &mut state.newest,
            };
            state.fill.forward(vector.values, newest);
            if let Some(index) = newest.iter().position(|value| !value.is_finite()) {
                let what = state.name.clone();
                return Err(PolicyError::NotFinite { what, index });
            }
        }
        for (camera, tensor) in self.cameras.iter().zip(images) {
            camera.commit(floats(tensor)?, self.begun);
        }
        for (state, tensor) in self.states.iter().zip(others) {
            state.commit(floats(tensor)?, self.begun);
        }
        self.begun = true;
        Ok(())
    }

    /// Encodes the text anew, where it holds the state.
    pub(super) fn write_text(&mut self) -> Result<(), PolicyError> {
        let (Some(encoder), Some(state)) = (&self.encoder, self.written) else {
            return Ok(());
        };
        let view = self.tensors[self.cameras.len() + state].view();
        let values = view
            .values::<f32>()
            .map_err(|e| PolicyError::Other(e.to_string()))?;
        let newest = values.len() - self.states[state].length;
        let tokens = encoder.encode(&self.instruction, Some(&values[newest..]))?;
        self.write_tokens(&tokens)
    }

    fn write_tokens(&mut self, tokens: &Tokens) -> Result<(), PolicyError> {
        let first = self.cameras.len() + self.states.len();
        if let Some(tensor) = self.tensors.get_mut(first) {
            integers(tensor, &tokens.ids)?;
        }
        match self.tensors.get_mut(first + 1) {
            Some(tensor) if self.masked => mask(tensor, &tokens.mask),
            _ => Ok(()),
        }
    }

    /// Draws the noise that `chosen` says by name.
    pub(super) fn draw(
        &mut self,
        source: &mut NoiseSource,
        chosen: impl Fn(&str) -> bool,
    ) -> Result<(), PolicyError> {
        let first = self.tensors.len() - self.noise.len();
        for ((name, noise), tensor) in self.noise.iter().zip(&mut self.tensors[first..]) {
            if chosen(name) {
                source.fill(noise, floats(tensor)?);
            }
        }
        Ok(())
    }
}

fn floats(tensor: &mut Tensor) -> Result<&mut [f32], PolicyError> {
    tensor
        .values_mut()
        .map_err(|e| PolicyError::Other(e.to_string()))
}

/// Writes integers, or truth values, in the tensor's own type.
pub(super) fn integers(tensor: &mut Tensor, values: &[i64]) -> Result<(), PolicyError> {
    let wrong = |e: wink_engine::TensorError| PolicyError::Other(e.to_string());
    let element = tensor.spec().element;
    match element {
        Element::I64 => tensor
            .values_mut::<i64>()
            .map_err(wrong)?
            .copy_from_slice(values),
        Element::I32 => {
            let target = tensor.values_mut::<i32>().map_err(wrong)?;
            for (target, value) in target.iter_mut().zip(values) {
                *target = i32::try_from(*value)
                    .map_err(|_| PolicyError::Other(format!("{value} is no i32")))?;
            }
        }
        Element::F32 => {
            let target = tensor.values_mut::<f32>().map_err(wrong)?;
            for (target, value) in target.iter_mut().zip(values) {
                *target = *value as f32;
            }
        }
        Element::Bool => {
            let values: Vec<bool> = values.iter().map(|value| *value != 0).collect();
            let shape = tensor.spec().shape.clone();
            let view = View::bools(&shape, &values).map_err(wrong)?;
            tensor.copy_from(view).map_err(wrong)?;
        }
        _ => return Err(PolicyError::Other(format!("tokens cannot be {element}"))),
    }
    Ok(())
}

fn mask(tensor: &mut Tensor, values: &[bool]) -> Result<(), PolicyError> {
    let values: Vec<i64> = values.iter().map(|value| i64::from(*value)).collect();
    integers(tensor, &values)
}
