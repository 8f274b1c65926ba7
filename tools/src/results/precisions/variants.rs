//! The stored variants: a folder each.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use super::plan::Plan;
use crate::bad_input::bad_input;
use crate::quantize::record::{Record, SchemeRecord};
use crate::results::alike;
use crate::results::files::{folders, read_optional_json, told};
use crate::results::tree::{Run, Way, in_order, read_evaluation};

/// What `wink quantize` wrote beside the package that was evaluated.
const RECORD: &str = "quantize.json";

/// What `wink bench --json` printed for the package that was evaluated.
const BENCH: &str = "bench.json";

/// A row of `wink bench`.
#[derive(Debug, Clone, Deserialize)]
struct Timing {
    precision: String,
    engine: String,
    threads: usize,
    median_ms: Option<f64>,
}

/// One precision of the policy, made in some way.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Its evaluation, as a way with a single run.
    pub way: Way,
    /// How its package was made.
    pub made: Option<String>,
    /// What `quantize.json` says.
    pub record: Option<Record>,
    bench: Option<Vec<Timing>>,
}

impl Variant {
    /// Median of the act graph in this runtime on one thread, as `bench.json` says.
    pub fn inference_ms(&self) -> Option<f64> {
        let mut rows = self.bench.iter().flatten();
        let row = rows.find(|row| {
            row.engine == "wink" && row.threads == 1 && Some(&row.precision[..]) == self.precision()
        });
        row?.median_ms
    }

    /// The evaluation.
    pub fn run(&self) -> &Run {
        &self.way.runs[0]
    }

    /// The evaluated precision.
    pub fn precision(&self) -> Option<&str> {
        self.run().report.precision.as_deref()
    }

    /// What `quantize.json` says of the evaluated precision.
    pub fn scheme(&self) -> Option<&SchemeRecord> {
        let schemes = &self.record.as_ref()?.schemes;
        schemes
            .iter()
            .find(|scheme| Some(&scheme.scheme[..]) == self.precision())
    }
}

/// All variants that have reports, in the plan's order.
pub fn read(dir: &Path, plan: &Plan) -> Result<Vec<Variant>> {
    let planned = plan.variants.iter().map(|variant| &variant.folder[..]);
    let variants: Vec<Variant> = in_order(planned, &folders(dir)?)
        .iter()
        .map(|folder| read_variant(dir, folder, plan))
        .collect::<Result<_>>()?;
    let ways: Vec<Way> = variants.iter().map(|variant| variant.way.clone()).collect();
    alike::check(&ways)?;
    check_policy(&variants)?;
    Ok(variants)
}

fn read_variant(dir: &Path, folder: &str, plan: &Plan) -> Result<Variant> {
    let dir = dir.join(folder);
    let planned = plan.variants.iter().find(|own| own.folder == folder);
    let variant = Variant {
        record: read_optional_json(&dir.join(RECORD))?,
        bench: read_optional_json(&dir.join(BENCH))?,
        made: planned.and_then(|planned| planned.made.clone()),
        way: Way {
            folder: folder.to_owned(),
            title: planned
                .and_then(|planned| planned.title.clone())
                .unwrap_or_else(|| folder.to_owned()),
            main: false,
            runs: vec![read_evaluation(&dir)?],
        },
    };
    for (file, silent) in [
        (
            RECORD,
            variant.record.is_some() && variant.scheme().is_none(),
        ),
        (
            BENCH,
            variant.bench.is_some() && variant.inference_ms().is_none(),
        ),
    ] {
        if silent {
            let precision = variant.precision().unwrap_or("none");
            return Err(told(
                &dir.join(file),
                bad_input(format!(
                    "says nothing of precision {precision}, which report.json beside it evaluated"
                )),
            ));
        }
    }
    Ok(variant)
}

/// All must be of one policy, and of the same float graphs.
fn check_policy(variants: &[Variant]) -> Result<()> {
    type Of = fn(&Variant) -> Option<String>;
    let alike: [(&str, Of); 2] = [
        ("policies are", |variant| {
            variant.run().report.policy.clone()
        }),
        ("float graphs have bytes", |variant| {
            let record = variant.record.as_ref()?;
            Some(record.float_bytes.to_string())
        }),
    ];
    for (what, of) in alike {
        let mut told = variants.iter().filter_map(|own| Some((own, of(own)?)));
        let Some((first, wanted)) = told.next() else {
            continue;
        };
        if let Some((other, got)) = told.find(|(_, got)| *got != wanted) {
            return Err(alike::differ(first.run(), other.run(), what, &wanted, &got));
        }
    }
    Ok(())
}
