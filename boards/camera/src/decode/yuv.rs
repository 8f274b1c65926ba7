//! YUYV and NV12 to RGB, in fixed point: the same bytes on every processor.

use crate::format::{ColourEncoding, Layout};

/// Bits behind the point of the coefficients.
const FRACTION_BITS: u32 = 16;

/// Weights of Y, of V in red, of U and V in green, of U in blue.
#[derive(Debug, Clone, Copy)]
struct Matrix {
    offset: i32,
    y: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
}

impl Matrix {
    /// From the weights of red and blue in luma (BT.601: 0.299 and 0.114; BT.709: 0.2126 and 0.0722).
    const fn new(red: f64, blue: f64, limited: bool) -> Self {
        const fn fixed(value: f64) -> i32 {
            let scaled = value * (1 << FRACTION_BITS) as f64;
            (if scaled < 0.0 {
                scaled - 0.5
            } else {
                scaled + 0.5
            }) as i32
        }
        let green = 1.0 - red - blue;
        let (luma, chroma) = if limited {
            (255.0 / 219.0, 255.0 / 224.0)
        } else {
            (1.0, 1.0)
        };
        Self {
            offset: if limited { 16 } else { 0 },
            y: fixed(luma),
            red_v: fixed(2.0 * (1.0 - red) * chroma),
            green_u: fixed(-2.0 * (1.0 - blue) * blue / green * chroma),
            green_v: fixed(-2.0 * (1.0 - red) * red / green * chroma),
            blue_u: fixed(2.0 * (1.0 - blue) * chroma),
        }
    }

    const fn of(encoding: ColourEncoding) -> Self {
        const BT601_LIMITED: Matrix = Matrix::new(0.299, 0.114, true);
        const BT601_FULL: Matrix = Matrix::new(0.299, 0.114, false);
        const BT709_LIMITED: Matrix = Matrix::new(0.2126, 0.0722, true);
        const BT709_FULL: Matrix = Matrix::new(0.2126, 0.0722, false);
        match encoding {
            ColourEncoding::Bt601Limited => BT601_LIMITED,
            ColourEncoding::Bt601Full => BT601_FULL,
            ColourEncoding::Bt709Limited => BT709_LIMITED,
            ColourEncoding::Bt709Full => BT709_FULL,
        }
    }

    /// What U and V add to red, green and blue, with the half that rounds.
    fn chroma(&self, u: u8, v: u8) -> [i32; 3] {
        const HALF: i32 = 1 << (FRACTION_BITS - 1);
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        [
            self.red_v * v + HALF,
            self.green_u * u + self.green_v * v + HALF,
            self.blue_u * u + HALF,
        ]
    }

    fn pixel(&self, y: u8, chroma: [i32; 3]) -> [u8; 3] {
        let y = self.y * (i32::from(y) - self.offset);
        chroma.map(|part| ((y + part) >> FRACTION_BITS).clamp(0, 255) as u8)
    }
}

/// `bytes` hold a whole frame, `rgb` its pixels.
pub(super) fn yuyv(layout: &Layout, bytes: &[u8], rgb: &mut [u8]) {
    let matrix = Matrix::of(layout.colour);
    let row = layout.width as usize * 3;
    for (to, from) in rgb
        .chunks_exact_mut(row)
        .zip(bytes.chunks_exact(layout.stride))
    {
        let (pairs, _) = from.as_chunks::<4>();
        let (pixels, _) = to.as_chunks_mut::<6>();
        for (pixels, &[y0, u, y1, v]) in pixels.iter_mut().zip(pairs) {
            let chroma = matrix.chroma(u, v);
            let [a, b, c] = matrix.pixel(y0, chroma);
            let [d, e, f] = matrix.pixel(y1, chroma);
            *pixels = [a, b, c, d, e, f];
        }
    }
}

/// As [`yuyv`].
pub(super) fn nv12(layout: &Layout, bytes: &[u8], rgb: &mut [u8]) {
    let matrix = Matrix::of(layout.colour);
    let row = layout.width as usize * 3;
    let (luma, chroma) = bytes.split_at(layout.stride * layout.height as usize);
    let rows = luma.chunks_exact(layout.stride);
    for (y, (to, luma)) in rgb.chunks_exact_mut(row).zip(rows).enumerate() {
        let chroma = &chroma[y / 2 * layout.stride..][..layout.stride];
        let (pairs, _) = luma.as_chunks::<2>();
        let (colours, _) = chroma.as_chunks::<2>();
        let (pixels, _) = to.as_chunks_mut::<6>();
        for ((pixels, &[y0, y1]), &[u, v]) in pixels.iter_mut().zip(pairs).zip(colours) {
            let chroma = matrix.chroma(u, v);
            let [a, b, c] = matrix.pixel(y0, chroma);
            let [d, e, f] = matrix.pixel(y1, chroma);
            *pixels = [a, b, c, d, e, f];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelFormat;

    /// The formulas of ITU-R BT.601 and BT.709 in floating point.
    fn expected(encoding: ColourEncoding, [y, u, v]: [u8; 3]) -> [f64; 3] {
        let (red, blue, limited) = match encoding {
            ColourEncoding::Bt601Limited => (0.299, 0.114, true),
            ColourEncoding::Bt601Full => (0.299, 0.114, false),
            ColourEncoding::Bt709Limited => (0.2126, 0.0722, true),
            ColourEncoding::Bt709Full => (0.2126, 0.0722, false),
        };
        let [y, u, v] = [y, u, v].map(f64::from);
        let (y, u, v) = if limited {
            ((y - 16.0) / 219.0, (u - 128.0) / 224.0, (v - 128.0) / 224.0)
        } else {
            (y / 255.0, (u - 128.0) / 255.0, (v - 128.0) / 255.0)
        };
        let r = y + 2.0 * (1.0 - red) * v;
        let b = y + 2.0 * (1.0 - blue) * u;
        let g = (y - red * r - blue * b) / (1.0 - red - blue);
        [r, g, b].map(|value| (value * 255.0).clamp(0.0, 255.0))
    }

    const ENCODINGS: [ColourEncoding; 4] = [
        ColourEncoding::Bt601Limited,
        ColourEncoding::Bt601Full,
        ColourEncoding::Bt709Limited,
        ColourEncoding::Bt709Full,
    ];

    fn layout(format: PixelFormat, colour: ColourEncoding, stride: usize) -> Layout {
        Layout {
            format,
            width: 4,
            height: 2,
            stride,
            colour,
        }
    }

    fn check(rgb: &[u8], encoding: ColourEncoding, yuv: impl Fn(usize, usize) -> [u8; 3]) {
        for (index, pixel) in rgb.chunks_exact(3).enumerate() {
            let yuv = yuv(index % 4, index / 4);
            for (found, expected) in pixel.iter().zip(expected(encoding, yuv)) {
                let off = (f64::from(*found) - expected).abs();
                assert!(off <= 0.51, "{encoding:?} {yuv:?}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn colours_are_those_of_the_standards_and_padding_is_not_read() {
        let mut state = 1_u32;
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        for encoding in ENCODINGS {
            for _ in 0..500 {
                let bytes: Vec<u8> = (0..36).map(|_| draw()).collect();
                let mut rgb = [0; 24];
                // Rows of 8 bytes, and 4 of padding.
                yuyv(
                    &layout(PixelFormat::Yuyv, encoding, 12),
                    &bytes[..24],
                    &mut rgb,
                );
                check(&rgb, encoding, |x, y| {
                    let pair = &bytes[y * 12 + x / 2 * 4..];
                    [pair[x % 2 * 2], pair[1], pair[3]]
                });
                nv12(
                    &layout(PixelFormat::Nv12, encoding, 6),
                    &bytes[..18],
                    &mut rgb,
                );
                check(&rgb, encoding, |x, y| {
                    let colour = &bytes[12 + x / 2 * 2..];
                    [bytes[y * 6 + x], colour[0], colour[1]]
                });
            }
        }
    }
}
