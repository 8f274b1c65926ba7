//! Pictures of one camera in one episode, one after the other.

use std::path::{Path, PathBuf};

use anyhow::Result;
use wink_runtime::camera::Frame;

use super::images::Images;
use super::video::Video;
use crate::bad_input::bad_input;

/// Pictures that are decoded when they are asked for.
pub struct Pictures {
    file: PathBuf,
    from: From,
    /// Width and height that `meta/info.json` gives.
    size: Option<(u32, u32)>,
}

enum From {
    Images(Box<Images>),
    Video(Video),
}

impl Pictures {
    /// Pictures in the rows `rows` of a data file.
    pub(super) fn images(
        root: &Path,
        file: &Path,
        column: &str,
        rows: Vec<usize>,
        size: Option<(u32, u32)>,
    ) -> Result<Self> {
        Ok(Self {
            file: file.to_owned(),
            from: From::Images(Box::new(Images::open(root, file, column, rows)?)),
            size,
        })
    }

    /// The frames `at`, counted from `from_s` on, of a video.
    pub(super) fn video(
        file: &Path,
        from_s: f64,
        fps: f64,
        at: &[usize],
        size: Option<(u32, u32)>,
    ) -> Result<Self> {
        Ok(Self {
            file: file.to_owned(),
            from: From::Video(Video::open(file, from_s, fps, at)?),
            size,
        })
    }

    /// Decodes the next of the pictures that were asked for into `frame`.
    ///
    /// # Errors
    /// When there is none, it cannot be decoded, or it is not of the size that `meta/info.json` gives.
    pub fn next(&mut self, frame: &mut Frame) -> Result<()> {
        match &mut self.from {
            From::Images(images) => images.next(frame)?,
            From::Video(video) => video.next(frame)?,
        }
        match self.size {
            Some(size) if size != (frame.width, frame.height) => Err(bad_input(format!(
                "{}: a picture has {} x {} pixels, meta/info.json says {} x {}",
                self.file.display(),
                frame.width,
                frame.height,
                size.0,
                size.1
            ))),
            _ => Ok(()),
        }
    }
}
