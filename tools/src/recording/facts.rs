//! What holds for all of a recording: its metadata.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use wink_runtime::arm::ArmDescription;
use wink_runtime::control::{JointUnits, lerobot_joints};
use wink_runtime::policy::manifest::Unit;

/// Name of the metadata record that holds it, as JSON under the key [`KEY`].
pub const RECORD: &str = "wink";
/// Its only key.
pub const KEY: &str = "facts";
/// The version of the messages that is written, and read.
const FORMAT: u32 = 1;

/// What was recorded, with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The version of the messages.
    pub format: u32,
    /// The version of the tool.
    pub wink: String,
    /// What drove the arm: a board's name.
    pub board: String,
    /// The arm's name.
    pub arm: String,
    /// The hash of the arm's limits with its calibration, as the firmware has it.
    pub arm_hash: u32,
    /// The calibration's file; `None` of an arm that has none, as a simulated one.
    pub calibration: Option<String>,
    /// The joints on the wire, the gripper last.
    pub joints: Vec<String>,
    /// Names of the joints in states and commands as `LeRobot` counts them.
    pub lerobot_names: Vec<String>,
    /// Their units.
    pub lerobot_units: Vec<Unit>,
    /// Ticks a second.
    pub control_hz: f64,
    /// The cameras, in the order of the loop.
    pub cameras: Vec<CameraFacts>,
    /// The policy; `None` where a person or a recording drove the arm.
    pub policy: Option<PolicyFacts>,
    /// When the loop's clock was zero, microseconds since 1970 (UTC).
    pub clock_zero_us: u64,
}

/// A camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraFacts {
    /// Its name, as in `policy.json`.
    pub name: String,
    /// The controls that were pinned, as read back.
    pub pinned: BTreeMap<String, i64>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyFacts {
    /// Its folder, or the name of a script.
    pub name: String,
    /// SHA-256 of its `policy.json`; `None` of a script.
    pub sha256: Option<String>,
    /// Names of an action's values.
    pub actions: Vec<String>,
}

impl Facts {
    /// What an arm with its calibration says of itself.
    pub fn of(arm: &ArmDescription, board: &str, control_hz: f64) -> Self {
        let (lerobot_names, mut lerobot_units) = lerobot_joints(arm);
        // A gripper behind a crank has no percent.
        if JointUnits::new(arm, &lerobot_names, &lerobot_units).is_err()
            && let Some(unit) = lerobot_units.last_mut()
        {
            *unit = Unit::M;
        }
        Self {
            format: FORMAT,
            wink: env!("CARGO_PKG_VERSION").to_owned(),
            board: board.to_owned(),
            arm: arm.name().to_owned(),
            arm_hash: arm.hash(),
            calibration: None,
            joints: arm.wire_names().map(str::to_owned).collect(),
            lerobot_names,
            lerobot_units,
            control_hz,
            cameras: Vec::new(),
            policy: None,
            clock_zero_us: 0,
        }
    }

    /// Adds cameras, each with the controls that were pinned of it.
    #[must_use]
    pub fn with_cameras<'a>(
        mut self,
        cameras: impl IntoIterator<Item = (&'a str, &'a [(String, i64)])>,
    ) -> Self {
        let cameras = cameras.into_iter().map(|(name, pinned)| CameraFacts {
            name: name.to_owned(),
            pinned: pinned.iter().cloned().collect(),
        });
        self.cameras.extend(cameras);
        self
    }

    pub(super) fn to_metadata(&self) -> Result<mcap::records::Metadata> {
        Ok(mcap::records::Metadata {
            name: RECORD.to_owned(),
            metadata: [(KEY.to_owned(), serde_json::to_string(self)?)].into(),
        })
    }

    pub(super) fn from_metadata(metadata: &BTreeMap<String, String>) -> Result<Self> {
        let text = metadata.get(KEY).context("its metadata lack `facts`")?;
        let facts: Self = serde_json::from_str(text).context("its metadata are damaged")?;
        anyhow::ensure!(
            facts.format == FORMAT,
            "it has format {}, this version reads {FORMAT}",
            facts.format
        );
        Ok(facts)
    }
}
