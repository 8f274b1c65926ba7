//! A small LeRobotDataset v3, written by hand: vectors of any names, pictures as PNG, as JPEG beside the data, or as video.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, FixedSizeListArray, Float32Array, Float64Array, Int64Array, RecordBatch,
    StringArray, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use image::{ImageFormat, RgbImage};
use parquet::arrow::ArrowWriter;
use serde_json::{Map, Value, json};

/// How a camera's pictures are stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// PNG files in the data files.
    Png,
    /// PNG files beside the data files, which name them.
    Path,
    /// H.264 without loss.
    Video,
}

/// What a data set consists of.
pub struct Fixture {
    pub fps: u32,
    /// Names of the values of each vector.
    pub vectors: Vec<(&'static str, Vec<&'static str>)>,
    pub cameras: Vec<(&'static str, Storage)>,
    pub episodes: Vec<Recording>,
    /// Episodes in each data and video file.
    pub per_file: usize,
}

/// One episode.
#[derive(Default)]
pub struct Recording {
    pub task: &'static str,
    /// A row for each frame.
    pub vectors: BTreeMap<&'static str, Vec<Vec<f32>>>,
    pub pictures: BTreeMap<&'static str, Vec<RgbImage>>,
}

impl Recording {
    fn length(&self) -> usize {
        self.vectors.values().next().map_or(0, Vec::len)
    }
}

/// Whether the program that reads videos is there. Where `CI` is set it has to be.
pub fn has_ffmpeg() -> bool {
    let found = Command::new("ffmpeg")
        .arg("-version")
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(
        found || std::env::var_os("CI").is_none(),
        "ffmpeg is not installed, and CI is set"
    );
    found
}

impl Fixture {
    /// Writes the data set into the folder `root`.
    pub fn write(&self, root: &Path) {
        let mut start = 0;
        for (file, episodes) in self.episodes.chunks(self.per_file).enumerate() {
            self.data(root, file, start, episodes);
            for (camera, _) in self.of(Storage::Video) {
                let path = root.join(format!("videos/{camera}/chunk-000/file-{file:03}.mp4"));
                self.video(&path, camera, episodes);
            }
            start += episodes.iter().map(Recording::length).sum::<usize>();
        }
        self.index(root);
        let tasks: Vec<&str> = self.tasks();
        table(
            &root.join("meta/tasks.parquet"),
            vec![
                ("task_index".to_owned(), ints(0..tasks.len())),
                (
                    "__index_level_0__".to_owned(),
                    Arc::new(StringArray::from(tasks)) as _,
                ),
            ],
        );
        let info = serde_json::to_string_pretty(&self.info()).unwrap();
        fs::write(root.join("meta/info.json"), info).unwrap();
    }

    fn of(&self, storage: Storage) -> impl Iterator<Item = &(&'static str, Storage)> {
        self.cameras.iter().filter(move |(_, s)| *s == storage)
    }

    fn tasks(&self) -> Vec<&'static str> {
        let mut tasks: Vec<&str> = self.episodes.iter().map(|e| e.task).collect();
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }

    fn info(&self) -> Value {
        let mut features = Map::new();
        for (name, names) in &self.vectors {
            let vector = json!({"dtype": "float32", "shape": [names.len()], "names": names});
            features.insert((*name).to_owned(), vector);
        }
        for (name, storage) in &self.cameras {
            let (width, height) = self.episodes[0].pictures[name][0].dimensions();
            let dtype = match storage {
                Storage::Video => "video",
                Storage::Png | Storage::Path => "image",
            };
            let names = ["height", "width", "channels"];
            let camera = json!({"dtype": dtype, "shape": [height, width, 3], "names": names});
            features.insert((*name).to_owned(), camera);
        }
        for name in ["frame_index", "episode_index", "index", "task_index"] {
            let count = json!({"dtype": "int64", "shape": [1], "names": null});
            features.insert(name.to_owned(), count);
        }
        json!({
            "codebase_version": "v3.0",
            "robot_type": "test",
            "total_episodes": self.episodes.len(),
            "total_frames": self.episodes.iter().map(Recording::length).sum::<usize>(),
            "total_tasks": self.tasks().len(),
            "fps": self.fps,
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
            "features": features,
        })
    }

    fn index(&self, root: &Path) {
        let lengths: Vec<usize> = self.episodes.iter().map(Recording::length).collect();
        let count = lengths.len();
        let from: Vec<usize> = (0..count).map(|e| lengths[..e].iter().sum()).collect();
        let mut columns = vec![
            ("episode_index".to_owned(), ints(0..count)),
            ("length".to_owned(), ints(lengths.clone())),
            ("data/chunk_index".to_owned(), ints(vec![0; count])),
            (
                "data/file_index".to_owned(),
                ints((0..count).map(|e| e / self.per_file)),
            ),
            ("dataset_from_index".to_owned(), ints(from.clone())),
            (
                "dataset_to_index".to_owned(),
                ints((0..count).map(|e| from[e] + lengths[e])),
            ),
        ];
        for (camera, _) in self.of(Storage::Video) {
            let column = |name: &str| format!("videos/{camera}/{name}");
            let start = |e: usize| from[e] - from[e / self.per_file * self.per_file];
            let seconds = |frames: usize| frames as f64 / f64::from(self.fps);
            columns.extend([
                (column("chunk_index"), ints(vec![0; count])),
                (
                    column("file_index"),
                    ints((0..count).map(|e| e / self.per_file)),
                ),
                (
                    column("from_timestamp"),
                    Arc::new(Float64Array::from_iter_values(
                        (0..count).map(|e| seconds(start(e))),
                    )) as _,
                ),
                (
                    column("to_timestamp"),
                    Arc::new(Float64Array::from_iter_values(
                        (0..count).map(|e| seconds(start(e) + lengths[e])),
                    )) as _,
                ),
            ]);
        }
        let path = root.join("meta/episodes/chunk-000/file-000.parquet");
        table(&path, columns);
    }

    fn data(&self, root: &Path, file: usize, start: usize, episodes: &[Recording]) {
        let first = file * self.per_file;
        let frames = || {
            let numbered = episodes.iter().enumerate();
            numbered.flat_map(|(e, r)| (0..r.length()).map(move |f| (e, f)))
        };
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        for (name, names) in &self.vectors {
            let values = frames().flat_map(|(e, f)| episodes[e].vectors[name][f].clone());
            let values: ArrayRef = Arc::new(Float32Array::from_iter_values(values));
            // As `datasets` writes vectors of a known length.
            let field = Arc::new(Field::new("item", DataType::Float32, true));
            let lists = FixedSizeListArray::new(field, names.len() as i32, values, None);
            columns.push(((*name).to_owned(), Arc::new(lists)));
        }
        for (camera, storage) in &self.cameras {
            if *storage == Storage::Video {
                continue;
            }
            let path =
                |(e, f): (usize, usize)| format!("images/{camera}/{:03}-{f:03}.png", first + e);
            let mut bytes = Vec::new();
            for (e, f) in frames() {
                let mut png = Cursor::new(Vec::new());
                let picture = &episodes[e].pictures[camera][f];
                picture.write_to(&mut png, ImageFormat::Png).unwrap();
                bytes.push(Some(png.into_inner()));
                if *storage == Storage::Path {
                    let path = root.join(path((e, f)));
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, bytes.last_mut().unwrap().take().unwrap()).unwrap();
                }
            }
            let fields: Fields = vec![
                Field::new("bytes", DataType::Binary, true),
                Field::new("path", DataType::Utf8, true),
            ]
            .into();
            let bytes: BinaryArray = bytes.iter().map(Option::as_deref).collect();
            let paths = StringArray::from_iter_values(frames().map(path));
            let pictures = StructArray::new(fields, vec![Arc::new(bytes), Arc::new(paths)], None);
            columns.push(((*camera).to_owned(), Arc::new(pictures)));
        }
        let tasks = self.tasks();
        let task = |e: usize| tasks.iter().position(|t| *t == episodes[e].task).unwrap();
        columns.extend([
            (
                "timestamp".to_owned(),
                Arc::new(Float32Array::from_iter_values(
                    frames().map(|(_, f)| f as f32 / self.fps as f32),
                )) as _,
            ),
            ("frame_index".to_owned(), ints(frames().map(|(_, f)| f))),
            (
                "episode_index".to_owned(),
                ints(frames().map(|(e, _)| first + e)),
            ),
            ("index".to_owned(), ints(start..start + frames().count())),
            (
                "task_index".to_owned(),
                ints(frames().map(|(e, _)| task(e))),
            ),
        ]);
        let path = format!("data/chunk-000/file-{file:03}.parquet");
        table(&root.join(path), columns);
    }

    fn video(&self, path: &Path, camera: &str, episodes: &[Recording]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let (width, height) = episodes[0].pictures[camera][0].dimensions();
        let mut ffmpeg = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"])
            .args(["-s", &format!("{width}x{height}")])
            .args(["-r", &self.fps.to_string(), "-i", "-"])
            // Frames that are stored out of order, and few that can be decoded alone: seeking has to cope.
            .args(["-c:v", "libx264rgb", "-qp", "0", "-bf", "2", "-g", "7"])
            .arg(path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = ffmpeg.stdin.take().unwrap();
        for picture in episodes.iter().flat_map(|e| &e.pictures[camera]) {
            stdin.write_all(picture.as_raw()).unwrap();
        }
        drop(stdin);
        assert!(ffmpeg.wait().unwrap().success());
    }
}

fn ints(values: impl IntoIterator<Item = usize>) -> ArrayRef {
    let values = values.into_iter().map(|value| value as i64);
    Arc::new(Int64Array::from_iter_values(values))
}

fn table(path: &Path, columns: Vec<(String, ArrayRef)>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}
