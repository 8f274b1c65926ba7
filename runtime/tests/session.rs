//! A session drives the real firmware core while its policy's thread works, on the clock of the board.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod mock;

use std::sync::{Arc, Mutex};

use mock::{Constant, MockBoard};
use wink_firmware::wire::{HoldReason, State};
use wink_runtime::clock::Clock;
use wink_runtime::control::ControlError;
use wink_runtime::control::schedule::SchedulerKind;
use wink_runtime::episode::{ControlLoop, RuntimeError};
use wink_runtime::policy::{
    ActionChunk, ChunkShape, Observation, Policy, PolicyError, PolicyTimes,
};
use wink_runtime::rig::Shared;
use wink_runtime::session::{LateTicks, Latency, Session, TickReport, Timing};

const AHEAD: [f32; 7] = [0.05, 0.0, -0.02, 0.0, 0.0, 0.0, 1.0];
const STILL: [f32; 7] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];

type Handle = Arc<Mutex<Constant>>;

/// H = 8, s = 4.
fn policy(action: [f32; 7]) -> Constant {
    Constant {
        shape: ChunkShape {
            steps: 8,
            execute: 4,
            dim: 7,
        },
        ..Constant::new(action)
    }
}

/// A session that has begun an episode, with handles to its board and its policy.
fn begun(policy: Constant, timing: Timing) -> (Session, Shared<MockBoard>, Handle) {
    let board = Shared::new(MockBoard::new());
    let policy = Arc::new(Mutex::new(policy));
    let mut session = Session::new(
        mock::arm(),
        mock::control_config(),
        board.rig(),
        Box::new(Arc::clone(&policy)),
        timing,
    )
    .unwrap();
    session.connect().unwrap();
    session.begin("pick the block").unwrap();
    (session, board, policy)
}

fn charged(scheduler: SchedulerKind, latency_us: u64) -> Timing {
    Timing {
        scheduler,
        latency: Latency::charged(latency_us),
    }
}

fn ticks(session: &mut Session, count: usize) -> Vec<TickReport> {
    (0..count).map(|_| session.tick().unwrap()).collect()
}

#[test]
fn without_latency_a_session_does_what_the_loop_did() {
    let mut board = MockBoard::new();
    let mut constant = policy(AHEAD);
    let mut control = ControlLoop::new(mock::arm(), mock::control_config());
    control.connect(&mut board).unwrap();
    control.begin(&mut board, &mut constant, "pick").unwrap();
    let (mut session, shared, _) = begun(
        Constant {
            looks: true,
            ..policy(AHEAD)
        },
        Timing::instant(),
    );
    for index in 0..30 {
        let before = control.tick(&mut board, &mut constant).unwrap();
        let now = session.tick().unwrap();
        assert_eq!(before.measured, now.measured, "tick {index}");
        assert_eq!(*before.joint_targets(), now.joint_targets);
        assert_eq!((before.inferred, now.arrived), (now.inferred, now.inferred));
    }
    assert_eq!(board.now_us(), shared.now_us());
    assert_eq!(*session.late(), LateTicks::default());
    assert!(session.frames()[0].is_consistent());
}

/// Which ticks have an action, the period being 50 ms.
#[test]
fn a_chunk_is_there_when_its_latency_has_passed() {
    for (latency_us, expected) in [
        (0, "xxxxxxxxxxxx"),
        (40_000, ".xxxx.xxxx.x"),
        (50_000, ".xxxx.xxxx.x"),
        (50_001, "..xxxx..xxxx"),
        (120_000, "...xxxx...xx"),
    ] {
        let timing = charged(SchedulerKind::Synchronous, latency_us);
        let (mut session, board, _) = begun(policy(AHEAD), timing);
        let start_us = board.now_us();
        let reports = ticks(&mut session, expected.len());
        let found: String = reports
            .iter()
            .map(|report| if report.step.is_some() { 'x' } else { '.' })
            .collect();
        assert_eq!(found, expected, "{latency_us}");
        // Every tick keeps its time and sends a setpoint, whatever the policy does.
        assert_eq!(board.now_us() - start_us, 50_000 * expected.len() as u64);
        let held = expected.matches('.').count() as u64;
        assert_eq!(session.late().policy, held);
        let board = board.borrow();
        let counters = board.core.counters();
        assert_eq!(u64::from(counters.accepted), expected.len() as u64);
        assert_eq!((counters.rejected(), counters.starved), (0, 0));
        for pair in reports.windows(2) {
            if pair[1].step.is_none() {
                assert_eq!(pair[1].joint_targets, pair[0].joint_targets);
            }
        }
    }
}

#[test]
fn asynchronous_schedulers_act_at_every_tick_while_inference_runs() {
    for scheduler in [
        SchedulerKind::Naive,
        SchedulerKind::Asynchronous,
        SchedulerKind::Ensembling,
    ] {
        let timing = charged(scheduler, 120_000);
        let (mut session, _, _) = begun(policy(AHEAD), timing);
        let reports = ticks(&mut session, 30);
        let held: Vec<bool> = reports.iter().map(|report| report.step.is_none()).collect();
        assert_eq!(held[..3], [true; 3], "{scheduler}");
        assert!(held[3..].iter().all(|held| !held), "{scheduler}");
        assert_eq!(session.late().policy, 3);
        // Every step goes as far as the one before: nothing rests and nothing leaps.
        let waist = |report: &TickReport| report.proprio[0];
        for pair in reports[14..].windows(2) {
            let step = waist(&pair[1]) - waist(&pair[0]);
            assert!((step - 0.005).abs() < 0.001, "{scheduler}: {step}");
        }
    }
}

/// What HOUSE.md calls F1: the arm rested at each chunk's end and then did a whole step in what was left of the period.
#[test]
fn a_setpoint_is_due_a_period_after_its_tick_however_long_the_tick_took() {
    let (mut session, board, _) = begun(
        Constant {
            looks: true,
            ..policy(AHEAD)
        },
        charged(SchedulerKind::Naive, 10_000),
    );
    board.borrow_mut().capture_us = 40_000;
    let reports = ticks(&mut session, 31);
    let steps: Vec<f32> = reports[14..]
        .windows(2)
        .map(|pair| pair[1].proprio[0] - pair[0].proprio[0])
        .collect();
    for step in &steps {
        assert!((step - 0.005).abs() < 0.001, "{steps:?}");
    }
    let captured = |report: &&TickReport| report.captured;
    assert!(reports.iter().filter(captured).count() >= 5);
    assert_eq!((session.late().camera, session.late().link), (0, 0));
    // A camera that takes longer than the period makes its ticks late, and says so.
    board.borrow_mut().capture_us = 80_000;
    let late = ticks(&mut session, 8).iter().filter(|r| r.overrun).count();
    assert_eq!(session.late().camera, late as u64);
    assert!(late > 0);
}

#[test]
fn the_same_latency_gives_the_same_run_however_long_the_policy_takes() {
    let run = |work: std::time::Duration| {
        let slow = Slow {
            constant: policy(AHEAD),
            work,
        };
        let board = Shared::new(MockBoard::new());
        let mut session = Session::new(
            mock::arm(),
            mock::control_config(),
            board.rig(),
            Box::new(slow),
            charged(SchedulerKind::Asynchronous, 120_000),
        )
        .unwrap();
        session.connect().unwrap();
        session.begin("go").unwrap();
        let reports = ticks(&mut session, 20);
        let targets: Vec<_> = reports
            .iter()
            .map(|r| (r.joint_targets, r.measured))
            .collect();
        (targets, board.now_us())
    };
    assert_eq!(
        run(std::time::Duration::ZERO),
        run(std::time::Duration::from_millis(15))
    );
}

/// A policy that takes time of the machine; all of it, and it panics.
struct Slow {
    constant: Constant,
    work: std::time::Duration,
}

impl Policy for Slow {
    fn begin_episode(&mut self, instruction: &str) -> Result<(), PolicyError> {
        self.constant.begin_episode(instruction)
    }

    fn act(
        &mut self,
        observation: &Observation<'_>,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        assert!(self.work < std::time::Duration::MAX, "out of time");
        std::thread::sleep(self.work);
        self.constant.act(observation, out)
    }

    fn needs_frame(&self) -> bool {
        self.constant.needs_frame()
    }

    fn chunk_shape(&self) -> ChunkShape {
        self.constant.chunk_shape()
    }

    fn control_hz(&self) -> Option<f64> {
        self.constant.control_hz()
    }

    fn times(&self) -> PolicyTimes {
        self.constant.times()
    }
}

#[test]
fn a_bad_chunk_ends_the_episode_and_the_arm_holds() {
    let timing = charged(SchedulerKind::Asynchronous, 100_000);
    let (mut session, board, policy) = begun(policy(AHEAD), timing);
    ticks(&mut session, 6);
    policy.lock().unwrap().action[4] = f32::NAN;
    let error = (0..20).find_map(|_| session.tick().err()).unwrap();
    let expected = matches!(
        error,
        RuntimeError::Control(ControlError::NotFinite { ref name, .. }) if name == "dpitch"
    );
    assert!(expected, "{error}");
    assert!(matches!(session.tick(), Err(RuntimeError::NoEpisode)));
    let later_us = board.now_us() + 500_000;
    board.borrow_mut().sleep_until(later_us);
    let state = (
        board.borrow().core.state(),
        board.borrow().core.hold_reason(),
    );
    assert_eq!(state, (State::Holding, HoldReason::Commanded));
    // What is under way for the old episode is thrown away.
    policy.lock().unwrap().action = STILL;
    session.begin("again").unwrap();
    let reports = ticks(&mut session, 6);
    let first = reports.iter().find_map(|report| report.step).unwrap();
    assert_eq!(first.action, STILL);
}

#[test]
fn a_policy_that_panics_ends_the_episode() {
    let board = Shared::new(MockBoard::new());
    let panics = Slow {
        constant: policy(AHEAD),
        work: std::time::Duration::MAX,
    };
    let mut session = Session::new(
        mock::arm(),
        mock::control_config(),
        board.rig(),
        Box::new(panics),
        Timing::instant(),
    )
    .unwrap();
    session.connect().unwrap();
    session.begin("go").unwrap();
    let error = (0..8).find_map(|_| session.tick().err()).unwrap();
    assert!(matches!(error, RuntimeError::WorkerGone), "{error}");
}

#[test]
fn on_a_real_machine_a_chunk_is_there_when_it_is_done() {
    let (mut session, _, _) = begun(policy(AHEAD), Timing::real());
    // The board's clock does not wait for the policy here, so that the first ticks may hold.
    let acted = (0..10_000).any(|_| {
        std::thread::yield_now();
        session.tick().unwrap().step.is_some()
    });
    assert!(acted);
}

#[test]
fn a_scheduler_that_the_policy_cannot_do_is_refused() {
    for (kind, told) in [
        (SchedulerKind::Guided, "guided real-time chunking"),
        (SchedulerKind::Trained, "trained real-time chunking"),
    ] {
        let board = Shared::new(MockBoard::new());
        let refused = Session::new(
            mock::arm(),
            mock::control_config(),
            board.rig(),
            Box::new(policy(AHEAD)),
            charged(kind, 0),
        );
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(told) && error.contains("a flow"), "{error}");
    }
}
