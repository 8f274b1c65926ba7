//! V4L2 cameras on the kernel's virtual driver `vivid`: streaming, controls, injected errors, unplugging. `.ci/guest.sh` runs this
//! as root in a virtual machine, one test at a time.

#![cfg(feature = "camera")]
#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]
#![expect(clippy::print_stdout, reason = "what was measured is for people")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use wink_camera::v4l::Device;
use wink_camera::{CameraConfig, LiveCamera, PixelFormat, SetupError, Source, open_all};
use wink_runtime::camera::{Camera, Frame};
use wink_runtime::clock::{Clock, MonotonicClock};

/// The link that the guest makes as udev would.
const CAMERA: &str = "/dev/v4l/by-path/platform-vivid.0-video-index0";
/// Emulated machines are slow: nothing has to be fast, it has to happen.
const PATIENCE: Duration = Duration::from_secs(20);
const DRIVER: &str = "/sys/bus/platform/drivers/vivid";

fn config(format: Option<PixelFormat>) -> CameraConfig {
    CameraConfig {
        format,
        timeout: Duration::from_secs(2),
        ..CameraConfig::new("front", Source::Device(CAMERA.into()), 640, 480, 25)
    }
}

fn open(config: &CameraConfig) -> Result<(LiveCamera, MonotonicClock), SetupError> {
    let clock = MonotonicClock::new();
    let camera = open_all(std::slice::from_ref(config), &clock)?.remove(0);
    Ok((camera, clock))
}

fn refused(config: &CameraConfig) -> String {
    open(config).err().unwrap().to_string()
}

/// Presses a button of the driver, which makes it fail.
fn inject(button: &str) {
    let device = Device::open(Path::new(CAMERA)).unwrap();
    device.pin(&[(button.to_owned(), 1)]).unwrap();
}

/// Captures until the condition holds.
fn until(camera: &mut LiveCamera, what: &str, holds: impl Fn(&LiveCamera) -> bool) {
    let start = Instant::now();
    let mut frame = Frame::default();
    while !holds(camera) {
        assert!(start.elapsed() < PATIENCE, "{what}: {:?}", camera.counts());
        let _ = camera.capture(&mut frame);
    }
    // And frames go on.
    let seen = camera.counts().frames;
    while camera.counts().frames < seen + 5 {
        assert!(start.elapsed() < PATIENCE, "{what}: no frames afterwards");
        let _ = camera.capture(&mut frame);
    }
}

#[test]
#[ignore = "needs vivid: .ci/guest.sh runs it"]
fn streams_in_every_format_that_is_decoded() {
    for format in [PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::Rgb] {
        let (mut camera, clock) = open(&config(Some(format))).unwrap();
        let mut frame = Frame::default();
        let mut ages_us = Vec::new();
        let mut first = None;
        let mut last = (0, 0);
        while ages_us.len() < 60 {
            let raw = camera.next_raw(PATIENCE).unwrap();
            last = (raw.sequence, raw.time_us);
            first.get_or_insert(last);
            camera.decode(&mut frame).unwrap();
            ages_us.push(clock.now_us() - frame.time_us);
        }
        let (sequence, time_us) = first.unwrap();
        let fps = (last.0 - sequence) as f64 * 1e6 / (last.1 - time_us) as f64;
        ages_us.sort_unstable();
        println!(
            "{format} 640 x 480: {fps:.1} of {:.1} fps, frame age p50 {:.1} ms, p99 {:.1} ms",
            camera.fps(),
            ages_us[30] as f64 / 1e3,
            ages_us[59] as f64 / 1e3
        );
        // An emulated machine on a busy host is slow, never fast: what it prints is for a quiet one.
        assert!((3.0..27.0).contains(&fps), "{fps}");
        assert!(ages_us[30] < 3_000_000, "{ages_us:?}");
        assert_eq!(camera.counts().damaged, 0);
        // Colour bars: not one colour, whatever the format.
        let mut colours: Vec<&[u8]> = frame.rgb.chunks_exact(3).step_by(997).collect();
        colours.sort_unstable();
        colours.dedup();
        assert!(colours.len() > 4, "{colours:?}");
    }
}

#[test]
#[ignore = "needs vivid: .ci/guest.sh runs it"]
fn the_same_picture_comes_out_of_yuv_and_rgb() {
    // A plain white picture, without the text that changes.
    let pattern = |format| {
        let mut config = config(Some(format));
        config.controls = vec![
            ("test_pattern".to_owned(), 5),
            ("osd_text_mode".to_owned(), 2),
        ];
        let (mut camera, _) = open(&config).unwrap();
        let mut frame = Frame::default();
        // Frames from before the control was set may still come.
        for _ in 0..8 {
            camera.next_raw(PATIENCE).unwrap();
        }
        camera.decode(&mut frame).unwrap();
        frame
    };
    let rgb = pattern(PixelFormat::Rgb);
    for format in [PixelFormat::Yuyv, PixelFormat::Nv12] {
        let yuv = pattern(format);
        let mut off: Vec<u8> = rgb
            .rgb
            .iter()
            .zip(&yuv.rgb)
            .map(|(a, b)| a.abs_diff(*b))
            .collect();
        off.sort_unstable();
        let most = off[off.len() * 99 / 100];
        println!("{format} and rgb differ by at most {most} in 99% of the values");
        assert!(most <= 4, "{format}: {most}");
    }
    // The driver keeps controls, and a picture that never changes is a frozen camera's.
    let mut moving = config(None);
    moving.controls = vec![
        ("test_pattern".to_owned(), 0),
        ("osd_text_mode".to_owned(), 0),
    ];
    drop(open(&moving).unwrap());
}

#[test]
#[ignore = "needs vivid: .ci/guest.sh runs it"]
fn controls_are_pinned_and_read_back() {
    let with = |controls: &[(&str, i64)]| CameraConfig {
        controls: controls
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect(),
        ..config(None)
    };
    let (camera, _) = open(&with(&[("brightness", 77), ("contrast", 99)])).unwrap();
    let pinned: BTreeMap<&str, i64> = camera.pinned().iter().map(|(n, v)| (&**n, *v)).collect();
    assert_eq!(
        pinned,
        BTreeMap::from([("brightness", 77), ("contrast", 99)])
    );
    drop(camera);
    let (camera, _) = open(&with(&[("brightness", 128)])).unwrap();
    drop(camera);
    for (control, value, expected) in [
        ("brightnes", 1, "did you mean brightness?"),
        ("brightness", 4000, "4000 is outside of 0 .. 255"),
        ("power_line_frequenzy", 1, "control power_line_frequenzy: "),
    ] {
        let error = refused(&with(&[(control, value)]));
        assert!(error.starts_with("camera front: control "), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
#[ignore = "needs vivid: .ci/guest.sh runs it"]
fn what_cannot_be_had_is_one_line() {
    let absent = CameraConfig {
        source: Source::Device("/dev/v4l/by-id/usb-none".into()),
        ..config(None)
    };
    let size = CameraConfig {
        width: 644,
        ..config(None)
    };
    let rate = CameraConfig {
        fps: 27,
        ..config(None)
    };
    let output = CameraConfig {
        source: Source::Device("/dev/video1".into()),
        ..config(None)
    };
    let file = CameraConfig {
        source: Source::Device("/proc/version".into()),
        ..config(None)
    };
    for (config, expected) in [
        (&absent, "no such camera: is it plugged in?"),
        (
            &size,
            "gives no 644 x 480 at 25 frames a second; it offers ",
        ),
        (&rate, "gives no 640 x 480 at 27 frames a second"),
        (&config(Some(PixelFormat::Mjpg)), "gives no mjpg 640 x 480"),
        (&output, "is no camera that streams"),
        (&file, "/proc/version: "),
    ] {
        let error = refused(config);
        println!("{error}");
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains('\n'));
    }
    let (camera, _) = open(&config(None)).unwrap();
    let error = refused(&config(None));
    assert!(error.contains("is held by another program"), "{error}");
    drop(camera);
    open(&config(None)).unwrap();
}

#[test]
#[ignore = "needs vivid: .ci/guest.sh runs it"]
fn damaged_frames_are_skipped_and_broken_streams_are_started_anew() {
    let (mut camera, _) = open(&config(None)).unwrap();
    inject("inject_v4l2_buf_flag_error");
    until(&mut camera, "a damaged frame", |camera| {
        camera.counts().damaged > 0
    });
    inject("inject_fatal_streaming_error");
    until(&mut camera, "a broken stream", |camera| {
        camera.counts().restarts > 0
    });
    println!("after injected errors: {:?}", camera.counts());
    assert_eq!(camera.counts().replugs, 0);
}

#[test]
#[ignore = "needs vivid: .ci/guest.sh runs it"]
fn a_camera_that_is_unplugged_comes_back() {
    let mut pinned = config(Some(PixelFormat::Yuyv));
    pinned.controls = vec![("saturation".to_owned(), 61)];
    let (mut camera, _) = open(&pinned).unwrap();
    inject("disconnect");
    until(&mut camera, "unplugged by the control", |camera| {
        camera.counts().replugs == 1
    });
    // While the driver is unbound there is no device at all.
    fs::write(format!("{DRIVER}/unbind"), "vivid.0").unwrap();
    let mut frame = Frame::default();
    let start = Instant::now();
    let told = loop {
        assert!(start.elapsed() < PATIENCE);
        if let Err(error) = camera.capture(&mut frame) {
            break error.to_string();
        }
    };
    println!("unplugged: {told}");
    fs::write(format!("{DRIVER}/bind"), "vivid.0").unwrap();
    let device = "camera front: /dev/v4l/by-path/platform-vivid.0-video-index0: ";
    assert!(told.contains(device), "{told}");
    assert!(
        told.contains("unplugged") || told.contains("no such camera"),
        "{told}"
    );
    let back = Instant::now();
    until(&mut camera, "unplugged by the driver", |camera| {
        camera.counts().replugs == 2
    });
    println!(
        "frames again {:.1?} after it was plugged in",
        back.elapsed()
    );
    // The controls were set anew: the driver starts with others.
    let device = Device::open(Path::new(CAMERA)).unwrap();
    assert_eq!(device.read_control("saturation").unwrap(), 61);
}
