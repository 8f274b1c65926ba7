//! The loop of an arm that follows a person, or a recording: aligned slowly, held where the person is lost, parked at the end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use wink_runtime::arm::JointValues;
use wink_runtime::camera::Frame;
use wink_runtime::rig::NamedCamera;
use wink_runtime::session::Session;

use super::operator::{Operator, Wish};
use super::{Guide, Person};
use crate::hardware::park;
use crate::recording::{Event, Recorder};

/// Time between two lines of what goes on.
const SAY: Duration = Duration::from_secs(1);

/// How an arm is moved.
pub struct Plan<'a> {
    /// For the data set.
    pub instruction: &'a str,
    /// After this the arm parks.
    pub seconds: Option<f64>,
    /// How much of the recording the key `l` keeps, seconds.
    pub keep_last_s: f64,
    /// Whether the first episode begins by itself as soon as the arm is where it is wanted.
    pub one_episode: bool,
    /// Where the arm is let go of; where it began unless given.
    pub rest: Option<Vec<f64>>,
    /// Says what goes on.
    pub say: &'a mut dyn FnMut(&Progress) -> Result<()>,
}

/// What goes on, once a second.
#[derive(Debug, Clone, Serialize)]
pub struct Progress {
    /// Since the arm was armed.
    pub seconds: f64,
    /// Ticks so far.
    pub ticks: u64,
    /// Ticks a second of the last second.
    pub hz: f64,
    /// `aligning`, `following`, `held`, or why the arm holds.
    pub state: String,
    /// Whether an episode is running.
    pub episode: bool,
    /// Why nothing is recorded any more, where that is so.
    pub trouble: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Driven {
    /// Ticks at which the arm was moved.
    pub ticks: u64,
    /// Episodes that were begun.
    pub episodes: u64,
    /// How often the arm held because the person was lost.
    pub lost: u64,
    /// Ticks that were late.
    pub late: u64,
    /// Whether the arm was wherever it was wanted.
    pub aligned: bool,
}

/// What the arm does.
enum Mode {
    Following(Guide),
    /// The operator wants it to hold.
    Held,
    /// It holds until the person is there again.
    Lost(String),
}

/// The loop.
pub struct Drive<'a> {
    pub session: Session,
    pub cameras: Vec<NamedCamera>,
    pub person: &'a mut dyn Person,
    pub operator: &'a mut Operator,
    pub recorder: Option<&'a Recorder>,
}

impl Drive<'_> {
    /// Arms the arm, moves it until the end is asked for, parks and releases it. Where something fails the arm holds.
    ///
    /// # Errors
    /// When the arm cannot be driven, or a camera gives no frame.
    pub fn run(mut self, plan: &mut Plan<'_>) -> Result<Driven> {
        let mut driven = Driven::default();
        let mut frames = vec![Frame::default(); self.cameras.len()];
        self.session.rise().context("arming")?;
        let start = self.commanded()?;
        let moved = self.follow(plan, &mut driven, &mut frames, &start);
        if let Err(error) = &moved {
            let message = crate::bad_input::one_line(error);
            self.event(Event::Error { message });
        }
        if driven.episodes > 0 {
            self.event(Event::EpisodeEnd);
        }
        let parked = self.park(plan.rest.as_deref(), &start);
        let late = self.session.late();
        driven.late = late.camera + late.link;
        moved.and(parked)?;
        Ok(driven)
    }

    fn follow(
        &mut self,
        plan: &mut Plan<'_>,
        driven: &mut Driven,
        frames: &mut [Frame],
        start: &JointValues,
    ) -> Result<()> {
        let mut mode = Mode::Following(Guide::new(self.session.arm(), start)?);
        let begun = Instant::now();
        let (mut said, mut said_ticks) = (begun, 0);
        let mut episode = false;
        let text = plan.instruction.to_owned();
        self.event(Event::Instruction { text });
        loop {
            while let Some(wish) = self.operator.next() {
                match wish {
                    Wish::Quit => return Ok(()),
                    Wish::Hold => mode = self.toggle(mode)?,
                    Wish::Episode => {
                        episode = !episode;
                        driven.episodes += u64::from(episode);
                        self.event(match episode {
                            true => Event::EpisodeBegin,
                            false => Event::EpisodeEnd,
                        });
                    }
                    Wish::Keep(true) => self.event(Event::Kept),
                    Wish::Keep(false) => self.event(Event::Dropped),
                    Wish::Success(success) => self.event(Event::Success { success }),
                    Wish::KeepLast => self.event(Event::KeepLast {
                        seconds: plan.keep_last_s,
                    }),
                    Wish::Choose { .. } | Wish::Move { .. } => self.person.key(wish),
                }
            }
            let elapsed = begun.elapsed();
            let over = |seconds: f64| elapsed.as_secs_f64() >= seconds;
            if plan.seconds.is_some_and(over) || self.person.is_over() {
                return Ok(());
            }
            mode = self.step(mode, driven, frames)?;
            let aligned = matches!(&mode, Mode::Following(guide) if guide.is_aligned());
            driven.aligned |= aligned;
            if plan.one_episode && aligned && driven.episodes == 0 {
                episode = true;
                driven.episodes = 1;
                self.event(Event::EpisodeBegin);
            }
            if said.elapsed() >= SAY {
                let seconds = said.elapsed().as_secs_f64();
                (plan.say)(&Progress {
                    seconds: elapsed.as_secs_f64(),
                    ticks: driven.ticks,
                    hz: (driven.ticks - said_ticks) as f64 / seconds,
                    state: match &mode {
                        Mode::Following(guide) if guide.is_aligned() => "following".to_owned(),
                        Mode::Following(_) => "aligning".to_owned(),
                        Mode::Held => "held".to_owned(),
                        Mode::Lost(why) => why.clone(),
                    },
                    episode,
                    trouble: self.recorder.and_then(Recorder::trouble),
                })?;
                (said, said_ticks) = (Instant::now(), driven.ticks);
            }
        }
    }

    /// One tick.
    fn step(&mut self, mode: Mode, driven: &mut Driven, frames: &mut [Frame]) -> Result<Mode> {
        match mode {
            Mode::Following(mut guide) => {
                let period_s = self.session.period_us() as f64 / 1e6;
                let wanted = self.person.wanted(guide.targets());
                let targets = wanted.and_then(|wanted| Ok(*guide.follow(&wanted, period_s)?));
                match targets {
                    Ok(targets) => {
                        for (camera, frame) in self.cameras.iter_mut().zip(frames) {
                            camera.camera.capture(frame)?;
                        }
                        let report = self.session.follow(&targets, 1.0)?;
                        if let Some(recorder) = self.recorder {
                            recorder.tick(&report);
                        }
                        driven.ticks += 1;
                        Ok(Mode::Following(guide))
                    }
                    Err(error) => {
                        let why = crate::bad_input::one_line(&error);
                        driven.lost += 1;
                        self.hold(why.clone())?;
                        Ok(Mode::Lost(why))
                    }
                }
            }
            Mode::Held => {
                self.session.idle()?;
                Ok(Mode::Held)
            }
            Mode::Lost(why) => {
                self.session.idle()?;
                let told = self.session.commanded().copied().unwrap_or_default();
                match self.person.wanted(&told) {
                    Ok(_) => self.go_on(),
                    Err(_) => Ok(Mode::Lost(why)),
                }
            }
        }
    }

    fn toggle(&mut self, mode: Mode) -> Result<Mode> {
        match mode {
            Mode::Held => self.go_on(),
            Mode::Following(_) | Mode::Lost(_) => {
                self.hold("the operator".to_owned())?;
                Ok(Mode::Held)
            }
        }
    }

    fn hold(&mut self, reason: String) -> Result<()> {
        self.session.end()?;
        self.event(Event::Hold { reason });
        Ok(())
    }

    /// Follows again, aligned anew.
    fn go_on(&mut self) -> Result<Mode> {
        self.session.rise()?;
        self.event(Event::Resume);
        let start = self.commanded()?;
        Ok(Mode::Following(Guide::new(self.session.arm(), &start)?))
    }

    /// Goes slowly to where the arm rests and lets go of it.
    fn park(&mut self, rest: Option<&[f64]>, start: &JointValues) -> Result<()> {
        let rest = rest.map_or(*start, JointValues::from);
        self.session.end()?;
        let recorder = self.recorder;
        park(&mut self.session, &rest, |report| {
            if let Some(recorder) = recorder {
                recorder.tick(report);
            }
        })
    }

    fn commanded(&self) -> Result<JointValues> {
        let commanded = self.session.commanded().copied();
        commanded.context("the arm was told nothing yet")
    }

    fn event(&self, event: Event) {
        if let Some(recorder) = self.recorder {
            recorder.event(self.session.now_us(), event);
        }
    }
}
