//! The simulated camera's pictures: an analytic ray caster on the CPU.
//!
//! It draws the table, the walls, the cards, the cube and the arm from boxes, cylinders and capsules, with two shadowed lights and
//! four samples a pixel. Only `+ - * /`, `sqrt` and the `libm` crate make pixels, so a frame is the same on every machine.
//!
//! It knows shapes and poses only: no physics, no episode, no wire.

mod appearance;
mod arm;
mod bound;
mod camera;
mod caster;
mod colour;
mod light;
mod noise;
mod primitive;
mod stage;
pub mod texture;
mod vector;

#[cfg(test)]
mod tests;

pub use appearance::{Appearance, TablePattern};
pub use camera::PinholeCamera;
pub use light::{Ambient, DistantLight};
pub use stage::CARD_PRINT_SHARE;

use nalgebra::Isometry3;

use crate::emoji;
use crate::scene::Card;
use arm::Material;
use bound::MaskGrid;
use camera::Rays;
use caster::{Caster, Finish, Hit};
use colour::Encoder;
use light::{LIGHTS, Lighting, lifted};
use primitive::Primitive;
use stage::{Stage, StageSample};
use vector::V3;

/// Edge of the square of pixels that is skipped or worked on as one.
const TILE: usize = 4;
/// Where in a pixel the rays pass: a rotated grid, which serves near-vertical and near-horizontal edges best.
const SAMPLES: [[f32; 2]; 4] = [
    [0.375, 0.125],
    [0.875, 0.375],
    [0.125, 0.625],
    [0.625, 0.875],
];
const MEAN: f32 = 1.0 / SAMPLES.len() as f32;
/// Longest side of a frame in pixels.
const MAX_SIDE: u32 = 2048;

/// Why a frame cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Frame size out of range.
    #[error("a frame of {width} x {height} pixels: each side must be 1 to {MAX_SIDE}")]
    FrameSize {
        /// Columns asked for.
        width: u32,
        /// Rows asked for.
        height: u32,
    },
    /// A card shows an emoji that does not exist.
    #[error("card {card} shows emoji {emoji}, but there are only {count}", count = emoji::all().len())]
    UnknownEmoji {
        /// Place in the list of cards.
        card: usize,
        /// The index it holds.
        emoji: usize,
    },
    /// The buffer's length is not width x height x 3.
    #[error("the frame buffer holds {got} bytes instead of {want}")]
    BufferSize {
        /// Bytes needed.
        want: usize,
        /// Bytes given.
        got: usize,
    },
}

/// Draws the frames of one episode.
pub struct Renderer {
    camera: PinholeCamera,
    rays: Rays,
    encoder: Encoder,
    stage: Stage,
    caster: Caster,
    moving: Vec<Primitive>,
}

impl Renderer {
    /// Takes the picture of everything that does not move (table, walls, cards), once an episode.
    ///
    /// # Errors
    /// If a side of the frame is 0 or over 2048 pixels, or a card's emoji does not exist.
    pub fn new(
        cards: &[Card],
        appearance: &Appearance,
        width: u32,
        height: u32,
    ) -> Result<Self, RenderError> {
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(RenderError::FrameSize { width, height });
        }
        if let Some((card, shown)) = cards
            .iter()
            .enumerate()
            .find(|(_, card)| card.emoji >= emoji::all().len())
        {
            return Err(RenderError::UnknownEmoji {
                card,
                emoji: shown.emoji,
            });
        }
        let camera = appearance.camera(width, height);
        let rays = camera.rays();
        let size = [width as usize, height as usize];
        let lighting = Lighting::new(&appearance.ambient, &appearance.lights);
        let tiles = MaskGrid::new(
            size[0].div_ceil(TILE),
            size[1].div_ceil(TILE),
            TILE as f32,
            [0.0, 0.0],
        );
        Ok(Self {
            camera,
            rays,
            encoder: Encoder::new(),
            stage: stage::capture(cards, appearance, &lighting, &rays, size),
            caster: Caster::new(lighting, finishes(appearance), tiles),
            moving: Vec::with_capacity(arm::COUNT),
        })
    }

    /// The camera that the frames are taken with.
    pub fn camera(&self) -> &PinholeCamera {
        &self.camera
    }

    /// Draws a frame into `rgb` (height x width x 3, rows from the top, sRGB). Allocates nothing.
    ///
    /// `links_in_world` are the base and the frame after each of the six joints; `fingers_m` is the travel of the left and right finger
    /// from the middle; `cube_in_world` is the pose of the cube's centre.
    ///
    /// # Errors
    /// If `rgb` has another length.
    pub fn render(
        &mut self,
        links_in_world: &[Isometry3<f64>; 7],
        fingers_m: [f64; 2],
        cube_in_world: &Isometry3<f64>,
        rgb: &mut [u8],
    ) -> Result<(), RenderError> {
        if rgb.len() != self.stage.rgb.len() {
            return Err(RenderError::BufferSize {
                want: self.stage.rgb.len(),
                got: rgb.len(),
            });
        }
        arm::assemble(links_in_world, fingers_m, cube_in_world, &mut self.moving);
        self.caster.place(&self.moving, &self.rays);
        self.draw(rgb);
        Ok(())
    }

    /// Casts the rays of every tile in which something that moves is seen or casts its shadow.
    fn draw(&self, rgb: &mut [u8]) {
        rgb.copy_from_slice(&self.stage.rgb);
        let (width, height) = self.camera.size();
        let columns = (width as usize).div_ceil(TILE);
        for (tile, cells) in self.stage.tile_shadow_cells.iter().enumerate() {
            let (tile_x, tile_y) = (tile % columns, tile / columns);
            let mask = self.caster.mask(tile_x, tile_y);
            let shaded = (0..LIGHTS).any(|light| !self.caster.shadow(light).is_empty(cells[light]));
            if mask == 0 && !shaded {
                continue;
            }
            for y in tile_y * TILE..(tile_y * TILE + TILE).min(height as usize) {
                for x in tile_x * TILE..(tile_x * TILE + TILE).min(width as usize) {
                    let pixel = y * width as usize + x;
                    if let Some(colour) = self.pixel([x, y], pixel, mask) {
                        rgb[3 * pixel..3 * pixel + 3].copy_from_slice(&self.encoder.encode(colour));
                    }
                }
            }
        }
    }

    /// Mean colour of a pixel's samples, or `None` where the stage's own picture stands.
    fn pixel(&self, [x, y]: [usize; 2], pixel: usize, mask: u64) -> Option<V3> {
        let first = pixel * SAMPLES.len();
        let behind = &self.stage.samples[first..first + SAMPLES.len()];
        let directions = SAMPLES.map(|[dx, dy]| self.rays.direction(x as f32 + dx, y as f32 + dy));
        let hits: [Option<Hit>; SAMPLES.len()] = std::array::from_fn(|sample| {
            self.caster
                .nearest(directions[sample], mask, behind[sample].depth)
        });
        if let [Some(one), rest @ ..] = &hits
            && rest
                .iter()
                .flatten()
                .filter(|hit| hit.same_face(one))
                .count()
                == rest.len()
        {
            // One flat face fills the pixel: its light is looked up once, in the middle.
            let middle = self.rays.direction(x as f32 + 0.5, y as f32 + 0.5);
            let depth = hits.iter().flatten().map(|hit| hit.depth).sum::<f32>() * MEAN;
            return Some(
                self.caster
                    .colour(&Hit { depth, ..*one }, middle, self.rays.eye),
            );
        }
        let mut sum = V3::default();
        let mut changed = false;
        for sample in 0..SAMPLES.len() {
            let (behind, direction) = (&behind[sample], directions[sample]);
            let colour = if let Some(hit) = &hits[sample] {
                changed = true;
                self.caster.colour(hit, direction, self.rays.eye)
            } else {
                let shaded = self.shaded(behind, direction);
                changed |= shaded != 0;
                self.stage.colour(behind, shaded)
            };
            sum = sum + colour;
        }
        changed.then(|| sum * MEAN)
    }

    /// Bit i: something that moves keeps light i from a point of the stage.
    fn shaded(&self, sample: &StageSample, direction: V3) -> u8 {
        let start = lifted(self.rays.eye + direction * sample.depth, sample.normal());
        (0..LIGHTS)
            .filter(|&light| sample.is_lit(light) && self.caster.is_shaded(light, start))
            .fold(0, |bits, light| bits | 1 << light)
    }
}

/// Colours of what moves.
fn finishes(look: &Appearance) -> [Finish; Material::ALL.len()] {
    let [r, g, b] = look.arm_tint;
    let arm = |level: f32, gloss: f32| Finish {
        albedo: V3::new(r, g, b) * level,
        gloss,
    };
    let [cube_r, cube_g, cube_b] = look.cube;
    Material::ALL.map(|material| match material {
        Material::Tube => arm(0.028, 0.25),
        Material::Servo => arm(0.055, 0.10),
        Material::Metal => arm(0.30, 0.35),
        Material::Finger => arm(0.11, 0.12),
        Material::Pad => arm(0.32, 0.0),
        Material::Cube => Finish {
            albedo: V3::new(cube_r, cube_g, cube_b),
            gloss: 0.04,
        },
    })
}
