//! Where the bytes of an ONNX file come from. A large file is in memory once: what was decoded is freed, or was never all there.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prost::bytes::Buf;
use tract_onnx::pb::ModelProto;

use crate::error::{EngineError, one_line};
use crate::import::{self, Defaults, GraphInfo};

/// Bytes that are read from a file at once: they stay in the second-level cache until they are decoded.
const PART: usize = 1 << 18;

/// The bytes of an ONNX file.
#[derive(Debug)]
pub struct Source {
    file: PathBuf,
    content: Content,
    read: Duration,
}

#[derive(Debug)]
enum Content {
    /// One after the other.
    Parts(Vec<Vec<u8>>),
    /// Read while it is decoded.
    File(File, u64),
}

impl Source {
    /// Opens a file, which is read when it is decoded.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(file: &Path) -> Result<Self, EngineError> {
        let clock = Instant::now();
        let failed = |source| EngineError::Read {
            file: file.to_owned(),
            source,
        };
        let opened = File::open(file).map_err(failed)?;
        let metadata = opened.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::other("is not a plain file")));
        }
        Ok(Self {
            file: file.to_owned(),
            content: Content::File(opened, metadata.len()),
            read: clock.elapsed(),
        })
    }

    /// Bytes that were read before, in parts that are freed one by one as they are decoded; errors name `file`, and weights in other
    /// files are looked for in its folder. `read` is how long reading took.
    #[must_use]
    pub fn of_parts(file: PathBuf, parts: Vec<Vec<u8>>, read: Duration) -> Self {
        Self {
            file,
            content: Content::Parts(parts),
            read,
        }
    }

    /// What the file holds, whether or not it can run.
    ///
    /// # Errors
    /// When it is broken, or nothing that may be loaded.
    pub fn info(&self) -> Result<GraphInfo, EngineError> {
        self.parse().and_then(|model| {
            import::inspect(&model, |_| true).map_err(|message| self.refused(&message))
        })
    }

    /// Decodes the bytes and keeps them.
    pub(crate) fn parse(&self) -> Result<ModelProto, EngineError> {
        match &self.content {
            Content::Parts(parts) => {
                let defaults = Defaults::of(Parts::of(parts));
                self.decode(Parts::of(parts), &defaults)
            }
            Content::File(file, len) => self.stream(file, *len),
        }
    }

    /// Decodes the bytes and frees them. Also how long reading them took, as far as it was not part of decoding.
    pub(crate) fn consume(mut self) -> Result<(ModelProto, PathBuf, Duration), EngineError> {
        let content = std::mem::replace(&mut self.content, Content::Parts(vec![]));
        let model = match content {
            Content::Parts(parts) => {
                let defaults = Defaults::of(Parts::of(&parts));
                self.decode(Parts(parts.into(), 0), &defaults)?
            }
            Content::File(file, len) => self.stream(&file, len)?,
        };
        Ok((model, self.file, self.read))
    }

    fn stream(&self, file: &File, len: u64) -> Result<ModelProto, EngineError> {
        let start = |mut file: &File| file.rewind().map_err(|source| self.unreadable(source));
        start(file)?;
        let defaults = Defaults::of(Streamed::new(file, len));
        start(file)?;
        let mut streamed = Streamed::new(file, len);
        let decoded = self.decode(&mut streamed, &defaults);
        match streamed.failed {
            Some(source) => Err(self.unreadable(source)),
            None => decoded,
        }
    }

    fn decode(&self, bytes: impl Buf, defaults: &Defaults) -> Result<ModelProto, EngineError> {
        import::decode(bytes, defaults, folder_of(&self.file))
            .map_err(|message| self.refused(&message))
    }

    fn refused(&self, message: &str) -> EngineError {
        EngineError::Graph {
            file: self.file.clone(),
            message: one_line(message),
        }
    }

    fn unreadable(&self, source: io::Error) -> EngineError {
        EngineError::Read {
            file: self.file.clone(),
            source,
        }
    }
}

/// Where the weights of a graph are that lie outside its file.
pub(crate) fn folder_of(file: &Path) -> &Path {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Parts one after the other, of which those that were passed are dropped, and how much of the first one was passed.
struct Parts<T>(VecDeque<T>, usize);

impl<'a> Parts<&'a [u8]> {
    fn of(parts: &'a [Vec<u8>]) -> Self {
        Self(parts.iter().map(Vec::as_slice).collect(), 0)
    }
}

impl<T: AsRef<[u8]>> Parts<T> {
    /// Drops parts that were passed.
    fn settle(&mut self) {
        while let Some(part) = self.0.front()
            && self.1 >= part.as_ref().len()
        {
            self.1 -= part.as_ref().len();
            self.0.pop_front();
        }
    }
}

impl<T: AsRef<[u8]>> Buf for Parts<T> {
    fn remaining(&self) -> usize {
        let all: usize = self.0.iter().map(|part| part.as_ref().len()).sum();
        all.saturating_sub(self.1)
    }

    fn chunk(&self) -> &[u8] {
        // Empty parts at the start, before anything was passed.
        let mut parts = self.0.iter().map(AsRef::as_ref);
        let first = parts.find(|part| !part.is_empty());
        first.map_or(&[], |part| &part[self.1..])
    }

    fn advance(&mut self, count: usize) {
        self.1 += count;
        self.settle();
    }
}

/// A file that is read as it is decoded. After an error nothing remains.
struct Streamed<'a> {
    file: &'a File,
    part: Vec<u8>,
    /// Bytes of the part that were passed.
    passed: usize,
    /// Bytes that are not passed, those of the part among them.
    left: u64,
    failed: Option<io::Error>,
}

impl<'a> Streamed<'a> {
    fn new(file: &'a File, len: u64) -> Self {
        let mut streamed = Self {
            file,
            part: Vec::with_capacity(PART),
            passed: 0,
            left: len,
            failed: None,
        };
        streamed.fill();
        streamed
    }

    /// Reads the next part.
    fn fill(&mut self) {
        self.part.clear();
        self.passed = 0;
        let wanted = self.left.min(PART as u64);
        let mut file = self.file.take(wanted);
        let error = match file.read_to_end(&mut self.part) {
            Ok(read) if read as u64 == wanted => return,
            Ok(_) => io::Error::new(io::ErrorKind::UnexpectedEof, "ends early"),
            Err(error) => error,
        };
        self.fail(error);
    }

    fn fail(&mut self, error: io::Error) {
        self.part.clear();
        self.passed = 0;
        self.left = 0;
        self.failed = Some(error);
    }
}

impl Buf for Streamed<'_> {
    fn remaining(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    fn chunk(&self) -> &[u8] {
        &self.part[self.passed..]
    }

    fn advance(&mut self, count: usize) {
        let here = count.min(self.part.len() - self.passed);
        self.passed += here;
        let beyond = (count - here) as u64;
        self.left = self.left.saturating_sub(count as u64);
        if self.passed < self.part.len() {
            return;
        }
        // What is passed over is not read.
        let step = i64::try_from(beyond).map_err(io::Error::other);
        match step.and_then(|step| self.file.seek_relative(step)) {
            Ok(()) => self.fill(),
            Err(error) => self.fail(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        io::Write::write_all(&mut file, bytes).expect("written");
        file.rewind().expect("rewound");
        file
    }

    /// Passes over the steps, and compares what comes with the bytes.
    fn pass(mut buf: impl Buf, bytes: &[u8], steps: &[usize]) {
        let mut at = 0;
        for &step in steps {
            let step = step.min(bytes.len() - at);
            buf.advance(step);
            at += step;
            assert_eq!(buf.remaining(), bytes.len() - at);
            assert_eq!(buf.chunk().first(), bytes.get(at));
        }
        let mut rest = vec![];
        while buf.has_remaining() {
            let count = buf.chunk().len().min(1_003);
            rest.extend_from_slice(&buf.chunk()[..count]);
            buf.advance(count);
        }
        assert!(rest == bytes[at..]);
        assert!(buf.chunk().is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn a_step_may_pass_over_parts(
            len in 0_usize..3 * PART,
            steps in prop::collection::vec(0_usize..PART * 3 / 2, 0..6),
            cut in 1_usize..2 * PART,
        ) {
            let bytes = numbers(len);
            let file = file_of(&bytes);
            pass(Streamed::new(&file, len as u64), &bytes, &steps);
            let mut parts: VecDeque<Vec<u8>> = bytes.chunks(cut).map(<[u8]>::to_vec).collect();
            parts.push_front(vec![]);
            pass(Parts(parts, 0), &bytes, &steps);
        }
    }

    #[test]
    fn a_file_that_shrank_is_an_error() {
        let file = file_of(&numbers(PART + 7));
        let mut streamed = Streamed::new(&file, PART as u64 + 8);
        streamed.advance(PART);
        assert_eq!(streamed.remaining(), 0);
        assert!(streamed.failed.is_some());
    }
}
