//! What the servos say of themselves, watched: load, temperature, voltage.

use crate::MAX_JOINTS;
use crate::config::{Config, JointGuard, StallLimit};
use crate::motion::Positions;
use crate::servo::{Alerts, ServoState};
use crate::wire::HoldReason;

/// Heat and low voltage must last this long, so that one bad reply or the dip of a starting motor
/// is no reason to stop.
const SETTLE_US: u64 = 50_000;

/// How fast a capped goal is eased back, seconds: slow against the lag of a servo, or it swings.
const EASE_S: f32 = 0.1;

/// A condition and since when it has lasted.
#[derive(Debug, Clone, Copy, Default)]
struct Since(Option<u64>);

impl Since {
    /// Whether the condition has now lasted for `least_us`.
    fn lasts(&mut self, holds: bool, now_us: u64, least_us: u64) -> bool {
        if !holds {
            self.0 = None;
            return false;
        }
        let since = *self.0.get_or_insert(now_us);
        now_us.saturating_sub(since) >= least_us
    }
}

#[derive(Debug, Clone, Copy)]
struct Watch {
    stalled: Since,
    hot: Since,
    /// Where a stalled joint shall go; as long as it is to hold because of that.
    retreat: Option<f32>,
    /// How far the goal may be from the measured position for the torque cap's sake.
    reach: f32,
}

impl Watch {
    const NEW: Self = Self {
        stalled: Since(None),
        hot: Since(None),
        retreat: None,
        reach: f32::INFINITY,
    };
}

/// The guards of all joints, and of the supply.
#[derive(Debug, Clone)]
pub(super) struct Guards {
    watches: [Watch; MAX_JOINTS],
    unfit_supply: Since,
    /// Too hot, or a supply outside of its limits, at the last look.
    alarm: Option<HoldReason>,
}

impl Guards {
    pub const fn new() -> Self {
        Self {
            watches: [Watch::NEW; MAX_JOINTS],
            unfit_supply: Since(None),
            alarm: None,
        }
    }

    /// What keeps torque from being switched on, or the arm from going on.
    pub const fn alarm(&self) -> Option<HoldReason> {
        self.alarm
    }

    /// Looks at what was just read. `goals` are the last written, `None` without torque.
    pub fn look(
        &mut self,
        config: &Config,
        measured: &[ServoState; MAX_JOINTS],
        goals: Option<Positions>,
        now_us: u64,
    ) -> Option<HoldReason> {
        let states = || measured.iter().take(config.joints.len());
        let unfit = states().any(|servo| {
            servo
                .voltage_v
                .is_some_and(|voltage_v| voltage_v < config.min_voltage_v)
                || servo
                    .alerts
                    .intersects(Alerts::VOLTAGE.union(Alerts::OVERVOLTAGE))
        });
        let unfit = self.unfit_supply.lasts(unfit, now_us, SETTLE_US);
        let mut hot = false;
        let mut stalled = false;
        let joints = self.watches.iter_mut().zip(&config.guards).zip(measured);
        for (index, ((watch, guard), servo)) in joints.enumerate() {
            let heat = servo
                .temperature_c
                .is_some_and(|temperature_c| temperature_c >= guard.max_temperature_c)
                || servo.alerts.contains(Alerts::OVERHEATING);
            hot |= watch.hot.lasts(heat, now_us, SETTLE_US);
            let goal = goals.and_then(|goals| goals.get(index).copied());
            stalled |= watch.look_for_stall(guard, servo, goal, now_us);
        }
        self.alarm = if hot {
            Some(HoldReason::Temperature)
        } else if unfit {
            Some(HoldReason::Voltage)
        } else {
            None
        };
        self.alarm.or(stalled.then_some(HoldReason::Stall))
    }

    /// Where a joint that stalled shall go while the arm holds for it.
    pub fn retreat(&self, joint: usize) -> Option<f32> {
        self.watches.get(joint)?.retreat
    }

    /// Whether a joint's torque is being capped.
    pub fn caps(&self, joint: usize) -> bool {
        self.watches
            .get(joint)
            .is_some_and(|watch| watch.reach.is_finite())
    }

    /// Forgets what lasts and who stalled, not what is too hot or too weak.
    pub fn start_anew(&mut self) {
        self.watches = [Watch::NEW; MAX_JOINTS];
        self.unfit_supply = Since(None);
    }

    /// `wanted` (rad or m) brought near enough to the measured position for the joint's torque cap.
    ///
    /// For a servo whose torque grows with its error, the reach then settles in [`EASE_S`] where the
    /// load is the cap, whatever the servo's stiffness.
    pub fn cap_torque(
        &mut self,
        joint: usize,
        guard: &JointGuard,
        servo: &ServoState,
        goal: f32,
        wanted: f32,
        dt: f32,
    ) -> f32 {
        let Some(watch) = self.watches.get_mut(joint) else {
            return wanted;
        };
        if guard.torque.is_infinite() || !servo.position.is_finite() {
            return wanted;
        }
        let excess = servo.load.abs() / guard.torque - 1.0;
        if excess > 0.0 {
            watch.reach = watch.reach.min((goal - servo.position).abs());
        }
        if watch.reach.is_infinite() {
            return wanted;
        }
        let change = (dt / EASE_S * -excess).clamp(-0.5, 0.5);
        watch.reach *= 1.0 + change;
        let gap = wanted - servo.position;
        if excess < 0.0 && gap.abs() <= watch.reach {
            watch.reach = f32::INFINITY;
            return wanted;
        }
        // `max` and `min` rather than `clamp`: they cannot panic.
        servo.position + gap.max(-watch.reach).min(watch.reach)
    }
}

impl Watch {
    fn look_for_stall(
        &mut self,
        guard: &JointGuard,
        servo: &ServoState,
        goal: Option<f32>,
        now_us: u64,
    ) -> bool {
        let (Some(stall), Some(goal)) = (guard.stall, goal) else {
            self.stalled = Since(None);
            return false;
        };
        let StallLimit {
            load,
            current_a,
            error,
            time_us,
        } = stall;
        let gap = goal - servo.position;
        let strains = match servo.current_a {
            Some(measured_a) if current_a.is_finite() => measured_a.abs() >= current_a,
            _ => servo.load.abs() >= load,
        } || servo
            .alerts
            .intersects(Alerts::OVERLOAD.union(Alerts::OVERCURRENT));
        let stalls = strains && gap.abs() >= error;
        let lasts = self.stalled.lasts(stalls, now_us, time_us.into());
        if lasts && self.retreat.is_none() {
            // Half the error still bears a load; none at all would let go of it.
            let kept = (gap * 0.5).max(-error * 0.5).min(error * 0.5);
            self.retreat = Some(servo.position + kept);
        }
        lasts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::JointLimits;

    const LIMITS: JointLimits = JointLimits {
        min: -1.0,
        max: 1.0,
        velocity: 1.0,
        acceleration: 10.0,
        jerk: f32::INFINITY,
    };
    const STALL: StallLimit = StallLimit {
        load: 0.8,
        current_a: f32::INFINITY,
        error: 0.1,
        time_us: 300_000,
    };

    fn config(guard: JointGuard, min_voltage_v: f32) -> Config {
        Config {
            guards: heapless::Vec::from_array([guard; 2]),
            min_voltage_v,
            ..Config::new(&[LIMITS; 2]).unwrap()
        }
    }

    fn servo(position: f32, load: f32, temperature_c: f32, voltage_v: f32) -> ServoState {
        ServoState {
            position,
            load,
            temperature_c: Some(temperature_c),
            voltage_v: Some(voltage_v),
            ..ServoState::default()
        }
    }

    fn alert(alerts: Alerts) -> ServoState {
        ServoState {
            alerts,
            ..ServoState::default()
        }
    }

    /// What a second joint that says this of itself for `time_us` leads to, looked at every 10 ms.
    fn outcome(config: &Config, second: ServoState, goal: f32, time_us: u64) -> Option<HoldReason> {
        let mut guards = Guards::new();
        let mut measured = [ServoState::default(); MAX_JOINTS];
        measured[1] = second;
        let mut goals = Positions::default();
        goals[1] = goal;
        (0..=time_us / 10_000)
            .map(|look| guards.look(config, &measured, Some(goals), look * 10_000))
            .last()
            .unwrap()
    }

    #[test]
    fn each_condition_must_be_whole_and_last() {
        let guard = JointGuard {
            stall: Some(STALL),
            max_temperature_c: 70.0,
            torque: f32::INFINITY,
            start: f32::INFINITY,
        };
        let config = config(guard, 10.5);
        let cases = [
            (
                "all is well",
                servo(0.0, 0.1, 40.0, 12.0),
                0.0,
                1_000_000,
                None,
            ),
            (
                "stall",
                servo(0.0, -0.9, 40.0, 12.0),
                -0.2,
                300_000,
                Some(HoldReason::Stall),
            ),
            (
                "not long enough",
                servo(0.0, 0.9, 40.0, 12.0),
                0.2,
                290_000,
                None,
            ),
            (
                "load alone",
                servo(0.0, 1.0, 40.0, 12.0),
                0.09,
                1_000_000,
                None,
            ),
            (
                "error alone",
                servo(0.0, 0.79, 40.0, 12.0),
                0.9,
                1_000_000,
                None,
            ),
            (
                "hot",
                servo(0.0, 0.0, 70.0, 12.0),
                0.0,
                50_000,
                Some(HoldReason::Temperature),
            ),
            (
                "hot for a moment",
                servo(0.0, 0.0, 99.0, 12.0),
                0.0,
                40_000,
                None,
            ),
            (
                "weak supply",
                servo(0.0, 0.0, 40.0, 10.4),
                0.0,
                50_000,
                Some(HoldReason::Voltage),
            ),
            ("a dip", servo(0.0, 0.0, 40.0, 6.0), 0.0, 40_000, None),
            (
                "nothing measured",
                ServoState::default(),
                0.0,
                1_000_000,
                None,
            ),
            (
                "says it is hot",
                alert(Alerts::OVERHEATING),
                0.0,
                50_000,
                Some(HoldReason::Temperature),
            ),
            (
                "says it is weak",
                alert(Alerts::VOLTAGE),
                0.0,
                50_000,
                Some(HoldReason::Voltage),
            ),
            (
                "says its supply is too strong",
                alert(Alerts::OVERVOLTAGE),
                0.0,
                50_000,
                Some(HoldReason::Voltage),
            ),
            (
                "says it strains",
                alert(Alerts::OVERLOAD),
                0.3,
                300_000,
                Some(HoldReason::Stall),
            ),
            (
                "strains where it should be",
                alert(Alerts::OVERCURRENT),
                0.0,
                1_000_000,
                None,
            ),
        ];
        for (name, state, goal, time_us, expected) in cases {
            assert_eq!(outcome(&config, state, goal, time_us), expected, "{name}");
        }
        let off = Config::new(&[LIMITS; 2]).unwrap();
        let worst = servo(0.0, 9.0, 200.0, 1.0);
        assert_eq!(
            outcome(&off, worst, 0.9, 5_000_000),
            None,
            "nothing watched"
        );
    }

    #[test]
    fn current_counts_instead_of_load_where_it_is_measured() {
        let guard = JointGuard {
            stall: Some(StallLimit {
                current_a: 1.5,
                ..STALL
            }),
            ..JointGuard::OFF
        };
        let config = config(guard, 0.0);
        // Load, current, whether that is a stall.
        let cases = [
            (0.1, Some(-1.6), true),
            (1.0, Some(1.4), false),
            (1.0, None, true),
            (0.7, None, false),
        ];
        for (load, current_a, stalls) in cases {
            let state = ServoState {
                load,
                current_a,
                ..ServoState::default()
            };
            let found = outcome(&config, state, 0.5, 400_000);
            let expected = stalls.then_some(HoldReason::Stall);
            assert_eq!(found, expected, "load {load}, {current_a:?}");
        }
    }

    #[test]
    fn a_stalled_joint_is_told_to_ease_off_but_not_to_let_go() {
        let guard = JointGuard {
            stall: Some(STALL),
            ..JointGuard::OFF
        };
        let config = config(guard, 0.0);
        for (goal, expected) in [(0.6, 0.35), (0.42, 0.35), (-0.5, 0.25)] {
            let mut guards = Guards::new();
            let measured = [servo(0.3, 1.0, 0.0, 0.0); MAX_JOINTS];
            let goals = [goal; MAX_JOINTS];
            for look in 0..=30 {
                guards.look(&config, &measured, Some(goals), look * 10_000);
            }
            let retreat = guards.retreat(0).unwrap();
            assert!((retreat - expected).abs() < 1e-6, "{goal}: {retreat}");
            guards.start_anew();
            assert_eq!(guards.retreat(0), None);
        }
    }

    #[test]
    fn a_capped_joint_settles_at_its_cap_and_comes_back() {
        let guard = JointGuard {
            torque: 0.4,
            ..JointGuard::OFF
        };
        // A finger on a hard thing at 0.02, its load following error x stiffness with 30 ms lag.
        for stiffness in [50.0, 500.0] {
            let mut guards = Guards::new();
            let mut state = servo(0.02, 0.0, 0.0, 0.0);
            let mut goal = 0.02_f32;
            let mut least = f32::INFINITY;
            for tick in 0..2_000 {
                let allowed = guards.cap_torque(0, &guard, &state, goal, -0.02, 0.001);
                goal += (allowed - goal).clamp(-0.000_3, 0.000_3);
                let load = ((goal - state.position) * stiffness).clamp(-1.0, 1.0);
                state.load += (load - state.load) * 0.001 / 0.03;
                if tick > 500 {
                    least = least.min(state.load.abs());
                }
            }
            assert!(
                (state.load.abs() - 0.4).abs() < 0.02,
                "{stiffness}: {}",
                state.load
            );
            assert!(least > 0.3, "{stiffness}: let go to {least}");
            state.load = 0.0;
            let free = guards.cap_torque(0, &guard, &state, goal, 0.02, 0.001);
            assert_eq!(free, 0.02, "nothing to cap");
            assert_eq!(guards.cap_torque(0, &guard, &state, goal, 0.9, 0.001), 0.9);
        }
    }
}
