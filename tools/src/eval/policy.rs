//! `--policy`: a package, the expert, or chance.

use std::path::{Path, PathBuf};

use anyhow::Result;
use wink_runtime::camera::{FRONT_CAMERA, Frame};
use wink_runtime::control::{PROPRIO_DIM, proprio_state};
use wink_runtime::policy::manifest::{ActionSpace, Manifest};
use wink_runtime::policy::{
    ActionChunk, CameraFrame, ChunkShape, Observation, OnnxPolicy, Package, Policy, PolicyError,
    PolicyTimes, Threads,
};
use wink_sim::Scene;
use wink_sim::expert::{Expert, RandomPolicy};

use crate::bad_input::{as_bad_input, bad_input};
use crate::rollout::Pilot;

/// The package that is evaluated unless another is named.
pub const SHIPPED: &str = "models/wink-s";

/// What was chosen, loaded once and shared by all threads.
pub enum Choice {
    /// The script that records demonstrations.
    Expert,
    /// Uniform actions.
    Random,
    /// A network.
    Network(Box<OnnxPolicy>),
}

impl Choice {
    /// Loads a package whatever its arm is, at the precision asked for or the package's default one.
    pub fn open_any(dir: &str, precision: Option<&str>) -> Result<OnnxPolicy> {
        let load = || -> Result<OnnxPolicy> {
            let package = Package::open(&find(dir))?;
            Ok(OnnxPolicy::load(&package, precision)?)
        };
        load().map_err(|error| as_bad_input(error.context(format!("--policy {dir}"))))
    }

    /// Loads what the command line names, at the precision it asks for or the package's default one.
    pub fn open(policy: &str, precision: Option<&str>) -> Result<Self> {
        let built_in = match policy {
            "expert" => Self::Expert,
            "random" => Self::Random,
            dir => {
                let network = Self::open_any(dir, precision)?;
                drivable(network.manifest()).map_err(|error| {
                    as_bad_input(anyhow::Error::new(error).context(format!("--policy {dir}")))
                })?;
                return Ok(Self::Network(Box::new(network)));
            }
        };
        match precision {
            None => Ok(built_in),
            Some(precision) => Err(bad_input(format!(
                "--precision {precision}: the {policy} policy has no graphs"
            ))),
        }
    }

    /// Shares a network's inferences among threads. Episodes that run side by side take turns with them.
    pub fn use_threads(&mut self, threads: Threads) -> Result<()> {
        match self {
            Self::Network(network) => network.use_threads(threads).map_err(as_bad_input),
            Self::Expert | Self::Random => Ok(()),
        }
    }

    /// For the report.
    pub fn name(&self) -> String {
        match self {
            Self::Expert => "expert".to_owned(),
            Self::Random => "random".to_owned(),
            Self::Network(network) => {
                format!("{} {}", network.manifest().name, network.manifest().version)
            }
        }
    }

    /// The precision loaded, where there is such a thing.
    pub fn precision(&self) -> Option<String> {
        self.network().map(|network| network.precision().to_owned())
    }

    /// The network, where there is one.
    pub fn network(&self) -> Option<&OnnxPolicy> {
        match self {
            Self::Network(network) => Some(network),
            Self::Expert | Self::Random => None,
        }
    }

    /// Finds out before the first episode whether the policy takes an instruction.
    pub fn check_instruction(&self, instruction: &str) -> Result<()> {
        match self {
            Self::Network(network) => network
                .tokens(instruction)
                .map(|_| ())
                .map_err(as_bad_input),
            Self::Expert | Self::Random => Ok(()),
        }
    }

    /// A pilot for one thread. Networks share their graphs.
    pub fn pilot(&self) -> AnyPilot {
        match self {
            Self::Expert => AnyPilot::Expert(None),
            Self::Random => AnyPilot::Random(RandomPolicy::new(0)),
            Self::Network(network) => AnyPilot::Network(network.clone()),
        }
    }
}

/// Whether the simulated arm measures and does what a policy was trained with.
fn drivable(manifest: &Manifest) -> Result<(), PolicyError> {
    let action = &manifest.action;
    if action.space != ActionSpace::EeDelta {
        return Err(PolicyError::Other(format!(
            "the simulated arm cannot execute {} actions ({}): check this policy by its golden values (wink inspect)",
            action.space.name(),
            action.names.join(", ")
        )));
    }
    let frame = Frame::default();
    let camera = CameraFrame {
        name: FRONT_CAMERA,
        frame: &frame,
    };
    let observation = Observation {
        cameras: match manifest.observations.cameras.is_empty() {
            true => &[],
            false => &[camera],
        },
        states: &[proprio_state(&[0.0; PROPRIO_DIM])],
    };
    observation.check(manifest)
}

/// The shipped package is also found from elsewhere, where the sources that this was built from still lie.
pub fn find(dir: &str) -> PathBuf {
    let near = PathBuf::from(dir);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(SHIPPED);
    if dir == SHIPPED && !near.exists() && sources.exists() {
        sources
    } else {
        near
    }
}

/// The policy that drives, on one thread.
pub enum AnyPilot {
    /// The expert, which is written anew for each scene.
    Expert(Option<Box<Expert>>),
    /// Chance.
    Random(RandomPolicy),
    /// A network.
    Network(Box<OnnxPolicy>),
}

impl AnyPilot {
    /// Prepares for a scene.
    pub fn face(&mut self, scene: &Scene) {
        match self {
            Self::Expert(expert) => *expert = Some(Box::new(Expert::new(scene))),
            Self::Random(random) => *random = RandomPolicy::new(scene.seed),
            Self::Network(network) => network.seed(scene.seed),
        }
    }

    fn policy(&self) -> Result<&dyn Policy, PolicyError> {
        match self {
            Self::Expert(expert) => expert
                .as_ref()
                .map(|expert| &**expert as &dyn Policy)
                .ok_or_else(faceless),
            Self::Random(random) => Ok(random),
            Self::Network(network) => Ok(&**network),
        }
    }

    fn policy_mut(&mut self) -> Result<&mut dyn Policy, PolicyError> {
        match self {
            Self::Expert(expert) => expert
                .as_mut()
                .map(|expert| &mut **expert as &mut dyn Policy)
                .ok_or_else(faceless),
            Self::Random(random) => Ok(random),
            Self::Network(network) => Ok(&mut **network),
        }
    }
}

fn faceless() -> PolicyError {
    PolicyError::Other("the expert faces no scene yet".to_owned())
}

impl Pilot for AnyPilot {
    fn show(&mut self, truth: &wink_sim::Truth) {
        if let Self::Expert(Some(expert)) = self {
            expert.show(truth);
        }
    }
}

impl Policy for AnyPilot {
    fn begin_episode(&mut self, instruction: &str) -> Result<(), PolicyError> {
        self.policy_mut()?.begin_episode(instruction)
    }

    fn act(
        &mut self,
        observation: &Observation<'_>,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        self.policy_mut()?.act(observation, out)
    }

    fn needs_frame(&self) -> bool {
        self.policy().is_ok_and(|policy| policy.needs_frame())
    }

    fn chunk_shape(&self) -> ChunkShape {
        self.policy().map_or(
            ChunkShape {
                steps: 0,
                execute: 0,
                dim: 0,
            },
            |policy| policy.chunk_shape(),
        )
    }

    fn control_hz(&self) -> Option<f64> {
        self.policy().ok().and_then(|policy| policy.control_hz())
    }

    fn keeps_history(&self) -> bool {
        self.policy().is_ok_and(|policy| policy.keeps_history())
    }

    fn see(&mut self, observation: &Observation<'_>) -> Result<(), PolicyError> {
        self.policy_mut()?.see(observation)
    }

    fn times(&self) -> PolicyTimes {
        self.policy()
            .map_or_else(|_| PolicyTimes::default(), |policy| policy.times())
    }
}
