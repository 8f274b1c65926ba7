//! Rotary position embeddings become one op and give the same bits.

mod graphs;

use graphs::{Graph, wave};

/// `angles`: the shape of cosines and sines.
fn rotary(shape: &[usize], angles: &[usize], swapped: bool) -> Graph {
    let graph = Graph::new(&[("x", shape)]);
    turned(graph, ["x", "y"], shape, angles, swapped)
}

fn turned(
    graph: Graph,
    [x, y]: [&str; 2],
    shape: &[usize],
    angles: &[usize],
    swapped: bool,
) -> Graph {
    let last = shape.len() as i64 - 1;
    let half = (shape[shape.len() - 1] / 2) as i64;
    let count = angles.iter().product();
    let mut graph = graph
        .floats("cosine", angles, &wave(count, 1))
        .floats("sine", angles, &wave(count, 2))
        .integers("axis", &[last])
        .integers("start", &[0])
        .integers("middle", &[half])
        .integers("end", &[2 * half])
        .node("Slice", &[x, "start", "middle", "axis"], "a")
        .node("Slice", &[x, "middle", "end", "axis"], "b");
    for (part, angle) in [
        ("a", "cosine"),
        ("b", "sine"),
        ("b", "cosine"),
        ("a", "sine"),
    ] {
        let operands = if swapped {
            [angle, part]
        } else {
            [part, angle]
        };
        graph = graph.node("Mul", &operands, &format!("{part}_{angle}"));
    }
    let sum = match swapped {
        true => ["a_sine", "b_cosine"],
        false => ["b_cosine", "a_sine"],
    };
    graph
        .node("Sub", &["a_cosine", "b_sine"], "first")
        .node("Add", &sum, "second")
        .node("Concat", &["first", "second"], y)
        .int("axis", last)
}

#[test]
fn exported_rotary_embeddings_are_one_op() {
    for swapped in [false, true] {
        for (shape, angles) in [
            (&[1, 3, 5, 8][..], &[5, 4][..]),
            (&[2, 5, 3, 8], &[1, 5, 1, 4]),
            (&[2, 3, 6], &[1, 3]),
        ] {
            let name = format!("rotary {shape:?} {angles:?} {swapped}");
            let (fused, fusion, plain) = rotary(shape, angles, swapped).run(&name);
            assert_eq!(fusion.fused.get("FusedRotary"), Some(&1), "{name}");
            assert!(fusion.small.is_empty(), "{name}: {:?}", fusion.small);
            assert_eq!(fused, plain, "{name}");
        }
    }
}

/// Heads that go to the front, are turned and go back: they are turned where they lie.
#[test]
fn heads_are_turned_before_they_are_moved() {
    for (angles, moves) in [(&[1, 1, 5, 4][..], 0), (&[5, 4], 0), (&[1, 3, 5, 4], 2)] {
        let name = format!("moved {angles:?}");
        let moved = |graph: Graph, from: &str, to: &str| {
            let graph = graph.node("Transpose", &[from], to);
            graph.ints("perm", &[0, 2, 1, 3])
        };
        let graph = moved(Graph::new(&[("x", &[1, 5, 3, 8])]), "x", "heads");
        let graph = turned(graph, ["heads", "turned"], &[1, 3, 5, 8], angles, false);
        let graph = moved(graph, "turned", "y");
        let (fused, fusion, plain) = graph.run(&name);
        assert_eq!(fusion.fused.get("FusedRotary"), Some(&1), "{name}");
        assert_eq!(
            fusion.small.get("MoveAxis").copied().unwrap_or(0),
            moves,
            "{name}"
        );
        assert_eq!(fused, plain, "{name}");
    }
}

/// The second half is turned the other way.
#[test]
fn another_sum_is_none() {
    let graph = Graph::new(&[("x", &[2, 3, 6])])
        .floats("cosine", &[3, 3], &wave(9, 1))
        .floats("sine", &[3, 3], &wave(9, 2))
        .node("Split", &["x"], "a")
        .int("axis", 2);
    let mut graph = graph.output("b");
    for (part, angle) in [
        ("a", "cosine"),
        ("b", "sine"),
        ("b", "cosine"),
        ("a", "sine"),
    ] {
        graph = graph.node("Mul", &[part, angle], &format!("{part}_{angle}"));
    }
    let graph = graph
        .node("Sub", &["a_cosine", "b_sine"], "first")
        .node("Sub", &["b_cosine", "a_sine"], "second")
        .node("Concat", &["first", "second"], "y")
        .int("axis", 2);
    let (fused, fusion, plain) = graph.run("another");
    assert_eq!(fusion.fused.get("FusedRotary"), None);
    assert_eq!(fused, plain);
}
