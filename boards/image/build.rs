//! Turns the arm's file into constants, so that a bad arm fails the build and not the arm.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use wink_runtime::arm::ArmFile;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let path = chosen_arm()?;
    println!("cargo:rerun-if-changed={}", path.display());
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read_to_string(&path).map_err(|error| told(&error))?;
    let arm = ArmFile::from_toml(&text).map_err(|error| told(&error))?;
    let bus = if env::var_os("CARGO_FEATURE_DYNAMIXEL").is_some() {
        DYNAMIXEL
    } else {
        FEETECH
    };
    let code = arm.firmware_source() + &servos(&arm, &bus)?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("arm.rs"), code)?;
    Ok(())
}

/// The one feature `arm-NAME` stands for `boards/arms/NAME.toml`; without one, the WidowX 250S.
fn chosen_arm() -> Result<PathBuf, Failure> {
    let names: Vec<String> = env::vars()
        .filter_map(|(key, _)| Some(key.strip_prefix("CARGO_FEATURE_ARM_")?.to_lowercase()))
        .collect();
    let name = match names.as_slice() {
        [] => "wx250s",
        [name] => name,
        several => {
            return Err(format!("an image drives one arm, not {}", several.join(" and ")).into());
        }
    };
    let arms = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../arms");
    Ok(arms.join(name.replace('_', "-")).with_extension("toml"))
}

/// What a protocol's packets cost in a control step.
struct Bus {
    /// The arm's own servos.
    model: &'static str,
    /// Those of the last two joints, gripper included, which carry little.
    small_model: &'static str,
    /// Bytes of a step whatever the number of servos: the heads of three instructions, and one servo's health.
    fixed_bytes: usize,
    /// Bytes of a step for each servo: its id, its answer, its goal.
    servo_bytes: usize,
}

const FEETECH: Bus = Bus {
    model: "Sts3215",
    small_model: "Sts3215",
    fixed_bytes: 8 + 8 + 15 + 8,
    servo_bytes: 1 + 12 + 8,
};

const DYNAMIXEL: Bus = Bus {
    model: "Xm430W350",
    small_model: "Xl430W250",
    fixed_bytes: 14 + 14 + 15 + 14,
    servo_bytes: 1 + 21 + 5,
};

/// Ticks of a servo's encoder per radian.
const TICKS_PER_RAD: f64 = 4096.0 / std::f64::consts::TAU;
/// One byte at 1 Mbaud.
const BYTE_US: usize = 10;
/// The servo's own speed limit stands so much above the board's.
const SPEED_MARGIN: f64 = 1.2;

fn servos(arm: &ArmFile, bus: &Bus) -> Result<String, Failure> {
    let mut lines = vec![];
    for (index, joint) in arm.joints.iter().enumerate() {
        let speed = (joint.velocity_rad_s * TICKS_PER_RAD * SPEED_MARGIN).ceil() as u16;
        let model = if index + 1 == arm.joints.len() {
            bus.small_model
        } else {
            bus.model
        };
        for (place, id) in joint.servo_ids.iter().enumerate() {
            lines.push(servo(
                *id,
                model,
                index,
                place == 1,
                "Transmission::Direct",
                speed,
            ));
        }
    }
    // The horn and the rod of the WidowX's gripper; see the firmware's `Transmission::Crank`.
    let crank = "Transmission::Crank { horn_m: 0.014, rod_m: 0.024 }";
    for id in &arm.gripper.servo_ids {
        lines.push(servo(
            *id,
            bus.small_model,
            arm.joints.len(),
            false,
            crank,
            0,
        ));
    }
    let bytes = bus.fixed_bytes + bus.servo_bytes * lines.len();
    // A quarter more for turning round and thinking, in whole milliseconds.
    let period_us = (bytes * BYTE_US * 5 / 4).next_multiple_of(1_000);
    let mut code = String::from(
        "use wink_firmware::servo::serial::{BusServo, ServoModel};\nuse wink_firmware::servo::{TickCalibration, Transmission};\n",
    );
    writeln!(
        code,
        "/// Time of a control step: what the servos' packets take at 1 Mbaud, and a little."
    )?;
    writeln!(code, "pub const PERIOD_US: u32 = {period_us};")?;
    writeln!(code, "/// The servos on the bus.")?;
    writeln!(
        code,
        "pub const SERVOS: [BusServo; {}] = [{}];",
        lines.len(),
        lines.join(", ")
    )?;
    Ok(code)
}

fn servo(
    id: u8,
    model: &str,
    joint: usize,
    reversed: bool,
    transmission: &str,
    speed: u16,
) -> String {
    format!(
        "BusServo {{ id: {id}, model: ServoModel::{model}, joint: {joint}, calibration: TickCalibration {{ \
         reversed: {reversed}, transmission: {transmission}, ..TickCalibration::CENTRED }}, \
         max_ticks_per_s: {speed}, max_torque_permille: 1000 }}"
    )
}
