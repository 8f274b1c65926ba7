//! From a camera's bytes to RGB, at full size.

mod jpeg;
mod yuv;

use wink_runtime::camera::Frame;

use crate::format::{Layout, PixelFormat};

/// Why a frame cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the format has.
    #[error("the frame has {found} bytes, {layout} has {expected}")]
    TooShort {
        /// The format and size.
        layout: String,
        /// Bytes of a frame.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
    /// Not a JPEG picture, or a damaged one.
    #[error("the frame is no whole JPEG picture: {0}")]
    Jpeg(String),
    /// A picture of another size.
    #[error("the frame has {found_width} x {found_height} pixels instead of {width} x {height}")]
    Size {
        /// Width that was negotiated.
        width: u32,
        /// Height that was negotiated.
        height: u32,
        /// Width of the picture.
        found_width: usize,
        /// Height of the picture.
        found_height: usize,
    },
}

/// Decodes frames. Keeps its buffers from frame to frame.
#[derive(Debug, Default)]
pub struct Decoder {
    jpeg: jpeg::JpegDecoder,
}

impl Decoder {
    /// Writes the RGB picture into `frame`, whose time stays as it is.
    ///
    /// # Errors
    /// When the bytes are no whole frame of this layout; the picture then holds nothing to rely on.
    pub fn decode(
        &mut self,
        layout: &Layout,
        bytes: &[u8],
        frame: &mut Frame,
    ) -> Result<(), DecodeError> {
        frame.resize(layout.width, layout.height);
        let Some(expected) = layout.frame_bytes() else {
            let file = self.jpeg.decode(layout, bytes, &mut frame.rgb)?;
            frame.jpeg.extend_from_slice(file);
            return Ok(());
        };
        let Some(bytes) = bytes.get(..expected).filter(|bytes| !bytes.is_empty()) else {
            return Err(DecodeError::TooShort {
                layout: format!("{} {} x {}", layout.format, layout.width, layout.height),
                expected,
                found: bytes.len(),
            });
        };
        match layout.format {
            PixelFormat::Yuyv => yuv::yuyv(layout, bytes, &mut frame.rgb),
            PixelFormat::Nv12 => yuv::nv12(layout, bytes, &mut frame.rgb),
            PixelFormat::Rgb | PixelFormat::Mjpg => copy_rows(layout, bytes, &mut frame.rgb),
        }
        Ok(())
    }
}

fn copy_rows(layout: &Layout, bytes: &[u8], rgb: &mut [u8]) {
    let row = layout.width as usize * 3;
    for (to, from) in rgb
        .chunks_exact_mut(row)
        .zip(bytes.chunks_exact(layout.stride))
    {
        to.copy_from_slice(&from[..row]);
    }
}
