//! `ss`: sockets of every family. Forms from ss(8) and its observed output.

mod expr;
mod inet;
mod info;
mod json;
mod kill;
mod local;
mod names;
mod plan;
mod summary;
mod table;

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::ControlFlow;

use netwhy_collect::socket::{Cgroups, Holders};
use netwhy_collect::{CollectError, Collector};
use netwhy_facts::link::Links;
use netwhy_facts::socket::SkMem;
use netwhy_facts::{Family, Proto};
use netwhy_render::escape::escape_terminal;
use netwhy_wire::inet_diag::{Answer, Filter, Request, SocketId, extension};

use self::expr::Expr;
use self::inet::Row;
use self::json::Array;
use self::plan::{DBS, Db, Plan, Show};
use self::table::Table;
use crate::flags;
use crate::names::Names;
use crate::write::text;
use crate::{Session, Tool, ToolError};

/// `ss`.
pub static TOOL: Tool = Tool {
    name: "ss",
    aliases: &[],
    about: "sockets: TCP, UDP, raw, unix, packet, netlink, vsock, MPTCP",
    run,
};

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let parsed = flags::parse("ss", plan::FLAGS, plan::STYLE, args)?;
    if parsed.has("help") {
        writeln!(session.out, "Usage: ss [ OPTIONS ] [ state STATE ] [ FILTER ]")?;
        write!(session.out, "{}", flags::help(plan::FLAGS, plan::STYLE))?;
        return Ok(0);
    }
    if parsed.has("version") {
        writeln!(session.out, "ss utility, netwhy-{}", env!("CARGO_PKG_VERSION"))?;
        return Ok(0);
    }
    if let Some(name) = parsed.value("net") {
        session.enter(name);
    }
    let plan = Plan::of(&parsed)?;
    let collector = session.collector()?;
    let names = Names::of(&session.scope.root);
    let mut machine = Machine::new(&collector, &names);
    let as_json = session.json || parsed.has("json");
    if parsed.has("summary") {
        summary::write(session, &machine, as_json)?;
        if plan.is_default {
            return Ok(0);
        }
    }
    let expr = machine.parse(&plan)?;
    if plan.show.processes {
        machine.holders = Some(collector.socket_holders(plan.show.threads));
        machine.threads = plan.show.threads;
    }
    if parsed.has("kill") {
        return kill::run(session, &plan, &expr, &machine, parsed.has("yes"));
    }
    let columns = session.columns;
    let mut sink = match as_json {
        true => Sink::Json(Array::new(&mut *session.out)),
        false => {
            let (netid, state) = (plan.netid, plan.state_column);
            Sink::Table(Table::new(&mut *session.out, columns, netid, state, plan.header))
        }
    };
    if parsed.has("events") {
        return events(sink, &mut *session.err, &plan, &expr, &machine);
    }
    for db in DBS.iter().copied().filter(|db| plan.dbs.has(*db)) {
        match db.protocol() {
            Some(_) => inet_table(&mut sink, db, &plan, &expr, &machine)?,
            // One question brings all kinds of a family.
            None if plan.dbs.is_first_of_family(db) => {
                local::list(&mut sink, db, &plan, expr.expr.as_ref(), &machine)?;
            }
            None => {}
        }
    }
    sink.end()?;
    Ok(0)
}

/// Where sockets go.
enum Sink<'a> {
    Table(Table<'a>),
    Json(Array<'a>),
}

impl Sink<'_> {
    fn inet(&mut self, db: Db, answer: &Answer<'_>, show: &Show, machine: &Machine<'_>) -> io::Result<()> {
        let row = Row::of(answer);
        match self {
            Sink::Table(table) => {
                inet::columns(table, db, &row, show, machine);
                inet::more(table, db, answer, show, machine);
                table.end_row()
            }
            Sink::Json(array) => array.push(json::inet(db, &row, Some(answer), show, machine)),
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Sink::Table(mut table) => table.flush(),
            Sink::Json(array) => array.end(),
        }
    }
}

/// Shows sockets as they are destroyed, until somebody interrupts.
fn events(
    mut sink: Sink<'_>,
    err: &mut dyn Write,
    plan: &Plan,
    expr: &expr::Parsed,
    machine: &Machine<'_>,
) -> Result<u8, ToolError> {
    let families: Vec<u8> = families(plan, expr).collect();
    let wanted = |protocol: u16, family: u8| {
        let db = if protocol == 6 { Db::Tcp } else { Db::Udp };
        plan.dbs.has(db) && families.contains(&family)
    };
    let interrupted = netwhy_sys::signal::interrupt_flag().ok();
    let mut failed = None;
    if let Sink::Table(table) = &mut sink {
        table.flush()?;
    }
    let lost = machine.collector.socket_closures(&wanted, &mut |event| {
        let written = match event {
            None => Ok(()),
            Some((protocol, payload)) => match Answer::parse(payload) {
                Err(_) => Ok(()),
                Ok(answer) => {
                    let passes = expr.expr.as_ref().is_none_or(|expr| expr.matches(&Row::of(&answer).seen()));
                    let db = if protocol == 6 { Db::Tcp } else { Db::Udp };
                    let shown = if passes { sink.inet(db, &answer, &plan.show, machine) } else { Ok(()) };
                    shown.and_then(|()| match &mut sink {
                        Sink::Table(table) => table.flush(),
                        Sink::Json(_) => Ok(()),
                    })
                }
            },
        };
        let stop = interrupted.is_some_and(|flag| flag.load(std::sync::atomic::Ordering::Relaxed));
        match written {
            Ok(()) if !stop => ControlFlow::Continue(()),
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
    sink.end()?;
    if lost > 0 {
        writeln!(err, "ss: the kernel dropped events {lost} times: not every closed socket was shown")?;
    }
    Ok(0)
}

/// Lists one table of IP sockets.
fn inet_table(
    sink: &mut Sink<'_>,
    db: Db,
    plan: &Plan,
    expr: &expr::Parsed,
    machine: &Machine<'_>,
) -> Result<(), ToolError> {
    let filter = expr.expr.as_ref().map(Expr::for_kernel).transpose();
    let filter = filter.map_err(|why| ToolError::failed(format!("ss: filter: {why}"), 1))?;
    let wanted: Vec<u8> = families(plan, expr).collect();
    if db == Db::Tcp && wanted.len() == 2 && both_tcp(sink, plan, filter.clone(), machine)? {
        return Ok(());
    }
    let mut wrong: Option<ToolError> = None;
    for family in wanted {
        let request = request(db, family, plan, filter.clone());
        let asked = machine.collector.socket_listing(&request, |payload| {
            let answer = match Answer::parse(payload) {
                Ok(answer) => answer,
                Err(error) => {
                    wrong = Some(ToolError::failed(format!("ss: {error}"), 1));
                    return ControlFlow::Break(());
                }
            };
            match sink.inet(db, &answer, &plan.show, machine) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    wrong = Some(error.into());
                    ControlFlow::Break(())
                }
            }
        });
        if let Some(error) = wrong {
            return Err(error);
        }
        match asked {
            Ok(()) => {}
            Err(CollectError::Missing(_)) if matches!(db, Db::Mptcp | Db::Sctp) => {}
            Err(CollectError::Missing(_)) => lines(sink, db, family, plan, expr.expr.as_ref(), machine)?,
            Err(error) if db == Db::Raw && error.errno().is_some_and(|errno| errno.name() == "ENOENT") => {
                lines(sink, db, family, plan, expr.expr.as_ref(), machine)?;
            }
            // A protocol this kernel does not have has no sockets.
            Err(error) if error.errno().is_some_and(|errno| matches!(errno.name(), "ENOENT" | "EINVAL")) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Bytes of IPv6 sockets held until those of IPv4 are through.
const HELD: usize = 16 << 20;

/// TCP sockets of both families in one walk of the kernel, IPv4 first; IPv6 sockets wait meanwhile. (Beyond
/// [`HELD`] bytes of them they no longer do.) False: this kernel does not answer so.
fn both_tcp(
    sink: &mut Sink<'_>,
    plan: &Plan,
    filter: Option<Filter>,
    machine: &Machine<'_>,
) -> Result<bool, ToolError> {
    let request = request(Db::Tcp, 0, plan, filter);
    let (mut held, mut ends): (Vec<u8>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut wrong: Option<ToolError> = None;
    let asked = machine.collector.tcp_listing(&request, |payload| {
        if payload.first() == Some(&10) && held.len() < HELD {
            held.extend_from_slice(payload);
            ends.push(held.len());
            return ControlFlow::Continue(());
        }
        match tcp_row(sink, payload, plan, machine) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                wrong = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    if let Some(error) = wrong {
        return Err(error);
    }
    match asked {
        Ok(()) => {}
        Err(CollectError::Missing(_)) => return Ok(false),
        Err(error) if error.errno().is_some_and(|errno| matches!(errno.name(), "ENOENT" | "EINVAL")) => {
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    let mut start = 0;
    for end in ends {
        tcp_row(sink, held.get(start..end).unwrap_or(&[]), plan, machine)?;
        start = end;
    }
    Ok(true)
}

fn tcp_row(sink: &mut Sink<'_>, payload: &[u8], plan: &Plan, machine: &Machine<'_>) -> Result<(), ToolError> {
    let answer = Answer::parse(payload).map_err(|error| ToolError::failed(format!("ss: {error}"), 1))?;
    Ok(sink.inet(Db::Tcp, &answer, &plan.show, machine)?)
}

/// The same from `/proc/net`, for a kernel that lacks the question's module.
fn lines(
    sink: &mut Sink<'_>,
    db: Db,
    family: u8,
    plan: &Plan,
    expr: Option<&Expr>,
    machine: &Machine<'_>,
) -> Result<(), ToolError> {
    let (name, proto) = match db {
        Db::Udp => ("udp", Proto::Udp),
        Db::Raw => ("raw", Proto::Udp),
        _ => ("tcp", Proto::Tcp),
    };
    let (file, family) = match family {
        2 => (name.to_owned(), Family::Inet),
        _ => (format!("{name}6"), Family::Inet6),
    };
    let mut wrong = None;
    let read = machine.collector.socket_lines(&file, proto, family, |socket| {
        let row = Row::of_line(&socket);
        let passes = expr.is_none_or(|expr| expr.matches(&row.seen()));
        if plan.states >> row.state & 1 == 0 || !passes {
            return ControlFlow::Continue(());
        }
        let written = match sink {
            Sink::Table(table) => {
                inet::columns(table, db, &row, &plan.show, machine);
                machine.users(table.cell(), row.inode);
                table.end_row()
            }
            Sink::Json(array) => array.push(json::inet(db, &row, None, &plan.show, machine)),
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                wrong = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    match (wrong, read) {
        (Some(error), _) => Err(error.into()),
        // Without IPv6 its files are not there.
        (None, Err(error)) if error.errno().is_some_and(|errno| errno.name() == "ENOENT") => Ok(()),
        (None, read) => Ok(read?),
    }
}

fn families(plan: &Plan, expr: &expr::Parsed) -> impl Iterator<Item = u8> {
    let only = |kind| expr.kinds.is_empty() || expr.kinds.contains(&kind);
    let four = plan.four && only(expr::Kind::Inet4);
    let six = plan.six && only(expr::Kind::Inet6);
    [(four, 2), (six, 10)].into_iter().filter_map(|(wanted, family)| wanted.then_some(family))
}

fn request(db: Db, family: u8, plan: &Plan, filter: Option<Filter>) -> Request {
    let show = &plan.show;
    let mut extensions = 0;
    if show.memory {
        extensions |= extension::MEMINFO | extension::SKMEMINFO;
    }
    if show.info {
        extensions |= extension::INFO | extension::VEGASINFO | extension::CONG;
    }
    if show.tos {
        extensions |= extension::TOS | extension::TCLASS;
    }
    if show.extended {
        extensions |= extension::SHUTDOWN;
    }
    Request {
        family,
        protocol: db.protocol().unwrap_or(0),
        extensions,
        states: plan.states,
        id: SocketId::ANY,
        filter,
    }
}

/// What words and numbers mean on this machine, looked up once.
struct Machine<'a> {
    collector: &'a Collector,
    names: &'a Names,
    links: OnceCell<Links>,
    holders: Option<Holders>,
    threads: bool,
    cgroups: OnceCell<Cgroups>,
    containers: RefCell<HashMap<u32, Option<String>>>,
}

impl<'a> Machine<'a> {
    fn new(collector: &'a Collector, names: &'a Names) -> Self {
        Machine {
            collector,
            names,
            links: OnceCell::new(),
            holders: None,
            threads: false,
            cgroups: OnceCell::new(),
            containers: RefCell::default(),
        }
    }

    fn parse(&self, plan: &Plan) -> Result<expr::Parsed, ToolError> {
        let context = expr::Context {
            names: self.names,
            kind: plan.kind,
            device: &|name| self.links().by_name(name).map(|link| link.index),
            cgroup: &|path| self.collector.cgroup_id(path).map_err(|error| error.to_string()),
        };
        expr::parse(&plan.filter, &context)
    }

    fn links(&self) -> &Links {
        self.links.get_or_init(|| self.collector.links().value().cloned().unwrap_or_default())
    }

    /// A device's name; its index where it has none here.
    fn device_name(&self, index: u32) -> Cow<'_, str> {
        match self.links().by_index(index) {
            Some(link) => escape_terminal(&link.name),
            None => Cow::Owned(format!("if{index}")),
        }
    }

    fn port_name(&self, db: Db, port: u16) -> Option<&str> {
        match db {
            Db::Raw => self.names.protocol(port),
            Db::Udp => self.names.service("udp", port),
            Db::Sctp => self.names.service("sctp", port),
            _ => self.names.service("tcp", port),
        }
    }

    /// A control group's path, or its number where the hierarchy does not show it.
    fn cgroup_name(&self, id: u64) -> String {
        let names = self.cgroups.get_or_init(|| self.collector.cgroup_names().unwrap_or_default());
        match names.path(id) {
            Some(path) => escape_terminal(path).into_owned(),
            None => format!("unreachable:{id:x}"),
        }
    }

    /// What a process is called.
    fn command(&self, pid: u32) -> Option<String> {
        self.collector.command(pid)
    }

    /// Who holds a socket, with the container each process is in; `None` if that was not asked.
    fn users_json(&self, inode: u64) -> Option<serde_json::Value> {
        let holders = self.holders.as_ref()?;
        let users = holders.of(inode, self.threads).map(|hold| {
            let mut user =
                serde_json::json!({ "command": hold.task.comm, "pid": hold.task.pid, "fd": hold.fd });
            if self.threads {
                user["tid"] = hold.task.tid.into();
            }
            if let Some(container) = self.container(hold.task.pid) {
                user["container"] = container.into();
            }
            user
        });
        Some(users.collect())
    }

    /// The container a process is in, by its control group.
    fn container(&self, pid: u32) -> Option<String> {
        let mut known = self.containers.borrow_mut();
        let found = || self.collector.processes(&[pid]).value()?.find(pid)?.container.clone();
        known.entry(pid).or_insert_with(found).clone()
    }

    /// Who holds a socket, the newest process first, as the original lists them.
    fn users(&self, cell: &mut Vec<u8>, inode: u64) {
        let Some(holders) = &self.holders else { return };
        let mut first = true;
        for hold in holders.of(inode, self.threads).rev() {
            text(cell, if first { " users:((\"" } else { ",(\"" });
            first = false;
            text(cell, &escape_terminal(&hold.task.comm));
            crate::write::named(cell, "\",pid=", hold.task.pid.into());
            if self.threads {
                crate::write::named(cell, ",tid=", hold.task.tid.into());
            }
            crate::write::named(cell, ",fd=", hold.fd.into());
            cell.push(b')');
        }
        if !first {
            cell.push(b')');
        }
    }
}

/// Which directions are still open: bit 1 of `closed` is receiving, bit 2 sending.
const fn direction(closed: u8) -> &'static str {
    match closed & 3 {
        0 => " <->",
        1 => " -->",
        2 => " <--",
        _ => " ---",
    }
}

/// ` skmem:(...)`.
fn memory(cell: &mut Vec<u8>, memory: &SkMem) {
    for (word, value) in [
        (" skmem:(r", memory.rmem_alloc),
        (",rb", memory.rcvbuf),
        (",t", memory.wmem_alloc),
        (",tb", memory.sndbuf),
        (",f", memory.fwd_alloc),
        (",w", memory.wmem_queued),
        (",o", memory.optmem),
        (",bl", memory.backlog),
        (",d", memory.drops),
    ] {
        crate::write::named(cell, word, value.into());
    }
    cell.push(b')');
}
