//! The thread that owns the policy: one inference at a time, beside the control loop. Nothing is allocated once buffers have
//! grown.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::arm::JointValues;
use crate::camera::Frame;
use crate::control::StateReader;
use crate::policy::{
    ActionChunk, CameraFrame, Condition, Name, Observation, Policy, PolicyError, PolicyTimes,
};

/// Most cameras of an observation.
pub(crate) const MOST_CAMERAS: usize = 8;

/// What was seen and measured at one time.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// A frame of each camera; empty where the policy does not look.
    pub frames: Vec<Frame>,
    /// The joints at the time of the frames: rad, the gripper in m of one finger.
    pub measured: JointValues,
    /// When the frames were taken, on the clock of the rig.
    pub time_us: u64,
}

/// What the policy is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Task {
    /// Begin an episode with the instruction.
    #[default]
    Begin,
    /// Take in what was seen.
    See,
    /// Take in what was seen, and make a chunk from the last of it.
    Act,
}

/// A piece of work, and what came of it. Its buffers go to and fro between the loop and the worker.
#[derive(Debug, Default)]
pub(crate) struct Job {
    pub task: Task,
    pub instruction: String,
    /// Oldest first.
    pub seen: Vec<Snapshot>,
    pub condition: Condition,
    pub chunk: ActionChunk,
    pub outcome: Option<PolicyError>,
    pub times: PolicyTimes,
    /// Wall time.
    pub took: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The job is the loop's.
    Idle,
    /// It is for the worker to take.
    Asked,
    /// The worker has it.
    Working,
    /// It is done and not collected.
    Done,
    /// One of the two is gone.
    Closed,
}

#[derive(Debug)]
struct Desk {
    state: State,
    job: Job,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        // The desk is whole between any two statements that hold it.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mut desk: MutexGuard<'_, Desk>, state: State) {
        desk.state = state;
        drop(desk);
        self.changed.notify_all();
    }

    fn wait_while(&self, busy: impl Fn(State) -> bool) -> MutexGuard<'_, Desk> {
        let mut desk = self.lock();
        while busy(desk.state) {
            desk = self
                .changed
                .wait(desk)
                .unwrap_or_else(PoisonError::into_inner);
        }
        desk
    }
}

/// The worker has ended: the policy panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// The loop's end.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread. The policy is given cameras of these names, and the states that `states` reads.
    pub(crate) fn start(
        policy: Box<dyn Policy>,
        cameras: Vec<Name>,
        states: StateReader,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            desk: Mutex::new(Desk {
                state: State::Idle,
                job: Job::default(),
            }),
            changed: Condvar::new(),
        });
        let theirs = Hangup(Arc::clone(&shared));
        let mut inference = Inference {
            policy,
            cameras,
            states,
        };
        let thread = Builder::new()
            .name("wink-policy".to_owned())
            .spawn(move || inference.serve(&theirs.0))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Hands a job over; `false` where the last one is not collected yet.
    pub(crate) fn ask(&self, fill: impl FnOnce(&mut Job)) -> Result<bool, Gone> {
        let mut desk = self.shared.lock();
        match desk.state {
            State::Idle => {
                desk.job.outcome = None;
                fill(&mut desk.job);
                self.shared.set(desk, State::Asked);
                Ok(true)
            }
            State::Closed => Err(Gone),
            _ => Ok(false),
        }
    }

    /// Collects the job if it is done.
    pub(crate) fn collect<T>(&self, take: impl FnOnce(&mut Job) -> T) -> Result<Option<T>, Gone> {
        self.take(self.shared.lock(), take)
    }

    /// Waits until the job that was handed over last is done, and collects it; `None` where there is none.
    pub(crate) fn wait<T>(&self, take: impl FnOnce(&mut Job) -> T) -> Result<Option<T>, Gone> {
        let busy = |state| matches!(state, State::Asked | State::Working);
        self.take(self.shared.wait_while(busy), take)
    }

    /// Waits until the policy is not at work; what it did is not collected.
    pub(crate) fn rest(&self) {
        let busy = |state| matches!(state, State::Asked | State::Working);
        drop(self.shared.wait_while(busy));
    }

    fn take<T>(
        &self,
        mut desk: MutexGuard<'_, Desk>,
        take: impl FnOnce(&mut Job) -> T,
    ) -> Result<Option<T>, Gone> {
        match desk.state {
            State::Done => {
                desk.state = State::Idle;
                Ok(Some(take(&mut desk.job)))
            }
            State::Closed => Err(Gone),
            _ => Ok(None),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.set(self.shared.lock(), State::Closed);
        if let Some(thread) = self.thread.take() {
            // A panic of the policy was told when it happened.
            let _ = thread.join();
        }
    }
}

/// Tells the loop when the thread ends, in whatever way.
struct Hangup(Arc<Shared>);

impl Drop for Hangup {
    fn drop(&mut self) {
        self.0.set(self.0.lock(), State::Closed);
    }
}

/// The policy with what it is given.
struct Inference {
    policy: Box<dyn Policy>,
    cameras: Vec<Name>,
    states: StateReader,
}

impl Inference {
    fn serve(&mut self, shared: &Shared) {
        loop {
            let idle = |state| !matches!(state, State::Asked | State::Closed);
            let mut desk = shared.wait_while(idle);
            if desk.state == State::Closed {
                return;
            }
            desk.state = State::Working;
            let mut job = std::mem::take(&mut desk.job);
            drop(desk);

            let start = Instant::now();
            job.outcome = self.work(&mut job).err();
            job.took = start.elapsed();

            let mut desk = shared.lock();
            desk.job = job;
            if desk.state == State::Closed {
                return;
            }
            shared.set(desk, State::Done);
        }
    }

    fn work(&mut self, job: &mut Job) -> Result<(), PolicyError> {
        let Job {
            task,
            instruction,
            seen,
            condition,
            chunk,
            times,
            ..
        } = job;
        if *task == Task::Begin {
            return self.policy.begin_episode(instruction);
        }
        let acts = *task == Task::Act;
        let last = seen.len().saturating_sub(1);
        for (place, snapshot) in seen.iter().enumerate() {
            self.states.measure(&snapshot.measured);
            let states = self.states.vectors();
            let cameras: heapless::Vec<CameraFrame<'_>, MOST_CAMERAS> = self
                .cameras
                .iter()
                .zip(&snapshot.frames)
                .map(|(name, frame)| CameraFrame { name, frame })
                .take(MOST_CAMERAS)
                .collect();
            let observation = Observation {
                cameras: &cameras,
                states: &states,
            };
            if acts && place == last {
                self.policy.act_on(&observation, condition, chunk)?;
                *times = self.policy.times();
            } else {
                self.policy.see(&observation)?;
            }
        }
        Ok(())
    }
}
