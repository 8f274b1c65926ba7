//! Products for small policies, over weights that were packed once, with the scale, bias, activation, residual and the next
//! quantisation in the same pass: 8-bit activations times 8-bit weights ([`product`]), floats times floats for what is not
//! quantised ([`float_product`]), floats times 4-bit weights ([`four_bit_product`]); and the float neighbours of such products (attention, norms, [`binary`] and the like).
//!
//! [`Isa`] names the instruction sets that there are kernels for. All of them give the same bits as [`Isa::Scalar`]: sums of 8-bit
//! products are exact 32-bit integers, a sum of floats is one chain of fused multiply-adds, and all else in floats is one piece of
//! code, or rounds as that does.
//!
//! How a product is laid out. Weights are cut into panels of [`PANEL`] columns; in a panel, `isa.group()` consecutive values
//! along K of one column lie together, as the instruction wants them. Activations are rows of 8-bit values, or of 16-bit values
//! where the instruction multiplies those. A row is read in segments of equal length that may lie anywhere: one segment for a
//! matrix product, one per kernel row for a convolution, which therefore needs no im2col copy.
//!
//! `instructions.sh` counts the instructions per multiply-accumulate of the inner loops on aarch64.

mod activations;
mod aligned;
mod attention;
mod compiled_for;
mod elementwise;
mod epilogue;
mod floats;
mod fours;
mod isa;
mod lanes;
mod math;
mod norm;
mod pages;
mod pool;
mod product;
mod quantise;
mod scalar;
mod tiles;
mod weights;
mod windows;
mod winograd;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use compiled_for::compiled_for;

pub use activations::{Activations, Bytes, Writer};
pub use aligned::Lent;
pub use attention::{Attention, Head, Layout, Mask, attend};
pub use elementwise::{Binary, Operand, Reduction, Unary, binary, reduce, rotate, softmax, unary};
pub use epilogue::{Activation, Epilogue, Output, Residual, RowScales};
pub use floats::{FloatRows, PackedFloats, float_product};
pub use fours::{BLOCK, Four, PackedFours, four_bit_product};
pub use isa::Isa;
pub use norm::{NormInput, layer_norm, rms_norm};
pub use pages::Pages;
pub use pool::{Awake, Pool};
pub use product::{Rows, product};
pub use quantise::{Quantisation, dequantise, dynamic_range, quantise};
pub use weights::PackedWeights;
pub use windows::{Windows, max_pool};
pub use winograd::{WinogradTiles, WinogradWeights, winograd};

/// Columns of a panel.
pub const PANEL: usize = 16;
