//! Where things lie on the table: splits, seeds, card triples, instructions.
//!
//! Numbers are those of GrinningFace (arXiv 2511.06619) in metres and radians, world frame, z up, table top at z = 0.
//! Everything drawn here follows from (split, seed) alone.

use crate::emoji::{self, EmojiSplit};
use crate::setup::{Setup, WX250S};
use nalgebra::Isometry3;
use rand_pcg::Pcg64;
use rand_pcg::rand_core::RngCore;

/// Edge of the cube in metres.
pub const CUBE_EDGE_M: f64 = 0.03;
/// The middle of the cube's spawn area.
pub const CUBE_CENTRE_XY: [f64; 2] = [0.02, 0.7];
/// The cube is spawned within this distance of [`CUBE_CENTRE_XY`] in x and in y.
pub const CUBE_JITTER_M: f64 = 0.05;
/// Colour of the cube, linear 0 to 1.
pub const CUBE_RGB: [f32; 3] = [0.1, 0.1, 0.5];

/// Half the side of a card in metres.
pub const CARD_HALF_SIZE_M: f64 = 0.07;
/// Half the thickness of a card in metres; a card lies on the table, its centre at this height.
pub const CARD_HALF_THICKNESS_M: f64 = 0.001;
/// The middles of the three places for cards.
pub const CARD_CENTRES_XY: [[f64; 2]; 3] = [[0.2, 0.9], [0.2, 0.7], [0.2, 0.5]];
/// A card's centre lies within this distance of its place in x and in y.
pub const CARD_JITTER_M: f64 = 0.02;

/// Base of the arm in the world.
pub const BASE_IN_WORLD_M: [f64; 3] = [-0.25, 0.7, 0.1];

/// The table top, `[min, max]` in x. The front edge is behind the arm's base.
pub const TABLE_X_M: [f64; 2] = [-0.45, 0.40];
/// The table top, `[min, max]` in y. The right edge is open: a cube can be pushed off it.
pub const TABLE_Y_M: [f64; 2] = [0.20, 1.10];
/// Thickness of the table top in metres.
pub const TABLE_THICKNESS_M: f64 = 0.04;
/// Height of the floor under the table.
pub const FLOOR_Z_M: f64 = -0.75;
/// The brown wall behind the cards: its face lies in the plane x = this, facing the arm.
pub const BACK_WALL_X_M: f64 = TABLE_X_M[1];
/// The blue wall on the left: its face lies in the plane y = this, facing the table.
pub const LEFT_WALL_Y_M: f64 = TABLE_Y_M[1];
/// Height of both walls over the table top.
pub const WALL_HEIGHT_M: f64 = 0.6;
/// Thickness of both walls.
pub const WALL_THICKNESS_M: f64 = 0.02;
/// sRGB colour of the wall behind the cards.
pub const BACK_WALL_RGB: [u8; 3] = [214, 183, 146];
/// sRGB colour of the wall on the left.
pub const LEFT_WALL_RGB: [u8; 3] = [98, 117, 188];

/// How many demonstrations the benchmark has; later ones repeat their card triples with fresh positions.
pub const DEMONSTRATIONS: u64 = 500;

/// Which cards an episode shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Split {
    /// The card triples of the demonstrations.
    Id,
    /// New triples of the emojis that the demonstrations use.
    Train,
    /// Emojis that no demonstration shows: the split that matters.
    Val,
}

impl Split {
    /// All splits, in the order of a report.
    pub const ALL: [Self; 3] = [Self::Id, Self::Train, Self::Val];

    /// The name used on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Train => "train",
            Self::Val => "val",
        }
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Split {
    type Err = UnknownSplit;

    fn from_str(name: &str) -> Result<Self, UnknownSplit> {
        Self::ALL
            .into_iter()
            .find(|split| split.name() == name)
            .ok_or_else(|| UnknownSplit(name.chars().take(40).collect()))
    }
}

/// A split that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no split \"{}\": take id, train or val", .0.escape_debug())]
pub struct UnknownSplit(pub String);

/// A card on the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Card {
    /// The emoji's index in [`emoji::all`].
    pub emoji: usize,
    /// The card's centre on the table.
    pub centre_xy: [f64; 2],
}

impl Card {
    /// The card's centre in the world.
    #[must_use]
    pub const fn centre(&self) -> [f64; 3] {
        [self.centre_xy[0], self.centre_xy[1], CARD_HALF_THICKNESS_M]
    }

    /// The words that name the card in an instruction.
    #[must_use]
    pub fn label(&self) -> &'static str {
        emoji::all().get(self.emoji).map_or("", |emoji| emoji.label)
    }
}

/// One episode's table before anything moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scene {
    /// The cell whose table it is.
    pub setup: &'static Setup,
    /// The cube's centre on the table.
    pub cube_xy: [f64; 2],
    /// Left, middle and right card as the arm sees them.
    pub cards: [Card; 3],
    /// Index into `cards` of the card that the instruction names.
    pub target: usize,
    /// The seed that the scene was drawn from.
    pub seed: u64,
}

impl Scene {
    /// Draws the scene of an episode: three distinct cards of the split, positions, target.
    #[must_use]
    pub fn new(split: Split, seed: u64) -> Self {
        Self::on(&WX250S, split, seed)
    }

    /// The same for the table of another cell.
    #[must_use]
    pub fn on(setup: &'static Setup, split: Split, seed: u64) -> Self {
        let mut draw = Draw::new(seed, Stream::of(split));
        let triple = match split {
            Split::Id => demonstration_triple(seed % DEMONSTRATIONS),
            Split::Train => draw.triple(EmojiSplit::Train),
            Split::Val => draw.triple(EmojiSplit::Val),
        };
        Self::with_triple(setup, triple, seed, &mut draw)
    }

    /// The scene of a demonstration. From [`DEMONSTRATIONS`] on, card triples repeat and positions are fresh.
    #[must_use]
    pub fn demonstration(index: u64) -> Self {
        Self::demonstration_on(&WX250S, index)
    }

    /// The same for the table of another cell.
    #[must_use]
    pub fn demonstration_on(setup: &'static Setup, index: u64) -> Self {
        Self::with_triple(
            setup,
            demonstration_triple(index % DEMONSTRATIONS),
            index,
            &mut Draw::new(index, Stream::Demonstration),
        )
    }

    fn with_triple(setup: &'static Setup, triple: [usize; 3], seed: u64, draw: &mut Draw) -> Self {
        let layout = setup.layout;
        let cube_xy = draw.near(layout.cube_centre_xy, layout.cube_jitter_m);
        let cards = std::array::from_fn(|place| Card {
            emoji: triple[place],
            centre_xy: draw.near(layout.card_centres_xy[place], layout.card_jitter_m),
        });
        Self {
            setup,
            cube_xy,
            cards,
            target: draw.below(3),
            seed,
        }
    }

    /// The instruction that names the target card.
    #[must_use]
    pub fn instruction(&self) -> String {
        self.instruction_for(self.target)
    }

    /// The instruction that names card 0, 1 or 2 (any other number is taken modulo 3).
    #[must_use]
    pub fn instruction_for(&self, card: usize) -> String {
        instruction(self.cards[card % 3].label())
    }

    /// The card that an instruction names, if one does.
    #[must_use]
    pub fn card_named(&self, instruction_text: &str) -> Option<usize> {
        (0..3).find(|&card| instruction_text == self.instruction_for(card))
    }
}

/// The instruction to place the block on the card with a label.
#[must_use]
pub fn instruction(label: &str) -> String {
    format!("pick the block and place it on {label}")
}

/// The base of the benchmark's arm in the world frame.
#[must_use]
pub fn base_in_world() -> Isometry3<f64> {
    WX250S.base_in_world()
}

fn demonstration_triple(index: u64) -> [usize; 3] {
    Draw::new(index, Stream::DemonstrationCards).triple(EmojiSplit::Train)
}

/// Independent random streams: a demonstration and an evaluation episode of the same seed have nothing in common.
#[derive(Clone, Copy)]
enum Stream {
    Id = 1,
    Train,
    Val,
    Demonstration,
    DemonstrationCards,
}

impl Stream {
    const fn of(split: Split) -> Self {
        match split {
            Split::Id => Self::Id,
            Split::Train => Self::Train,
            Split::Val => Self::Val,
        }
    }
}

/// Random draws written out here, so that no library's change of sampling changes a benchmark episode.
pub(crate) struct Draw(Pcg64);

impl Draw {
    fn new(seed: u64, stream: Stream) -> Self {
        Self::from_stream(seed, stream as u64)
    }

    pub(crate) fn from_stream(seed: u64, stream: u64) -> Self {
        let mut generator = Pcg64::new(u128::from(seed), u128::from(stream));
        // Neighbouring seeds leave a linear generator correlated in its first outputs.
        for _ in 0..8 {
            generator.next_u64();
        }
        Self(generator)
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.0.next_u64() >> 11) as f64 * STEP
    }

    /// Uniform in [-1, 1).
    pub(crate) fn signed(&mut self) -> f64 {
        self.unit() * 2.0 - 1.0
    }

    /// Uniform in 0..`count`; the bias is below 2^-50 for the counts used here.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.0.next_u64()) * count as u128) >> 64) as usize
    }

    fn near(&mut self, centre: [f64; 2], jitter_m: f64) -> [f64; 2] {
        centre.map(|value| value + jitter_m * self.signed())
    }

    fn triple(&mut self, split: EmojiSplit) -> [usize; 3] {
        let mut pool: Vec<usize> = (0..emoji::all().len())
            .filter(|&index| emoji::all()[index].split == split)
            .collect();
        std::array::from_fn(|_| {
            let index = self.below(pool.len());
            pool.swap_remove(index)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(point: [f64; 2], centre: [f64; 2], most: f64) -> bool {
        point
            .iter()
            .zip(centre)
            .all(|(value, middle)| (value - middle).abs() <= most)
    }

    #[test]
    fn scenes_follow_from_split_and_seed() {
        for split in Split::ALL {
            for seed in 0..200 {
                let scene = Scene::new(split, seed);
                assert_eq!(scene, Scene::new(split, seed));
                assert_ne!(scene, Scene::new(split, seed + 1));
                let wanted = if split == Split::Val {
                    EmojiSplit::Val
                } else {
                    EmojiSplit::Train
                };
                for (place, card) in scene.cards.iter().enumerate() {
                    assert_eq!(emoji::all()[card.emoji].split, wanted);
                    assert!(
                        near(card.centre_xy, CARD_CENTRES_XY[place], CARD_JITTER_M),
                        "{split} {seed}: card {place} is off its place"
                    );
                }
                assert!(near(scene.cube_xy, CUBE_CENTRE_XY, CUBE_JITTER_M));
                let [a, b, c] = scene.cards.map(|card| card.emoji);
                assert!(a != b && b != c && a != c);
            }
        }
    }

    #[test]
    fn id_repeats_the_triples_of_the_demonstrations_at_fresh_places() {
        for seed in [0, 1, 499, 500, 10_007] {
            let scene = Scene::new(Split::Id, seed);
            let demonstration = Scene::demonstration(seed % DEMONSTRATIONS);
            assert_eq!(
                scene.cards.map(|card| card.emoji),
                demonstration.cards.map(|card| card.emoji)
            );
            assert_ne!(scene.cube_xy, demonstration.cube_xy);
        }
    }

    #[test]
    fn targets_are_uniform() {
        let mut counts = [0; 3];
        for seed in 0..3000 {
            counts[Scene::new(Split::Train, seed).target] += 1;
        }
        // 5 standard deviations of a binomial (3000, 1/3).
        assert!(
            counts.iter().all(|count| (870..=1130).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn instructions_name_cards() {
        let scene = Scene::new(Split::Val, 3);
        assert_eq!(scene.card_named(&scene.instruction()), Some(scene.target));
        assert_eq!(scene.card_named(&scene.instruction_for(2)), Some(2));
        assert_eq!(
            scene.card_named("pick the block and place it on quux"),
            None
        );
        assert!(
            scene
                .instruction()
                .starts_with("pick the block and place it on ")
        );
        assert_eq!("val".parse::<Split>(), Ok(Split::Val));
        assert_eq!(
            "other".parse::<Split>().unwrap_err().to_string(),
            "no split \"other\": take id, train or val"
        );
    }
}
