//! Setpoints waiting for their time, and the straight line between two of them.

use heapless::Deque;

use super::Positions;

/// Setpoints that can wait: half a second of them at 20 Hz, and some.
const CAPACITY: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Waypoint {
    time_us: u64,
    positions: Positions,
}

/// There is no room for another setpoint before the waiting ones have been reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrajectoryFull;

/// Piecewise linear path through setpoints at their deadlines; at rest after the last.
#[derive(Debug, Clone)]
pub(crate) struct Trajectory {
    from: Waypoint,
    ahead: Deque<Waypoint, CAPACITY>,
}

impl Trajectory {
    /// At rest at `positions`.
    pub const fn at(time_us: u64, positions: Positions) -> Self {
        Self {
            from: Waypoint { time_us, positions },
            ahead: Deque::new(),
        }
    }

    /// Drops every waiting setpoint and rests at `positions`.
    pub fn restart(&mut self, time_us: u64, positions: Positions) {
        self.ahead.clear();
        self.from = Waypoint { time_us, positions };
    }

    /// Adds a setpoint. It replaces waiting ones that are not before it; when that takes the one
    /// on the way, the path starts anew at `command`, where the arm is now, and this is `true`.
    pub fn push(
        &mut self,
        now_us: u64,
        command: Positions,
        deadline_us: u64,
        positions: Positions,
    ) -> Result<bool, TrajectoryFull> {
        let was_under_way = !self.ahead.is_empty();
        while self
            .ahead
            .back()
            .is_some_and(|last| last.time_us >= deadline_us)
        {
            self.ahead.pop_back();
        }
        let anew = was_under_way && self.ahead.is_empty();
        if anew {
            self.from = Waypoint {
                time_us: now_us,
                positions: command,
            };
        } else if !was_under_way {
            // The last setpoint was reached some time ago: rest there until now.
            self.from.time_us = self.from.time_us.max(now_us);
        }
        let waypoint = Waypoint {
            time_us: deadline_us,
            positions,
        };
        self.ahead
            .push_back(waypoint)
            .map(|()| anew)
            .map_err(|_| TrajectoryFull)
    }

    /// Where the path is at `now_us`. Time must not run backwards between calls.
    pub fn at_time(&mut self, now_us: u64) -> Positions {
        while let Some(next) = self.ahead.front().copied() {
            if next.time_us > now_us {
                return between(&self.from, &next, now_us);
            }
            self.from = next;
            self.ahead.pop_front();
        }
        self.from.positions
    }
}

fn between(from: &Waypoint, to: &Waypoint, now_us: u64) -> Positions {
    let elapsed = now_us.saturating_sub(from.time_us);
    let length = to.time_us.saturating_sub(from.time_us).max(1);
    let fraction = elapsed as f32 / length as f32;
    let mut positions = from.positions;
    for (position, target) in positions.iter_mut().zip(to.positions) {
        *position += (target - *position) * fraction;
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(value: f32) -> Positions {
        [value; crate::MAX_JOINTS]
    }

    #[test]
    fn passes_every_setpoint_at_its_deadline() {
        let mut path = Trajectory::at(0, all(0.0));
        path.push(0, all(0.0), 50, all(1.0)).unwrap();
        path.push(0, all(0.0), 100, all(3.0)).unwrap();
        let cases = [
            (0, 0.0),
            (25, 0.5),
            (50, 1.0),
            (75, 2.0),
            (100, 3.0),
            (500, 3.0),
        ];
        for (time_us, expected) in cases {
            assert_eq!(path.at_time(time_us), all(expected), "at {time_us} us");
        }
    }

    #[test]
    fn rests_between_a_setpoint_reached_and_a_late_next_one() {
        let mut path = Trajectory::at(0, all(0.0));
        path.push(0, all(0.0), 50, all(1.0)).unwrap();
        assert_eq!(path.at_time(80), all(1.0));
        path.push(100, all(1.0), 200, all(2.0)).unwrap();
        assert_eq!(path.at_time(100), all(1.0));
        assert_eq!(path.at_time(150), all(1.5));
    }

    #[test]
    fn an_earlier_deadline_replaces_later_ones_and_starts_from_the_command() {
        let mut path = Trajectory::at(0, all(0.0));
        path.push(0, all(0.0), 100, all(1.0)).unwrap();
        path.push(0, all(0.0), 200, all(2.0)).unwrap();
        path.push(0, all(0.0), 150, all(5.0)).unwrap();
        assert_eq!(path.at_time(50), all(0.5), "the one on the way stays");
        assert_eq!(path.push(50, all(0.4), 60, all(1.4)), Ok(true));
        assert_eq!(
            path.at_time(50),
            all(0.4),
            "from the command, not from the old path"
        );
        assert_eq!(path.at_time(60), all(1.4));
        assert_eq!(path.at_time(1000), all(1.4));
    }

    #[test]
    fn refuses_more_than_it_holds() {
        let mut path = Trajectory::at(0, all(0.0));
        for i in 1..=CAPACITY as u64 {
            path.push(0, all(0.0), i, all(0.0)).unwrap();
        }
        assert_eq!(path.push(0, all(0.0), 1000, all(0.0)), Err(TrajectoryFull));
        path.at_time(1);
        assert_eq!(path.push(0, all(0.0), 1000, all(0.0)), Ok(false));
    }
}
