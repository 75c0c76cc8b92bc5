//! A table that is drawn anew in place: key, value, sparkline.
//!
//! It stays in the ordinary screen, so what was last seen is still there after the end.

use std::fmt::Write;

use super::track::{SPARKS, Track, Tracks};
use crate::cli::format::{self, printable};

/// Shows the cursor again.
pub(super) const LEAVE: &str = "\x1b[?25h";

/// Where the terminal does not say.
const SIZE: (usize, usize) = (80, 24);

/// The table as it is on the screen.
#[derive(Debug)]
pub(super) struct Screen {
    rate: bool,
    /// Lines drawn, which the next drawing begins above.
    lines: usize,
    /// Is the last of them a note?
    noted: bool,
}

impl Screen {
    /// `rate`: counters are shown by the second, which the head says.
    pub(super) fn new(rate: bool) -> Self {
        Screen { rate, lines: 0, noted: false }
    }

    /// The text that replaces what was drawn by the table as it is now.
    pub(super) fn draw(&mut self, tracks: &Tracks, time_ms: i64, source: &str) -> String {
        let rows = table(tracks, time_ms, source, self.rate, size());
        let mut text = self.home();
        for row in &rows {
            let _ = write!(text, "{row}\x1b[K\r\n");
        }
        (self.lines, self.noted) = (rows.len(), false);
        text.push_str("\x1b[J");
        text
    }

    /// The text that puts a line below the table, which the next note or drawing replaces.
    pub(super) fn note(&mut self, note: &str) -> String {
        let (width, _) = size();
        let back = if self.noted { "\x1b[1A" } else { "" };
        self.lines += usize::from(!self.noted);
        self.noted = true;
        format!("\x1b[?25l{back}\r{}\x1b[K\r\n", cut(note, width))
    }

    fn home(&self) -> String {
        match self.lines {
            0 => "\x1b[?25l\r".into(),
            lines => format!("\x1b[?25l\x1b[{lines}A\r"),
        }
    }
}

/// Columns and lines of the terminal.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => SIZE,
    }
}

/// The lines of the table, cut to the size of the terminal.
fn table(
    tracks: &Tracks,
    time_ms: i64,
    source: &str,
    rate: bool,
    (width, height): (usize, usize),
) -> Vec<String> {
    let count = tracks.iter().len();
    let note = if rate { ", counters by the second" } else { "" };
    let time = crate::log::timestamp(time_ms);
    let head = format!("{time}  {count} series{note}  {}", printable(source));
    // A line for the head, one for the cursor, and one to say what is left out.
    let room = height.saturating_sub(2).max(1);
    let fits = if count > room { room - 1 } else { count };
    let rows: Vec<_> =
        tracks.iter().take(fits).map(|(key, track)| (printable(key), value(track), track)).collect();
    let values = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or(0);
    let sparks = if width >= 60 { SPARKS } else { 0 };
    let keys = rows.iter().map(|(key, _, _)| key.chars().count()).max().unwrap_or(0);
    let keys = keys.min(width.saturating_sub(values + sparks + 4).max(8));
    let mut lines = vec![cut(&head, width)];
    for (key, value, track) in &rows {
        let spark = format::sparkline(track.sparks.iter().copied(), sparks);
        lines.push(cut(&format!("{:keys$}  {value:>values$}  {spark}", cut(key, keys)), width));
    }
    if fits < count {
        lines.push(cut(&format!("… and {} more", count - fits), width));
    }
    lines
}

fn value(track: &Track) -> String {
    track.shown().map_or_else(|| "…".into(), |shown| format::value(shown, &track.unit, track.by_rate))
}

/// At most so many characters.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_too_long_ends_in_an_ellipsis() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("ä", 0), "…");
    }

    #[test]
    fn the_next_drawing_begins_where_the_last_began() {
        let mut screen = Screen::new(false);
        let tracks = Tracks::new(false);
        assert!(!screen.draw(&tracks, 0, "here").contains("A\r"));
        assert!(!screen.note("lost").contains('A'));
        assert!(screen.note("lost again").contains("\x1b[1A\r"));
        assert!(screen.draw(&tracks, 0, "here").starts_with("\x1b[?25l\x1b[2A\r"));
    }
}
