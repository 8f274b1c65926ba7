//! Which calibration goes with the arm that a command drives.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use wink_runtime::arm::{ArmDescription, Calibration, DEFAULT_ID, calibration_path};

use crate::bad_input::bad_input;

#[derive(Debug, Clone, Default, clap::Args)]
pub struct CalibrationChoice {
    /// The arm's calibration file [default: the one that `wink arm calibrate` keeps for it]
    #[arg(long, value_name = "FILE", global = true)]
    calibration: Option<PathBuf>,

    /// Name of the arm's calibration, where there are several arms of one model
    #[arg(long, value_name = "NAME", global = true)]
    id: Option<String>,
}

impl CalibrationChoice {
    /// The calibration of a file, or the one of a name.
    pub const fn new(calibration: Option<PathBuf>, id: Option<String>) -> Self {
        Self { calibration, id }
    }

    /// Whether the user has chosen.
    pub fn is_made(&self) -> bool {
        self.calibration.is_some() || self.id.is_some()
    }

    /// Name of the calibration.
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(DEFAULT_ID)
    }

    /// The file of the calibration that goes with the arm; `None` where there is none.
    pub fn file(&self, arm: &ArmDescription) -> Result<Option<PathBuf>> {
        self.check()?;
        Calibration::locate(arm, self.calibration.as_deref(), self.id.as_deref()).map_err(bad_input)
    }

    /// Where a new calibration of the arm is to be kept.
    pub fn place(&self, arm: &ArmDescription) -> Result<PathBuf> {
        self.check()?;
        match &self.calibration {
            Some(file) => Ok(file.clone()),
            None => calibration_path(arm.name(), self.id())
                .map_err(|error| bad_input(format!("{error} with --out"))),
        }
    }

    /// The arm with its calibration, as it is where there is none.
    pub fn applied(&self, arm: ArmDescription) -> Result<ArmDescription> {
        let Some(path) = self.file(&arm)? else {
            return Ok(arm);
        };
        let calibration = Calibration::load(&path).map_err(bad_input)?;
        calibration
            .apply(&arm)
            .map_err(|error| bad_input(format!("{}: {error}", path.display())))
    }

    fn check(&self) -> Result<()> {
        if self.calibration.is_some() && self.id.is_some() {
            return Err(bad_input(
                "--calibration and --id each name a calibration: give one of them",
            ));
        }
        Ok(())
    }
}

/// Says on standard error that an arm has no calibration.
pub fn tell_uncalibrated(arm: &ArmDescription) {
    if !arm.is_calibrated() {
        let _ = writeln!(io::stderr(), "{}", Calibration::lack(arm));
    }
}
