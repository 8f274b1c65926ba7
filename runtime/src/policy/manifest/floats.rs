//! Numbers in single precision, read as `policy.json` writes them: a number that is too large is read as infinite, so that the check of
//! its field names it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// One number.
pub(super) fn one<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
    Ok(f64::deserialize(from)? as f32)
}

/// Several numbers.
pub(super) fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
    let values = Vec::<f64>::deserialize(from)?;
    Ok(values.into_iter().map(|value| value as f32).collect())
}

/// Numbers by name.
pub(super) fn by_name<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<String, f32>, D::Error> {
    let values = BTreeMap::<String, f64>::deserialize(from)?;
    let values = values.into_iter();
    Ok(values.map(|(name, value)| (name, value as f32)).collect())
}
