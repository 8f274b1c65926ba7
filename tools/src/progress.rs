//! Progress for people: a bar on a terminal, nothing where the output goes to a file.

use std::borrow::Cow;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `len` pieces on standard error.
pub fn bar(len: u64, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg} [{wide_bar}] {pos}/{len}, {elapsed} gone, {eta} to go")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
    let bar = ProgressBar::new(len).with_style(style).with_message(what);
    bar.enable_steady_tick(std::time::Duration::from_millis(500));
    bar
}

/// A sign of life on standard error while something of unknown length runs.
pub fn waiting(what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}, {elapsed} gone")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner()
        .with_style(style)
        .with_message(what);
    bar.enable_steady_tick(std::time::Duration::from_secs(1));
    bar
}
