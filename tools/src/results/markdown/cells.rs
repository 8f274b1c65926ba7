//! How figures are written.

use std::collections::BTreeMap;

use super::super::findings::LEVEL;
use super::super::paired::Comparison;
use super::super::rates::{Rate, Rates};
use super::super::training::Range;
use crate::stats::{Difference, Metric, Paired, Proportion};

/// Where there is nothing to show.
pub const NONE: &str = "-";

/// Rows of cells as a Markdown table.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let rule = vec!["---".to_owned(); head.len()];
    let mut text = line(&head) + &line(&rule);
    for row in rows {
        text += &line(row);
    }
    text
}

/// Text that shows when its summary is clicked.
pub fn folded(summary: &str, text: &str) -> String {
    format!("<details><summary>{summary}</summary>\n\n{text}\n</details>\n")
}

/// Anybody's text in a cell: no markup, one line.
pub fn plain(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => safe.extend(['\\', c]),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// `**93.3%** [89.9, 95.9]`, below it `280/300, seeds 91.0 .. 95.0`.
pub fn percent(rate: &Rate) -> String {
    let spread = rate.spread().map_or(String::new(), |(low, high)| {
        format!(", seeds {:.1} .. {:.1}", 100.0 * low, 100.0 * high)
    });
    let counts = format!("{}/{}{spread}", rate.pooled.k, rate.pooled.n);
    interval(
        &rate.pooled,
        &counts,
        |value| format!("{:.1}", 100.0 * value),
        "%",
    )
}

/// `**0.900** [0.85, 0.94]`, below it `n 298, seeds 0.87 .. 0.93`.
pub fn grounding(rate: &Rate) -> String {
    let spread = rate.spread().map_or(String::new(), |(low, high)| {
        format!(", seeds {low:.2} .. {high:.2}")
    });
    let counts = format!("n {}{spread}", rate.pooled.n);
    interval(&rate.pooled, &counts, |value| format!("{value:.2}"), "")
}

/// Success, execution, recognition and grounding.
pub fn rate_cells(rates: Option<&Rates>) -> [String; 4] {
    rates.map_or_else(
        || [NONE; 4].map(str::to_owned),
        |rates| {
            [
                percent(&rates.success),
                percent(&rates.execution),
                percent(&rates.recognition),
                grounding(&rates.grounding),
            ]
        },
    )
}

/// A rate with its interval, and small print below.
pub fn interval(
    rate: &Proportion,
    below: &str,
    number: impl Fn(f64) -> String,
    unit: &str,
) -> String {
    match (rate.value, rate.low, rate.high) {
        (Some(value), Some(low), Some(high)) => format!(
            "**{}{unit}** [{}, {}]<br><sub>{below}</sub>",
            number(value),
            number(low),
            number(high)
        ),
        _ => format!("undefined<br><sub>{below}</sub>"),
    }
}

/// `+12.3 [8.0, 16.7]`, in points.
pub fn points(difference: &Difference) -> String {
    let point = |value: f64| signed(100.0 * value);
    match (difference.value, difference.low, difference.high) {
        (Some(value), Some(low), Some(high)) => {
            format!("{} [{}, {}]", point(value), point(low), point(high))
        }
        _ => "undefined".to_owned(),
    }
}

/// Success, execution and recognition of one against the other.
pub fn comparisons(metrics: &BTreeMap<Metric, Comparison>) -> [String; 3] {
    Metric::ALL.map(|metric| metrics.get(&metric).map_or(NONE.to_owned(), comparison))
}

/// `**+12.3 [8.0, 16.7]**`, below it `41 / 4 of 300, p 0.0001`; bold where it counts after Holm's correction.
fn comparison(comparison: &Comparison) -> String {
    let difference = points(&comparison.paired.difference);
    let difference = match comparison.p_holm < LEVEL {
        true => format!("**{difference}**"),
        false => difference,
    };
    format!(
        "{difference}<br><sub>{}, {}</sub>",
        discordant(&comparison.paired),
        p(comparison.paired.p)
    )
}

/// `41 / 4 of 300`.
pub fn discordant(paired: &Paired) -> String {
    format!(
        "{} / {} of {}",
        paired.only_first, paired.only_second, paired.pairs
    )
}

/// With its sign, to one digit; nothing is `0.0`, never `-0.0`.
pub fn signed(value: f64) -> String {
    let text = format!("{value:+.1}");
    if text == "-0.0" || text == "+0.0" {
        return "0.0".to_owned();
    }
    text
}

/// `p 0.0386`.
pub fn p(value: f64) -> String {
    if value < 0.0001 {
        "p < 0.0001".to_owned()
    } else if value >= 0.9995 {
        "p 1".to_owned()
    } else if value >= 0.1 {
        format!("p {value:.2}")
    } else {
        format!("p {value:.4}")
    }
}

/// One number, or lowest and highest.
pub fn range(range: Option<Range>, number: impl Fn(f64) -> String) -> String {
    let Some(range) = range else {
        return NONE.to_owned();
    };
    match (number(range.min), number(range.max)) {
        (min, max) if min == max => min,
        (min, max) => format!("{min} .. {max}"),
    }
}

/// `6.3 M`, `950 k`, `640`.
pub fn count(value: f64) -> String {
    match value {
        _ if value >= 999_500.0 => format!("{:.1} M", value / 1e6),
        _ if value >= 9_995.0 => format!("{:.0} k", value / 1e3),
        _ if value >= 1_000.0 => format!("{:.1} k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (640.0, "640"),
            (3_000.0, "3.0 k"),
            (950_000.0, "950 k"),
            (6_312_000.0, "6.3 M"),
        ] {
            assert_eq!(count(value), text);
        }
        for (value, text) in [
            (1.0, "p 1"),
            (0.51, "p 0.51"),
            (0.0386, "p 0.0386"),
            (1e-9, "p < 0.0001"),
        ] {
            assert_eq!(p(value), text);
        }
        for (value, text) in [(-0.01, "0.0"), (0.0, "0.0"), (1.25, "+1.2"), (-3.0, "-3.0")] {
            assert_eq!(signed(value), text);
        }
    }

    #[test]
    fn titles_cannot_become_markup() {
        assert_eq!(plain("a|b<i>\n*c*"), "a\\|b&lt;i&gt; \\*c\\*");
    }
}
