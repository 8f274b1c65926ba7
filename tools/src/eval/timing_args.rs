//! The options of time: `--scheduler`, `--latency`, `--jitter`, `--sweep-latency`.

use anyhow::Result;
use wink_runtime::control::schedule::SchedulerKind;

use super::latency::{Charge, LatencyChoice, LatencyFile, Time};
use super::policy::Choice;
use super::run::{self, Order};
use super::sweep::{Axes, Latencies};
use super::timing::Plan;
use crate::bad_input::bad_input;

/// Episodes that a latency is measured in.
const MEASURED_EPISODES: usize = 4;
/// Schedulers of a sweep where none is named: those that any policy can do.
const SWEPT: [SchedulerKind; 4] = [
    SchedulerKind::Synchronous,
    SchedulerKind::Naive,
    SchedulerKind::Asynchronous,
    SchedulerKind::Ensembling,
];

/// See the module.
#[derive(Debug, clap::Args)]
pub struct TimingArgs {
    /// What happens while inference runs: `synchronous` (the arm holds its target), `naive` (the old chunk goes on until the new
    /// one replaces it), `asynchronous` (the same, the new chunk aligned with the old), `ensembling` (all chunks averaged),
    /// `guided` or `trained` (real-time chunking); several with --sweep-latency only [default: synchronous]
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        conflicts_with = "data"
    )]
    scheduler: Vec<SchedulerKind>,

    /// What an inference costs of the board's time: a time such as 40ms, `measured` (that of this machine, measured first and
    /// written to latency.json in --out), or such a file. Rows do not depend on the machine [default: 0]
    #[arg(long, value_name = "TIME|measured|FILE", conflicts_with = "data")]
    latency: Option<LatencyChoice>,

    /// As much more or less, drawn evenly from the episode's seed
    #[arg(
        long,
        value_name = "TIME",
        default_value = "0",
        conflicts_with = "data"
    )]
    jitter: Time,

    /// Run schedulers and precisions side by side at each of these latencies, and plot what comes of it; in --out
    #[arg(
        long,
        value_name = "LIST",
        conflicts_with_all = ["latency", "data", "shard", "no_html", "pictures"]
    )]
    sweep_latency: Option<Latencies>,
}

impl TimingArgs {
    /// The axes of a sweep, where one is asked for.
    pub fn sweep(&self) -> Option<Axes<'_>> {
        let latencies = self.sweep_latency.as_ref()?;
        Some(Axes {
            latencies,
            jitter: self.jitter,
            schedulers: match &self.scheduler[..] {
                [] => &SWEPT,
                named => named,
            },
        })
    }

    /// Finds out before anything is run what cannot be.
    pub fn check(&self, choices: &[Choice], shard: bool, out: bool) -> Result<()> {
        if self.sweep_latency.is_some() {
            return Ok(());
        }
        if self.scheduler.len() > 1 {
            return Err(bad_input(
                "--scheduler: takes several schedulers with --sweep-latency only",
            ));
        }
        if self.latency == Some(LatencyChoice::Measured) {
            if shard {
                return Err(bad_input(
                    "--latency measured: shards are charged one latency; measure it first and give its file to all of them",
                ));
            }
            if !out {
                return Err(bad_input(
                    "--latency measured: give --out, where the measured latencies are written",
                ));
            }
        }
        let Some(charge) = self.charge()? else {
            return Ok(());
        };
        let scheduler = self.scheduler();
        let plan = Plan { scheduler, charge };
        choices.iter().try_for_each(|choice| plan.check(choice))
    }

    /// The plan for a policy, and what was measured for it.
    pub fn plan(&self, order: &Order<'_>, choice: &Choice) -> Result<(Plan, Option<LatencyFile>)> {
        let scheduler = self.scheduler();
        if let Some(charge) = self.charge()? {
            return Ok((Plan { scheduler, charge }, None));
        }
        let file = measure(order, choice)?;
        let charge = Charge {
            latency_us: file.latency_us.clone(),
            jitter_us: self.jitter.us,
        };
        let plan = Plan { scheduler, charge };
        plan.check(choice)?;
        Ok((plan, Some(file)))
    }

    fn scheduler(&self) -> SchedulerKind {
        self.scheduler.first().copied().unwrap_or_default()
    }

    /// What is charged; `None` where it has to be measured first.
    fn charge(&self) -> Result<Option<Charge>> {
        let fixed = |latency| Some(Charge::fixed(latency, self.jitter));
        Ok(match &self.latency {
            None => fixed(Time { us: 0 }),
            Some(LatencyChoice::Fixed(latency)) => fixed(*latency),
            Some(LatencyChoice::Measured) => None,
            Some(LatencyChoice::File(path)) => Some(Charge {
                latency_us: LatencyFile::read(path)?.latency_us,
                jitter_us: self.jitter.us,
            }),
        })
    }
}

/// The latencies of some episodes on this machine, one at a time.
fn measure(order: &Order<'_>, choice: &Choice) -> Result<LatencyFile> {
    let plan = Plan::instant();
    let order = Order {
        groups: &order.groups[..1],
        episodes: order.episodes.min(MEASURED_EPISODES),
        timing: &plan,
        jobs: 1,
        pictures: None,
        ..*order
    };
    let done = run::run(&order, choice)?;
    let latencies = done.iter().flat_map(|episode| &episode.timing.policy_us);
    let policy = match choice.precision() {
        Some(precision) => format!("{}, {precision}", choice.name()),
        None => choice.name(),
    };
    Ok(LatencyFile {
        policy,
        // The first inference warms up.
        latency_us: latencies.copied().skip(1).collect(),
    })
}
