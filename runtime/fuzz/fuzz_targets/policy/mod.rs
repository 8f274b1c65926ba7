//! Any bytes as `policy.json`: refused in one line, or a manifest that is written and read again as the same, and whose cameras
//! make images of the size that it says.

use std::path::Path;

use wink_runtime::camera::Frame;
use wink_runtime::policy::manifest::Manifest;
use wink_runtime::policy::preprocess::ImagePreprocessor;

/// Larger images say nothing more and take long.
const MAX_VALUES: usize = 1 << 16;

/// Panics where the bytes are neither refused in one line nor a manifest that is written and read again as the same.
pub fn check(data: &[u8]) {
    let file = Path::new("policy.json");
    let manifest = match Manifest::parse(data, file) {
        Ok(manifest) => manifest,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains('\n'), "more than one line: {message}");
            return;
        }
    };
    let json = serde_json::to_vec(&manifest).expect("a manifest is JSON");
    let again = Manifest::parse(&json, file).expect("what was accepted is accepted again");
    assert_eq!(manifest, again);
    for camera in &manifest.observations.cameras {
        let mut preprocessor = ImagePreprocessor::new(camera);
        if preprocessor.len() > MAX_VALUES {
            continue;
        }
        let size = camera
            .frame
            .map_or((13, 7), |size| (size.width, size.height));
        if size.0 as usize * size.1 as usize > MAX_VALUES {
            continue;
        }
        let mut frame = Frame::default();
        frame.resize(size.0, size.1);
        let mut out = vec![0.0; preprocessor.len()];
        let ran = preprocessor.run(&frame, &mut out);
        assert!(ran.is_ok() || camera.frame.is_none(), "{ran:?}");
    }
}
