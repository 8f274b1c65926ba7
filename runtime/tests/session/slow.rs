//! A policy that takes time of the machine.

use std::time::Duration;

use wink_runtime::policy::{
    ActionChunk, ChunkShape, Observation, Policy, PolicyError, PolicyTimes,
};

use crate::mock::Constant;

/// Sleeps in each inference; where that is all the time there is, it panics.
pub struct Slow {
    pub constant: Constant,
    pub work: Duration,
}

impl Policy for Slow {
    fn begin_episode(&mut self, instruction: &str) -> Result<(), PolicyError> {
        self.constant.begin_episode(instruction)
    }

    fn act(
        &mut self,
        observation: &Observation<'_>,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        assert!(self.work < Duration::MAX, "out of time");
        std::thread::sleep(self.work);
        self.constant.act(observation, out)
    }

    fn needs_frame(&self) -> bool {
        self.constant.needs_frame()
    }

    fn chunk_shape(&self) -> ChunkShape {
        self.constant.chunk_shape()
    }

    fn control_hz(&self) -> Option<f64> {
        self.constant.control_hz()
    }

    fn times(&self) -> PolicyTimes {
        self.constant.times()
    }
}
