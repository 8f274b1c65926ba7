//! Why an arm cannot be driven over its link.

use wink_firmware::wire::{Fault, HoldReason, WireError};

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
        "the board{} speaks protocol version {board}, this program {host}: flash the firmware that came with it",
        quoted(image)
    )]
    Version {
        /// Name of the board's image; may be empty.
        image: String,
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
        "the board was flashed for the arm{} ({board:08x}), this program drives{} ({host:08x}): {}",
        quoted(board_arm),
        quoted(host_arm),
        if board_arm == host_arm { "its file or its calibration has changed since, flash the board again" } else { "flash the firmware for this arm" }
    )]
    Description {
        /// Name of the arm that the board was built for; may be empty.
        board_arm: String,
        /// The board's hash.
        board: u32,
        /// Name of the arm here.
        host_arm: String,
        /// The hash of the description here.
        host: u32,
    },
    /// The board will not be armed by this program, though this program finds no fault with it.
    #[error(
        "the board refuses this program, because of its {reason}: flash the firmware that came with it"
    )]
    Refused {
        /// What does not fit.
        reason: &'static str,
    },
    /// The board cannot do what is asked of it.
    #[error(
        "the board{} cannot do what is needed here: it lacks \"{missing}\"",
        quoted(image)
    )]
    Capability {
        /// Name of the board's image; may be empty.
        image: String,
        /// What it lacks.
        missing: &'static str,
    },
    /// The board holds the arm, or will not arm it, because something is wrong with it.
    #[error("the arm is held: {}", advice(*reason))]
    Guarded {
        /// What is wrong.
        reason: HoldReason,
    },
    /// The board holds the arm, or will not arm it, because the servos' supply is not the one that they are made for.
    #[error(
        "the arm is held: the supply of {voltage_v:.1} V is too {} for its servos; {}, then arm again",
        if *too_strong { "strong" } else { "weak" },
        if *too_strong { "check that supply and servos are of one voltage" } else { "check power supply and cable" }
    )]
    Supply {
        /// What the first servo that complains measures, V.
        voltage_v: f32,
        /// Whether it is more than the servo is made for; else it is less.
        too_strong: bool,
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
    #[error("the arm is disarmed: the board was restarted, or another host disarmed it")]
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
    /// A setpoint for another number of joints was about to be sent.
    #[error("a setpoint has {found} positions, the arm {expected} joints; nothing was sent")]
    JointCount {
        /// How many were given.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A speed scale that would not lower the speed.
    #[error("a speed scale of {scale} makes no sense: it must be above 0 and at most 1")]
    Speed {
        /// What was asked for.
        scale: f64,
    },
    /// Not connected and armed yet.
    #[error("not connected to the board: connect and arm first")]
    NotConnected,
    /// A message did not fit its line.
    #[error("a message for the board could not be written: {0}")]
    Encode(WireError),
}

impl ArmClientError {
    /// Whether the board itself keeps the arm from moving: a guard of its firmware holds it, or it is in a fault. The link stands,
    /// and the arm holds its pose.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        matches!(
            self,
            Self::Guarded { .. } | Self::Supply { .. } | Self::Fault { .. }
        )
    }
}

fn quoted(name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!(" \"{name}\"")
    }
}

fn advice(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::Stall => "a joint was stalled; clear its way, then arm again",
        HoldReason::Temperature => "a servo is too hot; let it cool, then arm again",
        HoldReason::Voltage => {
            "the servos' supply is not the one that they are made for; check power supply and cable, then arm again"
        }
        HoldReason::Clock => "the board's clock went backwards; arm again",
        HoldReason::PoweringDown => "it is being powered down",
        HoldReason::Stop => "the stop input is active, or was; release it, then arm again",
        HoldReason::ProofOfLife => {
            "the board waits for setpoints before it switches torque on; arm again"
        }
        HoldReason::PolicyLate => "the policy has no new actions; it goes on with the next one",
        HoldReason::None | HoldReason::Starved | HoldReason::Servo | HoldReason::Commanded => {
            "arm it to go on"
        }
    }
}
