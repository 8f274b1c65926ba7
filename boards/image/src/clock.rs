//! Board time from the processor's SysTick: periods counted by its exception, and how far the counter is in this one.

use core::sync::atomic::{AtomicU32, Ordering};

/// Microseconds since the start, in 64 bits: they do not wrap while anybody lives.
///
/// Call [`count`](Self::count) from the SysTick exception, and read the time from code that the exception interrupts.
pub struct TickClock {
    periods: AtomicU32,
    wraps: AtomicU32,
    period_us: u32,
}

impl TickClock {
    /// A clock at zero whose SysTick expires every `period_us`.
    #[must_use]
    pub const fn new(period_us: u32) -> Self {
        Self {
            periods: AtomicU32::new(0),
            wraps: AtomicU32::new(0),
            period_us,
        }
    }

    /// What SysTick's reload register must be for a processor of so many cycles per microsecond.
    #[must_use]
    pub const fn reload(&self, cycles_per_us: u32) -> u32 {
        self.period_us
            .saturating_mul(cycles_per_us)
            .saturating_sub(1)
    }

    /// One period more.
    pub fn count(&self) {
        let periods = self.periods.load(Ordering::Relaxed).wrapping_add(1);
        self.periods.store(periods, Ordering::Relaxed);
        if periods == 0 {
            let wraps = self.wraps.load(Ordering::Relaxed);
            self.wraps.store(wraps.wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// The time now; `counter` reads SysTick's current value, which counts down to 0 from [`reload`](Self::reload).
    pub fn now_us(&self, cycles_per_us: u32, counter: impl Fn() -> u32) -> u64 {
        let reload = self.reload(cycles_per_us);
        loop {
            let (wraps, periods) = self.counted();
            let left = counter();
            // Where a period ended in between, the counter may have been read in either.
            if self.counted() == (wraps, periods) {
                let full = u64::from(wraps) << 32 | u64::from(periods);
                let part_us = reload.saturating_sub(left) / cycles_per_us.max(1);
                return full * u64::from(self.period_us) + u64::from(part_us);
            }
        }
    }

    fn counted(&self) -> (u32, u32) {
        (
            self.wraps.load(Ordering::Relaxed),
            self.periods.load(Ordering::Relaxed),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const CYCLES: u32 = 16;
    const RELOAD: u32 = 3_999;

    #[test]
    fn the_reload_fits_the_processor() {
        let clock = TickClock::new(250);
        assert_eq!(clock.reload(CYCLES), RELOAD);
        assert_eq!(clock.reload(84), 20_999);
    }

    #[test]
    fn time_is_counted_periods_and_a_part() {
        let clock = TickClock::new(250);
        for (counts, left, expected_us) in [
            (0, RELOAD, 0),
            (0, 0, 249),
            (1, RELOAD, 250),
            (0, 1_999, 375),
        ] {
            (0..counts).for_each(|_| clock.count());
            assert_eq!(clock.now_us(CYCLES, || left), expected_us);
        }
    }

    #[test]
    fn a_period_that_ends_while_it_is_read_does_not_turn_time_back() {
        let clock = TickClock::new(250);
        let reads = Cell::new(0);
        let time_us = clock.now_us(CYCLES, || {
            reads.set(reads.get() + 1);
            if reads.get() == 1 {
                clock.count();
            }
            RELOAD
        });
        assert_eq!((time_us, reads.get()), (250, 2));
    }

    #[test]
    fn the_count_of_periods_may_wrap() {
        let clock = TickClock::new(250);
        clock.periods.store(u32::MAX, Ordering::Relaxed);
        let before_us = clock.now_us(CYCLES, || 0);
        clock.count();
        assert_eq!(clock.now_us(CYCLES, || RELOAD), before_us + 1);
    }
}
