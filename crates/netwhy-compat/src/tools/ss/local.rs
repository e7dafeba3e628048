//! Sockets of no IP family as rows: unix, packet, netlink, vsock.

use std::ops::ControlFlow;

use netwhy_collect::CollectError;
use netwhy_facts::local_socket::{NetlinkSocket, PacketRing, PacketSocket, UnixSocket, VsockSocket};
use netwhy_render::escape::escape_terminal;
use serde_json::{Map, Value, json};

use super::expr::{Expr, Seen};
use super::plan::{Db, Plan, Show};
use super::table::Table;
use super::{Machine, Sink, names};
use crate::session::ToolError;
use crate::write::{decimal, hex, named, padded, text};

/// `ETH_P_ALL`.
const ALL_PROTOCOLS: u16 = 3;
/// `VMADDR_CID_ANY`, `VMADDR_PORT_ANY`.
const ANY: u32 = u32::MAX;
const CLOSED: u32 = 1 << 7;

/// The start of a row.
fn start(table: &mut Table<'_>, db: Db, state: u8, rqueue: u32, wqueue: u32) {
    text(table.cell(), db.netid());
    table.end();
    text(table.cell(), names::state(state));
    table.end();
    padded(table.cell(), rqueue.into(), 6);
    table.end();
    padded(table.cell(), wqueue.into(), 6);
    table.end();
}

/// An address and a port, and what stands between them.
fn end(table: &mut Table<'_>, address: &str, between: &str, port: &str) {
    text(table.cell(), address);
    table.end();
    text(table.cell(), between);
    text(table.cell(), port);
    table.end();
}

/// Rows of one family, with the first error that stopped them.
struct Rows<'t, 'o, 'm> {
    table: &'t mut Table<'o>,
    plan: &'m Plan,
    machine: &'m Machine<'m>,
    expr: Option<&'m Expr>,
    failed: Option<std::io::Error>,
}

impl Rows<'_, '_, '_> {
    fn passes(&self, seen: &Seen<'_>) -> bool {
        self.expr.is_none_or(|expr| expr.matches(seen))
    }

    fn show(&self) -> &Show {
        &self.plan.show
    }

    fn done(&mut self) -> ControlFlow<()> {
        match self.table.end_row() {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

/// Lists what the plan asks for of one family; `db` is any of its tables.
pub(super) fn list(
    sink: &mut Sink<'_>,
    db: Db,
    plan: &Plan,
    expr: Option<&Expr>,
    machine: &Machine<'_>,
) -> Result<(), ToolError> {
    match sink {
        Sink::Table(table) => {
            let mut rows = Rows { table, plan, machine, expr, failed: None };
            let asked = each(db, plan, machine, &mut |one| match one {
                One::Unix(one) => unix(&mut rows, &one),
                One::Packet(one) => packet(&mut rows, &one),
                One::Netlink(one) => netlink(&mut rows, &one),
                One::Vsock(one) => vsock(&mut rows, &one),
            });
            match rows.failed {
                Some(error) => Err(error.into()),
                None => Ok(asked?),
            }
        }
        Sink::Json(array) => {
            let mut failed = None;
            let asked = each(db, plan, machine, &mut |one| {
                let own = one.db();
                let passes = expr.is_none_or(|expr| expr.matches(&one.seen()));
                if !plan.dbs.has(own) || !passes {
                    return ControlFlow::Continue(());
                }
                match array.push(one.object(own, machine)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failed = Some(error);
                        ControlFlow::Break(())
                    }
                }
            });
            match failed {
                Some(error) => Err(error.into()),
                None => Ok(asked?),
            }
        }
    }
}

/// A socket of one of the families.
enum One {
    Unix(UnixSocket),
    Packet(PacketSocket),
    Netlink(NetlinkSocket),
    Vsock(VsockSocket),
}

impl One {
    fn db(&self) -> Db {
        match self {
            One::Unix(one) => unix_db(one),
            One::Packet(one) => packet_db(one),
            One::Netlink(_) => Db::Netlink,
            One::Vsock(one) => vsock_db(one),
        }
    }

    fn seen(&self) -> Seen<'_> {
        match self {
            One::Unix(one) => unix_seen(one),
            One::Packet(one) => packet_seen(one),
            One::Netlink(one) => netlink_seen(one),
            One::Vsock(one) => vsock_seen(one),
        }
    }

    fn object(&self, db: Db, machine: &Machine<'_>) -> Map<String, Value> {
        let (mut object, inode, rest) = match self {
            One::Unix(one) => {
                let local = json!({ "path": one.name, "inode": one.inode });
                let peer = json!({ "inode": one.peer });
                let queues = (one.rqueue, one.wqueue);
                (super::json::base(db, one.state, queues, local, peer), one.inode, serde_json::to_value(one))
            }
            One::Packet(one) => {
                let device = (one.ifindex != 0).then(|| machine.device_name(one.ifindex));
                let local = json!({ "protocol": one.protocol, "device": device });
                (
                    super::json::base(db, 7, (one.rqueue, 0), local, json!({})),
                    one.inode,
                    serde_json::to_value(one),
                )
            }
            One::Netlink(one) => {
                let name = names::netlink_name(one.protocol.into());
                let local = json!({ "protocol": name, "port": one.port });
                let peer = json!({ "port": one.dst_port });
                let queues = (one.rqueue, one.wqueue);
                (super::json::base(db, 7, queues, local, peer), one.inode, serde_json::to_value(one))
            }
            One::Vsock(one) => {
                let end = |(cid, port): (u32, u32)| json!({ "cid": cid, "port": port });
                let (local, peer) = (end(one.local), end(one.remote));
                (super::json::base(db, one.state, (0, 0), local, peer), one.inode, serde_json::to_value(one))
            }
        };
        if let Some(users) = machine.users_json(inode) {
            object.insert("users".into(), users);
        }
        object.insert("socket".into(), rest.unwrap_or_default());
        object
    }
}

/// Asks for the sockets of one family.
fn each(
    db: Db,
    plan: &Plan,
    machine: &Machine<'_>,
    each: &mut dyn FnMut(One) -> ControlFlow<()>,
) -> Result<(), CollectError> {
    let collector = machine.collector;
    match db {
        Db::UnixStream | Db::UnixDgram | Db::UnixSeqpacket => {
            collector.unix_sockets(plan.states, &mut |one| each(One::Unix(one)))
        }
        // Neither packet nor netlink sockets have states.
        _ if plan.states & CLOSED == 0 && !matches!(db, Db::VsockStream | Db::VsockDgram) => Ok(()),
        Db::PacketRaw | Db::PacketDgram => {
            collector.packet_sockets(plan.show.bpf, &mut |one| each(One::Packet(one)))
        }
        Db::Netlink => collector.netlink_sockets(&mut |one| each(One::Netlink(one))),
        _ => match collector.vsock_sockets(plan.states, &mut |one| each(One::Vsock(one))) {
            // A kernel without vsock has none.
            Err(CollectError::Missing(_)) => Ok(()),
            Err(error) if error.errno().is_some_and(|errno| matches!(errno.name(), "ENOENT" | "EINVAL")) => {
                Ok(())
            }
            other => other,
        },
    }
}

fn unix_db(one: &UnixSocket) -> Db {
    match one.kind {
        1 => Db::UnixStream,
        5 => Db::UnixSeqpacket,
        _ => Db::UnixDgram,
    }
}

fn unix_seen(one: &UnixSocket) -> Seen<'_> {
    let name = one.name.as_deref();
    Seen {
        path: Some(name.unwrap_or("")),
        peer_path: Some(""),
        autobound: name.is_none_or(is_autobound),
        ..Seen::default()
    }
}

fn packet_db(one: &PacketSocket) -> Db {
    if one.kind == 3 { Db::PacketRaw } else { Db::PacketDgram }
}

fn packet_seen(one: &PacketSocket) -> Seen<'static> {
    Seen {
        link: Some((one.protocol, one.ifindex)),
        local_port: one.ifindex,
        device: one.ifindex,
        ..Seen::default()
    }
}

fn netlink_seen(one: &NetlinkSocket) -> Seen<'static> {
    Seen { netlink: Some((one.protocol.into(), one.port)), local_port: one.port, ..Seen::default() }
}

fn vsock_db(one: &VsockSocket) -> Db {
    if one.kind == 2 { Db::VsockDgram } else { Db::VsockStream }
}

fn vsock_seen(one: &VsockSocket) -> Seen<'static> {
    Seen {
        vsock: Some([one.local, one.remote]),
        local_port: one.local.1,
        remote_port: one.remote.1,
        ..Seen::default()
    }
}

fn unix(rows: &mut Rows<'_, '_, '_>, one: &UnixSocket) -> ControlFlow<()> {
    let (db, seen) = (unix_db(one), unix_seen(one));
    let name = one.name.as_deref();
    if !rows.plan.dbs.has(db) || !rows.passes(&seen) {
        return ControlFlow::Continue(());
    }
    start(rows.table, db, one.state, one.rqueue, one.wqueue);
    let name = name.map_or("*".into(), escape_terminal);
    end(rows.table, &name, " ", &one.inode.to_string());
    end(rows.table, "*", " ", &one.peer.unwrap_or(0).to_string());
    let show = *rows.show();
    rows.machine.users(rows.table.cell(), one.inode);
    let cell = rows.table.cell();
    if show.memory
        && let Some(memory) = &one.mem
    {
        super::memory(cell, memory);
    }
    if show.extended {
        if let Some(uid) = one.uid.filter(|uid| *uid != 0) {
            named(cell, " uid:", uid.into());
        }
        if let Some(closed) = one.shutdown {
            text(cell, super::direction(closed));
        }
        if let Some((inode, device)) = one.vfs {
            named(cell, " ino:", inode.into());
            // The kernel's own layout of a device number; the original takes it for the C library's.
            named(cell, " dev:", (device >> 20).into());
            named(cell, "/", (device & 0xf_ffff).into());
        }
        if let Some(waiting) = &one.waiting {
            text(cell, " peers:");
            for inode in waiting {
                named(cell, " ", (*inode).into());
            }
        }
    }
    rows.done()
}

/// An abstract name of five hexadecimal digits is one the kernel chose.
fn is_autobound(name: &str) -> bool {
    name.strip_prefix('@')
        .is_some_and(|rest| rest.len() == 5 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn packet(rows: &mut Rows<'_, '_, '_>, one: &PacketSocket) -> ControlFlow<()> {
    let (db, seen) = (packet_db(one), packet_seen(one));
    if !rows.plan.dbs.has(db) || !rows.passes(&seen) {
        return ControlFlow::Continue(());
    }
    let show = *rows.show();
    start(rows.table, db, 7, one.rqueue, 0);
    let protocol = match (one.protocol, names::ethernet_name(one.protocol)) {
        (ALL_PROTOCOLS, _) => "*".to_owned(),
        (_, Some(name)) if !show.numeric => name.to_owned(),
        (number, _) => format!("[{number}]"),
    };
    let device = match one.ifindex {
        0 => "*".into(),
        index => rows.machine.device_name(index),
    };
    end(rows.table, &protocol, ":", &device);
    end(rows.table, "", "*", "");
    rows.machine.users(rows.table.cell(), one.inode);
    let cell = rows.table.cell();
    if show.extended {
        if let Some(uid) = one.uid.filter(|uid| *uid != 0) {
            named(cell, " uid:", uid.into());
        }
        named(cell, " ino:", one.inode);
        text(cell, " sk:");
        hex(cell, one.cookie);
        let line = if show.oneline { " " } else { "\n\t" };
        if let (Some(version), Some(thresh), Some(flags)) = (one.version, one.copy_thresh, one.flags) {
            text(cell, line);
            named(cell, "ver:", version.into());
            named(cell, " cpy_thresh:", thresh.into());
            text(cell, " flags( ");
            packet_flags(cell, flags);
            text(cell, " )");
        }
        for (name, ring) in [("ring_rx", &one.rx_ring), ("ring_tx", &one.tx_ring)] {
            if let Some(ring) = ring {
                text(cell, line);
                text(cell, name);
                packet_ring(cell, ring);
            }
        }
        if let Some(fanout) = one.fanout {
            let kind = match fanout >> 16 & 0xff {
                0 => "hash",
                1 => "lb",
                2 => "cpu",
                3 => "roll",
                4 => "random",
                5 => "qm",
                _ => "0x",
            };
            text(cell, line);
            named(cell, "fanout(id:", (fanout & 0xffff).into());
            text(cell, ",type:");
            text(cell, kind);
            if kind == "0x" {
                hex(cell, (fanout >> 16).into());
            }
            cell.push(b')');
        }
    }
    if show.bpf
        && let Some(filter) = &one.filter
    {
        let line = if show.oneline { " " } else { "\n\t" };
        text(cell, line);
        named(cell, "bpf filter (", filter.len() as u64);
        text(cell, "): ");
        for (code, yes, no, argument) in filter {
            text(cell, &format!(" 0x{code:02x} {yes} {no} {argument},"));
        }
    }
    if show.memory
        && let Some(memory) = &one.mem
    {
        super::memory(cell, memory);
    }
    rows.done()
}

/// `PDI_*`.
fn packet_flags(cell: &mut Vec<u8>, flags: u32) {
    const WORDS: [&str; 5] = ["running", "auxdata", "origdev", "vnethdr", "loss"];
    let mut first = true;
    for (bit, word) in WORDS.into_iter().enumerate() {
        if flags >> bit & 1 == 1 {
            if !first {
                cell.push(b' ');
            }
            first = false;
            text(cell, word);
        }
    }
    if first {
        cell.push(b'0');
    }
}

fn packet_ring(cell: &mut Vec<u8>, ring: &PacketRing) {
    for (name, value) in [
        ("(blk_size:", ring.block_size),
        (",blk_nr:", ring.block_nr),
        (",frm_size:", ring.frame_size),
        (",frm_nr:", ring.frame_nr),
        (",tmo:", ring.timeout),
    ] {
        named(cell, name, value.into());
    }
    text(cell, ",features:0x");
    hex(cell, ring.features.into());
    cell.push(b')');
}

fn netlink(rows: &mut Rows<'_, '_, '_>, one: &NetlinkSocket) -> ControlFlow<()> {
    let protocol = u32::from(one.protocol);
    if !rows.passes(&netlink_seen(one)) {
        return ControlFlow::Continue(());
    }
    let show = *rows.show();
    start(rows.table, Db::Netlink, 7, one.rqueue, one.wqueue);
    let name = match names::netlink_name(protocol) {
        Some(name) if !show.numeric => name.to_owned(),
        _ => protocol.to_string(),
    };
    let port = match one.port {
        port if show.numeric => port.to_string(),
        0 => "kernel".to_owned(),
        // The port is the process's id unless it chose another.
        port => match rows.machine.command(port) {
            Some(command) => format!("{}/{port}", escape_terminal(&command)),
            None => port.to_string(),
        },
    };
    end(rows.table, &name, ":", &port);
    let peer = if one.dst_port == 0 { "*".to_owned() } else { one.dst_port.to_string() };
    end(rows.table, "", &peer, "");
    let cell = rows.table.cell();
    if show.memory
        && let Some(memory) = &one.mem
    {
        text(cell, "\t");
        super::memory(cell, memory);
    }
    if show.extended {
        text(cell, &format!(" sk=0 cb=0 groups=0x{:08x}", one.groups));
    }
    rows.done()
}

fn vsock(rows: &mut Rows<'_, '_, '_>, one: &VsockSocket) -> ControlFlow<()> {
    let (db, seen) = (vsock_db(one), vsock_seen(one));
    if !rows.plan.dbs.has(db) || !rows.passes(&seen) {
        return ControlFlow::Continue(());
    }
    start(rows.table, db, one.state, 0, 0);
    for own in [one.local, one.remote] {
        let part = |number: u32| if number == ANY { "*".to_owned() } else { number.to_string() };
        end(rows.table, &part(own.0), ":", &part(own.1));
    }
    rows.machine.users(rows.table.cell(), one.inode);
    if rows.show().extended {
        let cell = rows.table.cell();
        text(cell, " ino:");
        decimal(cell, one.inode);
        text(cell, " sk:");
        hex(cell, one.cookie);
    }
    rows.done()
}
