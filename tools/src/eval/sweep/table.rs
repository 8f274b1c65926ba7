//! The cells of a sweep for a terminal and for the page.

use super::super::html::markup::{head, row};
use super::super::table::{align_right, percent, table};
use super::{Cell, Sweep};

const HEAD: [&str; 10] = [
    "latency, ms",
    "d",
    "scheduler",
    "precision",
    "SR",
    "execution",
    "recognition",
    "jerk, m/s^3",
    "finish, s",
    "ticks held",
];

/// All cells as a table.
pub fn render(sweep: &Sweep) -> String {
    let mut table = table(&HEAD);
    for cell in &sweep.cells {
        table.add_row(cells(cell));
    }
    align_right(&mut table);
    format!(
        "{}: {}\n\n{table}\n\n\
         n/a: the chunk does not last (d > H - s), or the policy cannot do this. Intervals are exact 95% (Clopper-Pearson).\n",
        sweep.policy,
        sweep.conditions(),
    )
}

/// The same for the page, with the reasons.
pub fn html(sweep: &Sweep) -> String {
    let mut html = head(&[&HEAD[..], &["why n/a"]].concat());
    for cell in &sweep.cells {
        let [latency, rest @ ..] = cells(cell);
        let why = cell.not_possible.clone().unwrap_or_default();
        row(&mut html, &latency, rest.into_iter().chain([why]));
    }
    html
}

fn cells(cell: &Cell) -> [String; HEAD.len()] {
    let none = || "n/a".to_owned();
    let figures = cell.figures.as_ref();
    let of = |text: &dyn Fn(&super::Figures) -> String| figures.map_or_else(none, text);
    [
        (cell.latency_us as f64 / 1e3).to_string(),
        cell.delay_steps.to_string(),
        cell.scheduler.clone(),
        cell.precision.clone().unwrap_or_default(),
        of(&|figures| percent(&figures.sr)),
        of(&|figures| percent(&figures.execution)),
        of(&|figures| percent(&figures.recognition)),
        of(&|figures| format!("{:.1}", figures.jerk_m_s3)),
        of(&|figures| {
            figures
                .finish_s
                .map_or_else(|| "none".to_owned(), |s| format!("{s:.2}"))
        }),
        of(&|figures| figures.late.policy.to_string()),
    ]
}
