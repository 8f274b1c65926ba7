//! Turns the arm's file into constants, so that a bad arm fails the build and not the arm.

use std::path::{Path, PathBuf};
use std::{env, fs};

use wink_runtime::arm::{ArmDescription, ArmServos, Calibration};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let path = chosen_arm()?;
    println!("cargo:rerun-if-changed={}", path.display());
    let arm = calibrated(ArmDescription::load(&path)?)?;
    let period = period(&arm).map_err(|why| format!("{}: {why}", path.display()))?;
    let code = arm.firmware_source() + &period;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("arm.rs"), code)?;
    Ok(())
}

/// A path that a variable of the environment gives.
fn given(variable: &str) -> Option<PathBuf> {
    println!("cargo:rerun-if-env-changed={variable}");
    env::var_os(variable).map(PathBuf::from)
}

/// The arm with the calibration that `WINK_CALIBRATION` names.
fn calibrated(arm: ArmDescription) -> Result<ArmDescription, Failure> {
    let Some(path) = given("WINK_CALIBRATION") else {
        return Ok(arm);
    };
    println!("cargo:rerun-if-changed={}", path.display());
    Ok(Calibration::applied(arm, Some(&path), None)?)
}

/// The file that `WINK_ARM` names. Without it the one feature `arm-NAME` stands for `boards/arms/NAME.toml`; without one, the WidowX 250S.
fn chosen_arm() -> Result<PathBuf, Failure> {
    if let Some(path) = given("WINK_ARM") {
        return Ok(path);
    }
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
    Ok(arms.join(format!("{}.toml", name.replace('_', "-"))))
}

/// Bytes of a control step whatever the number of servos: the heads of three instructions, and one servo's health.
const fn fixed_bytes(dynamixel: bool) -> usize {
    if dynamixel {
        14 + 14 + 20 + 14
    } else {
        8 + 8 + 15 + 8
    }
}

/// Bytes of a control step for each servo: its id, its answer, its goal.
const fn servo_bytes(dynamixel: bool) -> usize {
    if dynamixel { 1 + 21 + 5 } else { 1 + 12 + 8 }
}

/// One byte at 1 Mbaud.
const BYTE_US: usize = 10;

/// The time of a control step: what the servos' packets take, and a quarter more for turning round and thinking, in whole
/// milliseconds.
fn period(arm: &ArmDescription) -> Result<String, String> {
    let Some(ArmServos::Bus { servos, .. }) = arm.servos() else {
        return Err("an image drives servos on a serial bus, and this arm has none".to_owned());
    };
    let dynamixel = servos.iter().any(|servo| servo.model.is_dynamixel());
    let bytes = fixed_bytes(dynamixel) + servo_bytes(dynamixel) * servos.len();
    let period_us = (bytes * BYTE_US * 5 / 4).next_multiple_of(1_000);
    Ok(format!(
        "/// Time of a control step: what the servos' packets take at 1 Mbaud, and a little.\n\
         pub const PERIOD_US: u32 = {period_us};\n"
    ))
}
