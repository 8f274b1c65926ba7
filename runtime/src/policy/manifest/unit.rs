//! Units of states and actions.

use serde::{Deserialize, Serialize};

/// What a number of a state or an action is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Metres.
    M,
    /// Tenths of a metre, the scale of the benchmark's end-effector deltas.
    Decimetre,
    /// Radians.
    Rad,
    /// Tenths of a radian, the scale of the benchmark's end-effector deltas.
    Decirad,
    /// Degrees.
    Degrees,
    /// LeRobot's degrees, counted from the middle of the calibrated range.
    LerobotDegrees,
    /// LeRobot's -100 to 100 over the calibrated range.
    LerobotRange,
    /// 0 to 100.
    Percent,
    /// 0 to 1.
    Fraction,
    /// A pure number.
    None,
}

impl Unit {
    /// The name in `policy.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::M => "m",
            Self::Decimetre => "decimetre",
            Self::Rad => "rad",
            Self::Decirad => "decirad",
            Self::Degrees => "degrees",
            Self::LerobotDegrees => "lerobot_degrees",
            Self::LerobotRange => "lerobot_range",
            Self::Percent => "percent",
            Self::Fraction => "fraction",
            Self::None => "none",
        }
    }
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
