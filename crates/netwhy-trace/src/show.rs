//! Takes what a tool's script says and writes it as lines, histograms or JSON.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use netwhy_bpf::record::{Record, Sink, Table, Value};
use netwhy_sys::procfs::Tree;

use crate::columns::{self, Column, Joined, Layout};
use crate::header::Tool;
use crate::hist;
use crate::names::Names;
use crate::options::Call;

/// The writing end of a tool.
pub(crate) struct Show<'a> {
    tool: &'a Tool,
    columns: Vec<&'a Column>,
    tables: Vec<(&'a str, Vec<&'a Column>)>,
    layout: Layout,
    json: bool,
    names: Names,
    text: String,
    out: &'a mut dyn Write,
    /// How many more tables are shown.
    left: Option<u64>,
    deadline: Option<Instant>,
    /// Whether a clock is shown before each table.
    stamped: bool,
    /// Whether the screen is cleared before each table.
    clears: bool,
    /// Whether the load of the system is shown before each table.
    load: bool,
    /// A histogram has been shown last.
    drawn: bool,
    /// Maps waiting for others they are joined with.
    waiting: Vec<(String, Vec<(Value, Value)>)>,
}

impl<'a> Show<'a> {
    pub(crate) fn new(tool: &'a Tool, call: &Call, out: &'a mut dyn Write) -> Self {
        let keep = |columns: &'a [Column]| columns.iter().filter(|c| c.shown(|name| call.on(name))).collect();
        Show {
            tool,
            columns: keep(&tool.columns),
            tables: tool.tables.iter().map(|(name, columns)| (name.as_str(), keep(columns))).collect(),
            layout: Layout { wide: call.on("wide"), csv: call.on("csv") },
            json: call.json,
            names: Names::new(),
            text: String::new(),
            out,
            left: call.number("times"),
            deadline: None,
            stamped: call.on("clock"),
            clears: tool.takes("rolling")
                && !call.on("rolling")
                && !call.json
                && std::io::stdout().is_terminal(),
            load: tool.takes("nosummary") && !call.on("nosummary"),
            drawn: false,
            waiting: Vec::new(),
        }
    }

    /// The lines of headings: of records, and of each table.
    pub(crate) fn headings(&self) -> Vec<String> {
        let all = std::iter::once(&self.columns).chain(self.tables.iter().map(|(_, columns)| columns));
        all.filter(|columns| !columns.is_empty()).map(|c| columns::headings(c, self.layout)).collect()
    }

    /// Everything is attached: says so with the headings, and starts the time that is left.
    pub(crate) fn begin(&mut self, duration: Option<u64>) -> std::io::Result<()> {
        self.deadline = duration.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        if self.json {
            writeln!(self.out, "{{\"tool\": \"{}\", \"attached\": true}}", self.tool.name)?;
        } else {
            for line in &self.tool.before {
                writeln!(self.out, "{line}")?;
            }
            if !self.columns.is_empty() {
                writeln!(self.out, "{}", columns::headings(&self.columns, self.layout))?;
            }
        }
        self.out.flush()
    }

    /// Losses, at the end.
    pub(crate) fn end(&mut self, lost: u64, full: u64) -> std::io::Result<()> {
        if self.json && (lost > 0 || full > 0) {
            writeln!(self.out, "{{\"tool\": \"{}\", \"lost\": {lost}, \"full\": {full}}}", self.tool.name)?;
        }
        self.out.flush()?;
        if lost > 0 {
            eprintln!("{}: {lost} events were lost: the ring was full", self.tool.name);
        }
        if full > 0 {
            eprintln!("{}: {full} updates were lost: a map was full", self.tool.name);
        }
        Ok(())
    }

    /// Before the tables of an interval: one less is left; clock and load, where they are asked for.
    fn stamp(&mut self) -> std::io::Result<()> {
        self.left = self.left.map(|left| left.saturating_sub(1));
        if self.json {
            return Ok(());
        }
        if self.clears {
            self.out.write_all(b"\x1b[H\x1b[2J")?;
        }
        let now = u64::try_from(netwhy_sys::clock::since_boot().as_nanos()).unwrap_or(0);
        if self.load {
            let load = Tree::proc().read("loadavg").unwrap_or_default();
            writeln!(self.out, "{} loadavg: {}", self.names.wall(now), load.trim())?;
        } else if self.stamped {
            writeln!(self.out, "{}", self.names.wall(now))?;
        }
        Ok(())
    }

    fn histogram(&mut self, table: &Table<'_>, unit: &str, key: Option<&Column>) -> std::io::Result<()> {
        self.stamp()?;
        self.drawn = true;
        if self.json {
            for (key, value) in &table.rows {
                let fields = [("key".to_owned(), key.json()), ("value".to_owned(), value.json())];
                self.object(table.name, fields.into_iter())?;
            }
            return Ok(());
        }
        self.text.clear();
        for row in &table.rows {
            if let Some(key) = key {
                self.text.push_str(&columns::labelled(key, row, &mut self.names));
                self.text.push('\n');
            }
            self.text.push_str(&hist::draw(&row.1, unit));
            self.text.push('\n');
        }
        self.out.write_all(self.text.as_bytes())
    }

    fn lines<R: columns::Fields>(
        &mut self,
        at: usize,
        name: &str,
        rows: Vec<R>,
        json: impl Fn(&R) -> (serde_json::Value, serde_json::Value),
    ) -> std::io::Result<()> {
        // A table that follows a histogram belongs to it.
        if !std::mem::take(&mut self.drawn) {
            self.stamp()?;
        }
        if self.json {
            for row in &rows {
                let (key, value) = json(row);
                self.object(name, [("key".to_owned(), key), ("value".to_owned(), value)].into_iter())?;
            }
            return Ok(());
        }
        let Some((_, columns)) = self.tables.get(at) else { return Ok(()) };
        self.text.clear();
        self.text.push_str(&columns::headings(columns, self.layout));
        self.text.push('\n');
        for row in &rows {
            columns::line(&mut self.text, columns, row, self.layout, &mut self.names);
        }
        self.text.push('\n');
        self.out.write_all(self.text.as_bytes())
    }

    fn object(
        &mut self,
        name: &str,
        fields: impl Iterator<Item = (String, serde_json::Value)>,
    ) -> std::io::Result<()> {
        let mut all = serde_json::Map::new();
        all.insert("tool".to_owned(), self.tool.name.as_str().into());
        if name != self.tool.name {
            all.insert("record".to_owned(), name.into());
        }
        all.extend(fields);
        serde_json::to_writer(&mut *self.out, &all)?;
        self.out.write_all(b"\n")
    }
}

/// Rows of several maps by their keys, those with the largest sum first.
fn join(tables: Vec<(String, Vec<(Value, Value)>)>) -> Vec<Joined> {
    let mut all: HashMap<String, Joined> = HashMap::new();
    for (name, rows) in tables {
        for (key, value) in rows {
            let row = all.entry(key.json().to_string()).or_insert_with(|| Joined { key, values: Vec::new() });
            row.values.push((name.clone(), value));
        }
    }
    let weight = |row: &Joined| row.values.iter().filter_map(|(_, value)| value.number()).sum::<i128>();
    let mut all: Vec<(String, Joined)> = all.into_iter().collect();
    all.sort_by(|(a, one), (b, other)| weight(other).cmp(&weight(one)).then_with(|| a.cmp(b)));
    all.into_iter().map(|(_, row)| row).collect()
}

impl Sink for Show<'_> {
    fn record(&mut self, record: Record<'_>) -> std::io::Result<()> {
        if self.json {
            let fields = record.fields.iter().map(|(name, value)| ((*name).to_owned(), value.json()));
            return self.object(record.name, fields);
        }
        self.text.clear();
        columns::line(&mut self.text, &self.columns, &record, self.layout, &mut self.names);
        self.out.write_all(self.text.as_bytes())
    }

    fn table(&mut self, table: Table<'_>) -> std::io::Result<()> {
        // After the last table that was asked for the script prints its maps once more at its end.
        if self.left == Some(0) {
            return Ok(());
        }
        let tool = self.tool;
        if let Some((_, unit, key)) = tool.histograms.iter().find(|(name, ..)| name == table.name) {
            return self.histogram(&table, unit, key.as_ref());
        }
        let Some(at) = self.tables.iter().position(|(name, _)| name.split('+').any(|one| one == table.name))
        else {
            return Ok(());
        };
        let names = self.tables.get(at).map_or("", |(names, _)| names);
        let (name, rows) = (table.name.to_owned(), table.rows);
        if !names.contains('+') {
            return self.lines(at, &name, rows.into_iter().rev().collect(), |(key, value)| {
                (key.json(), value.json())
            });
        }
        self.waiting.push((name, rows));
        if self.waiting.len() < names.split('+').count() {
            return Ok(());
        }
        let rows = join(std::mem::take(&mut self.waiting));
        self.lines(at, names, rows, |row| {
            let all = row.values.iter().map(|(name, value)| (name.clone(), value.json())).collect();
            (row.key.json(), serde_json::Value::Object(all))
        })
    }

    fn text(&mut self, text: &str) -> std::io::Result<()> {
        if self.json {
            let line = [("text".to_owned(), text.trim_end().into())];
            return self.object("text", line.into_iter());
        }
        self.out.write_all(text.as_bytes())
    }

    fn rest(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }

    fn done(&self) -> bool {
        self.left == Some(0) || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}
