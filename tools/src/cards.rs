//! `wink cards`: the emoji cards to print for a real table.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{ValueEnum, value_parser};
use image::codecs::jpeg::JpegEncoder;
use image::{RgbImage, imageops};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str};
use wink_sim::emoji::{self, Emoji, EmojiSplit};
use wink_sim::render::CARD_PRINT_SHARE;

use crate::bad_input::bad_input;
use crate::out_file::PendingFile;
use crate::progress;

const POINTS_PER_CM: f32 = 72.0 / 2.54;
const PAGE_CM: [f32; 2] = [21.0, 29.7];
/// What printers leave white, and a little.
const MARGIN_CM: f32 = 0.8;
/// Room for cut marks between cards, and for the line of print under each.
const GAP_CM: f32 = 1.2;
/// Cut marks start this far off the corner, and end that far.
const MARK_CM: [f32; 2] = [0.1, 0.5];
const PRINT_PT: f32 = 7.0;
/// A little more than Helvetica's mean glyph width: the line under a small card is made to fit it.
const GLYPH_EM: f32 = 0.55;
/// Side of a printed picture in pixels: the art is enlarged smoothly, so that no printer shows its pixels.
const PICTURE_PX: u32 = 512;
const JPEG_QUALITY: u8 = 90;

const EXAMPLES: &str = "\
Examples:
  wink cards --out cards.pdf                              all 328 cards, one a page
  wink cards --out val.pdf --split val                    the 100 cards that no demonstration shows
  wink cards --out small.pdf --split train --size-cm 6    eight a page
  wink cards --out three.pdf --label octopus --label fox --label pizza

Print at 100 % (not \"fit to page\") and cut along the marks.";

/// Print the emoji cards for a real table as a PDF (A4, with cut marks)
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// File to write; it appears when it is complete
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Which of the benchmark's emojis
    #[arg(long, value_enum, default_value_t = Cards::All)]
    split: Cards,

    /// Only the card with this label; may be given several times
    #[arg(long = "label", value_name = "LABEL", conflicts_with = "split")]
    labels: Vec<String>,

    /// Side of a card in centimetres; the benchmark's is 14
    #[arg(long, value_name = "CM", default_value_t = 14.0, value_parser = size_cm)]
    size_cm: f32,

    /// Stop after this many cards
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    limit: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cards {
    /// Those that demonstrations show
    Train,
    /// Those that no demonstration shows
    Val,
    /// The others
    Rest,
    /// All 328
    All,
}

impl Cards {
    fn hold(self, split: EmojiSplit) -> bool {
        match self {
            Self::Train => split == EmojiSplit::Train,
            Self::Val => split == EmojiSplit::Val,
            Self::Rest => split == EmojiSplit::Rest,
            Self::All => true,
        }
    }
}

fn size_cm(text: &str) -> Result<f32, String> {
    let widest = PAGE_CM[0] - 2.0 * MARGIN_CM;
    match text.parse::<f32>() {
        Ok(size) if (2.0..=widest).contains(&size) => Ok(size),
        _ => Err(format!("must be 2 to {widest:.1} cm, to fit on A4")),
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let mut cards = chosen(args)?;
    cards.truncate(args.limit.map_or(usize::MAX, usize::from));
    let file = PendingFile::create("--out", &args.out)?;
    let layout = Layout::of(args.size_cm);
    let pdf = write_pdf(&cards, &layout)?;
    file.write_and_publish(&pdf)?;
    let pages = cards.len().div_ceil(layout.per_page());
    let told = args.out.display();
    writeln!(
        io::stdout(),
        "{told}: {} of {} cm on {}, {:.1} MB; print at 100 %, cut along the marks",
        counted(cards.len(), "card"),
        args.size_cm,
        counted(pages, "page"),
        pdf.len() as f64 / 1e6
    )?;
    Ok(())
}

fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Indices of the emojis asked for.
fn chosen(args: &Args) -> Result<Vec<usize>> {
    if args.labels.is_empty() {
        let all = emoji::all().iter().enumerate();
        return Ok(all
            .filter(|(_, emoji)| args.split.hold(emoji.split))
            .map(|(index, _)| index)
            .collect());
    }
    let named = |label: &String| {
        emoji::by_label(&label.to_lowercase()).ok_or_else(|| {
            bad_input(format!(
                "--label {label:?}: no card is called so; the labels are in emoji.tsv"
            ))
        })
    };
    args.labels.iter().map(named).collect()
}

/// Where cards lie on a page, in PDF points from the lower left corner.
struct Layout {
    side: f32,
    columns: usize,
    rows: usize,
}

impl Layout {
    fn of(size_cm: f32) -> Self {
        let fit = |length: f32| {
            (((length - 2.0 * MARGIN_CM + GAP_CM) / (size_cm + GAP_CM)) as usize).max(1)
        };
        Self {
            side: size_cm * POINTS_PER_CM,
            columns: fit(PAGE_CM[0]),
            rows: fit(PAGE_CM[1]),
        }
    }

    fn per_page(&self) -> usize {
        self.columns * self.rows
    }

    /// Lower left corner of a page's n-th card, the block of cards centred on the page.
    fn corner(&self, place: usize) -> [f32; 2] {
        let pitch = self.side + GAP_CM * POINTS_PER_CM;
        let start = |page_cm: f32, count: usize| {
            0.5 * (page_cm * POINTS_PER_CM - (count as f32 * pitch - GAP_CM * POINTS_PER_CM))
        };
        let (column, row) = (place % self.columns, self.rows - 1 - place / self.columns);
        [
            start(PAGE_CM[0], self.columns) + column as f32 * pitch,
            start(PAGE_CM[1], self.rows) + row as f32 * pitch,
        ]
    }
}

fn write_pdf(cards: &[usize], layout: &Layout) -> Result<Vec<u8>> {
    let mut pdf = Pdf::new();
    let mut ids = (1..).map(Ref::new);
    let mut next = || ids.next().context("out of PDF object numbers");
    let (catalog, tree, font) = (next()?, next()?, next()?);
    pdf.catalog(catalog).pages(tree);
    pdf.document_info(next()?)
        .title(pdf_writer::TextStr("wink: emoji cards"));
    pdf.type1_font(font).base_font(Name(b"Helvetica"));

    let bar = progress::bar(cards.len() as u64, "cards");
    let mut pages = Vec::new();
    for on_page in cards.chunks(layout.per_page()) {
        let (page, content_id) = (next()?, next()?);
        pages.push(page);
        let mut content = Content::new();
        let mut pictures = Vec::new();
        for (place, &index) in on_page.iter().enumerate() {
            let picture = next()?;
            write_picture(&mut pdf, picture, index)?;
            let name = format!("E{place}");
            draw_card(
                &mut content,
                &emoji::all()[index],
                &name,
                layout.corner(place),
                layout.side,
            );
            pictures.push((name, picture));
            bar.inc(1);
        }
        pdf.stream(content_id, &content.finish());
        let mut page = pdf.page(page);
        let [width, height] = PAGE_CM.map(|cm| cm * POINTS_PER_CM);
        page.parent(tree)
            .media_box(Rect::new(0.0, 0.0, width, height))
            .contents(content_id);
        let mut resources = page.resources();
        resources.fonts().pair(Name(b"F"), font);
        let mut objects = resources.x_objects();
        for (name, picture) in &pictures {
            objects.pair(Name(name.as_bytes()), picture);
        }
        objects.finish();
        resources.finish();
        page.finish();
    }
    bar.finish_and_clear();
    let count = i32::try_from(pages.len()).context("too many pages")?;
    pdf.pages(tree).kids(pages).count(count);
    Ok(pdf.finish())
}

fn draw_card(content: &mut Content, emoji: &Emoji, picture: &str, [x, y]: [f32; 2], side: f32) {
    let margin = 0.5 * (1.0 - CARD_PRINT_SHARE) * side;
    let printed = CARD_PRINT_SHARE * side;
    content.save_state();
    content.transform([printed, 0.0, 0.0, printed, x + margin, y + margin]);
    content.x_object(Name(picture.as_bytes()));
    content.restore_state();

    content.set_line_width(0.3);
    let [near, far] = MARK_CM.map(|cm| cm * POINTS_PER_CM);
    for (corner_x, out_x) in [(x, -1.0), (x + side, 1.0)] {
        for (corner_y, out_y) in [(y, -1.0), (y + side, 1.0)] {
            content
                .move_to(corner_x + out_x * near, corner_y)
                .line_to(corner_x + out_x * far, corner_y);
            content
                .move_to(corner_x, corner_y + out_y * near)
                .line_to(corner_x, corner_y + out_y * far);
        }
    }
    content.stroke();

    let text = format!(
        "{}   {} {}   {:.1} cm",
        emoji.label,
        emoji.code,
        emoji.split.as_str(),
        side / POINTS_PER_CM
    );
    let font_pt = PRINT_PT.min((side - 2.0 * far) / (GLYPH_EM * text.len() as f32));
    content.begin_text();
    content.set_font(Name(b"F"), font_pt);
    content.next_line(x + far, y - far - 0.5 * PRINT_PT);
    content.show(Str(text.as_bytes()));
    content.end_text();
}

/// The emoji on white as a JPEG: half a megabyte of pixels in some twenty kilobytes.
fn write_picture(pdf: &mut Pdf, id: Ref, index: usize) -> Result<()> {
    let art = emoji::art(index);
    let on_white = |texel: &[u8], channel: usize| {
        let (value, alpha) = (u32::from(texel[channel]), u32::from(texel[3]));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let rgb = art
        .rgba()
        .chunks_exact(4)
        .flat_map(|texel| [0, 1, 2].map(|channel| on_white(texel, channel)));
    let small = RgbImage::from_raw(art.width(), art.height(), rgb.collect())
        .context("a picture of the wrong size")?;
    let large = imageops::resize(
        &small,
        PICTURE_PX,
        PICTURE_PX,
        imageops::FilterType::CatmullRom,
    );
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .encode_image(&large)
        .context("compressing a picture")?;

    let side = PICTURE_PX as i32;
    let mut picture = pdf.image_xobject(id, &jpeg);
    picture.filter(Filter::DctDecode);
    picture
        .width(side)
        .height(side)
        .bits_per_component(8)
        .interpolate(true);
    picture.color_space().device_rgb();
    picture.finish();
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::bad_input::exit_code;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parse(arguments: &[&str]) -> Result<Args, clap::Error> {
        let program = ["cards", "--out", "cards.pdf"];
        Cli::try_parse_from(program.iter().chain(arguments)).map(|cli| cli.args)
    }

    #[test]
    fn cards_fit_on_the_page_and_apart() {
        for size in [2.0, 4.0, 6.0, 8.5, 13.9, 14.0, 19.4] {
            let layout = Layout::of(size);
            let corners: Vec<_> = (0..layout.per_page())
                .map(|place| layout.corner(place))
                .collect();
            for (place, &[x, y]) in corners.iter().enumerate() {
                let room = 0.79 * POINTS_PER_CM;
                assert!(
                    x >= room && x + layout.side <= PAGE_CM[0] * POINTS_PER_CM - room,
                    "{size} cm"
                );
                assert!(
                    y >= room && y + layout.side <= PAGE_CM[1] * POINTS_PER_CM - room,
                    "{size} cm"
                );
                for &[other_x, other_y] in &corners[..place] {
                    let apart = layout.side + 1.1 * POINTS_PER_CM;
                    assert!(
                        (x - other_x).abs() > apart || (y - other_y).abs() > apart,
                        "{size} cm"
                    );
                }
            }
        }
        assert_eq!(Layout::of(14.0).per_page(), 1);
        assert_eq!(Layout::of(8.5).per_page(), 6);
    }

    #[test]
    fn a_pdf_holds_every_card_once() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("cards.pdf");
        let mut args = parse(&["--split", "val", "--limit", "7", "--size-cm", "8"]).unwrap();
        args.out.clone_from(&out);
        run(&args).unwrap();
        let bytes = std::fs::read(&out).unwrap();
        assert!(bytes.starts_with(b"%PDF-"));
        let count = |needle: &[u8]| {
            bytes
                .windows(needle.len())
                .filter(|window| window == &needle)
                .count()
        };
        assert_eq!(count(b"/DCTDecode"), 7);
        assert_eq!(count(b"/Type /Page\n"), 2);
        for index in chosen(&args).unwrap().into_iter().take(7) {
            assert_eq!(count(emoji::all()[index].label.as_bytes()), 1);
        }
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing else is left"
        );
    }

    #[test]
    fn labels_are_printable_in_the_pdfs_font() {
        assert!(emoji::all().iter().all(|emoji| emoji.label.is_ascii()));
    }

    #[test]
    fn labels_choose_cards() {
        let args = parse(&["--label", "Fox", "--label", "octopus"]).unwrap();
        let labels: Vec<_> = chosen(&args)
            .unwrap()
            .into_iter()
            .map(|index| emoji::all()[index].label)
            .collect();
        assert_eq!(labels, ["fox", "octopus"]);
        let unknown = chosen(&parse(&["--label", "quux"]).unwrap()).unwrap_err();
        assert_eq!(exit_code(&unknown), 2);
        for (split, count) in [("train", 100), ("val", 100), ("rest", 128), ("all", 328)] {
            assert_eq!(
                chosen(&parse(&["--split", split]).unwrap()).unwrap().len(),
                count
            );
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for wrong in [
            ["--size-cm", "20"],
            ["--size-cm", "1"],
            ["--size-cm", "nan"],
            ["--split", "test"],
            ["--limit", "0"],
        ] {
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        for out in [
            folder.path().to_owned(),
            folder.path().join("missing/cards.pdf"),
        ] {
            let args = Args {
                out,
                ..parse(&["--limit", "1"]).unwrap()
            };
            assert_eq!(exit_code(&run(&args).unwrap_err()), 2);
        }
    }
}
