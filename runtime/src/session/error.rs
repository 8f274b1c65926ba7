//! Why a session stops.

use crate::arm::ArmClientError;
use crate::camera::CameraError;
use crate::control::ControlError;
use crate::policy::PolicyError;

/// Why the loop stopped. The arm holds its pose: it was told to, or no setpoint reaches it any
/// more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The arm or the link to it.
    #[error(transparent)]
    Arm(#[from] ArmClientError),
    /// The camera.
    #[error(transparent)]
    Camera(#[from] CameraError),
    /// The policy gave no actions.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The policy gave actions that are not executed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// `tick` without `begin`, or after it failed.
    #[error("no episode is running: begin one (after an error, begin anew)")]
    NoEpisode,
    /// A speed that is none.
    #[error(
        "a speed of {scale} is asked for: above 0 and at most 1 of the policy's own is possible"
    )]
    Speed {
        /// What was asked for.
        scale: f64,
    },
    /// The board does not let go of the arm.
    #[error(
        "the arm still has torque {waited_us} us after it was told to let go: hold it and take its supply away"
    )]
    StillArmed {
        /// How long was waited.
        waited_us: u64,
    },
    /// The policy panicked.
    #[error(
        "the thread of the policy has ended: the policy failed in a way that it does not report"
    )]
    WorkerGone,
    /// The operating system gives no thread.
    #[error("the thread of the policy cannot be started: {0}")]
    Thread(std::io::Error),
}
