//! `wink frames`: a recorded dataset's camera frames, rendered again into one file that can be mapped into memory.

mod crop;
pub mod dataset;
mod npy;
pub mod replay;

use std::io::{self, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::value_parser;
use wink_sim::render::Window;

use crate::bad_input::bad_input;
use crate::ordered::{default_jobs, for_each_ordered};
use crate::out_file::PendingFile;
use crate::progress;
use crate::record::demonstration::{FRAME_PX, Settings};

use dataset::Dataset;
use replay::{Player, is_kept};

/// Render the camera frames of a recorded dataset again, into one memory-mappable NumPy file
///
/// Plays each episode again as it was recorded (the same demonstration, noise and attempt) and checks that it goes the
/// same way, bit for bit. Writes uint8 [n, height, width, 3] in the dataset's order, and beside FILE.npy the file
/// FILE.index.npy: int64 [n, 2], episode_index and frame_index of each row.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Dataset that `wink record` wrote, with or without images
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// File to write, or - for raw frames on standard output, one after the other
    #[arg(long, value_name = "FILE.npy")]
    out: PathBuf,

    /// Keep the frames where (frame_index + episode_index) can be divided by K, render no others
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = value_parser!(u64).range(1..))]
    every: u64,

    /// Keep a part of each frame, in pixels
    #[arg(long, value_name = "LEFT,TOP,WIDTH,HEIGHT", value_parser = crop::parse)]
    crop: Option<Window>,

    /// Width and height of the frames before the crop, in pixels; as recorded unless given
    #[arg(long, value_name = "PIXELS", value_parser = value_parser!(u32).range(FRAME_PX))]
    frame: Option<u32>,

    /// Threads; one per core unless given
    #[arg(long, value_name = "J", value_parser = value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// Replace an earlier file
    #[arg(long)]
    force: bool,

    /// Which camera, by its name in the dataset; the first unless given
    #[arg(long, value_name = "NAME")]
    camera: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  wink record --episodes 10000 --out data/many --no-images
  wink frames --data data/many --out frames.npy
  wink frames --data data/many --out frames.npy --every 4 --crop 48,40,176,128 --force
  wink frames --data data/many --out - --every 4 | python train.py

Read it with NumPy, without loading it:
  frames, index = np.load(\"frames.npy\", mmap_mode=\"r\"), np.load(\"frames.index.npy\")";

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let to_pipe = args.out == Path::new("-");
    let index_path = args.out.with_extension("index.npy");
    if !to_pipe && !args.force {
        let old = [&args.out, &index_path]
            .into_iter()
            .find(|path| path.is_file());
        if let Some(old) = old {
            return Err(bad_input(format!(
                "--out {}: exists; name another file, or replace it with --force",
                old.display()
            )));
        }
    }
    let dataset = Dataset::open(&args.data).context("--data")?;
    let settings = Settings {
        frame: args.frame.or(dataset.settings.frame),
        ..dataset.settings
    };
    let cameras = dataset.settings.arm.setup().cameras;
    let camera = match &args.camera {
        None => 0,
        Some(name) => cameras
            .iter()
            .position(|camera| camera.name == name)
            .ok_or_else(|| {
                let names: Vec<&str> = cameras.iter().map(|camera| camera.name).collect();
                bad_input(format!(
                    "--camera {name}: the cameras are {}",
                    names.join(", ")
                ))
            })?,
    };
    let (width, height) = settings.frame_px(camera);
    let crop = args.crop.unwrap_or(Window::whole(width, height));
    if !crop.fits(width, height) {
        return Err(bad_input(format!(
            "--crop: reaches beyond the frame of {width} x {height} pixels"
        )));
    }

    let started = Instant::now();
    let index = kept(&dataset, args.every);
    let jobs = args.jobs.map_or_else(default_jobs, usize::from);
    let bar = progress::bar(index.len() as u64, "rendering");
    let players = || {
        (0..jobs)
            .map(|_| Player::new(&dataset, settings, args.every, camera, crop))
            .collect()
    };
    if to_pipe {
        // A reader that has seen enough closes the pipe; what is said then is for `main` to know.
        let mut stdout = io::stdout().lock();
        for_each_ordered(
            players(),
            dataset.episodes.len(),
            |player, episode| {
                let mut frames = Vec::new();
                player.play(episode, |frame| {
                    frames.extend_from_slice(frame);
                    Ok(())
                })?;
                Ok(frames)
            },
            |_, frames| {
                stdout.write_all(&frames)?;
                bar.inc((frames.len() / crop::bytes(&crop)) as u64);
                Ok(ControlFlow::Continue(()))
            },
        )?;
        stdout.flush()?;
    } else {
        let mut index_file = PendingFile::create("--out", &index_path)?;
        let mut frames_file = PendingFile::create("--out", &args.out)?;
        let told = || format!("--out {}", args.out.display());
        let shape = [index.len(), crop.height as usize, crop.width as usize, 3];
        let header = npy::header("|u1", &shape);
        let file = frames_file.file();
        file.write_all(&header).with_context(told)?;
        let firsts = first_rows(&dataset, &index);
        // Each thread puts its frames where they belong: no frame waits for another in memory.
        let file = Mutex::new(file);
        for_each_ordered(
            players(),
            dataset.episodes.len(),
            |player, episode| {
                let mut row = firsts[episode];
                player.play(episode, |frame| {
                    let at = header.len() as u64 + row as u64 * crop::bytes(&crop) as u64;
                    write_at(&file, at, frame).with_context(told)?;
                    row += 1;
                    bar.inc(1);
                    Ok(())
                })
            },
            |_, ()| Ok(ControlFlow::Continue(())),
        )?;
        index_file
            .file()
            .write_all(&npy::integers(&index))
            .with_context(told)?;
        index_file.publish()?;
        frames_file.publish()?;
    }
    bar.finish_and_clear();
    summarise(args, &dataset, &index, &crop, started, to_pipe)
}

/// Episode and frame of every row.
fn kept(dataset: &Dataset, every: u64) -> Vec<[i64; 2]> {
    (0..dataset.episodes.len())
        .flat_map(|episode| {
            (0..dataset.states(episode).len())
                .filter(move |&frame| is_kept(episode, frame, every))
                .map(move |frame| [episode as i64, frame as i64])
        })
        .collect()
}

/// The first row of each episode.
fn first_rows(dataset: &Dataset, index: &[[i64; 2]]) -> Vec<usize> {
    (0..dataset.episodes.len())
        .map(|episode| index.partition_point(|row| row[0] < episode as i64))
        .collect()
}

fn write_at(file: &Mutex<&mut std::fs::File>, at: u64, bytes: &[u8]) -> io::Result<()> {
    let mut file = file
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

fn summarise(
    args: &Args,
    dataset: &Dataset,
    index: &[[i64; 2]],
    crop: &Window,
    started: Instant,
    to_pipe: bool,
) -> Result<()> {
    let seconds = started.elapsed().as_secs_f64();
    let line = format!(
        "{}: {} frames of {} x {} from {} episodes, {:.1} MB in {seconds:.1} s, {:.0} frames/s",
        args.out.display(),
        index.len(),
        crop.width,
        crop.height,
        dataset.episodes.len(),
        index.len() as f64 * crop::bytes(crop) as f64 / 1e6,
        index.len() as f64 / seconds,
    );
    if to_pipe {
        writeln!(io::stderr(), "{line}")?;
    } else {
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(())
}
