//! Log output: one line a message on stderr, logfmt or JSON.
//!
//! [`install`] puts a [`tracing`] subscriber in place that writes `ts=… level=… msg="…" key=value`. What is said
//! again within ten seconds, word for word, is counted instead of written, and told as
//! `repeated=37` when the ten seconds are over. Whatever a message holds, it stays one line and cannot
//! write to the terminal: line breaks and control characters are escaped.
//!
//! [`Log::flush`] tells repetitions that are over; the owner calls it now and then, and dropping [`Log`] tells
//! the rest.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::clock::{Clock, Moment};

/// How long the same message is counted instead of written.
const WINDOW: Duration = Duration::from_secs(10);

/// How many different messages are remembered. With more within ten seconds the oldest is told early.
const REMEMBERED: usize = 256;

/// Settings of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `--log.level`: the least severe messages to show; info by default.
    pub level: Level,
    /// `--log.format`; logfmt by default.
    pub format: Format,
    /// `GAUGECAST_LOG`, else `RUST_LOG`: exceptions from the level by module, such as `gaugecast::stream=debug`.
    pub filter: String,
}

/// Severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// All but traces.
    Debug,
    /// What happens.
    #[default]
    Info,
    /// What should be looked at.
    Warn,
    /// What failed.
    Error,
}

impl Level {
    /// All, as [`Level::WORDS`].
    pub const ALL: [Level; 4] = [Level::Debug, Level::Info, Level::Warn, Level::Error];
    /// Their words.
    pub const WORDS: &'static [&'static str] = &["debug", "info", "warn", "error"];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// Form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `ts=2026-11-21T04:31:35.000Z level=info msg="listening" address=127.0.0.1:7171`.
    #[default]
    Logfmt,
    /// `{"ts":"2026-11-21T04:31:35.000Z","level":"info","msg":"listening","address":"127.0.0.1:7171"}`.
    Json,
}

impl Format {
    /// All, as [`Format::WORDS`].
    pub const ALL: [Format; 2] = [Format::Logfmt, Format::Json];
    /// Their words.
    pub const WORDS: &'static [&'static str] = &["logfmt", "json"];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// Whether a text is a filter as `GAUGECAST_LOG` has it: `target=level`, several with commas.
///
/// # Errors
/// What is wrong, in one line.
pub fn check_filter(text: &str) -> Result<(), String> {
    text.parse::<EnvFilter>().map(|_| ()).map_err(|error| error.to_string())
}

/// Sends what the program says to stderr from now on. Colours only on a terminal, and never with `NO_COLOR`.
/// Where a subscriber is in place already (a program that embeds us), that one stays.
#[must_use]
pub fn install(config: &Config) -> Log {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let mut log = Log::new(Clock::start(), config.format, colour, Box::new(std::io::stderr()));
    let (filter, handle) = reload::Layer::new(filter(config));
    let subscriber = tracing_subscriber::registry().with(filter).with(Output(Arc::clone(&log.shared)));
    let ours = tracing::subscriber::set_global_default(subscriber).is_ok();
    log.filter = ours.then_some(handle);
    log.config = Arc::new(Mutex::new(config.clone()));
    log
}

fn filter(config: &Config) -> EnvFilter {
    let level = config.level.word();
    let directives = match config.filter.as_str() {
        "" => level.to_owned(),
        refined => format!("{level},{refined}"),
    };
    // Checked by `check_filter` when the configuration was read.
    EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new(level))
}

/// The log; dropping it tells what repetitions are still counted.
pub struct Log {
    shared: Arc<Shared>,
    /// Where the level can be changed; none when another subscriber was in place.
    filter: Option<reload::Handle<EnvFilter, Registry>>,
    /// What is in force.
    config: Arc<Mutex<Config>>,
}

/// Changes how much the log says while the program runs; clones are the same.
#[derive(Clone)]
pub struct Control {
    filter: Option<reload::Handle<EnvFilter, Registry>>,
    config: Arc<Mutex<Config>>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("level", &self.level()).finish_non_exhaustive()
    }
}

impl Control {
    /// The level in force; exceptions by module stand beside it.
    #[must_use]
    pub fn level(&self) -> Level {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).level
    }

    /// Sets the level, until a configuration is loaded or it is set again.
    pub fn set_level(&self, level: Level) {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        config.level = level;
        if let Some(handle) = &self.filter {
            // It fails only when the subscriber is gone, and then there is nothing to set.
            let _ = handle.reload(filter(&config));
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Log {
    fn new(clock: Clock, format: Format, colour: bool, out: Box<dyn std::io::Write + Send>) -> Self {
        let state = Mutex::new(State { repeats: Repeats::default(), out });
        let config = Arc::default();
        Log { shared: Arc::new(Shared { clock, format, colour, state }), filter: None, config }
    }

    /// Takes the level and the filter of a configuration that was loaded anew. The format stays that of the start.
    pub fn apply(&self, config: &Config) {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone_from(config);
        if let Some(handle) = &self.filter {
            // It fails only when the subscriber is gone, and then there is nothing to set.
            let _ = handle.reload(filter(config));
        }
    }

    /// By which others change the level.
    #[must_use]
    pub fn control(&self) -> Control {
        Control { filter: self.filter.clone(), config: Arc::clone(&self.config) }
    }

    /// Tells the repetitions whose ten seconds are over. Cheap; once a second is often enough.
    pub fn flush(&self) {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        let over = state.repeats.over(now);
        self.shared.write_repeated(&mut state, now, over);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let rest = state.repeats.rest();
        self.shared.write_repeated(&mut state, self.shared.clock.now(), rest);
    }
}

struct Shared {
    clock: Clock,
    format: Format,
    colour: bool,
    state: Mutex<State>,
}

struct State {
    repeats: Repeats,
    out: Box<dyn std::io::Write + Send>,
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, now: Moment, message: Message) {
        let mut state = self.lock();
        let (fresh, over) = state.repeats.admit(now, message);
        self.write_repeated(&mut state, now, over);
        if let Some(message) = fresh {
            self.write(&mut state, &message.line(self.format, now.unix_ms, None, self.colour));
        }
    }

    fn write_repeated(&self, state: &mut State, now: Moment, over: Vec<(Message, u64)>) {
        for (message, times) in over {
            self.write(state, &message.line(self.format, now.unix_ms, Some(times), self.colour));
        }
    }

    /// A log that cannot be written has nobody to tell.
    fn write(&self, state: &mut State, line: &str) {
        let _ = state.out.write_all(line.as_bytes());
    }
}

/// What was said: everything but the time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Message {
    level: tracing::Level,
    text: String,
    fields: Vec<(&'static str, Text)>,
}

/// Value of a field; numbers and booleans stay such in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Text {
    Quoted(String),
    Bare(String),
}

impl Message {
    fn line(&self, format: Format, unix_ms: i64, repeated: Option<u64>, colour: bool) -> String {
        let level = match self.level {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warn",
            tracing::Level::INFO => "info",
            _ => "debug",
        };
        let mut line = String::new();
        match format {
            Format::Logfmt => {
                let (on, off) = match (colour, level) {
                    (false, _) => ("", ""),
                    (true, "error") => ("\u{1b}[31m", "\u{1b}[0m"),
                    (true, "warn") => ("\u{1b}[33m", "\u{1b}[0m"),
                    (true, "info") => ("\u{1b}[32m", "\u{1b}[0m"),
                    (true, _) => ("\u{1b}[2m", "\u{1b}[0m"),
                };
                let _ = write!(line, "ts={} {on}level={level}{off} msg=", timestamp(unix_ms));
                logfmt_quoted(&mut line, &self.text);
                for (name, value) in &self.fields {
                    let _ = write!(line, " {name}=");
                    match value {
                        Text::Bare(text) => line.push_str(text),
                        Text::Quoted(text) => logfmt_value(&mut line, text),
                    }
                }
                if let Some(times) = repeated {
                    let _ = write!(line, " repeated={times}");
                }
            }
            Format::Json => {
                let mut fields: Vec<(String, serde_json::Value)> = vec![
                    ("ts".into(), timestamp(unix_ms).into()),
                    ("level".into(), level.into()),
                    ("msg".into(), self.text.as_str().into()),
                ];
                for (name, value) in &self.fields {
                    let value = match value {
                        Text::Quoted(text) => text.as_str().into(),
                        // What JSON has no number for, such as NaN, is text.
                        Text::Bare(text) => {
                            serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into())
                        }
                    };
                    // A field of a span and one of the event may share a name; neither may hide the other.
                    let mut name = (*name).to_owned();
                    while fields.iter().any(|(known, _)| *known == name) {
                        name.push('_');
                    }
                    fields.push((name, value));
                }
                if let Some(times) = repeated {
                    fields.push(("repeated".into(), times.into()));
                }
                for (i, (name, value)) in fields.into_iter().enumerate() {
                    let open = if i == 0 { '{' } else { ',' };
                    let _ = write!(line, "{open}{}:{value}", serde_json::Value::from(name));
                }
                line.push('}');
            }
        }
        line.push('\n');
        line
    }
}

/// A value of logfmt: bare where it can be, else quoted.
fn logfmt_value(line: &mut String, text: &str) {
    let bare = !text.is_empty()
        && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\'));
    if bare { line.push_str(text) } else { logfmt_quoted(line, text) }
}

fn logfmt_quoted(line: &mut String, text: &str) {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            // Line separators count as breaks in some viewers, and marks of direction reorder what is shown.
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                let _ = write!(line, "\\u{:04x}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

/// RFC 3339 in UTC with milliseconds. Days to a civil date as in Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>); years beyond four digits are written in full.
#[must_use]
pub fn timestamp(unix_ms: i64) -> String {
    let (days, ms) = (unix_ms.div_euclid(86_400_000), unix_ms.rem_euclid(86_400_000));
    // Days since 0000-03-01, so that the leap day is the last of its year; an era is 400 years.
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

/// Which messages were said lately, and how often since.
#[derive(Default)]
struct Repeats {
    seen: HashMap<Message, Seen>,
}

struct Seen {
    first: Moment,
    /// How often it was held back.
    times: u64,
}

impl Repeats {
    /// Takes a message. Gives it back when it is to be written, and what repetitions are to be told before it.
    fn admit(&mut self, now: Moment, message: Message) -> (Option<Message>, Vec<(Message, u64)>) {
        let mut over = self.over(now);
        if let Some(seen) = self.seen.get_mut(&message) {
            seen.times += 1;
            return (None, over);
        }
        if self.seen.len() >= REMEMBERED {
            let oldest =
                self.seen.iter().min_by_key(|(_, seen)| seen.first).map(|(message, _)| message.clone());
            over.extend(oldest.and_then(|oldest| self.seen.remove_entry(&oldest)).and_then(told));
        }
        self.seen.insert(message.clone(), Seen { first: now, times: 0 });
        (Some(message), over)
    }

    /// Forgets what was first said more than [`WINDOW`] ago, and gives what of it was repeated, oldest first.
    fn over(&mut self, now: Moment) -> Vec<(Message, u64)> {
        let mut over: Vec<_> = self.seen.extract_if(|_, seen| now.since(&seen.first) >= WINDOW).collect();
        over.sort_by_key(|(_, seen)| seen.first);
        over.into_iter().filter_map(told).collect()
    }

    fn rest(&mut self) -> Vec<(Message, u64)> {
        let mut rest: Vec<_> = self.seen.drain().collect();
        rest.sort_by_key(|(_, seen)| seen.first);
        rest.into_iter().filter_map(told).collect()
    }
}

fn told((message, seen): (Message, Seen)) -> Option<(Message, u64)> {
    (seen.times > 0).then_some((message, seen.times))
}

/// The layer: makes a [`Message`] of an event and the spans around it.
struct Output(Arc<Shared>);

/// Fields of a span, kept with it.
struct SpanFields(Fields);

#[derive(Default)]
struct Fields {
    message: String,
    fields: Vec<(&'static str, Text)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Text) {
        if field.name() == "message" {
            let (Text::Quoted(text) | Text::Bare(text)) = value;
            self.message = text;
        } else {
            // `r#type` in a macro is the field `type`.
            self.fields.push((field.name().trim_start_matches("r#"), value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Text::Quoted(format!("{value:?}")));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Text::Quoted(value.to_owned()));
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, Text::Quoted(value.to_string()));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Text::Bare(value.to_string()));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Text::Bare(value.to_string()));
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Text::Bare(value.to_string()));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Text::Bare(value.to_string()));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Output {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().replace(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(SpanFields(fields)) = span.extensions_mut().get_mut()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut said = Fields::default();
        event.record(&mut said);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(SpanFields(around)) = span.extensions().get() {
                said.fields.extend(around.fields.iter().cloned());
            }
        }
        let level = *event.metadata().level();
        self.0.say(self.0.clock.now(), Message { level, text: said.message, fields: said.fields });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment { since_start: Duration::from_secs(seconds), unix_ms: 0 }
    }

    fn message(text: &str) -> Message {
        Message { level: tracing::Level::INFO, text: text.into(), fields: Vec::new() }
    }

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written when `say` says something, with the time cut off.
    fn written(format: Format, say: impl FnOnce()) -> Vec<String> {
        let captured = Captured::default();
        let log = Log::new(Clock::start(), format, false, Box::new(captured.clone()));
        let subscriber = tracing_subscriber::registry().with(Output(Arc::clone(&log.shared)));
        tracing::subscriber::with_default(subscriber, say);
        drop(log);
        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .map(|line| line.split_once(if line.starts_with('{') { "," } else { " " }).unwrap().1.into())
            .collect()
    }

    #[test]
    fn times_are_rfc_3339_in_utc() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_795_235_495_007, "2026-11-21T04:31:35.007Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(ms), text);
        }
        assert!(timestamp(i64::MIN).ends_with('Z') && timestamp(i64::MAX).ends_with('Z'));
    }

    #[test]
    fn a_message_is_one_line_whatever_it_holds() {
        let lines = written(Format::Logfmt, || {
            tracing::warn!(
                peer = "a\nts=fake level=info",
                path = "/x",
                n = 3,
                ok = true,
                e = "",
                "bad\u{1b}[31m \"q\""
            );
        });
        assert_eq!(
            lines,
            [r#"level=warn msg="bad\u001b[31m \"q\"" peer="a\nts=fake level=info" path=/x n=3 ok=true e="""#]
        );
    }

    #[test]
    fn json_keeps_numbers_and_booleans() {
        let lines = written(Format::Json, || {
            tracing::error!(n = 3, x = 0.5, nan = f64::NAN, ok = true, p = "a\nb", "no")
        });
        assert_eq!(lines, [r#""level":"error","msg":"no","n":3,"x":0.5,"nan":"NaN","ok":true,"p":"a\nb"}"#]);
    }

    #[test]
    fn fields_of_spans_follow_those_of_the_event() {
        let lines = written(Format::Logfmt, || {
            let span = tracing::info_span!("connection", peer = "p", user = tracing::field::Empty);
            span.record("user", "u");
            span.in_scope(|| tracing::info!(n = 1, "hello"));
        });
        assert_eq!(lines, [r#"level=info msg="hello" n=1 peer=p user=u"#]);
    }

    #[test]
    fn repetitions_are_counted_and_told_at_the_end() {
        let lines = written(Format::Logfmt, || {
            for i in 0..38 {
                tracing::warn!("again");
                if i == 0 {
                    tracing::warn!("other");
                }
            }
        });
        assert_eq!(
            lines,
            [
                r#"level=warn msg="again""#,
                r#"level=warn msg="other""#,
                r#"level=warn msg="again" repeated=37"#
            ]
        );
    }

    #[test]
    fn after_ten_seconds_repetitions_are_told_and_the_message_is_written_anew() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.admit(at(0), message("a")), (Some(message("a")), vec![]));
        assert_eq!(repeats.admit(at(9), message("a")), (None, vec![]));
        assert_eq!(repeats.over(at(9)), vec![]);
        assert_eq!(repeats.admit(at(10), message("a")), (Some(message("a")), vec![(message("a"), 1)]));
        assert_eq!(repeats.over(at(20)), vec![]);
    }

    #[test]
    fn messages_that_differ_in_a_field_are_not_repetitions() {
        let mut repeats = Repeats::default();
        let with = |name| Message { fields: vec![("collector", Text::Quoted(name))], ..message("failed") };
        assert!(repeats.admit(at(0), with("cpu".into())).0.is_some());
        assert!(repeats.admit(at(0), with("disk".into())).0.is_some());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_nothing_counted_is_lost() {
        let mut repeats = Repeats::default();
        let mut told = 0;
        for i in 0..2 * REMEMBERED {
            for _ in 0..2 {
                let (_, over) = repeats.admit(at(0), message(&i.to_string()));
                told += over.iter().map(|(_, times)| times).sum::<u64>();
            }
        }
        assert_eq!(repeats.seen.len(), REMEMBERED);
        told += repeats.rest().iter().map(|(_, times)| times).sum::<u64>();
        assert_eq!(told, 2 * REMEMBERED as u64);
    }

    #[test]
    fn the_filter_makes_exceptions_from_the_level() {
        let of = |level, refined: &str| {
            filter(&Config { level, filter: refined.into(), ..Config::default() }).to_string()
        };
        assert_eq!(of(Level::Warn, ""), "warn");
        let refined = of(Level::Warn, "gaugecast::stream=debug");
        assert!(refined.contains("gaugecast::stream=debug") && refined.contains("warn"), "{refined}");
    }

    #[test]
    fn a_bad_filter_is_refused() {
        assert!(check_filter("gaugecast::stream=debug,hyper=warn").is_ok());
        assert!(check_filter("gaugecast=loud").is_err());
    }
}
