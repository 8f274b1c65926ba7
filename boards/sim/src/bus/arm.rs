//! The servos that an arm's file names, as its maker ships them.

use wink_firmware::servo::serial::{BusServo as Described, ServoModel as DescribedModel};
use wink_firmware::servo::{Transmission, dynamixel, feetech};
use wink_runtime::arm::{ArmDescription, ArmServos};

use super::coupling::{Coupling, Crank, Linkage};
use super::registers::signed;
use super::{BusServo, ServoBus, ServoModel};

/// Dynamixel: the drive mode, with the direction in its lowest bit.
const DRIVE_MODE: usize = 10;
/// Dynamixel: the second id.
const SECONDARY_ID: usize = 12;

impl ServoBus {
    /// A bus with the servos of an arm, on the joints that the arm's file has them on and calibrated as it says; `None` for an arm without bus servos. A
    /// Dynamixel that is mounted the other way round counts backwards, and the second of a joint listens to the id of the first.
    #[must_use]
    pub fn for_arm(arm: &ArmDescription) -> Option<Self> {
        let Some(ArmServos::Bus { servos, settings }) = arm.servos() else {
            return None;
        };
        let offset = |id: u8| {
            settings
                .iter()
                .find_map(|(for_id, setting)| match setting.address {
                    _ if *for_id != id => None,
                    feetech::HOMING_OFFSET => Some(signed(setting.value as u16, 11)),
                    dynamixel::HOMING_OFFSET => Some(-f64::from(setting.value.cast_signed())),
                    _ => None,
                })
        };
        let first_on = |joint: u8| servos.iter().find(|servo| servo.joint == joint);
        Some(Self::new(servos.iter().map(|servo| {
            let homing_offset = offset(servo.id).unwrap_or(0.0);
            let coupling = coupling(servo, homing_offset);
            let mut simulated = BusServo::new(servo.id, model(servo.model)).on(coupling);
            simulated.set_homing_offset(homing_offset);
            if servo.model.is_dynamixel() {
                simulated = simulated.with(DRIVE_MODE, &[servo.calibration.reversed.into()]);
                let first = first_on(servo.joint).map(|first| first.id);
                if let Some(first) = first.filter(|first| *first != servo.id) {
                    simulated = simulated.with(SECONDARY_ID, &[first]);
                }
            }
            simulated
        })))
    }
}

const fn model(model: DescribedModel) -> ServoModel {
    match model {
        DescribedModel::Sts3215 => ServoModel::Sts3215,
        DescribedModel::Xm430W350 => ServoModel::Xm430W350,
        DescribedModel::Xl430W250 => ServoModel::Xl430W250,
        DescribedModel::Xl330M288 => ServoModel::Xl330M288,
        DescribedModel::Xl330M077 => ServoModel::Xl330M077,
    }
}

fn coupling(servo: &Described, homing_offset: f64) -> Coupling {
    let calibration = &servo.calibration;
    Coupling {
        joint: servo.joint.into(),
        zero_tick: f64::from(calibration.zero_tick) + homing_offset,
        reversed: calibration.reversed,
        linkage: match calibration.transmission {
            Transmission::Direct => Linkage::Direct,
            Transmission::Lever { length_m } => Linkage::Lever {
                length_m: length_m.into(),
            },
            Transmission::Crank { horn_m, rod_m } => Linkage::Crank(Crank {
                horn_m: horn_m.into(),
                rod_m: rod_m.into(),
            }),
        },
    }
}
