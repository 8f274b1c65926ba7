//! Episodes with their pictures.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::super::episode::Episode;
use super::super::table;
use super::markup::escape;
use super::picks::Picks;

/// Ten right, ten wrong, each with its strip of pictures.
pub fn picks(picks: &Picks<'_>) -> String {
    let mut html = String::new();
    for (title, episodes) in [("Right", &picks.right), ("Wrong", &picks.wrong)] {
        let _ = writeln!(html, "<h3>{title}: {}</h3>", episodes.len());
        for episode in episodes {
            let kind = match (episode.success, episode.executed()) {
                (true, _) => "",
                (false, true) => "recognition failed: ",
                (false, false) => "execution failed: ",
            };
            let _ = writeln!(
                html,
                "<section class=\"pick\" id=\"{}\"><header>{kind}{}</header>{}</section>",
                anchor(episode),
                told(episode),
                strip(episode)
            );
        }
    }
    html
}

/// One episode of the list; its pictures are not repeated where they were `shown_above`.
pub fn article(episode: &Episode, shown_above: bool) -> String {
    let pictures = if shown_above {
        format!("<a href=\"#{}\">pictures above</a>", anchor(episode))
    } else {
        strip(episode)
    };
    format!(
        "<article data-group=\"{}\" data-outcome=\"{}\"><header>{}</header>{pictures}</article>\n",
        episode.group.key(),
        outcome(episode),
        told(episode)
    )
}

fn anchor(episode: &Episode) -> String {
    format!("{}-{}", episode.group.key(), episode.index)
}

fn outcome(episode: &Episode) -> &'static str {
    episode.failure.map_or("success", |kind| kind.name())
}

/// Which episode, how it ended, what was said and what lay on the table.
fn told(episode: &Episode) -> String {
    let ended = match (&episode.held, episode.failure) {
        (Some(why), _) => escape(why),
        (None, Some(kind)) => table::words(kind),
        (None, None) => "success".to_owned(),
    };
    let mut html = format!(
        "<b>{} {}</b> <span class=\"{}\">{ended}</span> <q>{}</q> <small>",
        episode.group.key(),
        episode.index,
        outcome(episode),
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
        "seed {}, {} steps</small>",
        episode.seed, episode.steps
    );
    html
}

fn strip(episode: &Episode) -> String {
    let mut html = String::from("<div class=\"strip\">");
    for picture in &episode.strip {
        let _ = write!(
            html,
            "<img loading=\"lazy\" alt=\"\" src=\"data:image/jpeg;base64,{}\">",
            BASE64.encode(picture)
        );
    }
    html.push_str("</div>");
    html
}
