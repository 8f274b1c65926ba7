//! What the stage is covered with: plain colours, the table's pattern, printed cards.

use super::appearance::{Appearance, TablePattern};
use super::noise::{cloud, value_noise};
use super::texture::{Pyramid, Texture};
use super::vector::V3;
use crate::emoji;
use crate::table::{FlatCard, Print};

/// How much of a card's side the emoji takes; the rest is white margin.
pub const CARD_PRINT_SHARE: f32 = 0.92;

/// What a face of the stage is covered with.
pub(super) enum Surface<'a> {
    Table,
    Plain(V3),
    Card {
        centre: [f32; 2],
        /// Of the part that is printed on.
        side: f32,
        paper: V3,
        print: &'a Pyramid,
    },
}

impl Surface<'_> {
    /// The colour around a point, over about `footprint_m`.
    pub fn albedo(&self, look: &Appearance, point: V3, normal: V3, footprint_m: f32) -> V3 {
        match self {
            Self::Plain(colour) => *colour,
            Self::Table => table_colour(look, point),
            &Self::Card {
                centre,
                side,
                paper,
                print,
            } => {
                // Upright as the camera sees it, from behind the arm: the top lies towards +x, the right side towards -y.
                let (u, v) = (
                    0.5 - (point.y - centre[1]) / side,
                    0.5 - (point.x - centre[0]) / side,
                );
                let on_print =
                    normal.z > 0.0 && (0.0..=1.0).contains(&u) && (0.0..=1.0).contains(&v);
                if on_print {
                    print.sample(u, v, footprint_m / side).times(paper)
                } else {
                    paper
                }
            }
        }
    }
}

/// A card's picture: kept for the whole program, or drawn for this stage.
pub(super) enum Art {
    Kept(&'static Texture),
    Drawn(Texture),
}

impl Art {
    pub fn of(card: &FlatCard) -> Self {
        match &card.print {
            Print::Emoji(index) => Self::Kept(emoji::art(*index)),
            Print::Mark(mark) => Self::Drawn(mark.draw()),
            Print::Blank => Self::Drawn(Texture::blank()),
        }
    }

    pub fn on_white(&self) -> &Pyramid {
        match self {
            Self::Kept(texture) => texture.on_white(),
            Self::Drawn(texture) => texture.on_white(),
        }
    }
}

fn table_colour(look: &Appearance, point: V3) -> V3 {
    let [[r0, g0, b0], [r1, g1, b1]] = look.table_colours;
    let (light, dark) = (V3::new(r0, g0, b0), V3::new(r1, g1, b1));
    let seed = look.table_seed;
    let share = match look.table_pattern {
        TablePattern::Plain => 0.0,
        TablePattern::Wood => {
            // Grain drawn out along x, bent a little, in boards 18 cm wide.
            let board = (point.y / 0.18).floor();
            let own = seed.wrapping_add((board as i32 as u32).wrapping_mul(31));
            let bend = 0.02 * value_noise(point.x * 3.0, point.y * 6.0, own);
            let grain = cloud(point.x * 2.5, (point.y + bend) * 45.0, own);
            let tone = 0.35 * value_noise(board, 0.5, seed.wrapping_add(9));
            let from_joint = (point.y / 0.18 - board - 0.5).abs();
            let joint = if from_joint > 0.494 { 0.35 } else { 0.0 };
            0.75 * grain + tone + joint - 0.05
        }
        TablePattern::Stone => value_noise(point.x * 160.0, point.y * 160.0, seed),
        TablePattern::Clouds => cloud(point.x * 6.0, point.y * 6.0, seed),
    };
    light + (dark - light) * share
}
