//! Decoding of frames as cameras send them: the same bytes on every processor, without allocation, and nothing of damaged ones.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]
#![expect(clippy::print_stdout, reason = "what was measured is for people")]

#[path = "../../../runtime/tests/counting/mod.rs"]
mod counting;

use counting::allocations;
use sha2::{Digest, Sha256};
use wink_camera::{Decoder, Layout, PixelFormat};
use wink_runtime::camera::Frame;
use wink_runtime::policy::manifest::CameraSpec;
use wink_runtime::policy::preprocess::ImagePreprocessor;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::options::DecoderOptions;

const LARGE: &[u8] = include_bytes!("fixtures/webcam-640x480.jpg");
const SMALL: &[u8] = include_bytes!("fixtures/webcam-64x48.jpg");

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn decode(format: PixelFormat, width: u32, height: u32, bytes: &[u8]) -> Frame {
    let mut frame = Frame::default();
    let layout = Layout::packed(format, width, height);
    Decoder::default()
        .decode(&layout, bytes, &mut frame)
        .unwrap();
    frame
}

/// A frame of some format from the pixels of the picture.
fn raw(format: PixelFormat) -> Vec<u8> {
    let picture = decode(PixelFormat::Mjpg, 640, 480, LARGE);
    let bytes = Layout::packed(format, 640, 480).frame_bytes().unwrap();
    picture.rgb.iter().copied().cycle().take(bytes).collect()
}

fn camera(filter: &str, antialias: bool, on: &str) -> CameraSpec {
    let json = format!(
        r#"{{"name": "front", "channels": "rgb", "layout": "nchw", "history": 1,
             "transform": [{{"resize": {{"width": 224, "height": 224, "fit": "stretch", "filter": "{filter}", "antialias": {antialias}, "on": "{on}"}}}}],
             "normalisation": {{"mean_std": {{"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "epsilon": 0}}}}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

/// The digests hold on x86-64 and, in `.ci/aarch64.sh`, on aarch64.
#[test]
fn pictures_and_tensors_have_the_same_bits_on_every_processor() {
    let frame = decode(PixelFormat::Mjpg, 640, 480, LARGE);
    let mut found = vec![digest(&frame.rgb)];
    for format in [PixelFormat::Yuyv, PixelFormat::Nv12] {
        found.push(digest(&decode(format, 640, 480, &raw(format)).rgb));
    }
    for (filter, antialias, on) in [
        ("bilinear", true, "floats"),
        ("bilinear", false, "floats"),
        ("bilinear", true, "bytes"),
        ("bicubic", true, "rounded"),
    ] {
        let mut preprocessor = ImagePreprocessor::new(&camera(filter, antialias, on));
        let mut tensor = vec![0.0; preprocessor.len()];
        preprocessor.run(&frame, &mut tensor).unwrap();
        let bytes: Vec<u8> = tensor
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        found.push(digest(&bytes));
    }
    let expected = include_str!("fixtures/digests.txt");
    let expected: Vec<&str> = expected.lines().collect();
    assert_eq!(found, expected);
}

/// The vector code of this processor against plain code.
#[test]
fn vectors_and_plain_code_decode_the_same() {
    for (bytes, width, height) in [(LARGE, 640, 480), (SMALL, 64, 48)] {
        let frame = decode(PixelFormat::Mjpg, width, height, bytes);
        let plain = DecoderOptions::new_safe();
        let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), plain);
        assert_eq!(frame.rgb, decoder.decode().unwrap());
    }
}

#[test]
fn frames_without_huffman_tables_have_the_standard_ones() {
    // The encoder of the fixture uses the standard tables; without them the frame means the same.
    let mut bare = Vec::new();
    let mut rest = SMALL;
    bare.extend_from_slice(&rest[..2]);
    rest = &rest[2..];
    let mut removed = 0;
    while rest[1] != 0xda {
        let length = 2 + usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        if rest[1] == 0xc4 {
            removed += 1;
        } else {
            bare.extend_from_slice(&rest[..length]);
        }
        rest = &rest[length..];
    }
    bare.extend_from_slice(rest);
    assert!(removed > 0);
    let with = decode(PixelFormat::Mjpg, 64, 48, SMALL);
    assert_eq!(decode(PixelFormat::Mjpg, 64, 48, &bare).rgb, with.rgb);
}

#[test]
fn damaged_frames_are_errors_and_never_panics() {
    let mut decoder = Decoder::default();
    let mut frame = Frame::default();
    let layout = Layout::packed(PixelFormat::Mjpg, 64, 48);
    // Cut off anywhere before its end marker, nothing is made of it.
    for end in 0..SMALL.len() - 40 {
        let cut = decoder.decode(&layout, &SMALL[..end], &mut frame);
        assert!(cut.is_err(), "{end} of {} bytes", SMALL.len());
    }
    let mut state = 7_u32;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    let mut refused = 0;
    for _ in 0..3000 {
        let mut bytes = SMALL.to_vec();
        for _ in 0..=draw() % 4 {
            let at = draw() as usize % bytes.len();
            bytes[at] = draw() as u8;
        }
        refused += u32::from(decoder.decode(&layout, &bytes, &mut frame).is_err());
        assert_eq!(frame.rgb.len(), 64 * 48 * 3);
    }
    assert!(refused > 100, "{refused} of 3000");
    for bytes in [&[][..], &[0xff], &[0xff, 0xd8], &[0xff, 0xd8, 0xff, 0xd9]] {
        assert!(decoder.decode(&layout, bytes, &mut frame).is_err());
    }
    let error = decoder.decode(&layout, LARGE, &mut frame).unwrap_err();
    assert!(!error.to_string().is_empty());
    let other = Layout::packed(PixelFormat::Mjpg, 640, 480);
    let error = decoder.decode(&other, SMALL, &mut frame).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the frame has 64 x 48 pixels instead of 640 x 480"
    );
    let yuyv = Layout::packed(PixelFormat::Yuyv, 64, 48);
    let error = decoder.decode(&yuyv, &[0; 6143], &mut frame).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the frame has 6143 bytes, yuyv 64 x 48 has 6144"
    );
}

#[test]
fn nothing_is_allocated_but_what_the_jpeg_decoder_itself_takes() {
    let mut decoder = Decoder::default();
    let mut frame = Frame::default();
    let mut preprocessor = ImagePreprocessor::new(&camera("bilinear", true, "floats"));
    let mut tensor = vec![0.0; preprocessor.len()];
    for format in [PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::Rgb] {
        let (layout, bytes) = (Layout::packed(format, 640, 480), raw(format));
        let mut run = || {
            decoder.decode(&layout, &bytes, &mut frame).unwrap();
            preprocessor.run(&frame, &mut tensor).unwrap();
        };
        run();
        let (before, _) = allocations();
        for _ in 0..3 {
            run();
        }
        assert_eq!(allocations().0 - before, 0, "{format}");
    }
    let layout = Layout::packed(PixelFormat::Mjpg, 640, 480);
    let mut counts = Vec::new();
    for _ in 0..4 {
        let (before, _) = allocations();
        decoder.decode(&layout, LARGE, &mut frame).unwrap();
        counts.push(allocations().0 - before);
        let (before, _) = allocations();
        preprocessor.run(&frame, &mut tensor).unwrap();
        assert_eq!(allocations().0 - before, 0);
    }
    println!("allocations of zune-jpeg a frame: {counts:?}");
    assert!(counts[1..].iter().all(|count| *count == counts[1]));
}
