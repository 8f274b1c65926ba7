//! Tensors that are read from files, written to files and compared.

pub mod compare;
pub mod npz;

use serde_json::Value;

/// A distance for JSON, which has no infinity: "inf" where one value is not finite and the other differs.
pub fn json(distance: f64) -> Value {
    match distance.is_finite() {
        true => distance.into(),
        false => "inf".into(),
    }
}
