//! Why an arm cannot be driven over its link.

use wink_firmware::wire::{Fault, WireError};

use super::LinkError;

/// Why the arm cannot be driven.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArmClientError {
    /// The bytes do not flow.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Nothing answered the handshake.
    #[error(
        "the board did not {wanted} within {waited_us} us ({bad_lines} damaged lines came): check cable, port and baud rate"
    )]
    NoAnswer {
        /// What was waited for.
        wanted: &'static str,
        /// How long.
        waited_us: u64,
        /// Damaged lines since the client was made: many of them mean a wrong baud rate.
        bad_lines: u64,
    },
    /// The firmware speaks another version of the protocol.
    #[error(
        "the board speaks protocol version {board}, this program {host}: flash the firmware that came with it"
    )]
    Version {
        /// The board's.
        board: u16,
        /// This program's.
        host: u16,
    },
    /// The firmware drives another number of joints.
    #[error(
        "the board drives {board} joints, the description has {host} (gripper included): flash the firmware for this arm"
    )]
    Joints {
        /// The board's.
        board: usize,
        /// The description's.
        host: usize,
    },
    /// The firmware was built from another arm description.
    #[error(
        "the board was flashed for another arm description ({board:08x}, here {host:08x}): flash the firmware for this one"
    )]
    Description {
        /// The board's hash.
        board: u32,
        /// The hash of the description here.
        host: u32,
    },
    /// The board is in its fault state.
    #[error(
        "the board reports a fault ({fault:?}): check the servos' power and bus, then clear it"
    )]
    Fault {
        /// Which.
        fault: Fault,
    },
    /// Torque is off although this client switched it on.
    #[error("the arm is disarmed: the board was restarted, or somebody else disarmed it")]
    Disarmed,
    /// The board holds because another host said hello or commanded it.
    #[error("the arm holds because another program took over the board")]
    TakenOver,
    /// The board's clock went backwards.
    #[error(
        "the board restarted (its clock went from {before_us} us to {after_us} us): connect again"
    )]
    Restarted {
        /// Time of the last telemetry before.
        before_us: u64,
        /// Time of the first one after.
        after_us: u64,
    },
    /// Telemetry stopped, or never came.
    #[error(
        "no telemetry from the board for {silent_us} us: check the cable; the arm holds its pose by itself"
    )]
    TelemetryLost {
        /// Time since the last line, or since the connection.
        silent_us: u64,
    },
    /// The board speaks, but does not know where the arm is.
    #[error("the board has not read its servos: check their power, bus and ids")]
    NotMeasured,
    /// A setpoint that is not finite was about to be sent.
    #[error("joint {joint} of a setpoint is not finite; nothing was sent")]
    NotFinite {
        /// Index on the wire.
        joint: usize,
    },
    /// Not connected and armed yet.
    #[error("not connected to the board: connect and arm first")]
    NotConnected,
    /// A message did not fit its line.
    #[error("a message for the board could not be written: {0}")]
    Encode(WireError),
}
