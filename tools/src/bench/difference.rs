//! The outputs of one engine against those of another, by name.

use serde_json::Value;

use super::engine::Kind;
use crate::values::compare::distances;
use crate::values::json;
use crate::values::npz::Named;

/// What came of a comparison.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    /// The largest difference; "unlike" where types, shapes or names differ, `None` where nothing was compared.
    pub difference: Option<Value>,
    /// The output that differs most.
    pub output: Option<String>,
    /// Number of values that were compared.
    pub compared: usize,
    /// For a table.
    pub shown: String,
}

impl Verdict {
    /// Of the engine that others are compared with.
    pub fn first() -> Self {
        Self::nothing("first")
    }

    /// Of an engine that does not run the graph.
    pub fn refused() -> Self {
        Self::nothing("refused")
    }

    fn nothing(shown: &str) -> Self {
        Self {
            difference: None,
            output: None,
            compared: 0,
            shown: shown.to_owned(),
        }
    }

    fn unlike(name: &str, compared: usize) -> Self {
        Self {
            difference: Some("unlike".into()),
            output: Some(name.to_owned()),
            compared,
            shown: format!("unlike: {name}"),
        }
    }
}

/// All outputs, of any type.
pub fn compare(kind: Kind, found: &[Named], first: &[Named]) -> Verdict {
    let mut compared = 0;
    let mut largest: Option<(f64, &str)> = None;
    for (name, wanted) in first {
        let own = found.iter().find(|(own, _)| own == name);
        let distances = own.and_then(|(_, value)| match kind {
            // It has no 64-bit integers, bools or halves of its own.
            Kind::Rten => distances(&value.cast(wanted.element), wanted),
            _ => distances(value, wanted),
        });
        let Some(distances) = distances else {
            return Verdict::unlike(name, compared);
        };
        compared += distances.len();
        for distance in distances {
            if largest.is_none_or(|(most, _)| distance > most) {
                largest = Some((distance, name));
            }
        }
    }
    let extra = found.iter().map(|(name, _)| name);
    let mut extra = extra.filter(|name| !first.iter().any(|(wanted, _)| wanted == *name));
    if let Some(name) = extra.next() {
        return Verdict::unlike(name, compared);
    }
    match largest {
        None => Verdict::nothing("nothing compared"),
        Some((distance, name)) => Verdict {
            difference: Some(json(distance)),
            output: Some(name.to_owned()),
            compared,
            shown: format!("{distance:.1e}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use wink_engine::{OnnxElement as Element, Value as Tensor};

    use super::*;

    fn floats(name: &str, values: &[f64]) -> Named {
        let values = values.iter().copied();
        let shape = [values.len()];
        (
            name.to_owned(),
            Tensor::of_floats(Element::F32, &shape, values),
        )
    }

    fn ints(name: &str, element: Element, values: &[i128]) -> Named {
        let values = values.iter().copied();
        let shape = [values.len()];
        (name.to_owned(), Tensor::of_ints(element, &shape, values))
    }

    #[test]
    fn the_largest_difference_of_all_outputs_counts_wherever_they_stand() {
        let first = [floats("a", &[1.0, 2.0]), ints("b", Element::I64, &[7, 9])];
        let found = [ints("b", Element::I64, &[7, 6]), floats("a", &[1.0, 2.5])];
        let verdict = compare(Kind::Tract, &found, &first);
        assert_eq!(verdict.difference, Some(3.0.into()));
        assert_eq!(verdict.output.as_deref(), Some("b"));
        assert_eq!(verdict.compared, 4);
        let nan = [floats("a", &[f64::NAN, 2.0]), first[1].clone()];
        let verdict = compare(Kind::Tract, &nan, &first);
        assert_eq!(verdict.difference, Some("inf".into()));
        assert_eq!(
            compare(Kind::Tract, &nan, &nan).difference,
            Some(0.0.into())
        );
    }

    #[test]
    fn nothing_compared_is_no_agreement() {
        let empty = [floats("a", &[])];
        for (found, first) in [(&empty[..], &empty[..]), (&[], &[])] {
            let verdict = compare(Kind::Onnxruntime, found, first);
            assert_eq!((verdict.difference, verdict.compared), (None, 0));
            assert_eq!(verdict.shown, "nothing compared");
        }
    }

    #[test]
    fn other_names_shapes_and_types_are_told_by_name() {
        let first = [floats("a", &[1.0])];
        for found in [
            vec![],
            vec![floats("b", &[1.0])],
            vec![floats("a", &[1.0, 1.0])],
            vec![ints("a", Element::I32, &[1])],
            vec![floats("a", &[1.0]), floats("c", &[])],
        ] {
            let verdict = compare(Kind::Tract, &found, &first);
            assert_eq!(verdict.difference, Some("unlike".into()), "{found:?}");
        }
        // rten has neither bools nor 64-bit integers.
        let wide = [
            ints("a", Element::I64, &[5]),
            ints("b", Element::Bool, &[1]),
        ];
        let narrow = [ints("a", Element::I32, &[5]), ints("b", Element::I32, &[1])];
        let verdict = compare(Kind::Rten, &narrow, &wide);
        assert_eq!(verdict.difference, Some(0.0.into()));
    }
}
