//! `episodes.parquet`: one row per episode, no times in it, so that two runs of the same seeds write the same bytes.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::episode::{CardName, Episode};

/// Writes the rows in the order of `episodes`.
pub fn write(path: &Path, episodes: &[Episode]) -> Result<()> {
    let batch = batch(episodes)?;
    let told = || format!("writing {}", path.display());
    let options = ArrowWriterOptions::new()
        .with_properties(small())
        .with_skip_arrow_metadata(true);
    let file = File::create(path).with_context(told)?;
    let mut writer = ArrowWriter::try_new_with_options(file, batch.schema(), options)?;
    writer.write(&batch)?;
    writer.close().with_context(told)?;
    Ok(())
}

/// Reports are kept by the dozen: columns are encoded by what is in them, and statistics of a single row group are left out.
fn small() -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_created_by(concat!("wink ", env!("CARGO_PKG_VERSION")).to_owned());
    for (column, encoding) in [
        ("episode", Encoding::DELTA_BINARY_PACKED),
        ("seed", Encoding::DELTA_BINARY_PACKED),
        ("cube_x_m", Encoding::BYTE_STREAM_SPLIT),
        ("cube_y_m", Encoding::BYTE_STREAM_SPLIT),
        ("cube_z_m", Encoding::BYTE_STREAM_SPLIT),
        ("state_hash", Encoding::PLAIN),
    ] {
        builder = builder
            .set_column_dictionary_enabled(column.into(), false)
            .set_column_encoding(column.into(), encoding);
    }
    builder.build()
}

fn batch(episodes: &[Episode]) -> Result<RecordBatch> {
    let text = |value: &dyn Fn(&Episode) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(episodes.iter().map(value)))
    };
    let flag = |value: &dyn Fn(&Episode) -> Option<bool>| -> ArrayRef {
        Arc::new(episodes.iter().map(value).collect::<BooleanArray>())
    };
    let int = |value: &dyn Fn(&Episode) -> Option<usize>| -> ArrayRef {
        Arc::new(
            episodes
                .iter()
                .map(|episode| value(episode).map(|value| value as i64))
                .collect::<Int64Array>(),
        )
    };
    let metres = |axis: usize| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(
            episodes.iter().map(|episode| episode.cube[axis]),
        ))
    };
    let cards = |part: &dyn Fn(&CardName) -> &str| -> ArrayRef {
        Arc::new(ListArray::new(
            Arc::new(Field::new("element", DataType::Utf8, true)),
            OffsetBuffer::from_lengths(episodes.iter().map(|episode| episode.cards.len())),
            Arc::new(StringArray::from_iter_values(
                episodes.iter().flat_map(|episode| &episode.cards).map(part),
            )),
            None,
        ))
    };
    let label = |card: usize, episode: &Episode| {
        episode
            .cards
            .get(card)
            .map(|card| card.label.clone())
            .unwrap_or_default()
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "split",
            text(&|episode| episode.group.split.name().to_owned()),
        ),
        (
            "control",
            text(&|episode| episode.group.control.name().to_owned()),
        ),
        ("episode", int(&|episode| Some(episode.index))),
        (
            "seed",
            Arc::new(UInt64Array::from_iter_values(
                episodes.iter().map(|episode| episode.seed),
            )),
        ),
        ("cards", cards(&|card| &card.label)),
        ("card_codes", cards(&|card| &card.code)),
        ("target", int(&|episode| Some(episode.target))),
        (
            "target_label",
            text(&|episode| label(episode.target, episode)),
        ),
        ("judged", int(&|episode| Some(episode.judged))),
        (
            "judged_label",
            text(&|episode| label(episode.judged, episode)),
        ),
        ("instruction", text(&|episode| episode.instruction.clone())),
        ("ever_grasped", flag(&|episode| Some(episode.ever_grasped))),
        ("placed_on", int(&|episode| episode.placed_on)),
        ("executed", flag(&|episode| Some(episode.executed()))),
        (
            "recognised",
            flag(&|episode| episode.executed().then_some(episode.success)),
        ),
        ("success", flag(&|episode| Some(episode.success))),
        (
            "failure",
            Arc::new(
                episodes
                    .iter()
                    .map(|episode| episode.failure.map(|kind| kind.name()))
                    .collect::<StringArray>(),
            ),
        ),
        (
            "held",
            Arc::new(
                episodes
                    .iter()
                    .map(|episode| episode.held.as_deref())
                    .collect::<StringArray>(),
            ),
        ),
        ("steps", int(&|episode| Some(episode.steps))),
        ("cube_x_m", metres(0)),
        ("cube_y_m", metres(1)),
        ("cube_z_m", metres(2)),
        (
            "state_hash",
            Arc::new(UInt64Array::from_iter_values(
                episodes.iter().map(|episode| episode.state_hash),
            )),
        ),
    ];
    Ok(RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )?)
}
