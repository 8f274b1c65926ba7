//! Casts the rays of one frame at what moves, in front of the stage.

use super::bound::{MAX_PRIMITIVES, MaskGrid};
use super::camera::Rays;
use super::light::{LIGHTS, Lighting, ShadowGrid, lifted};
use super::primitive::{Primitive, Shape};
use super::vector::{Pose, V3};

/// How a material answers light.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finish {
    pub albedo: V3,
    /// Share of a light's colour in its highlight.
    pub gloss: f32,
}

/// Where a camera ray meets something that moves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub index: usize,
    pub depth: f32,
    /// In the primitive's own frame.
    pub normal: V3,
}

impl Hit {
    /// Whether both lie on one flat face.
    pub fn same_face(&self, other: &Self) -> bool {
        self.index == other.index && self.normal == other.normal
    }
}

/// A primitive with what does not change over the frame already turned into its own frame.
#[derive(Clone, Copy, Debug)]
struct Placed {
    shape: Shape,
    pose: Pose,
    eye: V3,
    towards: [V3; LIGHTS],
    material: usize,
}

/// The moving things of a frame.
pub(super) struct Caster {
    placed: Vec<Placed>,
    screen: MaskGrid,
    shadows: [ShadowGrid; LIGHTS],
    /// By material.
    finishes: Vec<Finish>,
    lighting: Lighting,
}

impl Caster {
    pub fn new(lighting: Lighting, finishes: Vec<Finish>, screen: MaskGrid) -> Self {
        Self {
            placed: Vec::with_capacity(MAX_PRIMITIVES),
            screen,
            shadows: lighting.towards.map(ShadowGrid::new),
            finishes,
            lighting,
        }
    }

    /// Takes in the primitives of the next frame.
    pub fn place(&mut self, primitives: &[Primitive], rays: &Rays) {
        self.placed.clear();
        self.placed.extend(primitives.iter().map(|primitive| {
            Placed {
                shape: primitive.shape,
                pose: primitive.pose,
                eye: primitive.pose.to_local(rays.eye - primitive.pose.origin),
                towards: self
                    .lighting
                    .towards
                    .map(|towards| primitive.pose.to_local(towards)),
                material: primitive.material,
            }
        }));
        self.screen.clear();
        rays.mark(primitives, &mut self.screen);
        for shadow in &mut self.shadows {
            shadow.fill(primitives);
        }
    }

    /// Forgets every bound: all primitives may be anywhere.
    #[cfg(test)]
    pub fn unbound(&mut self) {
        for index in 0..self.placed.len() {
            self.screen.mark_all(index);
            self.shadows
                .iter_mut()
                .for_each(|shadow| shadow.mark_all(index));
        }
    }

    /// Primitives that may be seen in a tile.
    pub fn mask(&self, tile_x: usize, tile_y: usize) -> u64 {
        self.screen.mask(tile_x, tile_y)
    }

    pub fn shadow(&self, light: usize) -> &ShadowGrid {
        &self.shadows[light]
    }

    /// Where a camera ray first meets a primitive of the mask, before `limit`.
    #[inline]
    pub fn nearest(&self, direction: V3, mut mask: u64, limit: f32) -> Option<Hit> {
        let mut nearest = None;
        let mut best = limit;
        while mask != 0 {
            let index = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            let placed = &self.placed[index];
            if let Some(depth) = placed
                .shape
                .hit(placed.eye, placed.pose.to_local(direction))
                && depth < best
            {
                best = depth;
                nearest = Some(index);
            }
        }
        nearest.map(|index| {
            let placed = &self.placed[index];
            let point = placed.eye + placed.pose.to_local(direction) * best;
            Hit {
                index,
                depth: best,
                normal: placed.shape.normal(point),
            }
        })
    }

    /// Whether something that moves stands between a point and a light.
    #[inline]
    pub fn is_shaded(&self, light: usize, start: V3) -> bool {
        let mut mask = self.shadows[light].mask_at(start);
        while mask != 0 {
            let placed = &self.placed[mask.trailing_zeros() as usize];
            mask &= mask - 1;
            let local = placed.pose.to_local(start - placed.pose.origin);
            if placed.shape.hit(local, placed.towards[light]).is_some() {
                return true;
            }
        }
        false
    }

    /// Colour of a primitive where a camera ray meets it.
    pub fn colour(&self, hit: &Hit, direction: V3, eye: V3) -> V3 {
        let placed = &self.placed[hit.index];
        let finish = &self.finishes[placed.material];
        let normal = placed.pose.direction(hit.normal);
        let start = lifted(eye + direction * hit.depth, normal);
        let to_eye = -direction.unit();
        let mut diffuse = self.lighting.ambient(normal);
        let mut glint = V3::default();
        for light in 0..LIGHTS {
            if normal.dot(self.lighting.towards[light]) > 0.0 && !self.is_shaded(light, start) {
                diffuse = diffuse + self.lighting.diffuse(light, normal);
                glint = glint + self.lighting.highlight(light, normal, to_eye);
            }
        }
        finish.albedo.times(diffuse) + glint * finish.gloss
    }
}
