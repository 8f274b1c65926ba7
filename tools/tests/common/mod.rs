//! What the tests of the tool share: running it, and reading what it wrote.
#![allow(dead_code)]

pub mod onnx;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use npyz::WriterBuilder;
use npyz::npz::NpzWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Runs `wink` in `dir`.
pub fn wink(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wink"))
        .current_dir(dir)
        .args(args)
        .output()
        .unwrap()
}

/// Runs `wink` and fails the test with its own words where it fails.
pub fn wink_ok(dir: &Path, args: &[&str]) -> String {
    let output = wink(dir, args);
    assert!(
        output.status.success(),
        "wink {args:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A whole parquet file.
pub fn read(path: &Path) -> RecordBatch {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// Names in a folder, hidden ones too.
pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = dir
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Writes word ids as an .npz file with one tensor of this name and number of places.
pub fn tokens(dir: &Path, file: &str, name: &str, places: usize, first: i64) {
    let mut archive = NpzWriter::create(dir.join(file)).unwrap();
    let array = archive.array(name, npyz::zip::write::FileOptions::default());
    let shape = [1, places as u64];
    let mut writer = array
        .unwrap()
        .default_dtype()
        .shape(&shape)
        .begin_nd()
        .unwrap();
    let words = [first, 40, 7, 90 + first];
    let filled = (0..places).map(|place| words.get(place).copied().unwrap_or(0));
    writer.extend(filled).unwrap();
    writer.finish().unwrap();
}
