//! Walks the tree and writes.

use super::functions::{self, Around};
use super::lex::Fault;
use super::parse::{Branch, Command, Node, NodeKind, Operand, Parsed, Pipe, What};
use super::{Env, MAX_OUTPUT, TemplateError, Value};

/// Work of one expansion: a node or an operand is 1, and so are 64 bytes that a function makes; an expression that is compiled is 500.
/// It is some milliseconds.
const MAX_STEPS: usize = 100_000;

/// How deep templates may call each other.
const MAX_CALLS: usize = 50;

/// What goes on after a node.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct State<'a> {
    parsed: &'a Parsed,
    around: Around<'a>,
    out: String,
    steps: usize,
    calls: usize,
    /// Name and value, the innermost last.
    variables: Vec<(&'a str, Value)>,
}

/// Fills in a template. Its variables are `values`, in their order.
pub(super) fn expand(
    parsed: &Parsed,
    dot: Value,
    values: &[Value],
    env: &Env<'_>,
) -> Result<String, TemplateError> {
    let names = parsed.variables.iter().map(String::as_str);
    let mut state = State {
        parsed,
        around: Around::new(env),
        out: String::new(),
        steps: 0,
        calls: 0,
        variables: std::iter::once(("$", dot.clone())).chain(names.zip(values.iter().cloned())).collect(),
    };
    match state.walk(&parsed.root, &dot) {
        Ok(_) => Ok(state.out),
        Err(fault) => Err(parsed.error(fault)),
    }
}

impl<'a> State<'a> {
    fn step(&mut self, at: usize, count: usize) -> Result<(), Fault> {
        self.steps += count;
        if self.steps > MAX_STEPS {
            return Err((at, format!("takes more than {MAX_STEPS} steps")));
        }
        Ok(())
    }

    fn write(&mut self, at: usize, text: &str) -> Result<(), Fault> {
        if self.out.len() + text.len() > MAX_OUTPUT {
            return Err((at, format!("makes more than {MAX_OUTPUT} bytes")));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn walk(&mut self, nodes: &'a [Node], dot: &Value) -> Result<Flow, Fault> {
        for node in nodes {
            self.step(node.at, 1)?;
            let flow = match &node.kind {
                NodeKind::Text(text) => {
                    self.write(node.at, text)?;
                    Flow::On
                }
                NodeKind::Action(pipe) => {
                    let value = self.pipe(node.at, pipe, dot)?;
                    if pipe.variables.is_empty() {
                        match value {
                            Value::Nil | Value::Missing => self.write(node.at, "<no value>")?,
                            value => self.write(node.at, &value.shown())?,
                        }
                    }
                    Flow::On
                }
                NodeKind::If(branch) => self.scoped(|state| {
                    let value = state.pipe(node.at, &branch.pipe, dot)?;
                    state.walk(if value.truth() { &branch.then } else { &branch.otherwise }, dot)
                })?,
                NodeKind::With(branch) => self.scoped(|state| {
                    let value = state.pipe(node.at, &branch.pipe, dot)?;
                    if value.truth() {
                        state.walk(&branch.then, &value)
                    } else {
                        state.walk(&branch.otherwise, dot)
                    }
                })?,
                NodeKind::Range(branch) => self.scoped(|state| state.range(node.at, branch, dot))?,
                NodeKind::Template(name, pipe) => {
                    let value = match pipe {
                        Some(pipe) => self.pipe(node.at, pipe, dot)?,
                        None => Value::Nil,
                    };
                    self.call(node.at, name, value)?;
                    Flow::On
                }
                NodeKind::Break => Flow::Break,
                NodeKind::Continue => Flow::Continue,
            };
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    /// Variables that come up within are gone afterwards.
    fn scoped<T>(&mut self, within: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let known = self.variables.len();
        let result = within(self);
        self.variables.truncate(known);
        result
    }

    fn range(&mut self, at: usize, branch: &'a Branch, dot: &Value) -> Result<Flow, Fault> {
        let over = self.pipe(at, &branch.pipe, dot)?;
        let mut any = false;
        let mut pass = |state: &mut Self, index: Value, item: Value| -> Result<bool, Fault> {
            any = true;
            state.step(at, 1)?;
            let names = &branch.pipe.variables;
            let values = if names.len() > 1 { vec![index, item.clone()] } else { vec![item.clone()] };
            for (name, value) in names.iter().zip(values) {
                if branch.pipe.assigns {
                    state.assign(at, name, value)?;
                } else {
                    state.variables.push((name, value));
                }
            }
            let known = state.variables.len() - if branch.pipe.assigns { 0 } else { names.len() };
            let flow = state.walk(&branch.then, &item)?;
            state.variables.truncate(known);
            Ok(flow != Flow::Break)
        };
        let number = |i: usize| Value::Int(i64::try_from(i).unwrap_or(i64::MAX));
        match &over {
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    if !pass(self, number(i), item.clone())? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, item) in &map.entries {
                    if !pass(self, Value::text(key), item.clone())? {
                        break;
                    }
                }
            }
            Value::Int(count) => {
                for i in 0..*count {
                    if !pass(self, Value::Int(i), Value::Int(i))? {
                        break;
                    }
                }
            }
            Value::Missing | Value::Nil => {}
            other => return Err((at, format!("range can't iterate over {}", other.shown()))),
        }
        if !any {
            return self.walk(&branch.otherwise, dot);
        }
        Ok(Flow::On)
    }

    fn call(&mut self, at: usize, name: &str, dot: Value) -> Result<(), Fault> {
        let parsed = self.parsed;
        let Some(body) = parsed.defined.get(name) else {
            return Err((at, format!("template {name:?} not defined")));
        };
        if self.calls >= MAX_CALLS {
            return Err((at, format!("templates call each other more than {MAX_CALLS} deep")));
        }
        self.calls += 1;
        let outside = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
        self.walk(body, &dot)?;
        self.variables = outside;
        self.calls -= 1;
        Ok(())
    }

    fn assign(&mut self, at: usize, name: &str, value: Value) -> Result<(), Fault> {
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            Some((_, known)) => {
                *known = value;
                Ok(())
            }
            None => Err((at, format!("undefined variable: {name}"))),
        }
    }

    fn pipe(&mut self, at: usize, pipe: &'a Pipe, dot: &Value) -> Result<Value, Fault> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Value::Missing);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(at, name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    /// `last` is what the command before it in the pipe gave.
    fn command(&mut self, command: &'a Command, dot: &Value, last: Option<Value>) -> Result<Value, Fault> {
        let (first, rest) = (&command.operands[0], &command.operands[1..]);
        self.step(first.at, 1)?;
        let gives = !rest.is_empty() || last.is_some();
        // Arguments go to the function, or to the last field, which is then a method.
        if let (What::Function(function), []) = (&first.what, &*first.fields) {
            if function.is_lazy() {
                function.check_count(rest.len() + usize::from(last.is_some())).map_err(|m| (first.at, m))?;
                let decides = function.name == "or";
                let mut value = Value::Missing;
                for operand in rest {
                    value = self.operand(operand, dot)?;
                    if value.truth() == decides {
                        return Ok(value);
                    }
                }
                return Ok(last.unwrap_or(value));
            }
            let args = self.args(rest, dot, last)?;
            return self.run(first.at, function, &args);
        }
        match first.fields.split_last() {
            Some((name, fields)) if gives => {
                let base = self.base(first, dot)?;
                let of = fields.iter().try_fold(base, |of, name| self.field(first.at, &of, name, &[]))?;
                let args = self.args(rest, dot, last)?;
                self.field(first.at, &of, name, &args)
            }
            None if gives => Err((first.at, "can't give argument to non-function".into())),
            None if matches!(first.what, What::Nil) => Err((first.at, "nil is not a command".into())),
            _ => self.operand(first, dot),
        }
    }

    fn args(
        &mut self,
        operands: &'a [Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Vec<Value>, Fault> {
        let mut args = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            args.push(self.operand(operand, dot)?);
        }
        args.extend(last);
        for arg in args.iter_mut().filter(|arg| **arg == Value::Missing) {
            *arg = Value::Nil;
        }
        Ok(args)
    }

    fn run(&mut self, at: usize, function: &functions::Function, args: &[Value]) -> Result<Value, Fault> {
        let value = function.call(&mut self.around, args).map_err(|message| (at, message))?;
        let size = match &value {
            Value::Text(text) => text.len() / 64,
            Value::List(items) => items.len(),
            _ => 0,
        };
        self.step(at, function.steps() + size)?;
        Ok(value)
    }

    fn operand(&mut self, operand: &'a Operand, dot: &Value) -> Result<Value, Fault> {
        self.step(operand.at, 1)?;
        let base = self.base(operand, dot)?;
        operand.fields.iter().try_fold(base, |of, name| self.field(operand.at, &of, name, &[]))
    }

    fn base(&mut self, operand: &'a Operand, dot: &Value) -> Result<Value, Fault> {
        match &operand.what {
            What::Dot => Ok(dot.clone()),
            What::Nil => Ok(Value::Nil),
            What::Constant(value) => Ok(value.clone()),
            What::Function(function) if function.is_lazy() => {
                function.check_count(0).map(|()| Value::Missing).map_err(|message| (operand.at, message))
            }
            What::Function(function) => self.run(operand.at, function, &[]),
            What::Variable(name) => match self.variables.iter().rev().find(|(known, _)| known == name) {
                Some((_, value)) => Ok(value.clone()),
                None => Err((operand.at, format!("undefined variable: {name}"))),
            },
            What::Pipe(pipe) => self.pipe(operand.at, pipe, dot),
        }
    }

    fn field(&mut self, at: usize, of: &Value, name: &str, args: &[Value]) -> Result<Value, Fault> {
        self.step(at, 1)?;
        if let Some(answer) = functions::method(of, name, args) {
            return answer.map_err(|message| (at, message));
        }
        let fault = |message: String| Err((at, message));
        match of {
            Value::Map(_) | Value::Record(_) if !args.is_empty() => {
                fault(format!("{name} is not a method but has arguments"))
            }
            Value::Map(map) => Ok(map.entries.get(name).unwrap_or(&map.absent).clone()),
            Value::Record(record) => match record.fields.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => Ok(value.clone()),
                None => fault(format!("can't evaluate field {name} in type {}", record.kind)),
            },
            // The dot of a template that was given none.
            Value::Nil => Ok(Value::Missing),
            Value::Missing => fault(format!("nil pointer evaluating interface {{}}.{name}")),
            other => fault(format!("can't evaluate field {name} in type {}", other.kind())),
        }
    }
}
