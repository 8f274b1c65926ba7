//! Float weights of a product, packed where they lie once nothing else holds them: memory has them once.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Isa, Lent, PackedFloats};

use super::conv::Geometry;
use super::view::{ViewMut, view_of};

/// Weights of a product, and what they are made of until they are packed.
#[derive(Debug)]
pub(crate) struct FloatWeights {
    isa: Isa,
    segments: usize,
    segment: usize,
    columns: usize,
    order: Order,
    unpacked: Mutex<Option<Arc<Tensor>>>,
    packed: OnceLock<PackedFloats>,
}

/// How weights lie in a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Values from a row to the next, and from a column to the next.
    Matrix { row: usize, column: usize },
    /// So many outputs x inputs x the values of a window; the columns are these values, each with all outputs.
    Windows { outputs: usize },
    /// Outputs x inputs x height x width.
    Kernel(Geometry),
}

impl FloatWeights {
    /// `tensor` has f32 in a row, as many as segments, values of each and columns say.
    pub(crate) fn new(
        isa: Isa,
        [segments, segment, columns]: [usize; 3],
        order: Order,
        tensor: Arc<Tensor>,
    ) -> Self {
        Self {
            isa,
            segments,
            segment,
            columns,
            order,
            unpacked: Mutex::new(Some(tensor)),
            packed: OnceLock::new(),
        }
    }

    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    pub(crate) fn segments(&self) -> usize {
        self.segments
    }

    pub(crate) fn segment(&self) -> usize {
        self.segment
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn bytes(&self) -> usize {
        self.packed().bytes()
    }

    /// Packs them now. `scratch` is a buffer to use.
    pub(crate) fn settle(&self, scratch: &mut Vec<f32>) {
        self.packed.get_or_init(|| self.pack(scratch));
    }

    /// Packs them unless that was done.
    pub(crate) fn packed(&self) -> &PackedFloats {
        self.packed.get_or_init(|| self.pack(&mut Vec::new()))
    }

    fn pack(&self, scratch: &mut Vec<f32>) -> PackedFloats {
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        let tensor = unpacked.take().map(|tensor| match Arc::try_unwrap(tensor) {
            Ok(tensor) => tensor,
            Err(shared) => (*shared).clone(),
        });
        let memory = Box::new(Lying(tensor.unwrap_or_default()));
        let sizes = [self.segments, self.segment, self.columns];
        match &self.order {
            Order::Matrix { row, column } => {
                let (row, column) = (*row, *column);
                PackedFloats::pack_in_place(self.isa, sizes, memory, scratch, |_, k, n| {
                    k * row + n * column
                })
            }
            &Order::Windows { outputs } => {
                let (inputs, values) = (self.segment, self.columns / outputs.max(1));
                PackedFloats::pack_in_place(self.isa, sizes, memory, scratch, |_, k, n| {
                    ((n % outputs) * inputs + k) * values + n / outputs
                })
            }
            Order::Kernel(geometry) => {
                let at = geometry.weight_index();
                PackedFloats::pack_in_place(self.isa, sizes, memory, scratch, at)
            }
        }
    }
}

/// The memory of a tensor.
#[derive(Debug)]
struct Lying(Tensor);

impl Lent<f32> for Lying {
    fn values(&self) -> &[f32] {
        let values = view_of(&self.0).ok().and_then(|view| view.values().ok());
        values.unwrap_or_default()
    }

    fn values_mut(&mut self) -> &mut [f32] {
        let view = ViewMut::of(&mut self.0).ok();
        let values = view.and_then(|view| view.into_values().ok());
        values.unwrap_or_default()
    }
}
