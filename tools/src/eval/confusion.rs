//! What was picked where recognition failed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::episode::Episode;

/// The three places for cards, as the arm sees them.
pub const PLACES: [&str; 3] = ["left", "middle", "right"];

/// Recognition of one split in detail. Only executed episodes can be right or be taken for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// Named emoji and the one that the cube was set down on instead, most frequent first.
    pub pairs: Vec<Pair>,
    /// By the label that was named.
    pub emojis: BTreeMap<String, Tally>,
    /// By the place of the card that was named.
    pub places: Vec<PlaceTally>,
}

/// One card was named, the cube stands on another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// Label that was named.
    pub named: String,
    /// Label of the card under the cube.
    pub placed_on: String,
    /// How often.
    pub n: u64,
}

/// How often something was named, and what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Episodes.
    pub named: u64,
    /// Of those, the cube was set down on some card.
    pub executed: u64,
    /// Of those, on the one that was named.
    pub right: u64,
}

/// Recognition of the cards at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceTally {
    /// `left`, `middle` or `right`.
    pub place: &'static str,
    /// Counts.
    #[serde(flatten)]
    pub tally: Tally,
    /// Where the cube was set down instead, by place.
    pub taken_for: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn count(&mut self, episode: &Episode) {
        self.named += 1;
        self.executed += u64::from(episode.executed());
        self.right += u64::from(episode.success);
    }
}

impl Confusion {
    /// Counts episodes of one split.
    pub fn of<'a>(episodes: impl Iterator<Item = &'a Episode>) -> Self {
        let mut pairs: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let mut emojis: BTreeMap<String, Tally> = BTreeMap::new();
        let mut places = PLACES.map(|place| PlaceTally {
            place,
            tally: Tally::default(),
            taken_for: BTreeMap::new(),
        });
        for episode in episodes {
            let named = &episode.cards[episode.judged].label;
            emojis.entry(named.clone()).or_default().count(episode);
            let place = &mut places[episode.judged];
            place.tally.count(episode);
            if let Some(wrong) = episode.wrong_card() {
                *place.taken_for.entry(PLACES[wrong]).or_default() += 1;
                let placed_on = &episode.cards[wrong].label;
                *pairs.entry((named, placed_on)).or_default() += 1;
            }
        }
        let mut pairs: Vec<Pair> = pairs
            .into_iter()
            .map(|((named, placed_on), n)| Pair {
                named: named.to_owned(),
                placed_on: placed_on.to_owned(),
                n,
            })
            .collect();
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.n));
        Self {
            pairs,
            emojis,
            places: places.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::episode::tests::episode;
    use super::*;

    #[test]
    fn counts_what_was_taken_for_what() {
        // The card named, and the one that the cube was set down on.
        let table = [
            (0, Some(0)),
            (0, Some(2)),
            (0, Some(2)),
            (0, Some(1)),
            (1, None),
            (2, Some(2)),
        ];
        let episodes: Vec<Episode> = table
            .iter()
            .map(|&(named, placed)| episode(named, placed))
            .collect();
        let confusion = Confusion::of(episodes.iter());
        let pair = |named: &str, placed_on: &str, n| Pair {
            named: named.to_owned(),
            placed_on: placed_on.to_owned(),
            n,
        };
        assert_eq!(
            confusion.pairs,
            [pair("goat", "ear", 2), pair("goat", "pizza", 1)]
        );
        let tally = |named, executed, right| Tally {
            named,
            executed,
            right,
        };
        assert_eq!(confusion.emojis["goat"], tally(4, 4, 1));
        assert_eq!(confusion.emojis["pizza"], tally(1, 0, 0));
        assert_eq!(confusion.emojis["ear"], tally(1, 1, 1));
        assert_eq!(confusion.places[0].tally, tally(4, 4, 1));
        assert_eq!(
            confusion.places[0].taken_for,
            BTreeMap::from([("middle", 1), ("right", 2)])
        );
        assert!(confusion.places[1].taken_for.is_empty());
    }
}
