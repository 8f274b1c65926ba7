//! The figures of the open-loop check for a terminal.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use super::errors::Error;
use super::report::Report;

/// Steps of the chunk that get a column.
const COLUMNS: usize = 5;

/// Errors by number, over the executed steps and at some steps of the chunk.
pub fn render(report: &Report) -> String {
    let steps = shown_steps(report.chunk);
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let mut head: Vec<String> = ["action", "unit", "recorded", "mae", "rms", "max"]
        .map(str::to_owned)
        .into();
    head.extend(steps.iter().map(|step| format!("mae, step {step}")));
    table.set_header(head);
    for number in &report.numbers {
        let Error { mae, rms, max, .. } = number.executed;
        let [low, high] = number.recorded.map(f64::from);
        let mut row = vec![
            number.name.clone(),
            number.unit.clone(),
            format!("{} .. {}", figure(low), figure(high)),
            figure(mae),
            figure(rms),
            figure(max),
        ];
        row.extend(steps.iter().map(|&step| figure(number.by_step[step].mae)));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!(
        "{}, {}: {} chunks, one in {} frames, of {} episodes ({} frames) of {}\n\
         mae, rms and max over the first {} of {} steps, which a control loop executes\n{table}\n",
        report.policy,
        report.precision,
        report.chunks,
        report.stride,
        report.episodes,
        report.frames,
        report.data,
        report.execute,
        report.chunk,
    )
}

/// A number with four digits that count.
pub fn figure(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 8) as usize;
    format!("{value:.digits$}")
}

/// The first step, the last one, and some between.
pub fn shown_steps(chunk: usize) -> Vec<usize> {
    if chunk <= COLUMNS {
        return (0..chunk).collect();
    }
    (0..COLUMNS)
        .map(|place| place * (chunk - 1) / (COLUMNS - 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_reach_from_the_first_to_the_last() {
        assert_eq!(shown_steps(1), [0]);
        assert_eq!(shown_steps(5), [0, 1, 2, 3, 4]);
        assert_eq!(shown_steps(100), [0, 24, 49, 74, 99]);
    }

    #[test]
    fn figures_have_four_digits() {
        for (value, text) in [
            (0.0, "0"),
            (1234.56, "1235"),
            (12.3456, "12.35"),
            (-0.012_346, "-0.01235"),
            (1e-12, "0.00000000"),
        ] {
            assert_eq!(figure(value), text);
        }
    }
}
