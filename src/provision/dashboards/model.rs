//! What a dashboard is: rows of panels, each panel a title, what it shows, a unit, expressions and thresholds.
//!
//! Expressions have two short forms, replaced where they are taken in: `@` within the braces of a selector is `job=~"$job",instance=~"$instance"`,
//! and `[@]` is `[$__rate_interval]`. So `rate(a_total{@,mode="idle"}[@])`.

/// Share of 1.
pub(super) const RATIO: &str = "percentunit";
/// A number of things.
pub(super) const COUNT: &str = "short";
/// Things a second.
pub(super) const RATE: &str = "cps";
/// Seconds.
pub(super) const SECONDS: &str = "s";
/// Bytes, in units of 1024.
pub(super) const BYTES: &str = "bytes";
/// Bytes a second.
pub(super) const BYTES_RATE: &str = "Bps";
/// Packets a second.
pub(super) const PACKETS: &str = "pps";
/// Requests or messages a second.
pub(super) const REQUESTS: &str = "reqps";
/// Degrees.
pub(super) const CELSIUS: &str = "celsius";

/// One dashboard.
pub(super) struct Dashboard {
    /// After `gaugecast-`, also the name of the file.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    /// The family that says which jobs and instances there are to choose from.
    pub(super) family: &'static str,
    /// Other labels of it to choose by: name of label and variable, title.
    pub(super) labels: &'static [(&'static str, &'static str)],
    pub(super) rows: Vec<Row>,
}

/// Panels under a heading.
pub(super) struct Row {
    pub(super) title: &'static str,
    /// The variable for each of whose values it is there once.
    pub(super) repeat: Option<&'static str>,
    pub(super) collapsed: bool,
    pub(super) panels: Vec<Panel>,
}

impl Row {
    /// An open row.
    pub(super) fn new(title: &'static str, panels: Vec<Panel>) -> Self {
        Row { title, repeat: None, collapsed: false, panels }
    }

    /// A row for each instance chosen.
    pub(super) fn by_instance(panels: Vec<Panel>) -> Self {
        Row { title: "$instance", repeat: Some("instance"), collapsed: false, panels }
    }

    /// Closed at first: its panels ask only when it is opened.
    pub(super) fn closed(title: &'static str, panels: Vec<Panel>) -> Self {
        Row { title, repeat: None, collapsed: true, panels }
    }
}

/// How a panel shows what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The last number of each series, large.
    Stat,
    /// The same with the name alone, for facts that are labels.
    Name,
    /// Lines over time.
    Lines,
    /// Areas on top of each other.
    Stacked,
    /// A bar for each series.
    Bars,
    /// Buckets of a histogram over time.
    Heatmap,
    /// A line of states over time for each series.
    States,
    /// A table of the last values, by label.
    Table,
}

/// Where colours change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limits {
    /// There are none.
    None,
    /// From the first yellow, from the second red.
    Above(f64, f64),
    /// Under the first yellow, under the second red.
    Below(f64, f64),
}

/// An expression and what its series are called.
pub(super) struct Query {
    pub(super) expr: String,
    pub(super) legend: &'static str,
}

/// One panel.
pub(super) struct Panel {
    pub(super) kind: Kind,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) unit: &'static str,
    pub(super) queries: Vec<Query>,
    pub(super) limits: Limits,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) max: Option<f64>,
    /// Values go below zero.
    pub(super) signed: bool,
    /// The dashboard that its series lead to, at their instance.
    pub(super) leads_to: Option<&'static str>,
    /// Texts for values.
    pub(super) words: &'static [(f64, &'static str, &'static str)],
}

impl Panel {
    fn new(kind: Kind, title: &'static str, unit: &'static str, description: &'static str) -> Self {
        let (width, height) = match kind {
            Kind::Stat | Kind::Name => (3, 4),
            Kind::Table | Kind::States => (24, 8),
            _ => (8, 8),
        };
        Panel {
            kind,
            title,
            description,
            unit,
            queries: Vec::new(),
            limits: Limits::None,
            width,
            height,
            max: None,
            signed: false,
            leads_to: None,
            words: &[],
        }
    }

    /// Adds an expression.
    pub(super) fn query(mut self, expr: &str, legend: &'static str) -> Self {
        let expr =
            expr.replace("[@]", "[$__rate_interval]").replace("{@", "{job=~\"$job\",instance=~\"$instance\"");
        self.queries.push(Query { expr, legend });
        self
    }

    /// Quantiles 0.5 and 0.99 of a histogram, by these labels.
    pub(super) fn quantiles(self, histogram: &str, by: &str, names: [&'static str; 2]) -> Self {
        let expr = |q: &str| {
            format!("histogram_quantile({q}, sum by ({by}, le) (rate({histogram}_bucket{{@}}[@])))")
        };
        self.query(&expr("0.5"), names[0]).query(&expr("0.99"), names[1])
    }

    /// How many of the 24 columns it takes.
    pub(super) fn wide(mut self, columns: u32) -> Self {
        self.width = columns;
        self
    }

    /// How many of Grafana's rows it takes; those beside it should take as many.
    pub(super) fn high(mut self, rows: u32) -> Self {
        self.height = rows;
        self
    }

    /// Yellow from `warn`, red from `bad`.
    pub(super) fn above(mut self, warn: f64, bad: f64) -> Self {
        self.limits = Limits::Above(warn, bad);
        self
    }

    /// Yellow under `warn`, red under `bad`.
    pub(super) fn below(mut self, warn: f64, bad: f64) -> Self {
        self.limits = Limits::Below(warn, bad);
        self
    }

    /// The axis ends here.
    pub(super) fn to(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    /// Values may be negative.
    pub(super) fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// Its series lead to another dashboard.
    pub(super) fn leads_to(mut self, name: &'static str) -> Self {
        self.leads_to = Some(name);
        self
    }

    /// Shows words for values: value, word, colour.
    pub(super) fn words(mut self, words: &'static [(f64, &'static str, &'static str)]) -> Self {
        self.words = words;
        self
    }
}

/// The last number, large.
pub(super) fn stat(title: &'static str, unit: &'static str, description: &'static str) -> Panel {
    Panel::new(Kind::Stat, title, unit, description)
}

/// The name of each series, large.
pub(super) fn name(title: &'static str, description: &'static str) -> Panel {
    Panel::new(Kind::Name, title, COUNT, description)
}

/// Lines over time.
pub(super) fn lines(title: &'static str, unit: &'static str, description: &'static str) -> Panel {
    Panel::new(Kind::Lines, title, unit, description)
}

/// Areas on top of each other.
pub(super) fn stacked(title: &'static str, unit: &'static str, description: &'static str) -> Panel {
    Panel::new(Kind::Stacked, title, unit, description)
}

/// A bar for each series.
pub(super) fn bars(title: &'static str, unit: &'static str, description: &'static str) -> Panel {
    Panel::new(Kind::Bars, title, unit, description)
}

/// A classic histogram over time.
pub(super) fn heatmap(
    title: &'static str,
    unit: &'static str,
    histogram: &str,
    description: &'static str,
) -> Panel {
    Panel::new(Kind::Heatmap, title, unit, description)
        .query(&format!("sum by (le) (increase({histogram}_bucket{{@}}[@]))"), "{{le}}")
}

/// States over time.
pub(super) fn states(title: &'static str, description: &'static str) -> Panel {
    Panel::new(Kind::States, title, COUNT, description)
}

/// A table of last values.
pub(super) fn table(title: &'static str, unit: &'static str, description: &'static str) -> Panel {
    Panel::new(Kind::Table, title, unit, description)
}
