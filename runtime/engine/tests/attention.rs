//! Attentions as exporters write them become one op, and compute what tract computes of the same graph.

mod graphs;

use graphs::{Graph, assert_close};

/// Heads, heads of keys and values, values of a head, queries, keys.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    heads: usize,
    shared: usize,
    width: usize,
    queries: usize,
    keys: usize,
}

const SIZES: [Sizes; 4] = [
    Sizes {
        heads: 4,
        shared: 4,
        width: 8,
        queries: 7,
        keys: 7,
    },
    Sizes {
        heads: 6,
        shared: 2,
        width: 5,
        queries: 3,
        keys: 9,
    },
    Sizes {
        heads: 4,
        shared: 1,
        width: 16,
        queries: 1,
        keys: 20,
    },
    Sizes {
        heads: 1,
        shared: 1,
        width: 4,
        queries: 5,
        keys: 2,
    },
];

/// How heads of keys and values are repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Repeat {
    /// Unsqueeze, Expand, Reshape while rows come before heads.
    ExpandRows,
    /// The same while heads come before rows.
    ExpandHeads,
    /// Unsqueeze, Tile, Reshape.
    Tile,
    /// Gather with constant indices.
    Gather,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Masked {
    No,
    /// Added, one row for each query.
    Added,
    /// Added, for each query of each head.
    AddedByHead,
    /// Where(mask, scores, lowest).
    Kept,
    /// Where(mask, lowest, scores).
    Dropped,
    /// Where(mask, scores, -infinity), one row for all queries.
    KeptRow,
    /// Where(mask, 0, -infinity), added, and Where(IsNaN(weights), 0, weights) behind the softmax; a row is masked whole.
    Zeroed,
}

fn ints(values: &[usize]) -> Vec<i64> {
    values.iter().map(|&value| value as i64).collect()
}

/// Keys or values with all heads, [1, heads, keys, width].
fn repeated(graph: Graph, s: Sizes, repeat: Repeat, name: &str) -> Graph {
    let Sizes {
        heads,
        shared,
        width,
        keys,
        ..
    } = s;
    let group = heads / shared;
    let at = |suffix: &str| format!("{name}_{suffix}");
    let (rows, wide, far, all) = (at("rows"), at("wide"), at("far"), at("all"));
    let graph = graph
        .integers(&at("split"), &ints(&[1, keys, shared, width]))
        .node("Reshape", &[name, &at("split")], &rows);
    let turn = |graph: Graph, from: &str, to: &str| {
        graph
            .node("Transpose", &[from], to)
            .ints("perm", &[0, 2, 1, 3])
    };
    match repeat {
        Repeat::ExpandRows | Repeat::Tile => {
            let (op, sizes) = match repeat {
                Repeat::Tile => ("Tile", [1, 1, 1, group, 1]),
                _ => ("Expand", [1, keys, shared, group, width]),
            };
            let graph = graph
                .integers(&at("axis"), &[3])
                .node("Unsqueeze", &[&rows, &at("axis")], &wide)
                .integers(&at("times"), &ints(&sizes))
                .node(op, &[&wide, &at("times")], &far)
                .integers(&at("join"), &ints(&[1, keys, heads, width]))
                .node("Reshape", &[&far, &at("join")], &all);
            turn(graph, &all, &at("heads"))
        }
        Repeat::ExpandHeads => turn(graph, &rows, &at("moved"))
            .integers(&at("axis"), &[2])
            .node("Unsqueeze", &[&at("moved"), &at("axis")], &wide)
            .integers(&at("times"), &ints(&[1, shared, group, keys, width]))
            .node("Expand", &[&wide, &at("times")], &far)
            .integers(&at("join"), &ints(&[1, heads, keys, width]))
            .node("Reshape", &[&far, &at("join")], &at("heads")),
        Repeat::Gather => {
            let indices: Vec<i64> = (0..heads).map(|head| (head / group) as i64).collect();
            let graph = graph
                .integers(&at("index"), &indices)
                .node("Gather", &[&rows, &at("index")], &all)
                .int("axis", 2);
            turn(graph, &all, &at("heads"))
        }
    }
}

fn masked_scores(graph: Graph, s: Sizes, masked: Masked) -> Graph {
    let rows = [1, 1, s.queries, s.keys];
    // Some keys of each row stay; none of the first where weights are zeroed.
    let kept = |rows: usize, first: usize| -> Vec<f32> {
        (0..rows * s.keys)
            .map(|i| {
                let stays = i % s.keys == 0 || i % 3 != 1;
                f32::from(u8::from(stays && i >= first * s.keys)) - 0.5
            })
            .collect()
    };
    let test = |graph: Graph, rows: usize, first: usize| {
        graph
            .floats("kept", &[1, 1, rows, s.keys], &kept(rows, first))
            .floats("none", &[1], &[0.0])
            // Not a constant, which would be folded.
            .node("Mul", &["one", "kept"], "kept_fed")
            .node("Greater", &["kept_fed", "none"], "keep")
    };
    match masked {
        Masked::No => graph.node("Identity", &["scaled"], "masked"),
        Masked::Added => graph
            .floats("bias", &rows, &graphs::wave(s.queries * s.keys, 5))
            .node("Add", &["scaled", "bias"], "masked"),
        Masked::AddedByHead => graph
            .floats(
                "bias",
                &[1, s.heads, s.queries, s.keys],
                &graphs::wave(s.heads * s.queries * s.keys, 5),
            )
            .node("Add", &["bias", "scaled"], "masked"),
        Masked::Kept => test(graph, s.queries, 0)
            .floats("low", &[], &[f32::MIN])
            .node("Where", &["keep", "scaled", "low"], "masked"),
        Masked::KeptRow => test(graph, 1, 0)
            .floats("low", &[], &[f32::NEG_INFINITY])
            .node("Where", &["keep", "scaled", "low"], "masked"),
        Masked::Dropped => test(graph, s.queries, 0)
            .floats("low", &[1, 1, 1, 1], &[-1e9])
            .node("Not", &["keep"], "drop")
            .node("Where", &["drop", "low", "scaled"], "masked"),
        Masked::Zeroed => test(graph, s.queries, 1)
            .floats("zero", &[], &[0.0])
            .floats("low", &[], &[f32::NEG_INFINITY])
            .node("Where", &["keep", "zero", "low"], "bias")
            .node("Add", &["scaled", "bias"], "masked"),
    }
}

fn attention(s: Sizes, repeat: Repeat, masked: Masked) -> Graph {
    attention_of(s, repeat, masked, |graph, tensor, to| {
        graph.node("Identity", &[tensor], to)
    })
}

/// `between` stands before the second operand of both products.
fn attention_of(
    s: Sizes,
    repeat: Repeat,
    masked: Masked,
    between: impl Fn(Graph, &str, &str) -> Graph,
) -> Graph {
    let graph = Graph::new(&[
        ("q", &[1, s.queries, s.heads * s.width]),
        ("k", &[1, s.keys, s.shared * s.width]),
        ("v", &[1, s.keys, s.shared * s.width]),
        ("any", &[1]),
    ]);
    // 1, but not to the optimiser.
    let graph = graph
        .node("Abs", &["any"], "size")
        .floats("more", &[1], &[1e-3])
        .node("Add", &["size", "more"], "positive")
        .node("Div", &["positive", "positive"], "one");
    let graph = graph
        .integers("q_split", &ints(&[1, s.queries, s.heads, s.width]))
        .node("Reshape", &["q", "q_split"], "q_rows")
        .node("Transpose", &["q_rows"], "q_heads")
        .ints("perm", &[0, 2, 1, 3]);
    let graph = repeated(graph, s, repeat, "k");
    let graph = repeated(graph, s, repeat, "v")
        .node("Transpose", &["k_heads"], "k_turned")
        .ints("perm", &[0, 1, 3, 2]);
    let graph = between(graph, "k_turned", "keys");
    let graph = between(graph, "v_heads", "values")
        .node("MatMul", &["q_heads", "keys"], "scores")
        .floats("scale", &[], &[0.3])
        .node("Mul", &["scores", "scale"], "scaled");
    let graph = masked_scores(graph, s, masked)
        .node("Softmax", &["masked"], "weights")
        .int("axis", -1);
    let (graph, weights) = match masked {
        Masked::Zeroed => (
            graph.node("IsNaN", &["weights"], "nan").node(
                "Where",
                &["nan", "zero", "weights"],
                "zeroed",
            ),
            "zeroed",
        ),
        _ => (graph, "weights"),
    };
    graph
        .node("MatMul", &[weights, "values"], "mixed")
        .node("Transpose", &["mixed"], "merged")
        .ints("perm", &[0, 2, 1, 3])
        .integers("join", &ints(&[1, s.queries, s.heads * s.width]))
        .node("Reshape", &["merged", "join"], "y")
}

#[test]
fn exported_attentions_are_one_op() {
    for s in SIZES {
        for repeat in [
            Repeat::ExpandRows,
            Repeat::ExpandHeads,
            Repeat::Tile,
            Repeat::Gather,
        ] {
            for masked in [
                Masked::No,
                Masked::Added,
                Masked::AddedByHead,
                Masked::Kept,
                Masked::Dropped,
                Masked::KeptRow,
                Masked::Zeroed,
            ] {
                let name = format!("{s:?} {repeat:?} {masked:?}");
                let (fused, fusion, plain) = attention(s, repeat, masked).run(&name);
                let found = fusion.fused.get("FusedAttention");
                assert_eq!(found, Some(&1), "{name}: {:?}", fusion.unmatched);
                for left in ["Tile", "Iff", "MultiBroadcastTo", "Gather"] {
                    let left = fusion.engine.contains_key(left) || fusion.small.contains_key(left);
                    let own_mask = masked == Masked::Zeroed;
                    assert!(
                        !left || own_mask,
                        "{name}: {:?} {:?}",
                        fusion.engine,
                        fusion.small
                    );
                }
                assert_close(&fused, &plain, &name);
            }
        }
    }
}

/// Keys can be read only where they are not repeated yet, values also behind that.
#[test]
fn what_is_quantised_behind_the_repetition_is_one_op() {
    let quantised = |graph: Graph, tensor: &str, to: &str| {
        let of = |suffix: &str| format!("{to}_{suffix}");
        graph
            .floats(&of("step"), &[], &[0.02])
            .zero_point(&of("zero"))
            .node(
                "QuantizeLinear",
                &[tensor, &of("step"), &of("zero")],
                &of("bytes"),
            )
            .node(
                "DequantizeLinear",
                &[&of("bytes"), &of("step"), &of("zero")],
                to,
            )
    };
    for s in &SIZES[1..3] {
        for repeat in [Repeat::ExpandRows, Repeat::ExpandHeads] {
            let name = format!("quantised {s:?} {repeat:?}");
            let graph = attention_of(*s, repeat, Masked::Added, quantised);
            let (fused, fusion, plain) = graph.run(&name);
            let found = fusion.fused.get("FusedAttention");
            assert_eq!(found, Some(&1), "{name}: {:?}", fusion.unmatched);
            assert!(!fusion.small.contains_key("MultiBroadcastTo"), "{name}");
            for (found, wanted) in fused.iter().zip(&plain) {
                // Half a step of the values, and what half a step of the keys makes of the weights.
                assert!((found - wanted).abs() < 0.05, "{name}: {found} {wanted}");
            }
        }
    }
}

/// Queries, keys and values out of one product: no copies of the parts.
#[test]
fn parts_of_one_tensor_are_read_in_place() {
    let (heads, width, rows) = (3_usize, 8_usize, 6_usize);
    let row = heads * width;
    let mut graph = Graph::new(&[("x", &[1, rows, 3 * row])]);
    for (at, name) in ["q", "k", "v"].into_iter().enumerate() {
        let of = |suffix: &str| format!("{name}_{suffix}");
        graph = graph
            .integers(&of("from"), &ints(&[at * row]))
            .integers(&of("to"), &ints(&[(at + 1) * row]))
            .integers(&of("axis"), &[2])
            .node("Slice", &["x", &of("from"), &of("to"), &of("axis")], name)
            .integers(&of("split"), &ints(&[1, rows, heads, width]))
            .node("Reshape", &[name, &of("split")], &of("rows"))
            .node("Transpose", &[&of("rows")], &of("heads"))
            .ints("perm", &[0, 2, 1, 3]);
    }
    let graph = graph
        .node("Transpose", &["k_heads"], "k_turned")
        .ints("perm", &[0, 1, 3, 2])
        .node("MatMul", &["q_heads", "k_turned"], "scores")
        .node("Softmax", &["scores"], "weights")
        .int("axis", -1)
        .node("MatMul", &["weights", "v_heads"], "mixed")
        .node("Transpose", &["mixed"], "merged")
        .ints("perm", &[0, 2, 1, 3])
        .integers("join", &ints(&[1, rows, row]))
        .node("Reshape", &["merged", "join"], "y");
    let (fused, fusion, plain) = graph.run("parts");
    assert_eq!(fusion.fused.get("FusedAttention"), Some(&1));
    assert_eq!(
        (fusion.engine.len(), fusion.small.contains_key("Slice")),
        (0, false)
    );
    assert_close(&fused, &plain, "parts");
}

/// What looks like an attention but is none keeps its value.
#[test]
fn a_mask_of_another_shape_is_not_fused() {
    let s = SIZES[0];
    let graph = Graph::new(&[("x", &[1, s.heads, s.queries, s.width])])
        .node("Transpose", &["x"], "turned")
        .ints("perm", &[0, 1, 3, 2])
        .node("MatMul", &["x", "turned"], "scores")
        .floats(
            "by_head",
            &[1, s.heads, 1, s.keys],
            &graphs::wave(s.heads * s.keys, 3),
        )
        .node("Add", &["scores", "by_head"], "masked")
        .node("Softmax", &["masked"], "weights")
        .int("axis", -1)
        .node("MatMul", &["weights", "x"], "mixed")
        .node("Transpose", &["mixed"], "merged")
        .ints("perm", &[0, 2, 1, 3])
        .integers("join", &ints(&[1, s.queries, s.heads * s.width]))
        .node("Reshape", &["merged", "join"], "y");
    let (fused, fusion, plain) = graph.run("by_head");
    assert_eq!(fusion.fused.get("FusedAttention"), None);
    assert_close(&fused, &plain, "by head");
}

/// Pictures of a batch, which share a mask.
fn batched(masked: bool, mask_of_pictures: bool) -> Graph {
    let (pictures, rows, heads, width) = (3, 7, 4, 8);
    let shape = [pictures, rows, heads * width];
    let mut graph = Graph::new(&[("q", &shape), ("k", &shape), ("v", &shape)])
        .integers("split", &ints(&[pictures, rows, heads, width]))
        .floats("scale", &[], &[0.3])
        .integers("join", &ints(&shape));
    for (name, perm) in [
        ("q", [0, 2, 1, 3]),
        ("k", [0, 2, 3, 1]),
        ("v", [0, 2, 1, 3]),
    ] {
        let (split, turned) = (format!("{name}_rows"), format!("{name}_heads"));
        graph = graph
            .node("Reshape", &[name, "split"], &split)
            .node("Transpose", &[&split], &turned)
            .ints("perm", &perm);
    }
    let mask_pictures = if mask_of_pictures { pictures } else { 1 };
    let mask = graphs::wave(mask_pictures * rows * rows, 3);
    let scores = if masked { "masked" } else { "scaled" };
    graph
        .floats("bias", &[mask_pictures, 1, rows, rows], &mask)
        .node("MatMul", &["q_heads", "k_heads"], "scores")
        .node("Mul", &["scores", "scale"], "scaled")
        .node("Add", &["scaled", "bias"], "masked")
        .node("Softmax", &[scores], "weights")
        .int("axis", -1)
        .node("MatMul", &["weights", "v_heads"], "mixed")
        .node("Transpose", &["mixed"], "merged")
        .ints("perm", &[0, 2, 1, 3])
        .node("Reshape", &["merged", "join"], "y")
}

#[test]
fn pictures_of_a_batch_are_attended_one_by_one() {
    for masked in [false, true] {
        let name = format!("batch, masked {masked}");
        let (fused, fusion, plain) = batched(masked, false).run(&name);
        let found = fusion.fused.get("FusedAttention");
        assert_eq!(found, Some(&1), "{name}: {:?}", fusion.unmatched);
        assert!(fusion.engine.is_empty(), "{name}: {:?}", fusion.engine);
        assert_close(&fused, &plain, &name);
    }
    let (fused, fusion, plain) = batched(true, true).run("a mask for each picture");
    assert!(fusion.fused.is_empty(), "{:?}", fusion.fused);
    assert_close(&fused, &plain, "a mask for each picture");
}
