//! `report.html` of the open-loop check: one file that opens offline, plots included.

use super::plots::{self, Trace};
use super::report::Report;
use super::table::{figure, shown_steps};
use crate::eval::html::fill;
use crate::eval::html::markup::{escape, head, row};

const PAGE: &str = include_str!("report.html");

/// The page. Text from packages and data sets is escaped: it may be anybody's.
pub fn render(report: &Report, traces: &[Trace]) -> String {
    let parts = [
        (
            "title",
            escape(&format!("{}, {}", report.policy, report.precision)),
        ),
        (
            "summary",
            escape(&format!(
                "{} chunks, one in {} frames, of {} episodes ({} frames at {} Hz) of {}; wink {}",
                report.chunks,
                report.stride,
                report.episodes,
                report.frames,
                report.fps,
                report.data,
                report.wink
            )),
        ),
        ("executed", executed(report)),
        ("steps", steps(report)),
        (
            "by_step",
            report
                .numbers
                .iter()
                .map(|number| plots::by_step(number, report))
                .collect(),
        ),
        (
            "traces",
            traces.iter().map(|one| trace(one, report)).collect(),
        ),
    ];
    fill(PAGE, &parts)
}

fn executed(report: &Report) -> String {
    let mut html = head(&[
        "action",
        "unit",
        "smallest recorded",
        "largest",
        "mae",
        "rms",
        "max",
    ]);
    for number in &report.numbers {
        let [low, high] = number.recorded.map(f64::from);
        let error = number.executed;
        let figures = [low, high, error.mae, error.rms, error.max].map(figure);
        let unit = number.unit.clone();
        row(&mut html, &number.name, [unit].into_iter().chain(figures));
    }
    html
}

fn steps(report: &Report) -> String {
    let steps = shown_steps(report.chunk);
    let names: Vec<String> = steps.iter().map(|step| format!("step {step}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut html = head(&[&["action"][..], &names].concat());
    for number in &report.numbers {
        let errors = steps.iter().map(|&step| figure(number.by_step[step].mae));
        row(&mut html, &number.name, errors);
    }
    html
}

fn trace(trace: &Trace, report: &Report) -> String {
    let numbers = report.numbers.iter().enumerate();
    let plots: String = numbers
        .map(|(place, number)| plots::trace(trace, place, number, report.fps))
        .collect();
    format!("<h3>Episode {}</h3>\n{plots}", trace.episode)
}
