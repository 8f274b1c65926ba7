//! Shapes and values out of a fuzzer's bytes, extremes far more often than chance would have them.

use wink_kernels::{Isa, Quantisation};

/// Reads bytes. Behind their end it makes up more, so that a few bytes are a whole case.
pub struct Draw<'a> {
    bytes: &'a [u8],
    state: u32,
}

impl<'a> Draw<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let state = bytes
            .iter()
            .fold(1, |state: u32, &byte| mixed(state ^ u32::from(byte)));
        Self { bytes, state }
    }

    pub fn byte(&mut self) -> u8 {
        if let Some((first, rest)) = self.bytes.split_first() {
            self.bytes = rest;
            return *first;
        }
        self.state = mixed(self.state);
        self.state.to_be_bytes()[0]
    }

    /// 0 to `count - 1`.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// -128 to 127.
    pub fn value(&mut self) -> i8 {
        let byte = self.byte();
        match byte {
            0..96 => [-128, 127, -127, 0, 1, -1][usize::from(byte % 6)],
            _ => self.byte().cast_signed(),
        }
    }

    pub fn values(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| self.value()).collect()
    }

    pub fn zero_point(&mut self) -> i32 {
        i32::from(self.value())
    }

    /// Any float: a NaN, an infinity and a subnormal too.
    pub fn float(&mut self) -> f32 {
        let any =
            |draw: &mut Self| f32::from_bits(u32::from_le_bytes([(); 4].map(|()| draw.byte())));
        match self.below(8) {
            0 => any(self),
            1 => self.pick(&[
                0.0,
                -0.0,
                f32::NAN,
                f32::INFINITY,
                f32::NEG_INFINITY,
                f32::MIN_POSITIVE / 8.0,
                f32::MAX,
                -127.5,
            ]),
            _ => self.tame(),
        }
    }

    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    /// -8 to 8, in steps that let ties happen.
    pub fn tame(&mut self) -> f32 {
        f32::from(self.value()) / 16.0
    }

    pub fn quantisation(&mut self) -> Quantisation {
        Quantisation {
            scale: self.pick(&[1.0, 0.5, 0.037, 3.0, 1e-6, 1e6, f32::MIN_POSITIVE, 1e38]),
            zero_point: self.zero_point(),
        }
    }
}

fn mixed(state: u32) -> u32 {
    state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)
}

/// The instruction sets of this machine other than the scalar one.
pub fn present() -> impl Iterator<Item = Isa> {
    let others = Isa::ALL.into_iter().filter(|isa| *isa != Isa::Scalar);
    others.filter(|isa| isa.available())
}

/// The bits of floats, all NaNs alike: which of them comes out is nobody's promise.
pub fn bits(values: &[f32]) -> Vec<u32> {
    let bits = |v: &f32| {
        if v.is_nan() {
            f32::NAN.to_bits()
        } else {
            v.to_bits()
        }
    };
    values.iter().map(bits).collect()
}
