//! Transposed convolutions over one and two axes run without tract, and compute what tract computes.

mod graphs;

use graphs::{Graph, assert_close, wave};

/// Input behind the channels, kernel, strides, dilations, pads before and after, output padding.
type Case = (
    &'static [usize],
    &'static [usize],
    &'static [i64],
    &'static [i64],
    &'static [i64],
    &'static [i64],
);

const CASES: [Case; 7] = [
    (&[16], &[4], &[2], &[1], &[1, 1], &[0]),
    (&[9], &[3], &[1], &[2], &[0, 0], &[0]),
    (&[1], &[5], &[3], &[1], &[2, 0], &[2]),
    (&[5, 7], &[3, 2], &[2, 1], &[1, 1], &[1, 0, 0, 1], &[1, 0]),
    (&[4, 4], &[2, 2], &[2, 2], &[1, 1], &[0; 4], &[0, 0]),
    (&[3, 6], &[1, 1], &[1, 1], &[1, 1], &[0; 4], &[0, 0]),
    (&[4, 3], &[3, 3], &[2, 2], &[2, 1], &[2, 2, 2, 2], &[1, 1]),
];

#[test]
fn transposed_convolutions_run_without_tract() {
    for (input, kernel, strides, dilations, pads, more) in CASES {
        for (batch, channels, columns, bias) in [(1, 5, 18, true), (2, 3, 1, false)] {
            let name = format!("{input:?} {kernel:?} {strides:?} {dilations:?} {pads:?} {batch}");
            let shape = [&[batch, channels][..], input].concat();
            let weights = [&[channels, columns][..], kernel].concat();
            let count = weights.iter().product();
            let inputs: &[&str] = if bias { &["x", "w", "b"] } else { &["x", "w"] };
            let graph = Graph::new(&[("x", &shape)])
                .floats("w", &weights, &wave(count, 1))
                .floats("b", &[columns], &wave(columns, 2))
                .node("ConvTranspose", inputs, "c")
                .ints("strides", strides)
                .ints("dilations", dilations)
                .ints("pads", pads)
                .ints("output_padding", more)
                .node("Relu", &["c"], "y");
            let (found, fusion, wanted) = graph.run(&name);
            assert!(fusion.engine.is_empty(), "{name}: {:?}", fusion.engine);
            assert_eq!(fusion.fused.get("FusedLinearF32"), Some(&1), "{name}");
            assert_close(&found, &wanted, &name);
        }
    }
}
