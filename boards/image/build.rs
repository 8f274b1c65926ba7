//! Turns the arm's TOML into constants, so that a bad arm fails the build and not the arm.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use wink_runtime::arm::ArmDescription;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let path = chosen_arm()?;
    println!("cargo:rerun-if-changed={}", path.display());
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let arm =
        ArmDescription::from_toml(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let out = PathBuf::from(env::var("OUT_DIR")?).join("arm.rs");
    fs::write(out, constants(&arm)?)?;
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

fn constants(arm: &ArmDescription) -> Result<String, Failure> {
    let config = arm.firmware_config();
    let mut code = String::new();
    writeln!(
        code,
        "/// The arm's name.\npub const NAME: &str = {:?};",
        arm.name()
    )?;
    writeln!(
        code,
        "const DESCRIPTION_HASH: u32 = {};",
        config.description_hash
    )?;
    writeln!(
        code,
        "const TELEMETRY_PERIOD_US: u64 = {};",
        config.telemetry_period_us
    )?;
    writeln!(
        code,
        "const JOINTS: [JointLimits; {}] = [",
        config.joints.len()
    )?;
    for joint in &config.joints {
        writeln!(code, "    {joint:?},")?;
    }
    writeln!(code, "];")?;
    Ok(code)
}
