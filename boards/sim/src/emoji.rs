//! The 328 emojis of the benchmark: code point, label, split, and the picture on the card.
//!
//! The table and the pictures are embedded; `assets/SOURCES.md` says where each column and the art come from.

use std::str::FromStr;
use std::sync::{LazyLock, OnceLock};

use include_dir::{Dir, include_dir};

use crate::render::texture::Texture;

static TABLE: &str = include_str!("../assets/emoji.tsv");
static ART: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/assets/noto");

static EMOJIS: LazyLock<Vec<Emoji>> =
    LazyLock::new(|| TABLE.lines().skip(1).filter_map(Emoji::from_row).collect());
static TEXTURES: LazyLock<Vec<OnceLock<Texture>>> =
    LazyLock::new(|| all().iter().map(|_| OnceLock::new()).collect());

/// Which part of the benchmark an emoji belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EmojiSplit {
    /// The 100 emojis that demonstrations show.
    Train,
    /// The 100 emojis that no robot data shows.
    Val,
    /// The 128 others.
    Rest,
}

impl EmojiSplit {
    /// The word in the table: `train`, `val` or `rest`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Rest => "rest",
        }
    }
}

impl FromStr for EmojiSplit {
    type Err = UnknownEmojiSplit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "train" => Ok(Self::Train),
            "val" => Ok(Self::Val),
            "rest" => Ok(Self::Rest),
            _ => Err(UnknownEmojiSplit(text.to_owned())),
        }
    }
}

/// A word that names no emoji split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown emoji split {0:?}: it is one of train, val, rest")]
pub struct UnknownEmojiSplit(pub String);

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emoji {
    /// The code point as `U+1F419`.
    pub code: &'static str,
    /// The character itself.
    pub ch: &'static str,
    /// What an instruction calls it: one or two words, lower case, distinct over the table.
    pub label: &'static str,
    /// The CLDR short name.
    pub name: &'static str,
    /// Its part of the benchmark.
    pub split: EmojiSplit,
    /// Whether the benchmark's authors list it as hard to recognise.
    pub hard: bool,
}

impl Emoji {
    fn from_row(row: &'static str) -> Option<Self> {
        let mut columns = row.split('\t');
        Some(Self {
            code: columns.next()?,
            ch: columns.next()?,
            label: columns.next()?,
            name: columns.next()?,
            split: columns.next()?.parse().ok()?,
            hard: columns.next()? == "1",
        })
    }
}

/// All 328 emojis, in the order of the table; an emoji's index is its place here.
pub fn all() -> &'static [Emoji] {
    &EMOJIS
}

/// The index of the emoji that an instruction calls `label` (exact, lower case).
pub fn by_label(label: &str) -> Option<usize> {
    all().iter().position(|emoji| emoji.label == label)
}

/// The indices of a split's emojis, in table order.
pub fn of_split(split: EmojiSplit) -> Vec<usize> {
    (0..all().len())
        .filter(|&index| all()[index].split == split)
        .collect()
}

/// The emoji's picture, decoded on first use and kept.
///
/// # Panics
/// If `index` is not below `all().len()`.
pub fn art(index: usize) -> &'static Texture {
    TEXTURES[index].get_or_init(|| {
        let file = ART.get_file(format!("{}.png", all()[index].code));
        // Every row has a valid picture (a test decodes all of them); a blank card is the harmless answer to a broken build.
        file.and_then(|file| Texture::from_png(file.contents()).ok())
            .unwrap_or_else(Texture::blank)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_holds_the_benchmarks_splits() {
        assert_eq!(all().len(), TABLE.lines().count() - 1);
        for (split, count) in [
            (EmojiSplit::Train, 100),
            (EmojiSplit::Val, 100),
            (EmojiSplit::Rest, 128),
        ] {
            assert_eq!(of_split(split).len(), count, "{split:?}");
            assert_eq!(split.as_str().parse(), Ok(split));
        }
        assert_eq!(all().iter().filter(|emoji| emoji.hard).count(), 213);
        assert!("test".parse::<EmojiSplit>().is_err());
    }

    #[test]
    fn labels_and_code_points_are_distinct() {
        for column in [
            |emoji: &Emoji| emoji.label,
            |emoji: &Emoji| emoji.code,
            |emoji: &Emoji| emoji.ch,
        ] {
            assert_eq!(
                all().iter().map(column).collect::<BTreeSet<_>>().len(),
                all().len()
            );
        }
        for (index, emoji) in all().iter().enumerate() {
            assert_eq!(by_label(emoji.label), Some(index));
            assert_eq!(emoji.label, emoji.label.to_lowercase());
            assert!(
                (1..=2).contains(&emoji.label.split(' ').count()) || emoji.label == emoji.name,
                "{}",
                emoji.label
            );
            let code = u32::from_str_radix(&emoji.code[2..], 16).unwrap();
            assert_eq!(emoji.ch.chars().map(u32::from).collect::<Vec<_>>(), [code]);
        }
    }

    #[test]
    fn every_emoji_has_a_picture_of_its_own() {
        let mut pictures = BTreeSet::new();
        for (index, emoji) in all().iter().enumerate() {
            let art = art(index);
            assert_eq!((art.width(), art.height()), (128, 128), "{}", emoji.code);
            let opaque = art
                .rgba()
                .chunks_exact(4)
                .filter(|texel| texel[3] > 128)
                .count();
            assert!(
                opaque > 128 * 128 / 40,
                "{}: {opaque} opaque texels",
                emoji.code
            );
            assert!(pictures.insert(art.rgba().to_vec()), "{}", emoji.code);
        }
    }
}
