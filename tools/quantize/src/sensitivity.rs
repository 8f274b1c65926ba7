//! Which layers stay float: those whose rounding moves the actions most.
//!
//! Errors are measured where they matter, in action space, on samples that calibration has not seen (as QVLA,
//! arXiv 2602.03782, and DA-PTQ, arXiv 2604.11572, do for large models): a layer whose own output changes much may
//! change no action, and the other way round.

use tract_onnx::pb::ModelProto;

use crate::emit::{LayerReport, Part, Rounding, emit, precision};
use crate::engine::{Sample, action_error, actions, with_text};
use crate::{Precision, QuantizeError, Scheme};

/// The graphs of a policy with what calibration found.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Encodes the instruction, where there is one.
    pub text: Option<Part>,
    /// Gives the actions.
    pub act: Part,
}

/// Precision of every layer, text graph first.
pub type Plan = Vec<Precision>;

/// Both graphs as they are to be stored.
#[derive(Debug, Clone)]
pub struct Emitted {
    /// The text graph.
    pub text: Option<ModelProto>,
    /// The act graph.
    pub act: ModelProto,
    /// What became of each layer, text graph first.
    pub layers: Vec<LayerReport>,
}

/// Held-out samples, and what the float policy does on them.
pub struct HeldOut {
    /// As they are fed to the text graph.
    samples: Vec<Sample>,
    /// With the float text graph's outputs.
    with_text: Vec<Sample>,
    wanted: Vec<Vec<f32>>,
}

impl HeldOut {
    /// Runs the float policy on `samples`.
    ///
    /// # Errors
    /// When a graph does not run on them.
    pub fn new(policy: &Policy, samples: Vec<Sample>) -> Result<Self, QuantizeError> {
        let with_text = match &policy.text {
            Some(text) => with_text(text.graph.model(), &text.graph, &samples)?,
            None => samples.clone(),
        };
        let wanted = actions(policy.act.graph.model(), &policy.act.graph, &with_text)?;
        Ok(Self {
            samples,
            with_text,
            wanted,
        })
    }
}

impl Policy {
    fn text_layers(&self) -> usize {
        self.text.as_ref().map_or(0, |text| text.layers.len())
    }

    /// All layers' precisions under a scheme.
    #[must_use]
    pub fn plan(&self, scheme: Scheme) -> Plan {
        let text = self.text.iter().flat_map(|text| &text.layers);
        text.chain(&self.act.layers)
            .map(|layer| precision(scheme, layer))
            .collect()
    }

    /// Writes both graphs.
    ///
    /// # Errors
    /// When a static precision is asked for what calibration has not seen.
    pub fn emit(&self, plan: &Plan, rounding: Rounding) -> Result<Emitted, QuantizeError> {
        let (text_plan, act_plan) = plan.split_at(self.text_layers());
        let mut layers = Vec::new();
        let text = match &self.text {
            Some(text) => {
                let (model, reports) = emit(text, text_plan, rounding)?;
                layers.extend(reports);
                Some(model)
            }
            None => None,
        };
        let (act, reports) = emit(&self.act, act_plan, rounding)?;
        layers.extend(reports);
        Ok(Emitted { text, act, layers })
    }

    /// Root mean square and largest error of the normalised actions, against the float policy.
    ///
    /// # Errors
    /// When the emitted graphs do not run.
    pub fn error(
        &self,
        emitted: &Emitted,
        held_out: &HeldOut,
    ) -> Result<(f32, f32), QuantizeError> {
        let samples = match (&self.text, &emitted.text) {
            (Some(text), Some(model)) => &with_text(model, &text.graph, &held_out.samples)?,
            _ => &held_out.with_text,
        };
        let moved = actions(&emitted.act, &self.act.graph, samples)?;
        Ok(action_error(&moved, &held_out.wanted))
    }

    /// For each layer, the root mean square error of the actions when it alone is in its precision of `plan`.
    ///
    /// # Errors
    /// When a graph does not run.
    pub fn sensitivity(
        &self,
        plan: &Plan,
        rounding: Rounding,
        held_out: &HeldOut,
        mut step: impl FnMut(),
    ) -> Result<Vec<f32>, QuantizeError> {
        let mut errors = Vec::with_capacity(plan.len());
        for (index, &precision) in plan.iter().enumerate() {
            let mut alone = vec![Precision::F32; plan.len()];
            alone[index] = precision;
            let (text_plan, act_plan) = alone.split_at(self.text_layers());
            let moved = match &self.text {
                _ if precision == Precision::F32 => held_out.wanted.clone(),
                Some(text) if index < text.layers.len() => {
                    let (model, _) = emit(text, text_plan, rounding)?;
                    let samples = with_text(&model, &text.graph, &held_out.samples)?;
                    actions(self.act.graph.model(), &self.act.graph, &samples)?
                }
                _ => {
                    let (model, _) = emit(&self.act, act_plan, rounding)?;
                    actions(&model, &self.act.graph, &held_out.with_text)?
                }
            };
            errors.push(action_error(&moved, &held_out.wanted).0);
            step();
        }
        Ok(errors)
    }
}

/// `plan` with its `count` most sensitive layers in float.
#[must_use]
pub fn spare(plan: &Plan, sensitivity: &[f32], count: usize) -> Plan {
    let mut order: Vec<usize> = (0..plan.len()).collect();
    order.sort_by(|&a, &b| sensitivity[b].total_cmp(&sensitivity[a]));
    let mut spared = plan.clone();
    for &index in &order[..count.min(order.len())] {
        spared[index] = Precision::F32;
    }
    spared
}

/// The smallest number of spared layers that `fits`, by bisection; `None` where not even all of them fit. `fits` should
/// hold for more layers where it holds for fewer, which errors do nearly always and sizes always.
///
/// # Errors
/// What `fits` gives.
pub fn fewest_spared<E>(
    layers: usize,
    mut fits: impl FnMut(usize) -> Result<bool, E>,
) -> Result<Option<usize>, E> {
    if fits(0)? {
        return Ok(Some(0));
    }
    let (mut bad, mut good) = (0, layers);
    if !fits(layers)? {
        return Ok(None);
    }
    while good - bad > 1 {
        let middle = bad.midpoint(good);
        if fits(middle)? {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Ok(Some(good))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_sensitive_are_spared() {
        let plan = vec![Precision::Int8; 4];
        let spared = spare(&plan, &[0.1, 0.4, 0.2, 0.3], 2);
        assert_eq!(
            spared,
            [
                Precision::Int8,
                Precision::F32,
                Precision::Int8,
                Precision::F32
            ]
        );
    }

    #[test]
    fn bisection_finds_the_first_that_fits() {
        for first in 0..=9 {
            let found = fewest_spared(9, |count| Ok::<_, ()>(count >= first)).unwrap();
            assert_eq!(found, Some(first));
        }
        assert_eq!(fewest_spared(9, |_| Ok::<_, ()>(false)).unwrap(), None);
    }
}
