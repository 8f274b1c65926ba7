//! The page's part on precisions.

use std::fmt::Write;

use super::super::SPLITS;
use super::super::findings::LEVEL;
use super::super::precisions::{Goal, GoalTest, PairTable, Precisions, VariantTable};
use super::cells::{NONE, comparisons, folded, plain, points, rate_cells, table};
use super::emojis;
use super::sections::meaning;

/// All of it, from the goals down to single emojis.
pub fn section(precisions: &Precisions) -> String {
    let parts = [
        intro(precisions),
        goals(precisions),
        costs(precisions),
        rates(precisions),
        paired(precisions),
        pairs(precisions),
        emojis::forgotten(precisions),
        commands(precisions),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

fn intro(precisions: &Precisions) -> String {
    let policy = precisions.policy.as_deref().unwrap_or("One policy");
    let mut text = format!(
        "{} in {} variants of precision, each on the same {} episodes of every split (base seed {}), from the reports in \
         `models/precisions`.",
        plain(policy),
        precisions.variants.len(),
        precisions.episodes,
        precisions.seed
    );
    if !precisions.without_reports.is_empty() {
        let names: Vec<String> = precisions
            .without_reports
            .iter()
            .map(|own| plain(own))
            .collect();
        let _ = write!(text, " Planned, without reports: {}.", names.join("; "));
    }
    text + "\n"
}

/// Whether what was aimed at is reached.
fn goals(precisions: &Precisions) -> String {
    let mut text = String::new();
    for goal in &precisions.goals {
        let _ = writeln!(text, "- {}", plain(&goal.says));
        for variant in goal.variants() {
            let _ = writeln!(text, "  - {}", goal_of(precisions, goal, variant));
        }
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "Goals, by the difference on the same episodes; *surely* where its whole 95% interval is on that side:\n\n{text}"
    )
}

fn goal_of(precisions: &Precisions, goal: &Goal, variant: &str) -> String {
    let tests = goal.tests.iter().filter(|test| test.variant == variant);
    let told = |test: &GoalTest| {
        format!(
            "{} {} points, {}",
            test.metric.name(),
            points(&test.paired.difference),
            verdict((test.is_met, test.is_certain))
        )
    };
    let told: Vec<String> = tests.map(told).collect();
    format!(
        "{}: **{}**. On {}: {}.",
        plain(precisions.title(variant)),
        verdict(goal.verdict(variant)),
        goal.on,
        told.join("; ")
    )
}

/// Met or not, and whether that is certain.
fn verdict(verdict: (bool, bool)) -> &'static str {
    match verdict {
        (true, true) => "surely met",
        (true, false) => "met, not surely",
        (false, true) => "surely missed",
        (false, false) => "missed, not surely",
    }
}

/// What each takes, and how far its actions are off.
fn costs(precisions: &Precisions) -> String {
    let number = |value: Option<String>| value.unwrap_or_else(|| NONE.to_owned());
    let rows: Vec<Vec<String>> = precisions
        .variants
        .iter()
        .map(|own| {
            let of_float = own.bytes.zip(own.float_bytes);
            let action = own.action;
            vec![
                name(precisions, own),
                number(own.bytes.map(grouped)),
                number(of_float.map(|(bytes, float)| {
                    format!("{:.0}%", 100.0 * bytes as f64 / float.max(1) as f64)
                })),
                number(
                    own.float_layers
                        .map(|(float, all)| format!("{float} of {all}")),
                ),
                number(action.map(|error| format!("{:.4}", error.action_rms))),
                number(action.map(|error| format!("{:.2}", error.action_max))),
                number(
                    action
                        .and_then(|error| error.translation_rms_mm)
                        .map(|mm| format!("{mm:.2}")),
                ),
                number(
                    action
                        .and_then(|error| error.gripper_flips)
                        .map(|(flips, of)| format!("{flips} of {of}")),
                ),
                number(own.inference_ms.map(|ms| format!("{ms:.1}"))),
            ]
        })
        .collect();
    let head = [
        "precision",
        "bytes of the graphs",
        "of float",
        "layers in float",
        "action error, rms",
        "max",
        "mm a step",
        "gripper flips",
        "inference, ms",
    ];
    let mut moments: Vec<u64> = precisions
        .variants
        .iter()
        .filter_map(|own| own.action_moments)
        .collect();
    moments.sort_unstable();
    moments.dedup();
    let moments: Vec<String> = moments.iter().map(u64::to_string).collect();
    let on = match moments.is_empty() {
        true => String::new(),
        false => format!(
            " on {} moments of demonstrations that calibration has not seen",
            moments.join(" or ")
        ),
    };
    format!(
        "### What it takes\n\nAction error: of normalised actions, against the float graphs{on}. Inference: `wink bench`'s median of \
         the act graph on one thread, nothing else running.\n\n{}",
        table(&head, &rows)
    )
}

/// `6,662,495`.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn name(precisions: &Precisions, own: &VariantTable) -> String {
    let title = plain(&own.title);
    match precisions.baseline.as_deref() == Some(&own.variant) {
        true => format!("{title} (baseline)"),
        false => title,
    }
}

fn rates(precisions: &Precisions) -> String {
    let head = ["precision", "SR", "execution", "recognition", "grounding"];
    by_split(
        &head,
        |split| meaning(split).to_owned(),
        |split| {
            let variants = precisions.variants.iter();
            variants
                .filter(|own| own.rates.contains_key(split))
                .map(|own| {
                    let mut row = vec![name(precisions, own)];
                    row.extend(rate_cells(own.rates.get(split)));
                    row
                })
                .collect()
        },
    )
}

/// A table per split: open for val, folded for the others.
fn by_split(
    head: &[&str],
    title: impl Fn(&'static str) -> String,
    rows: impl Fn(&'static str) -> Vec<Vec<String>>,
) -> String {
    let mut parts = Vec::new();
    for split in SPLITS {
        let rows = rows(split);
        if rows.is_empty() {
            continue;
        }
        let table = table(head, &rows);
        parts.push(match split {
            "val" => format!("### {}\n\n{table}", title(split)),
            _ => folded(&title(split), &table),
        });
    }
    parts.join("\n")
}

/// Each variant against the baseline.
fn paired(precisions: &Precisions) -> String {
    let Some(baseline) = &precisions.baseline else {
        return String::new();
    };
    let baseline = plain(precisions.title(baseline));
    let head = ["precision", "success", "execution", "recognition"];
    let tables = by_split(
        &head,
        |split| format!("Against {baseline} on {split}, on the same episodes"),
        |split| {
            let against = |own: &VariantTable| {
                let mut row = vec![plain(&own.title)];
                row.extend(comparisons(own.against_baseline.get(split)?));
                Some(row)
            };
            precisions.variants.iter().filter_map(against).collect()
        },
    );
    if tables.is_empty() {
        return tables;
    }
    let metrics = precisions
        .variants
        .iter()
        .flat_map(|own| own.against_baseline.values());
    let all: Vec<f64> = metrics
        .flat_map(|metrics| metrics.values().map(|one| one.p_holm))
        .collect();
    let low = all.iter().filter(|p| **p < LEVEL).count();
    format!(
        "{tables}\nPoints above or below {baseline}; episodes that only the variant and only {baseline} got right, and McNemar's exact p. \
         Bold: p below {LEVEL} after Holm's correction over the table: {low} of {} in all tables.\n",
        all.len()
    )
}

/// What minding the actions changes.
fn pairs(precisions: &Precisions) -> String {
    let head = [
        "aware − naive",
        "success",
        "execution",
        "recognition",
        "action error, rms",
        "bytes",
    ];
    let row = |pair: &PairTable, split: &str| {
        let both = [&pair.naive, &pair.aware].map(|folder| precisions.variant(folder));
        let [naive, aware] = both;
        let (naive, aware) = naive.zip(aware)?;
        let change = |of: &dyn Fn(&VariantTable) -> Option<String>| {
            let values = of(naive).zip(of(aware));
            values.map_or(NONE.to_owned(), |(naive, aware)| {
                format!("{naive} → {aware}")
            })
        };
        let mut row = vec![format!("{} − {}", plain(&aware.title), plain(&naive.title))];
        row.extend(comparisons(pair.aware_against_naive.get(split)?));
        row.push(change(&|own| {
            Some(format!("{:.4}", own.action?.action_rms))
        }));
        row.push(change(&|own| own.bytes.map(grouped)));
        Some(row)
    };
    let tables = by_split(
        &head,
        |split| format!("Action-aware against naive on {split}"),
        |split| {
            precisions
                .pairs
                .iter()
                .filter_map(|pair| row(pair, split))
                .collect()
        },
    );
    if tables.is_empty() {
        return tables;
    }
    format!(
        "{tables}\nNaive: every layer in the scheme, every weight to the nearest. Action-aware: layers whose rounding moves the actions most \
         stay float, or weights are rounded by what it does to the layer's output. Points, counts and bold as above.\n"
    )
}

/// How each was made.
fn commands(precisions: &Precisions) -> String {
    let mut text = String::new();
    let code = |command: &str| format!("`{}`", command.replace('`', "'"));
    for own in &precisions.variants {
        if let Some(made) = &own.made {
            let ranges = own
                .calibration
                .as_ref()
                .map_or(String::new(), |calibration| {
                    format!(", ranges by {}", plain(calibration))
                });
            let _ = writeln!(text, "- {}: {}{ranges}", plain(&own.title), code(made));
        }
    }
    if let Some(evaluated) = &precisions.evaluated {
        let _ = writeln!(text, "- each evaluated by {}", code(evaluated));
    }
    match text.is_empty() {
        true => text,
        false => folded("How each was made", &text),
    }
}
