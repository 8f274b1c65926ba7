//! Which arm is set up, where it is, and what is already known of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;
use toml_edit::{DocumentMut, Table, value};
use wink_board_linux::registers::{BUS_BAUD, RegisterBus};
use wink_board_linux::{BoardFile, LinuxBoard, SerialBus, SerialLine};
use wink_firmware::servo::serial::BusOptions;
use wink_runtime::arm::{
    ArmDescription, ArmServos, calibration_path, named_file, read_text, write_whole,
};
use wink_runtime::toml_file::complaint;

use super::port;
use crate::arm::CalibrationChoice;
use crate::bad_input::{as_bad_input, bad_input};

/// Longest wait for a servo's answer. A servo answers in a fraction of a millisecond; a busy computer may look late.
const ANSWER_US: u32 = 20_000;
/// Control steps a second.
const RATE_HZ: u32 = 100;
const FORMAT: u32 = 1;

/// Which arm, and where.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// The arm: a name under boards/arms, or a file
    #[arg(long, value_name = "NAME", default_value = "so101", global = true)]
    arm: String,

    /// The adapter's device [default: the one that `wink setup port` found]
    #[arg(long, value_name = "PORT", global = true)]
    pub port: Option<String>,

    #[command(flatten)]
    calibration: CalibrationChoice,

    /// Folder with the boards
    #[arg(long, value_name = "DIR", default_value = "boards", global = true)]
    pub boards: PathBuf,

    /// Folder with the lasting names of serial ports
    #[arg(long, value_name = "DIR", default_value = port::BY_ID, global = true)]
    pub devices: PathBuf,

    /// Reports as JSON; questions then go to standard error
    #[arg(long, global = true)]
    pub json: bool,
}

/// What set-up has found out of an arm, besides its calibration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    format: u32,
    /// The adapter's device.
    pub port: Option<String>,
    /// The pose that the arm rests in by joint, rad (the gripper: m).
    #[serde(default)]
    pub rest: BTreeMap<String, f64>,
}

impl Place {
    /// The arm of another command.
    pub fn of(
        arm: &str,
        port: Option<&str>,
        calibration: &CalibrationChoice,
        boards: &Path,
    ) -> Self {
        Self {
            arm: arm.to_owned(),
            port: port.map(str::to_owned),
            calibration: calibration.clone(),
            boards: boards.to_owned(),
            devices: PathBuf::from(port::BY_ID),
            json: false,
        }
    }

    /// The arm as its file has it.
    pub fn model(&self) -> Result<ArmDescription> {
        crate::arm::read_arm(&named_file(&self.boards.join("arms"), &self.arm))
    }

    /// The arm with its calibration.
    pub fn calibrated(&self) -> Result<ArmDescription> {
        let model = self.model()?;
        if self.calibration_file(&model)?.is_none() {
            return Err(bad_input(format!(
                "{} is not calibrated: `wink setup calibrate`",
                model.name()
            )));
        }
        self.calibration.applied(model)
    }

    /// The calibration's file; `None` where there is none.
    pub fn calibration_file(&self, model: &ArmDescription) -> Result<Option<PathBuf>> {
        self.calibration.file(model)
    }

    /// Where a new calibration is kept.
    pub fn calibration_path(&self, model: &ArmDescription) -> Result<PathBuf> {
        self.calibration.place(model)
    }

    /// The adapter's device: the one given, else the one found, else the only one there.
    pub fn port(&self) -> Result<String> {
        if let Some(port) = &self.port {
            return Ok(port.clone());
        }
        if let Some(port) = self.found()?.port {
            return Ok(port);
        }
        port::only(&self.devices)
    }

    /// The servos, to be asked one by one.
    pub fn bus(&self, arm: &ArmDescription) -> Result<RegisterBus> {
        let Some(ArmServos::Bus { servos, .. }) = arm.servos() else {
            return Err(bad_input(format!(
                "{}: its file names no servos on a serial bus",
                arm.name()
            )));
        };
        let Some(first) = servos.first() else {
            return Err(bad_input(format!("{}: it has no servos", arm.name())));
        };
        let line = SerialLine::open(&self.port()?, BUS_BAUD).map_err(as_bad_input)?;
        let options = BusOptions {
            answer_timeout_us: ANSWER_US,
            retries: 3,
            ..BusOptions::default()
        };
        RegisterBus::new(line, first.model, options).map_err(as_bad_input)
    }

    /// The arm driven from here.
    pub fn drive(&self, arm: &ArmDescription) -> Result<LinuxBoard> {
        let board = BoardFile {
            name: "this computer".to_owned(),
            rate_hz: RATE_HZ,
            serial: Some(SerialBus {
                port: self.port()?,
                baud: BUS_BAUD,
                echo: false,
                answer_timeout_us: ANSWER_US,
            }),
            i2c: None,
            wire: None,
            cameras: vec![],
        };
        LinuxBoard::start(arm, &board).map_err(as_bad_input)
    }

    /// What set-up has found out so far.
    pub fn found(&self) -> Result<Found> {
        let path = self.found_path()?;
        if !path.exists() {
            return Ok(Found::default());
        }
        let text = read_text(&path).map_err(as_bad_input)?;
        let found: Found = toml::from_str(&text).map_err(|error| {
            let (line, message) = complaint(&text, &error);
            bad_input(format!("{}: line {line}: {message}", path.display()))
        })?;
        if found.format != FORMAT {
            return Err(bad_input(format!(
                "{}: format {} is not known, this version reads format {FORMAT}",
                path.display(),
                found.format
            )));
        }
        Ok(found)
    }

    /// Keeps what set-up has found out. Returns the file.
    pub fn keep(&self, found: &Found) -> Result<PathBuf> {
        let mut file = DocumentMut::new();
        file.insert("format", value(i64::from(FORMAT)));
        if let Some(port) = &found.port {
            file.insert("port", value(port));
        }
        if !found.rest.is_empty() {
            let mut rest = Table::new();
            rest.decor_mut()
                .set_prefix("\n# Where the arm rests, rad (the gripper: m).\n");
            for (joint, position) in &found.rest {
                rest.insert(joint, value(*position));
            }
            file.insert("rest", toml_edit::Item::Table(rest));
        }
        let path = self.found_path()?;
        write_whole(&path, file.to_string().as_bytes()).map_err(as_bad_input)?;
        Ok(path)
    }

    fn found_path(&self) -> Result<PathBuf> {
        let arm = self.model()?;
        // wink/calibration/ARM/ID.toml
        let calibration =
            calibration_path(arm.name(), self.calibration.id()).map_err(as_bad_input)?;
        let folder = calibration.ancestors().nth(3).unwrap_or(&calibration);
        let file = calibration.file_name().unwrap_or_default();
        Ok(folder.join("setup").join(arm.name()).join(file))
    }
}
