//! The figures of an evaluation, as `report.json` holds them.

use std::collections::BTreeMap;

use serde::Serialize;
use wink_sim::outcome::Failure;

use super::board::{BoardChoice, LinkStats};
use super::confusion::Confusion;
use super::episode::{Episode, Timing};
use super::instruction::Control;
use super::plan::Group;
use super::run::Order;
use super::timing::TimingReport;
use crate::stats::{Percentiles, Proportion};

/// What was run, and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The policy's name and version, or `expert`, or `random`.
    pub policy: String,
    /// Precision of the graphs; `null` for a policy without any.
    pub precision: Option<String>,
    /// What the episodes ran on, where that is not the simulated board.
    #[serde(skip_serializing_if = "BoardChoice::is_sim")]
    pub board: BoardChoice,
    /// Base seed: episode i of each split has this plus i.
    pub seed: u64,
    /// Version of the program.
    pub wink: &'static str,
    /// Episodes in each split and control.
    pub episodes: usize,
    /// Threads that ran episodes side by side: latencies depend on it, nothing else does.
    pub jobs: usize,
    /// How fast the cards slid, m/s, where they did.
    #[serde(skip_serializing_if = "stands")]
    pub card_speed_m_s: f64,
    /// What latency was charged and what came of it, where any was or the scheduler is not the synchronous one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timing: Option<TimingReport>,
    /// By split.
    pub splits: BTreeMap<String, Scores>,
    /// By control.
    pub controls: BTreeMap<String, Scores>,
    /// Over all ticks of all episodes.
    pub latency_us: Latency,
    /// What went over the link to an emulated board, all episodes together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkStats>,
    /// Real time that an episode on an emulated board took, seconds, the mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emulated_episode_s: Option<f64>,
}

/// Figures of one split or control.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// Where the cards were drawn from.
    pub split: String,
    /// Success rate: the cube on the right card.
    pub sr: Proportion,
    /// The cube on any card.
    pub execution: Proportion,
    /// Of those, the cube on the right one.
    pub recognition: Proportion,
    /// Recognition rescaled so that chance is 0.
    pub grounding: Proportion,
    /// Failures by kind.
    pub failures: BTreeMap<&'static str, u64>,
    /// What was taken for what; splits only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
}

/// Where the time goes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Preprocessing and inference, each time the policy was asked.
    pub policy: Percentiles,
    /// Physics and rendering of a tick.
    pub world: Percentiles,
    /// A whole tick.
    pub tick: Percentiles,
}

impl Report {
    /// The figures of these episodes, which are all that `order` asks for.
    pub fn of(
        order: &Order<'_>,
        policy: String,
        precision: Option<String>,
        episodes: &[Episode],
    ) -> Self {
        let (splits, controls) = scores(order.groups, episodes);
        let is_sim = order.board.is_sim();
        Self {
            policy,
            precision,
            board: order.board,
            seed: order.seed,
            wink: env!("CARGO_PKG_VERSION"),
            episodes: order.episodes,
            jobs: order.jobs,
            card_speed_m_s: order.card_speed.m_s(),
            timing: TimingReport::of(order.timing, episodes),
            splits,
            controls,
            latency_us: Latency::of(episodes),
            link: (!is_sim).then(|| LinkStats::sum(episodes.iter().map(|episode| episode.link))),
            emulated_episode_s: mean_episode_s(episodes).filter(|_| !is_sim),
        }
    }

    /// What the episodes were, in words.
    pub fn conditions(&self) -> String {
        format!(
            "{} episodes a row, seeds from {}{}",
            self.episodes,
            self.seed,
            slid(self.card_speed_m_s)
        )
    }
}

/// Whether the cards stand.
pub fn stands(card_speed_m_s: &f64) -> bool {
    *card_speed_m_s == 0.0
}

/// How fast the cards slid, at the end of a sentence; nothing where they stood.
pub fn slid(card_speed_m_s: f64) -> String {
    if stands(&card_speed_m_s) {
        return String::new();
    }
    format!(", cards sliding at {} mm/s", 1e3 * card_speed_m_s)
}

impl Scores {
    /// Counts the episodes of one group.
    pub fn of<'a>(group: Group, episodes: impl Iterator<Item = &'a Episode> + Clone) -> Self {
        let confusion = (group.control == Control::None).then(|| Confusion::of(episodes.clone()));
        let (mut n, mut executed, mut succeeded) = (0, 0, 0);
        let mut failures: BTreeMap<&'static str, u64> =
            Failure::ALL.iter().map(|kind| (kind.name(), 0)).collect();
        for episode in episodes {
            n += 1;
            executed += u64::from(episode.executed());
            succeeded += u64::from(episode.success);
            if let Some(kind) = episode.failure {
                *failures.entry(kind.name()).or_default() += 1;
            }
        }
        let recognition = Proportion::new(succeeded, executed);
        Self {
            split: group.split.name().to_owned(),
            sr: Proportion::new(succeeded, n),
            execution: Proportion::new(executed, n),
            recognition,
            grounding: recognition.grounding(),
            failures,
            confusion,
        }
    }
}

impl Latency {
    /// Percentiles over all of these episodes.
    pub fn of(episodes: &[Episode]) -> Self {
        let mut all = Timing::default();
        for episode in episodes {
            all.append(&episode.timing);
        }
        Self {
            policy: Percentiles::of(&mut all.policy_us),
            world: Percentiles::of(&mut all.world_us),
            tick: Percentiles::of(&mut all.tick_us),
        }
    }
}

/// Real time of an episode's ticks, seconds, the mean.
fn mean_episode_s(episodes: &[Episode]) -> Option<f64> {
    let ticks = episodes.iter().flat_map(|episode| &episode.timing.tick_us);
    let total_us: u64 = ticks.sum();
    (!episodes.is_empty()).then(|| total_us as f64 * 1e-6 / episodes.len() as f64)
}

/// Scores by key: the splits, and the controls.
fn scores(
    groups: &[Group],
    episodes: &[Episode],
) -> (BTreeMap<String, Scores>, BTreeMap<String, Scores>) {
    let (mut splits, mut controls) = (BTreeMap::new(), BTreeMap::new());
    for &group in groups {
        let scores = Scores::of(
            group,
            episodes.iter().filter(|episode| episode.group == group),
        );
        let into = if group.control == Control::None {
            &mut splits
        } else {
            &mut controls
        };
        into.insert(group.key(), scores);
    }
    (splits, controls)
}
