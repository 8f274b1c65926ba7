//! `episodes.parquet`, as `wink eval` writes it.

use std::path::Path;

use anyhow::{Context, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::files::{open, told};
use crate::bad_input::bad_input;

/// No report comes near this.
const MAX_ROWS: i64 = 1_000_000;

/// What came of one episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where the cards were drawn from.
    pub split: String,
    /// The split, or the control's name.
    pub group: String,
    /// Place in its group.
    pub index: i64,
    /// What was on the table and what was said: the same for two policies that were given the same episode.
    pub given: Given,
    /// The word by which the episode is judged.
    pub label: String,
    /// The cube stands on some card.
    pub executed: bool,
    /// It stands on the named one.
    pub success: bool,
}

/// An episode before anything moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Seed of the scene.
    pub seed: u64,
    /// Code points of the three cards.
    pub cards: Vec<String>,
    /// The words.
    pub instruction: String,
}

/// All episodes of a report.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let file = open(path)?;
    let rows = || -> Result<Vec<Row>> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let count = reader.metadata().file_metadata().num_rows();
        if !(0..=MAX_ROWS).contains(&count) {
            return Err(bad_input(format!("{count} rows")));
        }
        let mut rows = Vec::new();
        for batch in reader.build()? {
            append(&batch?, &mut rows)?;
        }
        Ok(rows)
    };
    rows().map_err(|error| told(path, error))
}

fn append(batch: &RecordBatch, rows: &mut Vec<Row>) -> Result<()> {
    let split = column(batch, "split", &DataType::Utf8)?.as_string::<i32>();
    let control = column(batch, "control", &DataType::Utf8)?.as_string::<i32>();
    let index = column(batch, "episode", &DataType::Int64)?.as_primitive::<Int64Type>();
    let seed = column(batch, "seed", &DataType::UInt64)?.as_primitive::<UInt64Type>();
    let instruction = column(batch, "instruction", &DataType::Utf8)?.as_string::<i32>();
    let label = column(batch, "judged_label", &DataType::Utf8)?.as_string::<i32>();
    let executed = column(batch, "executed", &DataType::Boolean)?.as_boolean();
    let success = column(batch, "success", &DataType::Boolean)?.as_boolean();
    let cards = batch
        .column_by_name("card_codes")
        .and_then(|column| column.as_list_opt::<i32>())
        .context("no column `card_codes` of lists")?;
    for row in 0..batch.num_rows() {
        let codes = cards.value(row);
        let codes = codes
            .as_string_opt::<i32>()
            .context("column `card_codes` holds no text")?;
        if success.value(row) && !executed.value(row) {
            return Err(bad_input(format!(
                "row {row} succeeded without being executed"
            )));
        }
        rows.push(Row {
            split: split.value(row).to_owned(),
            group: match control.value(row) {
                "none" => split.value(row).to_owned(),
                control => control.to_owned(),
            },
            index: index.value(row),
            given: Given {
                seed: seed.value(row),
                cards: codes.iter().flatten().map(str::to_owned).collect(),
                instruction: instruction.value(row).to_owned(),
            },
            label: label.value(row).to_owned(),
            executed: executed.value(row),
            success: success.value(row),
        });
    }
    Ok(())
}

/// A column without gaps.
fn column<'a>(batch: &'a RecordBatch, name: &str, kind: &DataType) -> Result<&'a ArrayRef> {
    let column = batch
        .column_by_name(name)
        .with_context(|| format!("no column `{name}`"))?;
    if column.data_type() != kind {
        return Err(bad_input(format!(
            "column `{name}` is {}, not {kind}",
            column.data_type()
        )));
    }
    if column.null_count() > 0 {
        return Err(bad_input(format!("column `{name}` has gaps")));
    }
    Ok(column)
}
