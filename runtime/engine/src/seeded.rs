//! Numbers made from a seed, the same in any language.

/// Fills `values` with Numerical Recipes' linear congruential generator, in -1 to 1.
pub fn fill(values: &mut [f32], seed: u32) {
    let mut x = seed;
    for value in values {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = (x >> 8) as f32 / (1 << 23) as f32 - 1.0;
    }
}
