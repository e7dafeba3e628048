//! `ss -K`: closes the sockets of a listing, one by one and by cookie, after asking.

use std::io::{BufRead, IsTerminal};
use std::ops::ControlFlow;

use netwhy_change::socket::destroy;
use netwhy_sys::netlink::Protocol;
use netwhy_wire::inet_diag::{Answer, Request, SocketId};

use super::inet::{self, Row};
use super::plan::{DBS, Db, Plan};
use super::table::Table;
use super::{Expr, Machine, expr, families, request};
use crate::session::{Session, ToolError};

/// Sockets closed at most by one call: a filter that fits more was hardly meant.
const MOST: usize = 100_000;

struct Victim {
    db: Db,
    family: u8,
    payload: Vec<u8>,
}

pub(super) fn run(
    session: &mut Session<'_>,
    plan: &Plan,
    expr: &expr::Parsed,
    machine: &Machine<'_>,
    sure: bool,
) -> Result<u8, ToolError> {
    let filter = expr.expr.as_ref().map(Expr::for_kernel).transpose();
    let filter = filter.map_err(|why| ToolError::failed(format!("ss: filter: {why}"), 1))?;
    let mut victims = Vec::new();
    for db in DBS.iter().copied().filter(|db| plan.dbs.has(*db) && db.protocol().is_some()) {
        for family in families(plan, expr) {
            let request = request(db, family, plan, filter.clone());
            let asked = machine.collector.socket_listing(&request, |payload| {
                victims.push(Victim { db, family, payload: payload.to_vec() });
                if victims.len() < MOST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            match asked {
                Err(netwhy_collect::CollectError::Missing(_)) => {}
                Err(error)
                    if error.errno().is_some_and(|errno| matches!(errno.name(), "ENOENT" | "EINVAL")) => {}
                other => other?,
            }
        }
    }
    if victims.is_empty() {
        return close(session, plan, machine, victims);
    }
    let what = format!("close {} socket{}", victims.len(), if victims.len() == 1 { "" } else { "s" });
    session.announce(&what, None)?;
    if !sure && !confirmed(session)? {
        return Err(ToolError::failed("ss: nothing was closed; --yes closes without asking", 1));
    }
    close(session, plan, machine, victims)
}

/// Asks at a terminal; without one nobody can say yes.
fn confirmed(session: &mut Session<'_>) -> Result<bool, ToolError> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Ok(false);
    }
    write!(session.err, "close them? [y/N] ")?;
    session.err.flush()?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Closes them and shows those that were.
fn close(
    session: &mut Session<'_>,
    plan: &Plan,
    machine: &Machine<'_>,
    victims: Vec<Victim>,
) -> Result<u8, ToolError> {
    let mut table =
        Table::new(&mut *session.out, session.columns, plan.netid, plan.state_column, plan.header);
    let (mut denied, mut refused) = (None, 0);
    for victim in victims {
        let Ok(answer) = Answer::parse(&victim.payload) else { continue };
        let id = SocketId {
            sport: answer.sport(),
            dport: answer.dport(),
            src: Some(answer.src()),
            dst: Some(answer.dst()),
            ifindex: answer.ifindex(),
            cookie: Some(answer.cookie()),
        };
        let request = Request {
            family: victim.family,
            protocol: victim.db.protocol().unwrap_or(0),
            extensions: 0,
            states: u32::MAX,
            id,
            filter: None,
        };
        let closed = machine.collector.netlink(Protocol::SockDiag, |diag| Ok(destroy(diag, &request)))?;
        match closed {
            Ok(()) => {
                inet::columns(&mut table, victim.db, &Row::of(&answer), &plan.show, machine);
                inet::more(&mut table, victim.db, &answer, &plan.show, machine);
                table.end_row()?;
            }
            // Gone meanwhile.
            Err(error) if error.name() == Some("ENOENT") => {}
            Err(error) if matches!(error.name(), Some("EPERM" | "EACCES")) => denied = Some(error),
            // Some kinds of socket, and kernels built without it, cannot be told to close.
            Err(_) => refused += 1,
        }
    }
    table.flush()?;
    if let Some(error) = denied {
        return Err(ToolError::failed(format!("ss: {error} (needs CAP_NET_ADMIN)"), 1));
    }
    if refused > 0 {
        session.out.flush()?;
        writeln!(session.err, "ss: the kernel does not close {refused} of them")?;
    }
    Ok(0)
}
