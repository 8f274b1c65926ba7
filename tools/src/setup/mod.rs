//! `wink setup`: the first hour of an arm on this computer's USB, step by step, and each step as a command of its own.
//!
//! Questions go out on standard output and are answered by lines on standard input, so that a script can answer them.

mod calibrate;
mod cameras;
mod check;
mod dialogue;
mod ids;
mod place;
mod port;
mod rest;
mod try_joints;

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

pub use calibrate::by_hand;
pub use dialogue::Dialogue;
pub use place::Place;

const EXAMPLES: &str = "\
Examples:
  wink setup --arm so101                   all steps, from the box to the rest pose
  wink setup port                          only the port: which device is the adapter's
  wink setup ids                           only the ids: connects and numbers one servo after the other
  wink setup check --json                  every servo: model, supply, temperature, and all that is wrong at once
  wink setup calibrate --joint gripper     one joint again; the others keep their calibration
  wink setup cameras                       what each camera of this computer delivers, as `wink cameras`
  wink setup test                          each joint moves a little and is named
  wink setup rest                          saves the pose that the arm rests in

What is found is kept in ~/.config/wink: the port and the rest pose under setup, the calibration under calibration.";

/// Set up an arm: find its port, number and check its servos, calibrate, move each joint, save its rest pose
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    place: Place,

    #[command(subcommand)]
    step: Option<Step>,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Find the adapter's port by unplugging and plugging it in
    Port,
    /// Give servos their ids, one after the other
    Ids,
    /// Look at every servo: model, supply, temperature, and all that is wrong
    Check,
    /// Find each joint's range by hand, and store it in the servos and in a file
    Calibrate(calibrate::Args),
    /// Measure what each camera delivers, and save a still of it
    Cameras,
    /// Move each joint a little
    Test,
    /// Save the pose that the arm rests in
    Rest,
}

pub fn run(args: &Args) -> Result<()> {
    let mut place = args.place.clone();
    let mut dialogue = Dialogue::new(place.json);
    let Some(step) = &args.step else {
        return all(&mut place, &mut dialogue);
    };
    let report = match step {
        Step::Port => port::run(&mut place, &mut dialogue)?,
        Step::Ids => ids::run(&place, &mut dialogue)?,
        Step::Check => check::run(&place, &mut dialogue)?,
        Step::Calibrate(args) => calibrate::run(args, &place, &mut dialogue)?,
        Step::Cameras => return cameras::run(&place),
        Step::Test => try_joints::run(&place, &mut dialogue)?,
        Step::Rest => rest::run(&place, &mut dialogue)?,
    };
    dialogue.report(&report)
}

/// The steps in their order.
fn all(place: &mut Place, dialogue: &mut Dialogue) -> Result<()> {
    const STEPS: usize = 7;
    let head = |dialogue: &mut Dialogue, step: usize, what: &str| {
        dialogue.tell(&format!("\nStep {step} of {STEPS}: {what}"))
    };
    head(dialogue, 1, "the adapter's port")?;
    let port = port::run(place, dialogue)?;
    head(dialogue, 2, "the servos' ids")?;
    let ids = ids::run(place, dialogue)?;
    head(dialogue, 3, "every servo")?;
    let check = check::until_right(place, dialogue)?;
    head(dialogue, 4, "calibration")?;
    let calibration = calibrate::run(&calibrate::Args::default(), place, dialogue)?;
    head(dialogue, 5, "the cameras")?;
    let cameras = cameras::step(place, dialogue)?;
    head(dialogue, 6, "each joint moves")?;
    let test = try_joints::run(place, dialogue)?;
    head(dialogue, 7, "the rest pose")?;
    let rest = rest::run(place, dialogue)?;
    dialogue.tell("\nThe arm is set up.")?;
    dialogue.report(&json!({
        "port": port,
        "ids": ids,
        "check": check,
        "calibration": calibration,
        "cameras": cameras,
        "test": test,
        "rest": rest,
    }))
}
