//! Reading shards that belong together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use wink_sim::CardSpeed;

use crate::bad_input::bad_input;
use crate::eval::episode::Episode;
use crate::eval::plan::Group;
use crate::eval::report::Report;
use crate::eval::run::{Order, drop_pictures};
use crate::eval::shard::plan::{Plan, Run};
use crate::eval::shard::{EPISODES, FILE, episodes};
use crate::results::files::{read_json, told};

/// As many missing shards are named.
const NAMED: usize = 8;

/// All episodes of a run.
pub struct Merged {
    /// What was run.
    pub run: Run,
    /// In the order of the run without shards.
    pub episodes: Vec<Episode>,
    groups: Vec<Group>,
    card_speed: CardSpeed,
    jobs: usize,
}

impl Merged {
    /// The figures of the whole run.
    pub fn report(&self) -> Report {
        let order = Order {
            groups: &self.groups,
            episodes: self.run.episodes,
            seed: self.run.seed,
            board: self.run.board,
            setup: self.run.arm.setup(),
            card_speed: self.card_speed,
            timing: &self.run.timing,
            jobs: self.jobs,
            pictures: self.run.pictures,
            shard: crate::eval::shard::Shard::WHOLE,
        };
        let policy = self.run.policy.clone();
        Report::of(&order, policy, self.run.precision.clone(), &self.episodes)
    }
}

/// Reads the shards in these folders and puts their episodes in order.
///
/// # Errors
/// When a folder holds no shard, the shards are of different runs, or one is missing or there twice.
pub fn read(dirs: &[PathBuf]) -> Result<Merged> {
    let plans = plans(dirs)?;
    // There is at least one folder, and each has a plan.
    let Some((first_dir, first)) = plans.values().next() else {
        return Err(bad_input("no shard is named"));
    };
    let run = first.run.clone();
    let path = first_dir.join(FILE);
    if run.wink != env!("CARGO_PKG_VERSION") {
        return Err(told(
            &path,
            anyhow::anyhow!(
                "written by wink {}; this is {}",
                run.wink,
                env!("CARGO_PKG_VERSION")
            ),
        ));
    }
    let groups = run
        .groups()
        .map_err(|error| told(&path, anyhow::Error::msg(error)))?;
    if groups
        .len()
        .checked_mul(run.episodes)
        .is_none_or(|n| n == 0)
    {
        return Err(told(&path, anyhow::anyhow!("a run without episodes")));
    }
    let card_speed = run
        .card_speed()
        .map_err(|error| told(&path, anyhow::Error::new(error).context("card_speed_m_s")))?;
    let mut all = Vec::new();
    let mut jobs = 0;
    for (dir, plan) in plans.values() {
        let path = dir.join(EPISODES);
        all.extend(episodes::read(
            &path,
            plan.shard,
            &groups,
            run.episodes,
            run.seed,
        )?);
        jobs = jobs.max(plan.jobs);
    }
    all.sort_by_key(|(piece, _)| *piece);
    let mut episodes: Vec<Episode> = all.into_iter().map(|(_, episode)| episode).collect();
    drop_pictures(&mut episodes, run.pictures.unwrap_or(0));
    Ok(Merged {
        run,
        episodes,
        groups,
        card_speed,
        jobs,
    })
}

/// What each folder says of itself, by the shard's number; all shards of one run.
fn plans(dirs: &[PathBuf]) -> Result<BTreeMap<usize, (&Path, Plan)>> {
    let mut plans: BTreeMap<usize, (&Path, Plan)> = BTreeMap::new();
    for dir in dirs {
        let plan: Plan = read_json(&dir.join(FILE))?;
        if let Some((other_dir, other)) = plans.values().next() {
            let between = format!("{} and {}", other_dir.display(), dir.display());
            if let Some(difference) = other.run.difference(&plan.run) {
                return Err(bad_input(format!(
                    "{between} are shards of different runs: {difference}"
                )));
            }
            if other.shard.count() != plan.shard.count() {
                return Err(bad_input(format!(
                    "{between} are shards of different divisions: {} and {}",
                    other.shard, plan.shard
                )));
            }
        }
        let shard = plan.shard;
        if let Some((twice, _)) = plans.insert(shard.index(), (dir, plan)) {
            return Err(bad_input(format!(
                "{} and {} are both shard {shard}",
                twice.display(),
                dir.display()
            )));
        }
    }
    let count = plans
        .values()
        .next()
        .map_or(0, |(_, plan)| plan.shard.count());
    let missing: Vec<String> = (1..=count)
        .filter(|index| !plans.contains_key(index))
        .map(|index| format!("{index}/{count}"))
        .collect();
    if missing.is_empty() {
        return Ok(plans);
    }
    let named = missing[..missing.len().min(NAMED)].join(", ");
    let more = match missing.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(bad_input(format!(
        "of {count} shards {named}{more} {} missing",
        if missing.len() == 1 { "is" } else { "are" }
    )))
}
