//! What is profiled: a package at a precision on an engine.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use wink_runtime::policy::manifest::Run;
use wink_runtime::policy::{
    Execution, OnnxPolicy, OpInfo, OpTime, Package, Policy, StageReport, Threads,
};
use wink_sim::Setup;

use super::report::Memory;
use super::samples::Samples;
use super::watched::Watched;
use crate::bad_input::as_bad_input;
use crate::eval::policy::{drivable, find};
use crate::memory;
use crate::rollout::Pilot;

/// What the command line names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The flag that names it, for messages.
    pub flag: &'static str,
    /// Folder of the package.
    pub dir: String,
    /// Precision; the package's default one unless given.
    pub precision: Option<String>,
    /// What runs the graphs.
    pub execution: Execution,
}

/// A loaded policy with all that was measured of it.
pub struct Subject {
    /// Name and version.
    pub name: String,
    pub precision: String,
    pub execution: Execution,
    pub graphs: Vec<Loaded>,
    policy: Arc<Mutex<Watched>>,
    /// The cell whose arm it drives.
    pub setup: &'static Setup,
    /// Checking sizes and hashes of all files.
    pub check: Duration,
    /// Everything after it until the policy was ready.
    pub load: Duration,
    pub memory: Memory,
    pub samples: Samples,
}

/// A graph with its ops in the order in which they run.
pub struct Loaded {
    pub report: StageReport,
    pub ops: Vec<OpInfo>,
}

impl Loaded {
    /// Whether it runs once an episode.
    pub fn is_text(&self) -> bool {
        self.report.run == Run::Episode
    }
}

impl Subject {
    /// The network, which a session's thread uses in between.
    pub fn policy(&self) -> MutexGuard<'_, Watched> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What drives an episode with it.
    pub fn pilot(&self) -> Pilot {
        Pilot::unshown(Arc::clone(&self.policy))
    }

    /// Ticks a second.
    pub fn policy_hz(&self) -> f64 {
        let hz = self.policy().control_hz();
        hz.unwrap_or(self.setup.control_hz)
    }

    /// Whether an instruction goes through a graph of its own.
    pub fn takes_text(&self) -> bool {
        self.graphs.iter().any(Loaded::is_text)
    }

    /// Takes in the last run of every stage that runs once an episode, or of every other one.
    pub fn take_ops(&mut self, text: bool, whole: Duration) {
        let policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        for graph in self.graphs.iter().filter(|graph| graph.is_text() == text) {
            let stage = &graph.report.stage;
            let samples = self.samples.ops.entry(stage.clone()).or_default();
            samples.run(whole, policy.op_times(stage));
        }
    }

    /// The times of the last run of these stages, one behind the other.
    pub fn op_times(&self, text: bool) -> Vec<OpTime> {
        let graphs = self.graphs.iter().filter(|graph| graph.is_text() == text);
        let policy = self.policy();
        graphs
            .flat_map(|graph| policy.op_times(&graph.report.stage))
            .copied()
            .collect()
    }

    pub fn load(source: &Source, threads: Threads) -> Result<Self> {
        let dir: PathBuf = find(&source.dir);
        let told =
            |error: Error| as_bad_input(error.context(format!("{} {}", source.flag, source.dir)));
        let resident = memory::resident();
        let clock = Instant::now();
        let package = Package::open(&dir).map_err(|error| told(error.into()))?;
        let check = clock.elapsed();
        let clock = Instant::now();
        let mut network =
            OnnxPolicy::load_with(&package, source.precision.as_deref(), source.execution)
                .map_err(|error| told(error.into()))?;
        network.use_threads(threads).map_err(as_bad_input)?;
        let load = clock.elapsed();
        let memory = Memory {
            policy_bytes: memory::resident()
                .zip(resident)
                .map(|(after, before)| after.saturating_sub(before)),
            peak_load_bytes: memory::peak(),
            peak_bytes: None,
        };
        let stages = network.stages().into_iter();
        let graphs: Vec<Loaded> = stages
            .map(|report| {
                let ops = network.ops(&report.stage);
                Loaded { report, ops }
            })
            .collect();
        let manifest = network.manifest();
        let setup = drivable(manifest, None).map_err(told)?;
        Ok(Self {
            name: format!("{} {}", manifest.name, manifest.version),
            precision: network.precision().to_owned(),
            execution: source.execution,
            samples: Samples::default(),
            graphs,
            policy: Arc::new(Mutex::new(Watched::new(network))),
            setup,
            check,
            load,
            memory,
        })
    }
}
