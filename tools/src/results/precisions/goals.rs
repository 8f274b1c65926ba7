//! How much a precision may lose, and whether it loses less.

use serde::Serialize;

use super::plan::{GoalPlan, Plan};
use super::variants::Variant;
use crate::results::paired::compare;
use crate::stats::{Metric, Paired};

/// Of a goal: what may be a little below the baseline.
const METRICS: [Metric; 2] = [Metric::Execution, Metric::Recognition];

/// A goal and what the variants do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Goal {
    /// In a sentence.
    pub says: String,
    /// The split.
    pub on: String,
    /// How far below the baseline a rate may be.
    pub within: f64,
    /// Execution and recognition of each variant that has a report.
    pub tests: Vec<GoalTest>,
}

/// One rate of one variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GoalTest {
    /// Its folder.
    pub variant: String,
    /// The rate.
    pub metric: Metric,
    /// Against the baseline on the same episodes.
    #[serde(flatten)]
    pub paired: Paired,
    /// The rate is at most `within` below.
    pub is_met: bool,
    /// The whole interval of the difference is on that side.
    pub is_certain: bool,
}

impl Goal {
    /// Whether both rates of a variant are near enough, and whether that is certain: both intervals, or one that is not near.
    pub fn verdict(&self, variant: &str) -> (bool, bool) {
        let own = || self.tests.iter().filter(|test| test.variant == variant);
        let is_met = own().all(|test| test.is_met);
        let is_certain = match is_met {
            true => own().all(|test| test.is_certain),
            false => own().any(|test| !test.is_met && test.is_certain),
        };
        (is_met, is_certain)
    }

    /// Folders of the variants tested, in order.
    pub fn variants(&self) -> Vec<&str> {
        let mut folders: Vec<&str> = self.tests.iter().map(|test| &test.variant[..]).collect();
        folders.dedup();
        folders
    }
}

/// Looks at every goal.
pub fn goals(plan: &Plan, variants: &[Variant], baseline: &Variant) -> Vec<Goal> {
    let goal = |goal: &GoalPlan| Goal {
        says: goal.says.clone(),
        on: goal.on.clone(),
        within: goal.within,
        tests: goal
            .variants
            .iter()
            .filter_map(|folder| variants.iter().find(|own| own.way.folder == *folder))
            .flat_map(|variant| {
                METRICS
                    .into_iter()
                    .filter_map(|metric| test(goal, variant, baseline, metric))
            })
            .collect(),
    };
    plan.goals.iter().map(goal).collect()
}

fn test(
    goal: &GoalPlan,
    variant: &Variant,
    baseline: &Variant,
    metric: Metric,
) -> Option<GoalTest> {
    let paired = compare(&variant.way, &baseline.way, &goal.on, metric)?.paired;
    let (is_met, is_certain) = judge(&paired, goal.within)?;
    Some(GoalTest {
        variant: variant.way.folder.clone(),
        metric,
        paired,
        is_met,
        is_certain,
    })
}

/// Whether the difference is at most `within` below nothing, and whether its whole interval agrees.
fn judge(paired: &Paired, within: f64) -> Option<(bool, bool)> {
    /// A difference of just a point is no loss of more.
    const ROUNDING: f64 = 1e-9;
    let difference = paired.difference;
    let (value, low, high) = (difference.value?, difference.low?, difference.high?);
    let is_met = value >= -within - ROUNDING;
    let is_certain = match is_met {
        true => low >= -within - ROUNDING,
        false => high < -within,
    };
    Some((is_met, is_certain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_needs_the_rate_and_is_sure_with_the_interval() {
        /// Pairs, right in the variant alone, right in the baseline alone; how far below; met and certain.
        type Case = ((u64, u64, u64), f64, (bool, bool));
        let table: [Case; 6] = [
            ((300, 0, 0), 0.01, (true, false)),
            ((300, 0, 3), 0.01, (true, false)),
            ((300, 0, 4), 0.01, (false, false)),
            ((300, 0, 0), 0.03, (true, true)),
            ((300, 0, 40), 0.03, (false, true)),
            ((300, 20, 0), 0.01, (true, true)),
        ];
        for ((pairs, gained, lost), within, want) in table {
            let paired = Paired::new(pairs, gained, lost);
            assert_eq!(
                judge(&paired, within),
                Some(want),
                "{gained} / {lost} of {pairs}"
            );
        }
        assert_eq!(judge(&Paired::new(0, 0, 0), 0.01), None);
    }
}
