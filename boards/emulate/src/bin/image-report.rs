//! Sizes of images against their limits, and who in them can panic: `image-report target/boards/*.elf`. Fails where an image is
//! too large or can panic.

use std::path::Path;
use std::process::ExitCode;

use wink_emulate::Image;
use wink_emulate::report::Report;

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn main() -> ExitCode {
    let mut fine = true;
    for path in std::env::args().skip(1) {
        match Image::open(Path::new(&path), "boards/build.sh").and_then(|image| Report::of(&image))
        {
            Ok(report) => {
                println!("{report}");
                for complaint in report.complaints() {
                    println!("    FAILED: {complaint}");
                    fine = false;
                }
            }
            Err(error) => {
                println!("{path}: {error}");
                fine = false;
            }
        }
    }
    ExitCode::from(u8::from(!fine))
}
