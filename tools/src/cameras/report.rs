//! What was found, for people and as JSON.

use std::io::Write;

use anyhow::Result;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde_json::{Value, json};

use super::choose::Found;
use super::measure::{Measured, Row};

/// Devices and what they offer.
pub fn list(out: &mut impl Write, found: &[Found], as_json: bool) -> Result<()> {
    if as_json {
        serde_json::to_writer_pretty(&mut *out, &json!({ "devices": found }))?;
        writeln!(out)?;
        return Ok(());
    }
    for device in found {
        writeln!(out, "{}", device.device)?;
        if let Some(error) = &device.error {
            writeln!(out, "  cannot be opened: {error}")?;
            continue;
        }
        writeln!(
            out,
            "  {} ({}), {}",
            device.card, device.driver, device.node
        )?;
        let (decoded, other): (Vec<_>, Vec<_>) =
            device.formats.iter().partition(|format| format.decoded);
        for format in decoded {
            for (width, height, rates) in &format.sizes {
                let rates: Vec<String> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
                let rates = rates.join(", ");
                writeln!(out, "  {} {width} x {height}: {rates} fps", format.format)?;
            }
        }
        if !other.is_empty() {
            let names: Vec<&str> = other.iter().map(|format| &*format.format).collect();
            writeln!(out, "  not decoded: {}", names.join(", "))?;
        }
    }
    Ok(())
}

/// What cameras deliver.
pub fn measured(out: &mut impl Write, found: &[Found], rows: &[Row], as_json: bool) -> Result<()> {
    if as_json {
        let cameras: Vec<Value> = rows.iter().map(row_json).collect();
        let report = json!({ "devices": found, "cameras": cameras });
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
        return Ok(());
    }
    list(out, found, false)?;
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "camera",
        "format",
        "size",
        "fps asked",
        "fps",
        "age p50 ms",
        "p99 ms",
        "damaged",
        "still",
    ]);
    for row in rows {
        match &row.measured {
            Ok(measured) => table.add_row(cells(&row.name, measured)),
            Err(why) => table.add_row([row.name.clone(), why.clone()]),
        };
    }
    writeln!(out, "{table}")?;
    Ok(())
}

fn cells(name: &str, measured: &Measured) -> [String; 9] {
    let ms =
        |us: Option<u64>| us.map_or_else(|| "-".to_owned(), |us| format!("{:.1}", us as f64 / 1e3));
    let age = measured.age_us;
    [
        name.to_owned(),
        measured.format.clone(),
        format!("{} x {}", measured.still.width, measured.still.height),
        measured
            .wanted_fps
            .map_or_else(|| "-".to_owned(), |fps| format!("{fps:.1}")),
        format!("{:.1}", measured.fps),
        ms(age.map(|age| age.p50)),
        ms(age.map(|age| age.p99)),
        measured
            .counts
            .map_or_else(|| "-".to_owned(), |counts| counts.damaged.to_string()),
        measured
            .still_path
            .as_ref()
            .map_or_else(String::new, |path| path.display().to_string()),
    ]
}

fn row_json(row: &Row) -> Value {
    match &row.measured {
        Err(why) => json!({ "name": row.name, "source": row.source, "error": why }),
        Ok(measured) => {
            let controls: serde_json::Map<String, Value> = measured
                .controls
                .iter()
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect();
            json!({
                "name": row.name,
                "source": row.source,
                "format": measured.format,
                "width": measured.still.width,
                "height": measured.still.height,
                "wanted_fps": measured.wanted_fps,
                "fps": measured.fps,
                "frames": measured.frames,
                "age_us": measured.age_us,
                "controls": controls,
                "counts": measured.counts.map(|counts| json!({
                    "frames": counts.frames,
                    "passed_over": counts.passed_over,
                    "damaged": counts.damaged,
                    "restarts": counts.restarts,
                    "replugs": counts.replugs,
                    "repeated": counts.repeated,
                })),
                "still": measured.still_path,
            })
        }
    }
}
