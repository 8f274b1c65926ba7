//! The servos of the simulated arm, as its description has them on the bus.

use wink_runtime::arm::{ARM_JOINTS, ArmDescription, GRIPPER};
use wink_sim::bus::{BusServo, Coupling, ServoBus, ServoModel};

/// What hangs on the servo bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BusKind {
    /// Feetech STS3215 everywhere.
    #[default]
    Feetech,
    /// Dynamixel XM430 up to the wrist, XL430 for the last joint and the gripper.
    Dynamixel,
}

/// A bus with all servos of the arm, each where it is built in. Of two on one joint the second turns backwards.
pub fn bus(arm: &ArmDescription, kind: BusKind) -> ServoBus {
    let joints = arm.joints().iter().map(|joint| &joint.servo_ids);
    let ids = joints.chain([&arm.gripper().servo_ids]);
    let mut servos = vec![];
    for (joint, ids) in ids.enumerate() {
        for (place, id) in ids.iter().enumerate() {
            let coupling = if joint == GRIPPER {
                Coupling::wx250s_gripper()
            } else {
                Coupling {
                    reversed: place == 1,
                    ..Coupling::direct(joint)
                }
            };
            servos.push(BusServo::new(*id, model(kind, joint)).on(coupling));
        }
    }
    ServoBus::new(servos)
}

fn model(kind: BusKind, joint: usize) -> ServoModel {
    match kind {
        BusKind::Feetech => ServoModel::Sts3215,
        BusKind::Dynamixel if joint + 1 < ARM_JOINTS => ServoModel::Xm430W350,
        BusKind::Dynamixel => ServoModel::Xl430W250,
    }
}
