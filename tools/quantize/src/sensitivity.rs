//! Which layers stay float: those whose rounding moves the actions most.
//!
//! Errors are measured where they matter, at the end of the whole policy, on samples that calibration has not seen (as QVLA,
//! arXiv 2602.03782, and DA-PTQ, arXiv 2604.11572, do for large models): a layer whose own output changes much may
//! change no action, and the other way round. Running the policy is the caller's part: it knows loops and stages.

use tract_onnx::pb::ModelProto;

use crate::emit::{LayerReport, Part, Rounding, emit, precision};
use crate::{Precision, QuantizeError, Scheme};

/// The graphs of a policy with what calibration found, in the order in which they run.
#[derive(Debug, Clone)]
pub struct Parts(pub Vec<Part>);

/// Precision of every layer, graph after graph.
pub type Plan = Vec<Precision>;

/// The graph of one stage as it is to be stored.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Name of the stage.
    pub name: String,
    /// Its graph.
    pub model: ModelProto,
}

/// All graphs as they are to be stored.
#[derive(Debug, Clone)]
pub struct Emitted {
    /// The graph of each stage.
    pub stages: Vec<Stage>,
    /// What became of each layer, graph after graph.
    pub layers: Vec<LayerReport>,
}

impl Parts {
    /// Number of layers of all graphs.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.0.iter().map(|part| part.layers.len()).sum()
    }

    /// All layers' precisions under a scheme.
    #[must_use]
    pub fn plan(&self, scheme: Scheme) -> Plan {
        let layers = self.0.iter().flat_map(|part| &part.layers);
        layers.map(|layer| precision(scheme, layer)).collect()
    }

    /// `STAGE/LAYER` of every layer.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let named = |part: &Part| -> Vec<String> {
            let layers = part.layers.iter();
            layers
                .map(|layer| format!("{}/{}", part.stage, layer.name))
                .collect()
        };
        self.0.iter().flat_map(named).collect()
    }

    /// Writes all graphs.
    ///
    /// # Errors
    /// When a static precision is asked for what calibration has not seen.
    pub fn emit(&self, plan: &[Precision], rounding: Rounding) -> Result<Emitted, QuantizeError> {
        let (mut stages, mut layers) = (Vec::new(), Vec::new());
        for (part, plan) in self.with(plan) {
            let (model, reports) = emit(part, plan, rounding)?;
            layers.extend(reports);
            stages.push(Stage {
                name: part.stage.clone(),
                model,
            });
        }
        Ok(Emitted { stages, layers })
    }

    /// For each layer, what `error` says of the policy in which it alone is in its precision of `plan`: the function gets
    /// the one graph that differs from the float policy.
    ///
    /// # Errors
    /// When a graph cannot be written, and what `error` gives.
    pub fn sensitivity<E: From<QuantizeError>>(
        &self,
        plan: &[Precision],
        rounding: Rounding,
        mut error: impl FnMut(Stage) -> Result<f32, E>,
    ) -> Result<Vec<f32>, E> {
        let mut errors = Vec::with_capacity(plan.len());
        for (part, plan) in self.with(plan) {
            for (index, &precision) in plan.iter().enumerate() {
                if precision == Precision::F32 {
                    errors.push(0.0);
                    continue;
                }
                let mut alone = vec![Precision::F32; plan.len()];
                alone[index] = precision;
                let (model, _) = emit(part, &alone, rounding)?;
                errors.push(error(Stage {
                    name: part.stage.clone(),
                    model,
                })?);
            }
        }
        Ok(errors)
    }

    /// Each graph with its part of the plan.
    fn with<'a>(
        &'a self,
        mut plan: &'a [Precision],
    ) -> impl Iterator<Item = (&'a Part, &'a [Precision])> {
        self.0.iter().map(move |part| {
            let (own, rest) = plan.split_at(part.layers.len().min(plan.len()));
            plan = rest;
            (part, own)
        })
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
