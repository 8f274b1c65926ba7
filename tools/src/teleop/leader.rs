//! A leader arm: an arm without torque that a person moves.

use std::path::Path;

use anyhow::{Context, Result, bail};
use wink_runtime::arm::{ArmClient, ArmDescription, JointValues};
use wink_runtime::clock::{Clock, MonotonicClock};
use wink_runtime::control::{JointUnits, lerobot_joints};

use super::Person;
use crate::arm::{Adapter, CalibrationChoice, Machine, PATIENCE_US, until_disarmed};
use crate::bad_input::{as_bad_input, bad_input};
use crate::setup::Place;

/// Readings older than this are not followed.
const MOST_AGE_US: u64 = 200_000;

/// An arm whose joints a person moves by hand. Its servos are read at the rate of the firmware core, with torque off.
pub struct LeaderArm {
    name: String,
    machine: Adapter,
    client: ArmClient,
    leader: JointUnits,
    follower: JointUnits,
    clock: MonotonicClock,
    /// Number of the reading that came last, and when it came.
    reading: Option<(u32, u64)>,
}

impl LeaderArm {
    /// Opens the leader arm on a port and switches its torque off. It must be calibrated and have the follower's joints.
    ///
    /// # Errors
    /// When it is not there, is not calibrated, or has other joints.
    pub fn open(
        arm: &str,
        port: &str,
        calibration: &CalibrationChoice,
        boards: &Path,
        follower: &ArmDescription,
    ) -> Result<Self> {
        let told = || format!("--leader {port}");
        let place = Place::of(arm, Some(port), calibration, boards);
        let leader = place.calibrated().with_context(told)?;
        let (of_leader, of_follower) = units(&leader, follower).with_context(told)?;
        let mut machine = Adapter::new(place.drive(&leader).with_context(told)?);
        let mut client = ArmClient::new(&leader);
        client.greet(&mut machine, PATIENCE_US).with_context(told)?;
        client.disarm(&mut machine)?;
        until_disarmed(&mut client, &mut machine).with_context(told)?;
        Ok(Self {
            name: format!("the leader arm {} on {port}", leader.name()),
            machine,
            client,
            leader: of_leader,
            follower: of_follower,
            clock: MonotonicClock::new(),
            reading: None,
        })
    }
}

/// The joints of both arms as `LeRobot` counts them: degrees from the middle of each one's calibrated range, the gripper from closed
/// to open. So arms that were put together differently, or have other grippers, follow each other.
fn units(leader: &ArmDescription, follower: &ArmDescription) -> Result<(JointUnits, JointUnits)> {
    let (names, units) = lerobot_joints(follower);
    let of_leader = JointUnits::new(leader, &names, &units).map_err(|_| {
        let list = |arm: &ArmDescription| arm.wire_names().collect::<Vec<_>>().join(", ");
        bad_input(format!(
            "the leader {} has the joints {}, the follower {} has {}: a leader needs the same joints",
            leader.name(),
            list(leader),
            follower.name(),
            list(follower)
        ))
    })?;
    let of_follower = JointUnits::new(follower, &names, &units).map_err(as_bad_input)?;
    Ok((of_leader, of_follower))
}

impl Person for LeaderArm {
    fn with(&self) -> &str {
        &self.name
    }

    fn wanted(&mut self, _: &JointValues) -> Result<JointValues> {
        let machine_now_us = self.machine.now_us();
        self.client.poll(&mut self.machine, machine_now_us)?;
        let now_us = self.clock.now_us();
        let Some(telemetry) = self.client.telemetry() else {
            bail!("{} was not read yet", self.name);
        };
        let came_us = match self.reading {
            Some((seq, came_us)) if seq == telemetry.seq => came_us,
            _ => now_us,
        };
        self.reading = Some((telemetry.seq, came_us));
        let age_us = now_us - came_us;
        if age_us > MOST_AGE_US {
            match self.machine.trouble() {
                Some(trouble) => bail!("{}: {trouble}", self.name),
                None => bail!("{} was not read for {} ms", self.name, age_us / 1_000),
            }
        }
        if let Some(trouble) = self.machine.trouble() {
            bail!("{}: {trouble}", self.name);
        }
        let Some(measured) = self.client.positions() else {
            bail!("{} does not know where it is", self.name);
        };
        let mut values = [0.0; wink_runtime::arm::MOST_JOINTS + 1];
        let mut count = 0;
        for (slot, value) in values.iter_mut().zip(self.leader.values(&measured)) {
            *slot = value;
            count += 1;
        }
        Ok(self.follower.positions(&values[..count]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bad_input::exit_code;
    use wink_sim::setup::{SO101, WX250S};

    #[test]
    fn a_leader_with_other_joints_is_refused_with_both_lists() {
        let error = units(&WX250S.arm(), &SO101.arm()).err().unwrap();
        assert_eq!(exit_code(&error), 2);
        let told = error.to_string();
        assert!(
            told.contains("waist") && told.contains("shoulder_pan"),
            "{told}"
        );
    }

    #[test]
    fn the_same_place_in_both_ranges_is_the_same_to_a_leader_and_a_follower() {
        let (leader, follower) = units(&SO101.arm(), &SO101.arm()).unwrap();
        let home = SO101.arm().wire_home();
        let values: Vec<f32> = leader.values(&home).collect();
        let there = follower.positions(&values);
        for (there, home) in there.iter().zip(home.iter()) {
            assert!((there - home).abs() < 1e-4, "{there} {home}");
        }
    }
}
