//! Lines out of a stream of bytes, some of which may be garbage.

use core::marker::PhantomData;

use heapless::Vec;

use super::{BoardMessage, HostMessage, MAX_HOST_LINE, MAX_LINE, Message, WireError, decode};

/// How every line starts, and nothing inside one looks.
const START: &[u8; 7] = br#"{"seq":"#;

/// The board's half.
pub type HostReader = LineReader<HostMessage, MAX_HOST_LINE>;

/// The host's half.
pub type BoardReader = LineReader<BoardMessage, MAX_LINE>;

/// Collects bytes into lines of up to `N` bytes and decodes them.
///
/// Whatever came before, a whole good line is read: a newline ends any line, and the characters
/// with which every message starts begin a new one even without a newline before them.
#[derive(Debug, Clone)]
pub struct LineReader<M, const N: usize> {
    line: Vec<u8, N>,
    too_long: bool,
    message: PhantomData<fn() -> M>,
}

impl<M: Message, const N: usize> LineReader<M, N> {
    /// A reader that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            line: Vec::new(),
            too_long: false,
            message: PhantomData,
        }
    }

    /// Takes bytes off the wire and hands every message, or what was wrong with its line, to
    /// `each`. Empty lines are no error.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Result<M, WireError>)) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line(&mut each);
            } else {
                self.push_byte(*byte, &mut each);
            }
        }
    }

    fn push_byte(&mut self, byte: u8, each: &mut impl FnMut(Result<M, WireError>)) {
        if self.line.push(byte).is_err() {
            self.too_long = true;
            self.keep_last(START.len().saturating_sub(1));
            // Room was just made; a buffer shorter than a start pattern reads nothing anyway.
            let _ = self.line.push(byte);
        }
        if byte == b':' && self.line.len() > START.len() && self.line.ends_with(START) {
            each(Err(self.complaint()));
            self.keep_last(START.len());
            self.too_long = false;
        }
    }

    fn end_line(&mut self, each: &mut impl FnMut(Result<M, WireError>)) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        if self.too_long {
            each(Err(WireError::TooLong));
        } else if !line.is_empty() {
            each(decode(line));
        }
        self.line.clear();
        self.too_long = false;
    }

    fn complaint(&self) -> WireError {
        if self.too_long {
            WireError::TooLong
        } else {
            WireError::Garbage
        }
    }

    fn keep_last(&mut self, count: usize) {
        let drop = self.line.len().saturating_sub(count);
        self.line.rotate_left(drop);
        self.line.truncate(count);
    }
}

impl<M: Message, const N: usize> Default for LineReader<M, N> {
    fn default() -> Self {
        Self::new()
    }
}
