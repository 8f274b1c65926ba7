//! Where the arm was: measured positions with the board's times, to ask for any time between.

use wink_firmware::JointVec;

/// Measurements that are kept: at 100 a second more than half a second, which no camera is behind.
const KEPT: usize = 64;

/// The latest measurements.
#[derive(Debug)]
pub(super) struct History {
    /// Board time and positions, in a ring.
    ring: [(u64, JointVec); KEPT],
    count: usize,
}

impl Default for History {
    fn default() -> Self {
        Self {
            ring: std::array::from_fn(|_| (0, JointVec::new())),
            count: 0,
        }
    }
}

impl History {
    /// Takes a measurement, later than all before. One with a joint that was not measured is left out.
    pub(super) fn measured(&mut self, board_us: u64, positions: &JointVec) {
        if positions.iter().all(|position| position.is_finite()) {
            self.ring[self.count % KEPT] = (board_us, positions.clone());
            self.count += 1;
        }
    }

    /// The position of a joint at a board time, linear between two measurements; outside of all of them that of the nearest.
    /// `None` before the first.
    pub(super) fn at(&self, board_us: u64, joint: usize) -> Option<f64> {
        let oldest = self.count.saturating_sub(KEPT);
        let mut later: Option<&(u64, JointVec)> = None;
        for index in (oldest..self.count).rev() {
            let entry = &self.ring[index % KEPT];
            let value = |entry: &(u64, JointVec)| entry.1.get(joint).copied().map(f64::from);
            if entry.0 <= board_us {
                let before = value(entry)?;
                return match later {
                    Some(later) if later.0 > entry.0 => {
                        let share = (board_us - entry.0) as f64 / (later.0 - entry.0) as f64;
                        Some(before + share * (value(later)? - before))
                    }
                    _ => Some(before),
                };
            }
            later = Some(entry);
        }
        later.and_then(|entry| entry.1.get(joint).copied().map(f64::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_lie_between_the_measurements_before_and_after() {
        let mut history = History::default();
        assert_eq!(history.at(5, 0), None);
        for tick in 0..200_u64 {
            let positions = [tick as f32, 0.5].into_iter().collect();
            history.measured(tick * 10_000, &positions);
        }
        history.measured(2_000_000, &[f32::NAN, 0.0].into_iter().collect());
        for (time_us, position) in [
            (1_990_000, 199.0),
            (1_985_000, 198.5),
            (1_500_000, 150.0),
            (1_502_500, 150.25),
            // Outside of what is kept.
            (0, 136.0),
            (5_000_000, 199.0),
        ] {
            assert_eq!(history.at(time_us, 0), Some(position), "{time_us}");
            assert_eq!(history.at(time_us, 1), Some(0.5));
        }
        assert_eq!(history.at(0, 2), None);
    }
}
