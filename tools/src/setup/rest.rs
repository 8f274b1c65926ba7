//! The pose that the arm rests in, where it can be let go of.

use anyhow::Result;
use serde_json::{Value, json};
use wink_runtime::arm::ArmClient;

use super::{Dialogue, Place};
use crate::arm::{Adapter, PATIENCE_US, joints, listen};

/// Time between two looks at the arm.
const LOOK_US: u64 = 50_000;

pub fn run(place: &Place, dialogue: &mut Dialogue) -> Result<Value> {
    let arm = place.calibrated()?;
    let mut machine = Adapter::new(place.drive(&arm)?);
    let mut client = ArmClient::new(&arm);
    client.greet(&mut machine, PATIENCE_US)?;
    dialogue.ask("Hold the arm: its torque goes off when you press Enter.")?;
    client.power_down(&mut machine)?;
    crate::arm::until_disarmed(&mut client, &mut machine)?;
    let all = joints(&arm);
    dialogue.ask_while(
        "Put the arm into the pose in which it rests by itself. Then press Enter.",
        || {
            listen(&mut client, &mut machine, LOOK_US)?;
            let measured = client.measured().unwrap_or_default();
            Ok(all
                .iter()
                .zip(measured)
                .map(|(joint, position)| {
                    format!("  {:<14}{position:>9.3} {}", joint.name, joint.unit)
                })
                .collect())
        },
    )?;
    listen(&mut client, &mut machine, LOOK_US)?;
    let measured = client
        .measured()
        .ok_or(wink_runtime::arm::ArmClientError::NotMeasured)?;
    let mut found = place.found()?;
    found.rest = all
        .iter()
        .zip(measured)
        .map(|(joint, position)| {
            (
                joint.name.to_owned(),
                (f64::from(*position) * 1e4).round() / 1e4,
            )
        })
        .collect();
    for (joint, position) in all.iter().zip(measured) {
        let position = f64::from(*position);
        if !(joint.min..=joint.max).contains(&position) {
            dialogue.tell(&format!(
                "{} rests at {position:.3} {}, outside of its limits {:.3} .. {:.3}: from there it first moves inwards, slowly.",
                joint.name, joint.unit, joint.min, joint.max
            ))?;
        }
    }
    let kept = place.keep(&found)?;
    dialogue.tell(&format!("The rest pose is kept in {}.", kept.display()))?;
    Ok(json!({ "rest": found.rest, "kept_in": kept }))
}
