//! `--policy`: a package, the expert, or chance.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use wink_runtime::camera::Frame;
use wink_runtime::control::{ACTION_DIM, StateReader, action_space};
use wink_runtime::policy::manifest::Manifest;
use wink_runtime::policy::{
    CameraFrame, ChunkShape, Conditioning, Observation, OnnxPolicy, Package, Policy, PolicyError,
    Threads,
};
use wink_sim::expert::{Expert, RandomPolicy};
use wink_sim::{Scene, Setup};

use crate::bad_input::{as_bad_input, bad_input};
use crate::cell::CellArm;
use crate::rollout::Pilot;

/// The package that is evaluated unless another is named.
pub const SHIPPED: &str = "models/wink-s";

/// What was chosen, loaded once and shared by all threads.
pub enum Choice {
    /// The script that records demonstrations.
    Expert(&'static Setup),
    /// Uniform actions.
    Random(&'static Setup),
    /// A network, and the cell whose arm it drives.
    Network(Box<OnnxPolicy>, &'static Setup),
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
    pub fn open(policy: &str, arm: Option<CellArm>, precision: Option<&str>) -> Result<Self> {
        let setup = arm.unwrap_or_default().setup();
        let built_in = match policy {
            "expert" => Self::Expert(setup),
            "random" => Self::Random(setup),
            dir => {
                let network = Self::open_any(dir, precision)?;
                let setup = drivable(network.manifest(), arm)
                    .map_err(|error| as_bad_input(error.context(format!("--policy {dir}"))))?;
                return Ok(Self::Network(Box::new(network), setup));
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
            Self::Network(network, _) => network.use_threads(threads).map_err(as_bad_input),
            Self::Expert(_) | Self::Random(_) => Ok(()),
        }
    }

    /// The cell that it drives.
    pub fn setup(&self) -> &'static Setup {
        match self {
            Self::Expert(setup) | Self::Random(setup) | Self::Network(_, setup) => setup,
        }
    }

    /// For the report.
    pub fn name(&self) -> String {
        match self {
            Self::Expert(_) => "expert".to_owned(),
            Self::Random(_) => "random".to_owned(),
            Self::Network(network, _) => {
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
            Self::Network(network, _) => Some(network),
            Self::Expert(_) | Self::Random(_) => None,
        }
    }

    /// SHA-256 of the package's policy.json, which holds the hashes of all its files; `None` where there is no package.
    pub fn policy_sha256(&self, dir: &str) -> Result<Option<String>> {
        match self {
            Self::Expert(_) | Self::Random(_) => Ok(None),
            Self::Network(..) => package_sha256(dir).map(Some),
        }
    }

    /// Finds out before the first episode whether the policy takes an instruction.
    pub fn check_instruction(&self, instruction: &str) -> Result<()> {
        match self {
            Self::Network(network, _) => network
                .tokens(instruction)
                .map(|_| ())
                .map_err(as_bad_input),
            Self::Expert(_) | Self::Random(_) => Ok(()),
        }
    }

    /// The size of its chunks.
    pub fn chunk_shape(&self) -> ChunkShape {
        match self {
            // The scripts give an action at a time.
            Self::Expert(_) | Self::Random(_) => ChunkShape {
                steps: 1,
                execute: 1,
                dim: ACTION_DIM,
            },
            Self::Network(network, _) => network.chunk_shape(),
        }
    }

    /// Ticks a second.
    pub fn control_hz(&self) -> f64 {
        match self {
            Self::Expert(setup) | Self::Random(setup) => setup.control_hz,
            Self::Network(network, _) => network.manifest().control_hz,
        }
    }

    /// Whether its chunks can be conditioned so.
    pub fn check_conditioning(&self, how: Conditioning, delay: usize) -> Result<(), PolicyError> {
        match self {
            Self::Expert(_) | Self::Random(_) => {
                RandomPolicy::new(0).check_conditioning(how, delay)
            }
            Self::Network(network, _) => network.check_conditioning(how, delay),
        }
    }

    /// Makes pilots for one thread's episodes. Networks share their graphs.
    pub fn pilots(&self) -> Pilots {
        match self {
            Self::Expert(_) => Pilots::Expert,
            Self::Random(_) => Pilots::Random,
            Self::Network(network, _) => Pilots::Network(Arc::new(Mutex::new((**network).clone()))),
        }
    }
}

/// Makes the pilots of one thread's episodes, one after the other.
pub enum Pilots {
    /// The script.
    Expert,
    /// Uniform actions.
    Random,
    /// The network, whose buffers go on to the next episode.
    Network(Arc<Mutex<OnnxPolicy>>),
}

impl Pilots {
    /// What drives the arm in a scene.
    pub fn of(&self, scene: &Scene) -> Pilot {
        match self {
            Self::Expert => Expert::new(scene).into(),
            Self::Random => {
                Pilot::unshown(RandomPolicy::new(scene.seed).at(scene.setup.control_hz))
            }
            Self::Network(network) => {
                let mut seeded = network.lock().unwrap_or_else(PoisonError::into_inner);
                seeded.seed(scene.seed);
                Pilot::unshown(Arc::clone(network))
            }
        }
    }
}

/// SHA-256 of a package's policy.json, which holds the hashes of all its files.
pub fn package_sha256(dir: &str) -> Result<String> {
    let path = find(dir).join("policy.json");
    let bytes = std::fs::read(&path).map_err(|error| {
        as_bad_input(anyhow::Error::new(error).context(path.display().to_string()))
    })?;
    let digest = Sha256::digest(&bytes);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The cell whose arm measures and does what a policy was trained with: that of `arm`, or the first that fits.
pub fn drivable(manifest: &Manifest, arm: Option<CellArm>) -> Result<&'static Setup> {
    if let Some(arm) = arm {
        return fits(manifest, arm.setup()).map(|()| arm.setup());
    }
    let mut refused = None;
    for setup in wink_sim::setup::ALL {
        match fits(manifest, setup) {
            Ok(()) => return Ok(setup),
            Err(error) if setup.control_hz == manifest.control_hz => refused = Some(error),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.context("there is no simulated arm")?)
}

/// Whether a cell's arm measures and does what a policy was trained with.
fn fits(manifest: &Manifest, setup: &Setup) -> Result<()> {
    let (arm, config) = (setup.arm(), setup.control_config());
    action_space(&arm, &config, Some(&manifest.action))?;
    let states = StateReader::new(&arm, &config, Some(&manifest.observations.states))?;
    let frame = Frame::default();
    let cameras: Vec<CameraFrame<'_>> = setup
        .cameras
        .iter()
        .map(|camera| CameraFrame {
            name: camera.name,
            frame: &frame,
        })
        .collect();
    let observation = Observation {
        cameras: match manifest.observations.cameras.is_empty() {
            true => &[],
            false => &cameras,
        },
        states: &states.vectors(),
    };
    Ok(observation.check(manifest)?)
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
