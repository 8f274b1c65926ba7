//! The options of `wink import`, and the answers in them.

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use wink_runtime::policy::manifest::{ActionSpace, Noise, Unit};

use crate::bad_input::bad_input;

const EXAMPLES: &str = "\
What a checkpoint does not say is asked for, one error at a time, each with the option that answers it.

Examples:
  wink import --onnx act.onnx --config checkpoint --dataset data --normalisation outside \\
      --joint-units lerobot_degrees,gripper.pos=percent --action-space joint_position --licence Apache-2.0 --out act
      one graph that another exporter wrote, with its .data file beside it; LeRobot's files; names and rate of the data set

  wink import --stage encoder=enc.onnx --stage step=unet.onnx --config checkpoint --dataset data ...
      Diffusion: an encoder, and one step of the loop

  wink import --onnx policy.onnx --loop inside --golden in.npz --expect out.npz --config checkpoint ...
      one graph from images, state, tokens and noise to the chunk, checked on values that PyTorch gave

  wink import --onnx vision.onnx prefix.onnx step.onnx --config checkpoint --tokenizer vlm --pixels signed \\
      --feed step.x_in=loop.sample --feed prefix.img=vision.features ...
      SmolVLA or pi0: inputs that are named unlike any value are wired by --feed

Exit codes: 0 written and checked, 1 failed on the way, 2 bad input or an open question.";

/// Make a policy package from ONNX graphs that another program exported
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The graphs; each is a stage named like its file
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub onnx: Vec<PathBuf>,
    /// A graph under another name, or once more
    #[arg(long, value_name = "NAME=FILE")]
    pub stage: Vec<String>,
    /// Folder of the checkpoint: config.json, the processors' files, or the older model.safetensors
    #[arg(long, value_name = "DIR")]
    pub config: PathBuf,
    /// The package's folder
    #[arg(long, value_name = "PACKAGE")]
    pub out: PathBuf,
    /// Replace a package that is already there
    #[arg(long)]
    pub force: bool,
    /// LeRobotDataset of the training, for rate, names of joints and sizes of images
    #[arg(long, value_name = "DIR")]
    pub dataset: Option<PathBuf>,
    /// Folder with the tokenizer.json that the policy was trained with
    #[arg(long, value_name = "DIR")]
    pub tokenizer: Option<PathBuf>,
    /// Number of the token that fills up, where the tokenizer's folder does not say
    #[arg(long, value_name = "ID")]
    pub pad_id: Option<u32>,
    /// Whether the graphs normalise observations and actions themselves
    #[arg(long)]
    pub normalisation: Option<Placement>,
    /// The pixels that the graphs of smolvla, pi0 and pi05 take: unit, 0 to 1, or signed, -1 to 1
    #[arg(long)]
    pub pixels: Option<Pixels>,
    /// Which statistics are taken, where their keys name a robot: so100 of `so100.buffer.action.mean`
    #[arg(long, value_name = "TAG")]
    pub statistics: Option<String>,
    /// Unit of all numbers of states and actions, and of single ones by name
    #[arg(long, value_name = "UNIT|NAME=UNIT", value_delimiter = ',')]
    pub joint_units: Vec<String>,
    /// What the numbers of an action are to the arm
    #[arg(long)]
    pub action_space: Option<Space>,
    /// Names of the numbers of a state or action, where there is no data set that has them
    #[arg(long, value_name = "FEATURE=NAME,...")]
    pub names: Vec<String>,
    /// A feature of the robot or data set that the policy calls otherwise
    #[arg(long, value_name = "ROBOT=POLICY")]
    pub rename: Vec<String>,
    /// A feature that the graphs were exported without
    #[arg(long, value_name = "FEATURE")]
    pub leave_out: Vec<String>,
    /// What an input of a graph is fed with, where its name does not say
    #[arg(long, value_name = "[STAGE.]TENSOR=VALUE")]
    pub feed: Vec<String>,
    /// The output that holds the chunk, the velocity or the prediction, where there are several
    #[arg(long, value_name = "[STAGE.]TENSOR")]
    pub output: Option<String>,
    /// Whether a graph runs the whole loop of diffusion, smolvla, pi0 or pi05 itself
    #[arg(long = "loop")]
    pub whole_loop: Option<Looping>,
    /// An input that is fed with noise, drawn anew for each observation
    #[arg(long, value_name = "[STAGE.]TENSOR=normal:MEAN:STD|uniform:LOW:HIGH")]
    pub noise: Vec<String>,
    /// Tensors of one observation by the names of the values that the policy is fed with, or of its graphs' inputs
    #[arg(long, value_name = "IN.npz", requires = "expect")]
    pub golden: Option<PathBuf>,
    /// What comes of --golden: `action` in units, or outputs by name; kept in the package and compared before it is written
    #[arg(long, value_name = "OUT.npz", requires = "golden")]
    pub expect: Option<PathBuf>,
    /// Instruction of --golden, in place of its tokens
    #[arg(long, value_name = "TEXT", requires = "golden")]
    pub instruction: Option<String>,
    /// Largest difference from --expect, as a share of the largest value where that is above 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 1e-4,
        requires = "golden"
    )]
    pub tolerance: f64,
    /// Rate of the control loop, where there is no data set
    #[arg(long, value_name = "HZ")]
    pub control_hz: Option<f64>,
    /// Actions executed before the policy is asked again, instead of the checkpoint's number
    #[arg(long, value_name = "STEPS")]
    pub execute: Option<usize>,
    /// SPDX expression of the weights' licence, where config.json has none
    #[arg(long, value_name = "SPDX")]
    pub licence: Option<String>,
    /// Name of the policy instead of the folder's
    #[arg(long)]
    pub name: Option<String>,
    /// Version of the policy
    #[arg(long, default_value = "1.0.0")]
    pub package_version: String,
    /// One sentence about the policy
    #[arg(long, default_value = "")]
    pub description: String,
    /// The precision under which the graphs are listed
    #[arg(long, default_value = "f32")]
    pub precision: String,
    /// Print what was written as JSON
    #[arg(long)]
    pub json: bool,
}

/// Where observations and actions are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Placement {
    /// By the graphs: they take and give units
    Inside,
    /// Outside of the graphs, by the checkpoint's statistics
    Outside,
}

/// What runs the loop of a policy that refines noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Looping {
    /// A graph: it runs once and gives the chunk
    Inside,
    /// The package: a graph is one step
    Outside,
}

/// The range of an image's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pixels {
    /// 0 to 1
    Unit,
    /// -1 to 1
    Signed,
}

/// What an action is to the arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Space {
    /// Changes of the tool's pose
    EeDelta,
    /// Positions of joints
    JointPosition,
    /// Changes of joint positions
    JointDelta,
}

impl Space {
    /// The name in the package.
    pub fn space(self) -> ActionSpace {
        match self {
            Self::EeDelta => ActionSpace::EeDelta,
            Self::JointPosition => ActionSpace::JointPosition,
            Self::JointDelta => ActionSpace::JointDelta,
        }
    }
}

/// Splits answers of the form `KEY=VALUE`; `last` where the key may hold a `=`.
///
/// # Errors
/// Where there is no `=`, or nothing before or after it.
pub fn pairs(option: &str, answers: &[String], last: bool) -> Result<Vec<(String, String)>> {
    let split = |answer: &String| {
        let parts = match last {
            true => answer.rsplit_once('='),
            false => answer.split_once('='),
        };
        match parts {
            Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                Ok((key.to_owned(), value.to_owned()))
            }
            _ => Err(bad_input(format!(
                "{option} {answer}: must have the form KEY=VALUE"
            ))),
        }
    };
    answers.iter().map(split).collect()
}

/// Reads an answer of `--noise`: the tensor and what its numbers are drawn from.
///
/// # Errors
/// Where it is no distribution.
pub fn noise(answer: &str) -> Result<(String, Noise)> {
    let split = answer.rsplit_once('=').and_then(|(tensor, draw)| {
        let parts: Vec<&str> = draw.split(':').collect();
        let [kind, first, second] = parts[..] else {
            return None;
        };
        let (first, second) = (first.parse().ok()?, second.parse().ok()?);
        let draw = match kind {
            "normal" => Noise::Normal {
                mean: first,
                std: second,
            },
            "uniform" => Noise::Uniform {
                low: first,
                high: second,
            },
            _ => return None,
        };
        Some((tensor.to_owned(), draw))
    });
    split.ok_or_else(|| {
        bad_input(format!(
            "--noise {}: must have the form TENSOR=normal:MEAN:STD or TENSOR=uniform:LOW:HIGH",
            answer.escape_debug()
        ))
    })
}

/// The answers of `--joint-units`.
#[derive(Debug)]
pub struct Units {
    all: Option<Unit>,
    single: Vec<(String, Unit)>,
}

impl Units {
    /// Reads the answers.
    ///
    /// # Errors
    /// Where a unit is not known, or two are for all.
    pub fn read(answers: &[String]) -> Result<Self> {
        let mut units = Self {
            all: None,
            single: Vec::new(),
        };
        for answer in answers {
            match answer.rsplit_once('=') {
                Some((name, unit)) => units.single.push((name.to_owned(), unit_named(unit)?)),
                None if units.all.is_none() => units.all = Some(unit_named(answer)?),
                None => {
                    return Err(bad_input(format!(
                        "--joint-units {}: a second unit for all; say NAME=UNIT for single ones",
                        answers.join(",")
                    )));
                }
            }
        }
        Ok(units)
    }

    /// The units of these names.
    ///
    /// # Errors
    /// Where nothing says the unit of one of them.
    pub fn of(&self, names: &[String]) -> Result<Vec<Unit>> {
        let unit = |name: &String| {
            let single = self.single.iter().find(|(single, _)| single == name);
            let unit = single.map(|(_, unit)| *unit).or(self.all);
            unit.ok_or_else(|| {
                bad_input(format!(
                    "the unit of `{}` is not known; say --joint-units UNIT for all numbers or {0}=UNIT, units are {}",
                    name.escape_debug(),
                    known_units()
                ))
            })
        };
        names.iter().map(unit).collect()
    }

    /// Every single answer is about a name that there is.
    ///
    /// # Errors
    /// Where one is not.
    pub fn check(&self, names: &[&[String]]) -> Result<()> {
        let known = |name: &String| names.iter().any(|names| names.contains(name));
        match self.single.iter().find(|(name, _)| !known(name)) {
            None => Ok(()),
            Some((name, unit)) => Err(bad_input(format!(
                "--joint-units {name}={unit}: no number of a state or action has this name; names are {}",
                names.concat().join(", ")
            ))),
        }
    }
}

const UNITS: [Unit; 10] = [
    Unit::LerobotDegrees,
    Unit::LerobotRange,
    Unit::Degrees,
    Unit::Rad,
    Unit::M,
    Unit::Percent,
    Unit::Fraction,
    Unit::Decimetre,
    Unit::Decirad,
    Unit::None,
];

fn known_units() -> String {
    UNITS.map(Unit::name).join(", ")
}

fn unit_named(name: &str) -> Result<Unit> {
    let unit = UNITS.into_iter().find(|unit| unit.name() == name);
    unit.ok_or_else(|| {
        bad_input(format!(
            "--joint-units: \"{}\" is no unit; units are {}",
            name.escape_debug(),
            known_units()
        ))
    })
}
