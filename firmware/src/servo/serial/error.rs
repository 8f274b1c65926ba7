//! What goes wrong on a servo bus.

use core::fmt;

/// Why servos did not do as told, or could not be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusError<E> {
    /// There are not as many goals or states as joints.
    JointCount,
    /// A goal is NaN or infinite; none was sent.
    NotFinite,
    /// The line itself failed.
    Port(E),
    /// A servo did not answer in time, or only with damaged bytes.
    NoAnswer {
        /// Whose answer was missed.
        id: u8,
    },
    /// A servo refused an instruction.
    Refused {
        /// Which.
        id: u8,
        /// Its error number (Dynamixel protocol 2.0).
        error: u8,
    },
    /// A servo has another model than the arm's description says.
    Model {
        /// Which.
        id: u8,
        /// What it says it is.
        found: u16,
        /// What it should be.
        expected: u16,
    },
    /// A register has another value than it must have, and cannot be set while torque is on.
    Setting {
        /// Which servo.
        id: u8,
        /// The register's address.
        address: u16,
        /// Its value.
        found: u32,
        /// What it should be.
        expected: u32,
    },
    /// A servo has another homing offset than the one that the arm was calibrated with.
    Offset {
        /// Which.
        id: u8,
        /// What it takes off its encoder, ticks.
        found: i32,
        /// What it took off when it was calibrated.
        expected: i32,
    },
    /// A servo counts whole turns, so that its positions are not those that the arm was calibrated with.
    MultiTurn {
        /// Which.
        id: u8,
    },
    /// A servo tells of a position that it cannot have within its turn.
    Position {
        /// Which.
        id: u8,
    },
    /// What was sent did not come back on a line that was said to echo, or did on one that was not.
    Echo,
    /// A packet would be longer than any that this board sends.
    TooLong,
}

impl<E: fmt::Display> fmt::Display for BusError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JointCount => f.write_str("not as many values as the bus has joints"),
            Self::NotFinite => f.write_str("a goal is not a finite number"),
            Self::Port(error) => write!(f, "the servo bus failed: {error}"),
            Self::NoAnswer { id } => write!(
                f,
                "servo {id} does not answer: is it plugged in, powered, and is this its id?"
            ),
            Self::Refused { id, error } => {
                write!(f, "servo {id} refused an instruction (error {error})")
            }
            Self::Model {
                id,
                found,
                expected,
            } => write!(
                f,
                "servo {id} is of model {found}, the arm's description says {expected}"
            ),
            Self::Setting {
                id,
                address,
                found,
                expected,
            } => write!(
                f,
                "servo {id}: register {address} holds {found} instead of {expected}, and cannot be \
                 set while its torque is on"
            ),
            Self::Offset {
                id,
                found,
                expected,
            } => write!(
                f,
                "servo {id} has the homing offset {found}, its calibration says {expected}: it was \
                 calibrated elsewhere since"
            ),
            Self::MultiTurn { id } => write!(
                f,
                "servo {id} counts whole turns (register 18, bit 4): calibrating it sets that back"
            ),
            Self::Position { id } => write!(
                f,
                "servo {id} tells of a position outside of its turn: does it count whole turns?"
            ),
            Self::Echo => f.write_str(
                "the line echoes although it should not, or does not although it should: check how \
                 the adapter ties its two directions together",
            ),
            Self::TooLong => f.write_str("too many bytes for one packet"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for BusError<E> {}

/// Why a list of servos cannot be driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadServos {
    /// None, or more than [`MAX_SERVOS`](super::MAX_SERVOS).
    Count,
    /// A servo's id, joint, calibration or torque limit makes no sense.
    Servo {
        /// Its id.
        id: u8,
    },
    /// Two servos have this id.
    DuplicateId {
        /// The id.
        id: u8,
    },
    /// A servo of this id speaks the other protocol.
    Protocol {
        /// Its id.
        id: u8,
    },
    /// Joints are counted from 0 without gaps; this one has no servo.
    NoServo {
        /// The joint.
        joint: u8,
    },
}

impl fmt::Display for BadServos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => write!(f, "a bus has 1 to {} servos", super::MAX_SERVOS),
            Self::Servo { id } => write!(
                f,
                "servo {id}: its id, joint, calibration or torque limit makes no sense"
            ),
            Self::DuplicateId { id } => write!(f, "two servos have the id {id}"),
            Self::Protocol { id } => write!(f, "servo {id} speaks another protocol"),
            Self::NoServo { joint } => write!(f, "joint {joint} has no servo"),
        }
    }
}

impl core::error::Error for BadServos {}
