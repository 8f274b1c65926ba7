//! What cameras deliver: rate, age of frames, faults.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use wink_camera::{CameraConfig, Counts, LiveCamera, Source, open_all};
use wink_runtime::camera::{Camera, Frame};
use wink_runtime::clock::{Clock, MonotonicClock};
use wink_sim::board::{SimBoard, SimOptions};
use wink_sim::scene::{Scene, Split};

use super::episode::EpisodeCamera;
use crate::stats::Percentiles;

/// A camera that is to be measured.
pub enum Wanted {
    /// A device or a command.
    Live(CameraConfig),
    /// The simulator's.
    Simulator,
    /// One of a recorded episode.
    Episode(Box<EpisodeCamera>),
}

/// A camera and what it delivers, or why it does not.
pub struct Row {
    /// Its name.
    pub name: String,
    /// Where frames come from.
    pub source: String,
    /// What it delivers.
    pub measured: Result<Measured, String>,
}

/// What a camera delivers.
pub struct Measured {
    /// Format; of a source that gives RGB pictures itself, `rgb`.
    pub format: String,
    /// The rate that was asked for, where one was.
    pub wanted_fps: Option<f64>,
    /// Frames that were seen.
    pub frames: u64,
    /// The rate that was delivered, from the frames' own times.
    pub fps: f64,
    /// From a frame's time until its picture was decoded, us; `None` of a source whose time is not this machine's.
    pub age_us: Option<Percentiles>,
    /// What a device or a command has met.
    pub counts: Option<Counts>,
    /// Controls as they were read back.
    pub controls: Vec<(String, i64)>,
    /// The last picture.
    pub still: Frame,
    /// Where it was saved.
    pub still_path: Option<PathBuf>,
}

/// How cameras are measured.
pub struct Measurement {
    /// The time of frames.
    pub clock: MonotonicClock,
    /// How long.
    pub time: Duration,
}

/// So many repeated pictures in a row are no chance.
const FROZEN: u64 = 10;

impl Measurement {
    /// Measures cameras that are open at the same time.
    pub fn of(&self, cameras: Vec<Wanted>) -> Vec<Row> {
        let mut configs = Vec::new();
        let mut rows = Vec::new();
        for camera in cameras {
            match camera {
                Wanted::Live(config) => configs.push(config),
                Wanted::Simulator => rows.push(Row {
                    name: "sim".to_owned(),
                    source: "the simulator".to_owned(),
                    measured: self.simulator(),
                }),
                Wanted::Episode(camera) => rows.push(Row {
                    name: camera.name().to_owned(),
                    source: camera.source(),
                    measured: self.episode(*camera),
                }),
            }
        }
        if configs.is_empty() {
            return rows;
        }
        let row = |config: &CameraConfig, measured| Row {
            name: config.name.clone(),
            source: match &config.source {
                Source::Device(path) => path.display().to_string(),
                Source::Pipe(command) => command.clone(),
            },
            measured,
        };
        match open_all(&configs, &self.clock) {
            Err(error) => {
                let all = configs.iter();
                rows.extend(all.map(|config| row(config, Err(error.to_string()))));
            }
            Ok(cameras) => {
                let measured = std::thread::scope(|scope| {
                    let threads: Vec<_> = cameras
                        .into_iter()
                        .map(|camera| scope.spawn(move || self.live(camera)))
                        .collect();
                    let ended = threads.into_iter().map(|thread| {
                        thread
                            .join()
                            .unwrap_or_else(|_| Err("its thread has failed".to_owned()))
                    });
                    ended.collect::<Vec<_>>()
                });
                let all = configs.iter().zip(measured);
                rows.extend(all.map(|(config, measured)| row(config, measured)));
            }
        }
        rows
    }

    fn live(&self, mut camera: LiveCamera) -> Result<Measured, String> {
        let mut still = Frame::default();
        let mut ages_us = Vec::new();
        let mut first: Option<(u64, u64)> = None;
        let mut last = (0, 0);
        let start = Instant::now();
        let mut lost = None;
        while start.elapsed() < self.time {
            let left = self.time.saturating_sub(start.elapsed());
            // A camera that was unplugged has the rest of the time to come back.
            match camera.next_raw(left.max(Duration::from_secs(1))) {
                Ok(raw) => last = (raw.sequence, raw.time_us),
                Err(error) => {
                    lost = Some(error.to_string());
                    continue;
                }
            }
            lost = None;
            first.get_or_insert(last);
            if camera.decode(&mut still).is_ok() {
                ages_us.push(self.clock.now_us().saturating_sub(still.time_us));
            }
        }
        if let Some(why) = lost {
            return Err(why);
        }
        let counts = camera.counts();
        if ages_us.is_empty() {
            return Err(format!(
                "camera {}: {} frames came and none was whole: is its cable too long, or the format wrong?",
                camera.name(),
                counts.damaged
            ));
        }
        if counts.repeated >= FROZEN && counts.repeated + 1 >= counts.frames {
            return Err(format!(
                "camera {}: it is frozen: all {} frames are the same picture; unplug it and plug it in again",
                camera.name(),
                counts.frames
            ));
        }
        let (first_sequence, first_us) = first.unwrap_or(last);
        Ok(Measured {
            format: camera.mode().format.to_string(),
            wanted_fps: Some(camera.fps()),
            frames: last.0 - first_sequence + 1,
            fps: rate(last.0 - first_sequence, last.1 - first_us.min(last.1)),
            age_us: Some(Percentiles::of(&mut ages_us)),
            counts: Some(counts),
            controls: camera.pinned().to_vec(),
            still,
            still_path: None,
        })
    }

    fn simulator(&self) -> Result<Measured, String> {
        let scene = Scene::new(Split::Val, 0);
        let mut board = SimBoard::new(&scene, SimOptions::default()).map_err(|e| e.to_string())?;
        let mut still = Frame::default();
        let start = Instant::now();
        let mut frames = 0;
        while start.elapsed() < self.time {
            board.capture(&mut still).map_err(|e| e.to_string())?;
            frames += 1;
        }
        Ok(Measured {
            format: "rgb".to_owned(),
            wanted_fps: None,
            frames,
            fps: rate(frames, start.elapsed().as_micros() as u64),
            age_us: None,
            counts: None,
            controls: Vec::new(),
            still,
            still_path: None,
        })
    }

    fn episode(&self, mut camera: EpisodeCamera) -> Result<Measured, String> {
        let clock = self.clock.clone();
        camera
            .start(clock.clone())
            .map_err(|error| error.to_string())?;
        let mut still = Frame::default();
        let mut ages_us = Vec::new();
        let (mut first_us, mut last_us) = (None, 0);
        let start = Instant::now();
        let time = self.time.min(camera.length());
        while start.elapsed() < time {
            camera.capture(&mut still).map_err(|e| e.to_string())?;
            if first_us.is_none() || still.time_us != last_us {
                ages_us.push(clock.now_us().saturating_sub(still.time_us));
            }
            first_us.get_or_insert(still.time_us);
            last_us = still.time_us;
            camera.wait_for_next();
        }
        let frames = ages_us.len() as u64;
        let span_us = last_us - first_us.unwrap_or(last_us);
        Ok(Measured {
            format: "rgb".to_owned(),
            wanted_fps: Some(camera.fps()),
            frames,
            fps: rate(frames.saturating_sub(1), span_us),
            age_us: Some(Percentiles::of(&mut ages_us)),
            counts: None,
            controls: Vec::new(),
            still,
            still_path: None,
        })
    }
}

fn rate(periods: u64, time_us: u64) -> f64 {
    if time_us == 0 {
        return 0.0;
    }
    periods as f64 * 1e6 / time_us as f64
}
