//! `wink kit`: an arm's kit without the kit, to rehearse its first hour and to test it: simulated servos on a pseudo-terminal that
//! stands in for the adapter, and a script that does what the person at the table does.

mod program;
mod scenario;
mod table;

use std::fs;
use std::io::{self, BufRead};
use std::path::PathBuf;

use anyhow::Result;

use wink_sim::setup::SO101;

use crate::arm::read_arm;
use crate::bad_input::bad_input;
use scenario::Scenario;
use table::KitTable;

const EXAMPLES: &str = "\
Examples:
  wink kit --fresh --link /tmp/adapter                                in one terminal; type: plug gripper, sweep all, ...
  wink setup --arm so101 --port /tmp/adapter                          in another
  wink kit --fresh --link /tmp/adapter --script first-hour.txt        all of it by a script

Lines of a script:
  plug|unplug JOINT|all, id JOINT N, register JOINT ADDRESS BYTE..., supply VOLTS [JOINT|all], power, mount JOINT TICK,
  stops JOINT LOW HIGH, hand JOINT POSITION [SECONDS], sweep JOINT|all [LOW HIGH], latency MS
                       what the person does, and how the kit is
  adapter out|in       pulls the adapter, plugs it in again
  settle               waits until no hand moves a joint any more
  run ARGS...          starts wink with these arguments
  expect TEXT          waits until it has printed this
  answer [TEXT]        a line on its standard input
  signal NAME          sends it TERM, INT, HUP or KILL
  ends [CODE]          waits until it has ended, with this exit code
  sh COMMAND           a command of the shell, which must succeed
  wait SECONDS         lets so much time pass
  show                 servos and joints, as JSON
  # ...                a remark
{link} in a line stands for the adapter's path, {folder} for the folder that it is in.";

/// Simulated servos on a pseudo-terminal, handled by a script
#[derive(Debug, clap::Args)]
#[command(hide = true, after_help = EXAMPLES)]
pub struct Args {
    /// As out of the box: every servo has the id 1 and its maker's speed, and none is plugged in
    #[arg(long)]
    fresh: bool,

    /// An arm's file with the SO-101's joints on other servos [default: its own]
    #[arg(long, value_name = "FILE")]
    arm: Option<PathBuf>,

    /// Where programs find the adapter
    #[arg(long, value_name = "PATH")]
    link: PathBuf,

    /// What the person at the table does [default: lines from standard input]
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<()> {
    let script = match &args.script {
        Some(path) => Some(
            fs::read_to_string(path)
                .map_err(|error| bad_input(format!("{}: {error}", path.display())))?,
        ),
        None => None,
    };
    let own = SO101.arm();
    let arm = args
        .arm
        .as_deref()
        .map_or_else(|| Ok(own.clone()), read_arm)?;
    if !arm.wire_names().eq(own.wire_names()) {
        return Err(bad_input(format!(
            "a kit has the joints of an SO-101 ({}), the arm {} has {}",
            own.wire_names().collect::<Vec<_>>().join(", "),
            arm.name(),
            arm.wire_names().collect::<Vec<_>>().join(", ")
        )));
    }
    let table = KitTable::start(&arm, args.fresh, &args.link)?;
    let folder = args.link.parent().unwrap_or(&args.link);
    let placed = |line: &str| {
        line.trim()
            .replace("{link}", &args.link.display().to_string())
            .replace("{folder}", &folder.display().to_string())
    };
    let mut scenario = Scenario::new(table);
    let mut number = 0;
    let mut act = |line: &str| {
        number += 1;
        let line = placed(line);
        scenario
            .act(&line)
            .map_err(|error| error.context(format!("line {number}: {line}")))
    };
    match script {
        Some(script) => script.lines().try_for_each(&mut act)?,
        None => {
            for line in io::stdin().lock().lines() {
                act(&line?)?;
            }
        }
    }
    scenario.finish()
}
