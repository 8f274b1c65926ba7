//! Columns of a parquet file, with errors that name file, column and row.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Result;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchReader};
use arrow::compute::{CastOptions, cast_with_options, concat_batches};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Float32Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};

use crate::bad_input::{as_bad_input, bad_input};

/// Rows of one file.
const MOST_ROWS: i64 = 100_000_000;

/// A parquet file whose rows are not read yet.
pub struct Source {
    path: PathBuf,
    builder: ParquetRecordBatchReaderBuilder<File>,
}

impl Source {
    /// Opens a file and reads its metadata.
    pub fn open(path: &Path) -> Result<Self> {
        let open =
            || -> Result<_> { Ok(ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?) };
        let builder =
            open().map_err(|error| as_bad_input(error.context(path.display().to_string())))?;
        let source = Self {
            path: path.to_owned(),
            builder,
        };
        let rows = source.rows();
        if !(0..=MOST_ROWS).contains(&rows) {
            return Err(bad_input(format!(
                "{}: holds {rows} rows, at most {MOST_ROWS} are read",
                path.display()
            )));
        }
        Ok(source)
    }

    fn rows(&self) -> i64 {
        self.builder.metadata().file_metadata().num_rows()
    }

    /// A value of the file's own metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let values = self.builder.metadata().file_metadata().key_value_metadata();
        values?
            .iter()
            .find(|entry| entry.key == key)?
            .value
            .as_deref()
    }

    /// Names of the columns.
    pub fn columns(&self) -> Vec<String> {
        let fields = self.builder.schema().fields().iter();
        fields.map(|field| field.name().clone()).collect()
    }

    /// Keeps the columns `names` only. One that the file lacks is an error.
    pub fn select(mut self, names: &[&str]) -> Result<Self> {
        let has = self.columns();
        if let Some(missing) = names
            .iter()
            .find(|name| !has.iter().any(|has| has == *name))
        {
            return Err(bad_input(format!(
                "{}: no column `{missing}`; it holds {}",
                self.path.display(),
                has.join(", ")
            )));
        }
        // By place: the names of LeRobot's columns hold dots, which parquet takes for nesting.
        let schema = self.builder.parquet_schema();
        let fields = schema.root_schema().get_fields().iter().enumerate();
        let wanted = fields.filter(|(_, field)| names.contains(&field.name()));
        let mask = ProjectionMask::roots(schema, wanted.map(|(place, _)| place));
        self.builder = self.builder.with_projection(mask);
        Ok(self)
    }

    /// Reads the rows that are left, `batch` at a time.
    pub fn read(self, batch: usize) -> Result<Batches> {
        let reader = self
            .builder
            .with_batch_size(batch)
            .build()
            .map_err(|error| bad_input(format!("{}: {error}", self.path.display())))?;
        Ok(Batches {
            path: self.path,
            reader,
        })
    }

    /// Keeps the rows `from .. from + count`; a file that has fewer is an error.
    pub fn rows_from(mut self, from: usize, count: usize) -> Result<Self> {
        self.check_end(from.saturating_add(count))?;
        self.builder = self.builder.with_offset(from).with_limit(count);
        Ok(self)
    }

    /// Keeps the rows in `rows`, which ascend; a file that has fewer is an error.
    pub fn rows_at(mut self, rows: &[usize]) -> Result<Self> {
        let end = rows.last().map_or(0, |last| last.saturating_add(1));
        self.check_end(end)?;
        let ranges = rows.iter().map(|&row| row..row + 1);
        let total = usize::try_from(self.rows()).unwrap_or(0);
        let selection = RowSelection::from_consecutive_ranges(ranges, total);
        self.builder = self.builder.with_row_selection(selection);
        Ok(self)
    }

    fn check_end(&self, end: usize) -> Result<()> {
        let rows = usize::try_from(self.rows()).unwrap_or(0);
        if end > rows {
            return Err(bad_input(format!(
                "{}: ends after {rows} rows, the episode index speaks of {end}",
                self.path.display()
            )));
        }
        Ok(())
    }
}

/// Rows of a file, some at a time.
pub struct Batches {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
}

impl Batches {
    /// The next rows.
    pub fn batch(&mut self) -> Result<Option<RecordBatch>> {
        self.reader
            .next()
            .transpose()
            .map_err(|error| bad_input(format!("{}: {error}", self.path.display())))
    }

    /// All rows that are left.
    pub fn table(mut self) -> Result<Table> {
        let schema = self.reader.schema();
        let mut batches = Vec::new();
        while let Some(batch) = self.batch()? {
            batches.push(batch);
        }
        let rows = concat_batches(&schema, &batches)
            .map_err(|error| bad_input(format!("{}: {error}", self.path.display())))?;
        Ok(Table {
            path: self.path,
            rows,
        })
    }
}

/// Columns in memory.
pub struct Table {
    path: PathBuf,
    rows: RecordBatch,
}

impl Table {
    /// Reads the columns `names` of a file, or all of them.
    pub fn open(path: &Path, names: Option<&[&str]>) -> Result<Self> {
        let mut source = Source::open(path)?;
        if let Some(names) = names {
            source = source.select(names)?;
        }
        source.read(1024)?.table()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// A column without gaps, converted to `T` where that loses nothing.
    pub fn numbers<T: ArrowPrimitiveType>(&self, name: &str) -> Result<Vec<T::Native>> {
        let found = self.column(name)?.data_type();
        if T::DATA_TYPE.is_integer() && !found.is_integer() {
            return Err(self.wrong(&format!(
                "column `{name}` holds {found} instead of integers"
            )));
        }
        let column = self.cast(name, &T::DATA_TYPE)?;
        self.check_whole(name, &column)?;
        Ok(column.as_primitive::<T>().values().to_vec())
    }

    /// A column of texts without gaps.
    pub fn texts(&self, name: &str) -> Result<Vec<String>> {
        let column = self.cast(name, &DataType::Utf8)?;
        self.check_whole(name, &column)?;
        let texts = column.as_string::<i32>().iter().flatten();
        Ok(texts.map(str::to_owned).collect())
    }

    /// A column of `size` finite numbers a row, row after row: lists of any kind, or plain numbers where `size` is 1.
    pub fn vectors(&self, name: &str, size: usize) -> Result<Vec<f32>> {
        let column = self.column(name)?;
        let list = matches!(
            column.data_type(),
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
        );
        let element = Field::new("element", DataType::Float32, true);
        let flat = if list {
            let lists = self.cast(name, &DataType::List(element.into()))?;
            self.check_whole(name, &lists)?;
            let lists = lists.as_list::<i32>();
            for (row, ends) in lists.value_offsets().windows(2).enumerate() {
                let found = ends[1] - ends[0];
                if usize::try_from(found) != Ok(size) {
                    return Err(self.wrong_at(
                        name,
                        row,
                        &format!("has {found} values instead of {size}"),
                    ));
                }
            }
            let start = lists.value_offsets().first().copied().unwrap_or(0) as usize;
            lists.values().slice(start, size * lists.len())
        } else if size == 1 {
            self.cast(name, &DataType::Float32)?
        } else {
            return Err(self.wrong(&format!(
                "column `{name}` holds {} instead of lists of {size} numbers",
                column.data_type()
            )));
        };
        let flat = flat.as_primitive::<Float32Type>();
        let bad =
            (0..flat.len()).find(|&place| flat.is_null(place) || !flat.value(place).is_finite());
        if let Some(place) = bad {
            let what = if flat.is_null(place) {
                "empty"
            } else {
                "not finite"
            };
            return Err(self.wrong_at(
                name,
                place / size.max(1),
                &format!("value {} is {what}", place % size.max(1)),
            ));
        }
        Ok(flat.values().to_vec())
    }

    fn column(&self, name: &str) -> Result<&ArrayRef> {
        self.rows.column_by_name(name).ok_or_else(|| {
            let schema = self.rows.schema();
            let names: Vec<_> = schema.fields().iter().map(|f| f.name().clone()).collect();
            self.wrong(&format!(
                "no column `{name}`; it holds {}",
                names.join(", ")
            ))
        })
    }

    fn cast(&self, name: &str, to: &DataType) -> Result<ArrayRef> {
        let strict = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        cast_with_options(self.column(name)?, to, &strict)
            .map_err(|error| self.wrong(&format!("column `{name}`: {error}")))
    }

    fn check_whole(&self, name: &str, column: &ArrayRef) -> Result<()> {
        match (0..column.len()).find(|&row| column.is_null(row)) {
            Some(row) => Err(self.wrong_at(name, row, "is empty")),
            None => Ok(()),
        }
    }

    /// An error about this file.
    pub fn wrong(&self, what: &str) -> anyhow::Error {
        bad_input(format!("{}: {what}", self.path.display()))
    }

    /// An error about one row, counted from the first that was read.
    pub fn wrong_at(&self, column: &str, row: usize, what: &str) -> anyhow::Error {
        self.wrong(&format!("column `{column}`, row {row}: {what}"))
    }
}
