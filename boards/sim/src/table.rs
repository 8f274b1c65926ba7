//! What lies on the table as physics and picture see it: free objects and flat cards, whatever they are there for.

use crate::render::Mark;
use crate::scene::{CARD_HALF_THICKNESS_M, CUBE_EDGE_M, Card, Scene};
use crate::setup::Setup;

/// Most objects that a table can hold.
pub const MAX_OBJECTS: usize = 8;

/// A table before anything moves.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The arm that works on it, and where.
    pub setup: &'static Setup,
    /// What can be moved, at least one and at most [`MAX_OBJECTS`]. The first is what the episode is about, the one that
    /// [`Truth`](crate::Truth) and [`Outcome`](crate::Outcome) call the cube.
    pub objects: Vec<Object>,
    /// What lies flat and fixed.
    pub cards: [FlatCard; 3],
    /// Index into `cards` of the card that the episode is about.
    pub target: usize,
    /// The seed that the table was drawn from.
    pub seed: u64,
}

/// Something that stands on the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object {
    /// Its shape.
    pub solid: Solid,
    /// Its centre on the table.
    pub centre_xy: [f64; 2],
    /// How far it is turned about the vertical.
    pub yaw_rad: f64,
    /// Its colour, linear 0 to 1; `None` for that of the appearance's cube.
    pub rgb: Option<[f32; 3]>,
}

/// Shape and size around the centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Solid {
    /// A box by half its edges.
    Box {
        /// Along x, y and z.
        half_m: [f64; 3],
    },
    /// An upright cylinder.
    Cylinder {
        /// Of the round faces.
        radius_m: f64,
        /// Half the way from one to the other.
        half_height_m: f64,
    },
}

/// A square card.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlatCard {
    /// Its centre on the table.
    pub centre_xy: [f64; 2],
    /// Half its side.
    pub half_size_m: f64,
    /// What the colour of the appearance's paper is multiplied by, linear.
    pub tint: [f32; 3],
    /// What is printed on it.
    pub print: Print,
}

/// What a card shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Print {
    /// Nothing.
    Blank,
    /// The emoji of this index.
    Emoji(usize),
    /// A geometric figure.
    Mark(Mark),
}

impl Object {
    /// Where its centre is when it stands on a surface at height `z`.
    #[must_use]
    pub const fn centre_on(&self, z: f64) -> [f64; 3] {
        let [x, y] = self.centre_xy;
        [x, y, z + self.solid.half_extents_m()[2]]
    }
}

impl Solid {
    /// Half the edges of the box around it.
    #[must_use]
    pub const fn half_extents_m(&self) -> [f64; 3] {
        match *self {
            Self::Box { half_m } => half_m,
            Self::Cylinder {
                radius_m,
                half_height_m,
            } => [radius_m, radius_m, half_height_m],
        }
    }
}

impl FlatCard {
    /// The card's centre in the world.
    #[must_use]
    pub const fn centre(&self) -> [f64; 3] {
        [self.centre_xy[0], self.centre_xy[1], CARD_HALF_THICKNESS_M]
    }
}

impl FlatCard {
    /// A scene's card, on a table of a cell.
    const fn of(card: Card, setup: &Setup) -> Self {
        Self {
            centre_xy: card.centre_xy,
            half_size_m: setup.layout.card_half_size_m,
            tint: [1.0; 3],
            print: Print::Emoji(card.emoji),
        }
    }
}

impl From<&Scene> for Table {
    /// The scene's table: a cube and three emoji cards.
    fn from(scene: &Scene) -> Self {
        Self {
            setup: scene.setup,
            objects: vec![Object {
                solid: Solid::Box {
                    half_m: [CUBE_EDGE_M / 2.0; 3],
                },
                centre_xy: scene.cube_xy,
                yaw_rad: 0.0,
                rgb: None,
            }],
            cards: scene.cards.map(|card| FlatCard::of(card, scene.setup)),
            target: scene.target,
            seed: scene.seed,
        }
    }
}
