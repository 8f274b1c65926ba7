//! `shard.json`: the run that a shard is a part of.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wink_sim::CardSpeed;
use wink_sim::moving::CardSpeedError;
use wink_sim::scene::Split;

use super::super::board::BoardChoice;
use super::super::instruction::Control;
use super::super::plan::Group;
use super::super::policy::Choice;
use super::super::run::Order;
use super::Shard;
use crate::cell::CellArm;

/// What `shard.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Which part of the run is in the folder.
    pub shard: Shard,
    /// Threads that ran episodes side by side.
    pub jobs: usize,
    /// What is the same in every shard.
    pub run: Run,
}

/// Everything that decides what the episodes of a run come to. Shards whose runs differ are not merged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Version of the program.
    pub wink: String,
    /// The policy's name and version.
    pub policy: String,
    /// SHA-256 of the package's policy.json, which holds those of all its files; `null` for `expert` and `random`.
    pub policy_sha256: Option<String>,
    /// Precision of the graphs.
    pub precision: Option<String>,
    /// Whose cell the episodes are in.
    pub arm: CellArm,
    /// What the episodes run on.
    pub board: BoardChoice,
    /// How fast the cards slid, m/s.
    pub card_speed_m_s: f64,
    /// What happens while inference runs, and how long it does.
    pub timing: super::super::timing::Plan,
    /// Base seed.
    pub seed: u64,
    /// Episodes in each group.
    pub episodes: usize,
    /// Episodes of each group that keep their pictures; `null` without report.html.
    pub pictures: Option<usize>,
    /// Splits and controls, in order.
    pub groups: Vec<StoredGroup>,
}

/// A split with a control, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredGroup {
    split: String,
    control: String,
}

impl Run {
    /// The run that `order` asks for with this policy.
    pub fn of(order: &Order<'_>, choice: &Choice, policy_sha256: Option<String>) -> Self {
        let groups = order.groups.iter().map(|group| StoredGroup {
            split: group.split.name().to_owned(),
            control: group.control.name().to_owned(),
        });
        Self {
            wink: env!("CARGO_PKG_VERSION").to_owned(),
            policy: choice.name(),
            policy_sha256,
            precision: choice.precision(),
            arm: CellArm::of(order.setup),
            board: order.board,
            card_speed_m_s: order.card_speed.m_s(),
            timing: order.timing.clone(),
            seed: order.seed,
            episodes: order.episodes,
            pictures: order.pictures,
            groups: groups.collect(),
        }
    }

    /// How fast the cards slid; an error where this program's do not go so fast.
    pub fn card_speed(&self) -> Result<CardSpeed, CardSpeedError> {
        self.card_speed_m_s.try_into()
    }

    /// Splits and controls; an error where this program does not know one of them.
    pub fn groups(&self) -> Result<Vec<Group>, String> {
        let group = |stored: &StoredGroup| {
            let split: Split = stored
                .split
                .parse()
                .map_err(|error: wink_sim::scene::UnknownSplit| error.to_string())?;
            let control = Control::by_name(&stored.control).ok_or_else(|| {
                format!("there is no control \"{}\"", stored.control.escape_debug())
            })?;
            Ok(Group { split, control })
        };
        self.groups.iter().map(group).collect()
    }

    /// The first field in which two runs differ, with its value in both.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let fields = |run: &Self| match serde_json::to_value(run) {
            Ok(Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let (own, others) = (fields(self), fields(other));
        let differs = own
            .iter()
            .find(|(name, value)| others.get(*name) != Some(value));
        differs.map(|(name, value)| {
            let theirs = others.get(name).unwrap_or(&Value::Null);
            format!("{name} is {value} in the one and {theirs} in the other")
        })
    }
}
