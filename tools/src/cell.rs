//! `--arm`: whose table episodes are simulated on.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use wink_sim::Setup;
use wink_sim::setup::{SO101, WX250S};

/// The arms that the simulator has a table for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellArm {
    /// The benchmark's WidowX 250S: end-effector deltas, one camera, 20 Hz
    #[default]
    Wx250s,
    /// An SO-101: joint positions in degrees, a front and a wrist camera, 30 Hz
    So101,
}

impl CellArm {
    /// The cell of the arm.
    pub fn setup(self) -> &'static Setup {
        match self {
            Self::Wx250s => &WX250S,
            Self::So101 => &SO101,
        }
    }

    /// The arm of a cell.
    pub fn of(setup: &Setup) -> Self {
        let mut all = Self::value_variants().iter().copied();
        all.find(|arm| arm.setup().name == setup.name)
            .unwrap_or_default()
    }

    /// Whether it is the benchmark's.
    pub fn is_benchmarks(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_can_be_chosen_by_its_arms_name() {
        let names: Vec<&str> = CellArm::value_variants()
            .iter()
            .map(|arm| arm.setup().name)
            .collect();
        assert_eq!(names, wink_sim::setup::ALL.map(|setup| setup.name));
        for arm in CellArm::value_variants() {
            let value = arm.to_possible_value().unwrap();
            assert_eq!(value.get_name(), arm.setup().name);
        }
    }
}
