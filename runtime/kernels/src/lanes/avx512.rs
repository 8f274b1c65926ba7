//! One register of AVX-512.

use std::arch::x86_64::*;

use super::Lanes;
use crate::PANEL;

#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "of all: AVX-512 F, BW and VL are there by the trait's condition, and 16 floats or integers are one register"
)]
impl Lanes for Avx512 {
    type Whole = __m512i;

    #[inline(always)]
    unsafe fn load(from: &[f32; PANEL]) -> Self {
        unsafe { Self(_mm512_loadu_ps(from.as_ptr())) }
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32; PANEL]) {
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    unsafe fn all(value: f32) -> Self {
        unsafe { Self(_mm512_set1_ps(value)) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { Self(_mm512_add_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { Self(_mm512_mul_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, by: Self, plus: Self) -> Self {
        unsafe { Self(_mm512_fmadd_ps(self.0, by.0, plus.0)) }
    }

    #[inline(always)]
    unsafe fn at_least(self, low: Self) -> Self {
        unsafe {
            let below = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(self.0, low.0);
            Self(_mm512_mask_blend_ps(below, self.0, low.0))
        }
    }

    #[inline(always)]
    unsafe fn at_most(self, high: Self) -> Self {
        unsafe {
            let above = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(self.0, high.0);
            Self(_mm512_mask_blend_ps(above, self.0, high.0))
        }
    }

    // Of equal values and of NaN the instructions take the second.
    #[inline(always)]
    unsafe fn saturate(self, low: Self, high: Self) -> Self {
        unsafe { Self(_mm512_min_ps(_mm512_max_ps(self.0, low.0), high.0)) }
    }

    #[inline(always)]
    unsafe fn load_whole(from: &[i32; PANEL]) -> Self::Whole {
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    unsafe fn all_whole(value: i32) -> Self::Whole {
        unsafe { _mm512_set1_epi32(value) }
    }

    #[inline(always)]
    unsafe fn add_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole {
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn sub_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole {
        unsafe { _mm512_sub_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole {
        unsafe { _mm512_mullo_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn from_whole(whole: Self::Whole) -> Self {
        unsafe { Self(_mm512_cvtepi32_ps(whole)) }
    }

    // In the rounding mode that Rust assumes: to the nearest, halves to even.
    #[inline(always)]
    unsafe fn round(self) -> Self::Whole {
        unsafe { _mm512_cvtps_epi32(self.0) }
    }

    #[inline(always)]
    unsafe fn load_halves(from: &[u8; PANEL / 2]) -> Self::Whole {
        unsafe {
            let bytes = _mm_loadl_epi64(from.as_ptr().cast());
            let both = _mm_unpacklo_epi64(bytes, _mm_srli_epi16::<4>(bytes));
            _mm512_cvtepu8_epi32(_mm_and_si128(both, _mm_set1_epi8(15)))
        }
    }

    #[inline(always)]
    unsafe fn load_bytes(from: &[u8; PANEL], flip: u8) -> Self::Whole {
        unsafe {
            let bytes = _mm_loadu_si128(from.as_ptr().cast());
            _mm512_cvtepi8_epi32(_mm_xor_si128(bytes, _mm_set1_epi8(flip.cast_signed())))
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(whole: Self::Whole, flip: u8, to: &mut [u8; PANEL]) {
        unsafe {
            let bytes = _mm512_cvtepi32_epi8(whole);
            let bytes = _mm_xor_si128(bytes, _mm_set1_epi8(flip.cast_signed()));
            _mm_storeu_si128(to.as_mut_ptr().cast(), bytes);
        }
    }
}
