//! `--shard K/N`: every N-th episode of a run, in a folder that `wink merge` reads.
//!
//! The folder holds `shard.json`, which says what was run, and `episodes.jsonl` with everything that is kept of each
//! episode.

pub mod episodes;
pub mod plan;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What was run: the file that tells a shard's folder.
pub const FILE: &str = "shard.json";
/// The episodes, one a line.
pub const EPISODES: &str = "episodes.jsonl";
/// More shards than any cluster has use for.
const MAX_COUNT: usize = 100_000;

/// Which part of the episodes: of the pieces of work 0, 1, 2 ... those whose number is `index` - 1 modulo `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// The whole run as one shard.
    pub const WHOLE: Self = Self { index: 1, count: 1 };

    /// From 1.
    pub const fn index(self) -> usize {
        self.index
    }

    /// How many shards the run is divided into.
    pub const fn count(self) -> usize {
        self.count
    }

    /// How many of `total` pieces of work are this shard's.
    pub const fn size(self, total: usize) -> usize {
        (total + self.count - self.index) / self.count
    }

    /// The number in the whole run of this shard's piece of work `place`.
    pub const fn piece(self, place: usize) -> usize {
        self.index - 1 + place * self.count
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        let Some((index, count)) = numbers else {
            return Err("give K/N, the shard's number from 1 and how many there are".to_owned());
        };
        if count == 0 || count > MAX_COUNT {
            return Err(format!("N is {count}, not 1 to {MAX_COUNT}"));
        }
        if index == 0 || index > count {
            return Err(format!("K is {index}, not 1 to {count}"));
        }
        Ok(Self { index, count })
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shards_of_a_run_have_each_piece_once() {
        for total in [1, 5, 6, 7, 100] {
            for count in [1, 2, 3, 5, 7] {
                let mut seen = vec![0; total];
                for index in 1..=count {
                    let shard = Shard { index, count };
                    let pieces: Vec<usize> =
                        (0..shard.size(total)).map(|p| shard.piece(p)).collect();
                    assert!(pieces.is_sorted());
                    for piece in pieces {
                        seen[piece] += 1;
                    }
                }
                assert_eq!(seen, vec![1; total], "{count} shards of {total}");
            }
        }
    }

    #[test]
    fn shards_are_named_from_1() {
        for (text, told) in [
            ("0/4", "K is 0"),
            ("5/4", "K is 5"),
            ("1/0", "N is 0"),
            ("1/100001", "N is 100001"),
            ("1", "K/N"),
            ("a/b", "K/N"),
            ("-1/2", "K/N"),
        ] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        for text in ["1/1", "4/4", "100000/100000"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
    }
}
