//! GELU in its tanh form, SiLU and the factor of a gated layer, as exporters write them, are done where the product ends.

mod graphs;

use graphs::{Graph, assert_close, wave};

/// A product, a GELU that other nodes may read into, and another product.
fn network(cube: &str, half_first: bool, other_reader: bool) -> Graph {
    let graph = Graph::new(&[("input", &[1, 9, 12])])
        .floats("w", &[12, 24], &wave(12 * 24, 1))
        .floats("two", &[], &[2.0])
        .floats("three", &[], &[3.0])
        .floats("kappa", &[], &[0.044_715])
        .floats("beta", &[], &[0.797_884_6])
        .floats("one", &[], &[1.0])
        .floats("half", &[], &[0.5])
        .node("MatMul", &["input", "w"], "x");
    let graph = match cube {
        "power" => graph.node("Pow", &["x", "three"], "cube"),
        "square" => {
            graph
                .node("Pow", &["x", "two"], "square")
                .node("Mul", &["square", "x"], "cube")
        }
        _ => graph
            .node("Mul", &["x", "x"], "square")
            .node("Mul", &["x", "square"], "cube"),
    };
    let graph = graph
        .node("Mul", &["kappa", "cube"], "part")
        .node("Add", &["x", "part"], "sum")
        .node("Mul", &["beta", "sum"], "inner")
        .node("Tanh", &["inner"], "tanh")
        .node("Add", &["one", "tanh"], "gate");
    let graph = match half_first {
        true => graph
            .node("Mul", &["half", "x"], "outer")
            .node("Mul", &["outer", "gate"], "gelu"),
        false => graph
            .node("Mul", &["x", "gate"], "outer")
            .node("Mul", &["half", "outer"], "gelu"),
    };
    match other_reader {
        true => graph.node("Add", &["gelu", "square"], "y"),
        false => graph.node("Identity", &["gelu"], "y"),
    }
}

#[test]
fn each_spelling_is_part_of_the_product() {
    for cube in ["power", "square", "product"] {
        for half_first in [false, true] {
            let name = format!("gelu {cube} {half_first}");
            let (fused, fusion, plain) = network(cube, half_first, false).run(&name);
            assert!(fusion.small.is_empty(), "{name}: {:?}", fusion.small);
            assert!(fusion.engine.is_empty(), "{name}: {:?}", fusion.engine);
            assert_close(&fused, &plain, &name);
        }
    }
}

#[test]
fn what_others_read_is_left_alone() {
    let (fused, fusion, plain) = network("product", false, true).run("square is read");
    assert!(fusion.small.contains_key("Tanh"), "{:?}", fusion.small);
    assert_close(&fused, &plain, "square is read");
}

/// A product and `x sigmoid(x)`, as a gated layer of a transformer has it; the product or the gate may have another reader.
fn silu(sigmoid_first: bool, read: Option<&str>) -> Graph {
    let operands = match sigmoid_first {
        true => ["gate", "x"],
        false => ["x", "gate"],
    };
    let graph = Graph::new(&[("input", &[1, 9, 12])])
        .floats("w", &[12, 24], &wave(12 * 24, 1))
        .node("MatMul", &["input", "w"], "x")
        .node("Sigmoid", &["x"], "gate")
        .node("Mul", &operands, "silu");
    match read {
        Some(other) => graph.node("Add", &["silu", other], "y"),
        None => graph.node("Identity", &["silu"], "y"),
    }
}

#[test]
fn silu_is_part_of_the_product() {
    for sigmoid_first in [false, true] {
        let name = format!("silu {sigmoid_first}");
        let (fused, fusion, plain) = silu(sigmoid_first, None).run(&name);
        assert!(fusion.small.is_empty(), "{name}: {:?}", fusion.small);
        assert_close(&fused, &plain, &name);
    }
    for read in ["x", "gate"] {
        let name = format!("silu, and {read} is read");
        let (fused, fusion, plain) = silu(false, Some(read)).run(&name);
        assert!(!fusion.small.is_empty(), "{name}: {:?}", fusion.small);
        assert_close(&fused, &plain, &name);
    }
}

/// `silu(x w) * (x v)`, the gate of a transformer's layer; the second product may have another reader.
fn gate_and_up(gate_first: bool, up_is_read: bool) -> Graph {
    let operands = match gate_first {
        true => ["silu", "up"],
        false => ["up", "silu"],
    };
    let graph = Graph::new(&[("input", &[1, 9, 12])])
        .floats("w", &[12, 24], &wave(12 * 24, 1))
        .floats("v", &[12, 24], &wave(12 * 24, 2))
        .node("MatMul", &["input", "w"], "x")
        .node("Sigmoid", &["x"], "gate")
        .node("Mul", &["x", "gate"], "silu")
        .node("MatMul", &["input", "v"], "up")
        .node("Mul", &operands, "gated");
    match up_is_read {
        true => graph.node("Add", &["gated", "up"], "y"),
        false => graph.node("Identity", &["gated"], "y"),
    }
}

#[test]
fn the_factor_of_a_gated_layer_is_part_of_the_product() {
    for gate_first in [false, true] {
        let name = format!("gate first: {gate_first}");
        let (fused, fusion, plain) = gate_and_up(gate_first, false).run(&name);
        assert!(fusion.small.is_empty(), "{name}: {:?}", fusion.small);
        assert_close(&fused, &plain, &name);
    }
    let (fused, fusion, plain) = gate_and_up(true, true).run("up is read");
    assert!(!fusion.small.is_empty(), "{:?}", fusion.small);
    assert_close(&fused, &plain, "up is read");
}
