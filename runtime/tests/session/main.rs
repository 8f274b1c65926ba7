//! A session drives the real firmware core while its policy's thread works, on the clock of the board: from the policy to servos
//! and back.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod by_hand;
mod connection;
mod failures;
mod frame_guard;
#[path = "../mock/mod.rs"]
mod mock;
mod schedules;
mod slow;
mod stalls;
mod ticks;

use std::sync::{Arc, Mutex, PoisonError};

use mock::{Constant, MockBoard};
use wink_runtime::clock::Clock;
use wink_runtime::control::schedule::SchedulerKind;
use wink_runtime::policy::{ChunkShape, Policy};
use wink_runtime::rig::Shared;
use wink_runtime::session::{Latency, RuntimeError, Session, TickReport, Timing};

/// 5 mm ahead and 2 mm down a step: slower than any joint may turn.
const AHEAD: [f32; 7] = [0.05, 0.0, -0.02, 0.0, 0.0, 0.0, 1.0];
const STILL: [f32; 7] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
const GRIPPER: usize = 6;

/// A session with handles to its board and its policy.
struct Driven {
    session: Session,
    board: Shared<MockBoard>,
    policy: Arc<Mutex<Constant>>,
}

/// Not connected yet.
fn session_of(
    board: &Shared<MockBoard>,
    policy: Box<dyn Policy>,
    timing: Timing,
) -> Result<Session, RuntimeError> {
    Session::new(
        mock::arm(),
        mock::control_config(),
        board.rig(),
        policy,
        timing,
    )
}

impl Driven {
    /// Not connected yet; inference takes no time.
    fn new(board: MockBoard, policy: Constant) -> Self {
        Self::timed(board, policy, Timing::instant())
    }

    fn timed(board: MockBoard, policy: Constant, timing: Timing) -> Self {
        let board = Shared::new(board);
        let policy = Arc::new(Mutex::new(policy));
        let session = session_of(&board, Box::new(Arc::clone(&policy)), timing).unwrap();
        Self {
            session,
            board,
            policy,
        }
    }

    /// That has begun an episode.
    fn begun(policy: Constant, timing: Timing) -> Self {
        Self::begun_on(MockBoard::new(), policy, timing)
    }

    fn begun_on(board: MockBoard, policy: Constant, timing: Timing) -> Self {
        let mut driven = Self::timed(board, policy, timing);
        driven.session.connect().unwrap();
        driven.session.begin("pick the block").unwrap();
        driven
    }

    fn ticks(&mut self, count: usize) -> Vec<TickReport> {
        (0..count).map(|_| self.session.tick().unwrap()).collect()
    }

    /// The last of as many ticks.
    fn run(&mut self, count: usize) -> TickReport {
        *self.ticks(count).last().unwrap()
    }

    /// The first error of as many ticks.
    fn error_within(&mut self, ticks: usize) -> Option<RuntimeError> {
        (0..ticks).find_map(|_| self.session.tick().err())
    }

    /// Changes what the policy does.
    fn tell(&self, change: impl FnOnce(&mut Constant)) {
        change(&mut self.policy.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets the firmware go on without the session.
    fn pass(&self, time_us: u64) {
        let until_us = self.board.now_us() + time_us;
        self.board.borrow_mut().sleep_until(until_us);
    }

    /// Where the servos are.
    fn servos(&self) -> Vec<f32> {
        self.board.borrow().servos.positions.clone()
    }
}

/// H = 8, s = 4.
fn chunks_of_8(action: [f32; 7]) -> Constant {
    Constant {
        shape: ChunkShape {
            steps: 8,
            execute: 4,
            dim: 7,
        },
        ..Constant::new(action)
    }
}

fn charged(scheduler: SchedulerKind, latency_us: u64) -> Timing {
    Timing {
        scheduler,
        latency: Latency::charged(latency_us),
    }
}
