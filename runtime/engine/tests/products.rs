//! Products of two computed tensors run without tract, in every order of their axes.

mod graphs;

use graphs::{Graph, assert_close, wave};

/// `a x b` of these shapes, after their axes were moved where there is an order; the axes of the product are moved, too.
struct Case {
    a: (&'static [usize], &'static [i64]),
    b: (&'static [usize], &'static [i64]),
    moved: &'static [i64],
}

const CASES: [Case; 10] = [
    // One product, with sizes that are no multiples of a tile.
    Case {
        a: (&[7, 5], &[]),
        b: (&[5, 19], &[]),
        moved: &[],
    },
    // A row and a column.
    Case {
        a: (&[1, 33], &[]),
        b: (&[33, 1], &[]),
        moved: &[],
    },
    // An outer product.
    Case {
        a: (&[6, 1], &[]),
        b: (&[1, 40], &[]),
        moved: &[],
    },
    // Each picture has its own right side.
    Case {
        a: (&[3, 2, 9, 4], &[]),
        b: (&[3, 2, 4, 17], &[]),
        moved: &[],
    },
    // All share the right side, or the left one.
    Case {
        a: (&[3, 2, 9, 4], &[]),
        b: (&[4, 17], &[]),
        moved: &[],
    },
    Case {
        a: (&[1, 2, 9, 4], &[]),
        b: (&[3, 1, 4, 17], &[]),
        moved: &[],
    },
    // Rows and columns of several axes.
    Case {
        a: (&[2, 3, 9, 4], &[1, 0, 2, 3]),
        b: (&[4, 3], &[]),
        moved: &[1, 3, 0, 2],
    },
    // Queries and transposed keys of heads that lie side by side, and back.
    Case {
        a: (&[2, 11, 3, 8], &[0, 2, 1, 3]),
        b: (&[2, 13, 3, 8], &[0, 2, 3, 1]),
        moved: &[0, 2, 1, 3],
    },
    // Rows whose values lie apart.
    Case {
        a: (&[2, 8, 11], &[0, 2, 1]),
        b: (&[2, 8, 5], &[]),
        moved: &[0, 2, 1],
    },
    // Columns of the output lie apart.
    Case {
        a: (&[4, 6], &[]),
        b: (&[6, 20], &[]),
        moved: &[1, 0],
    },
];

fn graph(case: &Case) -> Graph {
    let mut graph = Graph::new(&[("a", case.a.0), ("b", case.b.0)]);
    let mut names = ["a", "b"];
    for (name, (order, to)) in names.iter_mut().zip([(case.a.1, "at"), (case.b.1, "bt")]) {
        if !order.is_empty() {
            graph = graph.node("Transpose", &[*name], to).ints("perm", order);
            *name = to;
        }
    }
    if case.moved.is_empty() {
        return graph.node("MatMul", &names, "y");
    }
    graph
        .node("MatMul", &names, "p")
        .node("Transpose", &["p"], "y")
        .ints("perm", case.moved)
}

#[test]
fn products_in_every_order_run_without_tract() {
    for case in CASES {
        let name = format!("{:?} x {:?}, {:?}", case.a, case.b, case.moved);
        let (found, fusion, wanted) = graph(&case).run(&name);
        assert!(fusion.engine.is_empty(), "{name}: {:?}", fusion.engine);
        assert_close(&found, &wanted, &name);
    }
}

#[test]
fn infinities_stay_in_their_rows() {
    let values: Vec<f32> = wave(6 * 5, 3);
    let mut scale = vec![1.0; 30];
    scale[0] = f32::INFINITY;
    scale[29] = f32::NAN;
    let graph = Graph::new(&[("x", &[5, 6])])
        .floats("scale", &[6, 5], &scale)
        .floats("shift", &[6, 5], &values)
        .node("Transpose", &["x"], "t")
        .ints("perm", &[1, 0])
        .node("Mul", &["t", "scale"], "m")
        .node("Add", &["m", "shift"], "a")
        .node("MatMul", &["a", "x"], "y");
    let (found, _, wanted) = graph.run("infinities");
    assert!(wanted.iter().any(|v| !v.is_finite()) && wanted.iter().any(|v| v.is_finite()));
    assert_close(&found, &wanted, "infinities");
}
