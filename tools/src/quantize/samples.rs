//! What a policy sees, for calibration and for measuring errors: frames and states of demonstrations.

use std::ops::Range;

use anyhow::Result;
use wink_quantize::{Sample, feed};
use wink_runtime::camera::{FRONT_CAMERA, Frame};
use wink_runtime::control::proprio_state;
use wink_runtime::policy::{CameraFrame, Observation, OnnxPolicy};

use crate::bad_input::{as_bad_input, bad_input};
use crate::frames::dataset::Dataset;
use crate::record::course::{Course, Tasks};
use crate::record::demonstration::{Attempt, Settings};

/// Standard deviation of the expert's disturbance, metres a step: the states around the straight way count too.
const NOISE_M: f64 = 0.0015;

/// Where demonstrations come from.
pub enum Source {
    /// Made on the spot; those of the benchmark are 0 to 499 and show train cards only.
    Simulator,
    /// Recorded by `wink record`, and played again.
    Recorded(Box<Dataset>),
}

/// One moment.
pub struct Moment {
    /// What was asked for.
    pub instruction: String,
    /// What the camera saw.
    pub frame: Frame,
    /// Proprioception.
    pub state: [f32; 7],
}

impl Source {
    /// Every `every`th moment of the demonstrations in `range`.
    pub fn moments(
        &self,
        range: Range<u64>,
        every: usize,
        mut step: impl FnMut(),
    ) -> Result<Vec<Moment>> {
        let mut moments = Vec::new();
        for number in range {
            self.demonstrate(number, every, &mut moments)?;
            step();
        }
        Ok(moments)
    }

    fn demonstrate(&self, number: u64, every: usize, moments: &mut Vec<Moment>) -> Result<()> {
        let (settings, seed, attempt, recorded) = match self {
            Self::Simulator => {
                let settings = Settings {
                    noise_m: NOISE_M,
                    tasks: Tasks::Emoji,
                    tail: 0,
                    randomise: false,
                    images: false,
                    frame: 224,
                };
                (settings, number, 0, None)
            }
            Self::Recorded(dataset) => {
                let index = number as usize;
                let episode = &dataset.episodes[index];
                let states = dataset.states(index);
                (
                    dataset.settings,
                    episode.number,
                    episode.attempt,
                    Some(states),
                )
            }
        };
        let instruction = Course::new(settings.tasks, seed).instruction();
        let mut attempt = Attempt::begin(&settings, None, seed, attempt)?;
        let mut index = 0;
        while attempt.goes_on() {
            // Demonstrations do not all begin at the same phase, so that every part of the way is seen.
            let kept = (index + number as usize).is_multiple_of(every);
            let mut frame = Frame::default();
            if kept {
                attempt.look(&mut frame)?;
            }
            let (state, _) = attempt.step()?;
            if let Some(states) = recorded {
                let was = states.get(index).map(|s| s.map(f32::to_bits));
                if was != Some(state.map(f32::to_bits)) {
                    return Err(bad_input(format!(
                        "--data: demonstration {seed} played again is not what was recorded; record the dataset again with this version"
                    )));
                }
            }
            if kept {
                moments.push(Moment {
                    instruction: instruction.clone(),
                    frame,
                    state,
                });
            }
            index += 1;
        }
        Ok(())
    }
}

impl Moment {
    /// What the policy is shown.
    pub fn camera(&self) -> CameraFrame<'_> {
        CameraFrame {
            name: FRONT_CAMERA,
            frame: &self.frame,
        }
    }
}

/// The values that the stages of `policy` read at a moment.
pub fn sample(policy: &OnnxPolicy, moment: &Moment) -> Result<Sample> {
    let misfit = "the calibration samples do not fit this policy";
    let observation = Observation {
        cameras: &[moment.camera()],
        states: &[proprio_state(&moment.state)],
    };
    let mut sample = Sample::new();
    let values = policy
        .observed(&moment.instruction, &observation)
        .map_err(|e| as_bad_input(e).context(misfit))?;
    for (name, tensor) in values {
        let view = tensor.view();
        let value = match view.values::<f32>() {
            Ok(values) => feed(view.shape(), values)?,
            Err(_) => feed(view.shape(), view.values::<i64>()?)?,
        };
        sample.insert(name, value);
    }
    Ok(sample)
}
