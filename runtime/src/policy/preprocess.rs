//! From camera bytes and measured state to the numbers that a graph takes. Nothing allocates once the frame size is known.

use super::PolicyError;
use super::manifest::{Channels, Crop, ImageSpec, Layout};
use crate::camera::Frame;

/// All of the frame.
const WHOLE: Crop = Crop {
    left: 0.0,
    top: 0.0,
    width: 1.0,
    height: 1.0,
};
/// A crop that is this close to whole pixels means them: fractions such as 1/7 are not exact.
const WHOLE_PIXEL: f64 = 1e-6;

/// Crops, resizes and normalises frames: (x / 255 - mean) / std.
///
/// Resizing is bilinear; where the image shrinks the triangle is widened (antialiasing), as PIL and torchvision do.
#[derive(Debug, Clone)]
pub struct ImagePreprocessor {
    width: usize,
    height: usize,
    crop: Option<Crop>,
    /// Which channel of an RGB pixel goes to which channel of the tensor.
    source_channel: [usize; 3],
    layout: Layout,
    mean: [f32; 3],
    std: [f32; 3],
    /// Normalised value of each byte and tensor channel.
    table: [[f32; 256]; 3],
    /// Frame size that `columns` and `rows` were made for.
    source: (u32, u32),
    columns: Taps,
    rows: Taps,
    /// Source rows at the target width, 3 values per pixel.
    squeezed: Vec<f32>,
    /// One row at target size.
    line: Vec<f32>,
}

impl ImagePreprocessor {
    /// Prepares for the image of a package.
    #[must_use]
    pub fn new(spec: &ImageSpec) -> Self {
        let mut table = [[0.0; 256]; 3];
        for (channel, values) in table.iter_mut().enumerate() {
            for (byte, value) in values.iter_mut().enumerate() {
                *value = (byte as f32 / 255.0 - spec.mean[channel]) / spec.std[channel];
            }
        }
        Self {
            width: spec.width as usize,
            height: spec.height as usize,
            crop: spec.crop,
            source_channel: match spec.channels {
                Channels::Rgb => [0, 1, 2],
                Channels::Bgr => [2, 1, 0],
            },
            layout: spec.layout,
            mean: spec.mean,
            std: spec.std,
            table,
            source: (0, 0),
            columns: Taps::default(),
            rows: Taps::default(),
            squeezed: Vec::new(),
            line: Vec::new(),
        }
    }

    /// Shape of the tensor, batch 1.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        match self.layout {
            Layout::Nchw => [1, 3, self.height, self.width],
            Layout::Nhwc => [1, self.height, self.width, 3],
        }
    }

    /// Writes the image tensor into `out`, which has the length of [`ImagePreprocessor::shape`].
    ///
    /// # Errors
    /// When the frame is empty or its buffer does not fit its size.
    pub fn run(&mut self, frame: &Frame, out: &mut [f32]) -> Result<(), PolicyError> {
        if !frame.is_consistent() || out.len() != self.width * self.height * 3 {
            let (width, height) = (frame.width, frame.height);
            return Err(PolicyError::BadFrame {
                width,
                height,
                bytes: frame.rgb.len(),
            });
        }
        match self.window(frame) {
            Some((left, top)) => self.copy(frame, left, top, out),
            None => self.resize(frame, out),
        }
        Ok(())
    }

    /// Left and top pixel of the used part, where its pixels are the image's pixels one to one.
    fn window(&self, frame: &Frame) -> Option<(usize, usize)> {
        let crop = self.crop.unwrap_or(WHOLE);
        let start = |source: u32, start: f64, length: f64, target: usize| {
            let (first, size) = (f64::from(source) * start, f64::from(source) * length);
            let whole = (first - first.round()).abs() < WHOLE_PIXEL
                && (size - target as f64).abs() < WHOLE_PIXEL;
            let first = first.round() as usize;
            (whole && first + target <= source as usize).then_some(first)
        };
        let left = start(frame.width, crop.left, crop.width, self.width)?;
        Some((
            left,
            start(frame.height, crop.top, crop.height, self.height)?,
        ))
    }

    fn copy(&self, frame: &Frame, left: usize, top: usize, out: &mut [f32]) {
        let plane = self.width * self.height;
        let lines = frame
            .rgb
            .chunks_exact(frame.width as usize * 3)
            .skip(top)
            .take(self.height);
        for (y, line) in lines.enumerate() {
            let (pixels, _) = line[left * 3..(left + self.width) * 3].as_chunks::<3>();
            for channel in 0..3 {
                let (table, source) = (&self.table[channel], self.source_channel[channel]);
                let (start, step) = match self.layout {
                    Layout::Nchw => (channel * plane + y * self.width, 1),
                    Layout::Nhwc => (y * self.width * 3 + channel, 3),
                };
                for (value, pixel) in out[start..].iter_mut().step_by(step).zip(pixels) {
                    *value = table[usize::from(pixel[source])];
                }
            }
        }
    }

    fn resize(&mut self, frame: &Frame, out: &mut [f32]) {
        if self.source != (frame.width, frame.height) {
            self.source = (frame.width, frame.height);
            let crop = self.crop.unwrap_or(Crop {
                left: 0.0,
                top: 0.0,
                width: 1.0,
                height: 1.0,
            });
            self.columns = Taps::new(frame.width as usize, crop.left, crop.width, self.width);
            self.rows = Taps::new(frame.height as usize, crop.top, crop.height, self.height);
            self.squeezed
                .resize(frame.height as usize * self.width * 3, 0.0);
            self.line.resize(self.width * 3, 0.0);
        }
        let used_rows = self.rows.first_source()..self.rows.end_source();
        let stride = frame.width as usize * 3;
        let lines = frame
            .rgb
            .chunks_exact(stride)
            .zip(self.squeezed.chunks_exact_mut(self.width * 3));
        for (source, target) in lines.take(used_rows.end).skip(used_rows.start) {
            for (x, pixel) in target.chunks_exact_mut(3).enumerate() {
                let (start, weights) = self.columns.at(x);
                let mut sum = [0.0_f32; 3];
                for (weight, bytes) in weights.iter().zip(source[start * 3..].chunks_exact(3)) {
                    for (total, &byte) in sum.iter_mut().zip(bytes) {
                        *total += weight * f32::from(byte);
                    }
                }
                pixel.copy_from_slice(&sum);
            }
        }
        for y in 0..self.height {
            let (start, weights) = self.rows.at(y);
            self.line.fill(0.0);
            for (weight, source) in weights
                .iter()
                .zip(self.squeezed[start * self.width * 3..].chunks_exact(self.width * 3))
            {
                for (total, value) in self.line.iter_mut().zip(source) {
                    *total += weight * value;
                }
            }
            for x in 0..self.width {
                for channel in 0..3 {
                    let value = self.line[x * 3 + self.source_channel[channel]];
                    let index = match self.layout {
                        Layout::Nchw => (channel * self.height + y) * self.width + x,
                        Layout::Nhwc => (y * self.width + x) * 3 + channel,
                    };
                    out[index] = (value / 255.0 - self.mean[channel]) / self.std[channel];
                }
            }
        }
    }
}

/// For each target pixel of one axis: the first source pixel and the weights from there on, which sum to 1.
#[derive(Debug, Clone, Default)]
struct Taps {
    ranges: Vec<(usize, usize, usize)>,
    weights: Vec<f32>,
}

impl Taps {
    /// `left` and `width` are fractions of `source` pixels.
    fn new(source: usize, left: f64, width: f64, target: usize) -> Self {
        let scale = source as f64 * width / target as f64;
        let reach = scale.max(1.0);
        let last = source.saturating_sub(1) as f64;
        let mut taps = Self::default();
        for index in 0..target {
            let centre = source as f64 * left + (index as f64 + 0.5) * scale - 0.5;
            let from = (centre - reach).ceil().clamp(0.0, last) as usize;
            let to = (centre + reach).floor().clamp(0.0, last) as usize;
            let offset = taps.weights.len();
            let mut sum = 0.0;
            for position in from..=to {
                // Past the edge the outermost pixel alone counts.
                let distance = (position as f64 - centre).abs() / reach;
                let weight = if from == to {
                    1.0
                } else {
                    (1.0 - distance).max(0.0)
                };
                sum += weight;
                taps.weights.push(weight as f32);
            }
            for weight in &mut taps.weights[offset..] {
                *weight /= sum as f32;
            }
            taps.ranges.push((from, offset, taps.weights.len()));
        }
        taps
    }

    fn at(&self, index: usize) -> (usize, &[f32]) {
        let (start, from, to) = self.ranges[index];
        (start, &self.weights[from..to])
    }

    fn first_source(&self) -> usize {
        self.ranges.iter().map(|range| range.0).min().unwrap_or(0)
    }

    fn end_source(&self) -> usize {
        self.ranges
            .iter()
            .map(|&(start, from, to)| start + to - from)
            .max()
            .unwrap_or(0)
    }
}

/// Writes (x - mean) / std into `out`.
///
/// # Errors
/// When the state has another length than the package says, or holds a NaN.
pub fn normalise_state(
    state: &[f32],
    mean: &[f32],
    std: &[f32],
    out: &mut [f32],
) -> Result<(), PolicyError> {
    if state.len() != mean.len() || out.len() != mean.len() {
        return Err(PolicyError::StateLength {
            expected: mean.len(),
            given: state.len(),
        });
    }
    if let Some(index) = state.iter().position(|value| !value.is_finite()) {
        return Err(PolicyError::NotFinite {
            what: "state",
            index,
        });
    }
    for (value, ((x, mean), std)) in out.iter_mut().zip(state.iter().zip(mean).zip(std)) {
        *value = (x - mean) / std;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(width: u32, height: u32) -> ImageSpec {
        ImageSpec {
            feature: "image".into(),
            width,
            height,
            crop: None,
            channels: Channels::Rgb,
            layout: Layout::Nchw,
            mean: [0.0; 3],
            std: [1.0 / 255.0; 3],
        }
    }

    /// Red runs along x, green along y, blue is 7.
    fn ramp(width: u32, height: u32) -> Frame {
        let mut frame = Frame {
            width,
            height,
            ..Frame::default()
        };
        for y in 0..height {
            for x in 0..width {
                frame.rgb.extend([x as u8, y as u8, 7]);
            }
        }
        frame
    }

    fn run(spec: &ImageSpec, frame: &Frame) -> Vec<f32> {
        let mut out = vec![f32::NAN; (spec.width * spec.height * 3) as usize];
        ImagePreprocessor::new(spec).run(frame, &mut out).unwrap();
        out
    }

    #[test]
    fn the_same_size_is_normalised_byte_by_byte() {
        let mut spec = spec(4, 2);
        spec.mean = [0.5, 0.25, 0.0];
        spec.std = [0.5, 2.0, 1.0];
        let out = run(&spec, &ramp(4, 2));
        for (index, value) in out.iter().enumerate() {
            let (channel, y, x) = (index / 8, index / 4 % 2, index % 4);
            let byte = [x, y, 7][channel] as f32;
            assert_eq!(
                *value,
                (byte / 255.0 - spec.mean[channel]) / spec.std[channel],
                "at {index}"
            );
        }
    }

    #[test]
    fn channels_and_layout_are_honoured() {
        let mut spec = spec(4, 2);
        spec.channels = Channels::Bgr;
        spec.layout = Layout::Nhwc;
        let out = run(&spec, &ramp(4, 2));
        let pixel: Vec<f32> = out[(4 + 3) * 3..].iter().map(|v| v.round()).collect();
        assert_eq!(pixel, [7.0, 1.0, 3.0]);
        let twice = run(&spec, &ramp(8, 4));
        for (value, expected) in twice[..3].iter().zip([7.0, 0.5, 0.5]) {
            assert!(
                (value - expected).abs() < 0.26,
                "{value} is not near {expected}"
            );
        }
    }

    /// A linear ramp stays linear under any bilinear resize: pixel centres map to pixel centres.
    #[test]
    fn a_ramp_keeps_its_slope_when_resized() {
        for (source, target) in [
            ((64, 48), (32, 24)),
            ((32, 24), (64, 48)),
            ((60, 45), (32, 24)),
        ] {
            let out = run(&spec(target.0, target.1), &ramp(source.0, source.1));
            let scale = (
                source.0 as f32 / target.0 as f32,
                source.1 as f32 / target.1 as f32,
            );
            for y in 3..target.1 - 3 {
                for x in 3..target.0 - 3 {
                    let expected = [
                        (x as f32 + 0.5) * scale.0 - 0.5,
                        (y as f32 + 0.5) * scale.1 - 0.5,
                        7.0,
                    ];
                    for (channel, expected) in expected.into_iter().enumerate() {
                        let value =
                            out[(channel as u32 * target.1 * target.0 + y * target.0 + x) as usize];
                        assert!(
                            (value - expected).abs() < 0.05,
                            "{source:?} to {target:?} at {x},{y}: {value} {expected}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_crop_of_the_same_size_is_a_window() {
        let mut spec = spec(4, 4);
        spec.crop = Some(Crop {
            left: 0.5,
            top: 0.25,
            width: 0.5,
            height: 0.5,
        });
        let out = run(&spec, &ramp(8, 8));
        let red: Vec<f32> = out[..4].iter().map(|v| v.round()).collect();
        let green: Vec<f32> = out[16..32].iter().step_by(4).map(|v| v.round()).collect();
        assert_eq!(
            (red, green),
            (vec![4.0, 5.0, 6.0, 7.0], vec![2.0, 3.0, 4.0, 5.0])
        );
    }

    #[test]
    fn frames_that_lie_about_their_size_are_refused() {
        let mut out = vec![0.0; 4 * 4 * 3];
        let mut preprocessor = ImagePreprocessor::new(&spec(4, 4));
        for (width, height, bytes) in [(4, 4, 47), (4, 4, 49), (0, 0, 0), (u32::MAX, u32::MAX, 12)]
        {
            let frame = Frame {
                width,
                height,
                rgb: vec![0; bytes],
                time_us: 0,
            };
            assert!(
                matches!(
                    preprocessor.run(&frame, &mut out),
                    Err(PolicyError::BadFrame { .. })
                ),
                "{width} x {height}"
            );
        }
    }

    #[test]
    fn state_is_checked_and_normalised() {
        let mut out = [0.0; 2];
        normalise_state(&[3.0, -1.0], &[1.0, 1.0], &[2.0, 0.5], &mut out).unwrap();
        assert_eq!(out, [1.0, -4.0]);
        for bad in [&[1.0][..], &[f32::NAN, 0.0], &[0.0, f32::INFINITY]] {
            assert!(normalise_state(bad, &[1.0, 1.0], &[2.0, 0.5], &mut out).is_err());
        }
    }
}
