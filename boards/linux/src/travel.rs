//! How far a joint was moved by hand, and which homing offset keeps the encoder's seam out of that way.

use wink_firmware::servo::TICKS_PER_TURN;

const TURN: i32 = TICKS_PER_TURN as i32;
/// The tick that the middle of a joint's way gets, as LeRobot has it.
const MIDDLE: i32 = TURN / 2 - 1;
/// Largest homing offset that the servo's register holds.
const LARGEST_OFFSET: i32 = 2047;
/// A joint that went less far was not moved: 10 degrees.
const LEAST_TICKS: i32 = 114;
/// A joint with stops leaves at least so much of the turn, as calibrations are checked.
const LEAST_LEFT: i32 = TURN / 16;
/// Between two readings a joint moves less than this, or it is not known which way it went.
const FURTHEST: i32 = TURN / 4;
/// A middle nearer to an end than this share of the way is none.
const NEAR_END: f64 = 0.1;

/// Why a joint's travel says nothing about its range.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum TravelFault {
    /// It was not moved.
    #[error("was moved by {ticks} ticks only: move it through its whole range")]
    NotMoved {
        /// How far.
        ticks: i32,
    },
    /// It was turned through its whole turn although it has stops.
    #[error(
        "was turned through {ticks} of 4096 ticks, and it has stops: move it from stop to stop, no further"
    )]
    WholeTurn {
        /// How far.
        ticks: i32,
    },
    /// It moved too far while it could not be read.
    #[error("moved while its servo did not answer: move it again, slowly")]
    Lost,
    /// It did not begin in its middle.
    #[error(
        "began at {percent:.0} % of its range instead of in its middle: was it moved to both ends?"
    )]
    MiddleAtEnd {
        /// Where it began.
        percent: f64,
    },
    /// The gripper did not begin closed.
    #[error(
        "began at {percent:.0} % of its range instead of closed: close it before the middle is taken"
    )]
    NotClosed {
        /// Where it began.
        percent: f64,
    },
}

/// What a calibration says of a joint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// What the servo takes off its encoder's reading, -2047 to 2047.
    pub offset: i16,
    /// Lowest reading.
    pub range_min: u16,
    /// Highest reading.
    pub range_max: u16,
}

/// What a joint is, as far as its travel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JointKind {
    /// It has stops, and begins in its middle.
    Limited,
    /// It may turn all the way round, and begins in its middle.
    FullTurn,
    /// A gripper, which begins closed.
    Gripper,
}

/// A joint that is moved by hand. Ticks are the encoder's own, without any offset, unwrapped where it passes from 4095 to 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Travel {
    start: i32,
    now: i32,
    lowest: i32,
    highest: i32,
    lost: bool,
}

impl Travel {
    /// A joint whose encoder reads `tick` where it begins.
    #[must_use]
    pub const fn at(tick: i32) -> Self {
        let tick = tick.rem_euclid(TURN);
        Self {
            start: tick,
            now: tick,
            lowest: tick,
            highest: tick,
            lost: false,
        }
    }

    /// Takes the encoder's next reading.
    pub const fn see(&mut self, tick: i32) {
        let step = (tick - self.now + TURN / 2).rem_euclid(TURN) - TURN / 2;
        self.lost |= step.abs() > FURTHEST;
        self.now += step;
        if self.now < self.lowest {
            self.lowest = self.now;
        }
        if self.now > self.highest {
            self.highest = self.now;
        }
    }

    /// How far it went from its lowest to its highest reading, ticks.
    #[must_use]
    pub const fn ticks(&self) -> i32 {
        self.highest - self.lowest
    }

    /// Lowest, present and highest reading relative to where it began, ticks.
    #[must_use]
    pub const fn from_start(&self) -> [i32; 3] {
        [
            self.lowest - self.start,
            self.now - self.start,
            self.highest - self.start,
        ]
    }

    /// Where it began, as a share of its way from the lowest reading.
    fn begun(&self) -> f64 {
        f64::from(self.start - self.lowest) / f64::from(self.ticks().max(1))
    }

    /// The homing offset with which the joint's way lies in the middle of the turn, and its range then. The encoder's seam, where
    /// it passes from 4095 to 0, is then as far outside of the way as can be.
    ///
    /// # Errors
    /// When the travel says nothing about the joint's range.
    pub fn placed(&self, kind: JointKind) -> Result<Placement, TravelFault> {
        let ticks = self.ticks();
        if self.lost {
            return Err(TravelFault::Lost);
        }
        if ticks < LEAST_TICKS {
            return Err(TravelFault::NotMoved { ticks });
        }
        if ticks > TURN - LEAST_LEFT {
            return match kind {
                // All of the turn is the joint's, and its middle is where it began.
                JointKind::FullTurn => {
                    let offset = offset_for(self.start);
                    Ok(Placement {
                        offset,
                        range_min: 0,
                        range_max: TICKS_PER_TURN - 1,
                    })
                }
                JointKind::Limited | JointKind::Gripper => Err(TravelFault::WholeTurn { ticks }),
            };
        }
        let percent = self.begun() * 100.0;
        let near_end = !(NEAR_END..=1.0 - NEAR_END).contains(&self.begun());
        match kind {
            JointKind::Gripper if !near_end => return Err(TravelFault::NotClosed { percent }),
            JointKind::Limited | JointKind::FullTurn if near_end => {
                return Err(TravelFault::MiddleAtEnd { percent });
            }
            _ => {}
        }
        let middle = (self.lowest + self.highest).div_euclid(2);
        let offset = offset_for(middle);
        let lowest = (self.lowest - i32::from(offset)).rem_euclid(TURN);
        Ok(Placement {
            offset,
            range_min: lowest as u16,
            range_max: (lowest + ticks) as u16,
        })
    }

    /// Whether a gripper that began closed is closed at its highest reading.
    #[must_use]
    pub fn begun_high(&self) -> bool {
        self.begun() > 0.5
    }
}

/// The offset with which the encoder's reading `tick` becomes the middle one, as far as the register holds it.
fn offset_for(tick: i32) -> i16 {
    let offset = (tick - MIDDLE + TURN / 2).rem_euclid(TURN) - TURN / 2;
    offset.clamp(-LARGEST_OFFSET, LARGEST_OFFSET) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A joint that begins at `start` and is moved by hand by `way` ticks in turn, `step` at a time.
    fn moved(start: i32, way: &[i32], step: i32) -> Travel {
        let mut travel = Travel::at(start);
        let mut tick = start;
        for leg in way {
            let end = tick + leg;
            while tick != end {
                tick += (end - tick).clamp(-step, step);
                travel.see(tick.rem_euclid(TURN));
            }
        }
        travel
    }

    /// What the servo says at an encoder's reading.
    fn said(placement: &Placement, tick: i32) -> i32 {
        (tick - i32::from(placement.offset)).rem_euclid(TURN)
    }

    #[test]
    fn the_seam_lies_outside_of_every_way_wherever_the_servo_was_mounted() {
        for ticks in [200, 569, 1500, 2356, 2730, 3800] {
            for start in (0..TURN).step_by(13) {
                let (down, up) = (ticks / 3, ticks - ticks / 3);
                let travel = moved(start, &[-down, ticks, -up], 60);
                let placement = travel.placed(JointKind::Limited).unwrap();
                let range = i32::from(placement.range_min)..=i32::from(placement.range_max);
                assert_eq!(range.end() - range.start(), ticks);
                assert!(*range.end() < TURN, "{start} {ticks}: {placement:?}");
                for at in [start - down, start, start + up] {
                    let said = said(&placement, at);
                    assert!(
                        range.contains(&said),
                        "{start} {ticks}: {said} {placement:?}"
                    );
                }
                // From end to end the servo's reading rises by one a tick.
                assert_eq!(
                    said(&placement, start + up) - said(&placement, start - down),
                    ticks
                );
                let middle = (range.start() + range.end()) / 2;
                assert!(
                    (middle - MIDDLE).abs() <= 1,
                    "{start} {ticks}: {placement:?}"
                );
            }
        }
    }

    #[test]
    fn what_says_nothing_about_a_range_is_told() {
        let limited = |travel: Travel| travel.placed(JointKind::Limited);
        assert_eq!(
            limited(moved(300, &[10, -10], 5)),
            Err(TravelFault::NotMoved { ticks: 10 })
        );
        assert_eq!(
            limited(moved(300, &[-1500, 4300], 60)),
            Err(TravelFault::WholeTurn { ticks: 4300 })
        );
        assert_eq!(
            limited(moved(300, &[2000, -2000], 60)),
            Err(TravelFault::MiddleAtEnd { percent: 0.0 })
        );
        let mut lost = moved(300, &[-500, 1000], 60);
        lost.see(2500);
        assert_eq!(limited(lost), Err(TravelFault::Lost));
        let half_open = moved(300, &[-400, 800], 60);
        assert_eq!(
            half_open.placed(JointKind::Gripper),
            Err(TravelFault::NotClosed { percent: 50.0 })
        );
    }

    #[test]
    fn a_full_turn_is_the_joints_where_its_file_says_so() {
        let travel = moved(3900, &[-2500, 5000], 60);
        let placement = travel.placed(JointKind::FullTurn).unwrap();
        assert_eq!((placement.range_min, placement.range_max), (0, 4095));
        assert_eq!(said(&placement, 3900), MIDDLE);
        // One that has stops all the same has the range between them.
        let stopped = moved(3900, &[-1900, 3800], 60);
        let placement = stopped.placed(JointKind::FullTurn).unwrap();
        assert_eq!(placement.range_max - placement.range_min, 3800);
    }

    #[test]
    fn a_gripper_is_closed_where_it_began() {
        for (way, high) in [([1400, -1000], false), ([-1400, 1000], true)] {
            let travel = moved(3000, &way, 60);
            travel.placed(JointKind::Gripper).unwrap();
            assert_eq!(travel.begun_high(), high);
        }
    }
}
