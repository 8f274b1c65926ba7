//! The values that can be fed to a stage: their types, and how often they change.

use wink_engine::{Element, TensorSpec};

use super::super::manifest::{
    Manifest, MaskElement, Method, Run, StageSpec, TimeShape, TokenElement,
};
use super::load::Stage;

/// A value that can be fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum ValueRef {
    /// Of the observation or the instruction, by its place in [`Network::observed`].
    Observed(usize),
    /// An output of a stage.
    Output(usize, usize),
    /// What the loop of a stage ended with.
    Result(usize),
    /// What the loop of the stage itself hands to its graph.
    Sample,
    Time,
    Token,
    Index,
    Cache(usize),
}

/// Names and types of what the observation, the instruction and the noise give.
#[must_use]
pub fn observed(manifest: &Manifest) -> Vec<(String, TensorSpec)> {
    let observations = &manifest.observations;
    let mut values = Vec::new();
    for camera in &observations.cameras {
        let spec = TensorSpec::new(Element::F32, &camera.shape());
        values.push((camera.name.clone(), spec));
    }
    for state in &observations.states {
        let spec = TensorSpec::new(Element::F32, &state.shape());
        values.push((state.name.clone(), spec));
    }
    if let Some(text) = &observations.text {
        let shape = [1, text.max_tokens];
        let element = match text.element {
            TokenElement::I64 => Element::I64,
            TokenElement::I32 => Element::I32,
        };
        values.push((text.name.clone(), TensorSpec::new(element, &shape)));
        if let Some(mask) = &text.mask {
            let element = match mask.element {
                MaskElement::Bool => Element::Bool,
                MaskElement::I64 => Element::I64,
                MaskElement::I32 => Element::I32,
                MaskElement::F32 => Element::F32,
            };
            values.push((mask.name.clone(), TensorSpec::new(element, &shape)));
        }
    }
    for noise in &observations.noise {
        let spec = TensorSpec::new(Element::F32, &noise.shape);
        values.push((noise.name.clone(), spec));
    }
    values
}

/// The values that a stage can read.
pub(super) struct Known<'a> {
    pub(super) observed: &'a [(String, TensorSpec)],
    pub(super) stages: &'a [Stage],
}

impl Known<'_> {
    pub(super) fn find(&self, name: &str) -> Option<(ValueRef, TensorSpec)> {
        let observed = self.observed.iter().position(|(value, _)| value == name);
        if let Some(index) = observed {
            return Some((ValueRef::Observed(index), self.observed[index].1.clone()));
        }
        let (stage, output) = name.split_once('.')?;
        let index = self.stages.iter().position(|s| s.spec.name == stage)?;
        let stage = &self.stages[index];
        if stage.spec.run == Run::Loop {
            let shape = match stage.spec.method()? {
                Method::Flow(_, sample) | Method::Diffusion(_, sample) => sample.shape.clone(),
                Method::Tokens(tokens) => {
                    let [steps, dim] = tokens.decode.shape();
                    vec![1, steps, dim]
                }
            };
            let spec = TensorSpec::new(Element::F32, &shape);
            return (output == "sample").then_some((ValueRef::Result(index), spec));
        }
        let outputs = stage.graph.outputs();
        let place = outputs.iter().position(|(tensor, _)| tensor == output)?;
        Some((ValueRef::Output(index, place), outputs[place].1.clone()))
    }
}

/// How often a value changes.
pub(super) fn changes_of(manifest: &Manifest, known: &Known<'_>, value: ValueRef) -> Run {
    match value {
        ValueRef::Output(stage, _) => known.stages[stage].spec.run,
        ValueRef::Observed(index) => {
            let name = &known.observed[index].0;
            let text = manifest.observations.text.as_ref();
            let of_text = text.is_some_and(|text| {
                let mask = text.mask.as_ref().map(|mask| &mask.name);
                !text.holds_state() && (text.name == *name || mask == Some(name))
            });
            if of_text {
                Run::Episode
            } else {
                Run::Observation
            }
        }
        _ => Run::Observation,
    }
}

/// What the loop of a stage hands to its graph.
pub(super) fn loop_value(
    spec: &StageSpec,
    name: &str,
    caches: &[(String, TensorSpec)],
) -> Option<(ValueRef, TensorSpec)> {
    let scalar = |place, element| Some((place, TensorSpec::new(element, &[1])));
    match (spec.method()?, name) {
        (Method::Flow(_, sample) | Method::Diffusion(_, sample), "sample") => Some((
            ValueRef::Sample,
            TensorSpec::new(Element::F32, &sample.shape),
        )),
        (Method::Flow(flow, sample), "time") => match flow.time {
            TimeShape::Scalar => scalar(ValueRef::Time, Element::F32),
            TimeShape::Chunk => Some((
                ValueRef::Time,
                TensorSpec::new(Element::F32, &sample.shape[..2]),
            )),
        },
        (Method::Diffusion(..), "time") => scalar(ValueRef::Time, Element::I64),
        (Method::Tokens(_), "token") => {
            Some((ValueRef::Token, TensorSpec::new(Element::I64, &[1, 1])))
        }
        (Method::Tokens(_), "index") => scalar(ValueRef::Index, Element::I64),
        (Method::Tokens(_), name) => {
            let place = caches.iter().position(|(cache, _)| cache == name)?;
            Some((ValueRef::Cache(place), caches[place].1.clone()))
        }
        _ => None,
    }
}
