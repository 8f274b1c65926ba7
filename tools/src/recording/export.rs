//! Episodes of recordings as a LeRobotDataset v3.0.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use image::{ImageFormat, ImageReader, Limits};
use serde::Serialize;

use super::{Entry, Event, Facts, Reader};
use crate::bad_input::{as_bad_input, bad_input};
use crate::out_dir::OutDir;
use crate::progress;
use crate::record::columns::Step;
use crate::record::lerobot::{CameraInfo, DatasetInfo, DatasetWriter, Episode, Origin};
use crate::record::stats::ImageStats;

/// A frame that is older than this at a tick is none: the camera was frozen.
const MOST_FRAME_AGE_US: u64 = 500_000;
/// Most rows of an episode: half an hour at 60 Hz.
const MOST_ROWS: usize = 108_000;
/// Longest side of a picture, pixels.
const MOST_SIDE: u32 = 8192;

/// What became of recordings.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Exported {
    /// Episodes in the data set.
    pub episodes: usize,
    /// Their ticks.
    pub frames: usize,
    /// Episodes that were dropped by the operator.
    pub dropped: usize,
    /// Episodes that are not fit for a data set, and why.
    pub left_out: Vec<String>,
    /// Recordings that end before their end was written, and how.
    pub cut_off: Vec<String>,
}

/// Part of a recording that is an episode.
#[derive(Debug, Clone, PartialEq)]
struct Span {
    from_us: u64,
    to_us: u64,
    instruction: String,
    success: Option<bool>,
    dropped: bool,
}

/// Writes the episodes of recordings that were not dropped to a new folder.
///
/// # Errors
/// When a file is no recording, recordings are of different arms, rates or cameras, or there is no episode at all.
pub fn export(files: &[PathBuf], out: &Path, force: bool) -> Result<Exported> {
    let out = OutDir::create(out, force, "meta/info.json")?;
    let mut exported = Exported::default();
    let mut writer: Option<(DatasetWriter, Facts)> = None;
    let bar = progress::bar(files.len() as u64, "reading recordings");
    for file in files {
        let spans = spans(file, &mut exported)?;
        add(file, &spans, out.path(), &mut writer, &mut exported)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let Some((writer, _)) = writer else {
        let why = exported.left_out.first();
        return Err(bad_input(match why {
            Some(why) => format!("no episode is fit for a data set: {why}"),
            None => format!(
                "no episode was kept: the recordings hold none, or all {} were dropped",
                exported.dropped
            ),
        }));
    };
    let totals = writer.finish()?;
    exported.episodes = totals.episodes;
    exported.frames = totals.frames;
    out.publish()?;
    Ok(exported)
}

/// The episodes of a recording, from its events.
fn spans(file: &Path, exported: &mut Exported) -> Result<Vec<Span>> {
    let mut reader = Reader::open(file)?.without_pictures();
    let mut spans: Vec<Span> = Vec::new();
    let (mut open, mut instruction, mut last_us) = (false, String::new(), 0);
    for entry in &mut reader {
        match entry? {
            Entry::Tick(tick) => last_us = tick.start_us,
            Entry::Event { time_us, event } => match event {
                Event::Instruction { text } => {
                    if let Some(span) = spans
                        .last_mut()
                        .filter(|span| open && span.from_us == time_us)
                    {
                        span.instruction.clone_from(&text);
                    }
                    instruction = text;
                }
                Event::EpisodeBegin => {
                    close(&mut spans, &mut open, last_us);
                    spans.push(Span {
                        from_us: time_us,
                        to_us: u64::MAX,
                        instruction: instruction.clone(),
                        success: None,
                        dropped: false,
                    });
                    open = true;
                }
                Event::EpisodeEnd => close(&mut spans, &mut open, time_us),
                Event::Success { success } => {
                    if let Some(span) = spans.last_mut() {
                        span.success = Some(success);
                    }
                }
                Event::Kept | Event::Dropped => {
                    if let Some(span) = spans.last_mut() {
                        span.dropped = event == Event::Dropped;
                    }
                }
                Event::KeepLast { seconds } => {
                    let span = Span {
                        from_us: time_us.saturating_sub((seconds.max(0.0) * 1e6) as u64),
                        to_us: time_us,
                        instruction: instruction.clone(),
                        success: None,
                        dropped: false,
                    };
                    // Marks that follow are of the episode that is running.
                    let at = spans.len() - usize::from(open);
                    spans.insert(at, span);
                }
                _ => {}
            },
            _ => {}
        }
    }
    close(&mut spans, &mut open, last_us);
    if let Some(why) = reader.cut_off() {
        exported.cut_off.push(format!("{}: {why}", file.display()));
    }
    exported.dropped += spans.iter().filter(|span| span.dropped).count();
    spans.retain(|span| !span.dropped);
    Ok(spans)
}

fn close(spans: &mut [Span], open: &mut bool, time_us: u64) {
    if let Some(span) = spans.last_mut().filter(|_| *open) {
        span.to_us = time_us;
    }
    *open = false;
}

/// An episode as it is read.
struct Gathered<'a> {
    span: &'a Span,
    steps: Vec<Step>,
    stats: Vec<ImageStats>,
    wrong: Option<String>,
}

/// The newest frame of a camera.
#[derive(Clone, Default)]
struct Newest {
    time_us: u64,
    bytes: Vec<u8>,
    size_px: (u32, u32),
    stats: Option<ImageStats>,
}

fn add(
    file: &Path,
    spans: &[Span],
    root: &Path,
    writer: &mut Option<(DatasetWriter, Facts)>,
    exported: &mut Exported,
) -> Result<()> {
    let told = file.display().to_string();
    let mut reader = Reader::open(file)?;
    let facts = reader.facts().clone();
    if let Some((_, first)) = writer {
        check_alike(first, &facts).map_err(|error| error.context(told.clone()))?;
    }
    let mut newest = vec![Newest::default(); facts.cameras.len()];
    let mut gathered: Vec<Gathered<'_>> = spans
        .iter()
        .map(|span| Gathered {
            span,
            steps: Vec::new(),
            stats: vec![ImageStats::new(); facts.cameras.len()],
            wrong: None,
        })
        .collect();
    for entry in &mut reader {
        match entry? {
            Entry::Picture(picture) => {
                let rgb = decode(&picture.bytes).with_context(|| {
                    format!("{told}: a frame of {}", facts.cameras[picture.camera].name)
                });
                let rgb = rgb.map_err(as_bad_input)?;
                let mut stats = ImageStats::new();
                stats.add(&rgb);
                newest[picture.camera] = Newest {
                    time_us: picture.time_us,
                    bytes: picture.bytes,
                    size_px: rgb.dimensions(),
                    stats: Some(stats),
                };
            }
            Entry::Tick(tick) => {
                let now_us = tick.start_us;
                let ended = |one: &Gathered<'_>| one.span.to_us < now_us;
                while let Some(at) = gathered.iter().position(ended) {
                    let one = gathered.remove(at);
                    finish(one, &told, &facts, &newest, root, writer, exported)?;
                }
                let running = gathered.iter_mut().filter(|one| one.span.from_us <= now_us);
                for one in running {
                    one.take(&tick, &facts, &newest);
                }
            }
            _ => {}
        }
    }
    for one in gathered {
        finish(one, &told, &facts, &newest, root, writer, exported)?;
    }
    Ok(())
}

impl Gathered<'_> {
    fn take(&mut self, tick: &super::Tick, facts: &Facts, newest: &[Newest]) {
        if self.wrong.is_some() {
            return;
        }
        if self.steps.len() == MOST_ROWS {
            self.wrong = Some(format!("it has more than {MOST_ROWS} ticks"));
            return;
        }
        let seen = |camera: &Newest| camera.stats.is_some();
        if !newest.iter().all(seen) {
            // Before the first frames.
            return;
        }
        for (camera, facts) in newest.iter().zip(&facts.cameras) {
            let age_us = tick.start_us.saturating_sub(camera.time_us);
            if age_us > MOST_FRAME_AGE_US {
                let age_ms = age_us / 1_000;
                let name = &facts.name;
                self.wrong = Some(format!("{name} gave no frame for {age_ms} ms"));
                return;
            }
        }
        for (all, camera) in self.stats.iter_mut().zip(newest) {
            if let Some(stats) = &camera.stats {
                all.merge(stats);
            }
        }
        self.steps.push(Step {
            pictures: newest.iter().map(|camera| camera.bytes.clone()).collect(),
            state: tick.state.clone(),
            action: tick.command.clone(),
            truth: None,
        });
    }
}

fn finish(
    one: Gathered<'_>,
    told: &str,
    facts: &Facts,
    newest: &[Newest],
    root: &Path,
    writer: &mut Option<(DatasetWriter, Facts)>,
    exported: &mut Exported,
) -> Result<()> {
    let wrong = match one.wrong {
        Some(wrong) => Some(wrong),
        None if one.steps.is_empty() => {
            Some("it has no tick with a frame of each camera".to_owned())
        }
        None if one.span.instruction.is_empty() => Some("it has no instruction".to_owned()),
        None => None,
    };
    if let Some(wrong) = wrong {
        let at_s = one.span.from_us as f64 / 1e6;
        exported
            .left_out
            .push(format!("{told}: the episode at {at_s:.1} s: {wrong}"));
        return Ok(());
    }
    let (writer, _) = match writer {
        Some(writer) => writer,
        None => {
            let created = DatasetWriter::create(root, info(facts, newest)?)?;
            writer.insert((created, facts.clone()))
        }
    };
    let name = Path::new(told).file_name().unwrap_or_default();
    writer.add(&Episode {
        instruction: one.span.instruction.clone(),
        steps: one.steps,
        image_stats: one.stats,
        origin: Origin::Recording {
            file: name.to_string_lossy().into_owned(),
            success: one.span.success,
        },
    })
}

fn info(facts: &Facts, newest: &[Newest]) -> Result<DatasetInfo> {
    let fps = facts.control_hz.round();
    if (fps - facts.control_hz).abs() > 1e-6 || fps < 1.0 {
        return Err(bad_input(format!(
            "a data set needs a whole number of frames a second, the recording has {}",
            facts.control_hz
        )));
    }
    let cameras = facts.cameras.iter().zip(newest);
    Ok(DatasetInfo {
        robot_type: facts.arm.clone(),
        fps: fps as u32,
        state: facts.lerobot_names.clone(),
        action: facts.lerobot_names.clone(),
        cameras: cameras
            .map(|(camera, newest)| CameraInfo {
                name: camera.name.clone(),
                size_px: newest.size_px,
            })
            .collect(),
        demonstrated: None,
    })
}

/// Episodes of one data set have the same joints, rate and cameras.
fn check_alike(first: &Facts, other: &Facts) -> Result<()> {
    let names = |facts: &Facts| {
        let names = facts.cameras.iter().map(|camera| camera.name.clone());
        names.collect::<Vec<_>>().join(", ")
    };
    let differ = |what: &str, first: String, other: String| {
        Err(bad_input(format!(
            "its {what} is {other}, that of the first recording {first}: they do not go into one data set"
        )))
    };
    if first.arm != other.arm || first.lerobot_names != other.lerobot_names {
        return differ("arm", first.arm.clone(), other.arm.clone());
    }
    if first.control_hz != other.control_hz {
        return differ(
            "rate",
            first.control_hz.to_string(),
            other.control_hz.to_string(),
        );
    }
    if names(first) != names(other) {
        return differ("list of cameras", names(first), names(other));
    }
    Ok(())
}

/// Decodes a JPEG or PNG file.
pub fn decode(bytes: &[u8]) -> Result<image::RgbImage> {
    let format = image::guess_format(bytes)?;
    anyhow::ensure!(
        matches!(format, ImageFormat::Jpeg | ImageFormat::Png),
        "it is neither JPEG nor PNG"
    );
    let mut reader = ImageReader::with_format(std::io::Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_SIDE);
    limits.max_image_height = Some(MOST_SIDE);
    reader.limits(limits);
    Ok(reader.decode()?.into_rgb8())
}
