use super::*;

#[test]
fn a_name_is_a_file_in_the_folder_and_a_path_is_itself() {
    let folder = Path::new("boards/arms");
    for (name, expected) in [
        ("so101", "boards/arms/so101.toml"),
        ("so101.left", "boards/arms/so101.left.toml"),
        ("my.toml", "my.toml"),
        ("./mine", "./mine"),
        ("/a/b.toml", "/a/b.toml"),
    ] {
        assert_eq!(named_file(folder, name), Path::new(expected), "{name}");
    }
}

#[test]
fn files_are_read_within_a_budget() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.toml");
    for (bytes, expected) in [
        (b"a = 1".to_vec(), Ok("a = 1")),
        (vec![0xff, 0xfe], Err("not text in UTF-8")),
        (vec![b' '; (1 << 20) + 1], Err("longer than 1 MiB")),
    ] {
        fs::write(&path, bytes).unwrap();
        match (read_text(&path), expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (found, _) => panic!("{found:?}"),
        }
    }
    let told = read_text(folder.path()).unwrap_err().to_string();
    assert!(told.ends_with("this is a folder: name a file"), "{told}");
    let told = read_text(&folder.path().join("none"))
        .unwrap_err()
        .to_string();
    assert!(told.contains("No such file"), "{told}");
}

#[test]
fn files_are_written_whole_and_folders_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/c.toml");
    write_whole(&path, b"one").unwrap();
    write_whole(&path, b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(
        fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1,
        "nothing is left over"
    );
    for refused in [
        folder.path().to_owned(),
        folder.path().join("a/"),
        folder.path().join("new/"),
    ] {
        let told = write_whole(&refused, b"x").unwrap_err().to_string();
        assert!(told.contains("this is a folder"), "{told}");
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left over"
    );
    let told = write_whole(&path.join("d"), b"x").unwrap_err().to_string();
    assert!(told.contains("Not a directory"), "{told}");
}

#[cfg(unix)]
#[test]
fn links_stay_links_and_modes_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::write(&real, "old").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
    symlink("real", &link).unwrap();
    write_whole(&link, b"new").unwrap();
    assert_eq!(fs::read(&real).unwrap(), b"new");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(
        fs::metadata(&real).unwrap().permissions().mode() & 0o777,
        0o600
    );

    // A link to what is not there yet.
    let ahead = folder.path().join("ahead");
    symlink("later", &ahead).unwrap();
    write_whole(&ahead, b"new").unwrap();
    assert_eq!(fs::read(folder.path().join("later")).unwrap(), b"new");

    let circle = folder.path().join("circle");
    symlink("circle", &circle).unwrap();
    let told = write_whole(&circle, b"x").unwrap_err().to_string();
    assert!(told.contains("too many symbolic links"), "{told}");

    fs::set_permissions(&real, fs::Permissions::from_mode(0o444)).unwrap();
    let told = write_whole(&real, b"x").unwrap_err().to_string();
    assert!(told.contains("read-only"), "{told}");
    assert_eq!(fs::read(&real).unwrap(), b"new");

    write_whole(Path::new("/dev/null"), b"x").unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}
