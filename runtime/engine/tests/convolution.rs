//! Convolutions over one and two axes become one op with what follows them, and compute what tract computes.

mod graphs;

use graphs::{Graph, assert_close, wave};

/// Channels in and out, lengths of the input, of the kernel, strides, dilations, pads before and after.
struct Case {
    channels: [usize; 2],
    input: Vec<usize>,
    kernel: Vec<usize>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
    pads: Vec<i64>,
}

fn one(input: usize, kernel: usize, stride: i64, dilation: i64, pads: [i64; 2]) -> Case {
    Case {
        channels: [5, 18],
        input: vec![input],
        kernel: vec![kernel],
        strides: vec![stride],
        dilations: vec![dilation],
        pads: pads.to_vec(),
    }
}

fn graph(case: &Case, batch: usize) -> Graph {
    let [channels, columns] = case.channels;
    let shape = [&[batch, channels][..], &case.input].concat();
    let of_kernel = [&[columns, channels][..], &case.kernel].concat();
    let count = of_kernel.iter().product();
    Graph::new(&[("x", &shape)])
        .floats("w", &of_kernel, &wave(count, 1))
        .floats("b", &[columns], &wave(columns, 2))
        .node("Conv", &["x", "w", "b"], "c")
        .ints("strides", &case.strides)
        .ints("dilations", &case.dilations)
        .ints("pads", &case.pads)
        .node("Relu", &["c"], "y")
}

#[test]
fn convolutions_are_one_op() {
    let cases = [
        one(16, 5, 1, 1, [2, 2]),
        one(16, 3, 2, 1, [1, 1]),
        one(9, 3, 1, 2, [0, 3]),
        one(7, 1, 1, 1, [0, 0]),
        one(1, 3, 1, 1, [1, 1]),
        Case {
            channels: [3, 20],
            input: vec![9, 11],
            kernel: vec![3, 2],
            strides: vec![2, 1],
            dilations: vec![1, 2],
            pads: vec![1, 0, 0, 2],
        },
    ];
    for case in cases {
        for batch in [1, 3] {
            let (fused, fusion, plain) = graph(&case, batch).run("convolution");
            let name = format!("{:?} {:?}", case.input, case.kernel);
            assert_eq!(
                fusion.fused.get("FusedConvF32"),
                Some(&1),
                "{name}: {:?}",
                fusion.unmatched
            );
            assert!(
                !fusion.small.contains_key("Max"),
                "the activation is part of it"
            );
            assert_close(&fused, &plain, &name);
        }
    }
}

/// A residual block over one axis: two convolutions, the second with the block's input added.
#[test]
fn a_residual_is_added_in_the_same_pass() {
    let channels = 6;
    let kernel = [channels, channels, 3];
    let graph = Graph::new(&[("x", &[1, channels, 10])])
        .floats("w", &kernel, &wave(kernel.iter().product(), 1))
        .node("Conv", &["x", "w"], "c")
        .ints("pads", &[1, 1])
        .node("Relu", &["c"], "r")
        .floats("v", &kernel, &wave(kernel.iter().product(), 2))
        .node("Conv", &["r", "v"], "d")
        .ints("pads", &[1, 1])
        .node("Add", &["d", "x"], "y");
    let (fused, fusion, plain) = graph.run("residual");
    assert_eq!(fusion.fused.get("FusedConvF32"), Some(&2));
    assert!(!fusion.small.contains_key("Add"), "{:?}", fusion.small);
    assert_close(&fused, &plain, "a residual block");
}

/// Of 3 x 3 convolutions of many channels, with a residual and odd sizes; computed as written they are plain ones.
#[test]
fn many_channels_take_fewer_products() {
    let channels = 64;
    let kernel = [channels, channels, 3, 3];
    let count = kernel.iter().product();
    let graph = Graph::new(&[("x", &[2, channels, 15, 18])])
        .floats("w", &kernel, &wave(count, 1))
        .floats("b", &[channels], &wave(channels, 3))
        .node("Conv", &["x", "w", "b"], "c")
        .ints("pads", &[1, 1, 1, 1])
        .node("Relu", &["c"], "r")
        .floats("v", &kernel, &wave(count, 2))
        .node("Conv", &["r", "v"], "d")
        .ints("pads", &[1, 1, 1, 1])
        .node("Add", &["d", "x"], "e")
        .node("Relu", &["e"], "y");
    let (fused, fusion, plain) = graph.run("many_channels");
    assert_eq!(fusion.fused.get("FusedWinogradF32"), Some(&2));
    let kinds: Vec<_> = fusion.small.keys().collect();
    assert_eq!(kinds, ["MoveAxis"], "the rest is part of them");
    // Sums of thousands that cancel.
    let largest = plain
        .iter()
        .fold(0.0_f32, |largest, v| largest.max(v.abs()));
    for (found, wanted) in fused.iter().zip(&plain) {
        assert!((found - wanted).abs() < 2e-6 * largest, "{found} {wanted}");
    }
}
