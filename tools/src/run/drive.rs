//! The loop of a run: the policy, the operator and a person take turns with the arm, and at the end it is parked.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use wink_runtime::session::{RuntimeError, Session, TickReport};

use super::Parts;
use super::command::Command;
use super::figures::{Figures, late};
use super::status::joint_lines;
use crate::hardware::park;
use crate::memory;
use crate::recording::Event;
use crate::teleop::{Guide, Keys, Person};

/// Between two lines without a terminal.
const LINE: Duration = Duration::from_secs(1);
/// Between two looks of the operator.
const SHOWN: Duration = Duration::from_millis(200);
/// Speeds that `s` goes through.
const SPEEDS: [f64; 4] = [1.0, 0.5, 0.25, 0.1];

/// How a run ended.
pub enum End {
    /// At rest, without torque; in shadow, as it was.
    Parked,
    /// With torque, where it is: why.
    Held(String),
}

/// Who drives.
enum Mode {
    Policy,
    Held(String),
    Person(Box<Guide>),
}

/// A run.
pub struct Drive {
    parts: Parts,
    keys: Keys,
    mode: Mode,
    figures: Figures,
    notice: String,
    stages_ms: [f64; 5],
    begun: Instant,
    shown: Instant,
    told: Instant,
    failure: Option<String>,
    /// The camera that the arm holds for, by its place in the rig.
    waits_for_camera: Option<usize>,
}

impl Drive {
    /// Nothing is armed yet.
    pub fn new(parts: Parts) -> Self {
        let now = Instant::now();
        Self {
            keys: Keys::new(parts.session.arm()),
            parts,
            mode: Mode::Policy,
            figures: Figures::new(),
            notice: String::new(),
            stages_ms: [0.0; 5],
            begun: now,
            shown: now,
            told: now,
            failure: None,
            waits_for_camera: None,
        }
    }

    /// What the policy was told last.
    pub fn instruction(&self) -> &str {
        &self.parts.instruction
    }

    /// Arms, runs until somebody asks for the end, parks and lets go. A panic on the way ends as `q` does.
    pub fn run(&mut self) -> Result<End> {
        let watched = catch_unwind(AssertUnwindSafe(|| self.drive()));
        let failed = match watched {
            Ok(Ok(())) => self.failure.take(),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the program failed in a way that it does not report".to_owned()),
        };
        if let Some(why) = &failed {
            self.event(Event::Error {
                message: why.clone(),
            });
        }
        let parked = self.park();
        self.parts.commands.close();
        self.event(Event::EpisodeEnd);
        match (parked, failed) {
            (Ok(()), None) => Ok(End::Parked),
            (Ok(()), Some(why)) => Err(anyhow::anyhow!("{why}; the arm was parked and let go of")),
            (Err(error), None) => Ok(End::Held(format!("it could not be parked: {error}"))),
            (Err(error), Some(why)) => {
                Ok(End::Held(format!("{why}; it could not be parked: {error}")))
            }
        }
    }

    fn drive(&mut self) -> Result<(), RuntimeError> {
        self.event(Event::EpisodeBegin);
        self.event(Event::Instruction {
            text: self.parts.instruction.clone(),
        });
        self.parts.session.begin(&self.parts.instruction)?;
        self.begun = Instant::now();
        loop {
            if self.parts.stop.is_asked() || self.is_over() {
                return Ok(());
            }
            while let Some(command) = self.parts.commands.next() {
                if command == Command::Quit {
                    return Ok(());
                }
                self.obey(command);
            }
            match &mut self.mode {
                Mode::Policy => match self.parts.session.tick() {
                    Ok(report) => self.account(&report),
                    Err(error) => self.held(self.why(&error)),
                },
                Mode::Held(_) => {
                    self.figures.pause();
                    // A link that is broken is looked at again.
                    if self.parts.session.idle().is_err() {
                        std::thread::sleep(SHOWN);
                    }
                }
                Mode::Person(_) => self.follow_person(),
            }
            if !self.parts.goes_on
                && let Mode::Held(why) = &self.mode
            {
                self.failure = Some(why.clone());
                return Ok(());
            }
            self.show();
        }
    }

    fn is_over(&self) -> bool {
        self.parts
            .seconds
            .is_some_and(|seconds| self.begun.elapsed() >= seconds)
    }

    /// What the board says of itself, where it says something, is nearer to the cause.
    fn why(&self, error: &RuntimeError) -> String {
        match (self.parts.trouble)() {
            Some(trouble) => format!("{error}: {trouble}"),
            None => error.to_string(),
        }
    }

    fn held(&mut self, why: String) {
        self.waits_for_camera = None;
        self.event(Event::Hold {
            reason: why.clone(),
        });
        self.notice = format!("{why}; Enter goes on, q parks");
        self.mode = Mode::Held(why);
    }

    fn obey(&mut self, command: Command) {
        self.notice.clear();
        match (command, &self.mode) {
            (Command::Hold, Mode::Policy | Mode::Person(_)) => match self.parts.session.end() {
                Ok(()) => self.held("the operator".to_owned()),
                Err(error) => self.held(error.to_string()),
            },
            (Command::GoOn, Mode::Held(_)) | (Command::TakeOver, Mode::Person(_)) => {
                let back = matches!(self.mode, Mode::Person(_));
                // The policy begins where the arm is.
                match self.parts.session.begin(&self.parts.instruction) {
                    Ok(()) => {
                        self.event(if back { Event::HandBack } else { Event::Resume });
                        self.mode = Mode::Policy;
                        self.figures.pause();
                    }
                    Err(error) => {
                        let _ = self.parts.session.end();
                        self.held(self.why(&error));
                    }
                }
            }
            (Command::TakeOver, _) => self.hand_over(),
            (Command::Instruct(text), _) => self.instruct(text),
            (Command::Speed, _) => {
                let now = self.parts.session.speed();
                let next = SPEEDS.into_iter().find(|speed| *speed < now);
                let scale = next.unwrap_or(SPEEDS[0]);
                if self.parts.session.set_speed(scale).is_ok() {
                    self.event(Event::Speed { scale });
                }
            }
            (Command::Choose(forward), _) => {
                self.keys.choose(forward);
                self.notice = format!("{} is chosen", self.keys.chosen());
            }
            (Command::Press(up), _) => self.keys.press(up),
            (Command::Success(success), _) => {
                self.event(Event::Success { success });
                self.notice = if success { "a success" } else { "no success" }.to_owned();
            }
            (Command::Hold | Command::GoOn | Command::Quit, _) => {}
        }
    }

    fn instruct(&mut self, text: String) {
        // What the policy does not take must not end the episode.
        if let Err(error) = self.parts.checker.tokens(&text) {
            self.notice = error.to_string();
            return;
        }
        if matches!(self.mode, Mode::Policy)
            && let Err(error) = self.parts.session.instruct(&text)
        {
            self.notice = error.to_string();
            return;
        }
        self.event(Event::Instruction { text: text.clone() });
        self.parts.instruction = text;
    }

    /// A person takes the arm where it was told to be.
    fn hand_over(&mut self) {
        let _ = self.parts.session.end();
        if let Err(error) = self.parts.session.rise() {
            self.held(self.why(&error));
            return;
        }
        let from = self.parts.session.commanded().copied().unwrap_or_default();
        match Guide::new(self.parts.session.arm(), &from) {
            Ok(guide) => {
                let by = match &self.parts.person {
                    Some(person) => person.with().to_owned(),
                    None => self.keys.with().to_owned(),
                };
                self.event(Event::Takeover { by });
                self.mode = Mode::Person(Box::new(guide));
                self.figures.pause();
            }
            Err(error) => self.held(error.to_string()),
        }
    }

    fn follow_person(&mut self) {
        let Mode::Person(guide) = &mut self.mode else {
            return;
        };
        let person: &mut dyn Person = match &mut self.parts.person {
            Some(person) => &mut **person,
            None => &mut self.keys,
        };
        let seconds = self.parts.session.period_us() as f64 / 1e6;
        let told = *guide.targets();
        let next = person
            .wanted(&told)
            .and_then(|wanted| guide.follow(&wanted, seconds).copied());
        match next {
            Ok(targets) => match self.parts.session.follow(&targets, 1.0) {
                Ok(report) => self.account(&report),
                Err(error) => self.held(self.why(&error)),
            },
            Err(error) => {
                let _ = self.parts.session.end();
                self.held(error.to_string());
            }
        }
    }

    fn account(&mut self, report: &TickReport) {
        self.tell_of_frames(report.waits_for_camera);
        let session = &self.parts.session;
        self.figures.tick(report, session.period_us());
        if let Some(recorder) = &self.parts.recorder {
            recorder.tick(report);
            if report.arrived {
                let (measured, observed_us) = session.observed();
                recorder.chunk(
                    report.start_us,
                    session.chunk(),
                    session.frames(),
                    measured,
                    observed_us,
                );
            }
        }
        let times = &report.times;
        let parts = [
            times.measure,
            times.capture,
            times.policy,
            times.control,
            times.link,
        ];
        for (kept, time) in self.stages_ms.iter_mut().zip(parts) {
            if time > Duration::ZERO {
                *kept = time.as_secs_f64() * 1e3;
            }
        }
    }

    /// Tells when the arm begins to hold for a camera, and when it goes on by itself.
    fn tell_of_frames(&mut self, camera: Option<usize>) {
        if camera == self.waits_for_camera {
            return;
        }
        self.waits_for_camera = camera;
        let Some(camera) = camera else {
            self.notice.clear();
            self.event(Event::Resume);
            return;
        };
        let cameras = &self.parts.session.rig_mut().cameras;
        let name = cameras.get(camera).map_or("?", |camera| &*camera.name);
        let reason = format!("no fresh frames of {name}");
        self.notice = format!("{reason}: the arm goes on by itself when they are back");
        self.event(Event::Hold { reason });
    }

    /// Takes the arm to where it rests by itself and lets go of it.
    fn park(&mut self) -> Result<()> {
        self.mode = Mode::Held("parking".to_owned());
        let session = &mut self.parts.session;
        if session.client().telemetry().is_none() {
            return Ok(());
        }
        let recorder = &self.parts.recorder;
        park(session, &self.parts.rest, |report| {
            if let Some(recorder) = recorder {
                recorder.tick(report);
            }
        })
    }

    fn event(&mut self, event: Event) {
        if self.parts.json {
            // A reader that has closed the pipe is no reason to leave the arm.
            let _ = serde_json::to_string(&event).map(|line| writeln!(io::stdout(), "{line}"));
        }
        let now_us = self.parts.session.now_us();
        if let Some(recorder) = &self.parts.recorder {
            recorder.event(now_us, event);
        }
    }

    fn state(&self) -> &'static str {
        match self.mode {
            Mode::Policy => "running",
            Mode::Held(_) => "held",
            Mode::Person(_) => "person",
        }
    }

    fn show(&mut self) {
        if self.parts.json {
            if self.told.elapsed() >= LINE {
                self.told = Instant::now();
                let _ = writeln!(io::stdout(), "{}", self.line());
            }
            return;
        }
        if self.shown.elapsed() < SHOWN {
            return;
        }
        self.shown = Instant::now();
        let age_ms = self.frame_age_ms();
        let session = &self.parts.session;
        let measured = session.client().positions().unwrap_or_default();
        let targets = session.commanded().copied().unwrap_or_default();
        self.parts.commands.show(|status| {
            status.state = self.state();
            status.notice.clone_from(&self.notice);
            status.instruction.clone_from(&self.parts.instruction);
            status.speed = session.speed();
            status.hz = [
                self.figures.hz_now(),
                1e6 / session.period_us().max(1) as f64,
                self.figures.hz_worst().unwrap_or(0.0),
            ];
            status.met = self.figures.deadlines_met();
            status.longest_gap_ms = self.figures.longest_gap().as_secs_f64() * 1e3;
            status.stages_ms = self.stages_ms;
            status.frame_age_ms = age_ms;
            status.round_trip_ms = session
                .client()
                .round_trip()
                .mean_us()
                .map(|us| us as f64 / 1e3);
            status.late = late(session.late());
            if status.joints.is_empty() {
                status.joints = joint_lines(session.arm());
            }
            for (line, (position, target)) in status
                .joints
                .iter_mut()
                .zip(measured.iter().zip(targets.iter()))
            {
                (line.position, line.target) = (*position, *target);
            }
            status.recording = match &self.parts.recorder {
                None => "not recorded".to_owned(),
                Some(recorder) => match recorder.trouble() {
                    Some(trouble) => format!("NOT RECORDED any more: {trouble}"),
                    None => format!("recorded in {}", recorder.path().display()),
                },
            };
        });
    }

    fn frame_age_ms(&mut self) -> Option<f64> {
        let now_us = self.parts.session.now_us();
        let frames = self.parts.session.frames().iter();
        let oldest = frames.map(|frame| frame.time_us).min()?;
        Some(now_us.saturating_sub(oldest) as f64 / 1e3)
    }

    fn line(&mut self) -> Value {
        let age_ms = self.frame_age_ms();
        let session = &self.parts.session;
        let late = session.late();
        let wanted_hz = 1e6 / session.period_us().max(1) as f64;
        json!({
            "state": self.state(),
            "notice": self.notice,
            "ticks": self.figures.ticks(),
            "hz": { "now": self.figures.hz_now(), "wanted": wanted_hz, "worst": self.figures.hz_worst() },
            "deadlines_met": self.figures.deadlines_met(),
            "longest_gap_ms": self.figures.longest_gap().as_secs_f64() * 1e3,
            "late": { "policy": late.policy, "camera": late.camera, "link": late.link, "chunks": late.chunks },
            "stages_ms": { "measure": self.stages_ms[0], "capture": self.stages_ms[1], "policy": self.stages_ms[2], "control": self.stages_ms[3], "link": self.stages_ms[4] },
            "frame_age_ms": age_ms,
            "speed": session.speed(),
            "joints": session.client().measured(),
        })
    }

    /// Tells how it was. `outcome` is what a simulated table says.
    pub fn summary(&mut self, outcome: Option<Value>) -> Result<()> {
        let [p50, p99, p999, most] = self.figures.jitter_us();
        let session: &Session = &self.parts.session;
        let late_ticks = *session.late();
        let recording = self.parts.recorder.take().map(|recorder| recorder.finish());
        let counters = session.client().counters();
        let seconds = self.begun.elapsed().as_secs_f64();
        let mut out = io::stdout().lock();
        if self.parts.json {
            let summary = json!({
                "summary": {
                    "ticks": self.figures.ticks(),
                    "seconds": seconds,
                    "jitter_us": { "p50": p50, "p99": p99, "p99_9": p999, "max": most },
                    "deadlines_met": self.figures.deadlines_met(),
                    "longest_gap_ms": self.figures.longest_gap().as_secs_f64() * 1e3,
                    "late": { "policy": late_ticks.policy, "camera": late_ticks.camera, "link": late_ticks.link, "chunks": late_ticks.chunks },
                    "setpoints": counters.setpoints,
                    "memory_bytes": memory::resident(),
                    "peak_bytes": memory::peak(),
                    "recording": recording,
                    "table": outcome,
                }
            });
            writeln!(out, "{summary}")?;
            return Ok(());
        }
        writeln!(
            out,
            "{} ticks in {seconds:.1} s, {} setpoints; deadlines met {:.3}%, longest gap {:.1} ms",
            self.figures.ticks(),
            counters.setpoints,
            self.figures.deadlines_met() * 100.0,
            self.figures.longest_gap().as_secs_f64() * 1e3
        )?;
        writeln!(
            out,
            "ticks began after they were due: p50 {:.2} ms, p99 {:.2}, p99.9 {:.2}, at most {:.2}; late ticks: {}",
            f64::from(p50) / 1e3,
            f64::from(p99) / 1e3,
            f64::from(p999) / 1e3,
            f64::from(most) / 1e3,
            late(&late_ticks)
        )?;
        if let Some(bytes) = memory::resident() {
            writeln!(out, "memory at the end {:.1} MB", bytes as f64 / 1e6)?;
        }
        if let Some(summary) = recording {
            writeln!(
                out,
                "recorded {} messages, {:.1} MB, in {}",
                summary.messages,
                summary.bytes as f64 / 1e6,
                summary.path.display()
            )?;
            if let Some(trouble) = summary.trouble {
                writeln!(out, "the recording ends early: {trouble}")?;
            }
        }
        Ok(())
    }
}
