//! What commands print.

use std::io::Write as _;

use clap::Args;
use serde_json::Value;

/// Whether data is for eyes or for programs.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Output {
    /// Prints the value for programs, or the line for people.
    pub fn print(self, value: &Value, line: impl FnOnce() -> String) {
        if self.json { say(format!("{value:#}")) } else { say(line()) }
    }
}

/// One line on stdout. A reader that has gone away, as `head` does, is no reason to complain.
pub fn say(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout(), "{}", line.as_ref());
}

/// Columns for eyes: each as wide as its widest cell, the last one free.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let lines = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    [line(head.to_vec())].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}
