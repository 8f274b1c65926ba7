//! `--crop LEFT,TOP,WIDTH,HEIGHT`: the part of a frame that is kept.

use std::str::FromStr;

use wink_runtime::camera::Frame;

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// Columns left of it.
    pub left: u32,
    /// Rows above it.
    pub top: u32,
    /// Its columns.
    pub width: u32,
    /// Its rows.
    pub height: u32,
}

impl Crop {
    /// All of a square frame.
    pub const fn whole(side: u32) -> Self {
        Self {
            left: 0,
            top: 0,
            width: side,
            height: side,
        }
    }

    /// Whether it lies inside of a square frame.
    pub fn fits(&self, side: u32) -> bool {
        let within =
            |start: u32, length: u32| start.checked_add(length).is_some_and(|end| end <= side);
        within(self.left, self.width) && within(self.top, self.height)
    }

    /// Bytes of the part, three a pixel.
    pub const fn bytes(&self) -> usize {
        self.width as usize * self.height as usize * 3
    }

    /// Replaces `out` with the part of `frame`.
    pub fn cut(&self, frame: &Frame, out: &mut Vec<u8>) {
        out.clear();
        let rows = frame.rgb.chunks_exact(3 * frame.width as usize);
        for row in rows.skip(self.top as usize).take(self.height as usize) {
            let start = 3 * self.left as usize;
            out.extend_from_slice(&row[start..start + 3 * self.width as usize]);
        }
    }
}

impl FromStr for Crop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Vec<u32> = text
            .split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .unwrap_or_default();
        match numbers[..] {
            [left, top, width, height] if width > 0 && height > 0 => Ok(Self {
                left,
                top,
                width,
                height,
            }),
            _ => Err("must be LEFT,TOP,WIDTH,HEIGHT in pixels".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_numbers_and_nothing_else() {
        let crop: Crop = "1,2,3,4".parse().unwrap();
        assert_eq!((crop.left, crop.top, crop.width, crop.height), (1, 2, 3, 4));
        for wrong in [
            "",
            "1,2,3",
            "1,2,3,4,5",
            "1,2,0,4",
            "-1,2,3,4",
            "a,b,c,d",
            "1, 2,3,4",
        ] {
            assert!(wrong.parse::<Crop>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn stays_inside_of_the_frame() {
        for (crop, fits) in [
            ("0,0,8,8", true),
            ("3,4,5,4", true),
            ("4,0,5,4", false),
            ("0,5,4,4", false),
            ("4294967295,0,2,2", false),
        ] {
            assert_eq!(crop.parse::<Crop>().unwrap().fits(8), fits, "{crop}");
        }
    }

    #[test]
    fn cuts_rows_and_columns() {
        let mut frame = Frame::default();
        frame.resize(4, 3);
        for (pixel, rgb) in frame.rgb.chunks_exact_mut(3).enumerate() {
            rgb.fill(pixel as u8);
        }
        let mut out = vec![9; 99];
        "1,1,2,2".parse::<Crop>().unwrap().cut(&frame, &mut out);
        assert_eq!(out, [5, 5, 5, 6, 6, 6, 9, 9, 9, 10, 10, 10]);
        Crop::whole(3).cut(&frame, &mut out);
        assert_eq!(out.len(), Crop::whole(3).bytes());
    }
}
