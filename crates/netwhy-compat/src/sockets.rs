//! IP sockets of a namespace for the tools that list them one by one: netstat and lsof.

use std::net::IpAddr;
use std::ops::ControlFlow;

use netwhy_collect::{CollectError, Collector};
use netwhy_facts::{Family, Proto};
use netwhy_wire::inet_diag::{Answer, Request, SocketId};

/// Which table of sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the protocols
pub enum Table {
    Tcp,
    Udp,
    Raw,
}

/// A socket.
#[derive(Debug, Clone)]
pub struct IpSocket {
    /// Whether it is an IPv6 socket.
    pub six: bool,
    /// `TCP_*`.
    pub state: u8,
    /// Local address.
    pub local: IpAddr,
    /// Local port; of a raw socket its protocol.
    pub lport: u16,
    /// Remote address.
    pub remote: IpAddr,
    /// Remote port.
    pub rport: u16,
    /// Receive queue.
    pub rqueue: u32,
    /// Send queue; of a listener its limit.
    pub wqueue: u32,
    /// Owner.
    pub uid: u32,
    /// Inode in sockfs.
    pub inode: u64,
    /// Which timer runs, milliseconds until it fires, and how often it did.
    pub timer: (u8, u32, u8),
}

/// Hands out the sockets of a table, IPv4 first or only or not at all.
pub fn each(
    collector: &Collector,
    table: Table,
    four: bool,
    six: bool,
    each: &mut dyn FnMut(IpSocket) -> ControlFlow<()>,
) -> Result<(), CollectError> {
    let protocol = match table {
        Table::Tcp => 6,
        Table::Udp => 17,
        Table::Raw => 255,
    };
    for (wanted, family) in [(four, 2_u8), (six, 10)] {
        if !wanted {
            continue;
        }
        let request =
            Request { family, protocol, extensions: 0, states: 0xfff, id: SocketId::ANY, filter: None };
        let asked = collector.socket_listing(&request, |payload| match Answer::parse(payload) {
            Ok(answer) => each(IpSocket {
                six: family == 10,
                state: answer.state(),
                local: answer.src(),
                lport: answer.sport(),
                remote: answer.dst(),
                rport: answer.dport(),
                rqueue: answer.rqueue(),
                wqueue: answer.wqueue(),
                uid: answer.uid(),
                inode: answer.inode().into(),
                timer: (answer.timer(), answer.expires(), answer.retransmits()),
            }),
            Err(_) => ControlFlow::Continue(()),
        });
        match asked {
            Ok(()) => {}
            Err(CollectError::Missing(_)) => lines(collector, table, family, each)?,
            Err(error) if error.errno().is_some_and(|errno| matches!(errno.name(), "ENOENT" | "EINVAL")) => {
                lines(collector, table, family, each)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// From `/proc/net`, where the kernel's module for the question is not there.
fn lines(
    collector: &Collector,
    table: Table,
    family: u8,
    each: &mut dyn FnMut(IpSocket) -> ControlFlow<()>,
) -> Result<(), CollectError> {
    let (name, proto) = match table {
        Table::Tcp => ("tcp", Proto::Tcp),
        Table::Udp => ("udp", Proto::Udp),
        Table::Raw => ("raw", Proto::Udp),
    };
    let six = family == 10;
    let file = if six { format!("{name}6") } else { name.to_owned() };
    let kind = if six { Family::Inet6 } else { Family::Inet };
    let read = collector.socket_lines(&file, proto, kind, |one| {
        each(IpSocket {
            six,
            state: number(&one.state),
            local: one.local,
            lport: one.lport,
            remote: one.remote,
            rport: one.rport,
            rqueue: one.rqueue,
            wqueue: if one.wqueue == u32::MAX { 0 } else { one.wqueue },
            uid: one.uid,
            inode: one.inode,
            timer: (0, 0, 0),
        })
    });
    match read {
        // Without IPv6 its files are not there.
        Err(error) if error.errno().is_some_and(|errno| errno.name() == "ENOENT") => Ok(()),
        other => other,
    }
}

/// `TCP_*` of the words facts have for states.
fn number(word: &str) -> u8 {
    match word {
        "ESTAB" => 1,
        "SYN-SENT" => 2,
        "SYN-RECV" => 3,
        "FIN-WAIT-1" => 4,
        "FIN-WAIT-2" => 5,
        "TIME-WAIT" => 6,
        "CLOSE-WAIT" => 8,
        "LAST-ACK" => 9,
        "LISTEN" => 10,
        "CLOSING" => 11,
        _ => 7,
    }
}

/// States as netstat and lsof write them.
#[must_use]
pub const fn state_word(number: u8) -> &'static str {
    match number {
        1 => "ESTABLISHED",
        2 => "SYN_SENT",
        3 | 12 => "SYN_RECV",
        4 => "FIN_WAIT1",
        5 => "FIN_WAIT2",
        6 => "TIME_WAIT",
        7 | 13 => "CLOSE",
        8 => "CLOSE_WAIT",
        9 => "LAST_ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        _ => "UNKNOWN",
    }
}
