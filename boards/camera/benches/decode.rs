//! From a webcam's MJPEG frame of 640 x 480 to the tensor of 224 x 224, beside other decoders.
//!
//! libjpeg-turbo is loaded where it is installed (Debian: `apt-get install libturbojpeg0`).

#![allow(missing_docs, reason = "criterion's macros write functions")]
#![allow(clippy::print_stdout, reason = "a decoder that is not there is told")]

use std::ffi::{c_int, c_uchar, c_ulong, c_void};
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use libloading::{Library, Symbol};
use wink_camera::{Decoder, Layout, PixelFormat};
use wink_runtime::camera::Frame;
use wink_runtime::policy::manifest::CameraSpec;
use wink_runtime::policy::preprocess::ImagePreprocessor;

const JPEG: &[u8] = include_bytes!("../tests/fixtures/webcam-640x480.jpg");
const SIZE: (u32, u32) = (640, 480);

/// `tjDecompress2` of TurboJPEG's C interface.
type Decompress = unsafe extern "C" fn(
    *mut c_void,
    *const c_uchar,
    c_ulong,
    *mut c_uchar,
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
) -> c_int;

fn decoders(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode 640x480");
    let layout = Layout::packed(PixelFormat::Mjpg, SIZE.0, SIZE.1);
    let (mut decoder, mut frame) = (Decoder::default(), Frame::default());
    group.bench_function("wink (zune-jpeg)", |bencher| {
        bencher.iter(|| decoder.decode(&layout, black_box(JPEG), &mut frame));
    });
    group.bench_function("image", |bencher| {
        bencher.iter(|| {
            image::load_from_memory_with_format(black_box(JPEG), image::ImageFormat::Jpeg)
                .map(|picture| picture.to_rgb8())
        });
    });
    // SAFETY: the library's initialisers do nothing but set up tables.
    match unsafe { Library::new("libturbojpeg.so.0") } {
        Err(_) => println!("libjpeg-turbo: not installed (libturbojpeg0)"),
        Ok(library) => {
            // SAFETY: the types are those of turbojpeg.h.
            let symbols = unsafe {
                let init: Result<Symbol<'_, unsafe extern "C" fn() -> *mut c_void>, _> =
                    library.get(b"tjInitDecompress\0");
                let decompress: Result<Symbol<'_, Decompress>, _> = library.get(b"tjDecompress2\0");
                init.and_then(|init| Ok((init(), decompress?)))
            };
            if let Ok((handle, decompress)) = symbols {
                let mut rgb = vec![0; frame.rgb.len()];
                group.bench_function("libjpeg-turbo", |bencher| {
                    bencher.iter(|| {
                        // SAFETY: the buffer holds 640 x 480 pixels of three bytes, in which the picture fits.
                        let done = unsafe {
                            decompress(
                                handle,
                                black_box(JPEG).as_ptr(),
                                JPEG.len() as c_ulong,
                                rgb.as_mut_ptr(),
                                SIZE.0 as c_int,
                                0,
                                SIZE.1 as c_int,
                                0,
                                0,
                            )
                        };
                        assert_eq!(done, 0);
                    });
                });
            }
        }
    }
    for format in [PixelFormat::Yuyv, PixelFormat::Nv12] {
        let layout = Layout::packed(format, SIZE.0, SIZE.1);
        let bytes = vec![100; layout.frame_bytes().unwrap_or(0)];
        group.bench_function(format.to_string(), |bencher| {
            bencher.iter(|| decoder.decode(&layout, black_box(&bytes), &mut frame));
        });
    }
    group.finish();
}

fn tensors(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("640x480 to 224x224");
    let layout = Layout::packed(PixelFormat::Mjpg, SIZE.0, SIZE.1);
    let (mut decoder, mut frame) = (Decoder::default(), Frame::default());
    for (name, filter, antialias, on) in [
        ("torch, antialias", "bilinear", true, "floats"),
        ("torch, no antialias", "bilinear", false, "floats"),
        ("PIL", "bilinear", true, "bytes"),
    ] {
        let json = format!(
            r#"{{"name": "front", "channels": "rgb", "layout": "nchw", "history": 1,
                 "transform": [{{"resize": {{"width": 224, "height": 224, "fit": "stretch", "filter": "{filter}", "antialias": {antialias}, "on": "{on}"}}}}],
                 "normalisation": {{"mean_std": {{"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "epsilon": 0}}}}}}"#
        );
        let Ok(camera) = serde_json::from_str::<CameraSpec>(&json) else {
            continue;
        };
        let mut preprocessor = ImagePreprocessor::new(&camera);
        let mut tensor = vec![0.0; preprocessor.len()];
        let decoded = decoder.decode(&layout, JPEG, &mut frame);
        assert!(decoded.is_ok());
        group.bench_function(format!("resize and normalise, {name}"), |bencher| {
            bencher.iter(|| preprocessor.run(black_box(&frame), &mut tensor));
        });
        group.bench_function(format!("frame to tensor, {name}"), |bencher| {
            bencher.iter(|| {
                let decoded = decoder.decode(&layout, black_box(JPEG), &mut frame);
                decoded.is_ok() && preprocessor.run(&frame, &mut tensor).is_ok()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decoders, tensors);
criterion_main!(benches);
