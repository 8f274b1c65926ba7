//! `precisions.toml`: which variants to compare, in what order, and what was aimed at.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use crate::bad_input::bad_input;
use crate::results::SPLITS;
use crate::results::files::{read_text, told};

/// File in the variants' folder.
pub const FILE: &str = "precisions.toml";

/// How the variants are to be compared.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The variant that every other one is compared with.
    pub baseline: Option<String>,
    /// The command that evaluated each, for people.
    pub evaluated: Option<String>,
    /// In the order in which they are listed. Variants that have reports but are not named here follow by name.
    #[serde(default, rename = "variant")]
    pub variants: Vec<VariantPlan>,
    /// A naive scheme and what minding the actions makes of it.
    #[serde(default, rename = "pair")]
    pub pairs: Vec<PairPlan>,
    /// How far below the baseline variants may be.
    #[serde(default, rename = "goal")]
    pub goals: Vec<GoalPlan>,
}

/// A precision, made in some way.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariantPlan {
    /// Its folder.
    pub folder: String,
    /// Its name for people; the folder otherwise.
    pub title: Option<String>,
    /// The command that made its package.
    pub made: Option<String>,
}

/// Two variants of one precision.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairPlan {
    /// Every layer in the scheme, every weight to the nearest.
    pub naive: String,
    /// Chosen by what it does to the actions.
    pub aware: String,
}

/// Variants that may lose a little.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoalPlan {
    /// The goal in a sentence.
    pub says: String,
    /// Folders.
    pub variants: Vec<String>,
    /// The split that execution and recognition are compared on.
    #[serde(default = "val")]
    pub on: String,
    /// How far below the baseline each may be: 0.01 is a point.
    pub within: f64,
}

fn val() -> String {
    "val".to_owned()
}

impl Plan {
    /// Reads `precisions.toml`; without one there is no order, no baseline, no pair and no goal.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let plan: Self = toml::from_str(&read_text(&path)?).map_err(|error| told(&path, error))?;
        plan.check().map_err(|error| told(&path, error))?;
        Ok(plan)
    }

    fn check(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        for variant in &self.variants {
            if !seen.insert(&variant.folder) {
                let twice = format!("variant `{}` is named twice", variant.folder);
                return Err(bad_input(twice));
            }
        }
        let known = |folder: &String| match seen.contains(folder) {
            true => Ok(()),
            false => Err(bad_input(format!("`{folder}` is none of its variants"))),
        };
        self.baseline.iter().try_for_each(known)?;
        for pair in &self.pairs {
            [&pair.naive, &pair.aware].into_iter().try_for_each(known)?;
            if pair.naive == pair.aware {
                return Err(bad_input(format!("pairs `{}` with itself", pair.naive)));
            }
        }
        for goal in &self.goals {
            goal.variants.iter().try_for_each(known)?;
            let wrong = |what: String| Err(bad_input(format!("goal \"{}\": {what}", goal.says)));
            if self.baseline.is_none() {
                return wrong("there is no baseline to compare with".to_owned());
            }
            if !(0.0..1.0).contains(&goal.within) {
                return wrong(format!("within {} is not in 0 .. 1", goal.within));
            }
            if !SPLITS.contains(&&goal.on[..]) {
                return wrong(format!(
                    "on = \"{}\": no such split; take one of {}",
                    goal.on,
                    SPLITS.join(", ")
                ));
            }
        }
        Ok(())
    }
}
