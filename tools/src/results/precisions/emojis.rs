//! Which emojis a precision no longer recognises.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::variants::Variant;
use crate::results::SPLITS;
use crate::results::episodes::Row;
use crate::stats::Metric;

/// What became of recognition, emoji by emoji, over all splits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forgotten {
    /// Each variant but the baseline, in order.
    pub variants: Vec<VariantLoss>,
    /// Emojis that any variant recognises more rarely than the baseline: first those that most variants lose.
    pub emojis: Vec<Emoji>,
}

/// One variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariantLoss {
    /// Its folder.
    pub variant: String,
    /// Episodes.
    #[serde(flatten)]
    pub episodes: Change,
    /// Emojis with more episodes lost than gained.
    pub emojis_lost: Vec<String>,
    /// Emojis with more episodes gained than lost: how many.
    pub emojis_gained: usize,
    /// Of the emojis lost, those that a variant of another precision loses too.
    pub shared: Vec<String>,
}

/// Episodes whose recognition differs from the baseline's, of those that both executed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Episodes that both executed.
    pub pairs: u64,
    /// Recognised by the baseline alone.
    pub lost: u64,
    /// Recognised by the variant alone.
    pub gained: u64,
}

/// One emoji.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Emoji {
    /// The word in the instruction.
    pub label: String,
    /// Splits whose episodes name it.
    pub splits: BTreeSet<String>,
    /// Episodes that name it.
    pub named: u64,
    /// By variant, where any episode differs.
    pub by_variant: BTreeMap<String, Change>,
}

impl Change {
    /// Episodes lost beyond those gained.
    pub fn net_loss(&self) -> u64 {
        self.lost.saturating_sub(self.gained)
    }

    fn count(&mut self, before: &Row, after: &Row) {
        let right = |row: &Row| Metric::Recognition.right(row.executed, row.success);
        if let (Some(before), Some(after)) = (right(before), right(after)) {
            self.pairs += 1;
            self.lost += u64::from(before && !after);
            self.gained += u64::from(after && !before);
        }
    }
}

impl Emoji {
    /// Variants that lose it.
    pub fn losers(&self) -> impl Iterator<Item = &String> {
        let losing = self.by_variant.iter().filter(|(_, own)| own.net_loss() > 0);
        losing.map(|(variant, _)| variant)
    }
}

impl Forgotten {
    /// Compares each variant with the baseline.
    pub fn of(variants: &[Variant], baseline: &Variant) -> Self {
        let others: Vec<&Variant> = variants
            .iter()
            .filter(|variant| variant.way.folder != baseline.way.folder)
            .collect();
        let all = emojis(&others, baseline);
        let losses = others
            .iter()
            .map(|variant| loss(variant, &others, &all))
            .collect();
        let mut lost: Vec<Emoji> = all
            .into_iter()
            .filter(|emoji| emoji.losers().next().is_some())
            .collect();
        for emoji in &mut lost {
            let differs = |_: &String, own: &mut Change| own.lost + own.gained > 0;
            emoji.by_variant.retain(differs);
        }
        lost.sort_by_key(|emoji| {
            let net: u64 = emoji.by_variant.values().map(Change::net_loss).sum();
            std::cmp::Reverse((emoji.losers().count(), net))
        });
        Self {
            variants: losses,
            emojis: lost,
        }
    }
}

/// Every emoji that was named, by label.
fn emojis(others: &[&Variant], baseline: &Variant) -> Vec<Emoji> {
    let mut emojis: BTreeMap<&str, Emoji> = BTreeMap::new();
    let rows = of_splits(baseline);
    for row in rows.values() {
        let emoji = emojis.entry(&row.label).or_insert_with(|| Emoji {
            label: row.label.clone(),
            splits: BTreeSet::new(),
            named: 0,
            by_variant: BTreeMap::new(),
        });
        emoji.named += 1;
        emoji.splits.insert(row.group.clone());
    }
    for variant in others {
        for (place, after) in of_splits(variant) {
            let before = rows.get(&place);
            if let Some((before, emoji)) = before.zip(emojis.get_mut(&after.label[..])) {
                let folder = variant.way.folder.clone();
                emoji
                    .by_variant
                    .entry(folder)
                    .or_default()
                    .count(before, after);
            }
        }
    }
    emojis.into_values().collect()
}

fn of_splits(variant: &Variant) -> BTreeMap<(&str, i64), &Row> {
    let rows = variant.run().rows.iter();
    rows.filter(|row| SPLITS.contains(&&row.group[..]))
        .map(|row| ((&row.group[..], row.index), row))
        .collect()
}

fn loss(variant: &Variant, others: &[&Variant], emojis: &[Emoji]) -> VariantLoss {
    let folder = &variant.way.folder;
    let own = |emoji: &Emoji| emoji.by_variant.get(folder).copied().unwrap_or_default();
    let precision = |folder: &String| {
        let found = others.iter().find(|other| other.way.folder == *folder);
        found.and_then(|other| other.precision())
    };
    let lost: Vec<&Emoji> = emojis
        .iter()
        .filter(|emoji| own(emoji).net_loss() > 0)
        .collect();
    let shared = lost.iter().filter(|emoji| {
        emoji
            .losers()
            .any(|other| precision(other) != variant.precision())
    });
    let sum = |of: fn(Change) -> u64| emojis.iter().map(|emoji| of(own(emoji))).sum();
    let labels = |emojis: Vec<&&Emoji>| emojis.iter().map(|emoji| emoji.label.clone()).collect();
    VariantLoss {
        variant: folder.clone(),
        episodes: Change {
            pairs: sum(|own| own.pairs),
            lost: sum(|own| own.lost),
            gained: sum(|own| own.gained),
        },
        emojis_lost: labels(lost.iter().collect()),
        emojis_gained: emojis
            .iter()
            .filter(|emoji| own(emoji).gained > own(emoji).lost)
            .count(),
        shared: labels(shared.collect()),
    }
}
