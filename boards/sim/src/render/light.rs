//! Two distant lights, what they and the room's ambient light give a surface, and who stands in their way.

use super::bound::{CellRect, MaskGrid};
use super::primitive::Primitive;
use super::vector::V3;

/// How many lights cast shadows.
pub(super) const LIGHTS: usize = 2;

/// Middle and half the width of what the shadow grids cover, and their resolution: the whole table, in cells of about a centimetre.
const GRID_MIDDLE: V3 = V3::new(0.0, 0.65, 0.15);
const GRID_HALF_M: f32 = 1.0;
const GRID_CELLS: usize = 160;

/// A shadow ray starts this far off its surface.
const LIFT_M: f32 = 4e-4;

/// A light so far away that its rays are parallel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DistantLight {
    /// Direction from the table to the light (any length).
    pub towards: [f32; 3],
    /// Linear RGB of a white surface that faces the light.
    pub colour: [f32; 3],
}

/// Light without direction: from above and, reflected, from below.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ambient {
    /// Linear RGB on a surface that faces up.
    pub sky: [f32; 3],
    /// Linear RGB on a surface that faces down.
    pub ground: [f32; 3],
}

fn v3([x, y, z]: [f32; 3]) -> V3 {
    V3::new(x, y, z)
}

/// All lights of a scene.
#[derive(Clone, Debug)]
pub(super) struct Lighting {
    sky: V3,
    ground: V3,
    pub towards: [V3; LIGHTS],
    pub colour: [V3; LIGHTS],
}

impl Lighting {
    pub fn new(ambient: &Ambient, lights: &[DistantLight; LIGHTS]) -> Self {
        Self {
            sky: v3(ambient.sky),
            ground: v3(ambient.ground),
            towards: lights.map(|light| v3(light.towards).unit()),
            colour: lights.map(|light| v3(light.colour)),
        }
    }

    /// Ambient light on a surface.
    pub fn ambient(&self, normal: V3) -> V3 {
        self.ground + (self.sky - self.ground) * (0.5 + 0.5 * normal.z)
    }

    /// What light `index` gives a surface that it reaches; black if the surface faces away.
    pub fn diffuse(&self, index: usize, normal: V3) -> V3 {
        let cosine = normal.dot(self.towards[index]);
        if cosine > 0.0 {
            self.colour[index] * cosine
        } else {
            V3::default()
        }
    }

    /// The highlight of light `index` on a glossy surface; `to_eye` has unit length.
    pub fn highlight(&self, index: usize, normal: V3, to_eye: V3) -> V3 {
        let cosine = normal.dot((self.towards[index] + to_eye).unit());
        if cosine <= 0.0 {
            return V3::default();
        }
        // The 32nd power.
        let two = cosine * cosine;
        let four = two * two;
        let eight = four * four;
        let sixteen = eight * eight;
        self.colour[index] * (sixteen * sixteen)
    }
}

/// Which primitives lie between a place and a light.
#[derive(Clone, Debug)]
pub(super) struct ShadowGrid {
    across: [V3; 2],
    grid: MaskGrid,
}

impl ShadowGrid {
    pub fn new(towards: V3) -> Self {
        let helper = if towards.x.abs() < 0.7 {
            V3::new(1.0, 0.0, 0.0)
        } else {
            V3::new(0.0, 1.0, 0.0)
        };
        let first = towards.cross(helper).unit();
        let across = [first, towards.cross(first)];
        let corner = across.map(|axis| axis.dot(GRID_MIDDLE) - GRID_HALF_M);
        let cell = 2.0 * GRID_HALF_M / GRID_CELLS as f32;
        Self {
            across,
            grid: MaskGrid::new(GRID_CELLS, GRID_CELLS, cell, corner),
        }
    }

    fn place(&self, point: V3) -> [f32; 2] {
        self.across.map(|axis| axis.dot(point))
    }

    /// Cell of a point, as column and row.
    pub fn cell_at(&self, point: V3) -> [usize; 2] {
        self.grid.cell_at(self.place(point))
    }

    /// Primitives that may shade a point.
    pub fn mask_at(&self, point: V3) -> u64 {
        self.grid.at(self.place(point))
    }

    /// Takes in the list of primitives, in place of the one before.
    pub fn fill(&mut self, primitives: &[Primitive]) {
        self.grid.clear();
        for (index, primitive) in primitives.iter().enumerate() {
            let corners = primitive.corners().map(|corner| self.place(corner));
            self.grid.mark(index, &corners);
        }
        self.grid.count();
    }

    /// Lets a primitive shade every place.
    #[cfg(test)]
    pub fn mark_all(&mut self, index: usize) {
        self.grid.mark_all(index);
        self.grid.count();
    }

    /// Whether nothing can shade any of the cells.
    pub fn is_empty(&self, rect: CellRect) -> bool {
        self.grid.is_empty(rect)
    }
}

/// Where the shadow ray of a surface point starts.
pub(super) fn lifted(point: V3, normal: V3) -> V3 {
    point + normal * LIFT_M
}
