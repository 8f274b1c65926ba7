//! Geometric figures for cards, drawn as pictures.

use super::texture::Texture;

/// Side of the picture in texels.
const SIDE: u32 = 64;
/// Places a texel is looked at, in each direction.
const FINE: u32 = 4;

/// A figure of one colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// Its shape.
    pub figure: Figure,
    /// Its colour, sRGB.
    pub rgb: [u8; 3],
}

/// A figure's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Figure {
    /// A filled circle.
    Circle,
    /// A circle with a hole.
    Ring,
    /// A filled square.
    Square,
    /// A filled triangle, one corner up.
    Triangle,
    /// A square on its corner.
    Diamond,
    /// A plus sign.
    Cross,
    /// Three level bars.
    Stripes,
}

impl Figure {
    /// All figures.
    pub const ALL: [Self; 7] = [
        Self::Circle,
        Self::Ring,
        Self::Square,
        Self::Triangle,
        Self::Diamond,
        Self::Cross,
        Self::Stripes,
    ];

    /// Whether a point belongs to it: x to the right and y down, both -1 to 1 over the picture.
    fn holds(self, x: f32, y: f32) -> bool {
        let square = x * x + y * y;
        match self {
            Self::Circle => square < 0.64,
            Self::Ring => (0.20..0.70).contains(&square),
            Self::Square => x.abs() < 0.7 && y.abs() < 0.7,
            Self::Triangle => y < 0.7 && 2.0 * x.abs() < 0.85 * (y + 0.85),
            Self::Diamond => x.abs() + y.abs() < 0.9,
            Self::Cross => x.abs().min(y.abs()) < 0.25 && x.abs().max(y.abs()) < 0.85,
            Self::Stripes => x.abs() < 0.8 && (y.abs() < 0.16 || (0.48..0.8).contains(&y.abs())),
        }
    }
}

impl Mark {
    /// The figure on a transparent picture.
    pub(super) fn draw(&self) -> Texture {
        let [r, g, b] = self.rgb;
        let place = |texel: u32, part: u32| {
            (2 * (texel * FINE + part) + 1) as f32 / (SIDE * FINE) as f32 - 1.0
        };
        let mut rgba = Vec::with_capacity((4 * SIDE * SIDE) as usize);
        for (row, column) in (0..SIDE).flat_map(|row| (0..SIDE).map(move |column| (row, column))) {
            let covered = (0..FINE * FINE)
                .filter(|part| {
                    let (x, y) = (place(column, part % FINE), place(row, part / FINE));
                    self.figure.holds(x, y)
                })
                .count() as u32;
            rgba.extend([r, g, b, (covered * 255 / (FINE * FINE)) as u8]);
        }
        Texture::from_rgba(SIDE, SIDE, rgba)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_differ_and_leave_a_margin() {
        let pictures = Figure::ALL.map(|figure| {
            let mark = Mark {
                figure,
                rgb: [200, 10, 20],
            };
            let picture = mark.draw();
            let alpha: Vec<u8> = picture
                .rgba()
                .chunks_exact(4)
                .map(|texel| texel[3])
                .collect();
            let side = SIDE as usize;
            assert!(
                alpha[..side]
                    .iter()
                    .chain(&alpha[side * (side - 1)..])
                    .all(|&a| a == 0)
            );
            let covered = alpha.iter().map(|&a| u32::from(a)).sum::<u32>() / 255;
            let share = f64::from(covered) / f64::from(SIDE * SIDE);
            assert!((0.2..0.6).contains(&share), "{figure:?}: {share}");
            alpha
        });
        for (index, picture) in pictures.iter().enumerate() {
            for other in &pictures[..index] {
                let differing = picture.iter().zip(other).filter(|(a, b)| a != b).count();
                assert!(differing > 300, "{differing}");
            }
        }
    }
}
