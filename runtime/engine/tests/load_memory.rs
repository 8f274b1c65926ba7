//! Loading takes little more memory than the file: neither its bytes, nor tract's tensors, nor the packed weights lie beside each
//! other. Alone in its binary, since it counts every allocation.

mod onnx;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use onnx::{bytes, node, value};
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;
use wink_engine::{Element, Execution, Feed, Graph, Rate, Source, TensorSpec};

const WIDTH: usize = 1024;
const LAYERS: usize = 24;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, with the bytes that are held and the most that ever were.
struct Measured;

// SAFETY: every call is handed on to the system's allocator unchanged; counting touches no memory of it.
unsafe impl GlobalAlloc for Measured {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::SeqCst) + layout.size();
        PEAK.fetch_max(now, Ordering::SeqCst);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The system moves pages instead of copying them.
        let now = NOW.fetch_add(size, Ordering::SeqCst) + size - layout.size();
        NOW.fetch_sub(layout.size(), Ordering::SeqCst);
        PEAK.fetch_max(now, Ordering::SeqCst);
        // SAFETY: the caller keeps to the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Measured = Measured;

#[test]
fn weights_lie_in_memory_once() {
    let shape = [WIDTH as i64; 2];
    let names: Vec<[String; 3]> = (0..LAYERS)
        .map(|layer| ["w", "p", "y"].map(|name| format!("{name}{layer}")))
        .collect();
    let mut nodes = vec![];
    let mut input = "x";
    for [weight, product, output] in &names {
        nodes.push(node("MatMul", &[input, weight], product));
        nodes.push(node("Relu", &[product], output));
        input = output;
    }
    let weights = names.iter().zip(1..).map(|([weight, ..], layer)| {
        let values = (0..WIDTH * WIDTH).map(|at| ((at * layer) % 101) as f32 - 50.0);
        TensorProto {
            name: weight.clone(),
            data_type: DataType::Float as i32,
            dims: shape.to_vec(),
            raw_data: values.flat_map(f32::to_le_bytes).collect(),
            ..TensorProto::default()
        }
    });
    let row = [1, WIDTH as i64];
    let bytes = bytes(
        nodes,
        vec![value("x", DataType::Float, &row)],
        vec![value(input, DataType::Float, &row)],
        weights.collect(),
    );
    let len = bytes.len();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.onnx");
    std::fs::write(&path, &bytes).unwrap();
    let parts = || {
        let parts = bytes.chunks(1 << 20).map(<[u8]>::to_vec).collect();
        Source::of_parts(path.clone(), parts, Duration::ZERO)
    };
    let sources: [(&dyn Fn() -> Source, usize); 2] =
        [(&|| Source::open(&path).unwrap(), 0), (&parts, len)];
    for (source, held) in sources {
        load(source(), input, len, held);
    }
}

/// `held` bytes of the source are in memory before.
fn load(source: Source, output: &str, file: usize, held: usize) {
    let feed = Feed {
        tensor: "x".to_owned(),
        spec: TensorSpec::new(Element::F32, &[1, WIDTH]),
        rate: Rate(0),
    };
    let before = NOW.load(Ordering::SeqCst) - held;
    PEAK.store(0, Ordering::SeqCst);
    let graph = Graph::load(source, Execution::Fused, vec![feed], &[output.to_owned()])
        .expect("a small graph");
    let peak = PEAK.load(Ordering::SeqCst) - before;
    let kept = NOW.load(Ordering::SeqCst) - before;
    let fusion = graph.fusion().expect("a report");
    if fusion.kernels != "scalar" {
        assert_eq!(fusion.fused.values().sum::<usize>(), LAYERS, "{fusion:?}");
        assert!(peak * 10 < file * 13, "{peak} bytes for a file of {file}");
        assert!(kept * 10 < file * 11, "{kept} bytes for a file of {file}");
    }
}
