//! Entries of the connection tracking table (nfnetlink subsystem 1, uapi
//! `linux/netfilter/nfnetlink_conntrack.h`).

use std::net::{IpAddr, SocketAddr};

use netwhy_sys::Errno;
use netwhy_sys::netlink::{NLM_F_CREATE, NLM_F_EXCL};
use netwhy_wire::netlink::Builder;

use super::family_of;
use crate::error::{LabError, Result};
use crate::node::Node;

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

impl Node {
    /// Adds an established TCP entry, or a UDP one that has seen an answer, as if the flow were there.
    /// `reply_from` is where answers come from: elsewhere than `destination` under destination NAT.
    pub fn conntrack_add(
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
        let what = format!("{}: add conntrack entry", self.name);
        let payload = message.finish()?;
        self.netfilter()?.ack(NEW, NLM_F_CREATE | NLM_F_EXCL, &payload).map_err(LabError::netlink(what))
    }

    /// Fills the table to its limit, which is the machine's, with entries between addresses nobody has. A
    /// limit that would take long is refused.
    pub fn conntrack_fill(&mut self) -> Result<()> {
        const MOST: u32 = 300_000;
        let text = self.sysctl_get("net.netfilter.nf_conntrack_max")?;
        let most: u32 =
            text.parse().map_err(|_| LabError::Unexpected(format!("nf_conntrack_max is {text}")))?;
        if most > MOST {
            return Err(LabError::Unsupported(format!("{most} entries would take too long")));
        }
        let destination = SocketAddr::from(([192, 0, 2, 200], 9));
        for number in 0..most {
            let [_, high, middle, low] = number.to_be_bytes();
            let source = SocketAddr::from(([192, 0, 2, high], u16::from_be_bytes([middle, low])));
            match self.conntrack_add(6, source, destination, destination) {
                Ok(()) => {}
                // Full a little early: other flows of the node have entries too.
                Err(LabError::Netlink { error, .. }) if error.errno() == Some(Errno::ENOMEM) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes one entry by its original direction.
    pub fn conntrack_del(&mut self, proto: u8, source: SocketAddr, destination: SocketAddr) -> Result<()> {
        let mut message = header(&source.ip());
        tuple(&mut message, CTA_TUPLE_ORIG, proto, source, destination);
        let what = format!("{}: delete conntrack entry", self.name);
        let payload = message.finish()?;
        self.netfilter()?.ack(DELETE, 0, &payload).map_err(LabError::netlink(what))
    }

    /// Empties the table.
    pub fn conntrack_flush(&mut self) -> Result<()> {
        let what = format!("{}: flush conntrack", self.name);
        self.netfilter()?.ack(DELETE, 0, &[0; 4]).map_err(LabError::netlink(what))
    }
}
