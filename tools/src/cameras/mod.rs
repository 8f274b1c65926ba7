//! `wink cameras`: which cameras there are, what they offer, and what they really deliver.

mod choose;
mod episode;
mod measure;
mod report;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use wink_camera::PixelFormat;
use wink_runtime::clock::MonotonicClock;

use crate::bad_input::bad_input;
use crate::out_file::PendingFile;
use crate::progress;
use choose::Chosen;
use measure::{Measured, Measurement};

const EXAMPLES: &str = "\
Examples:
  wink cameras                                        every camera of this machine: names, formats, rate, frame age, a still
  wink cameras --list                                 names and formats only; no camera is started
  wink cameras --board raspberry-pi-5                 the cameras of a board's file, all at once, as a policy would use them
  wink cameras --device /dev/v4l/by-id/usb-x --size 1280x720 --fps 30
  wink cameras --pipe 'rpicam-vid -n -t 0 --codec mjpeg --width 640 --height 480 -o -'
  wink cameras --pipe 'ffmpeg -v error -re -i x.mp4 -pix_fmt yuyv422 -f rawvideo -' --format yuyv
  wink cameras --sim                                  the simulator's camera
  wink cameras --episode data/demos --number 3        the cameras of a recorded episode, at its rate

Stills are written to --out, one for each camera. Exit codes: 0 every camera delivers, 2 one of them does not, or bad input.";

/// List cameras, measure the rate and frame age that they deliver, save a still of each
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The cameras of this board: a name under boards/linux, or a file
    #[arg(long, value_name = "NAME", conflicts_with_all = ["device", "pipe", "sim", "episode"])]
    board: Option<String>,

    /// A V4L2 device; may be given several times
    #[arg(long, value_name = "PATH")]
    device: Vec<PathBuf>,

    /// A command that writes frames to its standard output; may be given several times
    #[arg(long, value_name = "COMMAND")]
    pipe: Vec<String>,

    /// The simulator's camera
    #[arg(long)]
    sim: bool,

    /// The cameras of an episode of this data set
    #[arg(long, value_name = "DIR")]
    episode: Option<PathBuf>,

    /// Which episode
    #[arg(long, value_name = "N", default_value_t = 0, requires = "episode")]
    number: usize,

    /// Width and height of --device and --pipe, pixels
    #[arg(long, value_name = "WxH", default_value = "640x480", value_parser = parse_size)]
    size: (u32, u32),

    /// Frames a second of --device and --pipe
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=240))]
    fps: u32,

    /// Pixel format: mjpg, yuyv, nv12 or rgb [default: the first that a device offers; mjpg of --pipe]
    #[arg(long, value_name = "NAME")]
    format: Option<PixelFormat>,

    /// How long is measured, seconds
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    seconds: f64,

    /// Folder for the stills
    #[arg(long, value_name = "DIR", default_value = "out/cameras")]
    out: PathBuf,

    /// List names and formats only
    #[arg(long)]
    list: bool,

    /// As JSON
    #[arg(long)]
    json: bool,

    /// Folder with the boards
    #[arg(long, value_name = "DIR", default_value = "boards")]
    boards: PathBuf,
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    const MOST_SIDE: u32 = 4096;
    let side = |text: &str| {
        let side = text.parse().ok();
        side.filter(|side| (1..=MOST_SIDE).contains(side))
    };
    let sides = text.split_once('x');
    sides
        .and_then(|(width, height)| Some((side(width)?, side(height)?)))
        .ok_or_else(|| format!("\"{text}\" is not WIDTHxHEIGHT, 1 to {MOST_SIDE} pixels each"))
}

pub fn run(args: &Args) -> Result<()> {
    if !(0.1..=3600.0).contains(&args.seconds) {
        let found = args.seconds;
        return Err(bad_input(format!(
            "--seconds {found}: give 0.1 to 3600 seconds"
        )));
    }
    let chosen = choose::choose(args)?;
    let mut out = io::stdout().lock();
    if args.list {
        return report::list(&mut out, &chosen.found, args.json);
    }
    let measurement = Measurement {
        clock: MonotonicClock::new(),
        time: Duration::from_secs_f64(args.seconds),
    };
    let Chosen { found, groups } = chosen;
    let bar = progress::waiting(format!("measuring for {} s", args.seconds));
    let mut rows = Vec::new();
    // What a board's file names is opened at once, what was merely found one after the other.
    for group in groups {
        rows.extend(measurement.of(group));
    }
    bar.finish_and_clear();
    let mut failed = None;
    for row in &mut rows {
        match &mut row.measured {
            Ok(measured) => save(args, &row.name, measured)?,
            Err(why) => failed = failed.or_else(|| Some(why.clone())),
        }
    }
    report::measured(&mut out, &found, &rows, args.json)?;
    failed.map_or(Ok(()), |why| Err(bad_input(why)))
}

/// Writes the still of a camera.
fn save(args: &Args, name: &str, measured: &mut Measured) -> Result<()> {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() || "-_.".contains(letter) {
            letter
        } else {
            '_'
        }
    };
    let file: String = name.chars().map(plain).collect();
    let path = args.out.join(format!("{file}.png"));
    let frame = &measured.still;
    let mut png = Vec::new();
    image::ImageEncoder::write_image(
        image::codecs::png::PngEncoder::new(&mut png),
        &frame.rgb,
        frame.width,
        frame.height,
        image::ExtendedColorType::Rgb8,
    )?;
    fs::create_dir_all(&args.out)
        .map_err(|error| bad_input(format!("--out {}: {error}", args.out.display())))?;
    PendingFile::create("--out", &path)?.write_and_publish(&png)?;
    measured.still_path = Some(path);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_two_numbers() {
        assert_eq!(parse_size("640x480"), Ok((640, 480)));
        for bad in [
            "640",
            "640x",
            "0x480",
            "640x4097",
            "640x480x3",
            "-1x2",
            "axb",
        ] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
