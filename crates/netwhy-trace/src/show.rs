//! Takes what a tool's script says and writes it as lines, histograms or JSON.

use std::io::Write;
use std::time::{Duration, Instant};

use netwhy_bpf::record::{Record, Sink, Table};

use crate::columns::{self, Column, Layout};
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
        let drawn = self.tool.histograms.iter().find(|(name, ..)| name == table.name);
        let found = self.tables.iter().find(|(name, _)| *name == table.name).map(|(_, columns)| columns);
        if drawn.is_none() && found.is_none() {
            return Ok(());
        }
        // The script prints its maps in a row at each interval; the first of them counts.
        let first =
            self.tool.tables.first().map(|(name, _)| name).or(self.tool.histograms.first().map(|(n, ..)| n));
        if first.is_some_and(|first| first == table.name) {
            self.left = self.left.map(|left| left.saturating_sub(1));
            if self.stamped && !self.json {
                let now = u64::try_from(netwhy_sys::clock::since_boot().as_nanos()).unwrap_or(0);
                writeln!(self.out, "{}", self.names.wall(now))?;
            }
        }
        if self.json {
            for (key, value) in &table.rows {
                let fields = [("key".to_owned(), key.json()), ("value".to_owned(), value.json())];
                self.object(table.name, fields.into_iter())?;
            }
            return Ok(());
        }
        self.text.clear();
        if let Some((_, unit, key)) = drawn {
            for row in &table.rows {
                if let Some(key) = key {
                    self.text.push_str(&columns::labelled(key, row, &mut self.names));
                    self.text.push('\n');
                }
                self.text.push_str(&hist::draw(&row.1, unit));
                self.text.push('\n');
            }
        } else if let Some(columns) = found {
            self.text.push_str(&columns::headings(columns, self.layout));
            self.text.push('\n');
            // Largest first.
            for row in table.rows.iter().rev() {
                columns::line(&mut self.text, columns, row, self.layout, &mut self.names);
            }
            self.text.push('\n');
        }
        self.out.write_all(self.text.as_bytes())
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
