//! Rates of a way, over all its training seeds.

use std::collections::BTreeMap;

use serde::Serialize;

use super::tree::{Run, Way};
use crate::stats::{Difference, Metric, Proportion};

/// The rates of one way on one split or control.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rates {
    /// Success rate.
    pub success: Rate,
    /// Set down on some card.
    pub execution: Rate,
    /// Of those, on the named one.
    pub recognition: Rate,
    /// Recognition rescaled so that chance is 0.
    pub grounding: Rate,
}

/// A rate over all training seeds, and how far it differs between them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rate {
    /// All seeds' episodes counted together.
    #[serde(flatten)]
    pub pooled: Proportion,
    /// Each training seed's own.
    pub by_seed: BTreeMap<u64, f64>,
}

impl Rate {
    /// Lowest and highest among the training seeds, where there are several.
    pub fn spread(&self) -> Option<(f64, f64)> {
        let mut values: Vec<f64> = self.by_seed.values().copied().collect();
        values.sort_by(f64::total_cmp);
        match values[..] {
            [low, .., high] => Some((low, high)),
            _ => None,
        }
    }

    fn of(way: &Way, group: &str, metric: Metric) -> Self {
        let mut by_seed = BTreeMap::new();
        let (mut k, mut n) = (0, 0);
        for run in &way.runs {
            let own = count(run, group, metric);
            k += own.k;
            n += own.n;
            by_seed.extend(own.value.map(|value| (run.seed, value)));
        }
        Self {
            pooled: Proportion::new(k, n),
            by_seed,
        }
    }

    fn grounding(&self) -> Self {
        let rescale = |rate: f64| Proportion {
            value: Some(rate),
            ..self.pooled
        };
        Self {
            pooled: self.pooled.grounding(),
            by_seed: self
                .by_seed
                .iter()
                .filter_map(|(&seed, &rate)| Some((seed, rescale(rate).grounding().value?)))
                .collect(),
        }
    }
}

impl Rates {
    /// `None` where no training seed was evaluated on this split or control.
    pub fn of(way: &Way, group: &str) -> Option<Self> {
        let has_any = way
            .runs
            .iter()
            .any(|run| run.rows.iter().any(|row| row.group == group));
        has_any.then(|| {
            let recognition = Rate::of(way, group, Metric::Recognition);
            Self {
                success: Rate::of(way, group, Metric::Success),
                execution: Rate::of(way, group, Metric::Execution),
                grounding: recognition.grounding(),
                recognition,
            }
        })
    }
}

/// How much recognition is lost on cards that no robot data held.
pub fn gap(train: &Rates, val: &Rates) -> Difference {
    Difference::of_independent(&train.recognition.pooled, &val.recognition.pooled)
}

fn count(run: &Run, group: &str, metric: Metric) -> Proportion {
    let rows = run.rows.iter().filter(|row| row.group == group);
    let (mut k, mut n) = (0, 0);
    for right in rows.filter_map(|row| metric.right(row.executed, row.success)) {
        n += 1;
        k += u64::from(right);
    }
    Proportion::new(k, n)
}
