//! How the world looks: the benchmark's fixed look, and random ones for training data.

use super::light::{Ambient, DistantLight};
use crate::scene::{BACK_WALL_RGB, CUBE_RGB, Draw, LEFT_WALL_RGB};

/// Keeps these draws apart from those that place cards and cube.
const STREAM: u64 = 0x6c6f_6f6b;
/// And the camera's place from the rest of a look.
const ROAMING_STREAM: u64 = 0x726f_616d;

/// What the table top is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TablePattern {
    /// One colour.
    Plain,
    /// Grain along x.
    Wood,
    /// Small speckles.
    Stone,
    /// Soft clouds, as of worn paint.
    Clouds,
}

/// Light, colours, table and camera of an episode. Colours are linear RGB in 0..1.
#[derive(Clone, Debug, PartialEq)]
pub struct Appearance {
    /// Light without direction.
    pub ambient: Ambient,
    /// The two lights that cast shadows.
    pub lights: [DistantLight; 2],
    /// The table's pattern.
    pub table_pattern: TablePattern,
    /// The two colours that the pattern mixes.
    pub table_colours: [[f32; 3]; 2],
    /// Chooses the pattern's details.
    pub table_seed: u32,
    /// The wall behind the cards.
    pub back_wall: [f32; 3],
    /// The wall on the left.
    pub left_wall: [f32; 3],
    /// The cube.
    pub cube: [f32; 3],
    /// What the arm's own colours are multiplied by.
    pub arm_tint: [f32; 3],
    /// The cards' paper.
    pub paper: [f32; 3],
    /// How far cameras stand off their places, metres along the axes of what they are mounted on.
    pub eye_shift_m: [f64; 3],
    /// How far off they look.
    pub look_at_shift_m: [f64; 3],
    /// By how much more they see.
    pub fov_shift_rad: f64,
}

impl Appearance {
    /// The look of the benchmark, the same in every episode.
    pub fn benchmark() -> Self {
        Self {
            ambient: Ambient {
                sky: [0.39, 0.40, 0.42],
                ground: [0.36, 0.34, 0.32],
            },
            lights: [
                DistantLight {
                    towards: [-0.65, -0.50, 1.0],
                    colour: [0.46, 0.44, 0.41],
                },
                DistantLight {
                    towards: [-0.10, 0.18, 1.0],
                    colour: [0.16, 0.17, 0.18],
                },
            ],
            table_pattern: TablePattern::Wood,
            table_colours: [srgb([158, 121, 86]), srgb([128, 92, 60])],
            table_seed: 1,
            back_wall: srgb(BACK_WALL_RGB),
            left_wall: srgb(LEFT_WALL_RGB),
            cube: CUBE_RGB,
            arm_tint: [1.0; 3],
            paper: [0.92; 3],
            eye_shift_m: [0.0; 3],
            look_at_shift_m: [0.0; 3],
            fov_shift_rad: 0.0,
        }
    }

    /// A look drawn from a seed: lights, colours, table and small camera errors around the benchmark's. Emojis keep their colours but
    /// for the light, the cube stays blue.
    pub fn randomised(seed: u64) -> Self {
        let base = Self::benchmark();
        let draw = &mut Draw::from_stream(seed, STREAM);
        let brightness = within(draw, 0.75, 1.2);
        let warmth = within(draw, -0.12, 0.12);
        let light_colour = |level: f32| [level * (1.0 + warmth), level, level * (1.0 - warmth)];
        let lights = [
            DistantLight {
                towards: [within(draw, -0.8, 0.25), within(draw, -0.8, 0.4), 1.0],
                colour: light_colour(brightness * within(draw, 0.30, 0.65)),
            },
            DistantLight {
                towards: [within(draw, -0.3, 0.3), within(draw, -0.2, 0.4), 1.0],
                colour: light_colour(brightness * within(draw, 0.05, 0.25)),
            },
        ];
        let sky = brightness * within(draw, 0.28, 0.42);
        let ambient = Ambient {
            sky: light_colour(sky),
            ground: light_colour(0.5 * sky),
        };
        let patterns = [
            TablePattern::Plain,
            TablePattern::Wood,
            TablePattern::Stone,
            TablePattern::Clouds,
        ];
        let table_pattern = patterns[draw.below(patterns.len())];
        let light_wood = if draw.unit() < 0.5 {
            jittered(draw, base.table_colours[0], 0.3)
        } else {
            any_colour(draw, 0.06, 0.55)
        };
        let contrast = within(draw, 0.45, 0.9);
        let dark_wood = jittered(draw, light_wood.map(|channel| channel * contrast), 0.1);
        let mut wall = |colour| {
            if draw.unit() < 0.5 {
                jittered(draw, colour, 0.25)
            } else {
                any_colour(draw, 0.08, 0.8)
            }
        };
        let (back_wall, left_wall) = (wall(base.back_wall), wall(base.left_wall));
        let cube = jittered(draw, base.cube, 0.3);
        let arm_level = within(draw, 0.6, 2.2);
        let arm_tint = jittered(draw, [arm_level; 3], 0.1);
        let paper = [within(draw, 0.82, 0.98); 3];
        let mut shift = |reach: f64| [(); 3].map(|()| reach * draw.signed());
        let (eye_shift_m, look_at_shift_m) = (shift(0.012), shift(0.012));
        Self {
            ambient,
            lights,
            table_pattern,
            table_colours: [light_wood, dark_wood],
            table_seed: draw.below(1 << 31) as u32,
            back_wall,
            left_wall,
            cube,
            arm_tint,
            paper,
            eye_shift_m,
            look_at_shift_m,
            fov_shift_rad: 0.02 * draw.signed(),
        }
    }

    /// Like [`Appearance::randomised`], seen from elsewhere: the camera stands up to 6 cm and looks up to 3 cm off the benchmark's in
    /// each direction, and sees more or less.
    pub fn roaming(seed: u64) -> Self {
        let draw = &mut Draw::from_stream(seed, ROAMING_STREAM);
        let mut shift = |reach: f64| [(); 3].map(|()| reach * draw.signed());
        Self {
            eye_shift_m: shift(0.06),
            look_at_shift_m: shift(0.03),
            fov_shift_rad: 0.08 * draw.signed(),
            ..Self::randomised(seed)
        }
    }
}

impl Default for Appearance {
    fn default() -> Self {
        Self::benchmark()
    }
}

/// Linear colour of an sRGB one.
pub(crate) fn srgb(rgb: [u8; 3]) -> [f32; 3] {
    rgb.map(super::colour::srgb_to_linear)
}

fn within(draw: &mut Draw, low: f32, high: f32) -> f32 {
    low + (high - low) * draw.unit() as f32
}

fn jittered(draw: &mut Draw, colour: [f32; 3], share: f32) -> [f32; 3] {
    colour.map(|channel| (channel * (1.0 + within(draw, -share, share))).clamp(0.0, 1.0))
}

fn any_colour(draw: &mut Draw, low: f32, high: f32) -> [f32; 3] {
    let level = within(draw, low, high);
    [level; 3].map(|channel| (channel * within(draw, 0.6, 1.4)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roaming_camera_leaves_the_rest_of_the_look() {
        for seed in 0..50 {
            let (look, near) = (Appearance::roaming(seed), Appearance::randomised(seed));
            assert_eq!(look, Appearance::roaming(seed));
            assert_ne!(look.eye_shift_m, near.eye_shift_m);
            let moved = Appearance {
                eye_shift_m: look.eye_shift_m,
                look_at_shift_m: look.look_at_shift_m,
                fov_shift_rad: look.fov_shift_rad,
                ..near
            };
            assert_eq!(look, moved);
        }
    }

    #[test]
    fn looks_follow_from_the_seed_and_stay_near_the_benchmark() {
        for seed in 0..300 {
            let look = Appearance::randomised(seed);
            assert_eq!(look, Appearance::randomised(seed));
            assert_ne!(look, Appearance::randomised(seed + 1));
            for axis in 0..3 {
                assert!(look.eye_shift_m[axis].abs() < 0.013, "camera");
            }
            assert!(
                look.cube[2] > 1.8 * look.cube[0] && look.cube[2] > 1.8 * look.cube[1],
                "the cube is blue"
            );
            for light in &look.lights {
                assert!(light.towards[2] > 0.5, "light from above");
            }
        }
        assert_eq!(Appearance::default(), Appearance::benchmark());
    }
}
