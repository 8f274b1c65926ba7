//! A network that remembers when it was asked.

use std::time::{Duration, Instant};

use wink_runtime::policy::manifest::Manifest;
use wink_runtime::policy::{
    ActionChunk, ChunkShape, Observation, OnnxPolicy, OpTime, Policy, PolicyError, PolicyTimes,
};

/// When something began, and how long it took.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub start: Instant,
    pub time: Duration,
}

/// The network with its last calls.
#[derive(Debug)]
pub struct Watched {
    network: OnnxPolicy,
    /// The last beginning of an episode.
    pub text: Option<Span>,
    /// The last call for a chunk.
    pub act: Option<Span>,
}

impl Watched {
    pub fn new(network: OnnxPolicy) -> Self {
        Self {
            network,
            text: None,
            act: None,
        }
    }

    /// Whether each op is timed from now on.
    pub fn time_ops(&mut self, on: bool) {
        self.network.time_ops(on);
    }

    /// The times of a graph's last run, op by op.
    pub fn op_times(&self, stage: &str) -> &[OpTime] {
        self.network.op_times(stage)
    }
}

/// Runs `call` and says when.
fn spanned<T>(call: impl FnOnce() -> T) -> (T, Option<Span>) {
    let start = Instant::now();
    let value = call();
    let time = start.elapsed();
    (value, Some(Span { start, time }))
}

impl Policy for Watched {
    fn begin_episode(&mut self, instruction: &str) -> Result<(), PolicyError> {
        let (begun, span) = spanned(|| self.network.begin_episode(instruction));
        self.text = span;
        begun
    }

    fn act(
        &mut self,
        observation: &Observation<'_>,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        let (acted, span) = spanned(|| self.network.act(observation, out));
        self.act = span;
        acted
    }

    fn needs_frame(&self) -> bool {
        self.network.needs_frame()
    }

    fn chunk_shape(&self) -> ChunkShape {
        self.network.chunk_shape()
    }

    fn manifest(&self) -> Option<Manifest> {
        Policy::manifest(&self.network)
    }

    fn control_hz(&self) -> Option<f64> {
        self.network.control_hz()
    }

    fn keeps_history(&self) -> bool {
        self.network.keeps_history()
    }

    fn see(&mut self, observation: &Observation<'_>) -> Result<(), PolicyError> {
        self.network.see(observation)
    }

    fn times(&self) -> PolicyTimes {
        self.network.times()
    }
}
