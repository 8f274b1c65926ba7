//! How the bytes of a frame are laid out.

use std::fmt;
use std::str::FromStr;

/// A pixel format that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PixelFormat {
    /// Each frame a JPEG picture.
    #[default]
    Mjpg,
    /// Y0 U Y1 V: two pixels in four bytes.
    Yuyv,
    /// A plane of Y, then one of U and V in turn at half the size.
    Nv12,
    /// Red, green, blue, a byte each.
    Rgb,
}

impl PixelFormat {
    /// In the order in which they are tried: the least bandwidth first.
    pub const PREFERRED: [Self; 4] = [Self::Mjpg, Self::Yuyv, Self::Nv12, Self::Rgb];

    /// V4L2's four characters.
    #[must_use]
    pub const fn fourcc(self) -> [u8; 4] {
        match self {
            Self::Mjpg => *b"MJPG",
            Self::Yuyv => *b"YUYV",
            Self::Nv12 => *b"NV12",
            Self::Rgb => *b"RGB3",
        }
    }

    /// Bits of a pixel; of MJPEG about those that webcams send.
    #[must_use]
    pub const fn bits_per_pixel(self) -> u64 {
        match self {
            Self::Mjpg => 1,
            Self::Yuyv => 16,
            Self::Nv12 => 12,
            Self::Rgb => 24,
        }
    }

    /// Bytes of one row of the first plane without padding; `None` of MJPEG.
    #[must_use]
    pub const fn row_bytes(self, width: u32) -> Option<usize> {
        match self {
            Self::Mjpg => None,
            Self::Yuyv => Some(width as usize * 2),
            Self::Nv12 => Some(width as usize),
            Self::Rgb => Some(width as usize * 3),
        }
    }

    /// Whether frames of this size exist: chroma is shared by two pixels, in NV12 by two rows as well.
    #[must_use]
    pub const fn fits(self, width: u32, height: u32) -> bool {
        match self {
            Self::Mjpg | Self::Rgb => true,
            Self::Yuyv => width.is_multiple_of(2),
            Self::Nv12 => width.is_multiple_of(2) && height.is_multiple_of(2),
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mjpg => "mjpg",
            Self::Yuyv => "yuyv",
            Self::Nv12 => "nv12",
            Self::Rgb => "rgb",
        })
    }
}

impl FromStr for PixelFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::PREFERRED
            .into_iter()
            .find(|format| format.to_string() == name)
            .ok_or_else(|| format!("\"{name}\" is not one of mjpg, yuyv, nv12, rgb"))
    }
}

/// How YUV bytes mean colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColourEncoding {
    /// BT.601, Y from 16 to 235: what webcams send as YUYV and NV12.
    #[default]
    Bt601Limited,
    /// BT.601, Y from 0 to 255.
    Bt601Full,
    /// BT.709, Y from 16 to 235.
    Bt709Limited,
    /// BT.709, Y from 0 to 255.
    Bt709Full,
}

/// How the bytes of a camera's frames are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// The pixel format.
    pub format: PixelFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes from row to row of the first plane; 0 of MJPEG.
    pub stride: usize,
    /// Of YUYV and NV12.
    pub colour: ColourEncoding,
}

impl Layout {
    /// Rows without padding.
    #[must_use]
    pub fn packed(format: PixelFormat, width: u32, height: u32) -> Self {
        Self {
            format,
            width,
            height,
            stride: format.row_bytes(width).unwrap_or(0),
            colour: ColourEncoding::default(),
        }
    }

    /// Bytes of a frame; `None` of MJPEG, whose frames have different lengths.
    #[must_use]
    pub fn frame_bytes(&self) -> Option<usize> {
        let rows = match self.format {
            PixelFormat::Mjpg => return None,
            PixelFormat::Nv12 => self.height as usize + self.height as usize / 2,
            PixelFormat::Yuyv | PixelFormat::Rgb => self.height as usize,
        };
        self.stride.checked_mul(rows)
    }
}
