//! The difference of two tensors.

use wink_engine::Value;

/// What came of comparing an output with what was expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Difference {
    /// The largest absolute difference; infinite where one is NaN, or infinite, and the other is not the same.
    Of(f64),
    /// Another element type or shape.
    Unlike,
}

/// Floats differ by their absolute distance; NaN equals NaN, an infinity equals one of the same sign.
pub fn difference(found: &Value<'_>, wanted: &Value<'_>) -> Difference {
    match distances(found, wanted) {
        Some(distances) => Difference::Of(distances.into_iter().fold(0.0, f64::max)),
        None => Difference::Unlike,
    }
}

/// The distance of each value from the one in its place, as for [`difference`]; `None` where type or shape differ.
pub fn distances(found: &Value<'_>, wanted: &Value<'_>) -> Option<Vec<f64>> {
    if found.element != wanted.element || found.shape != wanted.shape {
        return None;
    }
    if !found.element.is_float() {
        let pairs = found.ints().into_iter().zip(wanted.ints());
        #[expect(clippy::cast_precision_loss)]
        let distances = pairs.map(|(a, b)| (a - b).abs() as f64);
        return Some(distances.collect());
    }
    let pairs = found.floats().into_iter().zip(wanted.floats());
    let distances = pairs.map(|(a, b)| match a == b || (a.is_nan() && b.is_nan()) {
        true => 0.0,
        false => {
            let distance = (a - b).abs();
            if distance.is_nan() {
                f64::INFINITY
            } else {
                distance
            }
        }
    });
    Some(distances.collect())
}

/// Whether a difference is within the tolerance, which integers and bools have not.
pub fn within(difference: Difference, float: bool, tolerance: f64) -> bool {
    match difference {
        Difference::Of(distance) => distance <= if float { tolerance } else { 0.0 },
        Difference::Unlike => false,
    }
}

#[cfg(test)]
mod tests {
    use wink_engine::OnnxElement as Element;

    use super::*;

    fn floats(values: &[f64]) -> Value<'static> {
        Value::of_floats(Element::F32, &[values.len()], values.iter().copied())
    }

    #[test]
    fn what_is_not_finite() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let cases = [
            (&[1.0, nan, inf][..], &[1.5, nan, inf][..], 0.5),
            (&[nan], &[0.0], inf),
            (&[inf], &[-inf], inf),
            (&[inf], &[3.0], inf),
            (&[], &[], 0.0),
        ];
        for (a, b, wanted) in cases {
            let found = difference(&floats(a), &floats(b));
            assert_eq!(found, Difference::Of(wanted), "{a:?} {b:?}");
        }
        assert_eq!(
            difference(&floats(&[1.0]), &floats(&[1.0, 2.0])),
            Difference::Unlike
        );
    }

    #[test]
    fn integers_have_no_tolerance() {
        let whole = |v| Value::of_ints(Element::I64, &[1], std::iter::once(v));
        let found = difference(&whole(3), &whole(4));
        assert_eq!(found, Difference::Of(1.0));
        assert!(!within(found, false, 5.0));
        assert!(within(found, true, 1.0));
    }
}
