//! What host and board say to each other.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Counters;
use crate::JointVec;

/// A message with its place in its direction's sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct HostMessage {
    /// Counts up by one per message, wrapping; a hello starts it anew.
    pub seq: u32,
    /// What the board shall do.
    pub command: Command,
}

/// What a host asks of the board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Start a session: the board answers [`Hello`], takes this message's number as the start of
    /// the sequence and, when it was following setpoints, holds.
    Hello,
    /// Switch torque on at the measured position, or go on after a hold.
    Arm,
    /// Stop category 0 of IEC 60204-1: switch torque off at once. The arm may fall: this and
    /// [`Command::PowerDown`] are the only things that let it.
    Disarm,
    /// Stop category 1 of IEC 60204-1: stop within the limits, then switch torque off. The arm may
    /// fall then.
    PowerDown,
    /// Stop category 2 of IEC 60204-1: stop within the limits and keep the pose, with torque, until
    /// the next [`Command::Arm`]. What the board does by itself when in doubt.
    Hold,
    /// Leave [`State::Fault`]: to [`State::Holding`] at the measured position with torque on, else
    /// to [`State::Disarmed`].
    ClearFault,
    /// Where to be, and when.
    Setpoint(Setpoint),
}

/// Reach `positions` at board time `deadline_us`.
///
/// A setpoint read after its deadline is stale and refused, as is one too far ahead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setpoint {
    /// Board time, microseconds since the board started.
    pub deadline_us: u64,
    /// One per joint in arm order, rad or m.
    pub positions: JointVec,
}

/// What a board tells the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoardMessage {
    /// Answer to [`Command::Hello`].
    Hello(Hello),
    /// Sent unasked, every period.
    Telemetry(Telemetry),
}

/// Who the board is.
// Fields that a later version adds are skipped, so that an older host can still read the version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The board's own message number.
    #[serde(skip)]
    pub seq: u32,
    /// Number of the host's hello that this answers.
    pub answers: u32,
    /// [`PROTOCOL_VERSION`](super::PROTOCOL_VERSION) of the board.
    pub version: u16,
    /// Number of joints on the wire.
    pub joints: u8,
    /// [`Config::description_hash`](crate::Config::description_hash).
    pub description_hash: u32,
    /// Board time when the hello was answered: the origin of deadlines.
    pub time_us: u64,
}

/// The board's state and the arm's, as last read from the servos.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// The board's own message number.
    #[serde(skip)]
    pub seq: u32,
    /// Board time when the servos were read.
    pub time_us: u64,
    /// What the board is doing.
    pub state: State,
    /// Why it holds.
    pub hold: HoldReason,
    /// Why it faults.
    pub fault: Fault,
    /// Measured, one per joint, rad or m.
    pub positions: JointVec,
    /// Measured, one per joint, rad/s or m/s.
    pub velocities: JointVec,
    /// Measured, one per joint, in the servo's own scale where 1 is its rated load.
    pub loads: JointVec,
    /// Number of the last accepted setpoint; 0 before the first.
    pub last_setpoint_seq: u32,
    /// What happened since the board started.
    pub counters: Counters,
}

/// What the board is doing. The crate's front page draws how it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Torque off.
    #[default]
    Disarmed,
    /// Torque on, following setpoints.
    Armed,
    /// Torque on, stopped: [`HoldReason`] says why and what ends it.
    Holding,
    /// Something is broken: as holding where torque was on, until [`Command::ClearFault`].
    Fault,
}

/// Why the arm holds its pose or, disarmed, cannot be armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// It does not.
    #[default]
    None,
    /// Setpoints stopped coming; the next good one goes on.
    Starved,
    /// Servos stopped answering; the next good setpoint goes on once they answer again.
    Servo,
    /// The host asked, or a new host said hello; [`Command::Arm`] goes on.
    Commanded,
    /// A joint was stalled and is eased off; [`Command::Arm`] goes on.
    Stall,
    /// A servo is too hot; [`Command::Arm`] goes on once it has cooled.
    Temperature,
    /// The servos' supply is too weak; [`Command::Arm`] goes on once it has recovered.
    Voltage,
    /// The board's clock went backwards, which its image must not let happen; [`Command::Arm`] goes
    /// on.
    Clock,
    /// The arm brakes for [`Command::PowerDown`] and will then be disarmed.
    PoweringDown,
}

/// Why the board is in [`State::Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It is not.
    #[default]
    None,
    /// Servos could not be read, or reported NaN, too many times in a row.
    ServoRead,
    /// Servos could not be written, or their torque not switched, too many times in a row.
    ServoWrite,
}

/// A message of either direction, as the codec sees it.
pub trait Message: Sized {
    /// What stands in the line's `message` field.
    type Body: Serialize + DeserializeOwned;
    /// Joins the line's two halves.
    fn from_parts(seq: u32, body: Self::Body) -> Self;
}

impl Message for HostMessage {
    type Body = Command;

    fn from_parts(seq: u32, command: Command) -> Self {
        Self { seq, command }
    }
}

impl Message for BoardMessage {
    type Body = Self;

    fn from_parts(seq: u32, mut body: Self) -> Self {
        match &mut body {
            Self::Hello(hello) => hello.seq = seq,
            Self::Telemetry(telemetry) => telemetry.seq = seq,
        }
        body
    }
}
