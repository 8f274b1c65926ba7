//! The observations of a recorded episode as a policy sees them: cameras, states and the task by name.

use anyhow::Result;
use wink_runtime::camera::Frame;
use wink_runtime::policy::manifest::{Manifest, Unit};
use wink_runtime::policy::{CameraFrame, Name, Observation, StateVector};

use super::{Dataset, Kind};
use crate::bad_input::bad_input;

/// Which features of a data set a policy is fed.
pub struct Matching {
    cameras: Vec<String>,
    states: Vec<State>,
    /// Observations that the policy looks back on, this one included.
    history: usize,
}

struct State {
    feature: String,
    names: Vec<Name>,
    /// A recording does not say its units: they are those of the policy.
    units: Vec<Unit>,
    /// Place of each number in the recorded vector.
    places: Vec<usize>,
}

/// One observation of an episode.
pub struct Moment<'a> {
    /// Its frame in the episode.
    pub frame: usize,
    /// Whether actions are wanted; where not, it is history of one that follows.
    pub wanted: bool,
    /// The task in words.
    pub task: &'a str,
    /// What the policy sees.
    pub observation: Observation<'a>,
}

impl Matching {
    /// Finds the policy's cameras and states in the data set by name, and checks its rate.
    ///
    /// # Errors
    /// When the data set lacks one, or was recorded at another rate than the policy's.
    pub fn new(dataset: &Dataset, manifest: &Manifest) -> Result<Self> {
        let told = dataset.root().display();
        if dataset.info.fps != manifest.control_hz {
            return Err(bad_input(format!(
                "{told}: was recorded at {} frames a second, the policy runs at {} Hz (control_hz)",
                dataset.info.fps, manifest.control_hz
            )));
        }
        let observations = &manifest.observations;
        let held = dataset.info.named(&[Kind::Image, Kind::Video]);
        let cameras: Vec<String> = observations
            .cameras
            .iter()
            .map(|c| c.name.clone())
            .collect();
        if let Some(missing) = cameras.iter().find(|name| !held.contains(&name.as_str())) {
            return Err(bad_input(format!(
                "{told}: has no camera `{missing}`; the policy's cameras are {}, the data set's are {}",
                listed(&cameras),
                listed(&held)
            )));
        }
        let held = dataset.info.named(&[Kind::Vector]);
        let names: Vec<&str> = observations
            .states
            .iter()
            .map(|s| s.name.as_str())
            .collect();
        if let Some(missing) = names.iter().find(|name| !held.contains(name)) {
            return Err(bad_input(format!(
                "{told}: has no state `{missing}`; the policy's states are {}, the data set's vectors are {}",
                listed(&names),
                listed(&held)
            )));
        }
        let states = observations.states.iter().map(|spec| {
            Ok(State {
                places: places(dataset, &spec.name, &spec.names)?,
                feature: spec.name.clone(),
                names: spec.names.iter().cloned().map(Name::from).collect(),
                units: spec.units.clone(),
            })
        });
        let cameras_history = observations.cameras.iter().map(|c| c.history);
        let states_history = observations.states.iter().map(|s| s.history);
        Ok(Self {
            states: states.collect::<Result<_>>()?,
            history: cameras_history.chain(states_history).max().unwrap_or(1),
            cameras,
        })
    }

    /// Observations that the policy looks back on, this one included.
    pub fn history(&self) -> usize {
        self.history
    }

    /// Shows `visit` the frames `wanted` of an episode, which ascend, and before each what the policy looks back on.
    ///
    /// # Errors
    /// When the episode cannot be read, and what `visit` gives.
    pub fn walk(
        &self,
        dataset: &Dataset,
        episode: usize,
        wanted: &[usize],
        mut visit: impl FnMut(&Moment<'_>) -> Result<()>,
    ) -> Result<()> {
        let features: Vec<&str> = self.states.iter().map(|s| s.feature.as_str()).collect();
        let rows = dataset.rows(episode, &features)?;
        let shown = shown(wanted, self.history);
        let mut pictures = self
            .cameras
            .iter()
            .map(|camera| dataset.pictures(episode, camera, &shown))
            .collect::<Result<Vec<_>>>()?;
        let mut frames = vec![Frame::default(); self.cameras.len()];
        for &row in &shown {
            for (pictures, frame) in pictures.iter_mut().zip(&mut frames) {
                pictures.next(frame)?;
            }
            let cameras: Vec<CameraFrame<'_>> = self
                .cameras
                .iter()
                .zip(&frames)
                .map(|(name, frame)| CameraFrame { name, frame })
                .collect();
            let values: Vec<Vec<f32>> = self
                .states
                .iter()
                .map(|state| pick(rows.at(&state.feature, row), &state.places))
                .collect();
            let states: Vec<StateVector<'_>> = self
                .states
                .iter()
                .zip(&values)
                .map(|(state, values)| StateVector {
                    name: &state.feature,
                    names: &state.names,
                    units: &state.units,
                    values,
                })
                .collect();
            visit(&Moment {
                frame: row,
                wanted: wanted.binary_search(&row).is_ok(),
                task: dataset.task(&rows, row),
                observation: Observation {
                    cameras: &cameras,
                    states: &states,
                },
            })?;
        }
        Ok(())
    }
}

/// Where the numbers `names` stand in a recorded vector.
///
/// # Errors
/// When the data set has no such vector, or the vector lacks a number.
pub fn places(dataset: &Dataset, feature: &str, names: &[String]) -> Result<Vec<usize>> {
    let held = dataset.value_names(feature)?;
    let place = |name: &String| {
        held.iter().position(|held| held == name).ok_or_else(|| {
            bad_input(format!(
                "{}: {feature} has no `{name}`; the policy's numbers are {}, the data set's are {}",
                dataset.root().display(),
                listed(names),
                listed(&held)
            ))
        })
    };
    names.iter().map(place).collect()
}

/// The numbers at `places` of a row.
pub fn pick(row: &[f32], places: &[usize]) -> Vec<f32> {
    places
        .iter()
        .filter_map(|place| row.get(*place))
        .copied()
        .collect()
}

/// The frames `wanted` with the `history - 1` before each of them.
fn shown(wanted: &[usize], history: usize) -> Vec<usize> {
    let mut shown: Vec<usize> = wanted
        .iter()
        .flat_map(|&frame| frame.saturating_sub(history - 1)..=frame)
        .collect();
    shown.sort_unstable();
    shown.dedup();
    shown
}

fn listed(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_shown_before_what_is_wanted() {
        assert_eq!(shown(&[0, 5, 6], 1), [0, 5, 6]);
        assert_eq!(shown(&[0, 5, 6, 9], 3), [0, 3, 4, 5, 6, 7, 8, 9]);
        assert!(shown(&[], 2).is_empty());
    }
}
