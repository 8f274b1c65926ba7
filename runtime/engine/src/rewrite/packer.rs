//! Packs float weights, once for all nodes that read them: the two cameras of a policy often share a network.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Isa, PackedFloats, WinogradWeights};

use crate::query::with_floats;

/// How a constant is read: segments, values of each, columns, and what tells apart orders of the same sizes.
pub(super) type Order = [usize; 5];

/// The instruction set to pack for, and what was packed.
#[derive(Debug)]
pub(super) struct Packer {
    pub(super) isa: Isa,
    floats: Known<PackedFloats>,
    winograd: Known<WinogradWeights>,
}

/// What was packed of which constant in which order.
#[derive(Debug)]
struct Known<W>(RefCell<Vec<Packed<W>>>);

#[derive(Debug)]
struct Packed<W> {
    /// Keeps the place of the constant, not its values: no other constant can lie there.
    constant: Weak<Tensor>,
    order: Order,
    weights: Weak<W>,
}

impl Packer {
    pub(super) fn new(isa: Isa) -> Self {
        Self {
            isa,
            floats: Known(RefCell::default()),
            winograd: Known(RefCell::default()),
        }
    }

    /// Packs a constant; `at(s, k, n)` is the place of value `k` of segment `s` of column `n` in it. `None` where it is no constant.
    pub(super) fn floats(
        &self,
        model: &TypedModel,
        outlet: OutletId,
        order: Order,
        at: impl Fn(usize, usize, usize) -> usize,
    ) -> Option<Arc<PackedFloats>> {
        let [segments, segment, columns, ..] = order;
        self.floats.get_or(model, outlet, order, |weights| {
            PackedFloats::pack(self.isa, segments, segment, columns, |s, k, n| {
                weights[at(s, k, n)]
            })
        })
    }

    /// Transforms a constant of outputs x `channels` x 3 x 3. `None` where it is no constant.
    pub(super) fn winograd(
        &self,
        model: &TypedModel,
        outlet: OutletId,
        [channels, columns]: [usize; 2],
    ) -> Option<Arc<WinogradWeights>> {
        let order = [3, 3 * channels, columns, channels, 3];
        self.winograd.get_or(model, outlet, order, |weights| {
            WinogradWeights::pack(self.isa, channels, columns, |y, x, c, n| {
                weights[(n * channels + c) * 9 + y * 3 + x]
            })
        })
    }
}

impl<W> Known<W> {
    fn get_or(
        &self,
        model: &TypedModel,
        outlet: OutletId,
        order: Order,
        pack: impl FnOnce(&[f32]) -> W,
    ) -> Option<Arc<W>> {
        let constant = model.outlet_fact(outlet).ok()?.konst.as_ref();
        let known = constant.and_then(|constant| {
            let packed = self.0.borrow();
            let mut packed = packed.iter();
            let same = packed.find(|packed| {
                packed.order == order
                    && std::ptr::eq(packed.constant.as_ptr(), &raw const **constant)
            });
            same?.weights.upgrade()
        });
        if known.is_some() {
            return known;
        }
        let weights = Arc::new(with_floats(model, outlet, pack)?);
        if let Some(constant) = constant {
            self.0.borrow_mut().push(Packed {
                constant: Arc::downgrade(constant),
                order,
                weights: Arc::downgrade(&weights),
            });
        }
        Some(weights)
    }
}
