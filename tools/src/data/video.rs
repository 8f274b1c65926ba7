//! Pictures in video files, decoded by the program `ffmpeg`.
//!
//! The program is asked for PPM pictures: each says its own size, so that none can be cut in the wrong places.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::Result;
use wink_runtime::camera::Frame;

use crate::bad_input::bad_input;

/// Width and height of a picture.
const MOST_SIDE: u32 = 8192;
/// Bytes of the program's messages that are kept.
const MESSAGE_BYTES: u64 = 4096;
/// Longest number in a PPM header.
const DIGITS: usize = 5;

/// A clip that is being decoded.
pub struct Video {
    file: PathBuf,
    from_s: f64,
    at: Vec<usize>,
    /// How many of `at` were given.
    given: usize,
    /// Frames of the clip that were read.
    read: usize,
    child: Child,
    messages: File,
    pictures: BufReader<ChildStdout>,
}

impl Video {
    /// The frames `at` of the clip that begins at `from_s`.
    pub fn open(file: &Path, from_s: f64, fps: f64, at: &[usize]) -> Result<Self> {
        let told = file.display();
        if !file.is_file() {
            return Err(bad_input(format!("{told}: there is no such file")));
        }
        let first = at.first().copied().unwrap_or(0);
        let count = at.last().map_or(0, |last| last + 1 - first);
        // Half a frame early: the first frame must not fall to the rounding of its time.
        let seek = (from_s + (first as f64 - 0.5) / fps).max(0.0);
        let mut input = OsString::from("file:");
        input.push(file);
        // A file, since a pipe that nobody empties would stop the program.
        let messages = tempfile::tempfile()?;
        let mut child = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-protocol_whitelist", "file"])
            // The container is fixed: other demuxers would follow names of further files.
            .args(["-f", "mov", "-ss", &format!("{seek:.6}"), "-i"])
            .arg(input)
            // One picture for each frame of the file, neither dropped nor repeated, in every version of the program.
            .args(["-map", "0:v:0", "-vf", &format!("setpts=N/({fps}*TB)")])
            .args(["-r", &fps.to_string(), "-frames:v", &count.to_string()])
            .args(["-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(messages.try_clone()?)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => bad_input(format!(
                    "{told}: reading a video takes the program ffmpeg, which is not installed"
                )),
                _ => bad_input(format!("{told}: ffmpeg does not start: {error}")),
            })?;
        let Some(pictures) = child.stdout.take() else {
            return Err(bad_input(format!("{told}: ffmpeg gives no output")));
        };
        Ok(Self {
            file: file.to_owned(),
            from_s,
            at: at.to_vec(),
            given: 0,
            read: first,
            child,
            messages,
            pictures: BufReader::with_capacity(1 << 16, pictures),
        })
    }

    /// Decodes the next one.
    pub fn next(&mut self, frame: &mut Frame) -> Result<()> {
        let Some(&wanted) = self.at.get(self.given) else {
            return Err(self.wrong("no more frames were asked for"));
        };
        while self.read <= wanted {
            match picture(&mut self.pictures, frame) {
                Ok(true) => self.read += 1,
                Ok(false) => return Err(self.ended()),
                Err(error) => return Err(self.wrong(&error.to_string())),
            }
        }
        self.given += 1;
        Ok(())
    }

    /// Why there are no more pictures, in the program's own words where it has some.
    fn ended(&mut self) -> anyhow::Error {
        let mut message = Vec::new();
        let _ = self.child.wait();
        let _ = self.messages.rewind();
        let _ = (&self.messages)
            .take(MESSAGE_BYTES)
            .read_to_end(&mut message);
        let message = String::from_utf8_lossy(&message);
        self.wrong(message.lines().next().unwrap_or("the video ends").trim())
    }

    fn wrong(&self, what: &str) -> anyhow::Error {
        bad_input(format!(
            "{}: frame {} of the part that begins at {:.3} s: {what}",
            self.file.display(),
            self.read,
            self.from_s
        ))
    }
}

impl Drop for Video {
    fn drop(&mut self) {
        // It may have more to say than was asked for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads one PPM picture; `false` at the end of the stream.
fn picture(from: &mut impl Read, frame: &mut Frame) -> io::Result<bool> {
    let mut magic = [0; 2];
    match from.read_exact(&mut magic) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    }
    let wrong = |what: &str| io::Error::other(format!("ffmpeg wrote no PPM picture: {what}"));
    if &magic != b"P6" {
        return Err(wrong("its magic number is another"));
    }
    from.read_exact(&mut [0])?;
    let mut header = [0; 3];
    for number in &mut header {
        *number = digits(from).ok_or_else(|| wrong("a number in its header cannot be read"))?;
    }
    let [width, height, largest] = header;
    if !(1..=MOST_SIDE).contains(&width) || !(1..=MOST_SIDE).contains(&height) || largest != 255 {
        return Err(wrong(&format!(
            "{width} x {height}, values up to {largest}"
        )));
    }
    frame.resize(width, height);
    from.read_exact(&mut frame.rgb)?;
    Ok(true)
}

/// A number and the one blank behind it.
fn digits(from: &mut impl Read) -> Option<u32> {
    let mut number = 0;
    for _ in 0..=DIGITS {
        let mut byte = [0];
        from.read_exact(&mut byte).ok()?;
        match byte[0] {
            digit @ b'0'..=b'9' => number = number * 10 + u32::from(digit - b'0'),
            b' ' | b'\n' => return Some(number),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_say_their_own_size() {
        let stream = b"P6\n2 1\n255\nabcdefP6\n1 1\n255\nxyz";
        let (mut from, mut frame) = (&stream[..], Frame::default());
        assert!(picture(&mut from, &mut frame).unwrap());
        assert_eq!(
            (frame.width, frame.height, &frame.rgb[..]),
            (2, 1, &b"abcdef"[..])
        );
        assert!(picture(&mut from, &mut frame).unwrap());
        assert_eq!((frame.width, &frame.rgb[..]), (1, &b"xyz"[..]));
        assert!(!picture(&mut from, &mut frame).unwrap());
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for stream in [
            &b"P5\n1 1\n255\nx"[..],
            b"P6\n99999999 1\n255\n",
            b"P6\n9000 1\n255\n",
            b"P6\n0 1\n255\n",
            b"P6\n1 1\n65535\nabcdef",
            b"P6\n-1 1\n255\n",
            b"P6\n2 2\n255\nabc",
        ] {
            let mut from = stream;
            assert!(picture(&mut from, &mut Frame::default()).is_err());
        }
    }
}
