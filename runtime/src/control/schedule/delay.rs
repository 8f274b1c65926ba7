//! How many steps an inference takes.

/// As many of the last inferences count.
const WINDOW: usize = 100;

/// The steps that go by in `latency_us`: a chunk is executed from the first tick on at which it is there.
#[must_use]
pub fn delay_steps(latency_us: u64, period_us: u64) -> usize {
    usize::try_from(latency_us.div_ceil(period_us.max(1))).unwrap_or(usize::MAX)
}

/// The longest of the last 100 inferences in steps; the first of all, which warms up, counts until the second is there.
#[derive(Debug, Clone)]
pub struct DelayEstimate {
    seen: [usize; WINDOW],
    count: usize,
}

impl Default for DelayEstimate {
    fn default() -> Self {
        Self {
            seen: [0; WINDOW],
            count: 0,
        }
    }
}

impl DelayEstimate {
    /// Takes the steps that an inference took.
    pub fn took(&mut self, steps: usize) {
        // The second takes the place of the first.
        let place = self.count.saturating_sub(1) % WINDOW;
        self.seen[place] = steps;
        self.count += 1;
    }

    /// The estimate; 0 before the first inference.
    #[must_use]
    pub fn steps(&self) -> usize {
        let known = self.count.saturating_sub(1).clamp(1, WINDOW);
        self.seen[..known].iter().copied().max().unwrap_or(0)
    }
}
