//! The loops around a stage's graph.

use wink_engine::{Element, Tensor, TensorSpec, View};

use super::super::PolicyError;
use super::super::loops::{
    Decoder, FlowTime, Guide, NoiseSource, Schedule, euler, keep_actions, largest,
};
use super::super::manifest::{FirstToken, Method, Noise, Run, TimeShape, TokensSpec};
use super::load::Stage;
use super::run::{Once, Sources, Views};
use super::tokens::{Cache, TokenStage};
use super::values::ValueRef;

/// The buffers of a loop.
#[derive(Debug, Clone)]
pub(super) struct LoopState {
    /// What is refined, or the decoded chunk.
    sample: Tensor,
    time: Tensor,
    token: Tensor,
    index: Tensor,
    caches: Vec<Tensor>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Flow {
        noise: Noise,
        /// The time of each step and its length.
        steps: Vec<(f32, f32)>,
        /// The times of the noise and of the actions.
        ends: [f32; 2],
        output: usize,
    },
    Diffusion {
        noise: Noise,
        schedule: Schedule,
        /// The noise that a step adds.
        added: Vec<f32>,
        output: usize,
    },
    Tokens {
        spec: Box<TokensSpec>,
        decoder: Decoder,
        tokens: Vec<u32>,
    },
}

impl LoopState {
    /// `None` for a stage that runs once.
    pub(super) fn new(stage: &Stage) -> Result<Option<Self>, PolicyError> {
        let zeros = |element, shape: &[usize]| {
            Tensor::zeros(TensorSpec::new(element, shape))
                .map_err(|e| PolicyError::Other(format!("stage \"{}\": {e}", stage.spec.name)))
        };
        let mut shape = vec![1];
        let mut time = (Element::F32, vec![1]);
        let mut caches = Vec::new();
        let kind = match stage.spec.method() {
            None => return Ok(None),
            Some(Method::Flow(flow, sample)) => {
                shape.clone_from(&sample.shape);
                if flow.time == TimeShape::Chunk {
                    time.1 = sample.shape[..2].to_vec();
                }
                let times = flow.times();
                let steps = times.windows(2);
                Kind::Flow {
                    noise: sample.noise,
                    steps: steps
                        .map(|pair| (pair[0] as f32, (pair[1] - pair[0]) as f32))
                        .collect(),
                    ends: [times.first(), times.last()]
                        .map(|time| time.copied().unwrap_or_default() as f32),
                    output: stage.output(&flow.velocity),
                }
            }
            Some(Method::Diffusion(diffusion, sample)) => {
                shape.clone_from(&sample.shape);
                time.0 = Element::I64;
                Kind::Diffusion {
                    noise: sample.noise,
                    schedule: Schedule::new(diffusion),
                    added: vec![0.0; sample.shape.iter().product()],
                    output: stage.output(&diffusion.output),
                }
            }
            Some(Method::Tokens(spec)) => {
                let [steps, dim] = spec.decode.shape();
                shape = vec![1, steps, dim];
                let own = stage.tokens.as_ref();
                for cache in own.map_or(&[][..], |own| &own.caches) {
                    caches.push(zeros(cache.spec.element, &cache.spec.shape)?);
                }
                let table = own.map(|own| own.table.clone()).unwrap_or_default();
                Kind::Tokens {
                    decoder: Decoder::new(&spec.decode, table, spec.max_tokens),
                    tokens: Vec::with_capacity(spec.max_tokens),
                    spec: Box::new(spec.clone()),
                }
            }
        };
        Ok(Some(Self {
            sample: zeros(Element::F32, &shape)?,
            time: zeros(time.0, &time.1)?,
            token: zeros(Element::I64, &[1, 1])?,
            index: zeros(Element::I64, &[1])?,
            caches,
            kind,
        }))
    }

    /// What the loop ended with.
    pub(super) fn result(&self) -> View<'_> {
        self.sample.view()
    }

    /// What the loop hands to its graph.
    pub(super) fn value(&self, value: ValueRef) -> Option<View<'_>> {
        match value {
            ValueRef::Sample => Some(self.sample.view()),
            ValueRef::Time => Some(self.time.view()),
            ValueRef::Token => Some(self.token.view()),
            ValueRef::Index => Some(self.index.view()),
            ValueRef::Cache(index) => self.caches.get(index).map(Tensor::view),
            _ => None,
        }
    }

    /// Runs the loop; a flow is steered by `guide`. `changed`: what may have changed most seldom since the last run.
    pub(super) fn run(
        &mut self,
        once: &mut Once<'_, '_>,
        sources: Sources<'_>,
        source: &mut NoiseSource,
        guide: Option<&Guide>,
        changed: Run,
    ) -> Result<(), PolicyError> {
        // Taken out, so that the graph can be fed from the other buffers meanwhile.
        let nothing = Kind::Flow {
            noise: Noise::Uniform {
                low: 0.0,
                high: 0.0,
            },
            steps: Vec::new(),
            ends: [0.0; 2],
            output: 0,
        };
        let mut kind = std::mem::replace(&mut self.kind, nothing);
        let result = match &mut kind {
            Kind::Flow {
                noise,
                steps,
                ends,
                output,
            } => {
                source.fill(noise, floats_mut(&mut self.sample)?);
                self.flow(once, sources, steps, *ends, *output, guide, changed)
            }
            Kind::Diffusion {
                noise,
                schedule,
                added,
                output,
            } => {
                source.fill(noise, floats_mut(&mut self.sample)?);
                self.diffusion(once, sources, source, schedule, added, *output, changed)
            }
            Kind::Tokens {
                spec,
                decoder,
                tokens,
            } => self
                .decode(once, sources, spec, tokens, changed)
                .and_then(|()| {
                    let sample = floats_mut(&mut self.sample)?;
                    keep_actions(spec, tokens)
                        .and_then(|()| decoder.run(tokens, sample))
                        .map_err(|e| refused(once.stage, &e.to_string()))
                }),
        };
        self.kind = kind;
        result
    }

    /// Runs the graph once on what lies in the buffers.
    fn step(
        &self,
        once: &mut Once<'_, '_>,
        sources: Sources<'_>,
        step: usize,
        changed: Run,
    ) -> Result<(), PolicyError> {
        let changed = if step == 0 { changed } else { Run::Loop };
        let mut views = Views::new();
        sources.gather(once.stage, Some(self), &mut views)?;
        once.run(&views, step, changed)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a flow loop")]
    fn flow(
        &mut self,
        once: &mut Once<'_, '_>,
        sources: Sources<'_>,
        steps: &[(f32, f32)],
        [from, to]: [f32; 2],
        output: usize,
        guide: Option<&Guide>,
        changed: Run,
    ) -> Result<(), PolicyError> {
        for (step, &(time, length)) in steps.iter().enumerate() {
            floats_mut(&mut self.time)?.fill(time);
            if let Some(guide) = guide {
                let sample = floats_mut(&mut self.sample)?;
                guide.put_prefix(sample, floats_mut(&mut self.time)?, to);
            }
            self.step(once, sources, step, changed)?;
            let velocity = once.floats(output)?;
            let sample = floats_mut(&mut self.sample)?;
            let Some(guide) = guide else {
                euler(sample, velocity, length);
                continue;
            };
            let at = FlowTime {
                from,
                to,
                time,
                step: length,
                done: f64::from(time - from) / f64::from(to - from),
                steps: steps.len(),
            };
            guide.euler(sample, velocity, at);
        }
        if let Some(guide) = guide {
            guide.put_prefix(
                floats_mut(&mut self.sample)?,
                floats_mut(&mut self.time)?,
                to,
            );
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a diffusion loop")]
    fn diffusion(
        &mut self,
        once: &mut Once<'_, '_>,
        sources: Sources<'_>,
        source: &mut NoiseSource,
        schedule: &Schedule,
        added: &mut [f32],
        output: usize,
        changed: Run,
    ) -> Result<(), PolicyError> {
        // Steps add standard normal noise, whatever the sample was drawn from.
        const STANDARD: Noise = Noise::Normal {
            mean: 0.0,
            std: 1.0,
        };
        for step in 0..schedule.len() {
            integers_mut(&mut self.time)?.fill(schedule.time(step));
            self.step(once, sources, step, changed)?;
            let noise = if schedule.takes_noise(step) {
                source.fill(&STANDARD, added);
                &*added
            } else {
                &[]
            };
            let sample = floats_mut(&mut self.sample)?;
            schedule.step(step, sample, once.floats(output)?, noise);
        }
        Ok(())
    }

    /// Decodes until the end token, or `max_tokens` where there is none.
    fn decode(
        &mut self,
        once: &mut Once<'_, '_>,
        sources: Sources<'_>,
        spec: &TokensSpec,
        tokens: &mut Vec<u32>,
        changed: Run,
    ) -> Result<(), PolicyError> {
        let stage = once.stage;
        let Some(own) = &stage.tokens else {
            return Ok(());
        };
        tokens.clear();
        self.begin_caches(own, sources)?;
        let mut next = match (&spec.first, own.first) {
            (FirstToken::Token(token), _) => *token,
            (FirstToken::Logits(_), Some(place)) => {
                let view = sources.view(place, None)?;
                let token = last_row(&view).and_then(largest);
                let token = token.ok_or_else(|| refused(stage, "the first logits hold a NaN"))?;
                token as u32
            }
            (FirstToken::Logits(_), None) => {
                return Err(refused(stage, "the first logits are not there"));
            }
        };
        let mut counts = matches!(spec.first, FirstToken::Logits(_));
        for step in 0..=spec.max_tokens {
            if counts {
                if spec.end == Some(next) {
                    return Ok(());
                }
                if tokens.len() < spec.max_tokens {
                    tokens.push(next);
                }
                let open = spec.end.is_none() || spec.open_end;
                if open && tokens.len() == spec.max_tokens {
                    return Ok(());
                }
            }
            counts = true;
            if step == spec.max_tokens {
                break;
            }
            integers_mut(&mut self.token)?.fill(i64::from(next));
            integers_mut(&mut self.index)?.fill(step as i64);
            self.step(once, sources, step, changed)?;
            for (cache, tensor) in own.caches.iter().zip(&mut self.caches) {
                let made = stage.graph.output(once.state, cache.output)?;
                let begun = match cache.from {
                    Some(from) => sources.view(from, None)?.shape()[cache.axis.unwrap_or(0)],
                    None => 0,
                };
                place(cache, tensor, &made, begun + step).map_err(|e| refused(stage, &e))?;
            }
            let logits = stage.graph.output(once.state, own.logits)?;
            let token = last_row(&logits).and_then(largest);
            next = token.ok_or_else(|| refused(stage, "the logits hold a NaN"))? as u32;
        }
        let message = format!("no end token within {} tokens", spec.max_tokens);
        Err(refused(stage, &message))
    }

    fn begin_caches(&mut self, own: &TokenStage, sources: Sources<'_>) -> Result<(), PolicyError> {
        for (cache, tensor) in own.caches.iter().zip(&mut self.caches) {
            floats_mut(tensor)?.fill(0.0);
            if let Some(from) = cache.from {
                let view = sources.view(from, None)?;
                place(cache, tensor, &view, 0).map_err(PolicyError::Other)?;
            }
        }
        Ok(())
    }
}

/// Writes a part of a cache along its axis, or all of it where it has none.
fn place(
    cache: &Cache,
    tensor: &mut Tensor,
    part: &View<'_>,
    position: usize,
) -> Result<(), String> {
    let Some(axis) = cache.axis else {
        return tensor.copy_from(*part).map_err(|e| e.to_string());
    };
    let shape = &cache.spec.shape;
    let (whole, count) = (shape[axis], part.shape()[axis]);
    if position + count > whole {
        return Err(format!(
            "a cache of {whole} is full at {position} along axis {axis}"
        ));
    }
    let inner: usize = shape[axis + 1..].iter().product();
    let source = part.values::<f32>().map_err(|e| e.to_string())?;
    let target = tensor.values_mut::<f32>().map_err(|e| e.to_string())?;
    let rows = target
        .chunks_exact_mut(whole * inner)
        .zip(source.chunks_exact(count * inner));
    for (target, source) in rows {
        target[position * inner..][..source.len()].copy_from_slice(source);
    }
    Ok(())
}

/// The values along the last axis of the last row.
fn last_row<'a>(view: &View<'a>) -> Option<&'a [f32]> {
    let length = *view.shape().last()?;
    let values = view.values::<f32>().ok()?;
    values.get(values.len().checked_sub(length)?..)
}

fn floats_mut(tensor: &mut Tensor) -> Result<&mut [f32], PolicyError> {
    tensor
        .values_mut()
        .map_err(|e| PolicyError::Other(e.to_string()))
}

fn integers_mut(tensor: &mut Tensor) -> Result<&mut [i64], PolicyError> {
    tensor
        .values_mut()
        .map_err(|e| PolicyError::Other(e.to_string()))
}

fn refused(stage: &Stage, message: &str) -> PolicyError {
    PolicyError::Decode {
        stage: stage.spec.name.clone(),
        message: message.to_owned(),
    }
}
