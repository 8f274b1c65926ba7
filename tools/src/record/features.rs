//! What a recorded dataset holds of an arm: names and units of its states and actions, and its cameras.

use anyhow::Result;
use wink_runtime::control::{
    ACTION_NAMES, ActionSpace, JointUnits, PROPRIO_NAMES, lerobot_joints, proprio_state,
};
use wink_runtime::policy::manifest::Unit;
use wink_runtime::session::TickReport;
use wink_sim::Setup;

/// The features of a dataset.
#[derive(Debug, Clone)]
pub struct Features {
    /// Names of a state's values.
    pub state: Vec<String>,
    /// Names of an action's values.
    pub action: Vec<String>,
    /// Units of a state's values.
    pub state_units: Vec<Unit>,
    /// Names of the cameras, in the order of the cell's.
    pub cameras: Vec<&'static str>,
    /// Units of the joints, where states and actions are joints.
    joints: Option<JointUnits>,
}

impl Features {
    /// Those of a cell: of the benchmark's the tool's pose and its changes, of others the joints as `LeRobot` counts them.
    pub fn of(setup: &Setup) -> Result<Self> {
        let cameras = setup.cameras.iter().map(|camera| camera.name).collect();
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        if *setup == wink_sim::setup::WX250S {
            return Ok(Self {
                state: of(&PROPRIO_NAMES),
                state_units: proprio_state(&[]).units.to_vec(),
                action: of(&ACTION_NAMES),
                cameras,
                joints: None,
            });
        }
        let arm = setup.arm();
        let (names, units) = lerobot_joints(&arm);
        Ok(Self {
            joints: Some(JointUnits::new(&arm, &names, &units)?),
            state_units: units,
            state: names.clone(),
            action: names,
            cameras,
        })
    }

    /// What was measured at a tick.
    pub fn state_of(&self, report: &TickReport) -> Vec<f32> {
        match &self.joints {
            None => report.proprio.to_vec(),
            Some(units) => units.values(&report.measured).collect(),
        }
    }

    /// What a demonstrator wants that gives end-effector deltas, from where `before` has the targets: the delta itself, or the
    /// joint targets that it leads to.
    pub fn action_of(&self, before: Box<dyn ActionSpace>, wanted: &[f32]) -> Result<Vec<f32>> {
        let Some(units) = &self.joints else {
            return Ok(wanted.to_vec());
        };
        let mut space = before;
        let step = space.act(wanted)?;
        Ok(units.values(&step.joint_targets).collect())
    }
}
