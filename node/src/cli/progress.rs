//! Bars for what takes long: on a terminal; nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of so many entries.
pub(super) fn entries(count: usize) -> ProgressBar {
    styled(ProgressBar::new(count as u64), "{bar:40} {pos}/{len} entries, {eta} left")
}

/// For entries whose number nobody knows before the end.
pub(super) fn endless_entries() -> ProgressBar {
    styled(ProgressBar::no_length(), "{spinner} {pos} entries, {per_sec}, {elapsed}")
}

/// A bar of bytes whose number is known.
pub(super) fn bytes(count: u64) -> ProgressBar {
    styled(ProgressBar::new(count), "{bar:40} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left")
}

/// For bytes whose number nobody knows before the end.
pub(super) fn stream() -> ProgressBar {
    styled(ProgressBar::no_length(), "{spinner} {bytes}, {bytes_per_sec}, {elapsed}")
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
