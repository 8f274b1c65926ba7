//! A board that shows itself as a drive while its button is held.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bad_input::bad_input;
use crate::progress;

/// Every such drive holds this file.
const MARK: &str = "INFO_UF2.TXT";

/// Where the drive with this label is mounted.
pub fn find(volume: &str, given: Option<&Path>) -> Result<PathBuf> {
    if let Some(given) = given {
        return if given.join(MARK).is_file() {
            Ok(given.to_owned())
        } else {
            Err(bad_input(format!(
                "--drive {}: no {MARK} there: hold BOOTSEL while plugging the board in, and mount its drive",
                given.display()
            )))
        };
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let found = mounted(&mounts)
        .into_iter()
        .chain([PathBuf::from("/Volumes").join(volume)])
        .find(|path| {
            path.file_name().is_some_and(|name| name == volume) && path.join(MARK).is_file()
        });
    found.ok_or_else(|| {
        bad_input(format!(
            "no drive {volume} is mounted: hold BOOTSEL while plugging the board in; where the system does not mount it, do so and give --drive DIR"
        ))
    })
}

/// Mount points, blanks in them decoded.
fn mounted(mounts: &str) -> Vec<PathBuf> {
    mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(|path| PathBuf::from(path.replace("\\040", " ")))
        .collect()
}

/// Writes the file and waits until the board has taken it, which ends the drive.
pub fn copy(drive: &Path, file: &[u8], patience: Duration) -> Result<()> {
    let path = drive.join("WINK.UF2");
    let bar = progress::bar(file.len() as u64, "copying");
    let written = fs::File::create(&path).and_then(|mut out| {
        for part in file.chunks(4096) {
            std::io::Write::write_all(&mut out, part)?;
            bar.inc(part.len() as u64);
        }
        // The board may be gone with the last block, before it can say that all is well.
        let _ = out.sync_all();
        Ok(())
    });
    bar.finish_and_clear();
    written.with_context(|| format!("writing {}", path.display()))?;
    let end = Instant::now() + patience;
    while drive.join(MARK).is_file() {
        if Instant::now() >= end {
            bail!(
                "the board has not taken the image: its drive {} is still there (is it an image for this chip?)",
                drive.display()
            );
        }
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_is_known_by_its_mark_and_gone_when_the_image_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let error = find("RPI-RP2", Some(folder.path())).unwrap_err();
        assert!(error.to_string().contains("hold BOOTSEL"), "{error}");
        fs::write(folder.path().join(MARK), "UF2 Bootloader").unwrap();
        let drive = find("RPI-RP2", Some(folder.path())).unwrap();
        let error = copy(&drive, &[7; 1024], Duration::ZERO).unwrap_err();
        assert!(
            error.to_string().contains("has not taken the image"),
            "{error}"
        );
        assert_eq!(fs::read(drive.join("WINK.UF2")).unwrap(), [7; 1024]);
        fs::remove_file(drive.join(MARK)).unwrap();
        copy(&drive, &[8; 512], Duration::ZERO).unwrap();
        assert!(find("NO-SUCH-DRIVE", None).is_err());
    }

    #[test]
    fn mount_points_may_have_blanks() {
        let mounts =
            "/dev/sda1 /media/me/RPI-RP2 vfat rw 0 0\n/dev/sdb /media/my\\040disk ext4 rw 0 0\n";
        assert_eq!(
            mounted(mounts),
            [Path::new("/media/me/RPI-RP2"), Path::new("/media/my disk")]
        );
    }
}
