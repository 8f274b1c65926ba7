//! What time it is on the board, from the times in its telemetry.

/// How fast two clocks may drift apart at worst, in millionths. Crystals keep to 100; resonators of
/// cheap boards do not.
const DRIFT_PPM: u64 = 500;

/// Estimates the board's clock from pairs of (board time sent, host time received).
///
/// A line takes at least as long as the fastest one did, so the largest difference seen is the
/// nearest to the truth. It is let down slowly, so that an old one does not outlive the drift of
/// the clocks. The estimate is never ahead of the board by more than that drift.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BoardTime {
    best: Option<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    board_us: u64,
    host_us: u64,
}

impl BoardTime {
    /// Takes a message that the board stamped `board_us` and that was read at `host_us`.
    pub(super) fn heard(&mut self, board_us: u64, host_us: u64) {
        let later = self.best.is_none_or(|best| {
            let age_us = host_us.saturating_sub(best.host_us);
            let expected_us = best.board_us + age_us - age_us * DRIFT_PPM / 1_000_000;
            board_us >= expected_us
        });
        if later {
            self.best = Some(Sample { board_us, host_us });
        }
    }

    /// The board's time at `host_us`, or `None` before the first message.
    pub(super) fn at(&self, host_us: u64) -> Option<u64> {
        self.best
            .map(|best| match host_us.checked_sub(best.host_us) {
                Some(since_us) => best.board_us + since_us,
                None => best.board_us.saturating_sub(best.host_us - host_us),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_before_the_first_message() {
        assert_eq!(BoardTime::default().at(5), None);
    }

    #[test]
    fn the_fastest_line_counts_and_slow_ones_do_not_move_the_estimate() {
        let mut time = BoardTime::default();
        // The board is 1,000,000 us ahead; lines take 500 us, 200 us, then up to 30 ms.
        time.heard(1_000_000, 500);
        time.heard(1_010_000, 10_200);
        assert_eq!(time.at(20_000), Some(1_019_800));
        // Before the line was read, too.
        assert_eq!(time.at(5_200), Some(1_005_000));
        for tick in 2..50 {
            time.heard(1_000_000 + tick * 10_000, tick * 10_000 + 30_000);
        }
        assert_eq!(time.at(600_000), Some(1_599_800));
    }

    #[test]
    fn a_slow_board_clock_is_followed() {
        let mut time = BoardTime::default();
        for tick in 0..100_000_u64 {
            let host_us = tick * 10_000;
            time.heard(host_us - host_us / 10_000, host_us);
            let error_us = time
                .at(host_us)
                .map(|board_us| board_us.abs_diff(host_us - host_us / 10_000));
            assert!(
                error_us.is_some_and(|error_us| error_us <= 100),
                "{error_us:?} at {host_us}"
            );
        }
    }
}
