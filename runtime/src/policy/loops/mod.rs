//! The arithmetic of loops: flow matching, diffusion, token decoding and the noise they start from. Knows no graph.

mod decode;
mod diffusion;
mod guide;
mod noise;

pub(crate) use decode::{Decoder, keep_actions, largest};
pub(crate) use diffusion::Schedule;
pub(crate) use guide::{FlowTime, Guide};
pub(crate) use noise::{Listed, NoiseSource, Stream};

/// One step of Euler's method.
pub(crate) fn euler(sample: &mut [f32], velocity: &[f32], step: f32) {
    for (x, v) in sample.iter_mut().zip(velocity) {
        *x += step * v;
    }
}
