//! Sockets of the IP families as rows: TCP, UDP, raw, SCTP, MPTCP.

use std::net::IpAddr;

use netwhy_collect::socket::mem;
use netwhy_facts::socket::Socket;
use netwhy_render::escape::escape_terminal;
use netwhy_wire::inet_diag::{Answer, attribute};

use super::expr::Seen;
use super::plan::{Db, Show};
use super::table::Table;
use super::{Machine, info, names};
use crate::write::{address, hex, named, padded, text};

/// What every IP socket has, whichever door it came through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) six: bool,
    pub(super) state: u8,
    pub(super) local: IpAddr,
    pub(super) lport: u16,
    pub(super) remote: IpAddr,
    pub(super) rport: u16,
    pub(super) ifindex: u32,
    pub(super) rqueue: u32,
    pub(super) wqueue: u32,
    pub(super) inode: u64,
    pub(super) v6only: Option<bool>,
}

impl Row {
    pub(super) fn of(answer: &Answer<'_>) -> Self {
        Row {
            six: answer.family() == 10,
            state: answer.state(),
            local: answer.src(),
            lport: answer.sport(),
            remote: answer.dst(),
            rport: answer.dport(),
            ifindex: answer.ifindex(),
            rqueue: answer.rqueue(),
            wqueue: answer.wqueue(),
            inode: answer.inode().into(),
            v6only: answer.u8(attribute::SKV6ONLY).map(|on| on != 0),
        }
    }

    /// As a filter sees it.
    pub(super) fn seen(&self) -> Seen<'static> {
        Seen {
            inet: Some([self.local, self.remote]),
            local_port: self.lport.into(),
            remote_port: self.rport.into(),
            device: self.ifindex,
            ..Seen::default()
        }
    }

    /// A line of `/proc/net`.
    pub(super) fn of_line(socket: &Socket) -> Self {
        Row {
            six: socket.local.is_ipv6(),
            state: names::state_number(&socket.state),
            local: socket.local,
            lport: socket.lport,
            remote: socket.remote,
            rport: socket.rport,
            ifindex: 0,
            rqueue: socket.rqueue,
            // The limit of a listener is not in the file.
            wqueue: if socket.wqueue == u32::MAX { 0 } else { socket.wqueue },
            inode: socket.inode,
            // Nor whether it serves both families: most do.
            v6only: socket.local.is_ipv6().then_some(false),
        }
    }
}

/// Writes the columns every socket has.
pub(super) fn columns(table: &mut Table<'_>, db: Db, row: &Row, show: &Show, machine: &Machine<'_>) {
    text(table.cell(), db.netid());
    table.end();
    text(table.cell(), names::state(row.state));
    table.end();
    padded(table.cell(), row.rqueue.into(), 6);
    table.end();
    padded(table.cell(), row.wqueue.into(), 6);
    table.end();
    end(table, db, row, row.local, row.lport, row.ifindex, show, machine);
    end(table, db, row, row.remote, row.rport, 0, show, machine);
}

#[allow(clippy::too_many_arguments, reason = "one end of a row, twice a row, a hundred thousand times")]
fn end(
    table: &mut Table<'_>,
    db: Db,
    row: &Row,
    ip: IpAddr,
    port: u16,
    ifindex: u32,
    show: &Show,
    machine: &Machine<'_>,
) {
    let cell = table.cell();
    let resolved =
        if show.resolve && !ip.is_unspecified() { machine.names.host(ip.to_canonical()) } else { None };
    match ip {
        // An IPv6 socket on every address takes IPv4 too, unless it says otherwise.
        _ if row.six && ip.is_unspecified() && row.v6only == Some(false) => cell.push(b'*'),
        _ if resolved.is_some() => text(cell, &escape_terminal(resolved.unwrap_or_default())),
        IpAddr::V4(_) => address(cell, ip),
        IpAddr::V6(_) => {
            cell.push(b'[');
            address(cell, ip);
            cell.push(b']');
        }
    }
    if ifindex != 0 {
        cell.push(b'%');
        text(cell, &machine.device_name(ifindex));
    }
    table.end();
    let cell = table.cell();
    cell.push(b':');
    match port {
        0 => cell.push(b'*'),
        port if show.numeric => crate::write::decimal(cell, port.into()),
        port => match machine.port_name(db, port) {
            Some(name) => text(cell, name),
            None if db == Db::Raw => named(cell, "ipproto-", port.into()),
            None => crate::write::decimal(cell, port.into()),
        },
    }
    table.end();
}

/// Writes what the flags ask for beside the columns.
pub(super) fn more(table: &mut Table<'_>, db: Db, answer: &Answer<'_>, show: &Show, machine: &Machine<'_>) {
    let cell = table.cell();
    machine.users(cell, answer.inode().into());
    if show.options && answer.timer() != 0 {
        let name = match answer.timer() {
            1 => "on",
            2 => "keepalive",
            3 => "timewait",
            4 => "persist",
            _ => "unknown",
        };
        text(cell, " timer:(");
        text(cell, name);
        cell.push(b',');
        info::timer(cell, answer.expires());
        named(cell, ",", answer.retransmits().into());
        cell.push(b')');
    }
    if show.extended {
        if answer.uid() != 0 {
            named(cell, " uid:", answer.uid().into());
        }
        named(cell, " ino:", answer.inode().into());
        text(cell, " sk:");
        hex(cell, answer.cookie());
        if let Some(mark) = answer.u32(attribute::MARK).filter(|mark| *mark != 0) {
            text(cell, " fwmark:0x");
            hex(cell, mark.into());
        }
    }
    if (show.extended || show.cgroup)
        && let Some(id) = answer.u64(attribute::CGROUP_ID)
    {
        text(cell, " cgroup:");
        text(cell, &machine.cgroup_name(id));
    }
    if show.extended {
        if let Some(only) = answer.u8(attribute::SKV6ONLY) {
            named(cell, " v6only:", only.into());
        }
        if let Some(closed) = answer.u8(attribute::SHUTDOWN) {
            text(cell, super::direction(closed));
        }
    }
    if show.tos {
        let class = [(attribute::TOS, " tos:"), (attribute::TCLASS, " tclass:")];
        for (kind, word) in class {
            if let Some(value) = answer.u8(kind) {
                text(cell, word);
                if value != 0 {
                    text(cell, "0x");
                }
                hex(cell, value.into());
            }
        }
        if let Some(id) = answer.u32(attribute::CLASS_ID) {
            text(cell, " class_id:");
            if id != 0 {
                text(cell, "0x");
            }
            hex(cell, id.into());
        }
    }
    if show.sockopt
        && let Some(bits) = answer.structure(attribute::SOCKOPT)
    {
        text(cell, if show.oneline { " " } else { "\n\t" });
        sockopt(cell, bits.u16(0).unwrap_or(0));
    }
    if show.memory || show.info && db != Db::Udp {
        detail(table, db, answer, show);
    }
}

fn detail(table: &mut Table<'_>, db: Db, answer: &Answer<'_>, show: &Show) {
    let cell = table.cell();
    // A socket in TIME-WAIT still gets its line.
    if !show.oneline {
        text(cell, "\n\t");
    }
    if show.memory
        && let Some(memory) = answer.structure(attribute::SKMEMINFO).and_then(mem)
    {
        super::memory(cell, &memory);
    }
    if show.info {
        match db {
            Db::Tcp => {
                info::tcp(cell, answer, show.options, show.numeric);
                info::upper_layer(cell, answer);
            }
            Db::Mptcp => info::mptcp(cell, answer),
            _ => {}
        }
    }
}

/// `struct inet_diag_sockopt`: bits from the low end of two bytes.
fn sockopt(cell: &mut Vec<u8>, bits: u16) {
    const WORDS: [&str; 11] = [
        "recverr",
        "is_icsk",
        "freebind",
        "hdrincl",
        "mc_loop",
        "transparent",
        "mc_all",
        "nodefrag",
        "bind_addr_no_port",
        "recverr_rfc4884",
        "defer_connect",
    ];
    let bits = if cfg!(target_endian = "little") {
        bits
    } else {
        // Bit fields fill bytes from the high end there.
        let [first, second] = bits.to_be_bytes();
        u16::from_le_bytes([first.reverse_bits(), second.reverse_bits()])
    };
    text(cell, "inet-sockopt: (");
    for (bit, word) in WORDS.into_iter().enumerate() {
        if bits >> bit & 1 == 1 {
            cell.push(b' ');
            text(cell, word);
        }
    }
    cell.push(b')');
}
