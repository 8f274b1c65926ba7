//! `ways.toml`: which ways to compare, and which findings to test.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::files::{read_text, told};
use crate::bad_input::bad_input;
use crate::stats::Metric;

/// File in the reports' folder.
pub const FILE: &str = "ways.toml";

/// How the reports are to be compared.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The way that every other one is compared with.
    pub baseline: Option<String>,
    /// In the order in which they are listed. Ways that have reports but are not named here follow by name.
    #[serde(default, rename = "way")]
    pub ways: Vec<WayPlan>,
    /// What is claimed, and how to test it.
    #[serde(default, rename = "finding")]
    pub findings: Vec<FindingPlan>,
}

/// A way to make a policy.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WayPlan {
    /// Its folder among the reports.
    pub folder: String,
    /// Its name for people; `train.json` gives it otherwise, or else the folder.
    pub title: Option<String>,
    /// Whether it belongs to the main rows.
    #[serde(default)]
    pub main: bool,
}

/// A claim, which holds where all its tests do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingPlan {
    /// The claim in a sentence.
    pub says: String,
    /// What must be so.
    pub tests: Vec<TestPlan>,
}

/// A comparison of two ways on the same episodes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestPlan {
    /// Folders of the two.
    pub ways: [String; 2],
    /// The rate to compare.
    pub metric: Metric,
    /// The split or control to compare it on.
    #[serde(default = "val")]
    pub on: String,
    /// What the first way's rate should be.
    pub expect: Expect,
    /// For `expect = "same"`: how far apart the rates may be.
    #[serde(default = "five_points")]
    pub margin: f64,
}

fn val() -> String {
    "val".to_owned()
}

fn five_points() -> f64 {
    0.05
}

/// What the first way's rate should be, against the second's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// Above it.
    Higher,
    /// Below it.
    Lower,
    /// Within the margin of it.
    Same,
}

impl Plan {
    /// Reads `ways.toml` of the reports' folder; without one, there is no order, no baseline and no finding.
    pub fn read(reports: &Path) -> Result<Self> {
        let path = reports.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let plan: Self = toml::from_str(&read_text(&path)?).map_err(|error| told(&path, error))?;
        plan.check().map_err(|error| told(&path, error))?;
        Ok(plan)
    }

    fn check(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        for way in &self.ways {
            if !seen.insert(&way.folder) {
                return Err(bad_input(format!("way `{}` is named twice", way.folder)));
            }
        }
        let known = |folder: &String| match seen.contains(folder) {
            true => Ok(()),
            false => Err(bad_input(format!("`{folder}` is none of its ways"))),
        };
        self.baseline.iter().try_for_each(known)?;
        for finding in &self.findings {
            let wrong =
                |what: String| Err(bad_input(format!("finding \"{}\": {what}", finding.says)));
            if finding.tests.is_empty() {
                return wrong("has no tests".to_owned());
            }
            for test in &finding.tests {
                test.ways.iter().try_for_each(known)?;
                if test.ways[0] == test.ways[1] {
                    return wrong(format!("compares `{}` with itself", test.ways[0]));
                }
                if !(0.0..1.0).contains(&test.margin) {
                    return wrong(format!("margin {} is not in 0 .. 1", test.margin));
                }
                if !super::GROUPS.contains(&&test.on[..]) {
                    return wrong(format!(
                        "on = \"{}\": no such split or control; take one of {}",
                        test.on,
                        super::GROUPS.join(", ")
                    ));
                }
            }
        }
        Ok(())
    }
}
