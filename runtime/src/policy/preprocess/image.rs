//! From a camera frame to an image tensor.

use super::super::PolicyError;
use super::super::manifest::{CameraSpec, Channels, Layout, Size, Transform};
use super::normalise::Normaliser;
use super::resample::{Channel, Resampler, Window, middle};
use crate::camera::Frame;

/// Crops, resizes and normalises the frames of one camera.
#[derive(Debug, Clone)]
pub struct ImagePreprocessor {
    spec: CameraSpec,
    image: Size,
    /// Which channel of an RGB pixel goes to which channel of the tensor.
    source_channel: [usize; 3],
    normaliser: Normaliser,
    /// Normalised value of each byte and tensor channel.
    table: [[f32; 256]; 3],
    /// Frame size that `resamplers` and `window` were made for.
    source: Option<Size>,
    resamplers: Vec<Resampler>,
    /// The part that is taken of the last resampler's result, or of the frame where there is none.
    window: Window,
}

impl ImagePreprocessor {
    /// Prepares for a camera of a checked package.
    #[must_use]
    pub fn new(spec: &CameraSpec) -> Self {
        let normaliser = Normaliser::new(&spec.normalisation, 3);
        let mut table = [[0.0; 256]; 3];
        for (channel, values) in table.iter_mut().enumerate() {
            for (byte, value) in values.iter_mut().enumerate() {
                *value = normaliser.map(channel).forward(byte as f32 / 255.0);
            }
        }
        let image = spec.image().unwrap_or(Size {
            width: 0,
            height: 0,
        });
        Self {
            image,
            source_channel: match spec.channels {
                Channels::Rgb => [0, 1, 2],
                Channels::Bgr => [2, 1, 0],
            },
            normaliser,
            table,
            source: None,
            resamplers: Vec::new(),
            window: whole(image),
            spec: spec.clone(),
        }
    }

    /// Numbers of one image.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no image is empty")]
    pub fn len(&self) -> usize {
        self.image.width as usize * self.image.height as usize * 3
    }

    /// Writes one image into `out`, which has [`ImagePreprocessor::len`] values.
    ///
    /// # Errors
    /// When the frame's buffer does not fit its size, or the policy takes frames of another size.
    pub fn run(&mut self, frame: &Frame, out: &mut [f32]) -> Result<(), PolicyError> {
        if !frame.is_consistent() || out.len() != self.len() {
            return Err(PolicyError::BadFrame {
                camera: self.spec.name.clone(),
                width: frame.width,
                height: frame.height,
                bytes: frame.rgb.len(),
            });
        }
        let size = Size {
            width: frame.width,
            height: frame.height,
        };
        if self.source != Some(size) {
            self.plan(size)?;
            self.source = Some(size);
        }
        let mut stride = frame.width as usize;
        for index in 0..self.resamplers.len() {
            let (done, next) = self.resamplers.split_at_mut(index);
            match done.last() {
                None => next[0].run(&frame.rgb, stride),
                Some(before) => next[0].run(&before.pixels, stride),
            }
            stride = self.resamplers[index].width;
        }
        match self.resamplers.last() {
            None => self.write(&frame.rgb, stride, out, |channel, byte| {
                self.table[channel][usize::from(byte)]
            }),
            // Moved first, then computed: the computation runs over neighbours.
            Some(last) => {
                self.write(&last.pixels, stride, out, |_, value| value);
                self.normalise(out);
            }
        }
        Ok(())
    }

    /// Works out the steps for frames of this size.
    fn plan(&mut self, size: Size) -> Result<(), PolicyError> {
        self.source = None;
        self.resamplers.clear();
        let refused = |message: String| PolicyError::FrameSize {
            camera: self.spec.name.clone(),
            found: size,
            message,
        };
        if let Some(expected) = self.spec.frame
            && expected != size
        {
            return Err(refused(format!("the policy takes {expected} only")));
        }
        let mut window = whole(size);
        for transform in &self.spec.transform {
            let current = Size {
                width: window.width as u32,
                height: window.height as u32,
            };
            match transform {
                Transform::Crop(part) => {
                    let Some([left, top, width, height]) = part.pixels(current) else {
                        let message = format!("a crop does not lie on whole pixels of {current}");
                        return Err(refused(message));
                    };
                    window = Window {
                        left: window.left + left as usize,
                        top: window.top + top as usize,
                        width: width as usize,
                        height: height as usize,
                    };
                }
                Transform::CentreCrop(part) => {
                    let (width, height) = (part.width as usize, part.height as usize);
                    if width > window.width || height > window.height {
                        let message = format!("the centre crop of {part} is larger than {current}");
                        return Err(refused(message));
                    }
                    window = Window {
                        left: window.left + middle(window.width, width),
                        top: window.top + middle(window.height, height),
                        width,
                        height,
                    };
                }
                Transform::Resize(resize) => match Resampler::new(resize, window) {
                    Err(copied) => window = copied,
                    Ok(resampler) => {
                        window = Window {
                            left: 0,
                            top: 0,
                            width: resampler.width,
                            height: resampler.height,
                        };
                        self.resamplers.push(resampler);
                    }
                },
            }
        }
        if (window.width, window.height) != (self.image.width as usize, self.image.height as usize)
        {
            return Err(refused(format!("the policy takes {} only", self.image)));
        }
        self.window = window;
        Ok(())
    }

    /// Normalises values of 0 to 255 in the tensor's layout.
    fn normalise(&self, out: &mut [f32]) {
        match self.spec.layout {
            Layout::Nchw => {
                for (channel, plane) in out.chunks_exact_mut(self.len() / 3).enumerate() {
                    self.normaliser.map(channel).forward_all(plane, 255.0);
                }
            }
            Layout::Nhwc => {
                let maps = [0, 1, 2].map(|channel| self.normaliser.map(channel));
                for pixel in out.as_chunks_mut::<3>().0 {
                    for (value, map) in pixel.iter_mut().zip(maps) {
                        *value = map.forward(*value / 255.0);
                    }
                }
            }
        }
    }

    /// Writes the window in the tensor's layout; `value` is the normalised value of a channel.
    fn write<T: Channel>(
        &self,
        source: &[T],
        stride: usize,
        out: &mut [f32],
        value: impl Fn(usize, T) -> f32,
    ) {
        let Window {
            left,
            top,
            width,
            height,
        } = self.window;
        let lines = source.chunks_exact(stride * 3).skip(top).take(height);
        for (y, line) in lines.enumerate() {
            let (pixels, _) = line[left * 3..(left + width) * 3].as_chunks::<3>();
            for channel in 0..3 {
                let (start, step) = match self.spec.layout {
                    Layout::Nchw => (channel * width * height + y * width, 1),
                    Layout::Nhwc => (y * width * 3 + channel, 3),
                };
                let from = self.source_channel[channel];
                for (out, pixel) in out[start..].iter_mut().step_by(step).zip(pixels) {
                    *out = value(channel, pixel[from]);
                }
            }
        }
    }
}

fn whole(size: Size) -> Window {
    Window {
        left: 0,
        top: 0,
        width: size.width as usize,
        height: size.height as usize,
    }
}
