//! Where a byte of a text stands in the YAML file that holds the text.
//!
//! YAML folds lines, cuts indentation and knows escapes, so a text and its source differ; but what is not white space comes in the
//! same order in both. So both are walked through together, and white space of either is passed over.

use crate::config::Position;
use crate::config::yaml::Node;

/// The byte that `line:column` (from 1, in bytes) of a text means; 0 for what is no position.
pub(super) fn offset(text: &str, position: &str) -> usize {
    let Some((line, column)) = position.split_once(':') else { return 0 };
    let (Ok(line), Ok(column)) = (line.parse::<usize>(), column.parse::<usize>()) else { return 0 };
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}

/// The byte of a line and a character in it, both from 1.
pub(super) fn offset_of_char(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = &text[before..];
    before + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
}

/// Where byte `byte` of `value`, the text that `node` holds, stands in the file. The node itself where the two do not fit together,
/// as behind an alias.
pub(super) fn within(file: &str, node: &Node, value: &str, byte: usize) -> Position {
    walk(file, node.at, value, byte).unwrap_or(node.at)
}

fn walk(file: &str, at: Position, value: &str, byte: usize) -> Option<Position> {
    let mut source = Source::at(file, at)?;
    let style = source.peek()?;
    match style {
        '|' | '>' => source.line_end(),
        '"' | '\'' => source.step(),
        _ => {}
    }
    let mut last = source.position();
    let mut begun = false;
    for (found, wanted) in value.char_indices() {
        if wanted.is_whitespace() {
            if found >= byte {
                break;
            }
            continue;
        }
        source.space(style == '"');
        if found >= byte {
            return Some(source.position());
        }
        match (style, source.peek()?) {
            ('"', '\\') => source.escape(wanted)?,
            ('\'', '\'') if wanted == '\'' => {
                source.step();
                source.step();
            }
            (_, c) if c == wanted => source.step(),
            _ => return None,
        }
        begun = true;
        last = source.position();
    }
    // The end, or white space: behind what came last.
    if !begun {
        source.space(style == '"');
        last = source.position();
    }
    Some(last)
}

struct Source<'f> {
    rest: std::iter::Peekable<std::str::Chars<'f>>,
    line: usize,
    column: usize,
}

impl<'f> Source<'f> {
    fn at(file: &'f str, at: Position) -> Option<Self> {
        let start: usize = file.split_inclusive('\n').take(at.line.checked_sub(1)?).map(str::len).sum();
        let mut source = Source { rest: file.get(start..)?.chars().peekable(), line: at.line, column: 1 };
        for _ in 1..at.column {
            source.step();
        }
        Some(source)
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    fn step(&mut self) {
        match self.rest.next() {
            Some('\n') => (self.line, self.column) = (self.line + 1, 1),
            Some(_) => self.column += 1,
            None => {}
        }
    }

    /// Over the rest of the line.
    fn line_end(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.step();
        }
        self.step();
    }

    /// Over white space; between double quotes also over that which is escaped.
    fn space(&mut self, escapes: bool) {
        loop {
            match self.peek() {
                Some(c) if c.is_whitespace() => self.step(),
                Some('\\') if escapes => {
                    let mut ahead = self.rest.clone();
                    ahead.next();
                    match ahead.peek() {
                        Some('n' | 't' | 'r' | ' ' | '\n') => {
                            self.step();
                            self.step();
                        }
                        _ => return,
                    }
                }
                _ => return,
            }
        }
    }

    /// Over an escape that stands for a character; nothing if it is one that is not looked at here.
    fn escape(&mut self, wanted: char) -> Option<()> {
        self.step();
        if self.peek()? != wanted {
            return None;
        }
        self.step();
        Some(())
    }

    fn position(&self) -> Position {
        Position { line: self.line, column: self.column, length: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml::{self, Value};

    /// Where the `!` of the text under `expr` stands, by walking, and by looking.
    fn places(file: &str) -> ((usize, usize), (usize, usize)) {
        let (root, faults) = yaml::parse(file);
        assert!(faults.is_empty(), "{faults:?}");
        let Value::Map(entries) = root.expect("a tree").value else { panic!("no mapping") };
        let Value::Scalar { text, .. } = &entries[0].1.value else { panic!("no text") };
        let found = within(file, &entries[0].1, text, text.find('!').expect("a mark"));
        let line = file.lines().position(|line| line.contains('!')).expect("a mark");
        let column = file.lines().nth(line).and_then(|line| line.find('!')).expect("a mark");
        ((found.line, found.column), (line + 1, column + 1))
    }

    #[test]
    fn a_place_in_a_text_is_found_in_every_style_of_yaml() {
        for file in [
            "expr: a + b !c\n",
            "expr: a\n  + b\n  !c\n",
            "expr: 'it''s \"x\" !c'\n",
            "expr: \"a \\\"x\\\" \\\\\\\\d \\n b !c\"\n",
            "expr: |\n  a\n    + b\n\n  !c\n",
            "expr: |2-\n    a\n  !c\n",
            "expr: >-\n  a\n  + b # {x=\"\\\\d\"}\n\n  or !c\n",
            "expr: > # a comment\n  a\n  !c\nx: 1\n",
            "expr:\n  a\n  !c\n",
        ] {
            let (found, there) = places(file);
            assert_eq!(found, there, "{file}");
        }
    }

    #[test]
    fn the_end_of_a_text_is_behind_its_last_character() {
        let file = "expr: |\n  sum(\n\nx: 1\n";
        let (root, _) = yaml::parse(file);
        let Value::Map(entries) = root.expect("a tree").value else { panic!("no mapping") };
        let found = within(file, &entries[0].1, "sum(\n", 5);
        assert_eq!((found.line, found.column), (2, 7));
    }

    #[test]
    fn a_position_of_an_expression_is_a_byte() {
        assert_eq!(offset("ab\ncd", "2:2"), 4);
        assert_eq!(offset("ab", "1:9"), 2);
        assert_eq!(offset("", "unknown position"), 0);
    }
}
