//! Three `f32`s, and only operations that every IEEE machine rounds alike.

use std::ops::{Add, Mul, Neg, Sub};

use nalgebra::Isometry3;

/// A vector, a point or a linear-light colour.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct V3 {
    pub x: f32,
    pub y: f32,
    pub z: f32,
}

impl V3 {
    pub const fn new(x: f32, y: f32, z: f32) -> Self {
        Self { x, y, z }
    }

    pub const fn grey(value: f32) -> Self {
        Self::new(value, value, value)
    }

    pub fn dot(self, other: Self) -> f32 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    pub fn cross(self, other: Self) -> Self {
        Self::new(
            self.y * other.z - self.z * other.y,
            self.z * other.x - self.x * other.z,
            self.x * other.y - self.y * other.x,
        )
    }

    /// Component by component.
    pub fn times(self, other: Self) -> Self {
        Self::new(self.x * other.x, self.y * other.y, self.z * other.z)
    }

    pub fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    pub fn unit(self) -> Self {
        self * (1.0 / self.length())
    }
}

impl Add for V3 {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::new(self.x + other.x, self.y + other.y, self.z + other.z)
    }
}

impl Sub for V3 {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::new(self.x - other.x, self.y - other.y, self.z - other.z)
    }
}

impl Mul<f32> for V3 {
    type Output = Self;
    fn mul(self, factor: f32) -> Self {
        Self::new(self.x * factor, self.y * factor, self.z * factor)
    }
}

impl Neg for V3 {
    type Output = Self;
    fn neg(self) -> Self {
        Self::new(-self.x, -self.y, -self.z)
    }
}

/// A rigid pose: the local axes and the origin, in world coordinates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pose {
    pub axes: [V3; 3],
    pub origin: V3,
}

impl Pose {
    /// Not turned.
    pub const fn at(origin: V3) -> Self {
        Self {
            axes: [
                V3::new(1.0, 0.0, 0.0),
                V3::new(0.0, 1.0, 0.0),
                V3::new(0.0, 0.0, 1.0),
            ],
            origin,
        }
    }

    pub fn from_isometry(isometry: &Isometry3<f64>) -> Self {
        let rotation = isometry.rotation.to_rotation_matrix();
        let column = |i: usize| {
            V3::new(
                rotation[(0, i)] as f32,
                rotation[(1, i)] as f32,
                rotation[(2, i)] as f32,
            )
        };
        let origin = isometry.translation.vector;
        Self {
            axes: [column(0), column(1), column(2)],
            origin: V3::new(origin.x as f32, origin.y as f32, origin.z as f32),
        }
    }

    /// A direction of this frame, in the world.
    pub fn direction(&self, local: V3) -> V3 {
        self.axes[0] * local.x + self.axes[1] * local.y + self.axes[2] * local.z
    }

    /// A point of this frame, in the world.
    pub fn point(&self, local: V3) -> V3 {
        self.origin + self.direction(local)
    }

    /// A world direction, in this frame.
    pub fn to_local(self, direction: V3) -> V3 {
        V3::new(
            self.axes[0].dot(direction),
            self.axes[1].dot(direction),
            self.axes[2].dot(direction),
        )
    }

    /// The frame `local` of this frame, in the world.
    pub fn then(&self, local: &Self) -> Self {
        Self {
            axes: local.axes.map(|axis| self.direction(axis)),
            origin: self.point(local.origin),
        }
    }
}
