//! Episodes in real time: when ticks begin, how long the loop works in them, and which are late.
//!
//! The simulated board keeps step with this machine's clock; inference runs on its own thread, and its chunk is there when it is
//! done.

use std::time::Duration;

use anyhow::Result;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use wink_runtime::control::period_us;
use wink_runtime::session::Timing;
use wink_sim::{SimBoard, SimOptions};

use super::measure::Order;
use super::subject::Subject;
use crate::bad_input::as_bad_input;
use crate::eval::timing::Late;
use crate::rollout::{Rollout, shared};
use crate::stats::Spread;

/// What was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RealTime {
    /// Ticks a second.
    pub hz: f64,
    pub ticks: u64,
    /// From the time at which a tick was due to its beginning.
    pub jitter_us: Spread,
    /// All of the loop's own work in a tick, rendering included.
    pub work_us: Spread,
    /// Ticks without an action because inference ran, and late ones.
    pub late: Late,
}

/// As many ticks as fit into `seconds`.
pub fn count(subject: &Subject, seconds: u32) -> u64 {
    (f64::from(seconds) * subject.policy_hz()).ceil() as u64
}

/// Runs episodes one after the other for so many ticks; `None` where they are none.
pub fn run(
    subject: &Subject,
    order: &Order,
    ticks: u64,
    bar: &ProgressBar,
) -> Result<Option<RealTime>> {
    let hz = subject.policy_hz();
    // Whether the firmware can do with it is found out by the board.
    period_us(hz, 1, u64::MAX).map_err(as_bad_input)?;
    let (mut jitter, mut work, mut late) = (Vec::new(), Vec::new(), Late::default());
    for episode in 0.. {
        if jitter.len() as u64 >= ticks {
            break;
        }
        let scene = order.scene(subject.setup, episode);
        let world = shared(SimBoard::new(&scene, SimOptions::default())?);
        let told = scene.instruction();
        let mut rollout =
            Rollout::begin_in_real_time(world, subject.pilot(), &told, Timing::real())?;
        while !rollout.is_over() && (jitter.len() as u64) < ticks {
            let Some(report) = rollout.tick()? else {
                break;
            };
            jitter.push(Duration::from_micros(report.start_us - report.tick_us));
            work.push(report.times.work);
            bar.inc(1);
        }
        late = Late::sum([late, (*rollout.late()).into()].into_iter());
    }
    let figures = (Spread::of(&jitter), Spread::of(&work));
    let (Some(jitter_us), Some(work_us)) = figures else {
        return Ok(None);
    };
    Ok(Some(RealTime {
        hz,
        ticks: jitter_us.n,
        jitter_us,
        work_us,
        late,
    }))
}
