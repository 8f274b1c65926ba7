//! How punctual a run was.

use std::time::Duration;

use wink_runtime::session::{LateTicks, TickReport};

/// Ticks of which the figures at the end are made: a little more than nine hours at 30 Hz.
const MOST: usize = 1_000_000;
/// Ticks that "now" is about.
const RECENT: usize = 30;

/// Counted while a run goes on, without allocating.
#[derive(Debug)]
pub struct Figures {
    period_us: u64,
    /// From the time at which a tick was due to its beginning, microseconds.
    jitter_us: Vec<u32>,
    /// The beginnings of the last ticks, a ring.
    begun_us: [u64; RECENT],
    ticks: u64,
    overruns: u64,
    longest_gap_us: u64,
    worst_hz: f64,
    begun_at_us: Option<u64>,
    last_us: u64,
}

impl Figures {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Self {
            period_us: 0,
            jitter_us: Vec::with_capacity(MOST),
            begun_us: [0; RECENT],
            ticks: 0,
            overruns: 0,
            longest_gap_us: 0,
            worst_hz: f64::INFINITY,
            begun_at_us: None,
            last_us: 0,
        }
    }

    /// The arm was held: the time until the next tick is no gap.
    pub fn pause(&mut self) {
        self.begun_at_us = None;
    }

    /// Takes a tick in.
    pub fn tick(&mut self, report: &TickReport, period_us: u64) {
        self.period_us = period_us;
        if self.jitter_us.len() < MOST {
            let jitter_us = report.start_us.saturating_sub(report.tick_us);
            self.jitter_us
                .push(u32::try_from(jitter_us).unwrap_or(u32::MAX));
        }
        self.overruns += u64::from(report.overrun);
        match self.begun_at_us {
            None => self.begun_us = [report.start_us; RECENT],
            Some(_) => {
                let gap_us = report.start_us.saturating_sub(self.last_us);
                self.longest_gap_us = self.longest_gap_us.max(gap_us);
            }
        }
        let begun = *self.begun_at_us.get_or_insert(report.start_us);
        let slot = (self.ticks % RECENT as u64) as usize;
        let oldest_us = std::mem::replace(&mut self.begun_us[slot], report.start_us);
        if report.start_us.saturating_sub(begun) > RECENT as u64 * period_us {
            self.worst_hz = self
                .worst_hz
                .min(rate(RECENT as u64, report.start_us - oldest_us));
        }
        self.last_us = report.start_us;
        self.ticks += 1;
    }

    /// Ticks so far.
    pub const fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Ticks a second over the last ones.
    pub fn hz_now(&self) -> f64 {
        let oldest = self.begun_us.iter().min().copied().unwrap_or_default();
        let count = (RECENT as u64 - 1).min(self.ticks.saturating_sub(1));
        rate(count, self.last_us.saturating_sub(oldest))
    }

    /// The slowest of all such stretches; `None` before the first is over.
    pub fn hz_worst(&self) -> Option<f64> {
        self.worst_hz.is_finite().then_some(self.worst_hz)
    }

    /// Part of the ticks whose work ended in time.
    pub fn deadlines_met(&self) -> f64 {
        if self.ticks == 0 {
            return 1.0;
        }
        1.0 - self.overruns as f64 / self.ticks as f64
    }

    /// The longest time from the beginning of a tick to that of the next.
    pub const fn longest_gap(&self) -> Duration {
        Duration::from_micros(self.longest_gap_us)
    }

    /// Jitter, microseconds: p50, p99, p99.9 and the largest.
    pub fn jitter_us(&self) -> [u32; 4] {
        let mut sorted = self.jitter_us.clone();
        sorted.sort_unstable();
        let at = |part: f64| {
            let place = (sorted.len() as f64 * part) as usize;
            sorted
                .get(place.min(sorted.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0)
        };
        [at(0.5), at(0.99), at(0.999), at(1.0)]
    }
}

fn rate(ticks: u64, time_us: u64) -> f64 {
    if time_us == 0 {
        return 0.0;
    }
    ticks as f64 * 1e6 / time_us as f64
}

/// Ticks and chunks that were late, by cause, in words.
pub fn late(late: &LateTicks) -> String {
    format!(
        "without an action {}, camera {}, link {}, chunks too late {}",
        late.policy, late.camera, late.link, late.chunks
    )
}
