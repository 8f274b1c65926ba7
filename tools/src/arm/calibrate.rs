//! `wink arm calibrate`: an arm's calibration, by hand or from LeRobot's file, checked and kept; and written for LeRobot.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wink_runtime::arm::{ArmDescription, Calibration, JointCalibration, read_text, write_whole};

use super::Target;
use super::lerobot::{self, Taken};
use crate::bad_input::bad_input;
use crate::setup;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Take over LeRobot's calibration file; no board is needed
    #[arg(long, value_name = "FILE", conflicts_with = "to_lerobot")]
    lerobot: Option<PathBuf>,

    /// Write the arm's calibration as a file for LeRobot; no board is needed
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    to_lerobot: Option<PathBuf>,

    /// Keep the calibration in this file [default: $XDG_CONFIG_HOME/wink/calibration/ARM/ID.toml]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, target: &Target) -> Result<()> {
    let path = target.arm_path();
    let arm = super::read_arm(&path)?;
    if let Some(file) = &args.to_lerobot {
        return export(file, &arm, target);
    }
    let out = match &args.out {
        Some(out) => out.clone(),
        None => target.calibration.place(&arm)?,
    };
    refuse_model(&out, &path)?;
    let taken = match &args.lerobot {
        Some(file) => {
            let text = read_text(file).map_err(bad_input)?;
            lerobot::read(&text, &arm).context(file.display().to_string())?
        }
        None => Taken {
            calibration: setup::by_hand(&target.place(), &out)?,
            left_out: Vec::new(),
        },
    };
    let applied = taken.calibration.apply(&arm).map_err(bad_input)?;
    taken.calibration.save(&out).map_err(bad_input)?;
    let mut stdout = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut stdout, &as_json(&taken, &applied, &out))?;
        writeln!(stdout)?;
        return Ok(());
    }
    for line in lines(&taken, &arm, &applied) {
        writeln!(stdout, "{line}")?;
    }
    writeln!(
        stdout,
        "saved to {}; a flashed board still has the old one: wink flash",
        out.display()
    )?;
    Ok(())
}

fn export(file: &Path, arm: &ArmDescription, target: &Target) -> Result<()> {
    let Some(path) = target.calibration.file(arm)? else {
        return Err(bad_input(format!(
            "the arm {0} has no calibration: `wink arm calibrate --arm {0}` makes one",
            arm.name()
        )));
    };
    let calibration = Calibration::load(&path).map_err(bad_input)?;
    let checked = calibration.check(arm);
    checked.map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    write_whole(file, lerobot::write(&calibration).as_bytes()).map_err(bad_input)?;
    writeln!(
        io::stdout(),
        "{} written for LeRobot to {}",
        path.display(),
        file.display()
    )?;
    Ok(())
}

/// The arm's model stays as it is.
fn refuse_model(out: &Path, model: &Path) -> Result<()> {
    let same = match (fs::canonicalize(out), fs::canonicalize(model)) {
        (Ok(out), Ok(model)) => out == model,
        _ => false,
    };
    if same {
        return Err(bad_input(format!(
            "{}: this is the arm's own file, a calibration is a file beside it: choose another name",
            out.display()
        )));
    }
    Ok(())
}

/// What was found, joint by joint, and what comes of it.
fn lines(taken: &Taken, model: &ArmDescription, applied: &ArmDescription) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows(taken, applied) {
        let limits = match row.unit {
            "rad" => format!(
                "{:.1} .. {:.1} degrees",
                row.limits[0].to_degrees(),
                row.limits[1].to_degrees()
            ),
            _ => format!(
                "{:.1} .. {:.1} mm",
                row.limits[0] * 1e3,
                row.limits[1] * 1e3
            ),
        };
        let joint = row.joint;
        lines.push(format!(
            "{:<14} zero at tick {:.1}, from {} to {}, homing offset {}{}: {limits}",
            joint.name,
            row.zero_tick,
            joint.range_min,
            joint.range_max,
            joint.homing_offset,
            if joint.reversed { ", reversed" } else { "" },
        ));
    }
    for (old, new) in model.joints().iter().zip(applied.joints()) {
        if old.home_rad != new.home_rad {
            lines.push(format!(
                "{} starts at {:.1} degrees: the {:.1} of the arm's file lie outside of its travel",
                new.name,
                new.home_rad.to_degrees(),
                old.home_rad.to_degrees()
            ));
        }
    }
    if !taken.left_out.is_empty() {
        let names: Vec<String> = taken
            .left_out
            .iter()
            .map(|name| name.escape_debug().to_string())
            .collect();
        lines.push(format!(
            "left out, no joints of {}: {}",
            model.name(),
            names.join(", ")
        ));
    }
    lines
}

struct Row<'a> {
    joint: &'a JointCalibration,
    zero_tick: f64,
    unit: &'static str,
    limits: [f64; 2],
}

fn rows<'a>(taken: &'a Taken, applied: &ArmDescription) -> Vec<Row<'a>> {
    let ticks = applied.tick_calibrations().unwrap_or_default();
    let row = |joint: &'a JointCalibration| {
        let index = applied.wire_names().position(|name| name == joint.name)?;
        let (unit, limits) = match (applied.joints().get(index), applied.gripper()) {
            (Some(of_arm), _) => ("rad", [of_arm.min_rad, of_arm.max_rad]),
            (None, Some(gripper)) => ("m", [gripper.min_m, gripper.max_m]),
            (None, None) => return None,
        };
        Some(Row {
            joint,
            zero_tick: f64::from(ticks.get(index)?.zero_tick),
            unit,
            limits,
        })
    };
    taken.calibration.joints.iter().filter_map(row).collect()
}

fn as_json(taken: &Taken, applied: &ArmDescription, out: &Path) -> Value {
    let joints: Vec<Value> = rows(taken, applied)
        .iter()
        .map(|row| {
            json!({
                "name": row.joint.name,
                "id": row.joint.servo_id,
                "reversed": row.joint.reversed,
                "homing_offset": row.joint.homing_offset,
                "range_min": row.joint.range_min,
                "range_max": row.joint.range_max,
                "zero_tick": row.zero_tick,
                "unit": row.unit,
                "min": row.limits[0],
                "max": row.limits[1],
            })
        })
        .collect();
    json!({
        "arm": applied.name(),
        "saved_to": out.display().to_string(),
        "joints": joints,
        "left_out": taken.left_out,
    })
}
