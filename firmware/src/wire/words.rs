//! The wire's vocabulary: states, reasons, capabilities.

use super::cursor::{Cursor, JsonError};

/// Names on the wire, both ways.
macro_rules! words {
    ($type:ident: $($variant:ident = $name:literal),+ $(,)?) => {
        impl $type {
            /// Its name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }

            pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, JsonError> {
                let word = cursor.string()?;
                $(if word == $name.as_bytes() {
                    return Ok(Self::$variant);
                })+
                Err(JsonError::Unknown)
            }
        }
    };
}

/// What the board is doing. The crate's front page draws how it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Torque off.
    #[default]
    Disarmed,
    /// Torque on, following setpoints.
    Armed,
    /// Torque on, stopped: [`HoldReason`] says why and what ends it.
    Holding,
    /// Something is broken: as holding where torque was on, until [`Command::ClearFault`].
    ///
    /// [`Command::ClearFault`]: super::Command::ClearFault
    Fault,
}

words!(State: Disarmed = "disarmed", Armed = "armed", Holding = "holding", Fault = "fault");

/// Why the arm holds its pose or, disarmed, cannot be armed. Where nothing else is said,
/// [`Command::Arm`](super::Command::Arm) goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HoldReason {
    /// It does not.
    #[default]
    None,
    /// Setpoints stopped coming; the next good one goes on.
    Starved,
    /// Servos stopped answering; the next good setpoint goes on once they answer again.
    Servo,
    /// The host asked, or a new host said hello.
    Commanded,
    /// A joint was stalled and is eased off.
    Stall,
    /// A servo is too hot; it must have cooled.
    Temperature,
    /// The servos' supply is too weak or too strong; it must have recovered.
    Voltage,
    /// The board's clock went backwards, which its image must not let happen.
    Clock,
    /// The arm brakes for [`Command::PowerDown`](super::Command::PowerDown) and will then be
    /// disarmed.
    PoweringDown,
    /// Setpoints come, but for too long they have only repeated the target before; the next one with a new target goes on.
    PolicyLate,
    /// The board's stop input is active; it must be released first.
    Stop,
    /// Torque is switched on once enough good setpoints have come at rate
    /// ([`ProofOfLife`](crate::config::ProofOfLife)).
    ProofOfLife,
}

words!(HoldReason:
    None = "none",
    Starved = "starved",
    Servo = "servo",
    Commanded = "commanded",
    Stall = "stall",
    Temperature = "temperature",
    Voltage = "voltage",
    Clock = "clock",
    PoweringDown = "powering_down",
    PolicyLate = "policy_late",
    Stop = "stop",
    ProofOfLife = "proof_of_life",
);

/// Why the board is in [`State::Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// It is not.
    #[default]
    None,
    /// Servos could not be read, or reported NaN, too many times in a row.
    ServoRead,
    /// Servos could not be written, or their torque not switched, too many times in a row.
    ServoWrite,
}

words!(Fault: None = "none", ServoRead = "servo_read", ServoWrite = "servo_write");

/// Why a board will not be armed by a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refusal {
    /// It will.
    #[default]
    None,
    /// They speak different versions of the protocol.
    Version,
    /// They were made for different arms.
    Description,
}

words!(Refusal: None = "none", Version = "version", Description = "description");

bitflags::bitflags! {
    /// What a board can do, beyond what every board does.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Capabilities: u32 {
        /// Its servos say where they are; without, positions are the last goals.
        const FEEDBACK = 1;
        /// It limits the jerk.
        const JERK_LIMIT = 1 << 1;
        /// It caps the torque of some joint.
        const TORQUE_CAP = 1 << 2;
        /// It watches for stalls.
        const STALL_GUARD = 1 << 3;
        /// It watches temperatures.
        const TEMPERATURE_GUARD = 1 << 4;
        /// It watches the supply's voltage.
        const VOLTAGE_GUARD = 1 << 5;
        /// It approaches a first target that is far from the arm slowly.
        const START_GUARD = 1 << 6;
        /// It switches torque on only for a host that sends setpoints at rate.
        const PROOF_OF_LIFE = 1 << 7;
        /// It keeps the tool in the arm's workspace.
        const WORKSPACE = 1 << 8;
        /// It has a stop input.
        const STOP_INPUT = 1 << 9;
    }
}

impl Capabilities {
    const NAMES: [(&'static str, Self); 10] = [
        ("feedback", Self::FEEDBACK),
        ("jerk_limit", Self::JERK_LIMIT),
        ("torque_cap", Self::TORQUE_CAP),
        ("stall_guard", Self::STALL_GUARD),
        ("temperature_guard", Self::TEMPERATURE_GUARD),
        ("voltage_guard", Self::VOLTAGE_GUARD),
        ("start_guard", Self::START_GUARD),
        ("proof_of_life", Self::PROOF_OF_LIFE),
        ("workspace", Self::WORKSPACE),
        ("stop_input", Self::STOP_INPUT),
    ];

    /// Their names on the wire.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .filter_map(move |(name, one)| self.contains(one).then_some(name))
    }

    /// Those that this version does not know are left out.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, JsonError> {
        let mut all = Self::empty();
        cursor.array(|cursor| {
            let word = cursor.string()?;
            let known = Self::NAMES.iter().find(|(name, _)| name.as_bytes() == word);
            if let Some((_, one)) = known {
                all |= *one;
            }
            Ok(())
        })?;
        Ok(all)
    }
}
