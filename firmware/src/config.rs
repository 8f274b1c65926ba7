//! What the board knows about its arm before anything arrives over the wire.

use core::fmt;

use crate::MAX_JOINTS;

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
}

/// Everything that distinguishes one arm and board from another.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Limits in arm order; their number is the number of joints on the wire.
    pub joints: heapless::Vec<JointLimits, MAX_JOINTS>,
    /// Hash of the arm description that these limits came from, handed to the host in the hello so
    /// that it can tell a board flashed for another arm. 0 when unknown.
    pub description_hash: u32,
    /// Time without an accepted setpoint after which the arm stops and holds. Default 150 ms.
    pub hold_after_us: u64,
    /// Furthest ahead that a setpoint's deadline may lie. Default 500 ms.
    pub max_ahead_us: u64,
    /// Time between telemetry lines. Default 20 ms.
    pub telemetry_period_us: u64,
    /// Failed servo reads or writes in a row after which the arm holds. Default 3.
    pub hold_after_failures: u32,
    /// Failed servo reads or writes in a row after which the board faults. Default 10.
    pub fault_after_failures: u32,
}

impl Config {
    /// The defaults for an arm with these joints.
    ///
    /// ```
    /// use wink_firmware::config::{Config, JointLimits};
    /// let joint = JointLimits { min: -3.1, max: 3.1, velocity: 3.0, acceleration: 60.0 };
    /// let config = Config::new(&[joint; 6])?;
    /// assert_eq!(config.hold_after_us, 150_000);
    /// # Ok::<(), wink_firmware::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Config::check`].
    pub fn new(joints: &[JointLimits]) -> Result<Self, ConfigError> {
        let config = Self {
            joints: heapless::Vec::from_slice(joints).map_err(|_| ConfigError::TooManyJoints)?,
            description_hash: 0,
            hold_after_us: 150_000,
            max_ahead_us: 500_000,
            telemetry_period_us: 20_000,
            hold_after_failures: 3,
            fault_after_failures: 10,
        };
        config.check()?;
        Ok(config)
    }

    /// Whether an arm can be run with this configuration.
    ///
    /// # Errors
    /// Names the first joint or field that makes no sense.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.joints.is_empty() {
            return Err(ConfigError::NoJoints);
        }
        for (joint, limits) in self.joints.iter().enumerate() {
            let finite = [limits.min, limits.max, limits.velocity, limits.acceleration]
                .iter()
                .all(|value| value.is_finite());
            if !finite {
                return Err(ConfigError::NotFinite { joint });
            }
            if limits.min >= limits.max {
                return Err(ConfigError::EmptyRange { joint });
            }
            if limits.velocity <= 0.0 || limits.acceleration <= 0.0 {
                return Err(ConfigError::NotPositive { joint });
            }
        }
        for (field, value) in [
            ("hold_after_us", self.hold_after_us),
            ("max_ahead_us", self.max_ahead_us),
            ("telemetry_period_us", self.telemetry_period_us),
            ("hold_after_failures", u64::from(self.hold_after_failures)),
            ("fault_after_failures", u64::from(self.fault_after_failures)),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero { field });
            }
        }
        Ok(())
    }
}

/// Why a [`Config`] is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no joint.
    NoJoints,
    /// There are more than [`MAX_JOINTS`].
    TooManyJoints,
    /// A limit is NaN or infinite.
    NotFinite {
        /// Index in arm order.
        joint: usize,
    },
    /// `min` is not below `max`.
    EmptyRange {
        /// Index in arm order.
        joint: usize,
    },
    /// Velocity or acceleration is zero or negative.
    NotPositive {
        /// Index in arm order.
        joint: usize,
    },
    /// A time or count is zero.
    Zero {
        /// Name of the field.
        field: &'static str,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJoints => write!(f, "the arm has no joints"),
            Self::TooManyJoints => write!(f, "the arm has more than {MAX_JOINTS} joints"),
            Self::NotFinite { joint } => write!(f, "joint {joint}: a limit is not finite"),
            Self::EmptyRange { joint } => write!(f, "joint {joint}: min must be below max"),
            Self::NotPositive { joint } => {
                write!(
                    f,
                    "joint {joint}: velocity and acceleration must be positive"
                )
            }
            Self::Zero { field } => write!(f, "{field} must not be zero"),
        }
    }
}

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: JointLimits = JointLimits {
        min: -1.0,
        max: 1.0,
        velocity: 1.0,
        acceleration: 1.0,
    };

    #[test]
    fn refuses_what_no_arm_can_be() {
        let cases: [(&[JointLimits], ConfigError); 7] = [
            (&[], ConfigError::NoJoints),
            (&[GOOD; MAX_JOINTS + 1], ConfigError::TooManyJoints),
            (
                &[
                    GOOD,
                    JointLimits {
                        max: f32::NAN,
                        ..GOOD
                    },
                ],
                ConfigError::NotFinite { joint: 1 },
            ),
            (
                &[JointLimits {
                    velocity: f32::INFINITY,
                    ..GOOD
                }],
                ConfigError::NotFinite { joint: 0 },
            ),
            (
                &[JointLimits { min: 1.0, ..GOOD }],
                ConfigError::EmptyRange { joint: 0 },
            ),
            (
                &[JointLimits {
                    velocity: 0.0,
                    ..GOOD
                }],
                ConfigError::NotPositive { joint: 0 },
            ),
            (
                &[JointLimits {
                    acceleration: -1.0,
                    ..GOOD
                }],
                ConfigError::NotPositive { joint: 0 },
            ),
        ];
        for (joints, expected) in cases {
            assert_eq!(Config::new(joints), Err(expected));
        }
        let config = Config {
            hold_after_us: 0,
            ..Config::new(&[GOOD]).unwrap()
        };
        assert_eq!(
            config.check(),
            Err(ConfigError::Zero {
                field: "hold_after_us"
            })
        );
    }
}
