//! Four registers of NEON.

use std::arch::aarch64::*;

use super::Lanes;
use crate::PANEL;

#[derive(Clone, Copy)]
pub(crate) struct Neon([float32x4_t; 4]);

#[inline(always)]
fn both<A: Copy, R>(a: [A; 4], b: [A; 4], of: impl Fn(A, A) -> R) -> [R; 4] {
    [
        of(a[0], b[0]),
        of(a[1], b[1]),
        of(a[2], b[2]),
        of(a[3], b[3]),
    ]
}

#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "of all: NEON is part of aarch64, and 16 floats or integers are four registers, 16 bytes one"
)]
impl Lanes for Neon {
    type Whole = [int32x4_t; 4];

    #[inline(always)]
    unsafe fn load(from: &[f32; PANEL]) -> Self {
        let at = from.as_ptr();
        Self([0, 4, 8, 12].map(|i| unsafe { vld1q_f32(at.add(i)) }))
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32; PANEL]) {
        for (to, four) in to.as_chunks_mut::<4>().0.iter_mut().zip(self.0) {
            unsafe { vst1q_f32(to.as_mut_ptr(), four) }
        }
    }

    #[inline(always)]
    unsafe fn all(value: f32) -> Self {
        Self([unsafe { vdupq_n_f32(value) }; 4])
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(both(self.0, other.0, |a, b| unsafe { vaddq_f32(a, b) }))
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(both(self.0, other.0, |a, b| unsafe { vmulq_f32(a, b) }))
    }

    #[inline(always)]
    unsafe fn mul_add(self, by: Self, plus: Self) -> Self {
        let of = |i: usize| unsafe { vfmaq_f32(plus.0[i], self.0[i], by.0[i]) };
        Self([of(0), of(1), of(2), of(3)])
    }

    // Not `fmax`, which tells zeros apart.
    #[inline(always)]
    unsafe fn at_least(self, low: Self) -> Self {
        Self(both(self.0, low.0, |a, b| unsafe {
            vbslq_f32(vcleq_f32(a, b), b, a)
        }))
    }

    #[inline(always)]
    unsafe fn at_most(self, high: Self) -> Self {
        Self(both(self.0, high.0, |a, b| unsafe {
            vbslq_f32(vcgeq_f32(a, b), b, a)
        }))
    }

    #[inline(always)]
    unsafe fn saturate(self, low: Self, high: Self) -> Self {
        let raised = both(self.0, low.0, |a, b| unsafe {
            vbslq_f32(vcgtq_f32(a, b), a, b)
        });
        Self(both(raised, high.0, |a, b| unsafe {
            vbslq_f32(vcltq_f32(a, b), a, b)
        }))
    }

    #[inline(always)]
    unsafe fn load_whole(from: &[i32; PANEL]) -> Self::Whole {
        let at = from.as_ptr();
        [0, 4, 8, 12].map(|i| unsafe { vld1q_s32(at.add(i)) })
    }

    #[inline(always)]
    unsafe fn all_whole(value: i32) -> Self::Whole {
        [unsafe { vdupq_n_s32(value) }; 4]
    }

    #[inline(always)]
    unsafe fn add_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole {
        both(a, b, |a, b| unsafe { vaddq_s32(a, b) })
    }

    #[inline(always)]
    unsafe fn sub_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole {
        both(a, b, |a, b| unsafe { vsubq_s32(a, b) })
    }

    #[inline(always)]
    unsafe fn mul_whole(a: Self::Whole, b: Self::Whole) -> Self::Whole {
        both(a, b, |a, b| unsafe { vmulq_s32(a, b) })
    }

    #[inline(always)]
    unsafe fn from_whole(whole: Self::Whole) -> Self {
        Self(whole.map(|four| unsafe { vcvtq_f32_s32(four) }))
    }

    #[inline(always)]
    unsafe fn round(self) -> Self::Whole {
        self.0.map(|four| unsafe { vcvtnq_s32_f32(four) })
    }

    #[inline(always)]
    unsafe fn load_halves(from: &[u8; PANEL / 2]) -> Self::Whole {
        unsafe {
            let bytes = vld1_u8(from.as_ptr());
            let low = vmovl_u8(vand_u8(bytes, vdup_n_u8(15)));
            let high = vmovl_u8(vshr_n_u8::<4>(bytes));
            [
                vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))),
                vreinterpretq_s32_u32(vmovl_high_u16(low)),
                vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))),
                vreinterpretq_s32_u32(vmovl_high_u16(high)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_bytes(from: &[u8; PANEL], flip: u8) -> Self::Whole {
        unsafe {
            let bytes = veorq_u8(vld1q_u8(from.as_ptr()), vdupq_n_u8(flip));
            let bytes = vreinterpretq_s8_u8(bytes);
            let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
            [
                vmovl_s16(vget_low_s16(low)),
                vmovl_high_s16(low),
                vmovl_s16(vget_low_s16(high)),
                vmovl_high_s16(high),
            ]
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(whole: Self::Whole, flip: u8, to: &mut [u8; PANEL]) {
        unsafe {
            let low = vcombine_s16(vmovn_s32(whole[0]), vmovn_s32(whole[1]));
            let high = vcombine_s16(vmovn_s32(whole[2]), vmovn_s32(whole[3]));
            let bytes = vcombine_s8(vmovn_s16(low), vmovn_s16(high));
            let bytes = veorq_u8(vreinterpretq_u8_s8(bytes), vdupq_n_u8(flip));
            vst1q_u8(to.as_mut_ptr(), bytes);
        }
    }
}
