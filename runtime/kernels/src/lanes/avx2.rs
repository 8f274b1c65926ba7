//! Two registers of AVX2.

use std::arch::x86_64::*;

use super::Lanes;
use crate::PANEL;

#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256, __m256);

#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "of all: AVX2 and FMA are there by the trait's condition, and 16 floats or integers are two registers, 16 bytes one"
)]
impl Lanes for Avx2 {
    type Whole = (__m256i, __m256i);

    #[inline(always)]
    unsafe fn load(from: &[f32; PANEL]) -> Self {
        let at = from.as_ptr();
        unsafe { Self(_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32; PANEL]) {
        let at = to.as_mut_ptr();
        unsafe {
            _mm256_storeu_ps(at, self.0);
            _mm256_storeu_ps(at.add(8), self.1);
        }
    }

    #[inline(always)]
    unsafe fn all(value: f32) -> Self {
        unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe {
            Self(
                _mm256_add_ps(self.0, other.0),
                _mm256_add_ps(self.1, other.1),
            )
        }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe {
            Self(
                _mm256_mul_ps(self.0, other.0),
                _mm256_mul_ps(self.1, other.1),
            )
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, by: Self, plus: Self) -> Self {
        unsafe {
            Self(
                _mm256_fmadd_ps(self.0, by.0, plus.0),
                _mm256_fmadd_ps(self.1, by.1, plus.1),
            )
        }
    }

    // Not `max`, which has no order of operands that keeps both NaN and the bits of zeros.
    #[inline(always)]
    unsafe fn at_least(self, low: Self) -> Self {
        unsafe {
            let of = |a, b| _mm256_blendv_ps(a, b, _mm256_cmp_ps::<_CMP_LE_OQ>(a, b));
            Self(of(self.0, low.0), of(self.1, low.1))
        }
    }

    #[inline(always)]
    unsafe fn at_most(self, high: Self) -> Self {
        unsafe {
            let of = |a, b| _mm256_blendv_ps(a, b, _mm256_cmp_ps::<_CMP_GE_OQ>(a, b));
            Self(of(self.0, high.0), of(self.1, high.1))
        }
    }

    // Of equal values and of NaN the instructions take the second.
    #[inline(always)]
    unsafe fn saturate(self, low: Self, high: Self) -> Self {
        unsafe {
            let of = |a, low, high| _mm256_min_ps(_mm256_max_ps(a, low), high);
            Self(of(self.0, low.0, high.0), of(self.1, low.1, high.1))
        }
    }

    #[inline(always)]
    unsafe fn load_whole(from: &[i32; PANEL]) -> Self::Whole {
        let at = from.as_ptr().cast::<__m256i>();
        unsafe { (_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))) }
    }

    #[inline(always)]
    unsafe fn all_whole(value: i32) -> Self::Whole {
        unsafe { (_mm256_set1_epi32(value), _mm256_set1_epi32(value)) }
    }

    #[inline(always)]
    unsafe fn add_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole {
        unsafe { (_mm256_add_epi32(a.0, b.0), _mm256_add_epi32(a.1, b.1)) }
    }

    #[inline(always)]
    unsafe fn sub_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole {
        unsafe { (_mm256_sub_epi32(a.0, b.0), _mm256_sub_epi32(a.1, b.1)) }
    }

    #[inline(always)]
    unsafe fn mul_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole {
        unsafe { (_mm256_mullo_epi32(a.0, b.0), _mm256_mullo_epi32(a.1, b.1)) }
    }

    #[inline(always)]
    unsafe fn from_whole(whole: Self::Whole) -> Self {
        unsafe { Self(_mm256_cvtepi32_ps(whole.0), _mm256_cvtepi32_ps(whole.1)) }
    }

    // In the rounding mode that Rust assumes: to the nearest, halves to even.
    #[inline(always)]
    unsafe fn round(self) -> Self::Whole {
        unsafe { (_mm256_cvtps_epi32(self.0), _mm256_cvtps_epi32(self.1)) }
    }

    #[inline(always)]
    unsafe fn load_halves(from: &[u8; PANEL / 2]) -> Self::Whole {
        unsafe {
            let bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.as_ptr().cast()));
            let low = _mm256_and_si256(bytes, _mm256_set1_epi32(15));
            (low, _mm256_srli_epi32::<4>(bytes))
        }
    }

    #[inline(always)]
    unsafe fn load_bytes(from: &[u8; PANEL], flip: u8) -> Self::Whole {
        unsafe {
            let bytes = _mm_loadu_si128(from.as_ptr().cast());
            let bytes = _mm_xor_si128(bytes, _mm_set1_epi8(flip.cast_signed()));
            let high = _mm_unpackhi_epi64(bytes, bytes);
            (_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(high))
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(whole: Self::Whole, flip: u8, to: &mut [u8; PANEL]) {
        unsafe {
            // Halves of both registers alternate: 0-3, 8-11, 4-7, 12-15.
            let pairs = _mm256_packs_epi32(whole.0, whole.1);
            let pairs = _mm256_permute4x64_epi64::<0b11_01_10_00>(pairs);
            let low = _mm256_castsi256_si128(pairs);
            let bytes = _mm_packs_epi16(low, _mm256_extracti128_si256::<1>(pairs));
            let bytes = _mm_xor_si128(bytes, _mm_set1_epi8(flip.cast_signed()));
            _mm_storeu_si128(to.as_mut_ptr().cast(), bytes);
        }
    }
}
