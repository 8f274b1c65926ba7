//! From setpoints to the next command of each joint: [`trajectory`] says where the arm should be
//! now, [`profile`] how far towards there a joint may go in one tick.

mod profile;
mod trajectory;

pub(crate) use profile::{JointMotion, Reference};
pub(crate) use trajectory::{Trajectory, TrajectoryFull};

/// Joint positions of an arm of up to [`MAX_JOINTS`](crate::MAX_JOINTS); those the arm lacks are 0.
pub(crate) type Positions = [f32; crate::MAX_JOINTS];
