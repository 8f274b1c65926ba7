//! The page's sections; empty where there is nothing to show.

use std::fmt::Write;

use super::super::SPLITS;
use super::super::findings::{Finding, LEVEL, Test};
use super::super::probes::{GroupProbe, Mean};
use super::super::tables::{Tables, WayTable};
use super::super::ways::Expect;
use super::cells::{
    NONE, comparisons, count, discordant, folded, interval, p, plain, points, range, rate_cells,
    signed, table,
};

/// What a split's cards are.
pub fn meaning(split: &str) -> &'static str {
    match split {
        "val" => "`val`: cards that no robot data held",
        "train" => "`train`: new combinations of the cards in robot data",
        _ => "`id`: the combinations in robot data",
    }
}

/// The rates of the main rows, or of the others, on a split. Without main rows all are.
pub fn rates(tables: &Tables, split: &str, main: bool) -> String {
    let all_main = tables.ways.iter().all(|way| !way.main);
    let ways = tables
        .ways
        .iter()
        .filter(|way| (way.main || all_main) == main);
    let rows: Vec<Vec<String>> = ways
        .filter(|way| way.rates.contains_key(split))
        .map(|way| {
            let seeds = way.seeds.len().to_string();
            let mut row = vec![name(tables, way), seeds];
            row.extend(rate_cells(way.rates.get(split)));
            row
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let level = if main { "##" } else { "###" };
    let head = [
        "way",
        "seeds",
        "SR",
        "execution",
        "recognition",
        "grounding",
    ];
    format!("{level} {}\n\n{}", meaning(split), table(&head, &rows))
}

/// The same tables for the other rows.
pub fn further(tables: &Tables) -> String {
    let parts: Vec<String> = SPLITS
        .into_iter()
        .map(|split| rates(tables, split, false))
        .filter(|text| !text.is_empty())
        .collect();
    parts.join("\n")
}

fn name(tables: &Tables, way: &WayTable) -> String {
    let title = plain(&way.title);
    match tables.baseline.as_deref() == Some(&way.way) {
        true => format!("{title} (baseline)"),
        false => title,
    }
}

/// Verdicts first, then each finding's tests.
pub fn findings(tables: &Tables) -> String {
    if tables.findings.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = tables
        .findings
        .iter()
        .map(|finding| {
            vec![
                plain(&finding.says),
                format!("**{}**", finding.verdict.name()),
            ]
        })
        .collect();
    let mut text = table(&["the paper's finding", "here"], &rows);
    text.push_str("\nThe tests behind it:\n\n");
    for finding in &tables.findings {
        text += &tests(tables, finding);
    }
    text
}

fn tests(tables: &Tables, finding: &Finding) -> String {
    let mut text = format!("- {}\n", plain(&finding.says));
    for test in &finding.tests {
        let [first, second] = [&test.ways[0], &test.ways[1]].map(|way| plain(tables.title(way)));
        let expected = match (test.expect, test.margin) {
            (Expect::Higher, _) => "higher".to_owned(),
            (Expect::Lower, _) => "lower".to_owned(),
            (Expect::Same, margin) => {
                format!(
                    "the same within {:.1} points",
                    100.0 * margin.unwrap_or(0.0)
                )
            }
        };
        let _ = writeln!(
            text,
            "  - {} on {}, {first} against {second}, expected {expected}: {}. {}",
            test.metric.name(),
            test.on.replace('_', " "),
            test_figures(test),
            capital(test.verdict.name())
        );
    }
    text
}

fn test_figures(test: &Test) -> String {
    let Some(comparison) = &test.comparison else {
        return "no episodes in common".to_owned();
    };
    let seeds: Vec<String> = comparison
        .by_seed
        .values()
        .map(|difference| signed(100.0 * difference))
        .collect();
    format!(
        "{} points, {}, {}, with Holm {}; by seed {}",
        points(&comparison.paired.difference),
        discordant(&comparison.paired),
        p(comparison.paired.p),
        p(comparison.p_holm).trim_start_matches("p "),
        seeds.join(", ")
    )
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(chars).collect::<String>() + "."
    })
}

/// Recognition on train minus recognition on val.
pub fn gap(tables: &Tables) -> String {
    let rows: Vec<Vec<String>> = tables
        .ways
        .iter()
        .filter_map(|way| {
            let short = |split: &str| {
                let rate = way.rates.get(split)?.recognition.pooled;
                Some(format!("{:.1}%", 100.0 * rate.value?))
            };
            let cell = |split| short(split).unwrap_or_else(|| "undefined".to_owned());
            let gap = points(way.gap.as_ref()?);
            Some(vec![name(tables, way), cell("train"), cell("val"), gap])
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = [
        "way",
        "recognition on train",
        "on val",
        "train minus val, points",
    ];
    table(&head, &rows)
}

/// Recognition under each control.
pub fn controls(tables: &Tables) -> String {
    let cell = |way: &WayTable, control: &str| {
        way.rates.get(control).map_or(NONE.to_owned(), |rates| {
            let rate = &rates.recognition.pooled;
            let executed = rates.execution.pooled.value.unwrap_or(0.0);
            let below = format!("{}/{}, execution {:.1}%", rate.k, rate.n, 100.0 * executed);
            interval(rate, &below, |value| format!("{:.1}", 100.0 * value), "%")
        })
    };
    let rows: Vec<Vec<String>> = tables
        .ways
        .iter()
        .filter(|way| {
            super::super::CONTROLS
                .iter()
                .any(|control| way.rates.contains_key(control))
        })
        .map(|way| {
            let mut row = vec![name(tables, way)];
            row.extend(super::super::CONTROLS.map(|control| cell(way, control)));
            row
        })
        .collect();
    let Some(split) = &tables.control_split else {
        return String::new();
    };
    format!(
        "Recognition on `{split}` with another instruction. *Other label*: it names another of the three cards, and the cube must follow it. \
         *Nonsense*: it names nothing, and recognition must fall to chance (33.3%). *Paraphrase*: it names the same card in another \
         sentence.\n\n{}",
        table(&["way", "other label", "nonsense", "paraphrase"], &rows)
    )
}

/// Each way against the baseline, a table per split.
pub fn paired(tables: &Tables) -> String {
    let Some(baseline) = &tables.baseline else {
        return String::new();
    };
    let mut text = format!(
        "Points above or below {}; episodes that only the way and only the baseline got right, and McNemar's exact p. Bold: p below \
         {LEVEL} after Holm's correction over the table.\n",
        plain(tables.title(baseline))
    );
    for split in SPLITS {
        let rows: Vec<Vec<String>> = tables
            .ways
            .iter()
            .filter_map(|way| {
                let against = way.against_baseline.get(split)?;
                let mut row = vec![plain(&way.title)];
                row.extend(comparisons(against));
                Some(row)
            })
            .collect();
        if !rows.is_empty() {
            let head = ["way", "success", "execution", "recognition"];
            let table = table(&head, &rows);
            let _ = match split {
                "val" => write!(text, "\n### On val\n\n{table}"),
                _ => write!(text, "\n{}", folded(&format!("On {split}"), &table)),
            };
        }
    }
    text
}

/// What can be read off the features, before and after robot training.
pub fn probes(tables: &Tables) -> String {
    let mut groups: Vec<&str> = Vec::new();
    for group in tables.probes.iter().flat_map(|probe| &probe.groups) {
        if !groups.contains(&&group.group[..]) {
            groups.push(&group.group);
        }
    }
    if groups.is_empty() {
        return String::new();
    }
    let named: Vec<String> = groups.iter().map(|group| plain(group)).collect();
    let mut head = vec!["way", "seeds"];
    head.extend(named.iter().map(String::as_str));
    type Of = fn(&GroupProbe) -> Mean;
    let kinds: [(&str, Of); 2] = [
        ("Linear probe", |group| group.linear_probe),
        ("Zero-shot naming", |group| group.zero_shot),
    ];
    let mut text = "Accuracy in percent on the VLM's features by group of layers, before → after robot training; means over the training seeds.\n"
        .to_owned();
    for (title, of) in kinds {
        let rows: Vec<Vec<String>> = tables
            .probes
            .iter()
            .map(|probe| {
                let cell = |group: &&str| {
                    let own = probe.groups.iter().find(|own| own.group == **group);
                    own.map_or(NONE.to_owned(), |own| before_after(&of(own)))
                };
                let title = plain(tables.title(&probe.way));
                let mut row = vec![title, probe.seeds.len().to_string()];
                row.extend(groups.iter().map(cell));
                row
            })
            .filter(|row| row[2..].iter().any(|cell| cell != NONE))
            .collect();
        if !rows.is_empty() {
            let _ = write!(text, "\n### {title}\n\n{}", table(&head, &rows));
        }
    }
    text
}

fn before_after(mean: &Mean) -> String {
    let percent =
        |value: Option<f64>| value.map_or(NONE.to_owned(), |value| format!("{:.1}", 100.0 * value));
    let n = mean
        .n
        .map_or(String::new(), |n| format!("<br><sub>n {n}</sub>"));
    match (mean.before, mean.after) {
        (None, None) => NONE.to_owned(),
        (before, after) => format!("{} → {}{n}", percent(before), percent(after)),
    }
}

/// What each way's training took.
pub fn training(tables: &Tables) -> String {
    let rows: Vec<Vec<String>> = tables
        .ways
        .iter()
        .map(|way| {
            let training = &way.training;
            let devices: Vec<String> = training.devices.iter().map(|name| plain(name)).collect();
            let seeds: Vec<String> = way.seeds.iter().map(u64::to_string).collect();
            let or_none = |text: String| {
                if text.is_empty() {
                    NONE.to_owned()
                } else {
                    text
                }
            };
            vec![
                name(tables, way),
                seeds.join(", "),
                range(training.parameters_trained, count),
                range(training.parameters_total, count),
                range(training.steps, count),
                range(training.samples, count),
                range(training.minutes, |minutes| format!("{minutes:.0}")),
                or_none(devices.join(", ")),
                training.precision.as_deref().map_or(NONE.to_owned(), plain),
            ]
        })
        .collect();
    let head = [
        "way",
        "seeds",
        "parameters trained",
        "of",
        "steps",
        "samples",
        "minutes a seed",
        "on",
        "evaluated in",
    ];
    table(&head, &rows)
}
