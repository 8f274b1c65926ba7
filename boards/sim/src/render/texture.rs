//! Pictures: decoded PNG, and the filtered lookup that keeps a small card from aliasing.

use std::io::Cursor;
use std::sync::OnceLock;

use super::colour::srgb_to_linear;
use super::vector::V3;

/// An 8-bit sRGB picture with straight alpha, rows from the top.
#[derive(Debug)]
pub struct Texture {
    width: u32,
    height: u32,
    rgba: Vec<u8>,
    on_white: OnceLock<Pyramid>,
}

impl Texture {
    /// Decodes a PNG of any colour type to 8-bit RGBA.
    ///
    /// # Errors
    /// If the bytes are no PNG or the picture is empty.
    pub fn from_png(bytes: &[u8]) -> Result<Self, png::DecodingError> {
        let mut decoder = png::Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(
            png::Transformations::normalize_to_color8() | png::Transformations::ALPHA,
        );
        let mut reader = decoder.read_info()?;
        let mut pixels = vec![0; reader.output_buffer_size().unwrap_or(0)];
        let info = reader.next_frame(&mut pixels)?;
        pixels.truncate(info.buffer_size());
        let rgba = match info.color_type {
            png::ColorType::GrayscaleAlpha => pixels
                .chunks_exact(2)
                .flat_map(|p| [p[0], p[0], p[0], p[1]])
                .collect(),
            _ => pixels,
        };
        Ok(Self {
            width: info.width,
            height: info.height,
            rgba,
            on_white: OnceLock::new(),
        })
    }

    /// A picture of `width` x `height` texels, four bytes each.
    pub(super) fn from_rgba(width: u32, height: u32, rgba: Vec<u8>) -> Self {
        debug_assert_eq!(rgba.len(), 4 * (width * height) as usize);
        Self {
            width,
            height,
            rgba,
            on_white: OnceLock::new(),
        }
    }

    /// A fully transparent picture of one texel.
    pub fn blank() -> Self {
        Self::from_rgba(1, 1, vec![0; 4])
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Texels, row by row from the top, four bytes each.
    pub fn rgba(&self) -> &[u8] {
        &self.rgba
    }

    /// The picture printed on white paper, in linear light, at every power-of-two size.
    pub(super) fn on_white(&self) -> &Pyramid {
        self.on_white.get_or_init(|| Pyramid::new(self))
    }
}

/// A mip pyramid in linear light: level 0 is the picture, each further one averages 2 x 2 of the one before.
#[derive(Debug)]
pub(super) struct Pyramid {
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    width: usize,
    height: usize,
    texels: Vec<V3>,
}

impl Pyramid {
    fn new(texture: &Texture) -> Self {
        // Blended as encoded values: what a printer or a web page does with an anti-aliased edge.
        let over_white = |texel: &[u8]| {
            let alpha = u32::from(texel[3]);
            let channel = |value: u8| {
                srgb_to_linear(((u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
            };
            V3::new(channel(texel[0]), channel(texel[1]), channel(texel[2]))
        };
        let mut levels = vec![Level {
            width: texture.width as usize,
            height: texture.height as usize,
            texels: texture.rgba.chunks_exact(4).map(over_white).collect(),
        }];
        while let Some(half) = levels.last().and_then(Level::halved) {
            levels.push(half);
        }
        Self { levels }
    }

    /// The mean colour around (`u`, `v`) (0..1, v down from the top edge) over about `footprint` of the picture's width.
    pub(super) fn sample(&self, u: f32, v: f32, footprint: f32) -> V3 {
        let mut texels = footprint * self.levels[0].width as f32;
        let mut level = 0;
        while texels > 2.0 && level + 1 < self.levels.len() {
            texels *= 0.5;
            level += 1;
        }
        let fine = self.levels[level].bilinear(u, v);
        if texels <= 1.0 || level + 1 == self.levels.len() {
            return fine;
        }
        let coarse = self.levels[level + 1].bilinear(u, v);
        fine + (coarse - fine) * (texels - 1.0)
    }
}

impl Level {
    fn halved(&self) -> Option<Self> {
        if self.width == 1 && self.height == 1 {
            return None;
        }
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut texels = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let (x0, y0) = (2 * x, 2 * y);
                let (x1, y1) = ((x0 + 1).min(self.width - 1), (y0 + 1).min(self.height - 1));
                let sum = self.at(x0, y0) + self.at(x1, y0) + self.at(x0, y1) + self.at(x1, y1);
                texels.push(sum * 0.25);
            }
        }
        Some(Self {
            width,
            height,
            texels,
        })
    }

    fn at(&self, x: usize, y: usize) -> V3 {
        self.texels[y * self.width + x]
    }

    fn bilinear(&self, u: f32, v: f32) -> V3 {
        let place = |coordinate: f32, count: usize| {
            let at = (coordinate * count as f32 - 0.5).clamp(0.0, (count - 1) as f32);
            let low = at as usize;
            (low, (low + 1).min(count - 1), at - low as f32)
        };
        let (x0, x1, fx) = place(u, self.width);
        let (y0, y1, fy) = place(v, self.height);
        let top = self.at(x0, y0) + (self.at(x1, y0) - self.at(x0, y0)) * fx;
        let bottom = self.at(x0, y1) + (self.at(x1, y1) - self.at(x0, y1)) * fx;
        top + (bottom - top) * fy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkerboard() -> Texture {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 4, 4);
        encoder.set_color(png::ColorType::Grayscale);
        let mut writer = encoder.write_header().unwrap();
        let texels: Vec<u8> = (0..16)
            .map(|i| if (i + i / 4) % 2 == 0 { 255 } else { 0 })
            .collect();
        writer.write_image_data(&texels).unwrap();
        writer.finish().unwrap();
        Texture::from_png(&bytes).unwrap()
    }

    #[test]
    fn a_small_footprint_sees_texels_and_a_large_one_their_mean() {
        let texture = checkerboard();
        let pyramid = texture.on_white();
        assert_eq!(pyramid.sample(0.125, 0.125, 0.01).x, 1.0);
        assert_eq!(pyramid.sample(0.375, 0.125, 0.01).x, 0.0);
        for (u, v) in [(0.5, 0.5), (0.1, 0.9), (0.8, 0.3)] {
            assert!((pyramid.sample(u, v, 0.5).x - 0.5).abs() < 1e-6);
        }
    }

    #[test]
    fn transparency_shows_the_paper() {
        assert_eq!(
            Texture::blank().on_white().sample(0.5, 0.5, 1.0),
            V3::new(1.0, 1.0, 1.0)
        );
    }

    #[test]
    fn garbage_is_no_picture() {
        assert!(Texture::from_png(b"not a png").is_err());
    }
}
