//! From setpoints to the next goal of each joint: [`trajectory`] says where the arm should be now,
//! [`profile`] how far towards there a joint may go in one tick, [`smoother`] limits the jerk.

mod profile;
mod smoother;
mod trajectory;

pub(crate) use profile::{JointMotion, Reference};
pub use smoother::MAX_TAPS;
pub(crate) use smoother::{Smoother, taps};
pub(crate) use trajectory::{Trajectory, TrajectoryFull};

/// Joint positions of an arm of up to [`MAX_JOINTS`](crate::MAX_JOINTS); those the arm lacks are 0.
pub(crate) type Positions = [f32; crate::MAX_JOINTS];
