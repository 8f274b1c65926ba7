//! `report.html`: one file that opens offline, pictures included.

mod episodes;
pub mod markup;
mod picks;
mod tables;

use std::fmt::Write;

use wink_sim::outcome::Failure;

use super::episode::Episode;
use super::report::Report;

use markup::{escape, options};
use picks::Picks;

const PAGE: &str = include_str!("report.html");

/// The page. Text from packages and tables is escaped: it may be anybody's.
pub fn render(report: &Report, episodes: &[Episode]) -> String {
    let mut title = report.policy.clone();
    if let Some(precision) = &report.precision {
        let _ = write!(title, ", {precision}");
    }
    let picks = Picks::of(episodes);
    let parts = [
        ("title", escape(&title)),
        (
            "summary",
            format!("{}, wink {}", report.conditions(), report.wink),
        ),
        ("scores", tables::scores(report)),
        ("failures", tables::failures(report)),
        ("latencies", tables::latencies(report)),
        ("places", tables::places(report)),
        ("pairs", tables::pairs(report)),
        ("emojis", tables::emojis(episodes)),
        ("picks", episodes::picks(&picks)),
        (
            "groups",
            options(episodes.iter().map(|episode| episode.group.key())),
        ),
        (
            "kinds",
            options(Failure::ALL.iter().map(|kind| kind.name().to_owned())),
        ),
        (
            "episodes",
            episodes
                .iter()
                .map(|episode| episodes::article(episode, picks.contain(episode)))
                .collect(),
        ),
    ];
    fill(PAGE, &parts)
}

/// Replaces each `{{name}}` of the template in one pass: what is filled in is never searched again.
pub fn fill(template: &str, parts: &[(&str, String)]) -> String {
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
            "places",
            "pairs",
            "emojis",
            "picks",
            "groups",
            "kinds",
            "episodes",
        ];
        for part in PAGE.split("{{").skip(1) {
            let name = part.split("}}").next().unwrap();
            assert!(known.contains(&name), "{name}");
        }
    }
}
