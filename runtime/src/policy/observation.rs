//! What a policy sees: frames of cameras and state vectors, by name.

use std::borrow::Cow;

use super::PolicyError;
use super::manifest::{Manifest, StateSpec, Unit};
use crate::camera::Frame;

/// A name of a camera, a state or a number of a state.
pub type Name = Cow<'static, str>;

/// What a policy sees at one tick.
#[derive(Debug, Clone, Copy, Default)]
pub struct Observation<'a> {
    /// The newest frame of each camera; none where [`Policy::needs_frame`](super::Policy::needs_frame) is false.
    pub cameras: &'a [CameraFrame<'a>],
    /// The measured state vectors.
    pub states: &'a [StateVector<'a>],
}

/// The frame of a camera.
#[derive(Debug, Clone, Copy)]
pub struct CameraFrame<'a> {
    /// Name of the camera.
    pub name: &'a str,
    /// What it saw.
    pub frame: &'a Frame,
}

/// A measured state vector.
#[derive(Debug, Clone, Copy)]
pub struct StateVector<'a> {
    /// Name of the vector.
    pub name: &'a str,
    /// Name of each number.
    pub names: &'a [Name],
    /// Unit of each number.
    pub units: &'a [Unit],
    /// The numbers.
    pub values: &'a [f32],
}

impl<'a> Observation<'a> {
    /// The frame of a camera.
    #[must_use]
    pub fn camera(&self, name: &str) -> Option<&'a Frame> {
        let mut cameras = self.cameras.iter();
        cameras.find(|c| c.name == name).map(|c| c.frame)
    }

    /// A state vector.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<&'a StateVector<'a>> {
        self.states.iter().find(|state| state.name == name)
    }

    /// Checks that the policy's cameras and states are all there, and no others: a policy that ignores a camera was wired to
    /// another robot.
    ///
    /// # Errors
    /// The first camera, state or number that does not match, by name.
    pub fn check(&self, manifest: &Manifest) -> Result<(), PolicyError> {
        let wanted = manifest.observations.cameras.iter().map(|c| &*c.name);
        check_names("camera", wanted, self.cameras.iter().map(|c| c.name))?;
        let wanted = manifest.observations.states.iter().map(|s| &*s.name);
        check_names("state", wanted, self.states.iter().map(|s| s.name))?;
        for spec in &manifest.observations.states {
            if let Some(state) = self.state(&spec.name) {
                state.check(spec)?;
            }
        }
        Ok(())
    }
}

impl StateVector<'_> {
    /// Checks names, their order, units and values.
    fn check(&self, spec: &StateSpec) -> Result<(), PolicyError> {
        let expected = spec.names.len();
        if self.names.len() != expected || self.values.len() != expected {
            return Err(PolicyError::StateLength {
                state: spec.name.clone(),
                expected,
                given: self.values.len(),
            });
        }
        for (index, (wanted, given)) in spec.names.iter().zip(self.names).enumerate() {
            if wanted != given {
                return Err(PolicyError::StateOrder {
                    state: spec.name.clone(),
                    index,
                    expected: wanted.clone(),
                    given: given.clone().into_owned(),
                });
            }
            let units = (spec.units.get(index), self.units.get(index));
            if units.0 != units.1 {
                let name = |unit: Option<&Unit>| unit.map_or("no unit", |unit| unit.name());
                return Err(PolicyError::StateUnit {
                    state: spec.name.clone(),
                    name: wanted.clone(),
                    expected: name(units.0),
                    given: name(units.1),
                });
            }
        }
        match self.values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(index) => Err(PolicyError::NotFinite {
                what: spec.name.clone(),
                index,
            }),
        }
    }
}

fn check_names<'a>(
    kind: &'static str,
    wanted: impl Iterator<Item = &'a str> + Clone,
    given: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), PolicyError> {
    let listed = |names: &mut dyn Iterator<Item = &'a str>| {
        let names: Vec<&str> = names.collect();
        match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        }
    };
    if let Some(name) = wanted
        .clone()
        .find(|name| !given.clone().any(|g| g == *name))
    {
        return Err(PolicyError::Missing {
            kind,
            name: name.to_owned(),
            given: listed(&mut given.clone()),
        });
    }
    match given
        .clone()
        .find(|name| !wanted.clone().any(|w| w == *name))
    {
        None => Ok(()),
        Some(name) => Err(PolicyError::Superfluous {
            kind,
            name: name.to_owned(),
            wanted: listed(&mut wanted.clone()),
        }),
    }
}
