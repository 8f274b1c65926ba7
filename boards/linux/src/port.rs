//! Whether a serial port can be had: who else has it, and how long its driver keeps answers back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serialport::ErrorKind;
use wink_camera::{Holder, holders};

use crate::BoardError;

/// Most that an adapter's driver may keep an answer back for, ms: a control step waits for two answers.
const MOST_LATENCY_MS: u32 = 2;

/// Checks that no other program has the port open, and that its driver hands answers over at once.
///
/// # Errors
/// Names the program, or the driver's timer and how it is set.
pub fn check(path: &str) -> Result<(), BoardError> {
    check_free(path)?;
    quicken(Path::new("/sys"), path)
}

/// Checks that no other program has the port open. The superuser would be given a port that is taken.
///
/// # Errors
/// Names the program.
pub fn check_free(path: &str) -> Result<(), BoardError> {
    match holders(Path::new(path)).into_iter().next() {
        Some(Holder { pid, name }) => Err(BoardError::Taken {
            path: path.to_owned(),
            by: format!("{name} (process {pid})"),
        }),
        None => Ok(()),
    }
}

/// Why the port of a device, an adapter or a board, could not be opened, and what to do.
#[must_use]
pub fn refused(path: &str, device: &str, error: &serialport::Error) -> BoardError {
    // A port that was opened exclusively by a program whose open files this user may not see.
    if error.description.contains("busy") {
        return BoardError::Taken {
            path: path.to_owned(),
            by: "another program (`sudo fuser -v` with the port tells which)".to_owned(),
        };
    }
    let hint = match error.kind {
        ErrorKind::NoDevice | ErrorKind::Io(io::ErrorKind::NotFound) => {
            format!(": is the {device} plugged in? `ls /dev/serial/by-id` lists those that are")
        }
        ErrorKind::Io(io::ErrorKind::PermissionDenied) => {
            ": let your user open it with `sudo usermod -aG dialout $USER`, then log in again"
                .to_owned()
        }
        _ => String::new(),
    };
    BoardError::Open {
        path: path.to_owned(),
        message: format!("{}{hint}", error.description),
    }
}

/// Where the driver of a USB adapter keeps the time for which it holds answers back. FTDI's has one, 16 ms unless set.
fn latency_timer(sys: &Path, path: &str) -> Option<PathBuf> {
    let device = Path::new(path).canonicalize().ok();
    let device = device.as_deref().unwrap_or(Path::new(path));
    let timer = sys
        .join("bus/usb-serial/devices")
        .join(device.file_name()?)
        .join("latency_timer");
    timer.exists().then_some(timer)
}

/// Has the driver hand answers over at once where this user may say so.
fn quicken(sys: &Path, path: &str) -> Result<(), BoardError> {
    let Some(timer) = latency_timer(sys, path) else {
        return Ok(());
    };
    let held_ms =
        |timer: &Path| -> Option<u32> { fs::read_to_string(timer).ok()?.trim().parse().ok() };
    let slow = |ms: &u32| *ms > MOST_LATENCY_MS;
    if held_ms(&timer).filter(slow).is_some() {
        // The error below says who can, where this user cannot.
        let _ = fs::write(&timer, "1");
    }
    match held_ms(&timer).filter(slow) {
        None => Ok(()),
        Some(ms) => Err(BoardError::LatencyTimer {
            path: path.to_owned(),
            ms,
            timer: timer.display().to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn the_program_that_has_a_port_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("adapter");
        let pty = crate::pty::Pty::create(&link).unwrap();
        assert_eq!(holders(&link), []);
        let port = fs::File::open(&link).unwrap();
        let mut other = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::from(port))
            .spawn()
            .unwrap();
        let found = holders(&link);
        let error = check(link.to_str().unwrap()).unwrap_err().to_string();
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].pid, found[0].name.as_str()),
            (other.id(), "sleep")
        );
        assert!(
            error.contains(&format!("is taken by sleep (process {})", other.id())),
            "{error}"
        );
        assert_eq!(holders(&link), []);
        drop(pty);
    }

    #[test]
    fn a_latency_timer_is_set_where_that_is_allowed_and_named_where_not() {
        let sys = tempfile::tempdir().unwrap();
        let device = sys.path().join("bus/usb-serial/devices/ttyUSB7");
        fs::create_dir_all(&device).unwrap();
        let timer = device.join("latency_timer");
        let quicken = || quicken(sys.path(), "/dev/ttyUSB7");
        quicken().unwrap();
        for (held, left) in [("1\n", "1\n"), ("2\n", "2\n"), ("16\n", "1")] {
            fs::write(&timer, held).unwrap();
            quicken().unwrap();
            assert_eq!(fs::read_to_string(&timer).unwrap(), left);
        }
        // A number that nobody may change.
        fs::remove_file(&timer).unwrap();
        std::os::unix::fs::symlink("/proc/sys/kernel/ngroups_max", &timer).unwrap();
        let before = fs::read_to_string(&timer).unwrap();
        let error = quicken().unwrap_err().to_string();
        assert_eq!(fs::read_to_string(&timer).unwrap(), before);
        assert!(
            error.contains("latency_timer") && error.contains("sudo tee"),
            "{error}"
        );
    }
}
