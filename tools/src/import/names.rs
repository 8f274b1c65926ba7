//! What the robot calls a policy's features and the numbers in them.

use std::collections::BTreeMap;

use anyhow::Result;

use super::config::{Config, Feature, Kind};
use super::dataset::Dataset;
use super::options::{Args, pairs};
use super::processors::Processors;
use crate::bad_input::bad_input;

/// Everything that says what features and their numbers are called.
pub struct Names<'a> {
    config: &'a Config,
    dataset: Option<&'a Dataset>,
    /// Answers of `--names`.
    given: Vec<(String, Vec<String>)>,
    /// By the policy's name of a feature, the robot's, where they differ.
    robot: BTreeMap<String, String>,
}

impl<'a> Names<'a> {
    /// Gathers the names, and compares the data set with the policy.
    ///
    /// # Errors
    /// Where two features of the robot are one of the policy, an answer is about no feature, or the data set lacks a
    /// feature of the policy or has a camera that the policy does not take.
    pub fn new(
        args: &Args,
        config: &'a Config,
        processors: Option<&Processors>,
        dataset: Option<&'a Dataset>,
    ) -> Result<Self> {
        let given = pairs("--names", &args.names, false)?.into_iter();
        let list = |names: String| names.split(',').map(str::to_owned).collect();
        let given: Vec<(String, Vec<String>)> = given
            .map(|(feature, names)| (feature, list(names)))
            .collect();
        let mut names = Self {
            config,
            dataset,
            given,
            robot: BTreeMap::new(),
        };
        for (robot, policy) in processors.iter().flat_map(|p| &p.rename) {
            // LeRobot's own map may name features of other robots.
            if config.inputs.get(policy).is_some() {
                names.rename(robot, policy)?;
            }
        }
        for (robot, policy) in pairs("--rename", &args.rename, false)? {
            names.check_known("--rename", &policy)?;
            names.rename(&robot, &policy)?;
        }
        for (feature, _) in &names.given {
            names.check_known("--names", feature)?;
        }
        names.check_dataset(&args.leave_out)?;
        Ok(names)
    }

    /// By the policy's name of a feature, the robot's, where they differ.
    pub fn robot(&self) -> &BTreeMap<String, String> {
        &self.robot
    }

    /// What the robot calls a feature.
    pub fn robots<'b>(&'b self, feature: &'b str) -> &'b str {
        self.robot.get(feature).map_or(feature, String::as_str)
    }

    /// Names of the numbers of a state or action, in the order of training.
    ///
    /// # Errors
    /// Where nothing says them, or two sources say them differently.
    pub fn of(&self, feature: &str, shape: &Feature) -> Result<Vec<String>> {
        let count = shape.shape[0];
        let mut sources: Vec<(String, Vec<String>)> = Vec::new();
        let given = self.given.iter().find(|(given, _)| given == feature);
        if let Some((_, names)) = given {
            sources.push(("--names".to_owned(), names.clone()));
        }
        let robots = self.robots(feature);
        if let Some(dataset) = self.dataset
            && (given.is_none() || dataset.has_names(robots))
        {
            let names = dataset.names(robots, count)?;
            sources.push(("the data set".to_owned(), names));
        }
        if let (Kind::Action, Some(names)) = (shape.kind, &self.config.action_names) {
            let source = "`action_feature_names` of config.json".to_owned();
            sources.push((source, names.clone()));
        }
        for (source, names) in &sources {
            if names.len() != count {
                return Err(bad_input(format!(
                    "{source} has {} names for the {count} numbers of {feature}",
                    names.len()
                )));
            }
        }
        if let Some(((first, here), others)) = sources.split_first() {
            for (second, there) in others {
                let Some(place) = (0..count).find(|place| here[*place] != there[*place]) else {
                    continue;
                };
                return Err(bad_input(format!(
                    "number {} of {feature} is `{}` in {first}, `{}` in {second}: the graph does not say which order it was trained with",
                    place + 1,
                    here[place].escape_debug(),
                    there[place].escape_debug()
                )));
            }
        }
        match sources.into_iter().next() {
            Some((_, names)) => Ok(names),
            None => Err(bad_input(format!(
                "the names of the {count} numbers of {feature} are not known; give the data set of the training with --dataset DIR, or --names {feature}=NAME,NAME,..."
            ))),
        }
    }

    fn rename(&mut self, robot: &str, policy: &str) -> Result<()> {
        match self.robot.insert(policy.to_owned(), robot.to_owned()) {
            Some(known) if known != robot => Err(bad_input(format!(
                "the policy's feature {policy} is {known} and {robot} on the robot; it can be only one of them"
            ))),
            _ => Ok(()),
        }
    }

    fn check_known(&self, option: &str, feature: &str) -> Result<()> {
        if self.config.inputs.get(feature).is_some() || self.config.action.0 == feature {
            return Ok(());
        }
        let inputs = self.config.inputs.0.iter().map(|(name, _)| name.as_str());
        let known: Vec<&str> = inputs.chain([self.config.action.0.as_str()]).collect();
        Err(bad_input(format!(
            "{option}: the policy has no feature {feature}, it has {}",
            known.join(", ")
        )))
    }

    /// The data set observes what the policy does, and nothing else.
    fn check_dataset(&self, left_out: &[String]) -> Result<()> {
        let Some(dataset) = self.dataset else {
            return Ok(());
        };
        let features = self.config.inputs.0.iter();
        let features: Vec<&str> = features.map(|(name, _)| name.as_str()).collect();
        for (name, image) in dataset.observations() {
            let taken = features.iter().any(|feature| self.robots(feature) == name);
            if taken || left_out.iter().any(|left| left == name) {
                continue;
            }
            let free = features.iter().copied();
            let free: Vec<&str> = free
                .filter(|feature| !dataset.has(self.robots(feature)))
                .collect();
            let meant = match free.is_empty() {
                true => String::new(),
                false => format!(
                    "say --rename {name}=FEATURE where it is one of {}, or ",
                    free.join(", ")
                ),
            };
            let what = match image {
                true => "camera",
                false => "observation",
            };
            return Err(bad_input(format!(
                "the data set has the {what} {name}, which the policy does not take; {meant}say --leave-out {name} where it was not used in training"
            )));
        }
        Ok(())
    }
}
