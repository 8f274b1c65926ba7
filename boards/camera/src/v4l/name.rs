//! Names that stay: control names as `v4l2-ctl` writes them, device names that a restart does not change.

use std::fs;
use std::path::{Path, PathBuf};

use crate::UsbBus;

/// "Exposure Time, Absolute" as `exposure_time_absolute`.
pub(super) fn control_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() {
            out.push(letter.to_ascii_lowercase());
        } else if !out.ends_with('_') {
            out.push('_');
        }
    }
    out.trim_matches('_').to_owned()
}

/// The name of the device `node` (`/dev/video0`) that stays, from the links that udev makes under `dev` (`/dev/v4l`).
pub(super) fn lasting_name(dev: &Path, node: &Path) -> Option<PathBuf> {
    ["by-id", "by-path"].iter().find_map(|kind| {
        let mut links: Vec<PathBuf> = fs::read_dir(dev.join(kind))
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .filter(|link| fs::canonicalize(link).is_ok_and(|target| target == node))
            .collect();
        links.sort();
        links.into_iter().next()
    })
}

/// The USB bus of a video device, from its folder in `/sys/class/video4linux`; `None` where it is on none.
pub(super) fn usb_bus(class: &Path, node: &Path) -> Option<UsbBus> {
    let device = class.join(node.file_name()?).join("device");
    let folder = fs::canonicalize(device).ok()?;
    let read = |folder: &Path, name: &str| {
        let text = fs::read_to_string(folder.join(name)).ok()?;
        Some(text.trim().to_owned())
    };
    // The interface of the camera lies in the folder of its device, which tells the bus and the speed.
    folder.ancestors().find_map(|folder| {
        Some(UsbBus {
            number: read(folder, "busnum")?,
            speed_mbit: read(folder, "speed")?.parse().ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn controls_are_called_as_v4l2_ctl_calls_them() {
        for (name, expected) in [
            ("Exposure Time, Absolute", "exposure_time_absolute"),
            ("White Balance, Automatic", "white_balance_automatic"),
            ("Power Line Frequency", "power_line_frequency"),
            ("Inject V4L2_BUF_FLAG_ERROR", "inject_v4l2_buf_flag_error"),
            ("Exposure, Dynamic Framerate", "exposure_dynamic_framerate"),
            ("Gain (dB)", "gain_db"),
        ] {
            assert_eq!(control_name(name), expected);
        }
    }

    #[test]
    fn a_lasting_name_is_by_id_before_by_path() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let node = root.join("video3");
        fs::write(&node, "").unwrap();
        assert_eq!(lasting_name(&root, &node), None);
        fs::create_dir(root.join("by-path")).unwrap();
        symlink(&node, root.join("by-path/pci-1")).unwrap();
        assert_eq!(lasting_name(&root, &node), Some(root.join("by-path/pci-1")));
        fs::create_dir(root.join("by-id")).unwrap();
        symlink(root.join("nothing"), root.join("by-id/usb-a")).unwrap();
        symlink("../video3", root.join("by-id/usb-b")).unwrap();
        assert_eq!(lasting_name(&root, &node), Some(root.join("by-id/usb-b")));
    }

    #[test]
    fn the_bus_is_that_of_the_usb_device_around_the_interface() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("devices/usb1/1-2");
        let interface = device.join("1-2:1.0");
        fs::create_dir_all(&interface).unwrap();
        fs::write(device.join("busnum"), "1\n").unwrap();
        fs::write(device.join("speed"), "480\n").unwrap();
        let class = root.path().join("class");
        fs::create_dir_all(class.join("video0")).unwrap();
        symlink(&interface, class.join("video0/device")).unwrap();
        let bus = usb_bus(&class, Path::new("/dev/video0")).unwrap();
        assert_eq!((&*bus.number, bus.speed_mbit), ("1", 480.0));
        assert_eq!(usb_bus(&class, Path::new("/dev/video1")), None);
    }
}
