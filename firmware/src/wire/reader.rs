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
        let after_garbage = self.too_long || self.line.len() > START.len();
        if byte == b':' && after_garbage && self.line.ends_with(START) {
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

    /// Drops all but the last `count` bytes, no more than a start pattern has.
    fn keep_last(&mut self, count: usize) {
        let mut kept = Vec::<u8, { START.len() }>::new();
        let dropped = self.line.len().saturating_sub(count);
        // Both fit: a buffer too short for a start pattern could hold no line either.
        let _ = kept.extend_from_slice(self.line.get(dropped..).unwrap_or_default());
        self.line.clear();
        let _ = self.line.extend_from_slice(&kept);
    }
}

impl<M: Message, const N: usize> Default for LineReader<M, N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::vec::Vec;

    use super::*;
    use crate::JointVec;
    use crate::wire::{Command, Setpoint, encode_host};

    type Outcome = Result<HostMessage, WireError>;

    fn line(seq: u32) -> Vec<u8> {
        let positions = JointVec::from_slice(&[0.25, -1.5, 0.0]).unwrap();
        let command = Command::Setpoint(Setpoint {
            deadline_us: 123_456,
            positions,
            held: false,
        });
        let mut out = [0; MAX_HOST_LINE];
        let len = encode_host(&HostMessage { seq, command }, &mut out).unwrap();
        out[..len].to_vec()
    }

    fn read(bytes: &[u8]) -> Vec<Outcome> {
        let mut reader = HostReader::new();
        let mut outcomes = Vec::new();
        reader.push(bytes, |outcome| outcomes.push(outcome));
        outcomes
    }

    /// Numbers of the messages read, and the errors.
    fn summary(outcomes: &[Outcome]) -> (Vec<u32>, Vec<WireError>) {
        let seqs = outcomes
            .iter()
            .flatten()
            .map(|message| message.seq)
            .collect();
        let errors = outcomes
            .iter()
            .filter_map(|outcome| outcome.clone().err())
            .collect();
        (seqs, errors)
    }

    #[test]
    fn resynchronises() {
        let (a, b) = (line(1), line(2));
        let half = &a[..a.len() / 2];
        let noise = [0xff_u8; 2000];
        let no_end = &a[..a.len() - 1];
        // The buffer overflows at the very byte that completes the start of the line.
        let to_the_brim = &noise[..MAX_HOST_LINE + 1 - START.len()];
        type Case<'a> = (&'a str, Vec<&'a [u8]>, &'a [u32], &'a [WireError]);
        let cases: [Case<'_>; 12] = [
            ("nothing", [].into(), &[], &[]),
            ("two lines", [&a[..], &b].into(), &[1, 2], &[]),
            (
                "blank lines",
                [b"\n\r\n", &a[..], b"\n", &b].into(),
                &[1, 2],
                &[],
            ),
            (
                "carriage return",
                [no_end, b"\r\n", &b].into(),
                &[1, 2],
                &[],
            ),
            (
                "garbage line",
                [b"hi\n", &a[..]].into(),
                &[1],
                &[WireError::Garbage],
            ),
            (
                "garbage before",
                [b"{\"seq\"hi", &a[..]].into(),
                &[1],
                &[WireError::Garbage],
            ),
            (
                "truncated line",
                [half, &b].into(),
                &[2],
                &[WireError::Garbage],
            ),
            (
                "no newline between",
                [no_end, &b].into(),
                &[2],
                &[WireError::Garbage],
            ),
            (
                "long noise",
                [&noise[..], &a].into(),
                &[1],
                &[WireError::TooLong],
            ),
            (
                "brimful",
                [to_the_brim, &a].into(),
                &[1],
                &[WireError::TooLong],
            ),
            (
                "long line",
                [&noise[..], b"\n", &a].into(),
                &[1],
                &[WireError::TooLong],
            ),
            ("no end yet", [&a[..], no_end].into(), &[1], &[]),
        ];
        for (name, bytes, seqs, errors) in cases {
            let outcomes = read(&bytes.concat());
            assert_eq!(
                summary(&outcomes),
                (seqs.to_vec(), errors.to_vec()),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_good_line_is_read_whatever_came_before(
            garbage in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..2000),
                prop::collection::vec(prop::sample::select(br#"{"seq":1,}crc\"#.to_vec()), 0..900),
            ],
            cut in 0_usize..200,
            portion in 1_usize..64,
        ) {
            let mut bytes = garbage;
            let earlier = line(1);
            bytes.extend_from_slice(&earlier[..cut.min(earlier.len() - 1)]);
            bytes.extend(line(77));
            bytes.extend(line(78));
            let mut reader = HostReader::new();
            let mut seqs = Vec::new();
            for portion in bytes.chunks(portion) {
                reader.push(portion, |outcome| seqs.extend(outcome.map(|message| message.seq)));
            }
            prop_assert!(seqs.ends_with(&[77, 78]), "{seqs:?}");
        }

        #[test]
        fn any_bytes_are_survived_by_both_readers(
            bytes in prop::collection::vec(any::<u8>(), 0..3000),
        ) {
            HostReader::new().push(&bytes, |_| ());
            BoardReader::new().push(&bytes, |_| ());
        }
    }
}
