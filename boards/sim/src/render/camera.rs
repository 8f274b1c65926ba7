//! The pinhole camera of the benchmark.

use nalgebra::{Isometry3, Point3, Vector3};

use super::Appearance;
use super::bound::MaskGrid;
use super::primitive::Primitive;
use super::vector::V3;
use crate::setup::{CameraMount, Mount};

/// Where the camera stands, where it looks, and how wide. World frame, z up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PinholeCamera {
    eye: Point3<f64>,
    right: Vector3<f64>,
    down: Vector3<f64>,
    forward: Vector3<f64>,
    /// Focal length in pixels, the same along both axes.
    focal_px: f64,
    width: u32,
    height: u32,
}

impl PinholeCamera {
    /// The benchmark's camera: eye, point looked at (metres) and vertical field of view (radians).
    pub const EYE: [f64; 3] = [-0.15, 0.49, 0.564];
    /// The point that the benchmark's camera looks at.
    pub const TARGET: [f64; 3] = [0.15, 0.65, 0.0];
    /// The benchmark's vertical field of view.
    pub const VERTICAL_FOV_RAD: f64 = 1.2;

    /// The benchmark's camera for a frame of `width` x `height` pixels.
    pub fn benchmark(width: u32, height: u32) -> Self {
        Self::look_at(
            Self::EYE.into(),
            Self::TARGET.into(),
            Self::VERTICAL_FOV_RAD,
            width,
            height,
        )
    }

    /// A camera at `eye` that sees `target` in the middle of the frame, upright with respect to z.
    ///
    /// `eye` and `target` must not lie on one vertical line, and the field of view must be within 0..pi.
    pub fn look_at(
        eye: Point3<f64>,
        target: Point3<f64>,
        vertical_fov_rad: f64,
        width: u32,
        height: u32,
    ) -> Self {
        Self::upright(eye, target, Vector3::z(), vertical_fov_rad, width, height)
    }

    /// A cell's camera in a look, for a frame of `width` x `height` pixels, with an arm whose links are there: the base, then
    /// the frame after each joint.
    pub fn mounted(
        camera: &CameraMount,
        look: &Appearance,
        links_in_world: &[Isometry3<f64>],
        (width, height): (u32, u32),
    ) -> Self {
        let moved = |point: [f64; 3], shift: [f64; 3]| {
            Point3::from([0, 1, 2].map(|axis| point[axis] + shift[axis]))
        };
        let fov_rad = camera.vertical_fov_rad + look.fov_shift_rad;
        let (frame, eye_m, look_at_m, up) = match camera.mount {
            Mount::World { eye_m, look_at_m } => {
                (Isometry3::identity(), eye_m, look_at_m, [0.0, 0.0, 1.0])
            }
            Mount::Link {
                link,
                eye_m,
                look_at_m,
                up,
            } => {
                let frame = links_in_world.get(link).copied().unwrap_or_default();
                (frame, eye_m, look_at_m, up)
            }
        };
        let eye = moved(eye_m, look.eye_shift_m);
        let target = moved(look_at_m, look.look_at_shift_m);
        match camera.mount {
            Mount::World { .. } => Self::look_at(eye, target, fov_rad, width, height),
            Mount::Link { .. } => Self::upright(
                frame * eye,
                frame * target,
                frame * Vector3::from(up),
                fov_rad,
                width,
                height,
            ),
        }
    }

    /// Like [`look_at`](Self::look_at), upright with respect to any direction.
    fn upright(
        eye: Point3<f64>,
        target: Point3<f64>,
        up: Vector3<f64>,
        vertical_fov_rad: f64,
        width: u32,
        height: u32,
    ) -> Self {
        let forward = (target - eye).normalize();
        let right = forward.cross(&up).normalize();
        let half_angle = 0.5 * vertical_fov_rad;
        Self {
            eye,
            right,
            down: forward.cross(&right),
            forward,
            focal_px: 0.5 * f64::from(height) / libm::tan(half_angle),
            width,
            height,
        }
    }

    /// Frame size in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Where a world point falls in the frame: pixels right of the left edge and below the top edge, so that the first pixel's centre
    /// is (0.5, 0.5). `None` for a point behind the camera. The pixel may lie outside of the frame.
    pub fn project(&self, point_in_world: Point3<f64>) -> Option<[f64; 2]> {
        let ray = point_in_world - self.eye;
        let depth = ray.dot(&self.forward);
        (depth > 1e-6).then(|| {
            let scale = self.focal_px / depth;
            [
                0.5 * f64::from(self.width) + scale * ray.dot(&self.right),
                0.5 * f64::from(self.height) + scale * ray.dot(&self.down),
            ]
        })
    }

    /// The rays of the frame in single precision.
    pub(super) fn rays(&self) -> Rays {
        let single = |v: Vector3<f64>| V3::new(v.x as f32, v.y as f32, v.z as f32);
        let step = 1.0 / self.focal_px;
        let corner = self.forward
            - self.right * (0.5 * f64::from(self.width) * step)
            - self.down * (0.5 * f64::from(self.height) * step);
        Rays {
            eye: single(self.eye.coords),
            forward: single(self.forward),
            corner: single(corner),
            right: single(self.right * step),
            down: single(self.down * step),
            unit_right: single(self.right),
            unit_down: single(self.down),
            focal_px: self.focal_px as f32,
            middle: [0.5 * self.width as f32, 0.5 * self.height as f32],
        }
    }
}

/// A primitive that comes closer than this is looked for all over the frame.
const NEAREST_M: f32 = 0.02;

/// The camera as the caster needs it. A ray has depth 1 along the optical axis: the ray parameter is the depth in metres.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rays {
    pub eye: V3,
    pub forward: V3,
    corner: V3,
    right: V3,
    down: V3,
    unit_right: V3,
    unit_down: V3,
    pub focal_px: f32,
    middle: [f32; 2],
}

impl Rays {
    /// Direction of the ray through a place in the frame, in pixels.
    pub fn direction(&self, x: f32, y: f32) -> V3 {
        self.corner + self.right * x + self.down * y
    }

    /// Marks on a grid over the frame where each primitive may be seen.
    pub fn mark(&self, primitives: &[Primitive], screen: &mut MaskGrid) {
        for (index, primitive) in primitives.iter().enumerate() {
            let corners = primitive.corners().map(|corner| self.project(corner));
            if corners.iter().all(|&(_, depth)| depth > NEAREST_M) {
                screen.mark(index, &corners.map(|(pixel, _)| pixel));
            } else if corners.iter().any(|&(_, depth)| depth > 0.0) {
                // Around or beside the eye: its corners do not bound its picture.
                screen.mark_all(index);
            }
        }
    }

    /// Pixel and depth of a world point; meaningless where the depth is not positive.
    pub fn project(&self, point: V3) -> ([f32; 2], f32) {
        let ray = point - self.eye;
        let depth = ray.dot(self.forward);
        let scale = self.focal_px / depth;
        (
            [
                self.middle[0] + scale * ray.dot(self.unit_right),
                self.middle[1] + scale * ray.dot(self.unit_down),
            ],
            depth,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_in_the_middle_and_the_field_of_view_reaches_the_edges() {
        let camera = PinholeCamera::benchmark(320, 224);
        let [x, y] = camera.project(PinholeCamera::TARGET.into()).unwrap();
        assert!((x - 160.0).abs() < 1e-9 && (y - 112.0).abs() < 1e-9);
        // Half the field of view above the axis is the top edge.
        let up = camera.eye + camera.forward
            - camera.down * (0.5 * PinholeCamera::VERTICAL_FOV_RAD).tan();
        let [x, y] = camera.project(up).unwrap();
        assert!((x - 160.0).abs() < 1e-9 && y.abs() < 1e-9);
        assert_eq!(camera.project(camera.eye - camera.forward), None);
    }

    #[test]
    fn a_ray_meets_the_point_whose_pixel_it_passes() {
        let camera = PinholeCamera::benchmark(224, 224);
        let rays = camera.rays();
        for point in [[0.2, 0.9, 0.0], [0.02, 0.7, 0.015], [0.2, 0.5, 0.1]] {
            let [x, y] = camera.project(point.into()).unwrap();
            let point = V3::new(point[0] as f32, point[1] as f32, point[2] as f32);
            let (pixel, depth) = rays.project(point);
            assert!((pixel[0] - x as f32).abs() < 1e-3 && (pixel[1] - y as f32).abs() < 1e-3);
            let error = rays.eye + rays.direction(pixel[0], pixel[1]) * depth - point;
            assert!(error.length() < 1e-5, "{error:?}");
        }
    }
}
