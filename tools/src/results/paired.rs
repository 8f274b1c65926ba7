//! Two ways on the same episodes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::episodes::Row;
use super::tree::{Run, Way};
use crate::stats::{Metric, Paired, holm};

/// One comparison, over the training seeds that both ways have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Counts, test and difference over all of these seeds.
    #[serde(flatten)]
    pub paired: Paired,
    /// `p` after Holm's correction over the table that this stands in.
    pub p_holm: f64,
    /// The difference of each training seed by itself.
    pub by_seed: BTreeMap<u64, f64>,
}

/// Pairs the episodes of two ways by training seed and episode; recognition where both executed. `None` where they share none.
pub fn compare(first: &Way, second: &Way, group: &str, metric: Metric) -> Option<Comparison> {
    let (mut pairs, mut only_first, mut only_second) = (0, 0, 0);
    let mut by_seed = BTreeMap::new();
    for one in &first.runs {
        let Some(other) = second.runs.iter().find(|run| run.seed == one.seed) else {
            continue;
        };
        let own = count(one, other, group, metric);
        pairs += own.pairs;
        only_first += own.only_first;
        only_second += own.only_second;
        by_seed.extend(own.difference.value.map(|value| (one.seed, value)));
    }
    let paired = Paired::new(pairs, only_first, only_second);
    (pairs > 0).then_some(Comparison {
        paired,
        p_holm: paired.p,
        by_seed,
    })
}

/// One comparison per metric, where the two share episodes.
pub fn by_metric(first: &Way, second: &Way, group: &str) -> BTreeMap<Metric, Comparison> {
    Metric::ALL
        .into_iter()
        .filter_map(|metric| Some((metric, compare(first, second, group, metric)?)))
        .collect()
}

/// Corrects all comparisons of a table for each other.
pub fn correct<'a>(comparisons: impl Iterator<Item = &'a mut Comparison>) {
    let comparisons: Vec<&mut Comparison> = comparisons.collect();
    let p: Vec<f64> = comparisons.iter().map(|one| one.paired.p).collect();
    for (one, p_holm) in comparisons.into_iter().zip(holm(&p)) {
        one.p_holm = p_holm;
    }
}

fn count(one: &Run, other: &Run, group: &str, metric: Metric) -> Paired {
    let rows = |run: &'_ Run| -> BTreeMap<i64, Option<bool>> {
        let rows = run.rows.iter().filter(|row: &&Row| row.group == group);
        rows.map(|row| (row.index, metric.right(row.executed, row.success)))
            .collect()
    };
    let others = rows(other);
    Paired::of(
        rows(one)
            .into_iter()
            .map(|(index, one)| (one, others.get(&index).copied().flatten())),
    )
}
