//! Boards that are simulated or emulated, kept in step with the time of this machine.

use anyhow::Result;
use wink_runtime::policy::manifest::Manifest;
use wink_runtime::rig::Rig;
use wink_sim::scene::Split;
use wink_sim::{Scene, SimOptions};

use super::{BoardArgs, Hardware};
use crate::bad_input::{as_bad_input, bad_input};
use crate::cell::CellArm;
use crate::eval::board::BoardChoice;
use crate::eval::policy::drivable;
use crate::real_time::RealTime;
use crate::rollout::cameras;

impl BoardArgs {
    pub(super) fn open_simulated(&self, board: BoardChoice, policy: &Manifest) -> Result<Hardware> {
        if self.port.is_some() || self.calibration.is_made() {
            return Err(bad_input(format!(
                "--board {}: a simulated arm has no port and no calibration, leave --port, --calibration and --id out",
                self.board
            )));
        }
        let arm = self
            .arm
            .as_deref()
            .map(|name| {
                <CellArm as clap::ValueEnum>::from_str(name, false).map_err(|_| {
                    bad_input(format!(
                        "--arm {name}: the simulator has tables for wx250s and so101"
                    ))
                })
            })
            .transpose()?;
        let setup = drivable(policy, arm).map_err(as_bad_input)?;
        let scene = Scene::on(setup, Split::Val, self.seed);
        let world = board.lay(&scene, SimOptions::default())?;
        let real = RealTime::new(world.clone());
        let description = setup.arm();
        Ok(Hardware {
            board: self.board.clone(),
            config: setup.control_config(),
            rig: Rig {
                cameras: cameras(&world),
                link: Box::new(real.clone()),
                clock: Box::new(real),
            },
            calibration: None,
            rest: description.wire_home(),
            pinned: setup.cameras.iter().map(|_| vec![]).collect(),
            table: Some((world, scene)),
            trouble: None,
            arm: description,
        })
    }
}
