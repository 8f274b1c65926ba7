//! One demonstration: the expert's episode with a picture of every step.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use serde::{Deserialize, Serialize};
use wink_runtime::camera::Frame;
use wink_runtime::policy::manifest::Manifest;
use wink_runtime::policy::{ActionChunk, ChunkShape, Observation, Policy, PolicyError};
use wink_runtime::session::Timing;
use wink_sim::render::{Appearance, Window};
use wink_sim::setup::UNITS;
use wink_sim::{SimBoard, SimOptions};

use super::columns::{Places, Step};
use super::course::{Course, Tasks};
use super::features::Features;
use super::lerobot::{Episode, Origin};
use super::noise::Gaussian;
use super::stats::ImageStats;
use crate::cell::CellArm;
use crate::rollout::{Pilot, Rollout, shared};

/// Times that a demonstration is tried with ever other noise before it is left out.
const ATTEMPTS: u64 = 5;

/// Standard deviations of the disturbance that are accepted, metres a step: above, noise drowns the expert.
pub const NOISE_M: RangeInclusive<f64> = 0.0..=0.05;
/// Steps that may follow the last one needed.
pub const TAIL_STEPS: RangeInclusive<i64> = 0..=200;
/// Widths and heights of the frames that are accepted, pixels.
pub const FRAME_PX: RangeInclusive<i64> = 16..=1024;

/// How to demonstrate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whose table it is on.
    #[serde(default, skip_serializing_if = "CellArm::is_benchmarks")]
    pub arm: CellArm,
    /// Standard deviation of the disturbance in metres a step; 0 for none.
    pub noise_m: f64,
    /// What is demonstrated.
    #[serde(default)]
    pub tasks: Tasks,
    /// Steps recorded after the task was done.
    pub tail: u32,
    /// Whether each demonstration has a look of its own.
    pub randomise: bool,
    /// Whether the recording shows frames.
    pub images: bool,
    /// Width and height of the frames, pixels; those of each camera where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<u32>,
}

impl Settings {
    /// Width and height of a camera's frames, by its place among the cell's.
    pub fn frame_px(&self, camera: usize) -> (u32, u32) {
        let own = self.arm.setup().cameras.get(camera);
        let own = own.map_or((0, 0), |camera| camera.frame_px);
        self.frame.map_or(own, |side| (side, side))
    }

    /// What is wrong with settings that come from a file, if anything is.
    pub fn check(&self) -> Result<(), String> {
        let told = |name: &str, least: &dyn Display, most: &dyn Display| {
            Err(format!("{name} must be {least} to {most}"))
        };
        if !NOISE_M.contains(&self.noise_m) {
            return told("noise_m", NOISE_M.start(), NOISE_M.end());
        }
        if !TAIL_STEPS.contains(&i64::from(self.tail)) {
            return told("tail", TAIL_STEPS.start(), TAIL_STEPS.end());
        }
        if self
            .frame
            .is_some_and(|side| !FRAME_PX.contains(&i64::from(side)))
        {
            return told("frame", FRAME_PX.start(), FRAME_PX.end());
        }
        Ok(())
    }
}

/// What came of a demonstration.
pub struct Demonstrated {
    /// What it was of.
    pub kind: &'static str,
    /// The recording, or `None` where the expert failed every time.
    pub episode: Option<Episode>,
    /// Attempts beyond the first.
    pub retries: u64,
}

/// Demonstrates; keeps its buffers from one demonstration to the next.
pub struct Demonstrator {
    settings: Settings,
    cameras: usize,
    frame: Frame,
}

impl Demonstrator {
    /// With nothing demonstrated yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            settings: *settings,
            cameras: match settings.images {
                true => settings.arm.setup().cameras.len(),
                false => 0,
            },
            frame: Frame::default(),
        }
    }

    /// The demonstration with this number, the same whenever it is asked for.
    pub fn demonstrate(&mut self, number: u64) -> Result<Demonstrated> {
        let attempts = if self.settings.noise_m > 0.0 {
            ATTEMPTS
        } else {
            1
        };
        for attempt in 0..attempts {
            // Pictures cost thirty times what the world does: rehearse without them.
            if attempts > 1 && self.settings.images && !self.rehearse(number, attempt)? {
                continue;
            }
            if let Some(episode) = self.film(number, attempt)? {
                return Ok(Demonstrated {
                    kind: self.kind(number),
                    episode: Some(episode),
                    retries: attempt,
                });
            }
        }
        Ok(Demonstrated {
            kind: self.kind(number),
            episode: None,
            retries: attempts - 1,
        })
    }

    fn kind(&self, number: u64) -> &'static str {
        Course::new(self.settings.arm.setup(), self.settings.tasks, number).kind()
    }

    /// Whether this attempt succeeds.
    fn rehearse(&self, number: u64, attempt: u64) -> Result<bool> {
        let mut attempt = Attempt::begin(&self.settings, None, number, attempt)?;
        while !attempt.is_over() && attempt.step()?.is_some() {}
        Ok(attempt.succeeded())
    }

    fn film(&mut self, number: u64, attempt: u64) -> Result<Option<Episode>> {
        let mut filmed = Attempt::begin(&self.settings, None, number, attempt)?;
        let mut steps = Vec::new();
        let mut image_stats = vec![ImageStats::new(); self.cameras];
        while filmed.goes_on() {
            let mut pictures = Vec::with_capacity(self.cameras);
            for (camera, stats) in image_stats.iter_mut().enumerate() {
                filmed.look(camera, &mut self.frame)?;
                stats.add(&self.frame.rgb);
                pictures.push(png(&self.frame)?);
            }
            let truth = filmed.rollout.truth();
            let Some((state, action)) = filmed.step()? else {
                break;
            };
            steps.push(Step {
                pictures,
                state,
                action,
                truth: Some(Places {
                    cube: truth.cube_position().cast::<f32>().into(),
                    goal: filmed.course.goal(&truth),
                }),
            });
        }
        if !filmed.succeeded() {
            return Ok(None);
        }
        let course = &filmed.course;
        Ok(Some(Episode {
            instruction: course.instruction(),
            steps,
            image_stats,
            origin: Origin::Demonstration {
                seed: number,
                attempt,
                kind: course.kind(),
                cards: course.card_labels(),
                target: course.target(),
            },
        }))
    }
}

/// An attempt at a demonstration, step by step; the same steps for the same settings, number and attempt.
pub struct Attempt {
    course: Course,
    expert: Arc<Mutex<Disturbed>>,
    rollout: Rollout,
    features: Features,
    tail: Range<u32>,
}

impl Attempt {
    /// Before the first step. Where there is a window, frames are drawn in it only.
    pub fn begin(
        settings: &Settings,
        window: Option<Window>,
        number: u64,
        attempt: u64,
    ) -> Result<Self> {
        let setup = settings.arm.setup();
        let course = Course::new(setup, settings.tasks, number);
        let appearance = if settings.randomise {
            course.random_look(number)
        } else {
            Appearance::benchmark()
        };
        let options = SimOptions {
            appearance,
            frame_px: settings.frame.map(|side| (side, side)),
            window,
            ..SimOptions::default()
        };
        let noise_seed = number.wrapping_mul(ATTEMPTS).wrapping_add(attempt);
        let Pilot { policy, shown } = course.expert();
        let expert = Arc::new(Mutex::new(Disturbed {
            expert: policy,
            noise: Gaussian::new(noise_seed, settings.noise_m / UNITS.translation_m),
            wanted: [0.0; 7],
        }));
        let world = shared(SimBoard::with_table(course.table(), options)?);
        let pilot = Pilot {
            policy: Box::new(Arc::clone(&expert)),
            shown,
        };
        let told = course.instruction();
        let rollout = Rollout::begin_on(world, pilot, &told, Timing::instant())?;
        Ok(Self {
            course,
            expert,
            rollout,
            features: Features::of(setup)?,
            tail: 0..settings.tail,
        })
    }

    /// Whether the task is done, the time is up, or the board holds the arm.
    fn is_over(&self) -> bool {
        self.course.is_over(&self.rollout) || self.is_held()
    }

    fn is_held(&self) -> bool {
        self.rollout.held().is_some()
    }

    /// Whether one more step belongs to the demonstration. To be asked once before each.
    pub fn goes_on(&mut self) -> bool {
        !self.is_over() || (!self.is_held() && self.tail.next().is_some())
    }

    /// What a camera sees before the next step, by its place among the cell's.
    pub fn look(&mut self, camera: usize, frame: &mut Frame) -> Result<()> {
        self.rollout.look_through(camera, frame)
    }

    /// One control step: the state before it, and what the expert wanted to do; `None` where the board holds the arm.
    pub fn step(&mut self) -> Result<Option<(Vec<f32>, Vec<f32>)>> {
        let before = self.rollout.space().boxed_clone();
        let Some(report) = self.rollout.tick()? else {
            return Ok(None);
        };
        let wanted = lock(&self.expert).wanted;
        let action = self.features.action_of(before, &wanted)?;
        Ok(Some((self.features.state_of(&report), action)))
    }

    /// Whether the demonstration shows what its instruction says.
    pub fn succeeded(&self) -> bool {
        !self.is_held() && self.course.is_done(&self.rollout)
    }
}

/// The expert with an unsteady hand: what it wanted is kept, what is executed is disturbed in x, y and z.
struct Disturbed {
    expert: Box<dyn Policy>,
    noise: Gaussian,
    wanted: [f32; 7],
}

/// The expert between two steps, when its thread is not at work.
fn lock(expert: &Mutex<Disturbed>) -> MutexGuard<'_, Disturbed> {
    expert.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Policy for Disturbed {
    fn begin_episode(&mut self, instruction: &str) -> Result<(), PolicyError> {
        self.expert.begin_episode(instruction)
    }

    fn act(
        &mut self,
        observation: &Observation<'_>,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        self.expert.act(observation, out)?;
        self.wanted.copy_from_slice(&out.data[..7]);
        for value in &mut out.data[..3] {
            *value = (f64::from(*value) + self.noise.sample()).clamp(-1.0, 1.0) as f32;
        }
        Ok(())
    }

    fn needs_frame(&self) -> bool {
        self.expert.needs_frame()
    }

    fn chunk_shape(&self) -> ChunkShape {
        self.expert.chunk_shape()
    }

    fn manifest(&self) -> Option<Manifest> {
        self.expert.manifest()
    }

    fn control_hz(&self) -> Option<f64> {
        self.expert.control_hz()
    }
}

/// The frame as a PNG file, packed fast rather than small.
fn png(frame: &Frame) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(
            &frame.rgb,
            frame.width,
            frame.height,
            ExtendedColorType::Rgb8,
        )?;
    Ok(bytes)
}
