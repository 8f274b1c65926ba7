//! The comparison for a terminal.

use std::fmt::Write;

use comfy_table::CellAlignment;

use super::{Comparison, Group, Side};
use crate::eval::table::{align_right, grounding, percent, table};
use crate::stats::{Metric, Paired};

/// What each takes, then each split and control with the differences to the first.
pub fn render(comparison: &Comparison) -> String {
    let first = comparison.precisions.first();
    let first = first.map_or("", |first| &first.precision);
    let mut text = format!(
        "{}: {} episodes a row, seeds from {}\n\n{}\n",
        comparison.policy,
        comparison.episodes,
        comparison.seed,
        costs(comparison, first)
    );
    let mut keys: Vec<&String> = comparison
        .precisions
        .iter()
        .flat_map(|own| own.groups.keys())
        .collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let _ = writeln!(text, "\n{}", rates(comparison, key, first));
    }
    let _ = write!(
        text,
        "\nIntervals are exact 95% (Clopper-Pearson); differences are in points on the same episodes, with Tango's interval and McNemar's p\n\
         after Holm's correction over the table. Action error: of normalised actions, against {first}{}. Latency: this machine, {} side by\n\
         side; `wink bench` is the careful one.\n",
        moments(comparison),
        comparison.jobs
    );
    text
}

fn moments(comparison: &Comparison) -> String {
    let mut measured = comparison
        .precisions
        .iter()
        .filter_map(|own| own.action_moments);
    measured.next().map_or(String::new(), |count| {
        format!(" on {count} moments of demonstrations")
    })
}

fn costs(comparison: &Comparison, first: &str) -> comfy_table::Table {
    let against = format!("of {first}");
    let mut table = table(&[
        "precision",
        "bytes",
        &against,
        "action error, rms",
        "max",
        "policy p50, ms",
    ]);
    let first_bytes = comparison
        .precisions
        .first()
        .map_or(1, |own| own.bytes.max(1));
    for own in &comparison.precisions {
        let action = |digits: usize, of: fn(&Side) -> Option<f32>| {
            of(own).map_or("-".to_owned(), |value| format!("{value:.digits$}"))
        };
        table.add_row([
            own.precision.clone(),
            own.bytes.to_string(),
            format!("{:.0}%", 100.0 * own.bytes as f64 / first_bytes as f64),
            action(4, |own| Some(own.action?.action_rms)),
            action(2, |own| Some(own.action?.action_max)),
            format!("{:.2}", own.policy_p50_us as f64 / 1e3),
        ]);
    }
    align_right(&mut table);
    table
}

fn rates(comparison: &Comparison, key: &str, first: &str) -> comfy_table::Table {
    let against = [Metric::Execution, Metric::Recognition]
        .map(|metric| format!("{} − {first}", metric.name()));
    let name = key.replace('_', " ");
    let mut table = table(&[
        &name,
        "SR",
        "execution",
        "recognition",
        "grounding",
        &against[0],
        &against[1],
    ]);
    for own in &comparison.precisions {
        let Some(group) = own.groups.get(key) else {
            continue;
        };
        table.add_row([
            own.precision.clone(),
            percent(&group.sr),
            percent(&group.execution),
            percent(&group.recognition),
            grounding(&group.grounding),
            difference(group, Metric::Execution),
            difference(group, Metric::Recognition),
        ]);
    }
    for column in table.column_iter_mut().skip(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// `-1.0 [-3.0, +0.3] p 0.25`.
fn difference(group: &Group, metric: Metric) -> String {
    let Some(against) = group.against_first.get(&metric) else {
        return String::new();
    };
    let Paired { difference, .. } = against.paired;
    let (Some(value), Some(low), Some(high)) = (difference.value, difference.low, difference.high)
    else {
        return "undefined".to_owned();
    };
    let [value, low, high] = [value, low, high].map(|end| 100.0 * end);
    format!(
        "{value:+.1} [{low:+.1}, {high:+.1}] p {:.3}",
        against.p_holm
    )
}
