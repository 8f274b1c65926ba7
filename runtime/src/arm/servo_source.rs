//! An arm's servos as Rust source, for images.

use wink_firmware::servo::Transmission;
use wink_firmware::servo::pca9685::ChannelServo;
use wink_firmware::servo::pwm::PulsePoint;
use wink_firmware::servo::serial::{BusServo, Setting};

use super::ArmServos;
use super::firmware::number;

const SERIAL: &str = "wink_firmware::servo::serial";

impl ArmServos {
    /// Appends constants that hold what the drivers are told.
    pub(super) fn write_source(&self, code: &mut String) {
        match self {
            Self::Bus { servos, settings } => write_bus(code, servos, settings),
            Self::Pwm(channels) => write_channels(code, channels),
        }
    }
}

fn write_bus(code: &mut String, servos: &[BusServo], settings: &[(u8, Setting)]) {
    let driver = if servos.iter().any(|servo| servo.model.is_dynamixel()) {
        "dynamixel::DynamixelServos"
    } else {
        "feetech::FeetechServos"
    };
    code.push_str(&format!(
        "/// The driver of this arm's servos.\npub type Servos<P> = wink_firmware::servo::{driver}<P>;\n\
         /// Servos in wire order.\npub const SERVOS: [{SERIAL}::BusServo; {}] = [\n",
        servos.len()
    ));
    for servo in servos {
        let calibration = &servo.calibration;
        code.push_str(&format!(
            "    {SERIAL}::BusServo {{ id: {}, model: {SERIAL}::ServoModel::{:?}, joint: {}, \
             calibration: wink_firmware::servo::TickCalibration {{ zero_tick: {}, reversed: {}, \
             min_tick: {}, max_tick: {}, transmission: {} }}, max_ticks_per_s: {}, \
             max_torque_permille: {} }},\n",
            servo.id,
            servo.model,
            servo.joint,
            number(calibration.zero_tick),
            calibration.reversed,
            calibration.min_tick,
            calibration.max_tick,
            transmission(calibration.transmission),
            servo.max_ticks_per_s,
            servo.max_torque_permille
        ));
    }
    code.push_str(&format!(
        "];\n/// Registers that must hold a value, with the servo's id.\n\
         pub const SETTINGS: [(u8, {SERIAL}::Setting); {}] = [\n",
        settings.len()
    ));
    for (id, setting) in settings {
        code.push_str(&format!(
            "    ({id}, {SERIAL}::Setting {{ address: {}, bytes: {}, value: {} }}),\n",
            setting.address, setting.bytes, setting.value
        ));
    }
    code.push_str("];\n");
}

fn transmission(transmission: Transmission) -> String {
    let inner = match transmission {
        Transmission::Direct => "Direct".to_owned(),
        Transmission::Lever { length_m } => format!("Lever {{ length_m: {} }}", number(length_m)),
        Transmission::Crank { horn_m, rod_m } => format!(
            "Crank {{ horn_m: {}, rod_m: {} }}",
            number(horn_m),
            number(rod_m)
        ),
    };
    format!("wink_firmware::servo::Transmission::{inner}")
}

fn write_channels(code: &mut String, channels: &[ChannelServo]) {
    let point = |point: PulsePoint| {
        format!(
            "wink_firmware::servo::pwm::PulsePoint {{ pulse_us: {}, position: {} }}",
            number(point.pulse_us),
            number(point.position)
        )
    };
    code.push_str(&format!(
        "/// Servos in wire order.\n\
         pub const CHANNELS: [wink_firmware::servo::pca9685::ChannelServo; {}] = [\n",
        channels.len()
    ));
    for servo in channels {
        let calibration = &servo.calibration;
        code.push_str(&format!(
            "    wink_firmware::servo::pca9685::ChannelServo {{ channel: {}, \
             calibration: wink_firmware::servo::pwm::PwmCalibration {{ period_us: {}, shortest: {}, \
             longest: {} }}, rest_position: {} }},\n",
            servo.channel,
            number(calibration.period_us),
            point(calibration.shortest),
            point(calibration.longest),
            number(servo.rest_position)
        ));
    }
    code.push_str("];\n");
}
