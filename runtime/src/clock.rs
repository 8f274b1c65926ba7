//! The host's time. In simulation, waiting is what advances the world.

use std::time::{Duration, Instant};

/// A clock that never runs backwards.
pub trait Clock {
    /// Time since an arbitrary start, in microseconds.
    fn now_us(&self) -> u64;

    /// Waits until `now_us()` is at least `time_us`; returns at once where that has passed. A
    /// simulated clock advances the physics here.
    fn sleep_until(&mut self, time_us: u64);

    /// The clock only reaches multiples of this many microseconds: a simulated one advances by
    /// whole steps of its physics.
    fn step_us(&self) -> u64 {
        1
    }
}

/// The machine's own monotonic clock, counted from its making.
#[derive(Debug, Clone)]
pub struct MonotonicClock {
    start: Instant,
}

impl MonotonicClock {
    /// Starts at zero.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for MonotonicClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for MonotonicClock {
    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn sleep_until(&mut self, time_us: u64) {
        // `sleep` may wake early on some systems.
        while let Some(left_us) = time_us
            .checked_sub(self.now_us())
            .filter(|&left_us| left_us > 0)
        {
            std::thread::sleep(Duration::from_micros(left_us));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_reaches_the_time_and_the_past_returns_at_once() {
        let mut clock = MonotonicClock::new();
        let time_us = clock.now_us() + 2_000;
        clock.sleep_until(time_us);
        assert!(clock.now_us() >= time_us);
        clock.sleep_until(0);
    }
}
