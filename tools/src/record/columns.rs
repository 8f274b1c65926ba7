//! The columns of a dataset's data files: names, types, and an episode's rows as a batch.

use std::sync::Arc;

use anyhow::Result;
use arrow::array::{
    ArrayRef, BinaryArray, Float32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use parquet::schema::types::ColumnPath;

use crate::data::layout::{INDEX_COLUMNS, TIMESTAMP};

pub const STATE: &str = "observation.state";
pub const ACTION: &str = "action";
pub const CUBE: &str = "observation.cube_position";
/// Where the object is to be put: on the benchmark's table, the card that the instruction names.
pub const GOAL: &str = "observation.target_card_position";
pub const POSITION_NAMES: [&str; 3] = ["x", "y", "z"];

/// What a demonstration shows at one control step.
#[derive(Clone)]
pub struct Step {
    /// Each camera's frame as a PNG or JPEG file; none in a dataset without images.
    pub pictures: Vec<Vec<u8>>,
    /// What was measured of the arm before the action.
    pub state: Vec<f32>,
    /// What the demonstrator wanted.
    pub action: Vec<f32>,
    /// What a simulated world knows; `None` of a real one.
    pub truth: Option<Places>,
}

/// Where things are in the world, metres: truth, for auxiliary losses.
#[derive(Clone, Copy)]
pub struct Places {
    /// Centre of the cube, or of the object that the task is about.
    pub cube: [f32; 3],
    /// Centre of the card that the instruction names, or wherever else the object is to be put.
    pub goal: [f32; 3],
}

/// The columns that count: time in the episode, and frame, episode, dataset and task index.
pub struct RowIndex {
    pub timestamp: f32,
    pub indices: [i64; INDEX_COLUMNS.len()],
}

fn image_fields() -> Fields {
    vec![
        Field::new("bytes", DataType::Binary, true),
        Field::new("path", DataType::Utf8, true),
    ]
    .into()
}

pub fn image_column(camera: &str, part: &str) -> ColumnPath {
    ColumnPath::new(vec![camera.to_owned(), part.to_owned()])
}

/// The schema of the data files of a dataset with frames of these cameras, and with the truth of a simulated world.
pub fn data_schema(cameras: &[String], truth: bool) -> Schema {
    let floats = || DataType::List(Arc::new(Field::new("element", DataType::Float32, true)));
    let mut fields = Vec::new();
    for camera in cameras {
        fields.push(Field::new(camera, DataType::Struct(image_fields()), true));
    }
    let vectors = [STATE, ACTION, CUBE, GOAL].into_iter();
    let vectors = vectors.take(if truth { 4 } else { 2 });
    fields.extend(vectors.map(|name| Field::new(name, floats(), true)));
    fields.push(Field::new(TIMESTAMP, DataType::Float32, true));
    fields.extend(INDEX_COLUMNS.map(|name| Field::new(name, DataType::Int64, true)));
    Schema::new(fields)
}

/// One episode's rows of the data files, with the frames of so many cameras.
pub fn data_batch(
    schema: &Arc<Schema>,
    cameras: usize,
    steps: &[Step],
    rows: &[RowIndex],
) -> Result<RecordBatch> {
    fn lists<'a>(rows: impl Iterator<Item = &'a [f32]>) -> ArrayRef {
        let (mut values, mut lengths) = (Vec::new(), Vec::new());
        for row in rows {
            values.extend_from_slice(row);
            lengths.push(row.len());
        }
        Arc::new(ListArray::new(
            Arc::new(Field::new("element", DataType::Float32, true)),
            OffsetBuffer::from_lengths(lengths),
            Arc::new(Float32Array::from(values)),
            None,
        ))
    }
    let mut columns: Vec<ArrayRef> = Vec::new();
    for camera in 0..cameras {
        columns.push(Arc::new(images(camera, steps, rows)));
    }
    columns.push(lists(steps.iter().map(|step| &step.state[..])));
    columns.push(lists(steps.iter().map(|step| &step.action[..])));
    if schema.column_with_name(CUBE).is_some() {
        let places = || steps.iter().filter_map(|step| step.truth.as_ref());
        columns.push(lists(places().map(|places| &places.cube[..])));
        columns.push(lists(places().map(|places| &places.goal[..])));
    }
    columns.push(Arc::new(Float32Array::from_iter_values(
        rows.iter().map(|row| row.timestamp),
    )));
    for place in 0..INDEX_COLUMNS.len() {
        columns.push(Arc::new(Int64Array::from_iter_values(
            rows.iter().map(|row| row.indices[place]),
        )));
    }
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

fn images(camera: usize, steps: &[Step], rows: &[RowIndex]) -> StructArray {
    StructArray::new(
        image_fields(),
        vec![
            Arc::new(BinaryArray::from_iter(
                steps.iter().map(|step| step.pictures.get(camera)),
            )),
            Arc::new(StringArray::from_iter_values(rows.iter().zip(steps).map(
                |(row, step)| {
                    let jpeg = |picture: &Vec<u8>| picture.starts_with(&[0xff, 0xd8]);
                    let suffix = match step.pictures.get(camera).is_some_and(jpeg) {
                        true => "jpg",
                        false => "png",
                    };
                    format!("frame-{:06}.{suffix}", row.indices[0])
                },
            ))),
        ],
        None,
    )
}
