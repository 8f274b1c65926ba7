//! Memory-mapped streaming.

use std::io;
use std::os::fd::AsFd;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use v4l::v4l_sys as sys;

use super::raw::{CAPTURE, Call, Device, MMAP, Mapping, monotonic_us, zeroed};
use crate::Layout;
use crate::newest::RawFrame;

/// Buffers that are asked for.
const BUFFERS: u32 = 4;

/// A device that streams.
#[derive(Debug)]
pub(super) struct Stream {
    /// Before `device`, so that the memory goes first.
    buffers: Vec<Mapping>,
    device: Device,
    layout: Layout,
}

/// What came of waiting.
#[derive(Debug)]
pub(super) enum Next {
    /// A frame, with its time on CLOCK_MONOTONIC; frames that were waiting before it were passed over.
    Frame {
        time_us: u64,
        passed_over: u64,
        damaged: u64,
    },
    /// Nothing yet.
    Nothing,
    /// So many frames, none of which is to be used.
    Damaged(u64),
    /// The device must be started anew.
    Broken(io::Error),
    /// The device is gone.
    Gone,
}

/// A dequeued buffer.
enum Dequeued {
    Buffer(Box<sys::v4l2_buffer>),
    Nothing,
    Failed(io::Error),
}

impl Stream {
    /// Asks for buffers and starts. An error says during what.
    pub(super) fn start(device: Device, layout: Layout) -> Result<Self, (&'static str, io::Error)> {
        let mut request: sys::v4l2_requestbuffers = zeroed();
        request.count = BUFFERS;
        request.type_ = CAPTURE;
        request.memory = MMAP;
        device
            .call(Call::RequestBuffers, &mut request)
            .map_err(|error| ("asking for buffers", error))?;
        if request.count < 2 {
            let few = io::Error::other(format!("it has {} buffers, 2 are needed", request.count));
            return Err(("asking for buffers", few));
        }
        let mut stream = Self {
            buffers: Vec::new(),
            device,
            layout,
        };
        for index in 0..request.count {
            let mapping = stream
                .map(index)
                .map_err(|error| ("mapping a buffer", error))?;
            stream.buffers.push(mapping);
        }
        stream
            .begin()
            .map_err(|error| ("starting to stream", error))?;
        Ok(stream)
    }

    fn map(&self, index: u32) -> io::Result<Mapping> {
        let mut buffer = buffer(index);
        self.device.call(Call::QueryBuffer, &mut buffer)?;
        // SAFETY: of mapped memory the kernel fills `offset`; any bits are valid.
        let offset = unsafe { buffer.m.offset };
        self.device.map(buffer.length as usize, offset)
    }

    fn begin(&self) -> io::Result<()> {
        for index in 0..self.buffers.len() as u32 {
            self.queue(index)?;
        }
        self.device.stream(true)
    }

    /// Stops and starts: the buffers are all the device's afterwards, whatever had happened to them.
    pub(super) fn restart(&self) -> io::Result<()> {
        self.device.stream(false)?;
        self.begin()
    }

    fn queue(&self, index: u32) -> io::Result<()> {
        self.device.call(Call::Queue, &mut buffer(index))
    }

    /// Waits for a frame at most `timeout_ms` and copies the newest one's bytes and layout to `back`.
    pub(super) fn next(&mut self, timeout_ms: u16, back: &mut RawFrame) -> Next {
        let mut ends = [PollFd::new(self.device.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ends, PollTimeout::from(timeout_ms)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Next::Nothing,
            Ok(_) => {}
            Err(error) => return Next::Broken(error.into()),
        }
        let revents = ends[0].revents().unwrap_or(PollFlags::empty());
        let failed =
            revents.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL);
        let mut newest: Option<Box<sys::v4l2_buffer>> = None;
        let (mut passed_over, mut damaged) = (0, 0);
        loop {
            let dequeued = match self.dequeue() {
                Dequeued::Buffer(buffer) => buffer,
                Dequeued::Nothing => break,
                Dequeued::Failed(error) => return of_error(error),
            };
            // The newest whole frame is kept, the others go back.
            let back = if self.is_whole(&dequeued) {
                let older = newest.replace(dequeued);
                passed_over += u64::from(older.is_some());
                older
            } else {
                damaged += 1;
                Some(dequeued)
            };
            if let Some(buffer) = back
                && let Err(error) = self.queue(buffer.index)
            {
                return of_error(error);
            }
        }
        match newest {
            Some(buffer) => {
                let time_us = time_us(&buffer);
                self.take(&buffer, back);
                if let Err(error) = self.queue(buffer.index) {
                    return of_error(error);
                }
                Next::Frame {
                    time_us,
                    passed_over,
                    damaged,
                }
            }
            None if damaged > 0 => Next::Damaged(damaged),
            // An error without a frame: the queue is broken, though no call says why.
            None if failed => Next::Broken(io::Error::other("the device signals an error")),
            None => Next::Nothing,
        }
    }

    fn dequeue(&self) -> Dequeued {
        let mut buffer = buffer(0);
        match self.device.call(Call::Dequeue, &mut buffer) {
            Ok(()) => Dequeued::Buffer(Box::new(buffer)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Dequeued::Nothing,
            Err(error) => Dequeued::Failed(error),
        }
    }

    /// Whether the device has filled a whole frame.
    fn is_whole(&self, buffer: &sys::v4l2_buffer) -> bool {
        let length = self.buffers.get(buffer.index as usize).map(Mapping::len);
        let filled = (buffer.bytesused as usize).min(length.unwrap_or(0));
        let wanted = self.layout.frame_bytes().unwrap_or(1);
        buffer.flags & sys::V4L2_BUF_FLAG_ERROR == 0 && filled >= wanted
    }

    /// Copies a whole frame.
    fn take(&self, buffer: &sys::v4l2_buffer, back: &mut RawFrame) {
        back.layout = self.layout;
        back.bytes.clear();
        if let Some(mapping) = self.buffers.get(buffer.index as usize) {
            let wanted = self.layout.frame_bytes();
            let count = wanted.unwrap_or(buffer.bytesused as usize);
            let bytes = mapping.bytes();
            back.bytes
                .extend_from_slice(&bytes[..count.min(bytes.len())]);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A device that is gone has stopped by itself.
        let _ = self.device.stream(false);
    }
}

fn buffer(index: u32) -> sys::v4l2_buffer {
    let mut buffer: sys::v4l2_buffer = zeroed();
    buffer.index = index;
    buffer.type_ = CAPTURE;
    buffer.memory = MMAP;
    buffer
}

fn of_error(error: io::Error) -> Next {
    match error.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO | libc::EBADF) => Next::Gone,
        _ => Next::Broken(error),
    }
}

/// When the frame was taken; now, where the driver does not tell it on CLOCK_MONOTONIC or tells a time that has not come.
fn time_us(buffer: &sys::v4l2_buffer) -> u64 {
    let now_us = monotonic_us();
    let monotonic =
        buffer.flags & sys::V4L2_BUF_FLAG_TIMESTAMP_MASK == sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    let seconds = u64::try_from(buffer.timestamp.tv_sec);
    let micros = u64::try_from(buffer.timestamp.tv_usec);
    match (monotonic, seconds, micros) {
        (true, Ok(seconds), Ok(micros)) => (seconds * 1_000_000 + micros).min(now_us),
        _ => now_us,
    }
}
