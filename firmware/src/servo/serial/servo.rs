//! A bus servo as the arm's description has it.

use crate::MAX_JOINTS;
use crate::servo::calibration::TickCalibration;

/// The kinds of bus servos that are driven here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServoModel {
    /// Feetech STS3215 (SO-100, SO-101).
    Sts3215,
    /// Dynamixel XM430-W350 (WidowX 250S).
    Xm430W350,
    /// Dynamixel XL430-W250 (WidowX 250S: wrist rotation and gripper; Koch: its first two joints).
    Xl430W250,
    /// Dynamixel XL330-M288 (Koch follower).
    Xl330M288,
    /// Dynamixel XL330-M077 (Koch leader).
    Xl330M077,
}

impl ServoModel {
    /// What the servo itself calls its model.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Sts3215 => 777,
            Self::Xm430W350 => 1020,
            Self::Xl430W250 => 1060,
            Self::Xl330M288 => 1200,
            Self::Xl330M077 => 1190,
        }
    }

    /// Whether it speaks Dynamixel protocol 2.0; else it speaks Feetech's.
    #[must_use]
    pub const fn is_dynamixel(self) -> bool {
        !matches!(self, Self::Sts3215)
    }
}

/// One servo, and the joint it is on. A joint may have several, which then share its load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BusServo {
    /// Its id on the bus, 0 to 252.
    pub id: u8,
    /// What it is.
    pub model: ServoModel,
    /// Index in arm order of the joint it turns.
    pub joint: u8,
    /// Which ticks are which positions.
    pub calibration: TickCalibration,
    /// Greatest speed that the servo itself allows, ticks per second; a second limit behind the
    /// board's own. 0 for no limit.
    pub max_ticks_per_s: u16,
    /// Greatest torque, thousandths of what the servo could give.
    pub max_torque_permille: u16,
}

impl BusServo {
    /// The highest id a servo may have in either protocol.
    pub const MAX_ID: u8 = 252;

    pub(super) fn makes_sense(&self) -> bool {
        self.id <= Self::MAX_ID
            && usize::from(self.joint) < MAX_JOINTS
            && self.calibration.makes_sense()
            && (1..=1000).contains(&self.max_torque_permille)
    }
}

/// A register that must hold a value before the arm may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its first address.
    pub address: u16,
    /// One, two or four bytes, low byte first.
    pub bytes: u8,
    /// The value, as the register has it.
    pub value: u32,
}
