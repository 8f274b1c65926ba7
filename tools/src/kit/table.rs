//! The kit in real time behind a pseudo-terminal, on a thread of its own.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use wink_board_linux::{Pty, Received};
use wink_runtime::arm::ArmDescription;
use wink_sim::kit::{Kit, KitError};
use wink_sim::setup::SO101;

use crate::bad_input::bad_input;

/// Longest wait before the kit's time goes on.
const STEP: Duration = Duration::from_millis(2);

/// Something that is done with the kit between two looks at the line.
type Job = Box<dyn FnOnce(&mut Bench) + Send>;

/// A kit on its table.
pub struct KitTable {
    link: PathBuf,
    /// Taken away to end the thread.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread owns.
struct Bench {
    kit: Kit,
    /// `None` while the adapter is pulled.
    adapter: Option<Pty>,
    start: Instant,
}

impl KitTable {
    /// An SO-101's kit with the servos of `arm`, whose adapter is at `link`.
    pub fn start(arm: &ArmDescription, fresh: bool, link: &Path) -> Result<Self> {
        let kit = if fresh {
            Kit::fresh(&SO101, arm)
        } else {
            Kit::assembled(&SO101, arm)
        };
        let bench = Bench {
            kit: kit
                .ok_or_else(|| bad_input("the arm of a kit has one bus servo on each joint"))?,
            adapter: Some(Pty::create(link).map_err(bad_input)?),
            start: Instant::now(),
        };
        let (jobs, received) = channel();
        let thread = thread::Builder::new()
            .name("kit".to_owned())
            .spawn(move || bench.run(&received))
            .context("the kit's thread cannot be started")?;
        Ok(Self {
            link: link.to_owned(),
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Bench) -> T + Send + 'static,
    ) -> Result<T> {
        let (send, answer) = channel();
        let job: Job = Box::new(move |bench| {
            let _ = send.send(job(bench));
        });
        self.jobs
            .as_ref()
            .and_then(|jobs| jobs.send(job).ok())
            .and_then(|()| answer.recv().ok())
            .ok_or_else(|| anyhow!("the kit's thread has ended"))
    }

    /// Does what a line says.
    pub fn obey(&self, line: &str) -> Result<()> {
        let line = line.to_owned();
        let done: Result<(), KitError> = self.ask(move |bench| bench.kit.obey(&line))?;
        done.map_err(bad_input)
    }

    /// Pulls the adapter.
    pub fn pull_adapter(&self) -> Result<()> {
        self.ask(|bench| bench.adapter = None)
    }

    /// Plugs the adapter in.
    pub fn plug_adapter(&self) -> Result<()> {
        let adapter = Pty::create(&self.link).map_err(bad_input)?;
        self.ask(|bench| bench.adapter = Some(adapter))
    }

    /// Waits until no hand moves a joint any more.
    pub fn settle(&self) -> Result<()> {
        while self.ask(|bench| bench.kit.is_handled())? {
            thread::sleep(STEP);
        }
        Ok(())
    }

    /// Servos and joints as they are.
    pub fn look(&self) -> Result<Value> {
        let (joints, torque_switches) =
            self.ask(|bench| (bench.kit.look(), bench.kit.torque_switches()))?;
        let joints: Vec<Value> = joints
            .into_iter()
            .map(|joint| {
                json!({
                    "name": joint.name,
                    "id": joint.id,
                    "plugged": joint.plugged,
                    "torque": joint.torque,
                    "homing_offset": joint.homing_offset,
                    "position": joint.position,
                })
            })
            .collect();
        Ok(json!({ "joints": joints, "torque_switched_on": torque_switches }))
    }
}

impl Drop for KitTable {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked; if it has, its message is out already.
            let _ = thread.join();
        }
    }
}

impl Bench {
    fn run(mut self, jobs: &Receiver<Job>) {
        let (mut heard, mut said) = ([0; 512], vec![]);
        loop {
            match jobs.try_recv() {
                Ok(job) => job(&mut self),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
            if let Some(adapter) = &mut self.adapter
                && let Ok(Received::Bytes(count)) = adapter.receive(&mut heard)
            {
                if let Ok(baud) = adapter.baud() {
                    self.kit.set_baud(baud);
                }
                let now_us = now_us(self.start);
                self.kit.receive(now_us, &heard[..count]);
            }
            let now_us = now_us(self.start);
            self.kit.pass(now_us);
            self.kit.send(now_us, &mut said);
            if let Some(adapter) = &mut self.adapter {
                // An adapter that nobody listens to drops what it has.
                let _ = adapter.send(&said);
            }
            said.clear();
            self.wait();
        }
    }

    /// Until a byte is due, or one comes.
    fn wait(&self) {
        let left = self
            .kit
            .next_due_us()
            .map(|due_us| Duration::from_micros(due_us.saturating_sub(now_us(self.start))));
        match (&self.adapter, left) {
            (_, Some(left)) if left < STEP => thread::sleep(left),
            (Some(adapter), _) if adapter.wait(STEP).is_ok() => {}
            _ => thread::sleep(STEP),
        }
    }
}

fn now_us(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}
