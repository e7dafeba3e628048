//! Entries of the connection tracking table (nfnetlink subsystem 1, uapi
//! `linux/netfilter/nfnetlink_conntrack.h`).

mod entries;

use std::net::{IpAddr, SocketAddr};

use netwhy_sys::netlink::{NLM_F_CREATE, NLM_F_EXCL, Socket};
use netwhy_wire::netlink::Builder;

pub use self::entries::{CtNew, CtSet};
use crate::words::family_of;
use crate::{ChangeError, Result};

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW` and `_DELETE`.
const NEW: u16 = 0x100;
const DELETE: u16 = 0x102;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_TIMEOUT: u16 = 7;

/// `IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED`: the kernel does not evict such an entry early.
const ASSURED: u32 = 2 | 4 | 8;
/// `TCP_CONNTRACK_ESTABLISHED`.
const ESTABLISHED: u8 = 3;

fn tuple(message: &mut Builder, kind: u16, proto: u8, source: SocketAddr, destination: SocketAddr) {
    let (from, to) = if source.is_ipv4() { (1, 2) } else { (3, 4) };
    message.nest(kind, |tuple| {
        tuple.nest(1, |ip| {
            ip.ip(from, source.ip()).ip(to, destination.ip());
        });
        tuple.nest(2, |inside| {
            inside.u8(1, proto).be16(2, source.port()).be16(3, destination.port());
        });
    });
}

fn header(address: &IpAddr) -> Builder {
    Builder::with_header(&[family_of(address), 0, 0, 0])
}

/// Writes entries through a netfilter socket.
#[derive(Debug)]
pub struct ConntrackWriter<'a> {
    socket: &'a mut Socket,
}

impl<'a> ConntrackWriter<'a> {
    /// Through a socket of `NETLINK_NETFILTER`.
    pub const fn new(socket: &'a mut Socket) -> Self {
        ConntrackWriter { socket }
    }

    /// Adds an established TCP entry, or a UDP one that has seen an answer, as if the flow were there.
    /// `reply_from` is where answers come from: elsewhere than `destination` under destination NAT.
    pub fn add(
        &mut self,
        proto: u8,
        source: SocketAddr,
        destination: SocketAddr,
        reply_from: SocketAddr,
    ) -> Result<()> {
        let mut message = header(&source.ip());
        tuple(&mut message, CTA_TUPLE_ORIG, proto, source, destination);
        tuple(&mut message, CTA_TUPLE_REPLY, proto, reply_from, source);
        message.be32(CTA_STATUS, ASSURED).be32(CTA_TIMEOUT, 3600);
        if proto == 6 {
            message.nest(CTA_PROTOINFO, |info| {
                info.nest(1, |tcp| {
                    tcp.u8(1, ESTABLISHED);
                });
            });
        }
        let what = "add conntrack entry";
        let payload = message.finish()?;
        self.socket.ack(NEW, NLM_F_CREATE | NLM_F_EXCL, &payload).map_err(ChangeError::netlink(what))
    }

    /// Removes one entry by its original direction.
    pub fn delete(&mut self, proto: u8, source: SocketAddr, destination: SocketAddr) -> Result<()> {
        let mut message = header(&source.ip());
        tuple(&mut message, CTA_TUPLE_ORIG, proto, source, destination);
        let what = "delete conntrack entry";
        let payload = message.finish()?;
        self.socket.ack(DELETE, 0, &payload).map_err(ChangeError::netlink(what))
    }

    /// Empties the table.
    pub fn flush(&mut self) -> Result<()> {
        let what = "flush conntrack";
        self.socket.ack(DELETE, 0, &[0; 4]).map_err(ChangeError::netlink(what))
    }
}
