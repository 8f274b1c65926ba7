//! A policy package as what is quantised: its stages, fed by running the float policy.

use std::time::Instant;

use anyhow::{Context, Result};
use prost::Message;
use wink_engine::Tensor;
use wink_quantize::sensitivity::Stage;
use wink_quantize::{Graph, Sample};
use wink_runtime::policy::{ActionChunk, OnnxPolicy, Package, StageRun};

use super::error;
use super::moments::Moment;
use super::subject::Subject;
use crate::bad_input::as_bad_input;
use crate::progress;

/// Timed inferences, after one that is not.
const RUNS: usize = 21;

/// A float policy with the moments that it is calibrated and judged on.
pub struct PolicySubject<'a> {
    /// The package.
    pub package: &'a Package,
    /// Its float policy.
    pub float: &'a OnnxPolicy,
    /// Moments to calibrate on.
    pub calibration: &'a [Moment],
    /// Other moments to measure errors on.
    pub held_out: &'a [Moment],
    /// What the float policy does there.
    pub wanted: Vec<ActionChunk>,
}

impl PolicySubject<'_> {
    /// The policy with the graphs of some stages replaced.
    fn changed(&self, stages: &[Stage]) -> Result<OnnxPolicy> {
        let mut policy = self.float.clone();
        for stage in stages {
            let bytes = stage.model.encode_to_vec();
            policy = policy
                .with_graph(&stage.name, bytes)
                .with_context(|| format!("stage {}, quantised", stage.name))?;
        }
        Ok(policy)
    }
}

impl Subject for PolicySubject<'_> {
    fn graphs(&self) -> Result<Vec<(String, Graph)>> {
        let manifest = self.package.manifest();
        manifest
            .stage_files(self.float.precision())
            .map(|(stage, file)| {
                let graph = Graph::open(&self.package.path(file)).map_err(as_bad_input)?;
                Ok((stage.name.clone(), graph))
            })
            .collect()
    }

    fn feed(&mut self, each: &mut dyn FnMut(&str, Sample) -> Result<()>) -> Result<()> {
        let mut policy = self.float.clone();
        let mut chunk = ActionChunk::default();
        let bar = progress::bar(self.calibration.len() as u64, "calibrating");
        for moment in self.calibration {
            let mut fed = Ok(());
            let mut watch = |run: &StageRun<'_>| {
                if fed.is_ok() {
                    fed = sample(run).and_then(|sample| each(run.stage(), sample));
                }
            };
            moment.watched(&mut policy, &mut chunk, &mut watch)?;
            fed?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn error(&mut self, changed: &[Stage]) -> Result<f32> {
        let policy = self.changed(changed)?;
        let (error, _) = error::measure(&policy, &self.wanted, self.held_out)?;
        Ok(error.action_rms)
    }

    fn latency_ms(&mut self, changed: &[Stage]) -> Result<f64> {
        let mut policy = self.changed(changed)?;
        let moment = self.held_out.first().context("there are no moments")?;
        let mut chunk = ActionChunk::default();
        moment.begin(&mut policy)?;
        moment.act(&mut policy, &mut chunk)?;
        let mut times = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            let start = Instant::now();
            moment.act(&mut policy, &mut chunk)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[RUNS / 2])
    }
}

fn sample(run: &StageRun<'_>) -> Result<Sample> {
    run.inputs()
        .map(|(name, view)| Ok((name.to_owned(), Tensor::copy_of(view)?)))
        .collect()
}
