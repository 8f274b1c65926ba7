//! `wink replay`: what was recorded, fed to a policy or driven by an arm.

mod arm;
mod compare;
mod observed;
mod table;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;

use crate::arm::CalibrationChoice;
use crate::bad_input::bad_input;
use crate::eval::policy::Choice;
use crate::recording::Reader;

const EXAMPLES: &str = "\
Examples:
  wink replay run.mcap --policy models/wink-so101                     does the policy still do what it did?
  wink replay run.mcap --policy out/int8 --tolerance 0.5 --json       how far off is a rounded one?
  wink replay demo.mcap --policy mine --instruction \"pick the cube\"   a policy on a person's demonstration

Exit codes: 0 done, 1 an action differs by more than --tolerance, 2 bad input.";

/// Feed a recording to a policy and compare its actions
///
/// The policy is given what was recorded: the instruction, and for each chunk of actions the frames and the joints that the chunk was
/// made of. Its actions are compared with the recorded ones, number by number, in the policy's units. A recording without chunks (a
/// person drove) is compared with the commands that were sent. A recording that was cut off is used as far as it is whole, and told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The recording
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// A policy package
    #[arg(long, value_name = "DIR")]
    policy: Option<String>,

    /// Its precision [default: the package's]
    #[arg(long, value_name = "NAME", requires = "policy")]
    precision: Option<String>,

    /// Fail where an action differs by more than this, in the policy's units [default: tell only]
    #[arg(long, value_name = "X", requires = "policy")]
    tolerance: Option<f64>,

    /// Instead of the recorded instruction
    #[arg(long, value_name = "TEXT", requires = "policy")]
    instruction: Option<String>,

    /// Seed of the policy's noise, where it draws any
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    calibration: CalibrationChoice,

    /// Folder with the boards
    #[arg(long, value_name = "DIR", default_value = "boards")]
    boards: PathBuf,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command. `false` where an action differs by more than the tolerance.
pub fn run(args: &Args) -> Result<bool> {
    let Some(policy) = &args.policy else {
        return Err(bad_input("name a policy with --policy"));
    };
    if args
        .tolerance
        .is_some_and(|most| most.is_nan() || most < 0.0)
    {
        return Err(bad_input("--tolerance: must be 0 or more"));
    }
    let reader = Reader::open(&args.file)?;
    let arm = arm::of_recording(reader.facts(), &args.calibration, &args.boards)?;
    let network = Choice::open_any(policy, args.precision.as_deref())?;
    let comparison =
        compare::compare(reader, arm, network, args.seed, args.instruction.as_deref())?;
    let worst = comparison.largest();
    let within = args.tolerance.is_none_or(|most| worst <= most);
    let mut out = io::stdout().lock();
    if args.json {
        let report = comparison.json(&args.file, policy, args.tolerance, within);
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", table::text(&comparison))?;
        if let Some(most) = args.tolerance.filter(|_| !within) {
            writeln!(
                out,
                "the largest difference, {worst:.6}, is above --tolerance {most}"
            )?;
        }
    }
    Ok(within)
}
