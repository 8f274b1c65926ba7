//! Steering a flow towards actions that are executed anyway: real-time chunking, guided and trained.

use super::super::{Condition, Conditioning};

/// The condition of a flow in the numbers of its sample, with its weights.
#[derive(Debug, Clone)]
pub(crate) struct Guide {
    how: Conditioning,
    /// `[rows, width]`, normalised.
    target: Vec<f32>,
    /// Of each row.
    weights: Vec<f32>,
    width: usize,
    /// Numbers of a row that are actions; the others are padding.
    dim: usize,
    /// Rows that are given.
    prefix: usize,
}

impl Guide {
    /// For samples of `rows` actions of `width` numbers, of which `dim` are used.
    pub(crate) fn new(rows: usize, width: usize, dim: usize) -> Self {
        Self {
            how: Conditioning::None,
            target: vec![0.0; rows * width],
            weights: vec![0.0; rows],
            width,
            dim,
            prefix: 0,
        }
    }

    /// Takes a condition in; `normalise` brings an action into the numbers of the sample.
    pub(crate) fn set(&mut self, condition: &Condition, normalise: impl Fn(&[f32], &mut [f32])) {
        let rows = self.weights.len();
        let left = condition.rest.steps.min(rows);
        self.how = match left {
            0 => Conditioning::None,
            _ => condition.how,
        };
        self.target.fill(0.0);
        for (row, target) in self.target.chunks_exact_mut(self.width).enumerate() {
            if let Some(action) = condition.rest.step(row) {
                normalise(action, &mut target[..self.dim]);
            }
        }
        self.prefix = condition.delay.min(left);
        let end = rows.saturating_sub(condition.execute).min(left);
        for (row, weight) in self.weights.iter_mut().enumerate() {
            *weight = guidance_weight(row, self.prefix, end) as f32;
        }
    }

    /// No condition.
    pub(crate) fn clear(&mut self) {
        self.how = Conditioning::None;
    }

    /// Puts the given rows in. `times` is the graph's time, a value for each row where it takes as many; `clean` is the time of
    /// actions without noise.
    pub(crate) fn put_prefix(&self, sample: &mut [f32], times: &mut [f32], clean: f32) {
        if self.how == Conditioning::Prefix {
            let given = self.prefix * self.width;
            sample[..given].copy_from_slice(&self.target[..given]);
            times[..self.prefix].fill(clean);
        }
    }

    /// One step of Euler's method from `time` by `step`; `to` is the time of the actions, `done` the share of the way from noise to
    /// actions that lies behind, and `steps` how many there are.
    pub(crate) fn euler(&self, sample: &mut [f32], velocity: &[f32], at: FlowTime) {
        if self.how != Conditioning::Guided {
            return super::euler(sample, velocity, at.step);
        }
        let left = at.to - at.time;
        // Per unit of the flow's own time, which may run backwards.
        let gain = (guidance_gain(at.done, at.steps) / f64::from(at.to - at.from)) as f32;
        let rows = sample
            .chunks_exact_mut(self.width)
            .zip(velocity.chunks_exact(self.width))
            .zip(self.target.chunks_exact(self.width))
            .zip(&self.weights);
        for (((x, v), y), weight) in rows {
            for (column, (x, v)) in x.iter_mut().zip(v).enumerate() {
                let weight = if column < self.dim { *weight } else { 0.0 };
                let error = (y[column] - (*x + left * v)) * weight;
                *x += at.step * (v + gain * error);
            }
        }
    }
}

/// Where a step of a flow stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlowTime {
    /// Time of the noise.
    pub from: f32,
    /// Time of the actions.
    pub to: f32,
    /// Time now.
    pub time: f32,
    /// Signed length of the step.
    pub step: f32,
    /// The share of the way from noise to actions that lies behind, tau.
    pub done: f64,
    /// Steps of the flow.
    pub steps: usize,
}

/// The weight of the chunk's action `row`: 1 below `delay`, then falling, 0 from `end` on.
fn guidance_weight(row: usize, delay: usize, end: usize) -> f64 {
    if row < delay {
        return 1.0;
    }
    if row >= end {
        return 0.0;
    }
    let linear = (end - row) as f64 / (end - delay + 1) as f64;
    linear * libm::expm1(linear) / (std::f64::consts::E - 1.0)
}

/// The gain of the guidance at `done`, tau, of a flow of `steps` steps.
fn guidance_gain(done: f64, steps: usize) -> f64 {
    let most = steps as f64;
    let left = 1.0 - done;
    if done <= 0.0 {
        return most;
    }
    (left / done * (left * left + done * done) / (left * left)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ActionChunk;

    /// By hand for H = 8, d = 2, s = 3: the weights end at row 5, c = 3/4, 2/4, 1/4.
    #[test]
    fn weights_fall_from_the_delay_to_the_part_that_is_executed_later() {
        let expected = [
            1.0,
            1.0,
            0.75 * 1.117_000_016_6 / 1.718_281_828_5,
            0.5 * 0.648_721_270_7 / 1.718_281_828_5,
            0.25 * 0.284_025_416_7 / 1.718_281_828_5,
            0.0,
            0.0,
            0.0,
        ];
        for (row, expected) in expected.into_iter().enumerate() {
            let weight = guidance_weight(row, 2, 5);
            assert!((weight - expected).abs() < 1e-9, "row {row}: {weight}");
        }
        assert_eq!(guidance_weight(0, 0, 0), 0.0);
        assert_eq!(guidance_weight(3, 4, 4), 1.0);
    }

    /// tau = 1/2: (1/2 / 1/2) * (1/4 + 1/4) / (1/4) = 2; tau = 1/10: 9 * (0.81 + 0.01) / 0.81.
    #[test]
    fn the_gain_is_cut_at_the_number_of_steps() {
        assert_eq!(guidance_gain(0.0, 10), 10.0);
        assert!((guidance_gain(0.1, 10) - 9.111_111_111_1).abs() < 1e-9);
        assert!((guidance_gain(0.5, 10) - 2.0).abs() < 1e-12);
        assert_eq!(guidance_gain(0.1, 5), 5.0);
    }

    fn condition(how: Conditioning) -> Condition {
        Condition {
            how,
            rest: ActionChunk {
                steps: 2,
                dim: 1,
                data: vec![4.0, 6.0],
            },
            delay: 1,
            execute: 1,
        }
    }

    /// The same flow with time from 1 to 0 and from 0 to 1 goes the same way: x1 = x - t v = 0.5, e = (y - x1) w,
    /// v' = v - g e with tau = 1/2, g = 2.
    #[test]
    fn a_step_is_steered_towards_the_rest_of_the_chunk() {
        let mut guide = Guide::new(3, 2, 1);
        guide.set(&condition(Conditioning::Guided), |action, out| {
            out[0] = action[0] / 2.0;
        });
        // H - s = 2, so that row 1 is in between: c = 1/2.
        let between = 0.5 * 0.648_721_270_7 / 1.718_281_828_5;
        for (from, to, sign) in [(1.0, 0.0, 1.0), (0.0, 1.0, -1.0)] {
            let mut sample = vec![1.0_f32; 6];
            let at = FlowTime {
                from,
                to,
                time: 0.5,
                step: 0.25 * (to - from),
                done: 0.5,
                steps: 4,
            };
            guide.euler(&mut sample, &[sign; 6], at);
            let moved =
                |target: f64, weight: f64| 1.0 - 0.25 * (1.0 - 2.0 * (target - 0.5) * weight);
            let expected = [moved(2.0, 1.0), 0.75, moved(3.0, between), 0.75, 0.75, 0.75];
            for (x, expected) in sample.iter().zip(expected) {
                assert!((f64::from(*x) - expected).abs() < 1e-6, "{sample:?}");
            }
        }
    }

    #[test]
    fn a_prefix_is_put_in_with_the_time_of_clean_actions() {
        let mut guide = Guide::new(3, 2, 1);
        guide.set(&condition(Conditioning::Prefix), |action, out| {
            out[0] = action[0];
        });
        let (mut sample, mut times) = (vec![9.0; 6], vec![0.5; 3]);
        guide.put_prefix(&mut sample, &mut times, 0.0);
        assert_eq!(sample, [4.0, 0.0, 9.0, 9.0, 9.0, 9.0]);
        assert_eq!(times, [0.0, 0.5, 0.5]);
        // Without a condition nothing is touched, and a step is Euler's.
        guide.clear();
        guide.put_prefix(&mut sample, &mut times, 1.0);
        assert_eq!(times, [0.0, 0.5, 0.5]);
    }
}
