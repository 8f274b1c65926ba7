//! The way of an arm to where it rests, at the end of whatever it did.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use wink_runtime::arm::JointValues;
use wink_runtime::session::{Session, TickReport};

/// Speed of that way, as a share of each joint's limit.
const SHARE: f64 = 0.15;
/// The longest way.
const LONGEST: Duration = Duration::from_secs(30);
/// Targets that are nearer than this to the rest pose are there, rad or m.
const THERE: f64 = 1e-9;
/// Ticks at the rest pose before the arm is let go of.
const RESTING: u32 = 10;
/// The board switches torque off within this time.
const RELEASE_US: u64 = 10_000_000;

/// Takes the arm from where it was told to be last slowly to `rest` (rad, the gripper m of one finger) and lets go of it there.
/// `each` is told of every tick.
///
/// # Errors
/// When the arm cannot be driven or does not get there: it then holds.
pub fn park(
    session: &mut Session,
    rest: &JointValues,
    mut each: impl FnMut(&TickReport),
) -> Result<()> {
    let rest = session.arm().clamp_wire(rest);
    session.rise().context("parking")?;
    // The way is slow by itself.
    session.set_speed(1.0).context("parking")?;
    let start = Instant::now();
    let mut resting = 0;
    while resting < RESTING {
        if start.elapsed() > LONGEST {
            session.end()?;
            bail!(
                "the arm is not where it rests after {} s: it holds",
                LONGEST.as_secs()
            );
        }
        let report = session.follow(&rest, SHARE).context("parking")?;
        each(&report);
        let mut ways = report.joint_targets.iter().zip(rest.iter());
        let there = ways.all(|(target, rest)| (target - rest).abs() < THERE);
        resting = if there { resting + 1 } else { 0 };
    }
    Ok(session.release(RELEASE_US)?)
}
