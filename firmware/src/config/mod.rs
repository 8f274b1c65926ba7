//! What the board knows about its arm before anything arrives over the wire.

mod error;
mod joint;
mod proof;
mod workspace;

pub use error::ConfigError;
pub use joint::{JointGuard, JointLimits, StallLimit};
pub use proof::ProofOfLife;
pub(crate) use workspace::distance;
pub use workspace::{LinkGeometry, Workspace};

use crate::MAX_JOINTS;
use crate::motion::{MAX_TAPS, taps};
use crate::wire::{Name, name};

/// Furthest position limit, rad or m.
const FURTHEST: f32 = 100.0;

/// Everything that distinguishes one arm and board from another.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Limits in arm order; their number is the number of joints on the wire.
    pub joints: heapless::Vec<JointLimits, MAX_JOINTS>,
    /// One per joint. Default: none watches anything.
    pub guards: heapless::Vec<JointGuard, MAX_JOINTS>,
    /// The arm holds while any servo reports less than this, volts. Default 0: never.
    pub min_voltage_v: f32,
    /// Hash of the arm description that these limits came from, handed to the host in the hello so
    /// that it can tell a board flashed for another arm. 0 when unknown.
    pub description_hash: u32,
    /// Name of the arm, told in the hello. Default: empty.
    pub arm: Name,
    /// Name of the image, told in the hello. Default: empty.
    pub image: Name,
    /// Whether the servos say where they are, told in the hello. Default: yes.
    pub feedback: bool,
    /// Time from tick to tick that the image aims at; the jerk limit counts in it. Default 1 ms.
    pub period_us: u32,
    /// Time without an accepted setpoint after which the arm stops and holds. Default 150 ms.
    pub hold_after_us: u64,
    /// Time during which setpoints only repeat their target after which the arm stops and holds. Default 1 s.
    pub late_after_us: u64,
    /// Speed scale after a hello, until the host asks for another: above 0, at most 1. Default 1.
    pub speed: f32,
    /// What a host must do before torque is switched on. Default: nothing.
    pub proof: Option<ProofOfLife>,
    /// Where the tool may be and how fast. Default: anywhere.
    pub workspace: Option<Workspace>,
    /// Whether the board has a stop input, told in the hello. Default: no.
    pub stop_input: bool,
    /// Furthest ahead that a setpoint's deadline may lie. Default 500 ms.
    pub max_ahead_us: u64,
    /// Time between telemetry lines. Default 20 ms.
    pub telemetry_period_us: u64,
    /// Time between health lines. Default 500 ms.
    pub health_period_us: u64,
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
    /// let joint = JointLimits { min: -3.1, max: 3.1, velocity: 3.0, acceleration: 60.0, jerk: 6e3 };
    /// let config = Config::new(&[joint; 6])?;
    /// assert_eq!(config.hold_after_us, 150_000);
    /// # Ok::<(), wink_firmware::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Config::check`].
    pub fn new(joints: &[JointLimits]) -> Result<Self, ConfigError> {
        let joints = heapless::Vec::from_slice(joints).map_err(|_| ConfigError::TooManyJoints)?;
        let mut guards = heapless::Vec::from([JointGuard::OFF; MAX_JOINTS]);
        guards.truncate(joints.len());
        let config = Self {
            joints,
            guards,
            min_voltage_v: 0.0,
            description_hash: 0,
            arm: Name::new(),
            image: Name::new(),
            feedback: true,
            period_us: 1_000,
            hold_after_us: 150_000,
            late_after_us: 1_000_000,
            speed: 1.0,
            proof: None,
            workspace: None,
            stop_input: false,
            max_ahead_us: 500_000,
            telemetry_period_us: 20_000,
            health_period_us: 500_000,
            hold_after_failures: 3,
            fault_after_failures: 10,
        };
        config.check()?;
        Ok(config)
    }

    /// The same with the arm's and the image's names, as far as [`Name`] holds them.
    #[must_use]
    pub fn named(mut self, arm: &str, image: &str) -> Self {
        self.arm = name(arm);
        self.image = name(image);
        self
    }

    /// Whether an arm can be run with this configuration.
    ///
    /// # Errors
    /// Names the first joint or field that makes no sense.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.joints.is_empty() {
            return Err(ConfigError::NoJoints);
        }
        for (field, value) in [
            ("period_us", u64::from(self.period_us)),
            ("hold_after_us", self.hold_after_us),
            ("late_after_us", self.late_after_us),
            ("max_ahead_us", self.max_ahead_us),
            ("telemetry_period_us", self.telemetry_period_us),
            ("health_period_us", self.health_period_us),
            ("hold_after_failures", u64::from(self.hold_after_failures)),
            ("fault_after_failures", u64::from(self.fault_after_failures)),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero { field });
            }
        }
        if self.proof.is_some_and(|proof| !proof.makes_sense()) {
            return Err(ConfigError::Zero { field: "proof" });
        }
        if self
            .workspace
            .as_ref()
            .is_some_and(|space| !space.makes_sense() || space.links.len() > self.joints.len())
        {
            return Err(ConfigError::BadWorkspace);
        }
        if !is_speed_scale(self.speed) {
            return Err(ConfigError::BadSpeed);
        }
        for (joint, limits) in self.joints.iter().enumerate() {
            check_limits(joint, limits, self.period_us)?;
        }
        if self.guards.len() != self.joints.len() {
            return Err(ConfigError::GuardCount);
        }
        if let Some(joint) = self.guards.iter().position(|guard| !guard.makes_sense()) {
            return Err(ConfigError::BadGuard { joint });
        }
        if self.min_voltage_v.is_nan() || self.min_voltage_v < 0.0 {
            return Err(ConfigError::Zero {
                field: "min_voltage_v",
            });
        }
        Ok(())
    }
}

/// Whether a share of the joints' highest velocities lowers them, or leaves them as they are. NaN does not.
#[must_use]
pub(crate) fn is_speed_scale(scale: f32) -> bool {
    scale > 0.0 && scale <= 1.0
}

fn check_limits(joint: usize, limits: &JointLimits, period_us: u32) -> Result<(), ConfigError> {
    let finite = [limits.min, limits.max, limits.velocity, limits.acceleration]
        .iter()
        .all(|value| value.is_finite());
    if !finite || limits.jerk.is_nan() {
        return Err(ConfigError::NotFinite { joint });
    }
    if limits.min >= limits.max {
        return Err(ConfigError::EmptyRange { joint });
    }
    if limits.min < -FURTHEST || limits.max > FURTHEST {
        return Err(ConfigError::TooFar { joint });
    }
    if limits.velocity <= 0.0 || limits.acceleration <= 0.0 || limits.jerk <= 0.0 {
        return Err(ConfigError::NotPositive { joint });
    }
    if taps(limits, period_us) > MAX_TAPS {
        return Err(ConfigError::JerkTooLow { joint });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: JointLimits = JointLimits {
        min: -1.0,
        max: 1.0,
        velocity: 1.0,
        acceleration: 1.0,
        jerk: f32::INFINITY,
    };

    #[test]
    fn refuses_what_no_arm_can_be() {
        let with = |change: fn(&mut JointLimits)| {
            let mut limits = GOOD;
            change(&mut limits);
            limits
        };
        let cases: [(&[JointLimits], ConfigError); 11] = [
            (&[], ConfigError::NoJoints),
            (&[GOOD; MAX_JOINTS + 1], ConfigError::TooManyJoints),
            (
                &[GOOD, with(|limits| limits.max = f32::NAN)],
                ConfigError::NotFinite { joint: 1 },
            ),
            (
                &[with(|limits| limits.velocity = f32::INFINITY)],
                ConfigError::NotFinite { joint: 0 },
            ),
            (
                &[with(|limits| limits.jerk = f32::NAN)],
                ConfigError::NotFinite { joint: 0 },
            ),
            (
                &[with(|limits| limits.min = 1.0)],
                ConfigError::EmptyRange { joint: 0 },
            ),
            (
                &[with(|limits| limits.max = 101.0)],
                ConfigError::TooFar { joint: 0 },
            ),
            (
                &[with(|limits| limits.velocity = 0.0)],
                ConfigError::NotPositive { joint: 0 },
            ),
            (
                &[with(|limits| limits.acceleration = -1.0)],
                ConfigError::NotPositive { joint: 0 },
            ),
            (
                &[with(|limits| limits.jerk = 0.0)],
                ConfigError::NotPositive { joint: 0 },
            ),
            (
                &[GOOD, with(|limits| limits.jerk = 31.0)],
                ConfigError::JerkTooLow { joint: 1 },
            ),
        ];
        for (joints, expected) in cases {
            assert_eq!(Config::new(joints), Err(expected));
        }
        assert!(Config::new(&[with(|limits| limits.jerk = 32.0)]).is_ok());
    }

    #[test]
    fn refuses_guards_and_times_that_make_no_sense() {
        const STALL: StallLimit = StallLimit {
            load: 0.8,
            current_a: f32::INFINITY,
            error: 0.1,
            time_us: 500_000,
        };
        let guard = |guard: JointGuard| {
            let mut config = Config::new(&[GOOD]).unwrap();
            config.guards = heapless::Vec::from_array([guard]);
            config.check()
        };
        let stall = |stall| {
            guard(JointGuard {
                stall: Some(stall),
                ..JointGuard::OFF
            })
        };
        let bad = Err(ConfigError::BadGuard { joint: 0 });
        let zero = |field| Err(ConfigError::Zero { field });
        let good = || Config::new(&[GOOD]).unwrap();
        let cases = [
            (guard(JointGuard::OFF), Ok(())),
            (stall(STALL), Ok(())),
            (stall(StallLimit { load: 0.0, ..STALL }), bad),
            (
                stall(StallLimit {
                    current_a: f32::NAN,
                    ..STALL
                }),
                bad,
            ),
            (
                stall(StallLimit {
                    error: f32::NAN,
                    ..STALL
                }),
                bad,
            ),
            (
                stall(StallLimit {
                    time_us: 0,
                    ..STALL
                }),
                bad,
            ),
            (
                guard(JointGuard {
                    torque: -1.0,
                    ..JointGuard::OFF
                }),
                bad,
            ),
            (
                guard(JointGuard {
                    max_temperature_c: f32::NAN,
                    ..JointGuard::OFF
                }),
                bad,
            ),
            (
                Config {
                    guards: heapless::Vec::new(),
                    ..good()
                }
                .check(),
                Err(ConfigError::GuardCount),
            ),
            (
                Config {
                    hold_after_us: 0,
                    ..good()
                }
                .check(),
                zero("hold_after_us"),
            ),
            (
                Config {
                    period_us: 0,
                    ..good()
                }
                .check(),
                zero("period_us"),
            ),
            (
                Config {
                    min_voltage_v: -1.0,
                    ..good()
                }
                .check(),
                zero("min_voltage_v"),
            ),
        ];
        for (index, (found, expected)) in cases.into_iter().enumerate() {
            assert_eq!(found, expected, "case {index}");
        }
    }
}
