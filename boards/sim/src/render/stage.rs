//! What never moves: table, walls, floor, pedestal, cards. Seen once an episode, sample by sample.

use super::appearance::Appearance;
use super::bound::{CellRect, MaskGrid};
use super::camera::Rays;
use super::light::{LIGHTS, Lighting, ShadowGrid, lifted};
use super::primitive::{Primitive, Shape};
use super::surface::{Art, CARD_PRINT_SHARE, Surface};
use super::vector::{Pose, V3};
use super::{SAMPLES, TILE, Window};
use crate::scene::{
    BACK_WALL_X_M, CARD_HALF_THICKNESS_M, FLOOR_Z_M, LEFT_WALL_Y_M, TABLE_THICKNESS_M, TABLE_X_M,
    TABLE_Y_M, WALL_HEIGHT_M, WALL_THICKNESS_M,
};
use crate::table::Table;

/// Half the side of the pedestal under the arm.
const PEDESTAL_HALF_M: f64 = 0.06;
/// Half the side of the floor.
const FLOOR_HALF_M: f64 = 5.0;

const FLOOR: V3 = V3::new(0.16, 0.16, 0.17);
const PEDESTAL: V3 = V3::new(0.20, 0.21, 0.22);
const BACKGROUND: V3 = V3::new(0.55, 0.57, 0.60);

/// Faces of the axis-parallel boxes that the stage is made of: -x, +x, -y, +y, -z, +z.
const FACES: usize = 6;
/// Stands for "nothing there" in place of a face.
const NO_FACE: u8 = FACES as u8;

/// What one ray sees when nothing moves into its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct StageSample {
    /// Along the optical axis, metres.
    pub depth: f32,
    pub albedo: V3,
    face: u8,
    /// Bit i: light i reaches the point.
    lit: u8,
}

const NOT_LOOKED_AT: StageSample = StageSample {
    depth: f32::INFINITY,
    albedo: V3::new(0.0, 0.0, 0.0),
    face: NO_FACE,
    lit: 0,
};

/// The static picture.
pub(super) struct Stage {
    /// `SAMPLES` a pixel, row by row.
    pub samples: Vec<StageSample>,
    /// The finished picture without anything that moves, sRGB.
    pub rgb: Vec<u8>,
    /// For each tile and light: the cells of the shadow grid in which its samples lie.
    pub tile_shadow_cells: Vec<[CellRect; LIGHTS]>,
    /// Light on each face (and on the background, which shines by itself): ambient, then each light's.
    light_on_face: [[V3; 1 + LIGHTS]; FACES + 1],
}

impl StageSample {
    pub fn normal(&self) -> V3 {
        face_normal(self.face)
    }

    /// Whether light `index` reaches the point if nothing that moves shades it.
    pub fn is_lit(&self, index: usize) -> bool {
        self.lit >> index & 1 == 1
    }
}

impl Stage {
    /// Colour of a sample; `shaded` has bit i set where something that moves blocks light i.
    pub fn colour(&self, sample: &StageSample, shaded: u8) -> V3 {
        let [ambient, lights @ ..] = &self.light_on_face[usize::from(sample.face)];
        let mut light = *ambient;
        for (index, &from_light) in lights.iter().enumerate() {
            if (sample.lit & !shaded) >> index & 1 == 1 {
                light = light + from_light;
            }
        }
        sample.albedo.times(light)
    }
}

fn face_normal(face: u8) -> V3 {
    let sign = if face & 1 == 0 { -1.0 } else { 1.0 };
    match face / 2 {
        0 => V3::new(sign, 0.0, 0.0),
        1 => V3::new(0.0, sign, 0.0),
        _ => V3::new(0.0, 0.0, sign),
    }
}

fn face_of(normal: V3) -> u8 {
    if normal.x != 0.0 {
        u8::from(normal.x > 0.0)
    } else if normal.y != 0.0 {
        2 + u8::from(normal.y > 0.0)
    } else {
        4 + u8::from(normal.z > 0.0)
    }
}

struct Boxes<'a> {
    primitives: Vec<Primitive>,
    surfaces: Vec<Surface<'a>>,
}

impl<'a> Boxes<'a> {
    fn add(&mut self, min: [f64; 3], max: [f64; 3], surface: Surface<'a>) {
        let middle = |axis: usize| (0.5 * (min[axis] + max[axis])) as f32;
        let half = |axis: usize| (0.5 * (max[axis] - min[axis])) as f32;
        self.primitives.push(Primitive {
            shape: Shape::Box(V3::new(half(0), half(1), half(2))),
            pose: Pose::at(V3::new(middle(0), middle(1), middle(2))),
            material: self.surfaces.len(),
        });
        self.surfaces.push(surface);
    }
}

fn boxes<'a>(table: &Table, arts: &'a [Art], look: &Appearance) -> Boxes<'a> {
    let mut all = Boxes {
        primitives: Vec::new(),
        surfaces: Vec::new(),
    };
    let plain = |[r, g, b]: [f32; 3]| Surface::Plain(V3::new(r, g, b));
    let ([x0, x1], [y0, y1]) = (TABLE_X_M, TABLE_Y_M);
    all.add([x0, y0, -TABLE_THICKNESS_M], [x1, y1, 0.0], Surface::Table);
    all.add(
        [BACK_WALL_X_M, y0, -TABLE_THICKNESS_M],
        [
            BACK_WALL_X_M + WALL_THICKNESS_M,
            LEFT_WALL_Y_M + WALL_THICKNESS_M,
            WALL_HEIGHT_M,
        ],
        plain(look.back_wall),
    );
    all.add(
        [x0, LEFT_WALL_Y_M, -TABLE_THICKNESS_M],
        [
            BACK_WALL_X_M,
            LEFT_WALL_Y_M + WALL_THICKNESS_M,
            WALL_HEIGHT_M,
        ],
        plain(look.left_wall),
    );
    let [bx, by, bz] = table.setup.base_in_world_m;
    if bz > 0.0 {
        all.add(
            [bx - PEDESTAL_HALF_M, by - PEDESTAL_HALF_M, 0.0],
            [bx + PEDESTAL_HALF_M, by + PEDESTAL_HALF_M, bz],
            Surface::Plain(PEDESTAL),
        );
    }
    all.add(
        [-FLOOR_HALF_M, -FLOOR_HALF_M, FLOOR_Z_M - 0.1],
        [FLOOR_HALF_M, FLOOR_HALF_M, FLOOR_Z_M],
        Surface::Plain(FLOOR),
    );
    let [r, g, b] = look.paper;
    for (card, art) in table.cards.iter().zip(arts) {
        let [x, y] = card.centre_xy;
        let half = card.half_size_m;
        let [tint_r, tint_g, tint_b] = card.tint;
        all.add(
            [x - half, y - half, 0.0],
            [x + half, y + half, 2.0 * CARD_HALF_THICKNESS_M],
            Surface::Card {
                centre: [x as f32, y as f32],
                side: 2.0 * half as f32 * CARD_PRINT_SHARE,
                paper: V3::new(r, g, b).times(V3::new(tint_r, tint_g, tint_b)),
                print: art.on_white(),
            },
        );
    }
    all
}

/// Looks at the stage through every sample of the frame's window.
pub(super) fn capture(
    table: &Table,
    look: &Appearance,
    lighting: &Lighting,
    rays: &Rays,
    [width, height]: [usize; 2],
    window: &Window,
) -> Stage {
    let arts: Vec<Art> = table.cards.iter().map(Art::of).collect();
    let Boxes {
        primitives,
        surfaces,
    } = boxes(table, &arts, look);
    let mut screen = MaskGrid::new(
        width.div_ceil(TILE),
        height.div_ceil(TILE),
        TILE as f32,
        [0.0, 0.0],
    );
    rays.mark(&primitives, &mut screen);
    let shadows = lighting.towards.map(|towards| {
        let mut grid = ShadowGrid::new(towards);
        grid.fill(&primitives);
        grid
    });
    let seen = Seen {
        primitives: &primitives,
        surfaces: &surfaces,
        look,
        lighting,
        shadows: &shadows,
        rays,
    };

    let mut samples = Vec::with_capacity(width * height * SAMPLES.len());
    for y in 0..height {
        for x in 0..width {
            if !window.holds(x, y) {
                samples.extend([NOT_LOOKED_AT; SAMPLES.len()]);
                continue;
            }
            let mask = screen.mask(x / TILE, y / TILE);
            for [dx, dy] in SAMPLES {
                samples.push(seen.along(rays.direction(x as f32 + dx, y as f32 + dy), mask));
            }
        }
    }
    let mut stage = Stage {
        rgb: Vec::with_capacity(width * height * 3),
        tile_shadow_cells: tile_shadow_cells(&samples, rays, &shadows, [width, height]),
        samples,
        light_on_face: std::array::from_fn(|face| {
            if face == FACES {
                return [V3::grey(1.0), V3::default(), V3::default()];
            }
            let normal = face_normal(face as u8);
            [
                lighting.ambient(normal),
                lighting.diffuse(0, normal),
                lighting.diffuse(1, normal),
            ]
        }),
    };
    let encoder = super::colour::Encoder::new();
    for pixel in stage.samples.chunks_exact(SAMPLES.len()) {
        let sum = pixel
            .iter()
            .fold(V3::default(), |sum, sample| sum + stage.colour(sample, 0));
        stage
            .rgb
            .extend(encoder.encode(sum * (1.0 / SAMPLES.len() as f32)));
    }
    stage
}

fn tile_shadow_cells(
    samples: &[StageSample],
    rays: &Rays,
    shadows: &[ShadowGrid; LIGHTS],
    [width, height]: [usize; 2],
) -> Vec<[CellRect; LIGHTS]> {
    let columns = width.div_ceil(TILE);
    let none = CellRect {
        x: [u16::MAX, 0],
        y: [u16::MAX, 0],
    };
    let mut rects = vec![[none; LIGHTS]; columns * height.div_ceil(TILE)];
    for (index, sample) in samples.iter().enumerate() {
        if sample.face == NO_FACE {
            continue;
        }
        let (pixel, [dx, dy]) = (index / SAMPLES.len(), SAMPLES[index % SAMPLES.len()]);
        let (x, y) = (pixel % width, pixel / width);
        let point = rays.eye + rays.direction(x as f32 + dx, y as f32 + dy) * sample.depth;
        for (rect, shadow) in rects[y / TILE * columns + x / TILE].iter_mut().zip(shadows) {
            let [column, row] = shadow
                .cell_at(lifted(point, sample.normal()))
                .map(|at| at as u16);
            rect.x = [rect.x[0].min(column), rect.x[1].max(column + 1)];
            rect.y = [rect.y[0].min(row), rect.y[1].max(row + 1)];
        }
    }
    for rect in rects.iter_mut().flatten() {
        if rect.x[0] > rect.x[1] {
            *rect = CellRect {
                x: [0, 0],
                y: [0, 0],
            };
        }
    }
    rects
}

/// All that one look needs.
struct Seen<'a> {
    primitives: &'a [Primitive],
    surfaces: &'a [Surface<'a>],
    look: &'a Appearance,
    lighting: &'a Lighting,
    shadows: &'a [ShadowGrid; LIGHTS],
    rays: &'a Rays,
}

impl Seen<'_> {
    fn along(&self, direction: V3, mut mask: u64) -> StageSample {
        let mut nearest: Option<(f32, &Primitive)> = None;
        while mask != 0 {
            let primitive = &self.primitives[mask.trailing_zeros() as usize];
            mask &= mask - 1;
            // Every pose of the stage is a translation.
            let hit = primitive
                .shape
                .hit(self.rays.eye - primitive.pose.origin, direction);
            if let Some(depth) = hit
                && nearest.is_none_or(|(best, _)| depth < best)
            {
                nearest = Some((depth, primitive));
            }
        }
        let Some((depth, primitive)) = nearest else {
            return StageSample {
                depth: f32::INFINITY,
                albedo: BACKGROUND,
                face: NO_FACE,
                lit: 0,
            };
        };
        let point = self.rays.eye + direction * depth;
        let normal = primitive.shape.normal(point - primitive.pose.origin);
        // How much of the surface one sample covers, taken as a circle of the same area.
        let slant = normal.dot(direction).abs() / direction.length();
        let footprint_m =
            0.5 * depth * direction.length() / self.rays.focal_px / slant.max(0.05).sqrt();
        let lit = (0..LIGHTS).filter(|&light| {
            normal.dot(self.lighting.towards[light]) > 0.0
                && !self.is_shaded(light, lifted(point, normal))
        });
        StageSample {
            depth,
            albedo: self.surfaces[primitive.material].albedo(self.look, point, normal, footprint_m),
            face: face_of(normal),
            lit: lit.fold(0, |bits, light| bits | 1 << light),
        }
    }

    fn is_shaded(&self, light: usize, start: V3) -> bool {
        let mut mask = self.shadows[light].mask_at(start);
        while mask != 0 {
            let primitive = &self.primitives[mask.trailing_zeros() as usize];
            mask &= mask - 1;
            // Lights are above: what ends below the point cannot shade it.
            let top = primitive.pose.origin.z + primitive.shape.half_extents().z;
            if top > start.z
                && primitive
                    .shape
                    .hit(start - primitive.pose.origin, self.lighting.towards[light])
                    .is_some()
            {
                return true;
            }
        }
        false
    }
}
