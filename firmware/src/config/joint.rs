//! What one joint may do, and when it is in trouble.

/// Limits of one joint. The firmware's commands never leave them, whatever the host sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JointLimits {
    /// Lowest position, rad or m.
    pub min: f32,
    /// Highest position, rad or m.
    pub max: f32,
    /// Highest speed in either direction, rad/s or m/s.
    pub velocity: f32,
    /// Highest acceleration in either direction, rad/s^2 or m/s^2. Choose what the servo can do: a
    /// stream of setpoints that asks for more is followed late and, at a sudden stop, overshot by
    /// up to `velocity^2 / (2 * acceleration)`.
    pub acceleration: f32,
    /// Highest jerk in either direction, rad/s^3 or m/s^3; infinite for none. It costs a delay of
    /// `acceleration / jerk`, the same for all joints: that of the joint with the longest.
    pub jerk: f32,
}

impl JointLimits {
    /// Share of [`velocity`](Self::velocity) at which a joint outside of its limits moves inwards.
    pub const INWARDS_SHARE: f32 = 0.1;

    /// Share of the highest velocities at which the arm approaches a first target that is far from where it is.
    pub const START_SHARE: f32 = 0.1;

    /// Whether a position lies outside of the limits.
    #[must_use]
    pub fn excludes(&self, position: f32) -> bool {
        position < self.min || position > self.max
    }

    /// Whether a joint that is commanded to be at `command` may be asked to go to `position`: within its limits, and where it is
    /// outside of them, no further out.
    #[must_use]
    pub fn may_ask(&self, position: f32, command: f32) -> bool {
        (self.min.min(command)..=self.max.max(command)).contains(&position)
    }
}

/// What counts as a stalled joint: a high load (or current), far from the goal, for long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StallLimit {
    /// At least this load in either direction, 1 at the servo's rated load. Where a servo measures
    /// its current, [`current_a`](Self::current_a) counts instead.
    pub load: f32,
    /// At least this current in either direction; infinite to go by the load alone.
    pub current_a: f32,
    /// At least so far from the goal, rad or m.
    pub error: f32,
    /// For at least this long without a break.
    pub time_us: u32,
}

/// When one joint is in trouble.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JointGuard {
    /// The joint's goal is eased back to where its load is at most this, 1 at the servo's rated
    /// load; infinite for no cap. Meant for grippers.
    pub torque: f32,
    /// The arm holds when the joint stalls, its goal eased back to half the stall's error.
    pub stall: Option<StallLimit>,
    /// The arm holds at this temperature of the servo; infinite for none.
    pub max_temperature_c: f32,
    /// A first target further than this from the measured position (rad or m) is approached slowly; infinite for no such guard.
    pub start: f32,
}

impl JointGuard {
    /// Watches nothing.
    pub const OFF: Self = Self {
        torque: f32::INFINITY,
        stall: None,
        max_temperature_c: f32::INFINITY,
        start: f32::INFINITY,
    };

    /// Whether all its numbers are usable ones.
    pub(super) const fn makes_sense(&self) -> bool {
        let stall = match self.stall {
            None => true,
            Some(stall) => {
                positive(stall.load)
                    && stall.current_a > 0.0
                    && positive(stall.error)
                    && stall.time_us > 0
            }
        };
        stall && self.torque > 0.0 && self.max_temperature_c > 0.0 && self.start > 0.0
    }
}

const fn positive(value: f32) -> bool {
    value.is_finite() && value > 0.0
}
