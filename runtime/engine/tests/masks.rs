//! Masks run without tract: casts, comparisons, functions of truth values, and the choice by them.

mod graphs;

use graphs::{Graph, assert_close, wave};

#[test]
fn masks_run_without_tract() {
    for logic in ["And", "Or", "Xor"] {
        for (a, b) in [
            (&[1, 4, 1, 6][..], &[1, 1, 5, 6][..]),
            (&[2, 3], &[2, 3]),
            (&[2, 3], &[1, 1]),
            (&[7], &[1]),
        ] {
            let name = format!("{logic} of {a:?} and {b:?}");
            let shape: Vec<usize> = a.iter().zip(b).map(|(&a, &b)| a.max(b)).collect();
            let count = shape.iter().product();
            let graph = Graph::new(&[("a", a), ("b", b)])
                .floats("x", &shape, &wave(count, 1))
                .floats("hidden", &[], &[f32::NEG_INFINITY])
                .floats("zero", &[1], &[0.0])
                .node("Relu", &["a"], "positive_a")
                .node("Relu", &["b"], "positive_b")
                .node("Cast", &["positive_a"], "bool_a")
                .int("to", 9)
                .node("Cast", &["positive_b"], "bool_b")
                .int("to", 9)
                .node(logic, &["bool_a", "bool_b"], "mask")
                .node("Not", &["mask"], "not")
                .node("Where", &["not", "x", "hidden"], "hid")
                .node("Cast", &["mask"], "number")
                .int("to", 1)
                .node("Where", &["bool_a", "number", "hid"], "y");
            let (found, fusion, wanted) = graph.run(&name);
            assert!(fusion.engine.is_empty(), "{name}: {:?}", fusion.engine);
            assert_close(&found, &wanted, &name);
            assert!(found.iter().any(|&v| v != found[0]), "{name}: {found:?}");
        }
    }
}

#[test]
fn comparisons_run_without_tract() {
    for operator in ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"] {
        // f32, i32, i64.
        for to in [1, 6, 7] {
            let mut differ = false;
            for (a, b) in [
                (&[2, 3][..], &[2, 3][..]),
                (&[4, 1, 5], &[3, 1]),
                (&[6], &[1]),
            ] {
                let name = format!("{operator} of {a:?} and {b:?} in type {to}");
                let graph = Graph::new(&[("a", a), ("b", b)])
                    .node("Floor", &["a"], "floor_a")
                    .node("Floor", &["b"], "floor_b")
                    .node("Cast", &["floor_a"], "from_a")
                    .int("to", to)
                    .node("Cast", &["floor_b"], "from_b")
                    .int("to", to)
                    .node(operator, &["from_a", "from_b"], "holds")
                    .node("Cast", &["holds"], "y")
                    .int("to", 1);
                let (found, fusion, wanted) = graph.run(&name);
                assert!(fusion.engine.is_empty(), "{name}: {:?}", fusion.engine);
                assert_close(&found, &wanted, &name);
                differ |= wanted.iter().any(|&v| v != wanted[0]);
            }
            assert!(differ, "{operator}: one answer for all pairs");
        }
    }
}
