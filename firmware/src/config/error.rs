//! Why a configuration is refused.

use core::fmt;

use crate::{MAX_JOINTS, motion::MAX_TAPS};

/// Why a [`Config`](super::Config) is refused. Joints are named by their index in arm order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "`joint` is said above")]
pub enum ConfigError {
    /// There is no joint.
    NoJoints,
    /// There are more than [`MAX_JOINTS`].
    TooManyJoints,
    /// A limit is NaN or infinite.
    NotFinite { joint: usize },
    /// `min` is not below `max`.
    EmptyRange { joint: usize },
    /// A limit is more than 100 rad or m away.
    TooFar { joint: usize },
    /// Velocity, acceleration or jerk is zero or negative.
    NotPositive { joint: usize },
    /// The jerk is so low that smoothing would take more than 64 control periods.
    JerkTooLow { joint: usize },
    /// A guard holds a number that is negative, zero or NaN.
    BadGuard { joint: usize },
    /// There is not one guard per joint.
    GuardCount,
    /// The speed scale is not above 0 and at most 1.
    BadSpeed,
    /// The workspace is empty, holds a number that is not finite or an axis that is no unit vector, or has more links than the arm.
    BadWorkspace,
    /// A time, count or voltage is zero (the voltage: negative or NaN).
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
            Self::TooFar { joint } => {
                write!(f, "joint {joint}: a limit is further than 100 rad or m")
            }
            Self::NotPositive { joint } => write!(
                f,
                "joint {joint}: velocity, acceleration and jerk must be positive"
            ),
            Self::JerkTooLow { joint } => write!(
                f,
                "joint {joint}: jerk must be at least 2 * acceleration / ({MAX_TAPS} control periods)"
            ),
            Self::BadGuard { joint } => {
                write!(f, "joint {joint}: what its guard watches must be positive")
            }
            Self::GuardCount => write!(f, "there must be one guard per joint"),
            Self::BadSpeed => write!(f, "the speed scale must be above 0 and at most 1"),
            Self::BadWorkspace => write!(
                f,
                "the workspace must hold some space, finite lengths, unit axes and no more links than joints"
            ),
            Self::Zero { field } => write!(f, "{field} must not be zero"),
        }
    }
}

impl core::error::Error for ConfigError {}
