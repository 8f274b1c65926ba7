//! The simulated camera's pictures: an analytic ray caster on the CPU.
//!
//! It draws the table, the walls, the cards, the objects and the arm from boxes, cylinders and capsules, with two shadowed lights and
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
mod mark;
mod noise;
mod primitive;
mod stage;
mod surface;
pub mod texture;
mod vector;
mod window;

#[cfg(test)]
mod tests;

pub(crate) use appearance::srgb;
pub use appearance::{Appearance, TablePattern};
pub use camera::PinholeCamera;
pub use light::{Ambient, DistantLight};
pub use mark::{Figure, Mark};
pub use surface::CARD_PRINT_SHARE;
pub use window::Window;

use nalgebra::Isometry3;

use crate::emoji;
use crate::setup::body::Material;
use crate::setup::{self, Mount, Setup};
use crate::table::{MAX_OBJECTS, Object, Print, Solid, Table};
use bound::{MAX_PRIMITIVES, MaskGrid};
use camera::Rays;
use caster::{Caster, Finish, Hit};
use colour::Encoder;
use light::{LIGHTS, Lighting, lifted};
use primitive::{Primitive, Shape};
use stage::{Stage, StageSample};
use vector::{Pose, V3};

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
/// Yellow printed plastic, linear.
const PRINT: V3 = V3::new(0.62, 0.38, 0.05);
/// Longest side of a frame in pixels.
const MAX_SIDE: u32 = 2048;
const _: () = {
    let mut cell = 0;
    while cell < setup::ALL.len() {
        assert!(arm::count(setup::ALL[cell]) + MAX_OBJECTS <= MAX_PRIMITIVES);
        cell += 1;
    }
};

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
    /// A table with more objects than can be drawn.
    #[error("the table holds {0} objects, {MAX_OBJECTS} at most can be drawn")]
    TooManyObjects(usize),
    /// Not every object has a pose, or too many have.
    #[error("{got} poses for {want} objects")]
    ObjectPoses {
        /// Objects on the table.
        want: usize,
        /// Poses given.
        got: usize,
    },
    /// The cell has no such camera.
    #[error("there is no camera {place}, the cell has {count}")]
    NoCamera {
        /// The one asked for, from 0.
        place: usize,
        /// How many there are.
        count: usize,
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
    setup: &'static Setup,
    /// Which of the cell's cameras.
    place: usize,
    /// What a camera that moves with the arm sees anew in every frame.
    moves: Option<Box<(Table, Appearance)>>,
    camera: PinholeCamera,
    rays: Rays,
    encoder: Encoder,
    stage: Stage,
    caster: Caster,
    objects: Vec<Shape>,
    moving: Vec<Primitive>,
    window: Window,
}

impl Renderer {
    /// Takes the picture of everything that does not move (table, walls, cards), once an episode.
    ///
    /// # Errors
    /// If a side of the frame is 0 or over 2048 pixels, a card's emoji does not exist, or there are too many objects.
    pub fn new(
        table: &Table,
        appearance: &Appearance,
        width: u32,
        height: u32,
    ) -> Result<Self, RenderError> {
        Self::windowed(
            table,
            appearance,
            width,
            height,
            Window::whole(width, height),
        )
    }

    /// Like [`Renderer::new`], but draws the pixels of a window only, and those the same: the others mean nothing.
    ///
    /// # Errors
    /// As [`Renderer::new`].
    pub fn windowed(
        table: &Table,
        appearance: &Appearance,
        width: u32,
        height: u32,
        window: Window,
    ) -> Result<Self, RenderError> {
        Self::of_camera(table, appearance, 0, (width, height), window)
    }

    /// Like [`Renderer::windowed`], for another camera of the table's cell than its first.
    ///
    /// # Errors
    /// As [`Renderer::new`], and when the cell has no such camera.
    pub fn of_camera(
        table: &Table,
        appearance: &Appearance,
        place: usize,
        (width, height): (u32, u32),
        window: Window,
    ) -> Result<Self, RenderError> {
        let cameras = table.setup.cameras;
        let mount = cameras.get(place).ok_or(RenderError::NoCamera {
            place,
            count: cameras.len(),
        })?;
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(RenderError::FrameSize { width, height });
        }
        for (card, shown) in table.cards.iter().enumerate() {
            if let Print::Emoji(emoji) = shown.print
                && emoji >= emoji::all().len()
            {
                return Err(RenderError::UnknownEmoji { card, emoji });
            }
        }
        if table.objects.len() > MAX_OBJECTS {
            return Err(RenderError::TooManyObjects(table.objects.len()));
        }
        let camera = PinholeCamera::mounted(mount, appearance, &[], (width, height));
        let rays = camera.rays();
        let size = [width as usize, height as usize];
        let lighting = Lighting::new(&appearance.ambient, &appearance.lights);
        let tiles = MaskGrid::new(
            size[0].div_ceil(TILE),
            size[1].div_ceil(TILE),
            TILE as f32,
            [0.0, 0.0],
        );
        let moves = matches!(mount.mount, Mount::Link { .. });
        Ok(Self {
            setup: table.setup,
            place,
            moves: moves.then(|| Box::new((table.clone(), appearance.clone()))),
            camera,
            rays,
            encoder: Encoder::new(),
            stage: stage::capture(table, appearance, &lighting, &rays, size, &window),
            caster: Caster::new(lighting, finishes(appearance, &table.objects), tiles),
            objects: table
                .objects
                .iter()
                .map(|object| shape(object.solid))
                .collect(),
            moving: Vec::with_capacity(MAX_PRIMITIVES),
            window,
        })
    }

    /// The camera that the frames are taken with.
    pub fn camera(&self) -> &PinholeCamera {
        &self.camera
    }

    /// Draws a frame into `rgb` (height x width x 3, rows from the top, sRGB). A camera that is fixed to the world allocates nothing.
    ///
    /// `links_in_world` are the base and the frame after each joint; `fingers_m` is the travel of the left and right finger
    /// from the middle (of a gripper with one moving jaw, the first is its position); `objects_in_world` are the poses of the objects' centres, in the table's order.
    ///
    /// # Errors
    /// If `rgb` has another length, or there is not one pose for each object.
    pub fn render(
        &mut self,
        links_in_world: &[Isometry3<f64>],
        fingers_m: [f64; 2],
        objects_in_world: &[Isometry3<f64>],
        rgb: &mut [u8],
    ) -> Result<(), RenderError> {
        if rgb.len() != self.stage.rgb.len() {
            return Err(RenderError::BufferSize {
                want: self.stage.rgb.len(),
                got: rgb.len(),
            });
        }
        if objects_in_world.len() != self.objects.len() {
            return Err(RenderError::ObjectPoses {
                want: self.objects.len(),
                got: objects_in_world.len(),
            });
        }
        self.follow(links_in_world);
        arm::assemble(self.setup, links_in_world, fingers_m, &mut self.moving);
        for (index, (shape, pose)) in self.objects.iter().zip(objects_in_world).enumerate() {
            self.moving.push(Primitive {
                shape: *shape,
                pose: Pose::from_isometry(pose),
                material: Material::ALL.len() + index,
            });
        }
        self.caster.place(&self.moving, &self.rays);
        self.draw(rgb);
        Ok(())
    }

    /// Takes the picture of what does not move anew, where the camera does.
    fn follow(&mut self, links_in_world: &[Isometry3<f64>]) {
        let (Some(moves), Some(mount)) = (&self.moves, self.setup.cameras.get(self.place)) else {
            return;
        };
        let (table, appearance) = &**moves;
        let size = self.camera.size();
        self.camera = PinholeCamera::mounted(mount, appearance, links_in_world, size);
        self.rays = self.camera.rays();
        let lighting = Lighting::new(&appearance.ambient, &appearance.lights);
        self.stage = stage::capture(
            table,
            appearance,
            &lighting,
            &self.rays,
            [size.0 as usize, size.1 as usize],
            &self.window,
        );
    }

    /// Casts the rays of every tile in which something that moves is seen or casts its shadow.
    fn draw(&self, rgb: &mut [u8]) {
        rgb.copy_from_slice(&self.stage.rgb);
        let (width, height) = self.camera.size();
        let columns = (width as usize).div_ceil(TILE);
        for (tile, cells) in self.stage.tile_shadow_cells.iter().enumerate() {
            let (tile_x, tile_y) = (tile % columns, tile / columns);
            if !self.window.meets_tile(tile_x, tile_y) {
                continue;
            }
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

fn shape(solid: Solid) -> Shape {
    match solid {
        Solid::Box { half_m: [x, y, z] } => Shape::Box(V3::new(x as f32, y as f32, z as f32)),
        Solid::Cylinder {
            radius_m,
            half_height_m,
        } => Shape::Cylinder {
            radius: radius_m as f32,
            half_length: half_height_m as f32,
        },
    }
}

/// Colours of what moves: the arm's materials, then each object.
fn finishes(look: &Appearance, objects: &[Object]) -> Vec<Finish> {
    let [r, g, b] = look.arm_tint;
    let arm = Material::ALL.map(|material| {
        let (level, gloss) = match material {
            Material::Tube => (0.028, 0.25),
            Material::Servo => (0.055, 0.10),
            Material::Metal => (0.30, 0.35),
            Material::Finger => (0.11, 0.12),
            Material::Pad => (0.32, 0.0),
            Material::Print => {
                return Finish {
                    albedo: V3::new(r, g, b).times(PRINT),
                    gloss: 0.08,
                };
            }
        };
        Finish {
            albedo: V3::new(r, g, b) * level,
            gloss,
        }
    });
    let objects = objects.iter().map(|object| {
        let [r, g, b] = object.rgb.unwrap_or(look.cube);
        Finish {
            albedo: V3::new(r, g, b),
            gloss: 0.04,
        }
    });
    arm.into_iter().chain(objects).collect()
}
