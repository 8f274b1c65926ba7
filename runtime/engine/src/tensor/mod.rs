//! Tensors as callers hand them in and read them: element types, borrowed views, and buffers of their own.

mod element;
mod owned;
mod spec;
mod view;

pub(crate) use element::datum_name;
pub use element::{Element, Number};
pub use owned::Tensor;
pub use spec::{TensorError, TensorSpec};
pub use view::{InputViews, View};
pub(crate) use view::{cast_mut, check};
