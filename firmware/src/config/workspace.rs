//! Where an arm's tool may be, and the joints between the base and the tool.

use crate::MAX_JOINTS;
use crate::motion::Positions;

/// A point in the frame of the arm's base, metres.
pub(crate) type Point = [f32; 3];

/// A revolute joint between two links.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkGeometry {
    /// From the previous joint's frame (the base for the first) to this one's at angle zero, metres.
    pub offset: [f32; 3],
    /// The unit vector about which it turns, right-handed.
    pub axis: [f32; 3],
}

/// The space that the tool may be in, and how fast it may move there.
#[derive(Debug, Clone, PartialEq)]
pub struct Workspace {
    /// The arm's joints from the base outwards; those on the wire beyond them (a gripper) do not move the tool.
    pub links: heapless::Vec<LinkGeometry, MAX_JOINTS>,
    /// From the last joint's frame to the tool, metres.
    pub tool: [f32; 3],
    /// Least coordinates of the tool in the base's frame, metres; minus infinity for none.
    pub min: [f32; 3],
    /// Greatest ones; infinite for none.
    pub max: [f32; 3],
    /// Highest speed of the tool, m/s; infinite for none.
    pub speed: f32,
}

impl Workspace {
    /// Where the tool is with the joints at `positions`.
    pub(crate) fn tool_at(&self, positions: &Positions) -> Point {
        // A zip that is reversed can panic.
        (0..self.links.len()).rev().fold(self.tool, |point, joint| {
            match (self.links.get(joint), positions.get(joint)) {
                (Some(link), Some(angle)) => add(link.offset, turn(link.axis, *angle, point)),
                _ => point,
            }
        })
    }

    /// How far a point is outside, metres; 0 inside.
    pub(crate) fn depth(&self, point: Point) -> f32 {
        let limits = self.min.iter().zip(&self.max);
        point
            .iter()
            .zip(limits)
            .fold(0.0, |depth: f32, (at, (min, max))| {
                depth.max(min - at).max(at - max)
            })
    }

    /// Whether it is one that an arm can be kept in.
    pub(super) fn makes_sense(&self) -> bool {
        let lengths = self.links.iter().all(|link| {
            let length = dot(link.axis, link.axis);
            (length - 1.0).abs() < 1e-3 && link.offset.iter().all(|part| part.is_finite())
        });
        let box_ = self.min.iter().zip(&self.max).all(|(min, max)| min < max);
        lengths
            && box_
            && !self.links.is_empty()
            && self.tool.iter().all(|part| part.is_finite())
            && self.speed > 0.0
    }
}

/// Rodrigues' rotation of a point about a unit axis.
fn turn(axis: Point, angle: f32, point: Point) -> Point {
    let (sin, cos) = sin_cos(angle);
    let [x, y, z] = axis;
    let [a, b, c] = point;
    let along = dot(axis, point) * (1.0 - cos);
    [
        a * cos + (y * c - z * b) * sin + x * along,
        b * cos + (z * a - x * c) * sin + y * along,
        c * cos + (x * b - y * a) * sin + z * along,
    ]
}

/// Sine and cosine of an angle of a few turns at most, rad, within 1e-6. The general ones of `libm` can panic on huge numbers.
fn sin_cos(angle: f32) -> (f32, f32) {
    // Half a right angle either way is left, and the number of right angles.
    const RIGHT: f32 = core::f32::consts::FRAC_PI_2;
    // What the constant leaves out.
    const REST: f32 = -4.371_139e-8;
    let count = libm::rintf(angle / RIGHT);
    let r = (angle - count * RIGHT) - count * REST;
    let s = r * r;
    let sin =
        r * (1.0 + s * (-1.0 / 6.0 + s * (1.0 / 120.0 + s * (-1.0 / 5_040.0 + s / 362_880.0))));
    let cos = 1.0 + s * (-0.5 + s * (1.0 / 24.0 + s * (-1.0 / 720.0 + s / 40_320.0)));
    match (count as i32) & 3 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

fn dot([x, y, z]: Point, [a, b, c]: Point) -> f32 {
    x * a + y * b + z * c
}

fn add([x, y, z]: Point, [a, b, c]: Point) -> Point {
    [x + a, y + b, z + c]
}

/// How far apart two points are, metres.
pub(crate) fn distance([x, y, z]: Point, [a, b, c]: Point) -> f32 {
    let way = [x - a, y - b, z - c];
    libm::sqrtf(dot(way, way))
}

#[cfg(test)]
mod tests {
    use core::f32::consts::FRAC_PI_2;

    use super::*;

    /// Turns about z, then 0.3 m up about y, tool 0.2 m ahead.
    fn arm() -> Workspace {
        let link = |offset, axis| LinkGeometry { offset, axis };
        Workspace {
            links: heapless::Vec::from_array([
                link([0.0, 0.0, 0.1], [0.0, 0.0, 1.0]),
                link([0.0, 0.0, 0.2], [0.0, 1.0, 0.0]),
            ]),
            tool: [0.2, 0.0, 0.0],
            min: [-1.0, -0.1, 0.02],
            max: [0.15, 1.0, f32::INFINITY],
            speed: f32::INFINITY,
        }
    }

    #[test]
    fn the_tool_is_where_the_joints_put_it() {
        let cases = [
            ([0.0, 0.0], [0.2, 0.0, 0.3]),
            ([FRAC_PI_2, 0.0], [0.0, 0.2, 0.3]),
            ([0.0, FRAC_PI_2], [0.0, 0.0, 0.1]),
            ([FRAC_PI_2, -FRAC_PI_2], [0.0, 0.0, 0.5]),
        ];
        for (angles, expected) in cases {
            let mut positions = Positions::default();
            positions[..2].copy_from_slice(&angles);
            let found = arm().tool_at(&positions);
            assert!(distance(found, expected) < 1e-6, "{angles:?}: {found:?}");
        }
    }

    #[test]
    fn sine_and_cosine_are_those_of_the_library_over_several_turns() {
        for step in -4_000..=4_000 {
            let angle = step as f32 * 0.005;
            let (sin, cos) = sin_cos(angle);
            let exact = f64::from(angle);
            assert!((f64::from(sin) - libm::sin(exact)).abs() < 2e-6, "{angle}");
            assert!((f64::from(cos) - libm::cos(exact)).abs() < 2e-6, "{angle}");
        }
        let (sin, cos) = sin_cos(f32::NAN);
        assert!(sin.is_nan() && cos.is_nan());
    }

    #[test]
    fn depth_is_how_far_outside() {
        let cases = [
            ([0.0, 0.0, 0.3], 0.0),
            ([0.2, 0.0, 0.3], 0.05),
            ([0.0, -0.3, 0.3], 0.2),
            ([0.0, 0.0, -0.08], 0.1),
            ([0.0, 0.0, 9.0], 0.0),
        ];
        for (point, expected) in cases {
            assert!((arm().depth(point) - expected).abs() < 1e-6, "{point:?}");
        }
    }
}
