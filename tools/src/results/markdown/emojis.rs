//! The page's part on single emojis.

use std::fmt::Write;

use wink_sim::emoji;

use super::super::precisions::{Emoji, Forgotten, Precisions};
use super::cells::{folded, plain, table};

/// Which emojis are lost.
pub fn forgotten(precisions: &Precisions) -> String {
    let Some(forgotten) = &precisions.forgotten else {
        return String::new();
    };
    if forgotten.variants.is_empty() {
        return String::new();
    }
    let baseline = precisions.baseline.as_deref().unwrap_or_default();
    let rows: Vec<Vec<String>> = forgotten
        .variants
        .iter()
        .map(|own| {
            let of = own.episodes;
            vec![
                plain(precisions.title(&own.variant)),
                format!("{} of {}", of.lost, of.pairs),
                of.gained.to_string(),
                own.emojis_lost.len().to_string(),
                own.shared.len().to_string(),
                own.emojis_gained.to_string(),
            ]
        })
        .collect();
    let head = [
        "precision",
        "episodes lost",
        "gained",
        "emojis lost",
        "of those, by another precision too",
        "emojis gained",
    ];
    format!(
        "### Emoji by emoji\n\nEpisodes of all splits that both executed: lost where {} recognised the named emoji and the variant did not, \
         gained the other way round. An emoji is lost where more of its episodes are lost than gained.\n\n{}\n{}",
        plain(precisions.title(baseline)),
        table(&head, &rows),
        emojis(precisions, forgotten)
    )
}

/// Emojis that several variants lose, in sight; those that one does, folded.
fn emojis(precisions: &Precisions, forgotten: &Forgotten) -> String {
    let titles: Vec<String> = forgotten
        .variants
        .iter()
        .map(|own| plain(precisions.title(&own.variant)))
        .collect();
    let mut head = vec!["emoji", "cards of", "episodes"];
    head.extend(titles.iter().map(String::as_str));
    let is_shared = |emoji: &&Emoji| emoji.losers().nth(1).is_some();
    let row = |emoji: &Emoji| {
        let splits: Vec<&str> = emoji.splits.iter().map(String::as_str).collect();
        let mut row = vec![
            picture(&emoji.label),
            plain(&splits.join(", ")),
            emoji.named.to_string(),
        ];
        row.extend(forgotten.variants.iter().map(|own| {
            let change = emoji.by_variant.get(&own.variant);
            change.map_or(String::new(), |change| {
                let part = |sign: &str, count: u64| match count {
                    0 => String::new(),
                    count => format!("{sign}{count}"),
                };
                let parts = [part("−", change.lost), part("+", change.gained)];
                let parts: Vec<String> =
                    parts.into_iter().filter(|part| !part.is_empty()).collect();
                parts.join(" ")
            })
        }));
        row
    };
    let (shared, alone): (Vec<&Emoji>, Vec<&Emoji>) = forgotten.emojis.iter().partition(is_shared);
    let rows = |emojis: &[&Emoji]| emojis.iter().map(|emoji| row(emoji)).collect::<Vec<_>>();
    let mut text = String::new();
    if !shared.is_empty() {
        let _ = write!(
            text,
            "Emojis that several variants lose, episodes lost (−) and gained (+):\n\n{}",
            table(&head, &rows(&shared))
        );
    }
    if !alone.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        let summary = format!("Emojis that one variant alone loses: {}", alone.len());
        text += &folded(&summary, &table(&head, &rows(&alone)));
    }
    text
}

/// The emoji before its label, where the benchmark knows it.
fn picture(label: &str) -> String {
    let known = emoji::all().iter().find(|emoji| emoji.label == label);
    let glyph = known.map_or(String::new(), |emoji| format!("{} ", emoji.ch));
    format!("{glyph}{}", plain(label))
}
