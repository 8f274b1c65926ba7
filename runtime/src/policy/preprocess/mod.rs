//! From camera bytes and measured states to the numbers that a graph takes. Nothing allocates once the frame size is known.

mod image;
mod normalise;
mod resample;
mod taps;
#[cfg(test)]
mod tests;

pub use image::ImagePreprocessor;
pub use normalise::Normaliser;
