//! How long the link takes, and how far apart the clocks are.

use wink_firmware::wire::Pong;

/// Pings whose fastest one gives the clock offset, as in NTP's clock filter (RFC 5905, section 10).
const WINDOW: usize = 8;

/// Round trips over the link, and the offset between the two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RoundTrip {
    /// Pings answered.
    pub count: u64,
    /// The last one, the board's own time not counted.
    pub last_us: u64,
    /// The fastest.
    pub least_us: u64,
    /// The slowest.
    pub most_us: u64,
    /// All of them together; divided by [`count`](Self::count) the mean.
    pub total_us: u64,
    /// Board time minus host time, from the fastest of the last 8.
    pub clock_offset_us: i64,
    /// The offset is within this of the truth: half the round trip that it came from.
    pub clock_error_us: u64,
    window: [Option<(u64, i64)>; WINDOW],
}

impl RoundTrip {
    /// The mean; `None` before the first.
    #[must_use]
    pub fn mean_us(&self) -> Option<u64> {
        self.total_us.checked_div(self.count)
    }

    /// Takes an answer that was read at `now_us`.
    pub(super) fn heard(&mut self, pong: &Pong, now_us: u64) {
        let Some(away_us) = now_us.checked_sub(pong.host_time_us) else {
            // No ping of this host, or of before its clock was set.
            return;
        };
        let trip_us = away_us.saturating_sub(pong.time_us.saturating_sub(pong.received_us));
        let offset_us = (signed(pong.received_us) - signed(pong.host_time_us)
            + signed(pong.time_us)
            - signed(now_us))
            / 2;
        let slot = (self.count % WINDOW as u64) as usize;
        self.window[slot] = Some((trip_us, offset_us));
        self.least_us = if self.count == 0 {
            trip_us
        } else {
            self.least_us.min(trip_us)
        };
        self.most_us = self.most_us.max(trip_us);
        self.last_us = trip_us;
        self.total_us = self.total_us.saturating_add(trip_us);
        self.count += 1;
        if let Some((trip_us, offset_us)) = self.window.iter().flatten().min() {
            self.clock_offset_us = *offset_us;
            self.clock_error_us = trip_us.div_ceil(2);
        }
    }
}

/// A time, small enough that four of them can be added.
fn signed(time_us: u64) -> i64 {
    (time_us as i64).clamp(i64::MIN / 8, i64::MAX / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ping sent at `sent_us` by a host whose clock is `offset_us` behind the board's, with times
    /// out, at the board and back; and when the answer is read.
    fn pong(sent_us: u64, offset_us: i64, [out, at, back]: [u64; 3]) -> (Pong, u64) {
        let board = |host_us: u64| host_us.saturating_add_signed(offset_us);
        let pong = Pong {
            seq: 0,
            host_time_us: sent_us,
            received_us: board(sent_us + out),
            time_us: board(sent_us + out + at),
        };
        (pong, sent_us + out + at + back)
    }

    #[test]
    fn trip_and_offset_are_told_apart() {
        let cases = [
            (5_000_000, [200, 1_000, 200], 400, 5_000_000, 200),
            (-900_000, [200, 10, 200], 400, -900_000, 200),
            // An uneven way is felt as half the difference, which the error covers.
            (1_000, [900, 0, 100], 1_000, 1_400, 500),
        ];
        for (offset_us, ways, trip, found, error) in cases {
            let mut trips = RoundTrip::default();
            let (pong, now_us) = pong(1_000_000, offset_us, ways);
            trips.heard(&pong, now_us);
            assert_eq!(
                (trips.last_us, trips.least_us, trips.most_us),
                (trip, trip, trip)
            );
            assert_eq!(
                (trips.clock_offset_us, trips.clock_error_us),
                (found, error)
            );
            assert!(found.abs_diff(offset_us) <= error);
        }
    }

    #[test]
    fn the_fastest_of_the_last_ones_counts() {
        let mut trips = RoundTrip::default();
        assert_eq!(trips.mean_us(), None);
        for round in 0..20_u64 {
            let slow = if round == 3 { 0 } else { 5_000 };
            let (pong, now_us) = pong(round * 100_000, 7_000, [100 + slow, 50, 100]);
            trips.heard(&pong, now_us);
            if (3..11).contains(&round) {
                assert_eq!(trips.clock_offset_us, 7_000, "round {round}");
            } else {
                assert_eq!(trips.clock_offset_us, 9_500, "round {round}");
            }
        }
        assert_eq!(
            (trips.count, trips.least_us, trips.most_us),
            (20, 200, 5_200)
        );
        assert_eq!(trips.mean_us(), Some((19 * 5_200 + 200) / 20));
    }

    #[test]
    fn times_that_cannot_be_are_survived() {
        let mut trips = RoundTrip::default();
        for (host_time_us, received_us, time_us, now_us) in [
            (u64::MAX, 0, 0, 5),
            (0, u64::MAX, 0, u64::MAX),
            (0, 0, u64::MAX, 0),
            (7, 9, 3, 8),
        ] {
            let pong = Pong {
                seq: 0,
                host_time_us,
                received_us,
                time_us,
            };
            trips.heard(&pong, now_us);
        }
        assert_eq!(trips.count, 3);
    }
}
