//! What a faster precision buys: the latency that it saves, in success.

use serde::Serialize;

use crate::eval::sweep::{Cell, Sweep};
use crate::stats::{Difference, Proportion};

/// How fast a precision is against the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Speed {
    /// Its name.
    pub precision: String,
    /// That of the first.
    pub first: String,
    /// The first's time of an inference over its own, the median over all cells that both have.
    pub ratio: f64,
}

/// A precision against the first on a computer on which the first has one of the latencies.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gain {
    /// The scheduler's name.
    pub scheduler: String,
    /// The precision.
    pub precision: String,
    /// The first's latency, microseconds.
    pub first_us: u64,
    /// The precision's: the least of the sweep that is not below `first_us` over the ratio of times.
    pub latency_us: u64,
    /// Success of the first; `None` where its latency is too long for the scheduler.
    pub first: Option<Proportion>,
    /// Success of the precision.
    pub sr: Option<Proportion>,
    /// Precision minus first, where both are there.
    pub difference: Option<Difference>,
}

/// One for each precision but the first.
pub fn speeds(sweep: &Sweep) -> Vec<Speed> {
    let precisions = sweep.precisions();
    let Some((first, others)) = precisions.split_first() else {
        return Vec::new();
    };
    let speed = |precision: &&str| {
        let mut ratios: Vec<f64> = sweep
            .cells
            .iter()
            .filter(|cell| cell.precision.as_deref() == Some(*precision))
            .filter_map(|cell| {
                let base = find(sweep, cell.latency_us, &cell.scheduler, first)?;
                let us = |cell: &Cell| Some(cell.figures?.policy_p50_us as f64);
                Some(us(base)? / us(cell)?.max(1.0))
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        Some(Speed {
            ratio: *ratios.get(ratios.len() / 2)?,
            precision: (*precision).to_owned(),
            first: (*first).to_owned(),
        })
    };
    others.iter().filter_map(speed).collect()
}

/// By scheduler, then by latency of the first.
pub fn gains(sweep: &Sweep, speeds: &[Speed]) -> Vec<Gain> {
    let mut latencies = sweep.latencies();
    latencies.sort_unstable();
    let schedulers = sweep.schedulers();
    let mut gains = Vec::new();
    for speed in speeds {
        for scheduler in &schedulers {
            for &first_us in latencies.iter().filter(|us| **us > 0) {
                let own_us = first_us as f64 / speed.ratio;
                let Some(&latency_us) = latencies.iter().find(|us| **us as f64 >= own_us) else {
                    continue;
                };
                let sr = |us, precision: &str| {
                    let cell = find(sweep, us, scheduler, precision)?;
                    Some(cell.figures?.sr)
                };
                let first = sr(first_us, &speed.first);
                let own = sr(latency_us, &speed.precision);
                if own.is_none() && first.is_none() {
                    continue;
                }
                let both = own.as_ref().zip(first.as_ref());
                gains.push(Gain {
                    scheduler: (*scheduler).to_owned(),
                    precision: speed.precision.clone(),
                    first_us,
                    latency_us,
                    difference: both.map(|(own, first)| Difference::of_independent(own, first)),
                    first,
                    sr: own,
                });
            }
        }
    }
    gains
}

fn find<'a>(
    sweep: &'a Sweep,
    latency_us: u64,
    scheduler: &str,
    precision: &str,
) -> Option<&'a Cell> {
    sweep.cells.iter().find(|cell| {
        cell.latency_us == latency_us
            && cell.scheduler == scheduler
            && cell.precision.as_deref() == Some(precision)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::sweep::Figures;
    use crate::eval::timing::Late;

    fn cell(latency_ms: u64, precision: &str, k: u64, policy_p50_us: u64) -> Cell {
        Cell {
            latency_us: 1_000 * latency_ms,
            delay_steps: 0,
            scheduler: "naive".to_owned(),
            precision: Some(precision.to_owned()),
            figures: (k > 0).then(|| Figures {
                sr: Proportion::new(k, 10),
                execution: Proportion::new(k, 10),
                recognition: Proportion::new(k, k),
                jerk_m_s3: 1.0,
                finish_s: None,
                late: Late::default(),
                policy_p50_us,
            }),
            not_possible: (k == 0).then(|| "too long".to_owned()),
        }
    }

    #[test]
    fn a_precision_is_read_at_the_latency_that_it_has_where_the_first_has_another() {
        let sweep = Sweep {
            policy: "p".to_owned(),
            seed: 0,
            wink: "1".to_owned(),
            episodes: 10,
            splits: vec!["val".to_owned()],
            card_speed_m_s: 0.0,
            cells: vec![
                cell(0, "f32", 10, 30),
                cell(0, "int8", 9, 10),
                cell(100, "f32", 8, 20),
                cell(100, "int8", 7, 10),
                cell(200, "f32", 4, 21),
                cell(200, "int8", 5, 10),
                cell(400, "f32", 0, 20),
                cell(400, "int8", 0, 10),
            ],
        };
        let speeds = speeds(&sweep);
        assert_eq!(speeds.len(), 1);
        assert_eq!(speeds[0].ratio, 2.1);
        let told: Vec<_> = gains(&sweep, &speeds)
            .iter()
            .map(|gain| {
                let k = |rate: Option<Proportion>| rate.map(|rate| rate.k);
                (
                    gain.first_us,
                    gain.latency_us,
                    k(gain.first),
                    k(gain.sr),
                    gain.difference.is_some(),
                )
            })
            .collect();
        // 100 ms are 48 for int8, which the sweep has not: the next is 100.
        assert_eq!(
            told,
            [
                (100_000, 100_000, Some(8), Some(7), true),
                (200_000, 100_000, Some(4), Some(7), true),
                (400_000, 200_000, None, Some(5), false),
            ]
        );
    }
}
