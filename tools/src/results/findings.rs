//! Claims about the ways, and whether they hold here.

use serde::Serialize;

use super::paired::{Comparison, compare, correct};
use super::tree::Way;
use super::ways::{Expect, Plan, TestPlan};
use crate::stats::Metric;

/// Below this, after correction, a difference is taken to be there.
pub const LEVEL: f64 = 0.05;

/// A claim and what its tests say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The claim in a sentence.
    pub says: String,
    /// Whether all its tests hold.
    pub verdict: Verdict,
    /// What must be so.
    pub tests: Vec<Test>,
}

/// A comparison of two ways.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Test {
    /// Folders of the two.
    pub ways: [String; 2],
    /// The rate compared.
    pub metric: Metric,
    /// The split or control.
    pub on: String,
    /// What the first way's rate should be, against the second's.
    pub expect: Expect,
    /// For `expect = "same"`: how far apart the rates may be.
    pub margin: Option<f64>,
    /// What came of it.
    pub verdict: Verdict,
    /// The figures; `null` where the two ways share no episode.
    pub comparison: Option<Comparison>,
}

/// What the reports say about a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Verdict {
    /// There is a difference, and it goes the other way.
    #[serde(rename = "does not hold")]
    DoesNotHold,
    /// The reports are too few, or the training seeds disagree.
    #[serde(rename = "not resolved")]
    NotResolved,
    /// As claimed.
    #[serde(rename = "holds")]
    Holds,
}

impl Verdict {
    /// As people say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DoesNotHold => "does not hold",
            Self::NotResolved => "not resolved",
            Self::Holds => "holds",
        }
    }
}

/// Tests every finding; p values are corrected over all of them together.
pub fn findings(plan: &Plan, ways: &[Way]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = plan
        .findings
        .iter()
        .map(|finding| Finding {
            says: finding.says.clone(),
            verdict: Verdict::NotResolved,
            tests: finding
                .tests
                .iter()
                .map(|test| figures(test, ways))
                .collect(),
        })
        .collect();
    let tests = findings.iter_mut().flat_map(|finding| &mut finding.tests);
    correct(tests.filter_map(|test| test.comparison.as_mut()));
    for finding in &mut findings {
        for test in &mut finding.tests {
            test.verdict = test
                .comparison
                .as_ref()
                .map_or(Verdict::NotResolved, |comparison| {
                    judge(comparison, test.expect, test.margin)
                });
        }
        let verdicts = finding.tests.iter().map(|test| test.verdict);
        finding.verdict = verdicts.min().unwrap_or(Verdict::NotResolved);
    }
    findings
}

fn figures(plan: &TestPlan, ways: &[Way]) -> Test {
    let way = |folder: &str| ways.iter().find(|way| way.folder == folder);
    let [first, second] = [&plan.ways[0], &plan.ways[1]].map(|folder| way(folder));
    Test {
        ways: plan.ways.clone(),
        metric: plan.metric,
        on: plan.on.clone(),
        expect: plan.expect,
        margin: (plan.expect == Expect::Same).then_some(plan.margin),
        verdict: Verdict::NotResolved,
        comparison: first
            .zip(second)
            .and_then(|(first, second)| compare(first, second, &plan.on, plan.metric)),
    }
}

/// A difference counts where the corrected test says so and no training seed contradicts it; sameness, where the whole interval
/// of the difference lies within the margin.
fn judge(comparison: &Comparison, expect: Expect, margin: Option<f64>) -> Verdict {
    let difference = comparison.paired.difference;
    let (Some(value), Some(low), Some(high)) = (difference.value, difference.low, difference.high)
    else {
        return Verdict::NotResolved;
    };
    let seeds_agree = comparison.by_seed.values().all(|seed| seed * value >= 0.0);
    let differs = comparison.p_holm < LEVEL && seeds_agree;
    let as_claimed = match (expect, margin) {
        (Expect::Higher, _) => differs && value > 0.0,
        (Expect::Lower, _) => differs && value < 0.0,
        (Expect::Same, margin) => {
            let margin = margin.unwrap_or(0.0);
            -margin <= low && high <= margin
        }
    };
    match (as_claimed, differs) {
        (true, _) => Verdict::Holds,
        (false, true) => Verdict::DoesNotHold,
        (false, false) => Verdict::NotResolved,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::stats::Paired;

    #[test]
    fn a_verdict_needs_a_test_a_direction_and_the_seeds() {
        use Expect::{Higher, Lower, Same};
        use Verdict::{DoesNotHold, Holds, NotResolved};
        /// Pairs, only first, only second; the seeds' own differences; what is expected, and what comes of it.
        type Case = ((u64, u64, u64), &'static [f64], Expect, Verdict);
        let table: [Case; 9] = [
            ((300, 40, 5), &[0.1, 0.1, 0.15], Higher, Holds),
            ((300, 40, 5), &[0.1, 0.1, 0.15], Lower, DoesNotHold),
            ((300, 40, 5), &[0.4, -0.02], Higher, NotResolved),
            ((300, 40, 5), &[0.4, 0.0], Higher, Holds),
            ((300, 5, 2), &[0.01], Higher, NotResolved),
            ((300, 0, 0), &[0.0], Same, Holds),
            ((20, 0, 0), &[0.0], Same, NotResolved),
            ((300, 40, 5), &[0.12], Same, DoesNotHold),
            ((1000, 12, 1), &[0.011], Same, Holds),
        ];
        for ((pairs, first, second), seeds, expect, want) in table {
            let paired = Paired::new(pairs, first, second);
            let comparison = Comparison {
                p_holm: paired.p,
                paired,
                by_seed: (0..)
                    .zip(seeds.iter().copied())
                    .collect::<BTreeMap<u64, f64>>(),
            };
            let margin = (expect == Same).then_some(0.05);
            assert_eq!(
                judge(&comparison, expect, margin),
                want,
                "{first} / {second} of {pairs}, {seeds:?}, {expect:?}"
            );
        }
    }
}
