//! Pictures in the data files: PNG or JPEG, as bytes or as a path to a file.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::Result;
use arrow::array::{Array, AsArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use image::{ColorType, DynamicImage, ImageFormat, ImageReader, Limits};
use wink_runtime::camera::Frame;

use super::info::is_below;
use super::table::{Batches, Source};
use crate::bad_input::bad_input;

/// Rows in memory at a time.
const BATCH: usize = 8;
/// Largest picture, as a file and decoded.
const MOST_BYTES: u64 = 256 << 20;
const MOST_SIDE: u32 = 8192;

/// Pictures of chosen rows.
pub struct Images {
    root: PathBuf,
    file: PathBuf,
    column: String,
    rows: Vec<usize>,
    /// How many of `rows` were read.
    read: usize,
    batches: Batches,
    batch: Option<StructArray>,
    /// Place in `batch`.
    place: usize,
}

impl Images {
    /// The column `column` of the rows `rows`, which ascend.
    pub fn open(root: &Path, file: &Path, column: &str, rows: Vec<usize>) -> Result<Self> {
        let source = Source::open(file)?.select(&[column])?.rows_at(&rows)?;
        Ok(Self {
            root: root.to_owned(),
            file: file.to_owned(),
            column: column.to_owned(),
            rows,
            read: 0,
            batches: source.read(BATCH)?,
            batch: None,
            place: 0,
        })
    }

    /// Decodes the next one.
    pub fn next(&mut self, frame: &mut Frame) -> Result<()> {
        let bytes = self.bytes()?;
        let picture = decode(&bytes).map_err(|what| self.wrong(&what))?;
        frame.resize(picture.width(), picture.height());
        frame.rgb.copy_from_slice(picture.as_bytes());
        self.read += 1;
        self.place += 1;
        Ok(())
    }

    /// The file of the next picture.
    fn bytes(&mut self) -> Result<Vec<u8>> {
        if self
            .batch
            .as_ref()
            .is_none_or(|batch| self.place >= batch.len())
        {
            let Some(rows) = self.batches.batch()? else {
                return Err(self.wrong("there are no more rows"));
            };
            let column = rows.column(0);
            let Some(pictures) = column.as_struct_opt() else {
                return Err(self.wrong(&format!(
                    "holds {} instead of pictures (a struct of bytes and path)",
                    column.data_type()
                )));
            };
            self.batch = Some(pictures.clone());
            self.place = 0;
        }
        let part = |name: &str, as_type: &DataType| {
            let column = self.batch.as_ref()?.column_by_name(name)?;
            let column = cast(&column.slice(self.place, 1), as_type).ok()?;
            (!column.is_null(0)).then_some(column)
        };
        if let Some(bytes) = part("bytes", &DataType::Binary) {
            return Ok(bytes.as_binary::<i32>().value(0).to_vec());
        }
        let Some(path) = part("path", &DataType::Utf8) else {
            return Err(self.wrong("holds neither bytes nor a path"));
        };
        let path = Path::new(path.as_string::<i32>().value(0));
        if !is_below(path) {
            let what = format!("path {} leaves the data set's folder", path.display());
            return Err(self.wrong(&what));
        }
        let path = self.root.join(path);
        let size = fs::metadata(&path).map(|file| file.len());
        match size {
            Ok(size) if size > MOST_BYTES => {
                Err(self.wrong(&format!("{}: is too large", path.display())))
            }
            _ => {
                fs::read(&path).map_err(|error| self.wrong(&format!("{}: {error}", path.display())))
            }
        }
    }

    fn wrong(&self, what: &str) -> anyhow::Error {
        let row = self.rows.get(self.read).copied().unwrap_or(0);
        bad_input(format!(
            "{}: column `{}`, row {row}: {what}",
            self.file.display(),
            self.column
        ))
    }
}

/// Decodes an 8-bit picture of red, green and blue.
fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let wrong = |error: image::ImageError| format!("is not a PNG or JPEG picture: {error}");
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        return Err("is neither a PNG nor a JPEG picture".to_owned());
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_SIDE);
    limits.max_image_height = Some(MOST_SIDE);
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let picture = reader.decode().map_err(wrong)?;
    if picture.color() != ColorType::Rgb8 {
        let found = picture.color();
        return Err(format!("is of {found:?}, not of 8-bit red, green and blue"));
    }
    Ok(picture)
}
