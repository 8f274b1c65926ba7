//! Data sets that are written and read back, and ones that are broken.

#[path = "../../tests/common/lerobot.rs"]
mod fixture;

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};
use wink_runtime::camera::Frame;

use super::Dataset;
use crate::bad_input::{exit_code, one_line};
use fixture::{Fixture, Recording, Storage, has_ffmpeg};

const STATE: &str = "observation.state";
const FRONT: &str = "observation.images.front";
const WRIST: &str = "observation.images.wrist";
const LENGTHS: [usize; 5] = [9, 21, 4, 12, 1];

fn value(episode: usize, frame: usize, place: usize) -> f32 {
    (episode * 100 + frame) as f32 + 0.25 * place as f32
}

/// A picture unlike that of any other frame or camera.
fn picture(camera: u8, episode: usize, frame: usize) -> RgbImage {
    RgbImage::from_fn(24, 16, |x, y| {
        Rgb([
            (episode * 40 + frame) as u8,
            camera,
            (x * 3 + y * 5 + 7 * frame as u32) as u8,
        ])
    })
}

fn fixture(storage: Storage) -> Fixture {
    let episodes = LENGTHS.iter().enumerate().map(|(e, &length)| Recording {
        task: ["pick", "place"][e % 2],
        vectors: [(STATE, 3), ("action", 2)]
            .map(|(name, size)| {
                let row = |f| (0..size).map(|place| value(e, f, place)).collect();
                (name, (0..length).map(row).collect())
            })
            .into(),
        pictures: [(FRONT, 1), (WRIST, 2)]
            .map(|(name, camera)| (name, (0..length).map(|f| picture(camera, e, f)).collect()))
            .into(),
    });
    Fixture {
        fps: 30,
        vectors: vec![(STATE, vec!["x", "y", "z"]), ("action", vec!["dx", "dy"])],
        cameras: vec![(FRONT, Storage::Png), (WRIST, storage)],
        episodes: episodes.collect(),
        per_file: 2,
    }
}

fn written(storage: Storage) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fixture(storage).write(dir.path());
    dir
}

fn check_pictures(dataset: &Dataset, camera: &str, number: u8) {
    for (episode, &length) in LENGTHS.iter().enumerate() {
        let every: Vec<usize> = (0..length).collect();
        let some: Vec<usize> = (0..length)
            .filter(|f| f % 5 == 3 || f + 1 == length)
            .collect();
        for at in [every, some] {
            let mut pictures = dataset.pictures(episode, camera, &at).unwrap();
            let mut frame = Frame::default();
            for &f in &at {
                pictures.next(&mut frame).unwrap();
                assert_eq!((frame.width, frame.height), (24, 16));
                assert!(
                    frame.rgb == picture(number, episode, f).into_raw(),
                    "{camera}: episode {episode}, frame {f}"
                );
            }
            let end = pictures.next(&mut frame).unwrap_err();
            assert_eq!(exit_code(&end), 2);
        }
    }
}

#[test]
fn what_was_written_is_read_back() {
    let dir = written(Storage::Path);
    let dataset = Dataset::open(dir.path()).unwrap();
    assert_eq!(dataset.info.fps, 30.0);
    assert_eq!(dataset.value_names("action").unwrap(), ["dx", "dy"]);
    assert_eq!(dataset.episodes.len(), LENGTHS.len());
    for (episode, &length) in LENGTHS.iter().enumerate() {
        let rows = dataset.rows(episode, &["action", STATE]).unwrap();
        assert_eq!(rows.length, length);
        for frame in 0..length {
            let wanted = [0, 1, 2].map(|place| value(episode, frame, place));
            assert_eq!(rows.at(STATE, frame), wanted);
            assert_eq!(rows.at("action", frame), &wanted[..2]);
            assert_eq!(dataset.task(&rows, frame), ["pick", "place"][episode % 2]);
        }
    }
    check_pictures(&dataset, FRONT, 1);
    check_pictures(&dataset, WRIST, 2);
}

#[test]
fn videos_are_decoded_from_any_episode_on() {
    if !has_ffmpeg() {
        eprintln!("skipped: ffmpeg is not installed");
        return;
    }
    let dir = written(Storage::Video);
    let dataset = Dataset::open(dir.path()).unwrap();
    check_pictures(&dataset, WRIST, 2);

    // A file cut short, and one that is no video.
    let path = dir
        .path()
        .join(format!("videos/{WRIST}/chunk-000/file-000.mp4"));
    for bytes in [&b"not a video"[..], b""] {
        fs::write(&path, bytes).unwrap();
        let mut pictures = dataset.pictures(0, WRIST, &[0]).unwrap();
        let error = pictures.next(&mut Frame::default()).unwrap_err();
        let told = one_line(&error);
        assert!(told.contains("file-000.mp4: frame 0"), "{told}");
        assert_eq!(exit_code(&error), 2);
    }
    fs::remove_file(&path).unwrap();
    let error = dataset.pictures(0, WRIST, &[0]).map(|_| ()).unwrap_err();
    assert!(one_line(&error).contains("no such file"), "{error}");
}

#[test]
fn a_video_that_ends_before_its_episode_is_an_error() {
    if !has_ffmpeg() {
        eprintln!("skipped: ffmpeg is not installed");
        return;
    }
    let dir = written(Storage::Video);
    let file = |n: usize| {
        dir.path()
            .join(format!("videos/{WRIST}/chunk-000/file-00{n}.mp4"))
    };
    // The last file holds one frame, the first one 30.
    fs::copy(file(2), file(0)).unwrap();
    let dataset = Dataset::open(dir.path()).unwrap();
    let mut pictures = dataset.pictures(0, WRIST, &[0, 1]).unwrap();
    let mut frame = Frame::default();
    pictures.next(&mut frame).unwrap();
    let told = one_line(&pictures.next(&mut frame).unwrap_err());
    assert!(
        told.contains("frame 1") && told.contains("the video ends"),
        "{told}"
    );
}

/// Replaces text in a file that holds it.
fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn broken_data_sets_are_refused_by_name() {
    type Break = dyn Fn(&mut Fixture);
    let cases: [(&Break, &str); 5] = [
        (
            &|f| f.episodes[1].vectors.get_mut("action").unwrap()[20][1] = f32::NAN,
            "file-000.parquet: column `action`, row 20: value 1 is not finite",
        ),
        (
            &|f| {
                f.vectors.retain(|(name, _)| *name != "action");
            },
            "has no vector `action`; its vectors are episode_index, frame_index, index, observation.state, task_index",
        ),
        (
            &|f| f.cameras.retain(|(name, _)| *name != FRONT),
            "has no camera `observation.images.front`; its cameras are observation.images.wrist",
        ),
        (
            &|f| f.episodes[0].pictures.get_mut(FRONT).unwrap()[0] = RgbImage::new(8, 8),
            "a picture has 24 x 16 pixels, meta/info.json says 8 x 8",
        ),
        (
            &|f| f.episodes[1].pictures.get_mut(FRONT).unwrap()[20] = RgbImage::new(8, 8),
            "a picture has 8 x 8 pixels, meta/info.json says 24 x 16",
        ),
    ];
    for (change, told) in cases {
        let dir = tempfile::tempdir().unwrap();
        let mut fixture = fixture(Storage::Png);
        change(&mut fixture);
        fixture.write(dir.path());
        let dataset = Dataset::open(dir.path()).unwrap();
        let read = || -> anyhow::Result<()> {
            dataset.value_names("action")?;
            dataset.rows(1, &["action"])?;
            let mut pictures = dataset.pictures(1, FRONT, &[19, 20])?;
            pictures.next(&mut Frame::default())?;
            pictures.next(&mut Frame::default())
        };
        let error = read().unwrap_err();
        assert!(one_line(&error).contains(told), "{told}: {error:#}");
        assert_eq!(exit_code(&error), 2, "{error:#}");
    }
}

#[test]
fn an_index_that_disagrees_with_the_data_is_refused() {
    let dir = written(Storage::Png);
    let info = dir.path().join("meta/info.json");
    edit(&info, "\"total_frames\": 47", "\"total_frames\": 48");
    let told = one_line(&Dataset::open(dir.path()).map(|_| ()).unwrap_err());
    assert!(told.contains("5 episodes of 47 frames"), "{told}");
    edit(&info, "\"total_frames\": 48", "\"total_frames\": 47");

    // Each data file holds two episodes; here the second stands where the first should.
    let file = |n: usize| {
        dir.path()
            .join(format!("data/chunk-000/file-00{n}.parquet"))
    };
    fs::copy(file(1), file(0)).unwrap();
    let dataset = Dataset::open(dir.path()).unwrap();
    let told = one_line(&dataset.rows(0, &[]).unwrap_err());
    assert!(told.contains("row 0 is frame 0 of episode 2"), "{told}");
    let told = one_line(&dataset.rows(1, &[]).unwrap_err());
    assert!(told.contains("ends after 16 rows"), "{told}");
    assert!(dataset.rows(5, &[]).is_err());
    for bytes in [&b"PAR1"[..], b"", b"not parquet at all"] {
        fs::write(file(0), bytes).unwrap();
        let error = dataset.rows(0, &[]).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert!(one_line(&error).contains("file-000.parquet"), "{error:#}");
    }
    edit(&info, "\"data/chunk-", "\"../chunk-");
    let dataset = Dataset::open(dir.path()).unwrap();
    let told = one_line(&dataset.rows(0, &[]).unwrap_err());
    assert!(told.contains("leaves the data set's folder"), "{told}");
}
