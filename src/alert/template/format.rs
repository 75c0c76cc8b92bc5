//! `printf`, `print` and `println` as Go's `fmt` has them.

use std::fmt::Write;

use super::{MAX_OUTPUT, Value};
use crate::query::number;

/// Widths and precisions up to this are taken, as in Go.
const MAX_WIDTH: i64 = 1_000_000;

/// `print`: a space between two of which neither is text.
pub(super) fn print(args: &[Value]) -> String {
    let mut out = String::new();
    for (i, arg) in args.iter().enumerate() {
        if out.len() > MAX_OUTPUT {
            break; // who called refuses it
        }
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if i > 0 && !is_text(arg) && !is_text(&args[i - 1]) {
            out.push(' ');
        }
        arg.print(&mut out);
    }
    out
}

/// `println`: a space between all, a newline at the end.
pub(super) fn println(args: &[Value]) -> String {
    let mut out = String::new();
    for (i, arg) in args.iter().enumerate() {
        if out.len() > MAX_OUTPUT {
            break; // who called refuses it
        }
        out.push_str(if i > 0 { " " } else { "" });
        arg.print(&mut out);
    }
    out.push('\n');
    out
}

#[derive(Clone, Default)]
struct Spec {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `printf`.
pub(super) fn printf(format: &str, args: &[Value]) -> Result<String, String> {
    let mut printer = Printer { args, next: 0, reordered: false, rest: format.chars().peekable() };
    let mut out = String::new();
    while let Some(c) = printer.rest.next() {
        if c == '%' {
            printer.verb(&mut out);
        } else {
            out.push(c);
        }
        if out.len() > MAX_OUTPUT {
            return Err(format!("more than {MAX_OUTPUT} bytes"));
        }
    }
    if !printer.reordered && printer.next < args.len() {
        out.push_str("%!(EXTRA ");
        for (i, arg) in args[printer.next..].iter().enumerate() {
            if out.len() > MAX_OUTPUT {
                break; // who called refuses it
            }
            let _ = write!(out, "{}{}", if i > 0 { ", " } else { "" }, arg.kind());
            if !matches!(arg, Value::Nil | Value::Missing) {
                let _ = write!(out, "={}", arg.shown());
            }
        }
        out.push(')');
    }
    Ok(out)
}

struct Printer<'a> {
    args: &'a [Value],
    next: usize,
    reordered: bool,
    rest: std::iter::Peekable<std::str::Chars<'a>>,
}

impl Printer<'_> {
    /// `[3]`: the next argument is the third. False, if there is no such.
    fn index(&mut self) -> bool {
        if self.rest.peek() != Some(&'[') {
            return true;
        }
        self.reordered = true;
        let mut ahead = self.rest.clone();
        ahead.next();
        let digits: String = ahead.by_ref().take_while(|c| *c != ']').collect();
        match digits.parse::<usize>() {
            Ok(number) if (1..=self.args.len()).contains(&number) => {
                self.rest = ahead;
                self.next = number - 1;
                true
            }
            _ => {
                self.rest = ahead;
                false
            }
        }
    }

    fn digits(&mut self) -> Option<i64> {
        let mut number = None;
        while let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(10)) {
            self.rest.next();
            number = Some((number.unwrap_or(0) * 10 + i64::from(digit)).min(MAX_WIDTH + 1));
        }
        number
    }

    /// `*`: the next argument is a whole number.
    fn star(&mut self) -> Option<i64> {
        self.rest.next();
        let arg = self.args.get(self.next);
        self.next += 1;
        match arg {
            Some(Value::Int(n)) if n.abs() <= MAX_WIDTH => Some(*n),
            _ => None,
        }
    }

    fn verb(&mut self, out: &mut String) {
        let mut spec = Spec::default();
        while let Some(c) = self.rest.peek() {
            match c {
                '+' => spec.plus = true,
                '-' => {
                    spec.minus = true;
                    spec.zero = false;
                }
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                '0' => spec.zero = !spec.minus,
                _ => break,
            }
            self.rest.next();
        }
        let mut good = self.index();
        if self.rest.peek() == Some(&'*') {
            match self.star() {
                Some(width) => {
                    if width < 0 {
                        (spec.minus, spec.zero) = (true, false);
                    }
                    spec.width = usize::try_from(width.abs()).ok();
                }
                None => out.push_str("%!(BADWIDTH)"),
            }
        } else {
            match self.digits() {
                Some(width) if width > MAX_WIDTH => out.push_str("%!(BADWIDTH)"),
                width => spec.width = width.and_then(|width| usize::try_from(width).ok()),
            }
        }
        if self.rest.peek() == Some(&'.') {
            self.rest.next();
            good &= self.index();
            if self.rest.peek() == Some(&'*') {
                match self.star() {
                    Some(precision) if precision >= 0 => spec.precision = usize::try_from(precision).ok(),
                    Some(_) => {}
                    None => out.push_str("%!(BADPREC)"),
                }
            } else {
                match self.digits().unwrap_or(0) {
                    precision if precision > MAX_WIDTH => out.push_str("%!(BADPREC)"),
                    precision => spec.precision = usize::try_from(precision).ok(),
                }
            }
        }
        good &= self.index();
        let Some(verb) = self.rest.next() else {
            out.push_str("%!(NOVERB)");
            return;
        };
        if verb == '%' {
            out.push('%');
        } else if !good {
            let _ = write!(out, "%!{verb}(BADINDEX)");
        } else if let Some(arg) = self.args.get(self.next) {
            self.next += 1;
            put(out, arg, verb, &spec);
        } else {
            let _ = write!(out, "%!{verb}(MISSING)");
        }
    }
}

fn bad(out: &mut String, value: &Value, verb: char) {
    let _ = match value {
        Value::Nil | Value::Missing => write!(out, "%!{verb}(<nil>)"),
        value => write!(out, "%!{verb}({}={})", value.kind(), value.shown()),
    };
}

fn pad(out: &mut String, text: &str, spec: &Spec) {
    let missing = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    let fill = if spec.zero { "0" } else { " " }.repeat(missing.min(MAX_OUTPUT));
    if spec.minus {
        out.push_str(text);
        out.push_str(&fill);
    } else {
        out.push_str(&fill);
        out.push_str(text);
    }
}

fn put(out: &mut String, value: &Value, verb: char, spec: &Spec) {
    if verb == 'T' {
        return text(out, value.kind(), 's', spec);
    }
    match value {
        Value::Nil | Value::Missing => match verb {
            'v' => pad(out, "<nil>", &Spec { zero: false, ..spec.clone() }),
            _ => bad(out, value, verb),
        },
        Value::Bool(b) => match verb {
            't' | 'v' => pad(out, if *b { "true" } else { "false" }, spec),
            _ => bad(out, value, verb),
        },
        Value::Int(n) => whole(out, value, *n, verb, spec),
        Value::Float(v) => float(out, value, *v, verb, spec),
        Value::Text(t) => match verb {
            'v' if spec.sharp => text(out, t, 'q', &Spec { sharp: false, ..spec.clone() }),
            'v' | 's' | 'q' | 'x' | 'X' => text(out, t, verb, spec),
            _ => bad(out, value, verb),
        },
        Value::Duration(n) if !matches!(verb, 'v' | 's' | 'q') => whole(out, value, *n, verb, spec),
        Value::Time(_) | Value::Duration(_) => match verb {
            'v' | 's' | 'q' | 'x' | 'X' => text(out, &value.shown(), verb, spec),
            _ => bad(out, value, verb),
        },
        Value::List(items) => {
            if matches!(verb, 'p') {
                return bad(out, value, verb);
            }
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { " " } else { "" });
                put(out, item, verb, spec);
                if out.len() > MAX_OUTPUT {
                    return;
                }
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push_str("map[");
            for (i, (key, item)) in map.entries.iter().enumerate() {
                out.push_str(if i > 0 { " " } else { "" });
                put(out, &Value::text(key), verb, spec);
                out.push(':');
                put(out, item, verb, spec);
                if out.len() > MAX_OUTPUT {
                    return;
                }
            }
            out.push(']');
        }
        Value::Record(record) => {
            out.push('{');
            for (i, (name, item)) in record.fields.iter().enumerate() {
                out.push_str(if i > 0 { " " } else { "" });
                if spec.plus || spec.sharp {
                    let _ = write!(out, "{name}:");
                }
                put(out, item, verb, spec);
            }
            out.push('}');
        }
    }
}

fn text(out: &mut String, value: &str, verb: char, spec: &Spec) {
    let cut = match spec.precision {
        Some(most) => value.char_indices().nth(most).map_or(value, |(end, _)| &value[..end]),
        None => value,
    };
    match verb {
        'q' if spec.sharp && !cut.contains(|c: char| c == '`' || (c.is_control() && c != '\t')) => {
            pad(out, &format!("`{cut}`"), spec);
        }
        'q' => pad(out, &number::quoted(cut), spec),
        'x' | 'X' => {
            let bytes = value.as_bytes();
            let bytes = &bytes[..spec.precision.unwrap_or(bytes.len()).min(bytes.len())];
            let mut hex = String::new();
            for (i, byte) in bytes.iter().enumerate() {
                if i > 0 && spec.space {
                    hex.push(' ');
                }
                if spec.sharp && (i == 0 || spec.space) {
                    hex.push_str("0x");
                }
                let _ = write!(hex, "{byte:02x}");
            }
            pad(out, &if verb == 'X' { hex.to_uppercase() } else { hex }, spec);
        }
        _ => pad(out, cut, spec),
    }
}

fn whole(out: &mut String, value: &Value, n: i64, verb: char, spec: &Spec) {
    let magnitude = n.unsigned_abs();
    let (digits, prefix) = match verb {
        'v' | 'd' => (magnitude.to_string(), ""),
        'b' => (format!("{magnitude:b}"), if spec.sharp { "0b" } else { "" }),
        'o' => (format!("{magnitude:o}"), if spec.sharp { "0" } else { "" }),
        'O' => (format!("{magnitude:o}"), "0o"),
        'x' => (format!("{magnitude:x}"), if spec.sharp { "0x" } else { "" }),
        'X' => (format!("{magnitude:X}"), if spec.sharp { "0X" } else { "" }),
        'c' | 'q' | 'U' => {
            let c = u32::try_from(n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
            let shown = match verb {
                'c' => c.to_string(),
                'q' if c == '\'' => "'\\''".into(),
                'q' if c == '"' => "'\"'".into(),
                'q' => {
                    let quoted = number::quoted(&c.to_string());
                    format!("'{}'", &quoted[1..quoted.len() - 1])
                }
                _ => format!("U+{magnitude:04X}"),
            };
            return pad(out, &shown, spec);
        }
        _ => return bad(out, value, verb),
    };
    let sign = match (n < 0, spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    };
    let least = match (spec.precision, spec.width) {
        (Some(0), _) if n == 0 => return pad(out, "", &Spec { zero: false, ..spec.clone() }),
        (Some(precision), _) => precision,
        (None, Some(width)) if spec.zero => width.saturating_sub(sign.len()),
        _ => 0,
    };
    let zeros = "0".repeat(least.saturating_sub(digits.len()).min(MAX_OUTPUT));
    pad(out, &format!("{sign}{prefix}{zeros}{digits}"), &Spec { zero: false, ..spec.clone() });
}

fn float(out: &mut String, value: &Value, v: f64, verb: char, spec: &Spec) {
    let body = v.abs();
    let shown = match (verb, spec.precision) {
        _ if !matches!(verb, 'v' | 'g' | 'G' | 'e' | 'E' | 'f' | 'F') => return bad(out, value, verb),
        _ if v.is_nan() => "NaN".to_owned(),
        _ if v.is_infinite() => "Inf".to_owned(),
        ('v' | 'g' | 'G', None) => number::general(body),
        ('v' | 'g' | 'G', Some(precision)) => number::general_to(body, precision.clamp(1, 400)),
        ('f' | 'F', precision) => format!("{body:.*}", precision.unwrap_or(6).min(2000)),
        (_, precision) => {
            let text = format!("{body:.*e}", precision.unwrap_or(6).min(2000));
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let exponent: i32 = exponent.parse().unwrap_or(0);
            format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
    };
    let shown = if matches!(verb, 'G' | 'E') { shown.replace('e', "E") } else { shown };
    let sign = match (v.is_sign_negative() && !v.is_nan(), spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        // Go prints infinity with its sign.
        _ if v.is_infinite() => "+",
        _ => "",
    };
    let zero = spec.zero && v.is_finite();
    let zeros = match spec.width {
        Some(width) if zero => "0".repeat(width.saturating_sub(sign.len() + shown.len()).min(MAX_OUTPUT)),
        _ => String::new(),
    };
    pad(out, &format!("{sign}{zeros}{shown}"), &Spec { zero: false, ..spec.clone() });
}
