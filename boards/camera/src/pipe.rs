//! A command whose standard output is a stream of frames: `rpicam-vid` on a Raspberry Pi, GStreamer on a Jetson.

use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use wink_runtime::clock::{Clock, MonotonicClock};

use crate::live::{LiveCamera, Started};
use crate::mjpeg::Splitter;
use crate::newest::{State, Writer};
use crate::{CameraConfig, Layout, PixelFormat, SetupError};

/// Between two looks at whether the camera is still wanted.
const LOOK: u16 = 100;
/// Before a command that ended is started again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a command may take to end when it is told to.
const PATIENCE: Duration = Duration::from_millis(500);
/// Bytes of the command's messages that are kept.
const MESSAGE_BYTES: usize = 2048;
/// Bytes that a JPEG picture may have beyond its pixels.
const JPEG_HEADERS: usize = 1 << 16;
/// Bytes that are read at a time: what a pipe holds.
const PIECE: usize = 1 << 16;

/// A command that runs.
pub(crate) struct Pipe {
    command: String,
    layout: Layout,
    running: Running,
}

impl Pipe {
    /// Starts the command.
    pub(crate) fn new(config: &CameraConfig, command: &str) -> Result<Self, SetupError> {
        let failed = |message: String| SetupError::Command {
            camera: config.name.clone(),
            command: command.to_owned(),
            message,
        };
        let format = config
            .format
            .ok_or_else(|| failed("say what it writes: mjpg, yuyv, nv12 or rgb".to_owned()))?;
        if !format.fits(config.width, config.height) {
            let (width, height) = (config.width, config.height);
            return Err(failed(format!(
                "{format} has no frames of {width} x {height}"
            )));
        }
        Ok(Self {
            command: command.to_owned(),
            layout: Layout::packed(format, config.width, config.height),
            running: Running::start(command).map_err(|error| failed(error.to_string()))?,
        })
    }

    pub(crate) fn start(
        self,
        config: &CameraConfig,
        clock: &MonotonicClock,
    ) -> Result<LiveCamera, SetupError> {
        let started = Started {
            mode: self.layout,
            fps: f64::from(config.fps),
            pinned: Vec::new(),
            source: format!("`{}`", self.command),
        };
        let clock_of_thread = clock.clone();
        LiveCamera::start(config, clock, started, move |writer| {
            let capture = Capture {
                cutter: Cutter::new(self.layout),
                writer,
                clock: clock_of_thread,
            };
            capture.run(self.running, &self.command);
        })
    }
}

/// The command's process group.
struct Running {
    child: Child,
    message: Vec<u8>,
}

impl Running {
    fn start(command: &str) -> std::io::Result<Self> {
        let child = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Of its own, so that what the shell starts ends with it.
            .process_group(0)
            .spawn()?;
        Ok(Self {
            child,
            message: Vec::new(),
        })
    }

    /// Keeps the end of what the command says.
    fn hear(&mut self, bytes: &[u8]) {
        self.message.extend_from_slice(bytes);
        let excess = self.message.len().saturating_sub(MESSAGE_BYTES);
        self.message.drain(..excess);
    }

    /// Why it ended, in its own words where it has some.
    fn end(mut self) -> String {
        let status = self.finish().map(|status| status.to_string());
        let status = status.unwrap_or_else(|error| error.to_string());
        if let Some(mut errors) = self.child.stderr.take() {
            let mut ends = [PollFd::new(errors.as_fd(), PollFlags::POLLIN)];
            let told = poll(&mut ends, PollTimeout::ZERO);
            let mut rest = [0; MESSAGE_BYTES];
            if told == Ok(1)
                && let Ok(count) = errors.read(&mut rest)
            {
                self.hear(&rest[..count]);
            }
        }
        let message = String::from_utf8_lossy(&self.message).into_owned();
        let mut lines = message.lines().rev().map(str::trim);
        match lines.find(|line| !line.is_empty()) {
            Some(line) => format!("the command ended ({status}): {line}"),
            None => format!("the command ended ({status}) without a word"),
        }
    }

    /// Ends it, with all that it has started.
    fn finish(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let group = Pid::from_raw(self.child.id().cast_signed());
        let _ = killpg(group, Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = killpg(group, Signal::SIGKILL);
        self.child.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nobody is left to tell of an error.
        let _ = self.finish();
    }
}

/// What the capture thread owns.
struct Capture {
    cutter: Cutter,
    writer: Writer,
    clock: MonotonicClock,
}

impl Capture {
    fn run(mut self, mut running: Running, command: &str) {
        let mut given = 0;
        loop {
            let frames = self.read(&mut running);
            if self.writer.is_stopped() {
                return;
            }
            given += frames;
            let why = running.end();
            if given == 0 {
                self.writer.set_state(State::Ended(why));
                return;
            }
            self.writer.set_state(State::Lost(why));
            self.writer.pause(PAUSE);
            if self.writer.is_stopped() {
                return;
            }
            match Running::start(command) {
                Ok(again) => running = again,
                Err(error) => {
                    self.writer.set_state(State::Ended(error.to_string()));
                    return;
                }
            }
            self.cutter.reset();
            self.writer.count(|counts| counts.replugs += 1);
        }
    }

    /// Reads until the command's output ends or the camera is no longer wanted; says how many frames came.
    fn read(&mut self, running: &mut Running) -> u64 {
        let (Some(mut output), Some(mut errors)) =
            (running.child.stdout.take(), running.child.stderr.take())
        else {
            return 0;
        };
        let mut frames = 0;
        let mut piece = vec![0; PIECE];
        let mut errors_open = true;
        while !self.writer.is_stopped() {
            let [readable, told] = {
                let mut ends = [
                    PollFd::new(output.as_fd(), PollFlags::POLLIN),
                    PollFd::new(errors.as_fd(), PollFlags::POLLIN),
                ];
                let watched = if errors_open { 2 } else { 1 };
                let _ = poll(&mut ends[..watched], PollTimeout::from(LOOK));
                ends.map(|end| end.any().unwrap_or(false))
            };
            if errors_open && told {
                match errors.read(&mut piece) {
                    Ok(0) | Err(_) => errors_open = false,
                    Ok(count) => running.hear(&piece[..count]),
                }
            }
            if !readable {
                continue;
            }
            match output.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => {
                    let now_us = self.clock.now_us();
                    frames += self.cutter.push(&piece[..count], now_us, &mut self.writer);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        running.child.stderr = errors_open.then_some(errors);
        frames
    }
}

/// Cuts a stream into frames.
struct Cutter {
    layout: Layout,
    splitter: Splitter,
    /// Most bytes of a frame.
    most: usize,
}

impl Cutter {
    fn new(layout: Layout) -> Self {
        let pixels = layout.width as usize * layout.height as usize * 3;
        Self {
            layout,
            splitter: Splitter::default(),
            most: layout.frame_bytes().unwrap_or(pixels + JPEG_HEADERS),
        }
    }

    fn reset(&mut self) {
        self.splitter = Splitter::default();
    }

    /// Takes bytes that came at `now_us`; says how many frames they completed.
    fn push(&mut self, mut bytes: &[u8], now_us: u64, writer: &mut Writer) -> u64 {
        let mut frames = 0;
        while !bytes.is_empty() {
            let started = !writer.back.bytes.is_empty();
            let (used, whole) = match self.layout.format {
                PixelFormat::Mjpg => self.splitter.push(bytes, &mut writer.back.bytes),
                _ => {
                    let left = self.most - writer.back.bytes.len().min(self.most);
                    let used = left.min(bytes.len());
                    writer.back.bytes.extend_from_slice(&bytes[..used]);
                    (used, used == left)
                }
            };
            if !started {
                writer.back.time_us = now_us;
            }
            bytes = &bytes[used..];
            if whole {
                writer.back.layout = self.layout;
                writer.publish();
                writer.back.bytes.clear();
                frames += 1;
            } else if writer.back.bytes.len() > self.most {
                writer.count(|counts| counts.damaged += 1);
                writer.back.bytes.clear();
                self.reset();
            }
        }
        frames
    }
}
