//! Packs float weights, once for all nodes that read them: the two cameras of a policy often share a network.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Isa, PackedFloats};

use crate::query::with_floats;

/// How a constant is read: segments, values of each, columns, and what tells apart orders of the same sizes.
pub(super) type Order = [usize; 5];

/// The instruction set to pack for, and what was packed.
#[derive(Debug)]
pub(super) struct Packer {
    pub(super) isa: Isa,
    floats: RefCell<Vec<Packed>>,
}

#[derive(Debug)]
struct Packed {
    /// Keeps the place of the constant, not its values: no other constant can lie there.
    constant: Weak<Tensor>,
    order: Order,
    weights: Weak<PackedFloats>,
}

impl Packer {
    pub(super) fn new(isa: Isa) -> Self {
        Self {
            isa,
            floats: RefCell::default(),
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
        let constant = model.outlet_fact(outlet).ok()?.konst.as_ref();
        let known = constant.and_then(|constant| {
            let packed = self.floats.borrow();
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
        let [segments, segment, columns, ..] = order;
        let weights = with_floats(model, outlet, |weights| {
            PackedFloats::pack(self.isa, segments, segment, columns, |s, k, n| {
                weights[at(s, k, n)]
            })
        })?;
        let weights = Arc::new(weights);
        if let Some(constant) = constant {
            self.floats.borrow_mut().push(Packed {
                constant: Arc::downgrade(constant),
                order,
                weights: Arc::downgrade(&weights),
            });
        }
        Some(weights)
    }
}
