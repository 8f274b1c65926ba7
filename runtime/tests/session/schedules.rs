//! When chunks are there and what is sent meanwhile, scheduler by scheduler.

use wink_runtime::clock::Clock;
use wink_runtime::control::schedule::SchedulerKind;
use wink_runtime::rig::Shared;
use wink_runtime::session::{TickReport, Timing};

use crate::mock::{Constant, MockBoard};
use crate::slow::Slow;
use crate::{AHEAD, Driven, charged, chunks_of_8, session_of};

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
        let mut driven = Driven::begun(chunks_of_8(AHEAD), timing);
        let start_us = driven.board.now_us();
        let reports = driven.ticks(expected.len());
        let found: String = reports
            .iter()
            .map(|report| if report.step.is_some() { 'x' } else { '.' })
            .collect();
        assert_eq!(found, expected, "{latency_us}");
        // Every tick keeps its time and sends a setpoint, whatever the policy does.
        assert_eq!(
            driven.board.now_us() - start_us,
            50_000 * expected.len() as u64
        );
        let held = expected.matches('.').count() as u64;
        assert_eq!(driven.session.late().policy, held);
        let board = driven.board.borrow();
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
        let mut driven = Driven::begun(chunks_of_8(AHEAD), timing);
        let reports = driven.ticks(30);
        let held: Vec<bool> = reports.iter().map(|report| report.step.is_none()).collect();
        assert_eq!(held[..3], [true; 3], "{scheduler}");
        assert!(held[3..].iter().all(|held| !held), "{scheduler}");
        assert_eq!(driven.session.late().policy, 3);
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
    let looking = Constant {
        looks: true,
        ..chunks_of_8(AHEAD)
    };
    let mut driven = Driven::begun(looking, charged(SchedulerKind::Naive, 10_000));
    driven.board.borrow_mut().capture_us = 40_000;
    let reports = driven.ticks(31);
    let steps: Vec<f32> = reports[14..]
        .windows(2)
        .map(|pair| pair[1].proprio[0] - pair[0].proprio[0])
        .collect();
    for step in &steps {
        assert!((step - 0.005).abs() < 0.001, "{steps:?}");
    }
    let captured = |report: &&TickReport| report.captured;
    assert!(reports.iter().filter(captured).count() >= 5);
    assert_eq!(
        (driven.session.late().camera, driven.session.late().link),
        (0, 0)
    );
    // A camera that takes longer than the period makes its ticks late, and says so.
    driven.board.borrow_mut().capture_us = 80_000;
    let late = driven.ticks(8).iter().filter(|r| r.overrun).count();
    assert_eq!(driven.session.late().camera, late as u64);
    assert!(late > 0);
}

#[test]
fn the_same_latency_gives_the_same_run_however_long_the_policy_takes() {
    let run = |work: std::time::Duration| {
        let slow = Slow {
            constant: chunks_of_8(AHEAD),
            work,
        };
        let board = Shared::new(MockBoard::new());
        let timing = charged(SchedulerKind::Asynchronous, 120_000);
        let mut session = session_of(&board, Box::new(slow), timing).unwrap();
        session.connect().unwrap();
        session.begin("go").unwrap();
        let targets: Vec<_> = (0..20)
            .map(|_| session.tick().unwrap())
            .map(|report| (report.joint_targets, report.measured))
            .collect();
        (targets, board.now_us())
    };
    assert_eq!(
        run(std::time::Duration::ZERO),
        run(std::time::Duration::from_millis(15))
    );
}

#[test]
fn on_a_real_machine_a_chunk_is_there_when_it_is_done() {
    let mut driven = Driven::begun(chunks_of_8(AHEAD), Timing::real());
    // The board's clock does not wait for the policy here, so that the first ticks may hold.
    let acted = (0..10_000).any(|_| {
        std::thread::yield_now();
        driven.run(1).step.is_some()
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
        let refused = session_of(&board, Box::new(chunks_of_8(AHEAD)), charged(kind, 0));
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(told) && error.contains("a flow"), "{error}");
    }
}
