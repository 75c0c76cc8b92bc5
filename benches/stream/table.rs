//! Tables as docs/benchmarks.md has them, and the figures in them.

use std::io::Write;

use crate::Result;

/// A Markdown table that is written at once, so that a long run shows how far it is.
pub(crate) struct Table {
    text: String,
    columns: usize,
}

impl Table {
    pub(crate) fn new<const N: usize>(title: &str, head: [&str; N]) -> Self {
        let mut table = Table { text: format!("\n**{title}**\n\n"), columns: N };
        table.row(head);
        table.text += &"| --- ".repeat(N);
        table.text += "|\n";
        table
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [impl AsRef<str>; N]) {
        debug_assert_eq!(N, self.columns, "as many cells as columns");
        for cell in cells {
            self.text += "| ";
            self.text += cell.as_ref();
            self.text += " ";
        }
        self.text += "|\n";
    }

    pub(crate) fn print(self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(self.text.as_bytes())?;
        Ok(out.flush()?)
    }
}

/// A figure of several rounds.
#[derive(Clone)]
pub(crate) struct Figure(Vec<f64>);

impl Figure {
    pub(crate) fn of<T>(rounds: &[T], what: impl Fn(&T) -> f64) -> Self {
        let mut values: Vec<f64> = rounds.iter().map(what).collect();
        values.sort_by(f64::total_cmp);
        Figure(values)
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 1 { self.0[middle] } else { (self.0[middle - 1] + self.0[middle]) / 2.0 }
    }

    /// `7.10 (7.02 to 7.31)`: median, least and most.
    pub(crate) fn show(&self, digits: usize, unit: &str) -> String {
        let (least, most) = (self.0[0], self.0[self.0.len() - 1]);
        let median = self.median();
        if median.is_nan() {
            return "-".to_owned();
        }
        if self.0.len() == 1 {
            return format!("{median:.digits$}{unit}");
        }
        format!("{median:.digits$}{unit} ({least:.digits$} to {most:.digits$})")
    }
}
