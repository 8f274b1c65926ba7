//! Smooth random patterns for surfaces, from integers and products only.

/// A value in 0..1 that belongs to a lattice point.
fn lattice(x: i32, y: i32, seed: u32) -> f32 {
    let mut hash =
        seed ^ (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77);
    hash = (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d);
    hash = (hash ^ (hash >> 12)).wrapping_mul(0x297a_2d39);
    (hash ^ (hash >> 15)) as f32 * (1.0 / 4_294_967_296.0)
}

/// Value noise: smooth, in 0..1, one bump per unit.
pub(super) fn value_noise(x: f32, y: f32, seed: u32) -> f32 {
    let (x0, y0) = (x.floor(), y.floor());
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (fx, fy) = (smooth(x - x0), smooth(y - y0));
    let (x0, y0) = (x0 as i32, y0 as i32);
    let (x1, y1) = (x0.wrapping_add(1), y0.wrapping_add(1));
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    mix(
        mix(lattice(x0, y0, seed), lattice(x1, y0, seed), fx),
        mix(lattice(x0, y1, seed), lattice(x1, y1, seed), fx),
        fy,
    )
}

/// Three octaves of [`value_noise`], in 0..1.
pub(super) fn cloud(x: f32, y: f32, seed: u32) -> f32 {
    let octave =
        |factor: f32, index: u32| value_noise(x * factor, y * factor, seed.wrapping_add(index));
    (4.0 * octave(1.0, 0) + 2.0 * octave(2.0, 1) + octave(4.0, 2)) * (1.0 / 7.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_smooth_varied_and_within_bounds() {
        let mut seen = [0.5_f32; 2];
        for step in 0..4000 {
            let (x, y) = (step as f32 * 0.013 - 20.0, step as f32 * 0.007 - 11.0);
            let here = cloud(x, y, 7);
            assert!((0.0..=1.0).contains(&here));
            assert!((cloud(x + 1e-3, y, 7) - here).abs() < 0.02);
            seen = [seen[0].min(here), seen[1].max(here)];
        }
        assert!(seen[0] < 0.25 && seen[1] > 0.75, "{seen:?}");
        assert_ne!(cloud(0.3, 0.4, 7), cloud(0.3, 0.4, 8));
    }
}
