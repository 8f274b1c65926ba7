//! The steps of diffusers' `DDPMScheduler` and `DDIMScheduler`, in single precision as they compute them.

use super::super::manifest::{Betas, DiffusionSpec, Prediction, Sampler};

/// The steps of a diffusion loop with their factors.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    prediction: Prediction,
    clip: Option<f32>,
    steps: Vec<Step>,
}

/// One step: sample = `original` * x0 + `current` * sample + `direction` * epsilon + `noise` * noise.
#[derive(Debug, Clone, Copy)]
struct Step {
    time: i64,
    /// Root of the product of alphas, and of what it lacks to 1.
    signal: f32,
    spread: f32,
    original: f32,
    current: f32,
    direction: f32,
    noise: f32,
}

impl Schedule {
    pub(crate) fn new(spec: &DiffusionSpec) -> Self {
        let products = alpha_products(&spec.betas, spec.train_steps);
        let ratio = spec.train_steps / spec.steps;
        let time = |step: usize| (spec.steps - 1 - step) * ratio + spec.steps_offset;
        let steps = (0..spec.steps).map(|step| {
            let now = time(step);
            let at = products[now];
            match spec.sampler {
                Sampler::Ddpm => {
                    let next = (step + 1 < spec.steps).then(|| products[time(step + 1)]);
                    ddpm(now, at, next)
                }
                Sampler::Ddim => {
                    let last = match spec.set_alpha_to_one {
                        Some(true) => 1.0,
                        _ => products[0],
                    };
                    let next = now.checked_sub(ratio).map_or(last, |time| products[time]);
                    ddim(now, at, next)
                }
            }
        });
        Self {
            prediction: spec.prediction,
            clip: spec.clip,
            steps: steps.collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The time that the graph is given.
    pub(crate) fn time(&self, step: usize) -> i64 {
        self.steps[step].time
    }

    /// Whether a step adds noise.
    pub(crate) fn takes_noise(&self, step: usize) -> bool {
        self.steps[step].noise > 0.0
    }

    /// Brings the sample to the next step. `noise` is as long as the sample, and empty where the step takes none.
    pub(crate) fn step(&self, step: usize, sample: &mut [f32], output: &[f32], noise: &[f32]) {
        let step = &self.steps[step];
        for (index, (x, out)) in sample.iter_mut().zip(output).enumerate() {
            let (mut original, epsilon) = match self.prediction {
                Prediction::Epsilon => ((*x - step.spread * out) / step.signal, *out),
                Prediction::Sample => (*out, (*x - step.signal * out) / step.spread),
                Prediction::Velocity => (
                    step.signal * *x - step.spread * out,
                    step.signal * out + step.spread * *x,
                ),
            };
            if let Some(clip) = self.clip {
                original = original.clamp(-clip, clip);
            }
            *x = step.original * original + step.current * *x + step.direction * epsilon;
            if let Some(noise) = noise.get(index) {
                *x += step.noise * noise;
            }
        }
    }
}

/// `next`: the product of alphas after the step; none at the last one.
fn ddpm(time: usize, at: f32, next: Option<f32>) -> Step {
    let after = next.unwrap_or(1.0);
    let alpha = at / after;
    let beta = 1.0 - alpha;
    let variance = ((1.0 - after) / (1.0 - at) * beta).max(1e-20);
    Step {
        time: time as i64,
        signal: at.sqrt(),
        spread: (1.0 - at).sqrt(),
        original: after.sqrt() * beta / (1.0 - at),
        current: alpha.sqrt() * (1.0 - after) / (1.0 - at),
        direction: 0.0,
        noise: if time > 0 { variance.sqrt() } else { 0.0 },
    }
}

fn ddim(time: usize, at: f32, after: f32) -> Step {
    Step {
        time: time as i64,
        signal: at.sqrt(),
        spread: (1.0 - at).sqrt(),
        original: after.sqrt(),
        current: 0.0,
        direction: (1.0 - after).sqrt(),
        noise: 0.0,
    }
}

/// The running products of 1 - beta.
fn alpha_products(betas: &Betas, train_steps: usize) -> Vec<f32> {
    let count = train_steps as f64;
    let beta = |index: usize| match betas {
        Betas::Squaredcos {} => {
            let bar = |time: f64| {
                let cos = libm::cos((time + 0.008) / 1.008 * std::f64::consts::PI / 2.0);
                cos * cos
            };
            let (from, to) = (index as f64 / count, (index as f64 + 1.0) / count);
            (1.0 - bar(to) / bar(from)).min(0.999) as f32
        }
        Betas::Linear { start, end } => {
            // As torch's linspace, whose second half counts from the end.
            let step = (end - start) / (train_steps.max(2) - 1) as f32;
            if index < train_steps / 2 {
                start + step * index as f32
            } else {
                end - step * (train_steps - index - 1) as f32
            }
        }
        Betas::List(betas) => betas[index],
    };
    let mut product = 1.0_f64;
    (0..train_steps)
        .map(|index| {
            product *= f64::from(1.0 - beta(index));
            product as f32
        })
        .collect()
}

#[cfg(test)]
mod tests;
