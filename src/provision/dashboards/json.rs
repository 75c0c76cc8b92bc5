//! Grafana's JSON of a dashboard: the layout is worked out here, and what is the same for all panels is said once.

use serde_json::{Map, Value, json};

use super::model::{Dashboard, Kind, Limits, Panel, Row};

/// Columns of Grafana's grid.
const COLUMNS: u32 = 24;

/// How often a dashboard may ask; every second is for gaugecast as its own data source.
const REFRESH: [&str; 7] = ["1s", "5s", "10s", "30s", "1m", "5m", "15m"];

const YELLOW: &str = "#EAB839";

/// The dashboard's file. `links` are the other dashboards, by name and title.
pub(super) fn text(dashboard: &Dashboard, links: &[(&str, &str)]) -> String {
    let mut grid = Grid::default();
    let panels: Vec<Value> = dashboard.rows.iter().flat_map(|row| grid.row(row)).collect();
    let value = json!({
        "uid": uid(dashboard.name),
        "id": null,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["gaugecast"],
        "schemaVersion": 42,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "weekStart": "",
        "timezone": "browser",
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {"refresh_intervals": REFRESH},
        "annotations": {"list": annotations()},
        "links": links.iter().map(|(name, title)| link(name, title)).collect::<Vec<_>>(),
        "templating": {"list": variables(dashboard)},
        "panels": panels,
    });
    format!("{value:#}\n")
}

/// The fixed uid of a dashboard.
pub(super) fn uid(name: &str) -> String {
    format!("gaugecast-{name}")
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn annotations() -> Value {
    let series = |name: &str, expr: &str, title: &str, text: &str, colour: &str| {
        json!({
            "name": name,
            "datasource": source(),
            "enable": true,
            "hide": false,
            "iconColor": colour,
            "expr": expr,
            "step": "15s",
            "titleFormat": title,
            "textFormat": text,
            "tagKeys": "severity",
            "useValueForTime": "off",
        })
    };
    json!([
        {
            "builtIn": 1,
            "datasource": {"type": "grafana", "uid": "-- Grafana --"},
            "enable": true,
            "hide": true,
            "iconColor": "rgba(0, 211, 255, 1)",
            "name": "Annotations & Alerts",
            "type": "dashboard",
        },
        series("Alerts", "ALERTS{alertstate=\"firing\"}", "{{alertname}}", "{{severity}} {{instance}}", "red"),
        series("Anomalies", "gaugecast_anomaly_score >= 1", "Anomaly of {{metric}}", "{{instance}}", "orange"),
    ])
}

/// A link to another dashboard that keeps time and data source.
fn link(name: &str, title: &str) -> Value {
    json!({
        "type": "link",
        "title": title,
        "url": format!("/d/{}?${{datasource:queryparam}}", uid(name)),
        "icon": "dashboard",
        "tooltip": "",
        "tags": [],
        "asDropdown": false,
        "includeVars": false,
        "keepTime": true,
        "targetBlank": false,
    })
}

fn variables(dashboard: &Dashboard) -> Value {
    let mut list = vec![json!({
        "name": "datasource",
        "type": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "hide": 0,
        "includeAll": false,
        "multi": false,
        "options": [],
        "refresh": 1,
        "regex": "",
        "skipUrlSync": false,
    })];
    let mut chosen = String::new();
    let labels = [("job", "Job"), ("instance", "Instance")];
    for &(label, title) in labels.iter().chain(dashboard.labels) {
        let query = format!("label_values({}{{{chosen}}}, {label})", dashboard.family);
        list.push(json!({
            "name": label,
            "type": "query",
            "label": title,
            "datasource": source(),
            "query": {"query": query, "refId": label},
            "hide": 0,
            // gaugecast's own series have neither job nor instance where gaugecast itself is asked; this finds them too.
            "allValue": ".*",
            "includeAll": true,
            "multi": true,
            "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
            "options": [],
            "refresh": 2,
            "regex": "",
            "sort": 1,
            "skipUrlSync": false,
        }));
        chosen.push_str(&format!("{}{label}=~\"${label}\"", if chosen.is_empty() { "" } else { "," }));
    }
    Value::Array(list)
}

/// Where the next panel goes.
#[derive(Default)]
struct Grid {
    id: u32,
    x: u32,
    y: u32,
    /// Of the line that is being filled.
    height: u32,
}

impl Grid {
    fn id(&mut self) -> u32 {
        self.id += 1;
        self.id
    }

    fn place(&mut self, width: u32, height: u32) -> Value {
        if self.x + width > COLUMNS {
            self.next_line();
        }
        let at = json!({"x": self.x, "y": self.y, "w": width, "h": height});
        self.x += width;
        self.height = self.height.max(height);
        at
    }

    fn next_line(&mut self) {
        self.y += self.height;
        (self.x, self.height) = (0, 0);
    }

    fn row(&mut self, row: &Row) -> Vec<Value> {
        self.next_line();
        let mut head = json!({
            "id": self.id(),
            "type": "row",
            "title": row.title,
            "collapsed": row.collapsed,
            "gridPos": self.place(COLUMNS, 1),
            "panels": [],
        });
        if let Some(variable) = row.repeat {
            head["repeat"] = variable.into();
        }
        let below = self.y + 1;
        let panels: Vec<Value> = row.panels.iter().map(|panel| self.panel(panel)).collect();
        if row.collapsed {
            // What is under it takes no room before it is opened.
            (self.x, self.y, self.height) = (0, below, 0);
            head["panels"] = Value::Array(panels);
            vec![head]
        } else {
            std::iter::once(head).chain(panels).collect()
        }
    }

    fn panel(&mut self, panel: &Panel) -> Value {
        let id = self.id();
        let targets: Vec<Value> = (b'A'..)
            .zip(&panel.queries)
            .map(|(letter, query)| target(panel, letter as char, query))
            .collect();
        let mut value = json!({
            "id": id,
            "type": plugin(panel.kind),
            "title": panel.title,
            "description": panel.description,
            "datasource": source(),
            "gridPos": self.place(panel.width, panel.height),
            "fieldConfig": {"defaults": defaults(panel), "overrides": []},
            "options": options(panel.kind),
            "targets": targets,
        });
        if panel.kind == Kind::Table {
            value["transformations"] = json!([
                {"id": "merge", "options": {}},
                {"id": "organize", "options": {
                    "excludeByName": {"Time": true, "__name__": true, "alertstate": true},
                    "indexByName": {},
                    "renameByName": {},
                }},
            ]);
        }
        value
    }
}

fn plugin(kind: Kind) -> &'static str {
    match kind {
        Kind::Stat | Kind::Name => "stat",
        Kind::Lines | Kind::Stacked => "timeseries",
        Kind::Bars => "bargauge",
        Kind::Heatmap => "heatmap",
        Kind::States => "state-timeline",
        Kind::Table => "table",
    }
}

fn target(panel: &Panel, letter: char, query: &super::model::Query) -> Value {
    let is_instant = matches!(panel.kind, Kind::Table | Kind::Bars | Kind::Name);
    let format = match panel.kind {
        Kind::Table => "table",
        Kind::Heatmap => "heatmap",
        _ => "time_series",
    };
    json!({
        "refId": letter.to_string(),
        "datasource": source(),
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend,
        "format": format,
        "instant": is_instant,
        "range": !is_instant,
    })
}

fn defaults(panel: &Panel) -> Value {
    let mut defaults = Map::new();
    let mut set = |key: &str, value: Value| defaults.insert(key.into(), value);
    set("unit", panel.unit.into());
    let (steps, has_limits) = steps(panel.limits);
    let by_limits = matches!(panel.kind, Kind::Stat | Kind::Bars | Kind::States | Kind::Table);
    set("color", json!({"mode": if by_limits { "thresholds" } else { "palette-classic" }}));
    set("thresholds", json!({"mode": "absolute", "steps": steps}));
    set("mappings", mappings(panel.words));
    if !panel.signed && panel.kind != Kind::Table {
        set("min", 0.into());
    }
    if let Some(max) = panel.max {
        set("max", max.into());
    }
    if let Some(name) = panel.leads_to {
        let mut url = format!("/d/{}?${{datasource:queryparam}}", uid(name));
        let mut title = super::title(name).to_owned();
        if panel.queries.iter().all(|query| query.legend.contains("{{instance}}")) {
            url.push_str("&var-instance=${__field.labels.instance}");
            title.push_str(" of ${__field.labels.instance}");
        }
        set("links", json!([{"title": title, "url": url, "targetBlank": false}]));
    }
    match panel.kind {
        Kind::Lines | Kind::Stacked => set("custom", lines(panel.kind == Kind::Stacked, has_limits)),
        Kind::States => set("custom", json!({"fillOpacity": 70, "lineWidth": 0})),
        _ => None,
    };
    Value::Object(defaults)
}

fn lines(is_stacked: bool, has_limits: bool) -> Value {
    json!({
        "axisPlacement": "auto",
        "drawStyle": "line",
        "fillOpacity": if is_stacked { 40 } else { 8 },
        "gradientMode": "none",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": false,
        "stacking": {"group": "A", "mode": if is_stacked { "normal" } else { "none" }},
        "thresholdsStyle": {"mode": if has_limits { "dashed" } else { "off" }},
    })
}

/// The steps of the colours, and whether there are any but the first.
fn steps(limits: Limits) -> (Value, bool) {
    let step = |colour: &str, from: Option<f64>| json!({"color": colour, "value": from});
    match limits {
        Limits::None => (json!([step("green", None)]), false),
        Limits::Above(warn, bad) => {
            (json!([step("green", None), step(YELLOW, Some(warn)), step("red", Some(bad))]), true)
        }
        Limits::Below(warn, bad) => {
            (json!([step("red", None), step(YELLOW, Some(bad)), step("green", Some(warn))]), true)
        }
    }
}

fn mappings(words: &[(f64, &str, &str)]) -> Value {
    if words.is_empty() {
        return json!([]);
    }
    let options: Map<String, Value> = (0..)
        .zip(words)
        .map(|(index, (value, word, colour))| {
            (value.to_string(), json!({"text": word, "color": colour, "index": index}))
        })
        .collect();
    json!([{"type": "value", "options": options}])
}

fn options(kind: Kind) -> Value {
    let last = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
    let legend = json!({"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": true});
    let tooltip = json!({"mode": "multi", "sort": "desc"});
    match kind {
        Kind::Stat | Kind::Name => json!({
            "colorMode": "value",
            "graphMode": if kind == Kind::Stat { "area" } else { "none" },
            "justifyMode": "auto",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": last,
            "showPercentChange": false,
            "textMode": if kind == Kind::Stat { "auto" } else { "name" },
            "wideLayout": true,
        }),
        Kind::Lines | Kind::Stacked => json!({"legend": legend, "tooltip": tooltip}),
        Kind::Bars => json!({
            "displayMode": "basic",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": false},
            "maxVizHeight": 300,
            "minVizHeight": 16,
            "minVizWidth": 8,
            "namePlacement": "auto",
            "orientation": "horizontal",
            "reduceOptions": last,
            "showUnfilled": true,
            "sizing": "auto",
            "valueMode": "color",
        }),
        Kind::Heatmap => json!({
            "calculate": false,
            "cellGap": 1,
            "color": {
                "exponent": 0.5, "fill": "dark-orange", "mode": "scheme", "reverse": false, "scale": "exponential",
                "scheme": "Spectral", "steps": 64,
            },
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": true},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
            "tooltip": {"mode": "single", "yHistogram": true},
            "yAxis": {"axisPlacement": "left", "unit": "s"},
        }),
        Kind::States => json!({
            "alignValue": "left",
            "legend": legend,
            "mergeValues": true,
            "rowHeight": 0.8,
            "showValue": "never",
            "tooltip": {"mode": "single", "sort": "none"},
        }),
        Kind::Table => json!({"cellHeight": "sm", "frameIndex": 0, "showHeader": true}),
    }
}
