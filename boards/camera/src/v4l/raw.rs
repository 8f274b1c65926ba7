//! The calls to the kernel: one function for each, with the arguments checked.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;

use nix::libc;
use v4l::v4l_sys as sys;
use v4l::v4l2::{self, vidioc};

/// An open device.
#[derive(Debug)]
pub struct Device(OwnedFd);

/// Structures of plain numbers that the kernel fills.
///
/// # Safety
/// All bits zero is a valid value, and any bits that the kernel writes are.
pub(super) unsafe trait Plain: Sized {}

macro_rules! plain {
    ($($name:ident)*) => {
        $(
            // SAFETY: a C structure of integers, unions of those and, in `v4l2_buffer` and `v4l2_format`, pointers, for which
            // null is valid and which are never followed here.
            unsafe impl Plain for sys::$name {}
        )*
    };
}

plain!(v4l2_capability v4l2_fmtdesc v4l2_frmsizeenum v4l2_frmivalenum v4l2_format v4l2_streamparm v4l2_requestbuffers
    v4l2_buffer v4l2_query_ext_ctrl v4l2_control);

/// A value whose bits are zero, as the kernel wants what is not used.
pub(super) fn zeroed<T: Plain>() -> T {
    // SAFETY: all bits zero is a valid value, as `Plain` says.
    unsafe { std::mem::zeroed() }
}

/// What the kernel is asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    Capabilities,
    EnumerateFormats,
    EnumerateSizes,
    EnumerateIntervals,
    GetFormat,
    SetFormat,
    SetRate,
    RequestBuffers,
    QueryBuffer,
    Queue,
    Dequeue,
    QueryControl,
    GetControl,
    SetControl,
}

impl Device {
    /// Opens the device without waiting.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Crate v4l would panic on it.
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let flags = libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let fd = v4l2::open(path, flags)?;
        // SAFETY: the descriptor was opened just now, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Asks the kernel; a call with an argument of another type is refused.
    pub(super) fn call<T: Argument>(&self, call: Call, argument: &mut T) -> io::Result<()> {
        if !T::CALLS.iter().any(|&known| known as u8 == call as u8) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let request = match call {
            Call::Capabilities => vidioc::VIDIOC_QUERYCAP,
            Call::EnumerateFormats => vidioc::VIDIOC_ENUM_FMT,
            Call::EnumerateSizes => vidioc::VIDIOC_ENUM_FRAMESIZES,
            Call::EnumerateIntervals => vidioc::VIDIOC_ENUM_FRAMEINTERVALS,
            Call::GetFormat => vidioc::VIDIOC_G_FMT,
            Call::SetFormat => vidioc::VIDIOC_S_FMT,
            Call::SetRate => vidioc::VIDIOC_S_PARM,
            Call::RequestBuffers => vidioc::VIDIOC_REQBUFS,
            Call::QueryBuffer => vidioc::VIDIOC_QUERYBUF,
            Call::Queue => vidioc::VIDIOC_QBUF,
            Call::Dequeue => vidioc::VIDIOC_DQBUF,
            Call::QueryControl => vidioc::VIDIOC_QUERY_EXT_CTRL,
            Call::GetControl => vidioc::VIDIOC_G_CTRL,
            Call::SetControl => vidioc::VIDIOC_S_CTRL,
        };
        loop {
            // SAFETY: the argument is of the type that the request has, and lives for the call. No request here makes the kernel
            // keep or follow a pointer: memory is `MMAP`, and single planes are asked for.
            let done = unsafe {
                v4l2::ioctl(
                    self.0.as_raw_fd(),
                    request,
                    std::ptr::from_mut(argument).cast::<c_void>(),
                )
            };
            match done {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Starts or stops streaming.
    pub(super) fn stream(&self, on: bool) -> io::Result<()> {
        let mut kind = CAPTURE;
        let request = if on {
            vidioc::VIDIOC_STREAMON
        } else {
            vidioc::VIDIOC_STREAMOFF
        };
        // SAFETY: both requests read an integer.
        unsafe {
            v4l2::ioctl(
                self.0.as_raw_fd(),
                request,
                std::ptr::from_mut(&mut kind).cast::<c_void>(),
            )
        }
    }

    /// Maps `length` bytes of a buffer of the device at the offset that the kernel gave.
    pub(super) fn map(&self, length: usize, offset: u32) -> io::Result<Mapping> {
        // SAFETY: a fresh mapping of a file has no preconditions.
        let start = unsafe {
            v4l2::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_SHARED,
                self.0.as_raw_fd(),
                offset.into(),
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Mapping { start, length })
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A type with the calls that take it.
pub(super) trait Argument: Plain {
    /// The calls.
    const CALLS: &'static [Call];
}

macro_rules! arguments {
    ($($name:ident: $($call:ident)*;)*) => {
        $(
            impl Argument for sys::$name {
                const CALLS: &'static [Call] = &[$(Call::$call),*];
            }
        )*
    };
}

arguments! {
    v4l2_capability: Capabilities;
    v4l2_fmtdesc: EnumerateFormats;
    v4l2_frmsizeenum: EnumerateSizes;
    v4l2_frmivalenum: EnumerateIntervals;
    v4l2_format: GetFormat SetFormat;
    v4l2_streamparm: SetRate;
    v4l2_requestbuffers: RequestBuffers;
    v4l2_buffer: QueryBuffer Queue Dequeue;
    v4l2_query_ext_ctrl: QueryControl;
    v4l2_control: GetControl SetControl;
}

/// A mapped buffer.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Its bytes. The buffer must be the program's, taken from the queue: the device does not write to it then.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has this length and lives as long as `self`; any bytes are valid. The stream asks only for buffers
        // that it has dequeued. A driver that wrote all the same would change numbers, of which none is an index or a length.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the very range that was mapped; no slice of it outlives `self`.
        let _ = unsafe { v4l2::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// Single-plane capture.
pub(super) const CAPTURE: u32 = sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE;
/// Buffers in the device's memory.
pub(super) const MMAP: u32 = sys::v4l2_memory_V4L2_MEMORY_MMAP;

/// Text in a fixed field, up to its first zero.
pub(super) fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&field[..end.unwrap_or(field.len())]).into_owned()
}

/// Microseconds of CLOCK_MONOTONIC, the clock of frames.
pub(super) fn monotonic_us() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes the structure that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000 + time.tv_nsec.cast_unsigned() / 1_000
}
