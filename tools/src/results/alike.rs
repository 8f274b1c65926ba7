//! Which reports may be counted together.

use std::collections::BTreeMap;

use anyhow::{Error, Result};

use super::episodes::Given;
use super::tree::{Run, Way};
use crate::bad_input::bad_input;

/// Refuses reports of other episodes, and within a way those of another precision.
pub fn check(ways: &[Way]) -> Result<()> {
    let mut first: Option<&Run> = None;
    let mut known: BTreeMap<(&str, i64), (&Given, &Run)> = BTreeMap::new();
    for way in ways {
        for run in &way.runs {
            let first = *first.get_or_insert(run);
            let same = |what, of: &dyn Fn(&Run) -> String, one| match (of(one), of(run)) {
                (a, b) if a == b => Ok(()),
                (a, b) => Err(differ(one, run, what, &a, &b)),
            };
            same(
                "episodes a split are",
                &|run| run.report.episodes.to_string(),
                first,
            )?;
            same("base seeds are", &|run| run.report.seed.to_string(), first)?;
            let precision = |run: &Run| {
                run.report
                    .precision
                    .clone()
                    .unwrap_or_else(|| "none".to_owned())
            };
            same("precisions are", &precision, &way.runs[0])?;
            for row in &run.rows {
                let (given, other) = *known
                    .entry((&row.group, row.index))
                    .or_insert((&row.given, run));
                if *given != row.given {
                    let what = format!("{} {} is", row.group, row.index);
                    return Err(differ(other, run, &what, &told(given), &told(&row.given)));
                }
            }
        }
    }
    Ok(())
}

/// What two reports say otherwise, so that their episodes cannot be paired.
pub fn differ(one: &Run, other: &Run, what: &str, a: &str, b: &str) -> Error {
    bad_input(format!(
        "{} and {} cannot be counted together: {what} {a} and {b}; evaluate one of them again or move it elsewhere",
        one.dir.display(),
        other.dir.display(),
    ))
}

fn told(given: &Given) -> String {
    format!(
        "\"{}\" (seed {}, cards {})",
        given.instruction,
        given.seed,
        given.cards.join(" ")
    )
}
