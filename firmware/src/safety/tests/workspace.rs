//! The tool stays above the table, in its box and below its speed.

use proptest::prelude::*;

use super::*;
use crate::MAX_JOINTS;
use crate::config::distance;

const SPEED: f32 = 0.4;

fn workspace() -> Workspace {
    table_top([-0.5, -0.3, 0.02], [0.5, 0.3, 0.6], SPEED)
}

fn config(tick_us: u32) -> Config {
    Config {
        workspace: Some(workspace()),
        period_us: tick_us,
        ..Config::new(
            &[JointLimits {
                acceleration: 30.0,
                ..LIMITS
            }; JOINTS],
        )
        .unwrap()
    }
}

fn tool(angles: [f32; JOINTS]) -> [f32; 3] {
    let mut positions = [0.0; MAX_JOINTS];
    positions[..JOINTS].copy_from_slice(&angles);
    workspace().tool_at(&positions)
}

/// Streams a target for so long; the deepest that the tool was outside, and its highest speed.
fn stream(rig: &mut Rig, target: [f32; JOINTS], ticks: u32, tick_us: u64) -> (f32, f32) {
    let (mut deepest, mut fastest) = (0.0_f32, 0.0_f32);
    for tick in 0..ticks {
        if tick % 5 == 0 {
            rig.setpoint(&target, STEP_US);
        }
        let before = tool(rig.servos.positions);
        rig.now_us += tick_us;
        rig.tick();
        let after = tool(rig.servos.positions);
        deepest = deepest.max(workspace().depth(after));
        fastest = fastest.max(distance(before, after) / (tick_us as f32 * 1e-6));
    }
    (deepest, fastest)
}

#[test]
fn a_target_under_the_table_ends_above_it_and_the_arm_goes_on() {
    let mut rig = Rig::with(config(10_000), [0.0, -0.5, 0.5]).arm();
    let (deepest, _) = stream(&mut rig, [0.0, 0.9, 0.5], 400, TICK_US);
    assert!(deepest < 1e-4, "{deepest} m below");
    let low = tool(rig.servos.positions)[2];
    assert!(low < 0.06, "it stopped far from the border: {low}");
    assert!(rig.core.counters().outside_workspace >= 80);
    assert_eq!(rig.core.state(), State::Armed);
    stream(&mut rig, [0.3, -0.5, 0.5], 400, TICK_US);
    assert!((rig.servos.positions[0] - 0.3).abs() < 1e-3, "it goes on");
}

#[test]
fn the_tool_keeps_its_speed_limit_where_the_joints_would_be_faster() {
    let mut rig = Rig::with(config(10_000), [-0.6, -0.4, 0.3]).arm();
    let (_, fastest) = stream(&mut rig, [0.6, -0.4, 0.3], 200, TICK_US);
    assert!(fastest <= SPEED && fastest > 0.85 * SPEED, "{fastest}");
    assert!(
        (rig.servos.positions[0] - 0.6).abs() < 1e-3,
        "and it gets there"
    );
}

#[test]
fn a_tool_found_outside_may_come_in_and_only_in() {
    let outside = [0.0, 0.35, 0.35];
    let depth = workspace().depth(tool(outside));
    assert!(depth > 0.02, "{depth}");
    let mut rig = Rig::with(config(10_000), outside).arm();
    let (deepest, _) = stream(&mut rig, [0.0, 0.6, 0.6], 100, TICK_US);
    assert!(deepest <= depth + 1e-5, "{deepest} from {depth}");
    let (_, fastest) = stream(&mut rig, [0.0, -0.5, 0.4], 20, TICK_US);
    assert!(fastest < 0.2, "slowly: {fastest}");
    stream(&mut rig, [0.0, -0.5, 0.4], 600, TICK_US);
    assert!((rig.servos.positions[1] + 0.5).abs() < 1e-3);
}

proptest! {
    #[test]
    fn whatever_is_asked_the_tool_stays_inside_and_below_its_speed(
        targets in prop::collection::vec((prop::array::uniform3(-2.0_f32..2.0), 1_u32..80), 1..25),
        fine in any::<bool>(),
    ) {
        let tick_us = if fine { 2_000 } else { 10_000 };
        let mut rig = Rig::with(config(tick_us as u32), [0.0, -0.5, 0.5]).arm();
        for (target, ticks) in targets {
            let (deepest, fastest) = stream(&mut rig, target, ticks, tick_us);
            prop_assert!(deepest < 2e-3, "{deepest} m outside");
            prop_assert!(fastest <= SPEED * 1.001, "{fastest} m/s");
        }
    }
}
