//! The page.

mod cells;
mod emojis;
mod latency;
mod precisions;
mod sections;

use std::fmt::Write;

use super::plots::Plot;
use super::tables::Tables;

/// `RESULTS.md`: the split that matters first, main rows before others.
pub fn page(tables: &Tables, plots: &[Plot]) -> String {
    let plot = |name: &str| {
        let plot = plots.iter().find(|plot| plot.file == name);
        plot.map_or(String::new(), |plot| {
            format!("![{}](results/{})\n", plot.alt, plot.file)
        })
    };
    let parts = [
        ("", intro(tables)),
        ("", sections::rates(tables, "val", true)),
        ("", plot(super::plots::RECOGNITION_EXECUTION)),
        ("", sections::rates(tables, "train", true)),
        ("", sections::rates(tables, "id", true)),
        ("What holds here", sections::findings(tables)),
        ("What is lost on unseen cards", sections::gap(tables)),
        ("", plot(super::plots::TRAIN_VAL)),
        ("Controls", sections::controls(tables)),
        (
            "Against the baseline, on the same episodes",
            sections::paired(tables),
        ),
        ("Further rows", sections::further(tables)),
        ("Where the knowledge went", sections::probes(tables)),
        (
            "Which precision forgets what",
            tables
                .precisions
                .as_ref()
                .map_or_else(String::new, precisions::section),
        ),
        (
            "What latency costs",
            latency::section(&tables.latency, plots),
        ),
        ("Training", sections::training(tables)),
        ("How to read this", HOW_TO_READ.to_owned()),
    ];
    let mut page = String::from("# Results\n");
    for (title, text) in parts.iter().filter(|(_, text)| !text.is_empty()) {
        if !title.is_empty() {
            let _ = write!(page, "\n## {title}\n");
        }
        let _ = write!(page, "\n{text}");
    }
    page
}

fn intro(tables: &Tables) -> String {
    let runs: usize = tables.ways.iter().map(|way| way.seeds.len()).sum();
    let mut text = format!(
        "What a robot policy keeps of its VLM: {} ways to train one, {runs} training runs, each evaluated on {} episodes of every \
         split and control (base seed {}). `wink results` writes this page and its plots from `models/reports`, \
         `wink results --check` tells whether they are what the reports give.\n",
        tables.ways.len(),
        tables.episodes,
        tables.seed
    );
    if !tables.without_reports.is_empty() {
        let names: Vec<String> = tables
            .without_reports
            .iter()
            .map(|folder| cells::plain(tables.title(folder)))
            .collect();
        let _ = write!(text, "\nPlanned, without reports: {}.\n", names.join(", "));
    }
    text
}

const HOW_TO_READ: &str = "\
- **Success** (SR): the cube stands on the named card. **Execution**: on any card. **Recognition**: of the executed episodes, on the named
  card; chance is 33.3%. **Grounding**: recognition rescaled so that chance is 0 and certainty 1.
- Intervals of rates are exact 95% (Clopper-Pearson) over the episodes of all training seeds; `seeds` gives the lowest and the highest of
  the training seeds. Episodes of one training run are not independent draws of a way: intervals and tests speak of these trained policies,
  the spread over seeds of how far another training may lie from them.
- Paired: McNemar's exact test over the same episodes, paired by split, episode and training seed; recognition over the episodes that
  both executed. `41 / 4 of 300` counts episodes that only the first and only the second got right. Differences are in points with
  Tango's score interval.
- Train minus val, and differences in what latency costs: Newcombe's interval for independent rates.
- A finding's test *holds* where its p value, after Holm's correction over all findings, is below 0.05 in the expected direction and no training
  seed points the other way; it *does not hold* where the same goes for the other direction; *same* holds where the whole interval
  of the difference lies within the margin. Everything else is *not resolved*.
";
