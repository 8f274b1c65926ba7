//! `report.html`: one file that opens offline, pictures included.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use wink_sim::outcome::Failure;

use super::episode::Episode;
use super::instruction::Control;
use super::report::Report;
use super::stats::Proportion;
use super::table;

const PAGE: &str = include_str!("report.html");

/// The page. Text from packages and tables is escaped: it may be anybody's.
pub fn render(report: &Report, episodes: &[Episode]) -> String {
    let mut title = report.policy.clone();
    if let Some(precision) = &report.precision {
        let _ = write!(title, ", {precision}");
    }
    let parts = [
        ("title", escape(&title)),
        (
            "summary",
            format!(
                "{} episodes a row, seeds from {}, wink {}",
                report.episodes, report.seed, report.wink
            ),
        ),
        ("scores", scores(report)),
        ("failures", failures(report)),
        ("latencies", latencies(report)),
        ("emojis", emojis(episodes)),
        (
            "groups",
            options(episodes.iter().map(|episode| episode.group.key())),
        ),
        (
            "kinds",
            options(Failure::ALL.iter().map(|kind| kind.name().to_owned())),
        ),
        ("episodes", episodes.iter().map(article).collect()),
    ];
    fill(PAGE, &parts)
}

/// Replaces each `{{name}}` of the template in one pass: what is filled in is never searched again.
fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let mut page = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page.push_str(
            parts
                .iter()
                .find(|(part, _)| *part == name)
                .map_or("", |(_, text)| text),
        );
        rest = after;
    }
    page + rest
}

fn scores(report: &Report) -> String {
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

fn failures(report: &Report) -> String {
    let kinds = Failure::ALL.map(table::words);
    let mut html = head(&[&["split"][..], &kinds.each_ref().map(String::as_str)].concat());
    for (name, scores) in table::rows(report) {
        row(
            &mut html,
            &name,
            Failure::ALL.map(|kind| {
                scores
                    .failures
                    .get(kind.name())
                    .copied()
                    .unwrap_or(0)
                    .to_string()
            }),
        );
    }
    html
}

fn latencies(report: &Report) -> String {
    let mut html = head(&["latency, ms", "p50", "p95", "p99", "max", "n"]);
    for (name, stage) in table::stages(report) {
        let times = [stage.p50, stage.p95, stage.p99, stage.max]
            .map(|us| format!("{:.2}", us as f64 / 1000.0));
        row(
            &mut html,
            name,
            times.into_iter().chain([stage.n.to_string()]),
        );
    }
    html
}

/// Which named emojis are recognised, worst first; the controls are left out.
fn emojis(episodes: &[Episode]) -> String {
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

fn article(episode: &Episode) -> String {
    let group = episode.group.key();
    let (key, told) = match episode.failure {
        None => ("success", "success".to_owned()),
        Some(kind) => (kind.name(), table::words(kind)),
    };
    let mut html = format!(
        "<article data-group=\"{group}\" data-outcome=\"{key}\"><header><b>{group} {}</b> <span class=\"{key}\">{told}</span> \
         <q>{}</q> <small>",
        episode.index,
        escape(&episode.instruction),
    );
    for (place, card) in episode.cards.iter().enumerate() {
        let mark = match (place == episode.judged, episode.wrong_card() == Some(place)) {
            (true, _) => "named",
            (false, true) => "taken",
            (false, false) => "",
        };
        let _ = write!(
            html,
            "<span class=\"card {mark}\">{} {}</span> ",
            escape(&card.glyph),
            escape(&card.label)
        );
    }
    let _ = write!(
        html,
        "seed {}, {} steps</small></header><div class=\"strip\">",
        episode.seed, episode.steps
    );
    for picture in &episode.strip {
        let _ = write!(
            html,
            "<img loading=\"lazy\" alt=\"\" src=\"data:image/jpeg;base64,{}\">",
            BASE64.encode(picture)
        );
    }
    html.push_str("</div></article>\n");
    html
}

fn head(names: &[&str]) -> String {
    let cells: String = names
        .iter()
        .map(|name| format!("<th>{}</th>", escape(name)))
        .collect();
    format!("<tr>{cells}</tr>\n")
}

fn row(html: &mut String, name: &str, cells: impl IntoIterator<Item = String>) {
    let _ = write!(html, "<tr><th>{}</th>", escape(name));
    for cell in cells {
        let _ = write!(html, "<td>{}</td>", escape(&cell));
    }
    html.push_str("</tr>\n");
}

fn options(keys: impl Iterator<Item = String>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for key in keys {
        if !seen.contains(&key) {
            seen.push(key);
        }
    }
    seen.iter()
        .map(|key| format!("<option value=\"{key}\">{}</option>", key.replace('_', " ")))
        .collect()
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filling_is_one_pass() {
        let parts = [("a", "{{b}}".to_owned()), ("b", "x".to_owned())];
        assert_eq!(
            fill("1 {{a}} 2 {{b}} 3 {{c}} 4", &parts),
            "1 {{b}} 2 x 3  4"
        );
    }

    #[test]
    fn every_part_of_the_template_is_known() {
        let known = [
            "title",
            "summary",
            "scores",
            "failures",
            "latencies",
            "emojis",
            "groups",
            "kinds",
            "episodes",
        ];
        for part in PAGE.split("{{").skip(1) {
            let name = part.split("}}").next().unwrap();
            assert!(known.contains(&name), "{name}");
        }
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<script>\"'&"), "&lt;script&gt;&quot;&#39;&amp;");
    }
}
