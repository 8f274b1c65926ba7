//! `--crop LEFT,TOP,WIDTH,HEIGHT`: the part of a frame that is kept.

use wink_runtime::camera::Frame;
use wink_sim::render::Window;

/// Reads four numbers with commas between them.
pub fn parse(text: &str) -> Result<Window, String> {
    let numbers: Vec<u32> = text
        .split(',')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .unwrap_or_default();
    match numbers[..] {
        [left, top, width, height] if width > 0 && height > 0 => Ok(Window {
            left,
            top,
            width,
            height,
        }),
        _ => Err("must be LEFT,TOP,WIDTH,HEIGHT in pixels".to_owned()),
    }
}

/// Bytes of a part, three a pixel.
pub const fn bytes(window: &Window) -> usize {
    window.width as usize * window.height as usize * 3
}

/// Replaces `out` with the part of `frame`, which must lie inside of it.
pub fn cut(window: &Window, frame: &Frame, out: &mut Vec<u8>) {
    out.clear();
    let rows = frame.rgb.chunks_exact(3 * frame.width as usize);
    let start = 3 * window.left as usize;
    for row in rows.skip(window.top as usize).take(window.height as usize) {
        out.extend_from_slice(&row[start..start + 3 * window.width as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_numbers_and_nothing_else() {
        let crop = parse("1,2,3,4").unwrap();
        assert_eq!((crop.left, crop.top, crop.width, crop.height), (1, 2, 3, 4));
        assert_eq!(bytes(&crop), 36);
        for wrong in [
            "",
            "1,2,3",
            "1,2,3,4,5",
            "1,2,0,4",
            "-1,2,3,4",
            "a,b,c,d",
            "1, 2,3,4",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cuts_rows_and_columns() {
        let mut frame = Frame::default();
        frame.resize(4, 3);
        for (pixel, rgb) in frame.rgb.chunks_exact_mut(3).enumerate() {
            rgb.fill(pixel as u8);
        }
        let mut out = vec![9; 99];
        cut(&parse("1,1,2,2").unwrap(), &frame, &mut out);
        assert_eq!(out, [5, 5, 5, 6, 6, 6, 9, 9, 9, 10, 10, 10]);
    }
}
