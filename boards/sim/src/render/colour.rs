//! sRGB and linear light, by table: `powf` of the machine is never asked.

use std::sync::LazyLock;

use super::vector::V3;

const STEPS: usize = 4096;

static DECODE: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|code| {
        let encoded = code as f64 / 255.0;
        let linear = if encoded <= 0.04045 {
            encoded / 12.92
        } else {
            libm::pow((encoded + 0.055) / 1.055, 2.4)
        };
        linear as f32
    })
});

static ENCODE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..STEPS)
        .map(|step| {
            let linear = step as f64 / (STEPS - 1) as f64;
            let encoded = if linear <= 0.003_130_8 {
                linear * 12.92
            } else {
                1.055 * libm::pow(linear, 1.0 / 2.4) - 0.055
            };
            (encoded * 255.0 + 0.5) as u8
        })
        .collect()
});

/// Linear light (0..1) of an 8-bit sRGB value.
pub(super) fn srgb_to_linear(code: u8) -> f32 {
    DECODE[usize::from(code)]
}

/// Encodes linear colours to 8-bit sRGB, clipping to 0..1.
pub(super) struct Encoder(&'static [u8]);

impl Encoder {
    pub fn new() -> Self {
        Self(&ENCODE)
    }

    pub fn encode(&self, colour: V3) -> [u8; 3] {
        let channel = |linear: f32| {
            // A float-to-integer cast saturates, and sends NaN to 0.
            let step = (linear * (STEPS - 1) as f32 + 0.5) as usize;
            self.0[step.min(STEPS - 1)]
        };
        [channel(colour.x), channel(colour.y), channel(colour.z)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bits_survive_the_way_there_and_back() {
        let encoder = Encoder::new();
        for code in 0..=255 {
            let [back, ..] = encoder.encode(V3::grey(srgb_to_linear(code)));
            assert!(back.abs_diff(code) <= 1, "{code} -> {back}");
        }
        assert_eq!(encoder.encode(V3::new(-1.0, 7.0, f32::NAN)), [0, 255, 0]);
    }
}
