//! Commands as cameras: `cat` and `sh` write what `rpicam-vid` would.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wink_camera::{
    CameraConfig, Decoder, Layout, LiveCamera, PixelFormat, SetupError, Source, open_all,
};
use wink_runtime::camera::{Camera, Frame};
use wink_runtime::clock::{Clock, MonotonicClock};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn small() -> String {
    fixture("webcam-64x48.jpg").display().to_string()
}

fn config(command: &str, format: PixelFormat) -> CameraConfig {
    CameraConfig {
        format: Some(format),
        timeout: Duration::from_secs(20),
        ..CameraConfig::new("front", Source::Pipe(command.to_owned()), 64, 48, 50)
    }
}

fn open(command: &str, format: PixelFormat) -> Result<(LiveCamera, MonotonicClock), SetupError> {
    let clock = MonotonicClock::new();
    let camera = open_all(&[config(command, format)], &clock)?.remove(0);
    Ok((camera, clock))
}

fn refused(command: &str, format: PixelFormat) -> String {
    open(command, format).err().unwrap().to_string()
}

#[test]
fn mjpeg_frames_arrive_whole_with_their_times() {
    let command = format!("while :; do cat {}; sleep 0.02; done", small());
    let (mut camera, clock) = open(&command, PixelFormat::Mjpg).unwrap();
    let mut expected = Frame::default();
    let layout = Layout::packed(PixelFormat::Mjpg, 64, 48);
    let bytes = fs::read(fixture("webcam-64x48.jpg")).unwrap();
    Decoder::default()
        .decode(&layout, &bytes, &mut expected)
        .unwrap();
    let mut times = Vec::new();
    for _ in 0..10 {
        let raw = camera.next_raw(Duration::from_secs(20)).unwrap();
        assert_eq!(raw.bytes, bytes);
        times.push(raw.time_us);
    }
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert!(*times.last().unwrap() <= clock.now_us());
    let mut frame = Frame::default();
    camera.capture(&mut frame).unwrap();
    assert_eq!(frame.rgb, expected.rgb);
    assert!(camera.counts().repeated > 5, "the same picture every time");
    assert_eq!(camera.counts().damaged, 0);
}

#[test]
fn raw_frames_are_cut_by_their_size() {
    // 64 x 48 x 2 bytes: dark, then bright.
    let command = "while :; do head -c 6144 /dev/zero; sleep 0.01; head -c 6144 /dev/zero | tr '\\000' '\\377'; sleep 0.01; done";
    let (mut camera, _) = open(command, PixelFormat::Yuyv).unwrap();
    let mut seen = [false; 2];
    let start = Instant::now();
    while seen != [true; 2] {
        let raw = camera.next_raw(Duration::from_secs(20)).unwrap();
        assert_eq!(raw.bytes.len(), 6144);
        let first = raw.bytes[0];
        assert!(
            raw.bytes.iter().all(|byte| *byte == first),
            "frames are not cut where they end"
        );
        seen[usize::from(first == 0xff)] = true;
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn a_command_that_fails_is_told_in_its_own_words() {
    let error = refused("echo 'no cameras available' >&2; exit 3", PixelFormat::Mjpg);
    assert_eq!(
        error,
        "camera front: `echo 'no cameras available' >&2; exit 3`: the command ended (exit status: 3): no cameras available"
    );
    let error = refused("no-such-command-here", PixelFormat::Mjpg);
    assert!(error.contains("not found"), "{error}");
    let error = refused("cat /dev/null", PixelFormat::Rgb);
    assert!(error.contains("without a word"), "{error}");
}

#[test]
fn frames_that_never_decode_and_frames_that_never_come_are_errors() {
    let wrong_size = format!(
        "while :; do cat {}; sleep 0.05; done",
        fixture("webcam-640x480.jpg").display()
    );
    let error = refused(&wrong_size, PixelFormat::Mjpg);
    assert!(error.starts_with("camera front: "), "{error}");
    let error = refused("sleep 1000", PixelFormat::Mjpg);
    assert!(error.contains("no frame within 5 s"), "{error}");
    // Bytes without end that are no picture.
    let error = refused("cat /dev/zero", PixelFormat::Mjpg);
    assert!(error.contains("no frame within 5 s"), "{error}");
}

#[test]
fn a_command_that_ends_is_started_again() {
    let command = format!("cat {}; sleep 0.3; echo bye >&2", small());
    let (mut camera, _) = open(&command, PixelFormat::Mjpg).unwrap();
    let start = Instant::now();
    while camera.counts().replugs < 2 {
        let _ = camera.next_raw(Duration::from_secs(5));
        assert!(start.elapsed() < Duration::from_secs(60));
    }
    camera.next_raw(Duration::from_secs(20)).unwrap();
    // While it is gone, a capture says why.
    let gone = camera.next_raw(Duration::from_millis(900));
    if let Err(error) = gone {
        assert!(error.to_string().contains("bye"), "{error}");
    }
}

#[test]
fn what_the_command_has_started_ends_with_the_camera() {
    let folder = tempfile::tempdir().unwrap();
    let id = folder.path().join("id");
    let command = format!(
        "sleep 1000 & echo $! > {}; while :; do cat {}; sleep 0.05; done",
        id.display(),
        small()
    );
    let (camera, _) = open(&command, PixelFormat::Mjpg).unwrap();
    let id = fs::read_to_string(id).unwrap();
    let process = Path::new("/proc").join(id.trim());
    assert!(process.exists());
    drop(camera);
    let start = Instant::now();
    // A zombie that nobody waits for has no command line left.
    let runs = || fs::read(process.join("cmdline")).is_ok_and(|line| !line.is_empty());
    while runs() {
        assert!(start.elapsed() < Duration::from_secs(10), "it runs on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_loop_is_given_the_newest_frame_and_not_held_up() {
    let command = format!("while :; do cat {}; sleep 0.02; done", small());
    let (mut camera, clock) = open(&command, PixelFormat::Mjpg).unwrap();
    let mut frame = Frame::default();
    std::thread::sleep(Duration::from_millis(300));
    camera.capture(&mut frame).unwrap();
    let age_us = clock.now_us() - frame.time_us;
    assert!(age_us < 200_000, "{age_us} us old");
    assert!(camera.counts().passed_over > 0);
}

#[test]
fn a_camera_tells_that_it_is_frozen_without_being_asked_for_a_frame() {
    let command = format!("while :; do cat {}; sleep 0.02; done", small());
    let (camera, _) = open(&command, PixelFormat::Mjpg).unwrap();
    let start = Instant::now();
    let mut fresh = camera.freshness();
    while fresh.repeated < 10 || fresh.repeated_us < 150_000 {
        assert!(start.elapsed() < Duration::from_secs(30), "{fresh:?}");
        std::thread::sleep(Duration::from_millis(10));
        fresh = camera.freshness();
    }
    // Pictures that change are not.
    let command = "while :; do head -c 6144 /dev/zero; sleep 0.01; head -c 6144 /dev/zero | tr '\\000' '\\377'; sleep 0.01; done";
    let (camera, _) = open(command, PixelFormat::Yuyv).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let fresh = camera.freshness();
    assert_eq!((fresh.repeated, fresh.repeated_us), (0, 0));
    assert!(fresh.newest_us.is_some());
}

#[test]
fn the_age_of_the_newest_frame_grows_when_no_more_come() {
    let command = format!("cat {}; sleep 1000", small());
    let (camera, clock) = open(&command, PixelFormat::Mjpg).unwrap();
    let newest_us = camera.freshness().newest_us.unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(camera.freshness().newest_us, Some(newest_us));
    assert!(clock.now_us() - newest_us >= 200_000);
}
