//! How each feature is normalised, and by which numbers.

use anyhow::Result;
use wink_runtime::policy::manifest::Normalisation;

use super::config::{Config, Family, Feature, Kind, Mode};
use super::options::{Args, Pixels, Placement};
use super::processors::{AFTER, BEFORE, Normaliser, Processors};
use super::statistics::{MODEL, Side, Statistics};
use crate::bad_input::bad_input;

/// What LeRobot added before there were processors.
const OLD_EPSILON: f32 = 1e-8;

/// Everything that says how features are normalised.
pub struct Normalising<'a> {
    /// `config.json`.
    pub config: &'a Config,
    /// The processors, in newer checkpoints.
    pub processors: Option<&'a Processors>,
    /// The statistics inside the model, in older ones.
    pub model: Option<&'a Statistics>,
    /// The answers of the user.
    pub args: &'a Args,
}

impl Normalising<'_> {
    /// What is done to a feature outside of the graphs.
    ///
    /// # Errors
    /// Where `config.json` and processors differ, a statistic is missing, or it is not known what the graphs do themselves.
    pub fn of(&self, name: &str, feature: &Feature) -> Result<Normalisation> {
        let side = match feature.kind {
            Kind::Action => Side::Output,
            _ => Side::Input,
        };
        let step = self.step(side, name, feature)?;
        let mode = self.mode(name, feature, step)?;
        let flow = matches!(self.config.family, Family::Flow(_));
        if flow && feature.kind == Kind::Visual {
            return self.pixels(name, mode);
        }
        if mode == Mode::Identity {
            return Ok(Normalisation::Identity {});
        }
        match self.args.normalisation {
            Some(Placement::Inside) => Ok(Normalisation::Identity {}),
            Some(Placement::Outside) => self.statistics(name, feature, side, mode, step),
            None => Err(bad_input(
                "it is not known whether the graphs normalise observations and actions themselves; say --normalisation inside, or --normalisation outside",
            )),
        }
    }

    /// The processors' step for a feature.
    fn step(&self, side: Side, name: &str, feature: &Feature) -> Result<Option<&Normaliser>> {
        let Some(processors) = self.processors else {
            return Ok(None);
        };
        let (step, file) = match side {
            Side::Input => (&processors.input, BEFORE),
            Side::Output => (&processors.output, AFTER),
        };
        let Some(step) = step else {
            return Err(bad_input(format!(
                "{}: has no step that normalises",
                self.args.config.join(file).display()
            )));
        };
        let wrong = |message: String| bad_input(format!("{}: {message}", step.path.display()));
        match step.features.get(name) {
            Some(known) if known == feature => Ok(Some(step)),
            Some(known) => Err(wrong(format!(
                "feature {name} is {known:?}, in config.json {feature:?}"
            ))),
            None => {
                let known: Vec<&str> = step.features.keys().map(String::as_str).collect();
                Err(wrong(format!(
                    "the step that normalises does not know feature {name} of config.json, it knows {}; LeRobot would skip it",
                    known.join(", ")
                )))
            }
        }
    }

    fn mode(&self, name: &str, feature: &Feature, step: Option<&Normaliser>) -> Result<Mode> {
        let kind = feature.kind;
        let in_config = self.config.modes.get(&kind).copied();
        let Some(step) = step else {
            return self.known(kind, in_config);
        };
        let in_step = step.modes.get(&kind).copied();
        if in_config != in_step {
            let told =
                |mode: Option<Mode>| mode.map_or("none".to_owned(), |mode| format!("{mode:?}"));
            return Err(bad_input(format!(
                "{}: normalises {} by {}, config.json by {}",
                step.path.display(),
                kind.name(),
                told(in_step),
                told(in_config)
            )));
        }
        let skipped =
            kind != Kind::Action && step.only.as_ref().is_some_and(|only| !only.contains(name));
        match skipped {
            true => Ok(Mode::Identity),
            false => self.known(kind, in_step),
        }
    }

    fn known(&self, kind: Kind, mode: Option<Mode>) -> Result<Mode> {
        match (kind, mode) {
            (_, Some(mode)) => Ok(mode),
            // LeRobot's policies name no mode for the state of an environment, which is not normalised.
            (Kind::Env, None) => Ok(Mode::Identity),
            (kind, None) => Err(self.config.wrong(format!(
                "`normalization_mapping` does not hold {}",
                kind.name()
            ))),
        }
    }

    /// Images of the policies that bring them to -1 .. 1 after the resize.
    fn pixels(&self, name: &str, mode: Mode) -> Result<Normalisation> {
        if mode != Mode::Identity {
            return Err(self.config.wrong(format!(
                "image {name} is normalised by {mode:?} before it is resized with padding; a package normalises after it"
            )));
        }
        match self.args.pixels {
            Some(Pixels::Unit) => Ok(Normalisation::Identity {}),
            Some(Pixels::Signed) => Ok(Normalisation::Affine {
                scale: vec![2.0; 3],
                offset: vec![-1.0; 3],
            }),
            None => Err(bad_input(format!(
                "it is not known which range of pixels the graphs take for {name}; say --pixels unit for 0 to 1, where a graph computes 2 x - 1 itself, or --pixels signed for -1 to 1"
            ))),
        }
    }

    fn statistics(
        &self,
        name: &str,
        feature: &Feature,
        side: Side,
        mode: Mode,
        step: Option<&Normaliser>,
    ) -> Result<Normalisation> {
        let (statistics, epsilon) = match (step, self.model) {
            (Some(step), _) => (&step.statistics, step.epsilon),
            (None, Some(model)) => (model, OLD_EPSILON),
            (None, None) => {
                return Err(bad_input(format!(
                    "{}: neither {BEFORE} with its statistics nor a {MODEL} that holds them, which --normalisation outside needs",
                    self.args.config.display()
                )));
            }
        };
        let tag = self.args.statistics.as_deref();
        let count = feature.shape[0];
        let get = |statistic: &str| statistics.get(name, statistic, side, tag, count);
        Ok(match mode {
            Mode::Identity => Normalisation::Identity {},
            Mode::MeanStd => Normalisation::MeanStd {
                mean: get("mean")?,
                std: get("std")?,
                epsilon,
            },
            Mode::MinMax => Normalisation::MinMax {
                min: get("min")?,
                max: get("max")?,
                epsilon,
            },
            Mode::Quantiles => Normalisation::Quantiles {
                low: get("q01")?,
                high: get("q99")?,
                epsilon,
            },
            Mode::Quantile10 => Normalisation::Quantiles {
                low: get("q10")?,
                high: get("q90")?,
                epsilon,
            },
        })
    }
}
