//! Any bytes as an ONNX file: described, loaded and run, or refused in one line, without a panic.

use wink_engine::{Execution, OnnxElement, Source, Value, quiet_panics, run_once};

/// Panics where the file is neither run nor refused in one line.
pub fn check(bytes: &[u8]) {
    // libFuzzer ends the process in the panic hook, also for a panic of tract's that the engine turns into an error.
    quiet_panics();
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let file = folder.path().join("model.onnx");
    if std::fs::write(&file, bytes).is_err() {
        return;
    }
    let info = match Source::open(&file).and_then(|source| source.info()) {
        Ok(info) => info,
        Err(error) => return one_line(&error.to_string()),
    };
    let mut inputs = vec![];
    for input in &info.inputs {
        let lengths = input.shape.iter().map(|length| length.unwrap_or(1));
        let shape: Vec<usize> = lengths
            .map(|length| usize::try_from(length).unwrap_or(usize::MAX))
            .collect();
        let count = shape
            .iter()
            .try_fold(1_usize, |product, &length| product.checked_mul(length));
        let (Some(count), Some(element)) = (
            count.filter(|&count| count <= 1 << 16),
            OnnxElement::of_name(&input.element),
        ) else {
            return;
        };
        let values = (0..count).map(|at| (at % 7) as i128 - 2);
        inputs.push((input.name.clone(), Value::of_ints(element, &shape, values)));
    }
    if let Err(error) = run_once(&file, Execution::Fused, &inputs) {
        one_line(&error.to_string());
    }
}

fn one_line(message: &str) {
    assert!(!message.contains('\n'), "{message}");
    assert!(message.len() < 1000, "{message}");
}
