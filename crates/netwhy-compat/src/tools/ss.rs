//! `ss`: sockets of every family. Forms from ss(8) and its observed output.

mod expr;
mod inet;
mod info;
mod local;
mod names;
mod plan;
mod table;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::ControlFlow;

use netwhy_collect::socket::Holders;
use netwhy_collect::{CollectError, Collector};
use netwhy_facts::link::Links;
use netwhy_facts::socket::SkMem;
use netwhy_facts::{Family, Proto};
use netwhy_render::escape::escape_terminal;
use netwhy_wire::inet_diag::{Answer, Filter, Request, SocketId, extension};

use self::expr::Expr;
use self::inet::Row;
use self::plan::{DBS, Db, Plan};
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
    let expr = machine.parse(&plan)?;
    if plan.show.processes {
        machine.holders = Some(collector.socket_holders(plan.show.threads));
        machine.threads = plan.show.threads;
    }
    list(session, &plan, &expr, &machine)?;
    Ok(0)
}

fn list(
    session: &mut Session<'_>,
    plan: &Plan,
    expr: &expr::Parsed,
    machine: &Machine<'_>,
) -> Result<(), ToolError> {
    let mut table =
        Table::new(&mut *session.out, session.columns, plan.netid, plan.state_column, plan.header);
    for db in DBS.iter().copied().filter(|db| plan.dbs.has(*db)) {
        match db.protocol() {
            Some(_) => inet_table(&mut table, db, plan, expr, machine)?,
            // One question brings all kinds of a family.
            None if plan.dbs.is_first_of_family(db) => {
                local::list(&mut table, db, plan, expr.expr.as_ref(), machine)?;
            }
            None => {}
        }
    }
    table.flush()?;
    Ok(())
}

/// Lists one table of IP sockets.
fn inet_table(
    table: &mut Table<'_>,
    db: Db,
    plan: &Plan,
    expr: &expr::Parsed,
    machine: &Machine<'_>,
) -> Result<(), ToolError> {
    let filter = expr.expr.as_ref().map(Expr::for_kernel).transpose();
    let filter = filter.map_err(|why| ToolError::failed(format!("ss: filter: {why}"), 1))?;
    let mut wrong: Option<ToolError> = None;
    for family in families(plan, expr) {
        let request = request(db, family, plan, filter.clone());
        let asked = machine.collector.socket_listing(&request, |payload| {
            let answer = match Answer::parse(payload) {
                Ok(answer) => answer,
                Err(error) => {
                    wrong = Some(ToolError::failed(format!("ss: {error}"), 1));
                    return ControlFlow::Break(());
                }
            };
            let row = Row::of(&answer);
            inet::columns(table, db, &row, &plan.show, machine);
            inet::more(table, db, &answer, &plan.show, machine);
            match table.end_row() {
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
            Err(CollectError::Missing(_)) => lines(table, db, family, plan, expr.expr.as_ref(), machine)?,
            Err(error) if db == Db::Raw && error.errno().is_some_and(|errno| errno.name() == "ENOENT") => {
                lines(table, db, family, plan, expr.expr.as_ref(), machine)?;
            }
            // A protocol this kernel does not have has no sockets.
            Err(error) if error.errno().is_some_and(|errno| matches!(errno.name(), "ENOENT" | "EINVAL")) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The same from `/proc/net`, for a kernel that lacks the question's module.
fn lines(
    table: &mut Table<'_>,
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
        inet::columns(table, db, &row, &plan.show, machine);
        machine.users(table.cell(), row.inode);
        match table.end_row() {
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
}

impl<'a> Machine<'a> {
    fn new(collector: &'a Collector, names: &'a Names) -> Self {
        Machine { collector, names, links: OnceCell::new(), holders: None, threads: false }
    }

    fn parse(&self, plan: &Plan) -> Result<expr::Parsed, ToolError> {
        let context = expr::Context {
            names: self.names,
            kind: plan.kind,
            device: &|name| self.links().by_name(name).map(|link| link.index),
            cgroup: &|_| Err("cgroups are not looked up yet".into()),
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

    fn cgroup_name(&self, id: u64) -> String {
        format!("unreachable:{id:x}")
    }

    /// What a process is called.
    fn command(&self, pid: u32) -> Option<String> {
        self.collector.command(pid)
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
