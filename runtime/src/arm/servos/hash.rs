//! What of an arm's servos goes into its hash.

use wink_firmware::servo::Transmission;

use super::ArmServos;

impl ArmServos {
    /// Calls `each` with every number that the drivers are told, in a fixed order.
    pub(in crate::arm) fn each_number(&self, mut each: impl FnMut(f64)) {
        match self {
            Self::Bus { servos, settings } => {
                for servo in servos {
                    let calibration = &servo.calibration;
                    each(servo.id.into());
                    each(servo.model.number().into());
                    each(servo.joint.into());
                    each(calibration.zero_tick.into());
                    each(u8::from(calibration.reversed).into());
                    each(calibration.min_tick.into());
                    each(calibration.max_tick.into());
                    let lengths = match calibration.transmission {
                        Transmission::Direct => [0.0, 0.0],
                        Transmission::Lever { length_m } => [length_m, 0.0],
                        Transmission::Crank { horn_m, rod_m } => [horn_m, rod_m],
                    };
                    lengths.map(f64::from).into_iter().for_each(&mut each);
                    each(servo.max_ticks_per_s.into());
                    each(servo.max_torque_permille.into());
                }
                for (id, setting) in settings {
                    each((*id).into());
                    each(setting.address.into());
                    each(setting.value.into());
                }
            }
            Self::Pwm(channels) => {
                for servo in channels {
                    let calibration = &servo.calibration;
                    each(servo.channel.into());
                    for point in [calibration.shortest, calibration.longest] {
                        each(point.pulse_us.into());
                        each(point.position.into());
                    }
                    each(servo.rest_position.into());
                }
            }
        }
    }
}
