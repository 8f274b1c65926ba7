//! The state vectors that a policy is given of an arm.

use super::action_space::JointUnits;
use super::proprio::{NAMES, UNITS, proprio};
use super::{ControlConfig, ControlError, PROPRIO_STATE};
use crate::arm::ArmDescription;
use crate::policy::manifest::{StateSpec, Unit};
use crate::policy::{Name, StateVector};

/// Most state vectors of a policy.
const MOST_STATES: usize = 8;

/// State vectors as a tick's observation holds them.
pub type States<'a> = heapless::Vec<StateVector<'a>, MOST_STATES>;

/// Makes a policy's state vectors from measured joints. Allocates nothing once it is made.
#[derive(Debug, Clone)]
pub struct StateReader {
    arm: ArmDescription,
    config: ControlConfig,
    states: Vec<State>,
}

#[derive(Debug, Clone)]
struct State {
    name: String,
    names: Vec<Name>,
    units: Vec<Unit>,
    values: Vec<f32>,
    source: Source,
}

/// Where a state's values come from.
#[derive(Debug, Clone)]
enum Source {
    /// The tool's pose: [`proprio`].
    Pose,
    /// The joints, in the policy's units.
    Joints(JointUnits),
}

impl StateReader {
    /// The vectors that a policy declares; of a policy without a declaration the [`proprio`] under the name of
    /// [`PROPRIO_STATE`].
    ///
    /// # Errors
    /// When the arm does not measure one, or cannot count a joint in its unit.
    pub fn new(
        arm: &ArmDescription,
        config: &ControlConfig,
        declared: Option<&[StateSpec]>,
    ) -> Result<Self, ControlError> {
        let states = match declared {
            None => {
                with_gripper(arm)?;
                let (names, units) = (NAMES.to_vec(), UNITS.to_vec());
                vec![State::new(PROPRIO_STATE, names, units, Source::Pose)]
            }
            Some(specs) => specs
                .iter()
                .map(|spec| of_spec(arm, spec))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            arm: arm.clone(),
            config: config.clone(),
            states,
        })
    }

    /// Takes in the joints measured on the wire (rad, m).
    pub fn measure(&mut self, measured: &[f64]) {
        for state in &mut self.states {
            match &state.source {
                Source::Pose => {
                    let pose = proprio(&self.arm, &self.config, measured);
                    state.values.copy_from_slice(&pose);
                }
                Source::Joints(units) => {
                    for (slot, value) in state.values.iter_mut().zip(units.values(measured)) {
                        *slot = value;
                    }
                }
            }
        }
    }

    /// The vectors of the joints measured last.
    #[must_use]
    pub fn vectors(&self) -> States<'_> {
        let states = self.states.iter().take(MOST_STATES);
        states
            .map(|state| StateVector {
                name: &state.name,
                names: &state.names,
                units: &state.units,
                values: &state.values,
            })
            .collect()
    }
}

impl State {
    fn new(name: &str, names: Vec<Name>, units: Vec<Unit>, source: Source) -> Self {
        Self {
            name: name.to_owned(),
            values: vec![0.0; names.len()],
            names,
            units,
            source,
        }
    }
}

fn of_spec(arm: &ArmDescription, spec: &StateSpec) -> Result<State, ControlError> {
    let names = spec.names.iter().cloned().map(Name::from).collect();
    let of = |source| State::new(&spec.name, names, spec.units.clone(), source);
    if spec.names.iter().eq(NAMES.iter()) {
        with_gripper(arm)?;
        let mut values = spec.names.iter().zip(spec.units.iter().zip(UNITS));
        return match values.find(|(_, (unit, expected))| *unit != expected) {
            None => Ok(of(Source::Pose)),
            Some((name, (unit, expected))) => Err(ControlError::StateUnit {
                state: spec.name.clone(),
                name: name.clone(),
                unit: unit.name(),
                expected: expected.name(),
            }),
        };
    }
    match JointUnits::new(arm, &spec.names, &spec.units) {
        Ok(units) => Ok(of(Source::Joints(units))),
        Err(ControlError::Joints { arm, joints, .. }) => Err(ControlError::State {
            state: spec.name.clone(),
            names: spec.names.clone(),
            arm,
            joints,
        }),
        Err(error) => Err(error),
    }
}

/// The pose of the tool tells how far the gripper is open.
fn with_gripper(arm: &ArmDescription) -> Result<(), ControlError> {
    match arm.gripper() {
        Some(_) => Ok(()),
        None => Err(ControlError::NoGripper {
            what: "the policy's state, a pose of the tool,",
            arm: arm.name().to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::action_space::lerobot_joints;
    use crate::control::on_a_table;
    use crate::policy::manifest::Normalisation;

    fn spec(names: Vec<String>, units: Vec<Unit>) -> StateSpec {
        StateSpec {
            name: "observation.state".to_owned(),
            names,
            units,
            history: 1,
            pad_to: None,
            normalisation: Normalisation::Identity {},
        }
    }

    #[test]
    fn poses_and_joints_are_what_an_arm_measures() {
        let arm = ArmDescription::so101();
        let (names, units) = lerobot_joints(&arm);
        let specs = [
            spec(names, units),
            spec(
                NAMES.iter().map(|name| name.to_string()).collect(),
                UNITS.to_vec(),
            ),
        ];
        let mut reader = StateReader::new(&arm, &on_a_table(), Some(&specs)).unwrap();
        let mut measured = arm.wire_home();
        measured[5] = arm.gripper().unwrap().open_m;
        reader.measure(&measured);
        let states = reader.vectors();
        assert_eq!((states.len(), states[0].values.len()), (2, 6));
        assert!((states[0].values[5] - 100.0).abs() < 1e-3, "{states:?}");
        assert_eq!(
            states[1].values,
            proprio(&arm, &on_a_table(), &measured).as_slice()
        );
        for state in &states {
            assert_eq!(
                (state.names.len(), state.units.len()),
                (state.values.len(), state.values.len())
            );
        }
    }

    #[test]
    fn a_pose_is_not_measured_of_an_arm_without_a_gripper() {
        let text = include_str!("../../../boards/arms/so101.toml");
        let (start, end) = (
            text.find("[gripper]").unwrap(),
            text.find("[servos]").unwrap(),
        );
        let arm =
            ArmDescription::from_toml(&format!("{}{}", &text[..start], &text[end..])).unwrap();
        let names = NAMES.iter().map(|name| name.to_string()).collect();
        let pose = [spec(names, UNITS.to_vec())];
        for declared in [None, Some(&pose[..])] {
            let told = StateReader::new(&arm, &on_a_table(), declared)
                .unwrap_err()
                .to_string();
            assert!(told.contains("the arm so101 has none"), "{told}");
        }
        let (names, units) = lerobot_joints(&arm);
        let mut reader =
            StateReader::new(&arm, &on_a_table(), Some(&[spec(names, units)])).unwrap();
        reader.measure(&arm.wire_home());
        assert_eq!(reader.vectors()[0].values.len(), 5);
    }

    #[test]
    fn what_the_arm_does_not_measure_is_refused() {
        let arm = ArmDescription::wx250s();
        let (names, units) = lerobot_joints(&ArmDescription::so101());
        let told = StateReader::new(&arm, &on_a_table(), Some(&[spec(names, units)]))
            .unwrap_err()
            .to_string();
        assert!(
            told.contains("\"observation.state\" [shoulder_pan.pos") && told.contains("[waist, "),
            "{told}"
        );
        let names = NAMES.iter().map(|name| name.to_string()).collect();
        let mut units = UNITS.to_vec();
        units[3] = Unit::Degrees;
        let told = StateReader::new(&arm, &on_a_table(), Some(&[spec(names, units)]))
            .unwrap_err()
            .to_string();
        assert!(told.contains("\"roll\"") && told.contains("in degrees, it is measured in rad"));
    }
}
