//! What host and board say to each other.

use heapless::String;

use super::{Capabilities, Counters, Fault, HoldReason, PROTOCOL_VERSION, Refusal, State};
use crate::servo::Alerts;
use crate::{JointVec, MAX_JOINTS};

/// A name of an arm or an image; longer ones are cut.
pub type Name = String<24>;

/// A message with its place in its direction's sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct HostMessage {
    /// Counts up by one per message, wrapping; a hello starts it anew.
    pub seq: u32,
    /// What the board shall do.
    pub command: Command,
}

/// What a host asks of the board.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Start a session: the board answers [`Hello`], takes this message's number as the start of
    /// the sequence and, when it was following setpoints, holds. A host that does not fit is told
    /// so, and can then only stop the arm.
    Hello(HostHello),
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
    /// Answer [`Pong`] at once.
    Ping {
        /// The host's own time, which the answer repeats, microseconds.
        host_time_us: u64,
    },
    /// Move slower than the arm's file allows from now on, until another scale or a hello.
    Speed {
        /// Share of the joints' highest velocities and accelerations, above 0 and at most 1; anything else is refused.
        scale: f32,
    },
    /// Where to be, and when.
    Setpoint(Setpoint),
}

/// Who the host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostHello {
    /// [`PROTOCOL_VERSION`] of the host.
    pub version: u16,
    /// Of the arm that the host means to drive; 0 for whichever.
    pub description_hash: u32,
}

impl Default for HostHello {
    /// This version, whichever arm.
    fn default() -> Self {
        Self {
            version: PROTOCOL_VERSION,
            description_hash: 0,
        }
    }
}

/// Reach `positions` at board time `deadline_us`.
///
/// A setpoint read after its deadline is stale and refused, as is one too far ahead.
#[derive(Debug, Clone, PartialEq)]
pub struct Setpoint {
    /// Board time, microseconds since the board started.
    pub deadline_us: u64,
    /// One per joint in arm order, rad or m.
    pub positions: JointVec,
    /// Whether it repeats the target before it because the host had no new action. It keeps the link alive, but the arm holds once
    /// nothing else has come for [`Config::late_after_us`](crate::Config::late_after_us).
    pub held: bool,
}

/// What a board tells the host.
#[derive(Debug, Clone, PartialEq)]
pub enum BoardMessage {
    /// Answer to [`Command::Hello`].
    Hello(Hello),
    /// Answer to [`Command::Ping`].
    Pong(Pong),
    /// Sent unasked, every period.
    Telemetry(Telemetry),
    /// Sent unasked, more seldom.
    Health(Health),
}

impl BoardMessage {
    /// The board's own message number.
    #[must_use]
    pub const fn seq(&self) -> u32 {
        match self {
            Self::Hello(hello) => hello.seq,
            Self::Pong(pong) => pong.seq,
            Self::Telemetry(telemetry) => telemetry.seq,
            Self::Health(health) => health.seq,
        }
    }
}

/// Who the board is. Of a later version, the fields up to the time can still be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Hello {
    /// The board's own message number.
    pub seq: u32,
    /// Number of the host's hello that this answers.
    pub answers: u32,
    /// [`PROTOCOL_VERSION`] of the board.
    pub version: u16,
    /// Number of joints on the wire.
    pub joints: u8,
    /// [`Config::description_hash`](crate::Config::description_hash).
    pub description_hash: u32,
    /// Board time when the hello was answered: the origin of deadlines.
    pub time_us: u64,
    /// Why the board will not be armed by this host.
    pub refused: Refusal,
    /// Name of the arm that the board was built for; empty when unknown.
    pub arm: Name,
    /// Name of the board's image; empty when unknown.
    pub image: Name,
    /// What the board can do.
    pub capabilities: Capabilities,
}

/// Four times from which the host tells round trip and clock offset, as NTP does (RFC 5905): it
/// knows when it sent the ping and when this came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pong {
    /// The board's own message number.
    pub seq: u32,
    /// As the ping said.
    pub host_time_us: u64,
    /// Board time when the ping was read.
    pub received_us: u64,
    /// Board time when this was written.
    pub time_us: u64,
}

/// The board's state and the arm's, as last read from the servos.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// The board's own message number.
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
    /// Share of the joints' highest velocities at which the arm moves now: the host's scale, less at a start far from the target.
    pub speed: f32,
    /// Number of the last accepted setpoint; 0 before the first.
    pub last_setpoint_seq: u32,
    /// What happened since the board started.
    pub counters: Counters,
}

/// How the servos and the board's loop are.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// The board's own message number.
    pub seq: u32,
    /// Board time when the servos were read.
    pub time_us: u64,
    /// One per servo, degrees Celsius; NaN where it does not say.
    pub temperatures_c: JointVec,
    /// One per servo, volts; NaN where it does not say.
    pub voltages_v: JointVec,
    /// One per servo, amperes; NaN where it does not say.
    pub currents_a: JointVec,
    /// One per servo.
    pub alerts: heapless::Vec<Alerts, MAX_JOINTS>,
    /// Ticks of the control loop since the board started.
    pub ticks: u32,
    /// Longest time between two ticks since the last of these messages, microseconds.
    pub longest_tick_us: u32,
}
