//! The arm that is moved: on this computer's adapter, on a Linux board with cameras, or simulated in the time of this machine.

use std::path::{Path, PathBuf};

use anyhow::Result;
use wink_board_linux::{BoardFile, LinuxBoard};
use wink_runtime::arm::{ArmDescription, read_text};
use wink_runtime::control::{ACTION_DIM, ControlConfig};
use wink_runtime::policy::{ActionChunk, ChunkShape, Observation, Policy, PolicyError};
use wink_runtime::rig::{NamedCamera, Rig};
use wink_runtime::session::{Session, Timing};
use wink_sim::Setup;
use wink_sim::board::{SimBoard, SimOptions};
use wink_sim::scene::{Scene, Split};

use crate::arm::CalibrationChoice;
use crate::bad_input::{as_bad_input, bad_input};
use crate::hardware::CAMERA_PREFIX;
use crate::real_time::RealTime;
use crate::rollout;
use crate::setup::Place;

/// Which arm on which board.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// What the arm is connected to: `adapter` (servos on an adapter of this computer), `sim`, or the file of a Linux board
    #[arg(long, value_name = "BOARD", default_value = "adapter")]
    board: String,

    /// The arm: a name under boards/arms, or a file
    #[arg(long, value_name = "NAME", default_value = "so101")]
    arm: String,

    /// The adapter's device [default: that of the board's file, or the one that `wink setup port` found]
    #[arg(long, value_name = "PORT")]
    port: Option<String>,

    #[command(flatten)]
    calibration: CalibrationChoice,

    /// Folder with the boards
    #[arg(long, value_name = "DIR", default_value = "boards")]
    pub boards: PathBuf,
}

/// An arm that is to be moved, not armed yet.
pub struct Follower {
    /// Name of its board.
    pub board: String,
    /// With its calibration.
    pub arm: ArmDescription,
    /// Where that is kept.
    pub calibration: Option<PathBuf>,
    /// Of the board's cameras, what was pinned as read back.
    pub pinned: Vec<Vec<(String, i64)>>,
    /// Cameras, link and clock.
    pub rig: Rig,
    config: ControlConfig,
    /// Where it rests by itself, where set-up has found that out.
    pub rest: Option<Vec<f64>>,
}

impl Target {
    /// Opens the arm and its cameras. Nothing moves.
    ///
    /// # Errors
    /// When it is not calibrated, or a device is not there or not as it should be.
    pub fn open(&self) -> Result<Follower> {
        match self.board.as_str() {
            "sim" => self.simulated(),
            board => self.real((board != "adapter").then(|| Path::new(board))),
        }
    }

    fn simulated(&self) -> Result<Follower> {
        let Some(setup) = Setup::of(&self.arm) else {
            return Err(bad_input(format!(
                "--arm {}: the simulator has {}",
                self.arm,
                wink_sim::setup::ALL.map(|setup| setup.name).join(" and ")
            )));
        };
        if self.calibration.is_made() || self.port.is_some() {
            return Err(bad_input(
                "--board sim: a simulated arm has no calibration and no port, leave --calibration, --id and --port out",
            ));
        }
        let scene = Scene::on(setup, Split::Val, 0);
        let world = rollout::shared(SimBoard::new(&scene, SimOptions::default())?);
        let real = RealTime::new(world.clone());
        let cameras = rollout::cameras(&world);
        Ok(Follower {
            board: "sim".to_owned(),
            arm: setup.arm(),
            calibration: None,
            pinned: cameras.iter().map(|_| Vec::new()).collect(),
            rig: Rig {
                cameras,
                link: Box::new(real.clone()),
                clock: Box::new(real),
            },
            config: setup.control_config(),
            rest: None,
        })
    }

    fn real(&self, file: Option<&Path>) -> Result<Follower> {
        let place = Place::of(
            &self.arm,
            self.port.as_deref(),
            &self.calibration,
            &self.boards,
        );
        let arm = place.calibrated()?;
        let calibration = place.calibration_file(&place.model()?)?;
        let (name, board, cameras) = match file {
            None => ("this computer".to_owned(), place.drive(&arm)?, Vec::new()),
            Some(path) => {
                let told = path.display().to_string();
                let text = read_text(path).map_err(as_bad_input)?;
                let mut file = BoardFile::from_toml(&text)
                    .map_err(|error| bad_input(format!("--board {told}: {error}")))?;
                if let Some(port) = &self.port {
                    file.use_device(port);
                }
                let board = LinuxBoard::start(&arm, &file).map_err(as_bad_input)?;
                (file.name, board, file.cameras)
            }
        };
        let cameras = wink_camera::open_all(&cameras, board.clock()).map_err(as_bad_input)?;
        let pinned = cameras.iter().map(|camera| camera.pinned().to_vec());
        let found = place.found()?;
        let rest = arm.wire_names().map(|joint| found.rest.get(joint).copied());
        let rest: Option<Vec<f64>> = rest.collect();
        Ok(Follower {
            board: name,
            // Where the arm stands means nothing to joints that a person moves.
            config: wink_sim::setup::WX250S.control_config(),
            calibration,
            pinned: pinned.collect(),
            rig: Rig {
                cameras: cameras
                    .into_iter()
                    .map(|camera| NamedCamera {
                        name: format!("{CAMERA_PREFIX}{}", camera.name()).into(),
                        camera: Box::new(camera),
                    })
                    .collect(),
                clock: Box::new(board.clock().clone()),
                link: Box::new(board),
            },
            rest,
            arm,
        })
    }
}

impl Follower {
    /// A session that moves the arm to where a person wants it, and the cameras, which the loop reads itself.
    ///
    /// # Errors
    /// When the arm's firmware cannot keep the rate.
    pub fn session(mut self, hz: f64) -> Result<(Session, Vec<NamedCamera>)> {
        let cameras = std::mem::take(&mut self.rig.cameras);
        let nobody = Box::new(Nobody { hz });
        let session = Session::new(self.arm, self.config, self.rig, nobody, Timing::real());
        Ok((session.map_err(as_bad_input)?, cameras))
    }
}

/// The policy of an arm that a person drives: it is never asked.
struct Nobody {
    hz: f64,
}

impl Policy for Nobody {
    fn begin_episode(&mut self, _: &str) -> Result<(), PolicyError> {
        Ok(())
    }

    fn act(&mut self, _: &Observation<'_>, _: &mut ActionChunk) -> Result<(), PolicyError> {
        Err(PolicyError::Other("a person drives".to_owned()))
    }

    fn needs_frame(&self) -> bool {
        false
    }

    fn chunk_shape(&self) -> ChunkShape {
        ChunkShape {
            steps: 1,
            execute: 1,
            dim: ACTION_DIM,
        }
    }

    fn control_hz(&self) -> Option<f64> {
        Some(self.hz)
    }
}
