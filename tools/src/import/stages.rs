//! The package's stages, its loop and its actions.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use wink_runtime::policy::manifest::{
    ActionSpace, ActionSpec, Betas, DiffusionSpec, FlowSpec, LoopSpec, Normalisation, Prediction,
    Reference, Run, SampleSpec, Sampler, StageSpec, TimeShape, Unit,
};

use super::config::{self, Config, Diffusion, Family, Scheduler};
use super::graphs::{StageGraph, Tensor};
use super::values::{Made, SAMPLE, STANDARD, TIME, Value};
use super::wiring::{Fed, Wiring};
use crate::bad_input::bad_input;

/// Names that exporters give to the chunk.
const CHUNK: [&str; 4] = ["action_chunk", "actions", "action", "output"];

/// Graphs, values and how they are connected.
pub struct Stages<'a> {
    /// `config.json`.
    pub config: &'a Config,
    /// The graphs.
    pub graphs: &'a [StageGraph],
    /// The values.
    pub values: &'a [Value],
    /// Their connection.
    pub wiring: &'a Wiring,
}

/// What is known of an action's numbers.
pub struct Numbers {
    /// Names.
    pub names: Vec<String>,
    /// Units.
    pub units: Vec<Unit>,
    /// How they are brought back to units.
    pub normalisation: Normalisation,
    /// What they are to the arm.
    pub space: ActionSpace,
}

/// The output that holds the chunk, or that the loop takes: places of graph and output.
type Output = (usize, usize);

impl Stages<'_> {
    /// The output that holds the chunk, or that the loop takes; `option` is the answer of the user.
    ///
    /// # Errors
    /// Where no output or more than one has the shape of a chunk.
    pub fn output(&self, option: Option<&str>) -> Result<Output> {
        let looped = self.wiring.looped();
        let shapes = self.chunk_shapes();
        let graphs = self.graphs.iter().enumerate();
        let all = graphs.flat_map(|(stage, graph)| {
            let outputs = graph.outputs.iter().enumerate();
            outputs.map(move |(place, output)| (stage, place, output))
        });
        let all: Vec<(usize, usize, &Tensor)> = all
            .filter(|(stage, ..)| looped.is_none_or(|looped| looped == *stage))
            .collect();
        if let Some(name) = option {
            return self.named(name, &all);
        }
        let free = |stage, place| !self.wiring.reads(Fed::Output(stage, place));
        let fitting: Vec<&(usize, usize, &Tensor)> = all
            .iter()
            .filter(|(stage, place, output)| free(*stage, *place) && fits_one(&shapes, output))
            .collect();
        let called: Vec<&&(usize, usize, &Tensor)> = fitting
            .iter()
            .filter(|(.., output)| CHUNK.contains(&output.name.as_str()))
            .collect();
        match (&fitting[..], &called[..]) {
            ([(stage, place, _)], _) | (_, [(stage, place, _)]) => Ok((*stage, *place)),
            ([], _) => Err(bad_input(format!(
                "no output has the shape f32{} of the chunk that config.json describes; outputs are {}",
                told(&shapes),
                self.list(&all)
            ))),
            (several, _) => {
                let several: Vec<(usize, usize, &Tensor)> = several.iter().map(|o| **o).collect();
                Err(bad_input(format!(
                    "more than one output has the shape f32{} of the chunk; say which by --output: {}",
                    told(&shapes),
                    self.list(&several)
                )))
            }
        }
    }

    fn named(&self, name: &str, all: &[(usize, usize, &Tensor)]) -> Result<Output> {
        let means = |(stage, _, output): &&(usize, usize, &Tensor)| {
            let staged = format!("{}.{}", self.graphs[*stage].name, output.name);
            output.name == name || staged == name
        };
        let found: Vec<&(usize, usize, &Tensor)> = all.iter().filter(means).collect();
        let shapes = self.chunk_shapes();
        match found[..] {
            [(stage, place, output)] if fits_one(&shapes, output) => Ok((*stage, *place)),
            [(stage, _, output)] => Err(bad_input(format!(
                "--output {name}: {} is not the chunk f32{} that config.json describes",
                self.graphs[*stage].told(output),
                told(&shapes)
            ))),
            _ => Err(bad_input(format!(
                "--output {name}: must name one output; there are {}",
                self.list(all)
            ))),
        }
    }

    fn list(&self, outputs: &[(usize, usize, &Tensor)]) -> String {
        let told = |(stage, _, output): &(usize, usize, &Tensor)| {
            format!("{}.{output}", self.graphs[*stage].name)
        };
        outputs.iter().map(told).collect::<Vec<_>>().join(", ")
    }

    /// The shape of the chunk, or of what the loop refines.
    fn chunk_shape(&self) -> Vec<usize> {
        let width = self.config.action.1.shape[0];
        match &self.config.family {
            Family::Act { chunk } => vec![1, *chunk, width],
            Family::Diffusion(diffusion) => vec![1, diffusion.horizon, width],
            Family::Flow(flow) => vec![1, flow.chunk, flow.action_width],
        }
    }

    /// The shapes that a chunk can have: that of the loop, or of LeRobot's `predict_action_chunk`, which cuts it, where a graph runs
    /// the whole loop.
    fn chunk_shapes(&self) -> Vec<Vec<usize>> {
        let mut shapes = vec![self.chunk_shape()];
        if self.wiring.looped().is_some() {
            return shapes;
        }
        let width = self.config.action.1.shape[0];
        let cut = match &self.config.family {
            Family::Act { .. } => return shapes,
            Family::Diffusion(_) => vec![1, self.config.execute, width],
            Family::Flow(flow) => vec![1, flow.chunk, width],
        };
        if !shapes.contains(&cut) {
            shapes.push(cut);
        }
        shapes
    }

    /// The shape of the chunk that an output holds.
    fn shape_of(&self, output: Output) -> Result<Vec<usize>> {
        let graph = &self.graphs[output.0];
        let tensor = &graph.outputs[output.1];
        let mut shapes = self.chunk_shapes();
        shapes.retain(|shape| fits(shape, tensor));
        match shapes.len() {
            0 | 1 => Ok(shapes.pop().unwrap_or_else(|| self.chunk_shape())),
            _ => Err(bad_input(format!(
                "{} leaves open whether it is {}; fix its axes when exporting",
                graph.told(tensor),
                told(&shapes)
            ))),
        }
    }

    /// The stages in the order in which they run.
    ///
    /// # Errors
    /// Where the loop of this type of policy cannot be built.
    pub fn build(&self, output: Output) -> Result<Vec<StageSpec>> {
        let stage = |stage: &usize| -> Result<StageSpec> {
            let graph = &self.graphs[*stage];
            let fed = graph.inputs.iter().zip(&self.wiring.inputs[*stage]);
            let run = self.wiring.runs[*stage];
            let kept = |place: &usize| {
                (*stage, *place) == output || self.wiring.reads(Fed::Output(*stage, *place))
            };
            let outputs = (0..graph.outputs.len()).filter(kept);
            Ok(StageSpec {
                name: graph.name.clone(),
                run,
                inputs: fed
                    .map(|(input, fed)| (input.name.clone(), self.name(*fed)))
                    .collect::<BTreeMap<String, String>>(),
                outputs: outputs
                    .map(|place| graph.outputs[place].name.clone())
                    .collect(),
                repeat: match run {
                    Run::Loop => Some(self.repeat(&graph.outputs[output.1].name)?),
                    Run::Episode | Run::Observation => None,
                },
            })
        };
        self.wiring.order.iter().map(stage).collect()
    }

    /// Name of a value in the package.
    fn name(&self, fed: Fed) -> String {
        match fed {
            Fed::Value(place) => self.values[place].name.clone(),
            Fed::Output(stage, output) => {
                let graph = &self.graphs[stage];
                format!("{}.{}", graph.name, graph.outputs[output].name)
            }
        }
    }

    fn repeat(&self, output: &str) -> Result<LoopSpec> {
        let (mut flow, mut diffusion) = (None, None);
        match &self.config.family {
            Family::Act { .. } => {
                return Err(self.config.wrong(format!("act has no loop with {SAMPLE}")));
            }
            Family::Diffusion(family) => diffusion = Some(scheduler(family, output)),
            Family::Flow(family) => {
                flow = Some(FlowSpec {
                    steps: Some(family.steps),
                    from: Some(1.0),
                    to: Some(0.0),
                    grid: None,
                    velocity: output.to_owned(),
                    time: self.time()?,
                    prefix: None,
                });
            }
        }
        Ok(LoopSpec {
            flow,
            diffusion,
            tokens: None,
            sample: Some(SampleSpec {
                shape: self.chunk_shape(),
                noise: STANDARD,
            }),
        })
    }

    fn time(&self) -> Result<TimeShape> {
        let place = self.values.iter().position(|value| value.name == TIME);
        let taken = place.and_then(|place| self.wiring.taken[place].as_ref());
        let taken = taken.context("the loop has no time")?;
        Ok(match taken.form.made {
            Made::TimeOfChunk => TimeShape::Chunk,
            _ => TimeShape::Scalar,
        })
    }

    /// The actions.
    ///
    /// # Errors
    /// Where more actions are to be executed than there are.
    pub fn action(
        &self,
        output: Output,
        numbers: Numbers,
        execute: Option<usize>,
    ) -> Result<ActionSpec> {
        let shape = self.shape_of(output)?;
        let graph = &self.graphs[output.0];
        let from = match self.wiring.looped() {
            Some(stage) => format!("{}.sample", self.graphs[stage].name),
            None => self.name(Fed::Output(output.0, output.1)),
        };
        if let (Some(weight), None) = (self.config.ensembling, execute) {
            return Err(self.config.wrong(format!(
                "`temporal_ensemble_coeff` is {weight}, which a package does not hold; say how many actions are executed without it by --execute STEPS"
            )));
        }
        let first = match &self.config.family {
            // The horizon begins at the oldest observation.
            Family::Diffusion(diffusion) if shape[1] == diffusion.horizon => {
                self.config.history - 1
            }
            Family::Act { .. } | Family::Diffusion(_) | Family::Flow(_) => 0,
        };
        let execute = execute.unwrap_or(self.config.execute);
        let chunk = shape[1].saturating_sub(first);
        if !(1..=chunk).contains(&execute) {
            return Err(self.config.wrong(format!(
                "{execute} actions are to be executed, {} gives {chunk}",
                graph.file.display()
            )));
        }
        Ok(ActionSpec {
            from,
            reference: match numbers.space {
                ActionSpace::JointPosition => Reference::Absolute,
                ActionSpace::EeDelta | ActionSpace::JointDelta => Reference::Relative,
            },
            space: numbers.space,
            names: numbers.names,
            units: numbers.units,
            chunk,
            first,
            execute,
            width: shape[2],
            normalisation: numbers.normalisation,
            threshold: BTreeMap::new(),
        })
    }
}

fn scheduler(family: &Diffusion, output: &str) -> DiffusionSpec {
    DiffusionSpec {
        sampler: match family.scheduler {
            Scheduler::Ddpm => Sampler::Ddpm,
            Scheduler::Ddim => Sampler::Ddim,
        },
        train_steps: family.train_steps,
        steps: family.steps,
        betas: match family.betas {
            config::Betas::SquaredCos => Betas::Squaredcos {},
            config::Betas::Linear(start, end) => Betas::Linear {
                start: start as f32,
                end: end as f32,
            },
        },
        prediction: match family.prediction {
            config::Prediction::Epsilon => Prediction::Epsilon,
            config::Prediction::Sample => Prediction::Sample,
        },
        clip: family.clip,
        // The defaults of diffusers, which LeRobot leaves as they are.
        set_alpha_to_one: (family.scheduler == Scheduler::Ddim).then_some(true),
        steps_offset: 0,
        output: output.to_owned(),
    }
}

fn fits_one(shapes: &[Vec<usize>], tensor: &Tensor) -> bool {
    shapes.iter().any(|shape| fits(shape, tensor))
}

/// Shapes, for errors.
fn told(shapes: &[Vec<usize>]) -> String {
    let shapes: Vec<String> = shapes.iter().map(|shape| format!("{shape:?}")).collect();
    shapes.join(" or ")
}

/// Whether a tensor has the shape of a chunk.
fn fits(shape: &[usize], tensor: &Tensor) -> bool {
    tensor.element == "f32"
        && tensor.shape.len() == shape.len()
        && shape
            .iter()
            .zip(&tensor.shape)
            .all(|(size, axis)| axis.is_none_or(|axis| axis == *size))
}
