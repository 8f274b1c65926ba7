//! The arm of a recording: its joints, its limits, and where it stands.

use std::path::Path;

use anyhow::Result;
use wink_runtime::arm::{ArmDescription, Calibration, named_file};
use wink_runtime::control::ControlConfig;
use wink_sim::Setup;

use crate::arm::{CalibrationChoice, read_arm};
use crate::bad_input::bad_input;
use crate::recording::Facts;

/// An arm as it was when a recording was made.
#[derive(Debug)]
pub struct RecordedArm {
    /// Joints and limits.
    pub arm: ArmDescription,
    /// Where it stands: that of the simulated cell of its name, where there is one.
    pub config: Option<ControlConfig>,
}

/// The arm with the calibration that it was recorded with: the one chosen, else the recorded one's file, else the model without
/// one. Limits that are not the recorded ones are refused.
pub fn of_recording(
    facts: &Facts,
    choice: &CalibrationChoice,
    boards: &Path,
) -> Result<RecordedArm> {
    let setup = Setup::of(&facts.arm);
    let config = setup.map(Setup::control_config);
    let path = named_file(&boards.join("arms"), &facts.arm);
    let model = match setup {
        Some(setup) if !path.exists() => setup.arm(),
        _ => read_arm(&path)?,
    };
    let calibrated = if choice.is_made() {
        Some(choice.applied(model.clone())?)
    } else {
        let file = facts.calibration.as_deref().map(Path::new);
        match file.filter(|file| file.exists()) {
            Some(file) => {
                let calibration = Calibration::load(file).map_err(bad_input)?;
                let applied = calibration.apply(&model);
                Some(applied.map_err(|error| bad_input(format!("{}: {error}", file.display())))?)
            }
            None => None,
        }
    };
    let same = |arm: &ArmDescription| arm.hash() == facts.arm_hash;
    let candidates = [calibrated, Some(model), setup.map(Setup::arm)];
    match candidates.into_iter().flatten().find(same) {
        Some(arm) => Ok(RecordedArm { arm, config }),
        None => Err(bad_input(format!(
            "the arm {} was recorded with other limits than it has now: give the calibration that it had then{}",
            facts.arm,
            match &facts.calibration {
                Some(file) => format!(" ({file}) with --calibration"),
                None => " with --calibration or --id".to_owned(),
            }
        ))),
    }
}
