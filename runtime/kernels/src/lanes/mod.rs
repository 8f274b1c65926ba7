//! Sixteen numbers at a time: for the epilogue of a product, and for 4-bit weights.
//!
//! Written out, since loops over arrays are not reliably compiled to vector instructions where they follow one another: values then
//! go through memory in halves and quarters, which costs more than the arithmetic. No operation rounds otherwise than
//! [`Scalar`]'s.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::Neon;
pub(crate) use scalar::Scalar;
#[cfg(target_arch = "x86_64")]
pub(crate) use {avx2::Avx2, avx512::Avx512};

use crate::PANEL;

/// A panel's row of floats, and of the 32-bit integers that they are made of.
///
/// # Safety
/// Every function wants the instruction set to be there.
pub(crate) trait Lanes: Copy {
    /// 32-bit integers.
    type Whole: Copy;

    unsafe fn load(from: &[f32; PANEL]) -> Self;
    unsafe fn store(self, to: &mut [f32; PANEL]);
    unsafe fn all(value: f32) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * by + plus`, rounded once.
    unsafe fn mul_add(self, by: Self, plus: Self) -> Self;
    /// `low` where `self` is not greater, else `self`: NaN stays NaN.
    unsafe fn at_least(self, low: Self) -> Self;
    /// `high` where `self` is not less, else `self`: NaN stays NaN.
    unsafe fn at_most(self, high: Self) -> Self;
    /// From `low` to `high`, and `low` for NaN: for what becomes an integer.
    unsafe fn saturate(self, low: Self, high: Self) -> Self;

    unsafe fn load_whole(from: &[i32; PANEL]) -> Self::Whole;
    unsafe fn all_whole(value: i32) -> Self::Whole;
    /// Wraps around.
    unsafe fn add_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole;
    /// Wraps around.
    unsafe fn sub_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole;
    /// Wraps around.
    unsafe fn mul_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole;
    unsafe fn from_whole(whole: Self::Whole) -> Self;
    /// The nearest integers, halves to even, of values within +-2^21.
    unsafe fn round(self) -> Self::Whole;

    /// The low halves of the bytes, then their high halves.
    unsafe fn load_halves(from: &[u8; PANEL / 2]) -> Self::Whole;
    /// Signed bytes, exclusive-or `flip`, as integers.
    unsafe fn load_bytes(from: &[u8; PANEL], flip: u8) -> Self::Whole;
    /// Integers in -128..=127 as bytes, exclusive-or `flip`.
    unsafe fn store_bytes(whole: Self::Whole, flip: u8, to: &mut [u8; PANEL]);
}
