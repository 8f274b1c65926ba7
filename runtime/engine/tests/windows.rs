//! The largest value of windows is taken without tract, between convolutions without a copy, and is what tract computes.

mod graphs;

use graphs::{Graph, assert_close, wave};

/// Convolution, pool and convolution over a batch of pictures.
fn network(kernel: i64, strides: [i64; 2], dilations: [i64; 2], pads: [i64; 4]) -> Graph {
    Graph::new(&[("x", &[2, 3, 11, 13])])
        .floats("first", &[20, 3, 3, 3], &wave(20 * 27, 1))
        .floats("second", &[7, 20, 1, 1], &wave(7 * 20, 2))
        .node("Conv", &["x", "first"], "wide")
        .ints("pads", &[1, 1, 1, 1])
        .node("Relu", &["wide"], "positive")
        .node("MaxPool", &["positive"], "large")
        .ints("kernel_shape", &[kernel, kernel])
        .ints("strides", &strides)
        .ints("dilations", &dilations)
        .ints("pads", &pads)
        .node("Conv", &["large", "second"], "y")
}

#[test]
fn a_pool_between_convolutions_needs_no_tract_and_no_copy() {
    for (kernel, strides, dilations, pads) in [
        (3, [2, 2], [1, 1], [1, 1, 1, 1]),
        (2, [2, 1], [1, 1], [0, 0, 0, 0]),
        (3, [1, 2], [2, 1], [1, 0, 0, 1]),
    ] {
        let name = format!("pool {kernel} {strides:?} {dilations:?} {pads:?}");
        let (fused, fusion, plain) = network(kernel, strides, dilations, pads).run(&name);
        assert!(fusion.engine.is_empty(), "{name}: {:?}", fusion.engine);
        assert_eq!(fusion.small.get("MaxPool"), Some(&1), "{name}");
        // Channels go last once and first again once.
        assert_eq!(fusion.small.get("MoveAxis"), Some(&2), "{name}");
        assert_close(&fused, &plain, &name);
    }
}

#[test]
fn a_pool_over_one_axis() {
    let graph = Graph::new(&[("x", &[1, 5, 17])])
        .node("MaxPool", &["x"], "y")
        .ints("kernel_shape", &[4])
        .ints("strides", &[3])
        .ints("pads", &[2, 1]);
    let (fused, fusion, plain) = graph.run("one axis");
    assert!(fusion.engine.is_empty(), "{:?}", fusion.engine);
    assert_eq!(fused, plain);
}
