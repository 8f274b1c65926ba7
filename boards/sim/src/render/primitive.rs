//! Boxes, cylinders and capsules, and where a ray meets them.

use super::vector::{Pose, V3};

/// A solid around the local origin.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// Half the edges.
    Box(V3),
    /// Along local z, with flat ends.
    Cylinder { radius: f32, half_length: f32 },
    /// Along local z: a cylinder that ends in two half spheres. Of length 0 it is a sphere.
    Capsule { radius: f32, half_length: f32 },
}

/// Where a ray counts as having left the surface it starts from.
const NEAR: f32 = 1e-5;

impl Shape {
    /// Half the edges of the smallest local box around it.
    pub fn half_extents(&self) -> V3 {
        match *self {
            Self::Box(half) => half,
            Self::Cylinder {
                radius,
                half_length,
            } => V3::new(radius, radius, half_length),
            Self::Capsule {
                radius,
                half_length,
            } => V3::new(radius, radius, half_length + radius),
        }
    }

    /// The first ray parameter beyond [`NEAR`] at which the local ray enters the solid, or leaves it if it starts inside.
    #[inline(always)]
    pub fn hit(&self, origin: V3, direction: V3) -> Option<f32> {
        match *self {
            Self::Box(half) => hit_box(half, origin, direction),
            Self::Cylinder {
                radius,
                half_length,
            } => hit_cylinder(radius, half_length, origin, direction),
            Self::Capsule {
                radius,
                half_length,
            } => hit_capsule(radius, half_length, origin, direction),
        }
    }

    /// The outward normal at a local point of the surface.
    pub fn normal(&self, point: V3) -> V3 {
        match *self {
            Self::Box(half) => {
                let (x, y, z) = (
                    point.x.abs() - half.x,
                    point.y.abs() - half.y,
                    point.z.abs() - half.z,
                );
                let sign = |value: f32| if value < 0.0 { -1.0 } else { 1.0 };
                if x >= y && x >= z {
                    V3::new(sign(point.x), 0.0, 0.0)
                } else if y >= z {
                    V3::new(0.0, sign(point.y), 0.0)
                } else {
                    V3::new(0.0, 0.0, sign(point.z))
                }
            }
            Self::Cylinder {
                radius,
                half_length,
            } => {
                let from_axis = (point.x * point.x + point.y * point.y).sqrt();
                if point.z.abs() - half_length > from_axis - radius {
                    V3::new(0.0, 0.0, if point.z < 0.0 { -1.0 } else { 1.0 })
                } else {
                    V3::new(point.x, point.y, 0.0).unit()
                }
            }
            Self::Capsule { half_length, .. } => V3::new(
                point.x,
                point.y,
                point.z - point.z.clamp(-half_length, half_length),
            )
            .unit(),
        }
    }
}

/// The interval in which one coordinate of the ray is within `half` of 0. A ray that never changes the coordinate divides by zero:
/// the infinities that follow say "always" or "never" as they should.
#[inline(always)]
fn within_slab(half: f32, origin: f32, direction: f32) -> (f32, f32) {
    let inverse = 1.0 / direction;
    let (a, b) = ((-half - origin) * inverse, (half - origin) * inverse);
    if a < b { (a, b) } else { (b, a) }
}

#[inline(always)]
fn hit_box(half: V3, origin: V3, direction: V3) -> Option<f32> {
    let (mut enter, mut leave) = within_slab(half.x, origin.x, direction.x);
    for (near, far) in [
        within_slab(half.y, origin.y, direction.y),
        within_slab(half.z, origin.z, direction.z),
    ] {
        if near > enter {
            enter = near;
        }
        if far < leave {
            leave = far;
        }
    }
    first_beyond_near(enter, leave)
}

#[inline(always)]
fn first_beyond_near(enter: f32, leave: f32) -> Option<f32> {
    if enter > leave || leave < NEAR {
        None
    } else if enter > NEAR {
        Some(enter)
    } else {
        Some(leave)
    }
}

/// The interval in which the ray is within `radius` of the z axis.
#[inline(always)]
fn within_radius(radius: f32, origin: V3, direction: V3) -> Option<(f32, f32)> {
    let a = direction.x * direction.x + direction.y * direction.y;
    let b = origin.x * direction.x + origin.y * direction.y;
    let c = origin.x * origin.x + origin.y * origin.y - radius * radius;
    if a < 1e-12 {
        return (c <= 0.0).then_some((f32::NEG_INFINITY, f32::INFINITY));
    }
    let discriminant = b * b - a * c;
    if discriminant < 0.0 {
        return None;
    }
    let root = discriminant.sqrt();
    let inverse = 1.0 / a;
    Some(((-b - root) * inverse, (-b + root) * inverse))
}

#[inline(always)]
fn hit_cylinder(radius: f32, half_length: f32, origin: V3, direction: V3) -> Option<f32> {
    let (mut enter, mut leave) = within_radius(radius, origin, direction)?;
    let (near, far) = within_slab(half_length, origin.z, direction.z);
    if near > enter {
        enter = near;
    }
    if far < leave {
        leave = far;
    }
    first_beyond_near(enter, leave)
}

#[inline(always)]
fn hit_capsule(radius: f32, half_length: f32, origin: V3, direction: V3) -> Option<f32> {
    // The solid is convex: the ray is inside from the first entry to the last exit of its three parts.
    let mut enter = f32::INFINITY;
    let mut leave = f32::NEG_INFINITY;
    if let Some((near, far)) = within_radius(radius, origin, direction) {
        for at in [near, far] {
            let z = origin.z + direction.z * at;
            if z >= -half_length && z <= half_length {
                enter = if at < enter { at } else { enter };
                leave = if at > leave { at } else { leave };
            }
        }
    }
    let a = direction.dot(direction);
    for end in [-half_length, half_length] {
        let from_centre = V3::new(origin.x, origin.y, origin.z - end);
        let b = from_centre.dot(direction);
        let discriminant = b * b - a * (from_centre.dot(from_centre) - radius * radius);
        if discriminant >= 0.0 {
            let root = discriminant.sqrt();
            let (near, far) = ((-b - root) / a, (-b + root) / a);
            enter = if near < enter { near } else { enter };
            leave = if far > leave { far } else { leave };
        }
    }
    if leave < enter {
        None
    } else {
        first_beyond_near(enter, leave)
    }
}

/// A shape somewhere in the world, made of something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Primitive {
    pub shape: Shape,
    pub pose: Pose,
    /// What the surface is, as the owner of the list counts it.
    pub material: usize,
}

impl Primitive {
    /// The corners of the box around it, in the world.
    pub fn corners(&self) -> [V3; 8] {
        let half = self.shape.half_extents();
        std::array::from_fn(|corner| {
            let sign = |bit: usize| if corner >> bit & 1 == 0 { -1.0 } else { 1.0 };
            self.pose.point(V3::new(
                sign(0) * half.x,
                sign(1) * half.y,
                sign(2) * half.z,
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [Shape; 3] = [
        Shape::Box(V3::new(1.0, 2.0, 3.0)),
        Shape::Cylinder {
            radius: 1.0,
            half_length: 2.0,
        },
        Shape::Capsule {
            radius: 1.0,
            half_length: 2.0,
        },
    ];

    #[test]
    fn rays_along_the_axes_meet_the_faces() {
        // shape, from, towards, distance, normal
        let cases = [
            (
                0,
                V3::new(9.0, 0.5, 0.5),
                V3::new(-1.0, 0.0, 0.0),
                8.0,
                V3::new(1.0, 0.0, 0.0),
            ),
            (
                0,
                V3::new(0.0, 0.0, 0.0),
                V3::new(0.0, 0.0, -1.0),
                3.0,
                V3::new(0.0, 0.0, -1.0),
            ),
            (
                1,
                V3::new(0.0, 9.0, 1.0),
                V3::new(0.0, -1.0, 0.0),
                8.0,
                V3::new(0.0, 1.0, 0.0),
            ),
            (
                1,
                V3::new(0.5, 0.0, 9.0),
                V3::new(0.0, 0.0, -1.0),
                7.0,
                V3::new(0.0, 0.0, 1.0),
            ),
            (
                2,
                V3::new(0.0, 9.0, 1.0),
                V3::new(0.0, -1.0, 0.0),
                8.0,
                V3::new(0.0, 1.0, 0.0),
            ),
            (
                2,
                V3::new(0.0, 0.0, 9.0),
                V3::new(0.0, 0.0, -1.0),
                6.0,
                V3::new(0.0, 0.0, 1.0),
            ),
        ];
        for (shape, from, towards, distance, normal) in cases {
            let shape = SHAPES[shape];
            assert_eq!(
                shape.hit(from, towards),
                Some(distance),
                "{shape:?} from {from:?}"
            );
            assert_eq!(
                shape.normal(from + towards * distance),
                normal,
                "{shape:?} from {from:?}"
            );
        }
    }

    #[test]
    fn rays_beside_or_away_from_a_shape_miss_it() {
        for shape in SHAPES {
            for (from, towards) in [
                (V3::new(9.0, 0.0, 0.0), V3::new(1.0, 0.0, 0.0)),
                (V3::new(9.0, 0.0, 0.0), V3::new(0.0, 1.0, 0.0)),
                (V3::new(1.5, -9.0, 0.0), V3::new(0.0, 1.0, 0.0)),
                (V3::new(9.0, 9.0, 9.0), V3::new(-1.0, -1.0, 0.3)),
            ] {
                assert_eq!(shape.hit(from, towards), None, "{shape:?} from {from:?}");
            }
        }
    }

    #[test]
    fn a_hit_lies_on_the_surface() {
        let mut seed = 1u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let mut hits = 0;
        for _ in 0..2000 {
            let from = V3::new(next(), next(), next()).unit() * 9.0;
            let towards = V3::new(next() * 2.0, next() * 2.0, next() * 2.0) - from;
            for shape in SHAPES {
                let Some(distance) = shape.hit(from, towards) else {
                    continue;
                };
                hits += 1;
                let point = from + towards * distance;
                let normal = shape.normal(point);
                assert!((normal.length() - 1.0).abs() < 1e-4);
                assert!(normal.dot(towards) < 1e-2, "{shape:?} seen from behind");
                // Just inside, the way on leads out of the solid; just outside, away from it, nowhere.
                assert!(shape.hit(point - normal * 1e-3, normal).is_some());
                assert_eq!(
                    shape.hit(point + normal * 1e-3, normal),
                    None,
                    "{shape:?} at {point:?}"
                );
            }
        }
        assert!(hits > 1000);
    }
}
