//! `conntrack`: lists, counts, follows, deletes and changes connection tracking entries.

mod line;
mod options;
mod words;
mod xml;

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use netwhy_change::conntrack::{ConntrackWriter, CtNew, CtSet};
use netwhy_collect::Collector;
use netwhy_collect::conntrack::{CtEvent, CtTable};
use netwhy_facts::conntrack::{CtChange, CtExpect, CtListed, CtTuple};
use netwhy_sys::netlink::{Protocol, Socket};

use self::line::Extras;
use self::options::{Command, Form, Options, Table};
use crate::{Session, Tool, ToolError};

/// `conntrack`.
pub static TOOL: Tool = Tool {
    name: "conntrack",
    aliases: &[],
    about: "connection tracking entries, events and statistics",
    run,
};

/// What the original calls itself in its messages.
const NAME: &str = "conntrack v1.4.7 (conntrack-tools)";
/// Undo lines printed at most.
const MAX_UNDO: usize = 20;

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let options = options::parse(session, args)?;
    match options.command {
        Command::Help => {
            session.out.write_all(options::help().as_bytes())?;
            Ok(0)
        }
        Command::Version => {
            writeln!(session.out, "{NAME}")?;
            Ok(0)
        }
        Command::Count => count(session, &options),
        Command::Stats => stats(session),
        Command::List if options.table == Table::Expect => list_expectations(session, &options),
        Command::List => list(session, &options),
        Command::Get => get(session, &options),
        Command::Events => events(session, &options),
        Command::Delete => delete(session, &options),
        Command::Update => update(session, &options),
        Command::Create => create(session, &options),
        Command::Flush => flush(session, &options),
    }
}

fn now() -> u64 {
    netwhy_sys::clock::realtime().as_secs()
}

fn count(session: &mut Session<'_>, options: &Options) -> Result<u8, ToolError> {
    let collector = session.collector()?;
    let count = match options.table {
        Table::Expect => {
            let mut count = 0;
            collector.conntrack_expectations(|_| count += 1)?;
            count
        }
        _ => collector.conntrack_count()?,
    };
    if options.form == Form::Json {
        writeln!(session.out, "{}", serde_json::json!({ "count": count }))?;
    } else {
        writeln!(session.out, "{count}")?;
    }
    Ok(0)
}

fn stats(session: &mut Session<'_>) -> Result<u8, ToolError> {
    let all = session.collector()?.conntrack_cpu_stats()?;
    if session.json {
        let cpus = all.iter().map(|one| {
            let mut object = serde_json::Map::new();
            object.insert("cpu".to_owned(), one.cpu.into());
            object.extend(one.counters.iter().map(|(name, count)| (name.clone(), (*count).into())));
            serde_json::Value::Object(object)
        });
        writeln!(session.out, "{}", serde_json::Value::Array(cpus.collect()))?;
        return Ok(0);
    }
    for one in all {
        write!(session.out, "cpu={:<4}\t", one.cpu)?;
        for (name, count) in &one.counters {
            write!(session.out, "{name}={count} ")?;
        }
        writeln!(session.out)?;
    }
    Ok(0)
}

/// Writes entries in the form that was asked for.
struct Printer<'a> {
    options: &'a Options,
    extras: Extras,
    line: Vec<u8>,
    shown: u64,
}

impl<'a> Printer<'a> {
    fn new(options: &'a Options) -> Self {
        let extras = Extras { now_s: now(), ..options.extras };
        Printer { options, extras, line: Vec::with_capacity(512), shown: 0 }
    }

    fn begin(&self, out: &mut dyn Write, name: &str) -> std::io::Result<()> {
        match self.options.form {
            Form::Xml => writeln!(out, "{}<{name}>", xml::HEAD),
            Form::Json if self.options.command != Command::Events => out.write_all(b"["),
            _ => Ok(()),
        }
    }

    fn end(&self, out: &mut dyn Write, name: &str) -> std::io::Result<()> {
        match self.options.form {
            Form::Xml => writeln!(out, "</{name}>"),
            Form::Json if self.options.command != Command::Events => out.write_all(b"]\n"),
            _ => Ok(()),
        }
    }

    fn entry(
        &mut self,
        out: &mut dyn Write,
        one: &CtListed,
        change: Option<(CtChange, u32)>,
    ) -> std::io::Result<()> {
        self.line.clear();
        let kind = change.map(|(change, _)| change);
        let when = self.options.timestamp.then(netwhy_sys::clock::realtime);
        match self.options.form {
            Form::Lines => {
                if let Some(kind) = kind {
                    if let Some(when) = when {
                        write!(self.line, "[{}.{:06}]\t", when.as_secs(), when.subsec_micros())?;
                    }
                    self.line.extend_from_slice(match kind {
                        CtChange::New => b"    [NEW] ",
                        CtChange::Update => b" [UPDATE] ",
                        CtChange::Destroy => b"[DESTROY] ",
                    });
                }
                line::entry(&mut self.line, one, self.extras);
                // The space stays before what follows, and not at the end of a line.
                self.line.pop();
            }
            Form::Save => {
                let letter = match kind {
                    None | Some(CtChange::New) => 'A',
                    Some(CtChange::Update) => 'U',
                    Some(CtChange::Destroy) => 'D',
                };
                write!(self.line, "-{letter} {}", line::options(one))?;
            }
            Form::Xml => {
                let when = when.and_then(|when| i64::try_from(when.as_secs()).ok());
                self.line.extend_from_slice(xml::entry(one, kind, self.extras, when).as_bytes());
            }
            Form::Json => {
                if self.shown > 0 && change.is_none() {
                    self.line.extend_from_slice(b",\n");
                }
                serde_json::to_writer(&mut self.line, &xml::object(one, kind))
                    .map_err(std::io::Error::from)?;
            }
        }
        if let Some((_, port)) = change.filter(|(_, port)| *port != 0)
            && self.options.form != Form::Json
        {
            write!(self.line, " [USERSPACE] portid={port}")?;
            if let Some(name) = program(port) {
                write!(self.line, " progname={}", netwhy_render::escape::escape_terminal(&name))?;
            }
        }
        if self.options.form != Form::Json || change.is_some() {
            self.line.push(b'\n');
        }
        self.shown += 1;
        out.write_all(&self.line)
    }

    fn expect(
        &mut self,
        out: &mut dyn Write,
        one: &CtExpect,
        change: Option<CtChange>,
    ) -> std::io::Result<()> {
        self.line.clear();
        let now = i64::try_from(now()).ok().filter(|_| self.options.timestamp);
        match self.options.form {
            Form::Xml => self.line.extend_from_slice(xml::expect(one, now).as_bytes()),
            Form::Json => {
                if self.shown > 0 && change.is_none() {
                    self.line.extend_from_slice(b",\n");
                }
                serde_json::to_writer(&mut self.line, one).map_err(std::io::Error::from)?;
            }
            _ => {
                self.line.extend_from_slice(match change {
                    None => b"",
                    Some(CtChange::New) => b"    [NEW] ",
                    Some(CtChange::Update) => b" [UPDATE] ",
                    Some(CtChange::Destroy) => b"[DESTROY] ",
                });
                line::expect(&mut self.line, one);
                self.line.pop();
            }
        }
        if self.options.form != Form::Json || change.is_some() {
            self.line.push(b'\n');
        }
        self.shown += 1;
        out.write_all(&self.line)
    }
}

/// The name of the program behind a netlink port, which by habit is its process id.
fn program(port: u32) -> Option<String> {
    let name = std::fs::read(format!("/proc/{port}/comm")).ok()?;
    Some(String::from_utf8_lossy(&name).trim_end().to_owned())
}

/// Runs `work` on entries until writing fails; the failure is returned.
fn each(
    collector: &Collector,
    options: &Options,
    table: CtTable,
    mut work: impl FnMut(&CtListed) -> std::io::Result<()>,
) -> Result<bool, ToolError> {
    let mut failed = None;
    let seen = collector.conntrack_list(table, &options.filter, |one| match work(one) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(seen.interrupted),
    }
}

fn list(session: &mut Session<'_>, options: &Options) -> Result<u8, ToolError> {
    let collector = session.collector()?;
    let table = match options.table {
        Table::Dying => CtTable::Dying,
        Table::Unconfirmed => CtTable::Unconfirmed,
        _ if options.zero => CtTable::Zeroed,
        _ => CtTable::Confirmed,
    };
    let mut printer = Printer::new(options);
    printer.begin(session.out, "conntrack")?;
    let out = &mut *session.out;
    // Everything is named: the entry is found at once, however large the table.
    let interrupted = match options.exact().filter(|_| table == CtTable::Confirmed) {
        Some(tuple) => {
            let found = collector.conntrack_get(&tuple, options.filter.zone)?;
            if let Some(one) = found.filter(|one| options.filter.matches(one)) {
                printer.entry(out, &one, None)?;
            }
            false
        }
        None => each(&collector, options, table, |one| printer.entry(out, one, None))?,
    };
    printer.end(session.out, "conntrack")?;
    session.out.flush()?;
    if interrupted {
        writeln!(
            session.err,
            "conntrack: the table changed while it was read: entries may be missing or twice"
        )?;
    }
    writeln!(session.err, "{NAME}: {} flow entries have been shown.", printer.shown)?;
    Ok(0)
}

fn list_expectations(session: &mut Session<'_>, options: &Options) -> Result<u8, ToolError> {
    let collector = session.collector()?;
    let mut printer = Printer::new(options);
    printer.begin(session.out, "expect")?;
    let mut all = Vec::new();
    collector.conntrack_expectations(|one| all.push(one.clone()))?;
    for one in &all {
        printer.expect(session.out, one, None)?;
    }
    printer.end(session.out, "expect")?;
    session.out.flush()?;
    writeln!(session.err, "{NAME}: {} expectations have been shown.", printer.shown)?;
    Ok(0)
}

fn get(session: &mut Session<'_>, options: &Options) -> Result<u8, ToolError> {
    let Some(tuple) = options.exact() else {
        let text =
            format!("{NAME}: -G needs the whole tuple: -p PROTO -s ADDRESS -d ADDRESS and ports or ICMP id");
        return Err(ToolError::usage(text, 2));
    };
    let Some(one) = session.collector()?.conntrack_get(&tuple, options.filter.zone)? else {
        return Err(ToolError::failed(format!("{NAME}: Operation failed: such conntrack doesn't exist"), 1));
    };
    let mut printer = Printer::new(options);
    printer.begin(session.out, "conntrack")?;
    printer.entry(session.out, &one, None)?;
    printer.end(session.out, "conntrack")?;
    session.out.flush()?;
    writeln!(session.err, "{NAME}: 1 flow entries have been shown.")?;
    Ok(0)
}

fn events(session: &mut Session<'_>, options: &Options) -> Result<u8, ToolError> {
    let interrupted =
        netwhy_sys::signal::interrupt_flag().map_err(|error| ToolError::failed(error.to_string(), 1))?;
    let collector = session.collector()?;
    let mut printer = Printer::new(options);
    let name = if options.table == Table::Expect { "expect" } else { "conntrack" };
    // The first group of connections is 1, of expectations 4.
    let first = if options.table == Table::Expect { 4 } else { 1 };
    let groups: Vec<u32> = (0..3).filter(|at| options.events & (1 << at) != 0).map(|at| first + at).collect();
    printer.begin(session.out, name)?;
    session.out.flush()?;
    let (mut failed, mut lost) = (None, 0_u64);
    let out = &mut *session.out;
    let err = &mut *session.err;
    collector.conntrack_events(&groups, options.buffer, |event| {
        let written = match event {
            CtEvent::Entry(change, one, port) if options.filter.matches(one) => {
                printer.extras.now_s = now();
                printer.entry(out, one, Some((change, port))).and_then(|()| out.flush())
            }
            CtEvent::Entry(..) => Ok(()),
            CtEvent::Expect(change, one) => printer.expect(out, one, Some(change)).and_then(|()| out.flush()),
            CtEvent::Lost => {
                lost += 1;
                writeln!(err, "conntrack: events were lost (ENOBUFS); a larger --buffer-size may help")
            }
            CtEvent::Idle => Ok(()),
        };
        match written {
            Ok(()) if !interrupted.load(Ordering::Relaxed) => ControlFlow::Continue(()),
            Ok(()) => ControlFlow::Break(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    printer.end(session.out, name)?;
    session.out.flush()?;
    let what = if name == "expect" { "expectation" } else { "flow" };
    writeln!(session.err, "{NAME}: {} {what} events have been shown.", printer.shown)?;
    if lost > 0 {
        writeln!(session.err, "conntrack: events were lost {lost} times")?;
    }
    Ok(0)
}

fn socket(collector: &Collector) -> Result<Socket, ToolError> {
    let open = collector.inside(|| Socket::open(Protocol::Netfilter))?;
    open.map_err(|error| ToolError::failed(error.to_string(), 1))
}

/// Counts what fits, and keeps the first of it for the undo lines.
fn survey(collector: &Collector, options: &Options) -> Result<(u64, Vec<CtListed>), ToolError> {
    let (mut count, mut first) = (0, Vec::new());
    each(collector, options, CtTable::Confirmed, |one| {
        count += 1;
        if first.len() < MAX_UNDO {
            first.push(one.clone());
        }
        Ok(())
    })?;
    Ok((count, first))
}

fn announce(
    session: &mut Session<'_>,
    verb: &str,
    count: u64,
    first: &[CtListed],
    undo: impl Fn(&CtListed) -> String,
) -> Result<(), ToolError> {
    writeln!(session.err, "change: {verb} {count} entries")?;
    for one in first {
        writeln!(session.err, "undo:   {}", undo(one))?;
    }
    let shown = u64::try_from(first.len()).unwrap_or(u64::MAX);
    if count > shown {
        let rest = count - shown;
        writeln!(
            session.err,
            "undo:   and {rest} more, not shown: `conntrack -L -o save` first keeps them all"
        )?;
    }
    Ok(())
}

fn delete(session: &mut Session<'_>, options: &Options) -> Result<u8, ToolError> {
    let collector = session.collector()?;
    let (count, first) = survey(&collector, options)?;
    if count > 0 {
        announce(session, "delete", count, &first, |one| format!("conntrack -I {}", line::options(one)))?;
    }
    let mut socket = socket(&collector)?;
    let mut writer = ConntrackWriter::new(&mut socket);
    let mut printer = Printer::new(options);
    let out = &mut *session.out;
    let mut refused = None;
    each(&collector, options, CtTable::Confirmed, |one| match writer.delete_entry(one) {
        Ok(()) => printer.entry(out, one, None),
        // It ended by itself meanwhile.
        Err(error) if error.name() == Some("ENOENT") => Ok(()),
        Err(error) => {
            refused = Some(error.to_string());
            Err(std::io::ErrorKind::Other.into())
        }
    })
    .map_err(|error| refused.take().map_or(error, |text| ToolError::failed(format!("{NAME}: {text}"), 1)))?;
    session.out.flush()?;
    writeln!(session.err, "{NAME}: {} flow entries have been deleted.", printer.shown)?;
    Ok(u8::from(printer.shown == 0))
}

fn update(session: &mut Session<'_>, options: &Options) -> Result<u8, ToolError> {
    let collector = session.collector()?;
    let (count, first) = survey(&collector, options)?;
    let undo = |one: &CtListed| {
        let tuple = &one.entry.orig;
        let mut out = format!("conntrack -U -p {} -s {} -d {}", tuple.proto, tuple.src, tuple.dst);
        if words::has_ports(tuple.proto) {
            out.push_str(&format!(" --sport {} --dport {}", tuple.sport, tuple.dport));
        }
        if let (Some(_), Some(mark)) = (options.set_mark, one.mark) {
            out.push_str(&format!(" -m {mark}"));
        }
        if let (Some(_), Some(timeout)) = (options.timeout, one.timeout_s) {
            out.push_str(&format!(" -t {timeout}"));
        }
        out
    };
    if count > 0 {
        announce(session, "update", count, &first, undo)?;
    }
    let mut socket = socket(&collector)?;
    let mut writer = ConntrackWriter::new(&mut socket);
    let mut printer = Printer::new(options);
    let out = &mut *session.out;
    let mut refused = None;
    each(&collector, options, CtTable::Confirmed, |one| {
        // Of the old mark the bits of the mask are cleared, then the new one is xored in.
        let mark = options.set_mark.map(|(mark, mask)| (one.mark.unwrap_or(0) & !mask) ^ mark);
        let set = CtSet { mark, timeout_s: options.timeout, status: options.set_status };
        match writer.update(one, set) {
            Ok(()) => {
                let mut one = one.clone();
                one.mark = mark.or(one.mark);
                one.timeout_s = options.timeout.or(one.timeout_s);
                printer.entry(out, &one, None)
            }
            Err(error) if error.name() == Some("ENOENT") => Ok(()),
            Err(error) => {
                refused = Some(error.to_string());
                Err(std::io::ErrorKind::Other.into())
            }
        }
    })
    .map_err(|error| refused.take().map_or(error, |text| ToolError::failed(format!("{NAME}: {text}"), 1)))?;
    session.out.flush()?;
    writeln!(session.err, "{NAME}: {} flow entries have been updated.", printer.shown)?;
    Ok(u8::from(printer.shown == 0))
}

fn create(session: &mut Session<'_>, options: &Options) -> Result<u8, ToolError> {
    let Some((orig, reply)) = options.exact().map(|orig| (orig.clone(), mirror(&orig))) else {
        let text =
            format!("{NAME}: -I needs the whole tuple: -p PROTO -s ADDRESS -d ADDRESS and ports or ICMP id");
        return Err(ToolError::usage(text, 2));
    };
    if let Some(reason) = options.reply_differs(&reply) {
        return Err(ToolError::Refused {
            what: "conntrack -I with address translation".to_owned(),
            why: reason,
            code: 2,
        });
    }
    let collector = session.collector()?;
    let new = CtNew {
        orig: orig.clone(),
        reply,
        timeout_s: options.timeout.unwrap_or(0),
        status: options.set_status.unwrap_or(0),
        tcp_state: options.filter.state.filter(|_| orig.proto == 6),
        mark: options.set_mark.map(|(mark, _)| mark),
        zone: options.filter.zone,
    };
    let mut undo = format!("conntrack -D -p {} -s {} -d {}", orig.proto, orig.src, orig.dst);
    if words::has_ports(orig.proto) {
        undo.push_str(&format!(" --sport {} --dport {}", orig.sport, orig.dport));
    }
    session.announce("add 1 conntrack entry", Some(&undo))?;
    let mut socket = socket(&collector)?;
    ConntrackWriter::new(&mut socket).create(&new).map_err(|error| {
        let text = match error.name() {
            Some("EEXIST") => "Operation failed: Such conntrack exists, try -U to update".to_owned(),
            _ => error.to_string(),
        };
        ToolError::failed(format!("{NAME}: {text}"), 1)
    })?;
    writeln!(session.err, "{NAME}: 1 flow entries have been created.")?;
    Ok(0)
}

/// The reply's tuple without translation.
fn mirror(orig: &CtTuple) -> CtTuple {
    let [kind, code] = orig.dport.to_be_bytes();
    let answer = match (orig.proto, kind) {
        (1, 8) => 0,
        (1, 13 | 15 | 17) => kind.saturating_add(1),
        (58, 128) => 129,
        _ => kind,
    };
    let (sport, dport) = match orig.proto {
        1 | 58 => (orig.sport, u16::from_be_bytes([answer, code])),
        _ => (orig.dport, orig.sport),
    };
    CtTuple { src: orig.dst, dst: orig.src, proto: orig.proto, sport, dport }
}

fn flush(session: &mut Session<'_>, options: &Options) -> Result<u8, ToolError> {
    let collector = session.collector()?;
    let mut socket = socket(&collector)?;
    let failed = |error: netwhy_change::ChangeError| ToolError::failed(format!("{NAME}: {error}"), 1);
    if options.table == Table::Expect {
        session.announce("delete every expectation", None)?;
        ConntrackWriter::new(&mut socket).flush_expectations().map_err(failed)?;
        writeln!(session.err, "{NAME}: expectation table has been emptied.")?;
        return Ok(0);
    }
    let everything = Options { filter: netwhy_collect::conntrack::CtFilter::default(), ..Options::default() };
    let (count, first) = survey(&collector, &everything)?;
    announce(session, "delete all", count, &first, |one| format!("conntrack -I {}", line::options(one)))?;
    ConntrackWriter::new(&mut socket).flush().map_err(failed)?;
    writeln!(session.err, "{NAME}: connection tracking table has been emptied.")?;
    Ok(0)
}
