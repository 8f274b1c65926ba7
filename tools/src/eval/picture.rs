//! Small pictures of an episode's course, for the report.

use anyhow::{Context, Result};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::thumbnail;
use image::{ExtendedColorType, ImageBuffer, Rgb};
use wink_runtime::camera::Frame;

/// Control steps between pictures: at most nine with the first and the last of an episode.
pub const EVERY_STEPS: usize = 25;
/// Width and height in the report.
const SIZE: u32 = 112;
const JPEG_QUALITY: u8 = 70;

/// The frame as a small JPEG file.
pub fn small_jpeg(frame: &Frame) -> Result<Vec<u8>> {
    let pixels: ImageBuffer<Rgb<u8>, &[u8]> =
        ImageBuffer::from_raw(frame.width, frame.height, &frame.rgb[..])
            .context("a frame with too few bytes")?;
    let small = thumbnail(&pixels, SIZE, SIZE);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY).encode(
        &small,
        SIZE,
        SIZE,
        ExtendedColorType::Rgb8,
    )?;
    Ok(jpeg)
}
