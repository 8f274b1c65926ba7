//! The page's tables.

use std::collections::BTreeMap;

use wink_sim::outcome::Failure;

use super::super::confusion::{Confusion, PLACES};
use super::super::episode::Episode;
use super::super::instruction::Control;
use super::super::report::Report;
use super::super::table;
use super::markup::{head, row};
use crate::stats::Proportion;

/// Rates by split and control.
pub fn scores(report: &Report) -> String {
    let mut html = head(&["split", "SR", "execution", "recognition", "grounding"]);
    for (name, scores) in table::rows(report) {
        let rates = [&scores.sr, &scores.execution, &scores.recognition].map(table::percent);
        row(
            &mut html,
            &name,
            rates
                .into_iter()
                .chain([table::grounding(&scores.grounding)]),
        );
    }
    html
}

/// Failures by kind.
pub fn failures(report: &Report) -> String {
    let kinds = Failure::ALL.map(table::words);
    let mut html = head(&[&["split"][..], &kinds.each_ref().map(String::as_str)].concat());
    for (name, scores) in table::rows(report) {
        row(&mut html, &name, table::failure_counts(scores));
    }
    html
}

/// Where the time goes.
pub fn latencies(report: &Report) -> String {
    let mut html = head(&["latency, ms", "p50", "p95", "p99", "max", "n"]);
    for (name, stage) in table::stages(report) {
        let times = table::milliseconds(&stage).into_iter();
        row(&mut html, name, times.chain([stage.n.to_string()]));
    }
    html
}

/// Recognition by the place of the named card.
pub fn places(report: &Report) -> String {
    let mut html = head(&[
        "split",
        "named card",
        "named",
        "executed",
        "recognition",
        "taken for left",
        "for middle",
        "for right",
    ]);
    for (split, confusion) in confusions(report) {
        for place in &confusion.places {
            let tally = place.tally;
            let rate = table::percent(&Proportion::new(tally.right, tally.executed));
            let taken = PLACES.map(|other| {
                place
                    .taken_for
                    .get(other)
                    .map_or(String::new(), u64::to_string)
            });
            row(
                &mut html,
                split,
                [
                    place.place.to_owned(),
                    tally.named.to_string(),
                    tally.executed.to_string(),
                    rate,
                ]
                .into_iter()
                .chain(taken),
            );
        }
    }
    html
}

/// What was taken for what, by split.
pub fn pairs(report: &Report) -> String {
    let mut html = head(&["split", "named", "placed on", "times"]);
    for (split, confusion) in confusions(report) {
        for pair in &confusion.pairs {
            row(
                &mut html,
                split,
                [
                    pair.named.clone(),
                    pair.placed_on.clone(),
                    pair.n.to_string(),
                ],
            );
        }
    }
    html
}

fn confusions(report: &Report) -> impl Iterator<Item = (&str, &Confusion)> {
    report
        .splits
        .iter()
        .filter_map(|(split, scores)| Some((&split[..], scores.confusion.as_ref()?)))
}

/// Which named emojis are recognised, worst first; the controls are left out.
pub fn emojis(episodes: &[Episode]) -> String {
    #[derive(Default)]
    struct Tally {
        named: u64,
        executed: u64,
        recognised: u64,
        taken_for: BTreeMap<String, u64>,
    }
    let mut tallies: BTreeMap<(String, String), Tally> = BTreeMap::new();
    for episode in episodes
        .iter()
        .filter(|episode| episode.group.control == Control::None)
    {
        let named = &episode.cards[episode.judged];
        let tally = tallies
            .entry((named.label.clone(), named.glyph.clone()))
            .or_default();
        tally.named += 1;
        tally.executed += u64::from(episode.executed());
        tally.recognised += u64::from(episode.success);
        if let Some(wrong) = episode.wrong_card() {
            *tally
                .taken_for
                .entry(episode.cards[wrong].label.clone())
                .or_default() += 1;
        }
    }
    let mut sorted: Vec<_> = tallies.into_iter().collect();
    let rate = |tally: &Tally| {
        Proportion::new(tally.recognised, tally.executed)
            .value
            .unwrap_or(f64::INFINITY)
    };
    sorted.sort_by(|(_, a), (_, b)| {
        rate(a)
            .total_cmp(&rate(b))
            .then(b.executed.cmp(&a.executed))
    });

    let mut html = head(&["emoji", "named", "executed", "recognition", "taken for"]);
    for ((label, glyph), tally) in sorted {
        let taken_for: Vec<String> = tally
            .taken_for
            .iter()
            .map(|(label, times)| format!("{label} {times}"))
            .collect();
        row(
            &mut html,
            &format!("{glyph} {label}"),
            [
                tally.named.to_string(),
                tally.executed.to_string(),
                table::percent(&Proportion::new(tally.recognised, tally.executed)),
                taken_for.join(", "),
            ],
        );
    }
    html
}
