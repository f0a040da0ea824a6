//! As much of Grafana's dashboard model (schema version 39, Grafana 10.4 and later) as these dashboards need.
//!
//! Every panel asks the data source, the jobs and the instances that are chosen above it; `dashboard-linter`'s rules
//! hold. A panel has a title, a sentence that says how to read it, a unit, and one to six queries.

use serde::Serialize;
use serde_json::{Value, json};

/// How a panel's values are written (Grafana's unit ids).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Events a second.
    PerSecond,
    /// A time.
    Seconds,
    /// An amount of memory.
    Bytes,
    /// A ratio from 0 to 1.
    Ratio,
    /// A number of things.
    Count,
}

impl Unit {
    fn id(self) -> &'static str {
        match self {
            Self::PerSecond => "cps",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::Ratio => "percentunit",
            Self::Count => "short",
        }
    }
}

/// How a panel is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Draw {
    /// Lines over time.
    Lines,
    /// Areas over each other, over time.
    Stack,
    /// The last value, large; green up to the first number, orange up to the second, red above it.
    Now(f64, f64),
}

/// One query of a panel, with the name of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// PromQL; `$job`, `$instance` and `$__rate_interval` are filled in by Grafana.
    pub expr: String,
    /// A name, which may hold `{{labels}}`.
    pub legend: &'static str,
}

/// One picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What it shows.
    pub title: &'static str,
    /// What is good, what is bad, and where to look then.
    pub help: &'static str,
    /// Of its values.
    pub unit: Unit,
    /// How it is drawn.
    pub draw: Draw,
    /// What it asks.
    pub queries: Vec<Query>,
}

impl Panel {
    /// Lines over time.
    #[must_use]
    pub fn lines(title: &'static str, unit: Unit, help: &'static str) -> Self {
        Self { title, help, unit, draw: Draw::Lines, queries: Vec::new() }
    }

    /// Areas over each other, over time.
    #[must_use]
    pub fn stack(title: &'static str, unit: Unit, help: &'static str) -> Self {
        Self { draw: Draw::Stack, ..Self::lines(title, unit, help) }
    }

    /// The last value; from `orange` and `red` on in that colour.
    #[must_use]
    pub fn now(
        title: &'static str,
        unit: Unit,
        (orange, red): (f64, f64),
        help: &'static str,
    ) -> Self {
        Self { draw: Draw::Now(orange, red), ..Self::lines(title, unit, help) }
    }

    /// One more query.
    #[must_use]
    pub fn ask(mut self, legend: &'static str, expr: impl Into<String>) -> Self {
        self.queries.push(Query { expr: expr.into(), legend });
        self
    }
}

/// Panels under a heading.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The heading.
    pub title: &'static str,
    /// From left to right.
    pub panels: Vec<Panel>,
}

/// A dashboard.
#[derive(Debug, Clone, PartialEq)]
pub struct Dashboard {
    /// Its address, and its file's name; never changed.
    pub uid: &'static str,
    /// Its name.
    pub title: &'static str,
    /// For whom it is.
    pub help: &'static str,
    /// A metric that only its processes have: their jobs and instances are found by it.
    pub found_by: &'static str,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

/// Columns of Grafana's grid.
pub const COLUMNS: usize = 24;
/// Of a panel, in units of the grid.
const HEIGHT: usize = 8;
/// Panels beside each other.
const AT_ONCE: usize = 4;

/// Where something stands, in units of Grafana's grid, from the upper left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "Grafana's gridPos")]
pub struct Place {
    pub x: usize,
    pub y: usize,
    pub w: usize,
    pub h: usize,
}

/// What stands somewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Piece<'a> {
    /// A row's heading.
    Heading(&'static str),
    /// A panel.
    Panel(&'a Panel),
}

impl Dashboard {
    /// Everything in it, from top to bottom and from left to right.
    #[must_use]
    pub fn placed(&self) -> Vec<(Place, Piece<'_>)> {
        let mut placed = Vec::new();
        let mut y = 0;
        for row in &self.rows {
            placed.push((Place { x: 0, y, w: COLUMNS, h: 1 }, Piece::Heading(row.title)));
            y += 1;
            let beside = row.panels.len().clamp(1, AT_ONCE);
            let w = COLUMNS / beside;
            for (n, panel) in row.panels.iter().enumerate() {
                let place = Place { x: n % beside * w, y: y + n / beside * HEIGHT, w, h: HEIGHT };
                placed.push((place, Piece::Panel(panel)));
            }
            y += row.panels.len().div_ceil(beside) * HEIGHT;
        }
        placed
    }

    /// What Grafana imports.
    #[must_use]
    pub fn model(&self) -> Value {
        let panels = (1..).zip(self.placed()).map(|(id, (place, piece))| match piece {
            Piece::Heading(title) => json!({"id": id, "type": "row", "title": title,
                "collapsed": false, "panels": [], "gridPos": place}),
            Piece::Panel(panel) => shown(panel, id, place),
        });
        let panels: Vec<_> = panels.collect();
        json!({
            "uid": self.uid, "title": self.title, "description": self.help, "tags": ["triad"],
            "schemaVersion": 39, "version": 1, "editable": false, "graphTooltip": 1, "refresh": "30s",
            "timezone": "utc", "time": {"from": "now-1h", "to": "now"},
            "links": [{"type": "dashboards", "tags": ["triad"], "title": "Triad", "asDropdown": true,
                "includeVars": true, "keepTime": true}],
            "annotations": {"list": []},
            "templating": {"list": [data_source(), self.variable("job", "Job", ""),
                self.variable("instance", "Instance", "{job=~\"$job\"}")]},
            "panels": panels,
        })
    }

    fn variable(&self, name: &str, label: &str, of: &str) -> Value {
        let query = format!("label_values({}{of}, {name})", self.found_by);
        json!({"name": name, "label": label, "type": "query", "datasource": source(), "query": query,
            "definition": query, "refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".+",
            "current": {"text": "All", "value": "$__all"}})
    }
}

fn data_source() -> Value {
    json!({"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1})
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn shown(panel: &Panel, id: u32, place: Place) -> Value {
    let names = ["A", "B", "C", "D", "E", "F"];
    let targets = panel.queries.iter().zip(names).map(|(query, name)| {
        json!({"refId": name, "datasource": source(), "expr": query.expr, "legendFormat": query.legend,
            "instant": matches!(panel.draw, Draw::Now(..)), "range": !matches!(panel.draw, Draw::Now(..))})
    });
    let targets: Vec<_> = targets.collect();
    let mut defaults = json!({"unit": panel.unit.id(), "min": 0});
    let (kind, options) = match panel.draw {
        Draw::Now(orange, red) => {
            defaults["thresholds"] = json!({"mode": "absolute", "steps": [{"color": "green", "value": null},
                {"color": "orange", "value": orange}, {"color": "red", "value": red}]});
            (
                "stat",
                json!({"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"}),
            )
        }
        Draw::Lines | Draw::Stack => {
            let is_stack = panel.draw == Draw::Stack;
            defaults["custom"] = json!({"lineWidth": 1, "fillOpacity": (if is_stack { 30 } else { 8 }),
                "showPoints": "never", "stacking": {"mode": (if is_stack { "normal" } else { "none" }), "group": "A"}});
            (
                "timeseries",
                json!({"legend": {"displayMode": "list", "placement": "bottom"},
                "tooltip": {"mode": "multi", "sort": "desc"}}),
            )
        }
    };
    json!({"id": id, "type": kind, "title": panel.title, "description": panel.help, "datasource": source(),
        "gridPos": place, "targets": targets, "options": options,
        "fieldConfig": {"defaults": defaults, "overrides": []}})
}
