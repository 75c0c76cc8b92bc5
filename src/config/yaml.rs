//! YAML into a tree that knows where everything stands.
//!
//! The parser gives events with positions; the tree is built here so that duplicate keys are errors, aliases
//! cannot grow without bound, and a fault in one place does not hide the next. Of YAML it takes what a
//! configuration needs: one document, text keys, no tags, no merge keys.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::error::Position;

/// Deepest nesting. The deepest key of ours is four levels down.
const DEPTH: usize = 32;

/// Most nodes, aliases expanded: some 10 MB. A thousand scrape targets with ten labels each are a tenth of it.
const NODES: usize = 100_000;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: Position,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing after the colon, `~` or `null`.
    Null,
    /// A scalar as written; `quoted` tells text from what could be a number or a boolean.
    Scalar { text: String, quoted: bool },
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the file.
    Map(Vec<(Key, Node)>),
}

impl Value {
    /// What to call it in an error.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// A key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) at: Position,
}

/// A fault: where, and what.
pub(crate) type Fault = (Position, String);

/// Reads a file. Gives the tree as far as it could be read, and everything that is wrong with it. A file
/// without content is [`Value::Null`].
pub(crate) fn parse(text: &str) -> (Option<Node>, Vec<Fault>) {
    let mut build = Builder::default();
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                if let Err(fault) = build.event(event, span) {
                    build.faults.push(fault);
                    return (None, build.faults);
                }
            }
            Err(error) => {
                let mark = error.marker();
                let at = Position { line: mark.line(), column: mark.col() + 1, length: 1 };
                build.faults.push((at, format!("not valid YAML: {}", error.info())));
                return (None, build.faults);
            }
        }
    }
    let start = Position { line: 1, column: 1, length: 1 };
    (Some(build.root.unwrap_or(Node { value: Value::Null, at: start })), build.faults)
}

/// A list or mapping that is being read.
struct Open {
    value: Value,
    at: Position,
    anchor: usize,
    /// In a mapping, the key whose value comes next.
    key: Option<Key>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    faults: Vec<Fault>,
}

impl Builder {
    /// Takes an event. An error here ends the reading.
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let at = position(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                let quoted = style != ScalarStyle::Plain;
                let value = match &*text {
                    "" | "~" | "null" | "Null" | "NULL" if !quoted => Value::Null,
                    _ => Value::Scalar { text: text.into_owned(), quoted },
                };
                self.put(Node { value, at }, anchor, 1)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                self.start(Value::List(Vec::new()), at, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                self.start(Value::Map(Vec::new()), at, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(done) => {
                    let node = Node { value: done.value, at: done.at };
                    let size = if done.anchor > 0 { count(&node) } else { 1 };
                    self.put(node, done.anchor, size)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some((node, size)) => {
                    let size = *size;
                    if self.nodes + size > NODES {
                        return Err(too_many(at));
                    }
                    let value = node.value.clone();
                    self.nodes += size;
                    self.put(Node { value, at }, 0, 1)
                }
                None => Err((at, "this alias stands inside what it names".into())),
            },
            Event::DocumentStart(_) if self.root.is_some() => {
                Err((at, "a second document; a configuration file has one".into()))
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn refuse_tag(&mut self, tagged: bool, at: Position) {
        if tagged {
            self.faults.push((at, "tags such as !include are not supported".into()));
        }
    }

    fn start(&mut self, value: Value, at: Position, anchor: usize) -> Result<(), Fault> {
        if self.open.len() >= DEPTH {
            return Err((at, format!("nested deeper than {DEPTH} levels")));
        }
        self.open.push(Open { value, at, anchor, key: None });
        Ok(())
    }

    /// A finished node goes into what is open around it. `size` is what its anchor, if any, will stand for.
    fn put(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Fault> {
        // What has an anchor is kept once more, so it counts once more.
        self.nodes += 1 + if anchor > 0 { size } else { 0 };
        if self.nodes > NODES {
            return Err(too_many(node.at));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(around) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut around.value, around.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(entries), Some(key)) => {
                match entries.iter().find(|(known, _)| known.text == key.text) {
                    Some((first, _)) => {
                        let line = first.at.line;
                        self.faults.push((key.at, format!("`{}` is already given in line {line}", key.text)));
                    }
                    None => entries.push((key, node)),
                }
            }
            (Value::Map(_), None) => {
                let text = match node.value {
                    Value::Scalar { text, quoted: false } if text == "<<" => {
                        self.faults.push((node.at, "merge keys (`<<`) are not supported".into()));
                        text
                    }
                    Value::Scalar { text, .. } => text,
                    other => {
                        let message = format!("a key must be text, not {}", other.name());
                        self.faults.push((node.at, message));
                        String::new()
                    }
                };
                around.key = Some(Key { text, at: node.at });
            }
            // Only lists and mappings are ever opened.
            (Value::Null | Value::Scalar { .. }, _) => {}
        }
        Ok(())
    }
}

fn too_many(at: Position) -> Fault {
    (at, format!("more than {NODES} values, aliases counted where they are used"))
}

fn count(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar { .. } => 1,
        Value::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|(_, node)| 1 + count(node)).sum::<usize>(),
    }
}

fn position(span: Span) -> Position {
    let (start, end) = (span.start, span.end);
    let length = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { 1 };
    Position { line: start.line(), column: start.col() + 1, length: length.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn faults(text: &str) -> Vec<String> {
        parse(text)
            .1
            .into_iter()
            .map(|(at, m)| format!("{}:{}:{} {m}", at.line, at.column, at.length))
            .collect()
    }

    #[test]
    fn keys_and_values_know_where_they_stand() {
        let (root, faults) = parse("global:\n  tick: 1s\nlist: ['ä', b]\n");
        assert!(faults.is_empty());
        let Some(Node { value: Value::Map(entries), .. }) = root else { panic!("no mapping") };
        let Value::Map(global) = &entries[0].1.value else { panic!("no mapping") };
        assert_eq!(global[0].0, Key { text: "tick".into(), at: Position { line: 2, column: 3, length: 4 } });
        assert_eq!(global[0].1.at, Position { line: 2, column: 9, length: 2 });
        let Value::List(items) = &entries[1].1.value else { panic!("no list") };
        assert_eq!(items[0].at, Position { line: 3, column: 8, length: 3 });
        assert_eq!(items[1].at, Position { line: 3, column: 13, length: 1 });
    }

    #[test]
    fn duplicate_keys_are_all_told_and_the_first_is_kept() {
        assert_eq!(
            faults("a: 1\nb: {c: 1, c: 2}\na: 2\n"),
            ["2:11:1 `c` is already given in line 2", "3:1:1 `a` is already given in line 1"]
        );
    }

    #[test]
    fn what_a_configuration_does_not_need_is_refused() {
        assert_eq!(faults("a: !include b\n"), ["1:4:10 tags such as !include are not supported"]);
        assert_eq!(faults("a: &x {b: 1}\nc:\n  <<: *x\n"), ["3:3:2 merge keys (`<<`) are not supported"]);
        assert_eq!(faults("? [1]\n: 2\n"), ["1:3:1 a key must be text, not a list"]);
        assert!(faults("a: 1\n---\nb: 1\n")[0].contains("second document"));
        assert!(faults("a: &x [*x]\n")[0].contains("alias"));
    }

    #[test]
    fn an_empty_file_and_comments_alone_are_nothing() {
        for text in ["", "\n", "# a comment\n", "---\n"] {
            let (root, faults) = parse(text);
            assert_eq!((root.map(|n| n.value), faults), (Some(Value::Null), Vec::new()), "{text:?}");
        }
    }

    #[test]
    fn a_bomb_of_aliases_is_refused_before_it_grows() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let items = vec![format!("*a{}", i - 1); 10].join(", ");
            text.push_str(&format!("a{i}: &a{i} [{items}]\n"));
        }
        assert!(faults(&text)[0].contains("more than 100000 values"));
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(faults(&"[".repeat(100))[0].contains("nested deeper"));
        // Deeper still, the parser stops by itself.
        assert_eq!(faults(&"[".repeat(100_000)).len(), 1);
        assert!(faults(&"- ".repeat(1_000))[0].contains("nested deeper"));
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let told = faults("web:\n  a: [1, 2\nb: 1\n");
        assert!(told[0].contains("not valid YAML"), "{told:?}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-a-c:\\[\\]{}&*!'\"#|>%@, \n\t?~<0-9]{0,60}") {
            let _ = parse(&text);
        }
    }
}
