//! Plain Rust: the reference.

use super::Lanes;
use crate::PANEL;
use crate::math::{round_half_to_even, saturate};

#[derive(Clone, Copy)]
pub(crate) struct Scalar([f32; PANEL]);

fn both<A: Copy, R>(a: [A; PANEL], b: [A; PANEL], of: impl Fn(A, A) -> R) -> [R; PANEL] {
    std::array::from_fn(|i| of(a[i], b[i]))
}

// Not one of these needs anything of the machine.
impl Lanes for Scalar {
    type Whole = [i32; PANEL];

    unsafe fn load(from: &[f32; PANEL]) -> Self {
        Self(*from)
    }

    unsafe fn store(self, to: &mut [f32; PANEL]) {
        *to = self.0;
    }

    unsafe fn all(value: f32) -> Self {
        Self([value; PANEL])
    }

    unsafe fn add(self, other: Self) -> Self {
        Self(both(self.0, other.0, |a, b| a + b))
    }

    unsafe fn mul(self, other: Self) -> Self {
        Self(both(self.0, other.0, |a, b| a * b))
    }

    unsafe fn mul_add(self, by: Self, plus: Self) -> Self {
        let of = |i: usize| self.0[i].mul_add(by.0[i], plus.0[i]);
        Self(std::array::from_fn(of))
    }

    unsafe fn at_least(self, low: Self) -> Self {
        Self(both(self.0, low.0, |a, b| if a <= b { b } else { a }))
    }

    unsafe fn at_most(self, high: Self) -> Self {
        Self(both(self.0, high.0, |a, b| if a >= b { b } else { a }))
    }

    unsafe fn saturate(self, low: Self, high: Self) -> Self {
        let of = |i: usize| saturate(self.0[i], low.0[i], high.0[i]);
        Self(std::array::from_fn(of))
    }

    unsafe fn load_whole(from: &[i32; PANEL]) -> Self::Whole {
        *from
    }

    unsafe fn all_whole(value: i32) -> Self::Whole {
        [value; PANEL]
    }

    unsafe fn add_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole {
        both(a, b, i32::wrapping_add)
    }

    unsafe fn sub_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole {
        both(a, b, i32::wrapping_sub)
    }

    unsafe fn mul_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole {
        both(a, b, i32::wrapping_mul)
    }

    unsafe fn from_whole(whole: Self::Whole) -> Self {
        Self(whole.map(|value| value as f32))
    }

    unsafe fn round(self) -> Self::Whole {
        self.0.map(round_half_to_even)
    }

    unsafe fn load_halves(from: &[u8; PANEL / 2]) -> Self::Whole {
        let half = |i: usize| from[i % (PANEL / 2)] >> (i / (PANEL / 2) * 4) & 15;
        std::array::from_fn(|i| i32::from(half(i)))
    }

    unsafe fn load_bytes(from: &[u8; PANEL], flip: u8) -> Self::Whole {
        from.map(|byte| i32::from((byte ^ flip).cast_signed()))
    }

    unsafe fn store_bytes(whole: Self::Whole, flip: u8, to: &mut [u8; PANEL]) {
        *to = whole.map(|value| value.to_le_bytes()[0] ^ flip);
    }
}
