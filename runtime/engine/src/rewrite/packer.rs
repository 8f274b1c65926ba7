//! Packs float weights, once for all nodes that read them: the two cameras of a policy often share a network.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Isa, WinogradWeights};

use crate::ops::{FloatWeights, Order};
use crate::query::{floats_in_a_row, with_floats};

/// The instruction set to pack for, and what was packed.
#[derive(Debug)]
pub(super) struct Packer {
    pub(super) isa: Isa,
    floats: Known<([usize; 3], Order), FloatWeights>,
    winograd: Known<[usize; 2], WinogradWeights>,
}

/// What was packed of which constant in which order.
#[derive(Debug)]
struct Known<O, W>(RefCell<Vec<Packed<O, W>>>);

#[derive(Debug)]
struct Packed<O, W> {
    /// Keeps the place of the constant, not its values: no other constant can lie there.
    constant: Weak<Tensor>,
    order: O,
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

    /// Takes a constant as weights of so many segments, values of each and columns, to be packed when nothing else holds it. `None`
    /// where it is no constant.
    pub(super) fn floats(
        &self,
        model: &TypedModel,
        outlet: OutletId,
        sizes: [usize; 3],
        order: &Order,
    ) -> Option<Arc<FloatWeights>> {
        let key = (sizes, order.clone());
        self.floats.get_or(model, outlet, key, || {
            let values = floats_in_a_row(model, outlet)?;
            Some(FloatWeights::new(self.isa, sizes, order.clone(), values))
        })
    }

    /// Transforms a constant of outputs x `channels` x 3 x 3. `None` where it is no constant.
    pub(super) fn winograd(
        &self,
        model: &TypedModel,
        outlet: OutletId,
        [channels, columns]: [usize; 2],
    ) -> Option<Arc<WinogradWeights>> {
        self.winograd
            .get_or(model, outlet, [channels, columns], || {
                with_floats(model, outlet, |weights| {
                    WinogradWeights::pack(self.isa, channels, columns, |y, x, c, n| {
                        weights[(n * channels + c) * 9 + y * 3 + x]
                    })
                })
            })
    }
}

impl<O: PartialEq, W> Known<O, W> {
    fn get_or(
        &self,
        model: &TypedModel,
        outlet: OutletId,
        order: O,
        pack: impl FnOnce() -> Option<W>,
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
        let weights = Arc::new(pack()?);
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
