//! One demonstration: the expert's episode with a picture of every step.

use anyhow::Result;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use wink_runtime::camera::Frame;
use wink_runtime::control::TRANSLATION_SCALE_M;
use wink_runtime::policy::{ActionChunk, ChunkShape, Observation, Policy, PolicyError};
use wink_sim::expert::Expert;
use wink_sim::render::Appearance;
use wink_sim::{Scene, SimOptions, Truth};

use super::lerobot::{Episode, Step};
use super::noise::Gaussian;
use super::stats::ImageStats;
use crate::rollout::{Pilot, Rollout};

/// Times that a demonstration is tried with ever other noise before it is left out.
const ATTEMPTS: u64 = 5;

/// How to demonstrate.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Standard deviation of the disturbance in metres a step; 0 for none.
    pub noise_m: f64,
    /// Steps recorded after the cube was set down.
    pub tail: u32,
    /// Whether each demonstration has a look of its own.
    pub randomise: bool,
    /// Width and height of the frames, pixels.
    pub frame: u32,
}

/// What came of a demonstration.
pub struct Demonstrated {
    /// The recording, or `None` where the expert failed every time.
    pub episode: Option<Episode>,
    /// Attempts beyond the first.
    pub retries: u64,
}

/// Demonstrates; keeps its buffers from one demonstration to the next.
pub struct Demonstrator {
    settings: Settings,
    frame: Frame,
}

impl Demonstrator {
    /// With nothing demonstrated yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            settings: *settings,
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
            if attempts > 1 && !self.rehearse(number, attempt)? {
                continue;
            }
            if let Some(episode) = self.film(number, attempt)? {
                return Ok(Demonstrated {
                    episode: Some(episode),
                    retries: attempt,
                });
            }
        }
        Ok(Demonstrated {
            episode: None,
            retries: attempts - 1,
        })
    }

    /// Whether this attempt succeeds.
    fn rehearse(&self, number: u64, attempt: u64) -> Result<bool> {
        let mut stage = Stage::set(&self.settings, number, attempt)?;
        while !stage.rollout.is_over() {
            stage.rollout.tick(&mut stage.expert)?;
        }
        Ok(stage.rollout.outcome().success(stage.scene.target))
    }

    fn film(&mut self, number: u64, attempt: u64) -> Result<Option<Episode>> {
        let Stage {
            scene,
            mut expert,
            mut rollout,
        } = Stage::set(&self.settings, number, attempt)?;
        let mut steps = Vec::new();
        let mut image_stats = ImageStats::new();
        let mut tail = 0..self.settings.tail;
        while !rollout.is_over() || tail.next().is_some() {
            rollout.look(&mut self.frame)?;
            image_stats.add(&self.frame.rgb);
            let truth = rollout.truth();
            let report = rollout.tick(&mut expert)?;
            steps.push(Step {
                png: png(&self.frame)?,
                state: report.proprio,
                action: expert.wanted,
                cube: truth.cube_position().cast::<f32>().into(),
                card: truth.target_card_position().cast::<f32>().into(),
            });
        }
        if !rollout.outcome().success(scene.target) {
            return Ok(None);
        }
        Ok(Some(Episode {
            instruction: scene.instruction(),
            steps,
            image_stats,
            seed: scene.seed,
            cards: scene.cards.map(|card| card.label().to_owned()),
            target: scene.target,
        }))
    }
}

/// A demonstration about to begin.
struct Stage {
    scene: Scene,
    expert: Disturbed,
    rollout: Rollout,
}

impl Stage {
    fn set(settings: &Settings, number: u64, attempt: u64) -> Result<Self> {
        let scene = Scene::demonstration(number);
        let appearance = if settings.randomise {
            Appearance::randomised(number)
        } else {
            Appearance::benchmark()
        };
        let options = SimOptions {
            appearance,
            frame_px: (settings.frame, settings.frame),
        };
        let noise_seed = number.wrapping_mul(ATTEMPTS).wrapping_add(attempt);
        let mut expert = Disturbed {
            expert: Expert::new(&scene),
            noise: Gaussian::new(noise_seed, settings.noise_m / TRANSLATION_SCALE_M),
            wanted: [0.0; 7],
        };
        let rollout = Rollout::begin(&scene, options, &mut expert, &scene.instruction())?;
        Ok(Self {
            scene,
            expert,
            rollout,
        })
    }
}

/// The expert with an unsteady hand: what it wanted is kept, what is executed is disturbed in x, y and z.
struct Disturbed {
    expert: Expert,
    noise: Gaussian,
    wanted: [f32; 7],
}

impl Pilot for Disturbed {
    fn show(&mut self, truth: &Truth) {
        self.expert.show(truth);
    }
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
