//! What a policy or a person drives: a board, its arm and its cameras, opened by name, as one rig. What is done with it is not decided
//! here.

mod cameras;
mod park;
mod simulated;

use std::path::{Path, PathBuf};

use anyhow::Result;
use wink_board_linux::{BoardFile, LinuxBoard};
use wink_runtime::arm::{ArmDescription, JointValues, Link, named_file, read_text};
use wink_runtime::control::{ControlConfig, PROPRIO_NAMES};
use wink_runtime::policy::manifest::{ActionSpace, Manifest};
use wink_runtime::rig::{NamedCamera, Rig, Shared};
use wink_sim::Scene;

pub use cameras::PREFIX as CAMERA_PREFIX;
pub use park::park;

use crate::arm::{CalibrationChoice, SerialBoard, joints, read_arm};
use crate::bad_input::{as_bad_input, bad_input};
use crate::eval::board::BoardChoice;
use crate::rollout::World;
use crate::setup::Place;

/// How long the arm holds for a camera whose frames are too old or repeat; then the episode ends.
const FRAME_PATIENCE_US: u64 = 2_000_000;
/// A real camera's noise makes every picture another one: the same one for so long comes from a frozen camera.
const FROZEN_AFTER_US: u64 = 1_000_000;

/// Which board, and which arm on it.
#[derive(Debug, Clone, clap::Args)]
pub struct BoardArgs {
    /// What drives the arm: `sim`, an emulated board (`qemu`, `qemu-mps2`, `rp2040js`), a name under boards/linux, or a board's
    /// file: its servos' bus or the port of a flashed board, and its cameras
    #[arg(long, value_name = "NAME|FILE", default_value = "sim")]
    pub board: String,

    /// The arm: a name under boards/arms, or a file [default: the simulated one that the policy fits]
    #[arg(long, value_name = "NAME|FILE")]
    pub arm: Option<String>,

    /// The adapter's or the flashed board's device [default: the one that the board's file names]
    #[arg(long, value_name = "PORT")]
    pub port: Option<String>,

    #[command(flatten)]
    pub calibration: CalibrationChoice,

    /// Folder with the boards
    #[arg(long, value_name = "DIR", default_value = "boards")]
    pub boards: PathBuf,

    /// Seed of a simulated table
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
}

/// A board that is open.
pub struct Hardware {
    /// The board's name.
    pub board: String,
    /// The arm with its calibration.
    pub arm: ArmDescription,
    /// Where the arm stands and may work.
    pub config: ControlConfig,
    /// Cameras, link and clock.
    pub rig: Rig,
    /// The calibration's file; `None` of a simulated arm.
    pub calibration: Option<PathBuf>,
    /// Where the arm rests by itself (rad, the gripper m of one finger).
    pub rest: JointValues,
    /// The controls that were pinned of each camera, as read back.
    pub pinned: Vec<Vec<(String, i64)>>,
    /// The table of a simulated board, and what lies on it.
    pub table: Option<(Shared<dyn World>, Scene)>,
    trouble: Option<Trouble>,
}

/// Says what keeps servos from being read.
type Trouble = Box<dyn Fn() -> Option<String>>;

impl Hardware {
    /// Whether nothing of it is real.
    pub fn is_simulated(&self) -> bool {
        self.table.is_some()
    }

    /// What keeps the servos from being read right now, where that is known on this side of the link.
    pub fn take_trouble(&mut self) -> Trouble {
        self.trouble.take().unwrap_or_else(|| Box::new(|| None))
    }
}

impl BoardArgs {
    /// Whether the board is no real one.
    pub fn is_simulated(&self) -> bool {
        self.simulated().is_some()
    }

    fn simulated(&self) -> Option<BoardChoice> {
        <BoardChoice as clap::ValueEnum>::from_str(&self.board, false).ok()
    }

    /// Opens the board for a policy. Torque stays as it is.
    ///
    /// # Errors
    /// In one line: what is not there, does not fit, or is not known of the arm.
    pub fn open(&self, policy: &Manifest) -> Result<Hardware> {
        if let Some(board) = self.simulated() {
            return self.open_simulated(board, policy);
        }
        let Some(arm) = &self.arm else {
            return Err(bad_input(format!(
                "--board {}: which arm is on it? --arm NAME",
                self.board
            )));
        };
        let model = read_arm(&named_file(&self.boards.join("arms"), arm))?;
        let calibration = self.calibration.file(&model)?;
        if calibration.is_none() {
            return Err(bad_input(format!(
                "{} is not calibrated: `wink setup calibrate --arm {arm}`",
                model.name()
            )));
        }
        let arm_of_file = self.calibration.applied(model)?;
        let config = ControlConfig {
            frame_patience_us: FRAME_PATIENCE_US,
            frozen_after_us: Some(FROZEN_AFTER_US),
            ..config_of(&arm_of_file, policy)?
        };
        let rest = self.rest(arm, &arm_of_file)?;
        let mut board = read_board(&self.boards, &self.board)?;
        if let Some(port) = &self.port {
            board.use_device(port);
        }
        let wanted = cameras::wanted(policy, &board)?;
        let (link, clock, trouble): (Box<dyn Link>, _, Option<Trouble>) = match &board.wire {
            Some(wire) => {
                let link = SerialBoard::open(&wire.port, wire.baud)?;
                let clock = link.clock().clone();
                (Box::new(link), clock, None)
            }
            None => {
                let link = LinuxBoard::start(&arm_of_file, &board).map_err(as_bad_input)?;
                let clock = link.clock().clone();
                let trouble = link.trouble_watch();
                (Box::new(link), clock, Some(Box::new(trouble)))
            }
        };
        let (cameras, pinned) = cameras::open(&wanted, &clock)?;
        Ok(Hardware {
            board: board.name,
            arm: arm_of_file,
            config,
            rig: Rig {
                cameras,
                link,
                clock: Box::new(clock),
            },
            calibration,
            rest,
            pinned,
            table: None,
            trouble,
        })
    }

    /// The pose that `wink setup rest` has kept.
    fn rest(&self, arm: &str, description: &ArmDescription) -> Result<JointValues> {
        let place = Place::of(arm, None, &self.calibration, &self.boards);
        let found = place.found()?;
        joints(description)
            .iter()
            .map(|joint| {
                found.rest.get(joint.name).copied().ok_or_else(|| {
                    bad_input(format!(
                        "where {} of {} rests is not known, so that the arm cannot be parked: `wink setup rest --arm {arm}`",
                        joint.name,
                        description.name()
                    ))
                })
            })
            .collect()
    }
}

/// Where an arm stands and may work. Only policies of joints can do without a cell that says so.
fn config_of(arm: &ArmDescription, policy: &Manifest) -> Result<ControlConfig> {
    let mut cells = wink_sim::setup::ALL.into_iter();
    if let Some(cell) = cells.find(|cell| cell.name == arm.name()) {
        return Ok(cell.control_config());
    }
    let mut names = policy
        .observations
        .states
        .iter()
        .flat_map(|state| &state.names);
    if policy.action.space == ActionSpace::EeDelta
        || names.any(|name| PROPRIO_NAMES.contains(&&**name))
    {
        return Err(bad_input(format!(
            "the policy works in poses of the tool of {}, and no cell says where that arm stands and in which box it may work; policies of joints run on it",
            arm.name()
        )));
    }
    // Base and workspace mean nothing to a policy of joints.
    Ok(wink_sim::setup::SO101.control_config())
}

/// Reads a board's file, by name or path.
pub fn read_board(boards: &Path, name: &str) -> Result<BoardFile> {
    let path = named_file(&boards.join("linux"), name);
    let text = read_text(&path).map_err(as_bad_input)?;
    BoardFile::from_toml(&text).map_err(|error| bad_input(format!("{}: {error}", path.display())))
}

/// Cameras that are open, and the controls that were pinned of each.
type OpenCameras = (Vec<NamedCamera>, Vec<Vec<(String, i64)>>);
