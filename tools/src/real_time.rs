//! A simulated world kept in step with the time of this machine.

use wink_runtime::arm::{Link, LinkError};
use wink_runtime::clock::{Clock, MonotonicClock};
use wink_runtime::rig::Shared;

use crate::rollout::World;

/// Link and clock of a world that is never ahead of this machine's time when anything is read or written, and behind it by less
/// than a step of its physics. While the loop waits, the physics is done first and the rest of the time is slept, so that the
/// physics delays no tick.
#[derive(Clone)]
pub struct RealTime {
    world: Shared<dyn World>,
    clock: MonotonicClock,
}

impl RealTime {
    /// From the world's time zero on.
    pub fn new(world: Shared<dyn World>) -> Self {
        Self {
            world,
            clock: MonotonicClock::new(),
        }
    }

    fn advance_to(&mut self, time_us: u64) {
        let step_us = self.world.step_us();
        self.world.sleep_until(time_us - time_us % step_us);
    }
}

impl Link for RealTime {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.advance_to(self.clock.now_us());
        self.world.write(bytes)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        self.advance_to(self.clock.now_us());
        self.world.read(buffer)
    }
}

impl Clock for RealTime {
    fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    fn sleep_until(&mut self, time_us: u64) {
        self.advance_to(time_us);
        self.clock.sleep_until(time_us);
    }
}
