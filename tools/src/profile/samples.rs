//! Times as they were measured.

use std::collections::BTreeMap;
use std::time::Duration;

use wink_runtime::policy::OpTime;
use wink_runtime::session::TickReport;

/// Times of a profile, one of each time that it happened.
#[derive(Debug, Default)]
pub struct Samples {
    /// The very first text encoding and inference.
    pub first_text: Duration,
    pub first_inference: Duration,
    /// From an instruction to its encoding.
    pub text: Vec<Duration>,
    pub preprocess: Vec<Duration>,
    pub inference: Vec<Duration>,
    pub control: Vec<Duration>,
    pub link: Vec<Duration>,
    /// All of the runtime's own work in a tick that asks the policy, and in one that does not.
    pub inferring_tick: Vec<Duration>,
    pub chunk_tick: Vec<Duration>,
    /// The simulator's work.
    pub render: Vec<Duration>,
    pub physics: Vec<Duration>,
    /// Of each stage, with every op timed.
    pub ops: BTreeMap<String, OpSamples>,
}

/// Runs of a graph with every op timed.
#[derive(Debug, Default)]
pub struct OpSamples {
    /// The stage around the graph, for what the timing costs.
    pub whole: Vec<Duration>,
    /// Of each op, one time per run.
    pub ops: Vec<Vec<Duration>>,
}

impl Samples {
    /// Takes in a tick in which no op was timed.
    pub fn tick(&mut self, report: &TickReport) {
        let times = &report.times;
        // In simulation the capture is the renderer, which no runtime waits for.
        let own = times.work.saturating_sub(times.capture);
        if report.inferred {
            let policy = &report.policy_times;
            self.preprocess
                .push(Duration::from_micros(policy.preprocess_us));
            self.inference
                .push(Duration::from_micros(policy.inference_us));
            self.inferring_tick.push(own);
        } else {
            self.chunk_tick.push(own);
        }
        if report.captured {
            self.render.push(times.capture);
        }
        self.control.push(times.control);
        self.link.push(times.link);
        self.physics.push(times.wait);
    }
}

impl OpSamples {
    /// Takes in a run.
    pub fn run(&mut self, whole: Duration, ops: &[OpTime]) {
        self.whole.push(whole);
        self.ops.resize(ops.len(), Vec::new());
        for (times, op) in self.ops.iter_mut().zip(ops) {
            times.push(op.time);
        }
    }

    /// The sum over all ops of each run.
    pub fn sums(&self) -> Vec<Duration> {
        (0..self.whole.len())
            .map(|run| self.ops.iter().filter_map(|times| times.get(run)).sum())
            .collect()
    }
}
