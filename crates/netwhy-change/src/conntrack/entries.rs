//! Entries named by what a listing showed of them: deleted, changed, made.

use netwhy_facts::conntrack::{CtListed, CtTuple};
use netwhy_sys::netlink::{NLM_F_CREATE, NLM_F_EXCL};
use netwhy_wire::netlink::Builder;

use super::{
    CTA_PROTOINFO, CTA_STATUS, CTA_TIMEOUT, CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, ConntrackWriter, DELETE, NEW,
    header,
};
use crate::{ChangeError, Result};

const CTA_MARK: u16 = 8;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
/// `NFNL_SUBSYS_CTNETLINK_EXP << 8 | IPCTNL_MSG_EXP_DELETE`.
const EXPECT_DELETE: u16 = 0x202;
/// `IPS_CONFIRMED`.
const CONFIRMED: u32 = 1 << 3;

/// What is set on an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CtSet {
    /// The mark.
    pub mark: Option<u32>,
    /// Seconds left.
    pub timeout_s: Option<u32>,
    /// Status bits; the kernel takes only some of them, and takes none away.
    pub status: Option<u32>,
}

/// A new entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CtNew {
    /// Original direction.
    pub orig: CtTuple,
    /// Reply direction before translation: the mirror of `orig`.
    pub reply: CtTuple,
    /// Seconds it lasts.
    pub timeout_s: u32,
    /// Status bits.
    pub status: u32,
    /// TCP state number.
    pub tcp_state: Option<u8>,
    /// Mark.
    pub mark: Option<u32>,
    /// Zone.
    pub zone: Option<u16>,
}

impl ConntrackWriter<'_> {
    /// Deletes exactly this entry: the kernel compares tuple, zone and id. `ENOENT` if it is gone.
    pub fn delete_entry(&mut self, one: &CtListed) -> Result<()> {
        let mut request = header(&one.entry.orig.src);
        write(&mut request, CTA_TUPLE_ORIG, &one.entry.orig, one.orig_zone);
        if let Some(id) = one.id {
            request.be32(CTA_ID, id);
        }
        if let Some(zone) = one.zone {
            request.be16(CTA_ZONE, zone);
        }
        self.order("delete conntrack entry", DELETE, 0, request)
    }

    /// Deletes every expectation of the namespace.
    pub fn flush_expectations(&mut self) -> Result<()> {
        self.order("flush expectations", EXPECT_DELETE, 0, Builder::with_header(&[0; 4]))
    }

    /// Changes an entry. The inverse is the same with the values it had.
    pub fn update(&mut self, one: &CtListed, set: CtSet) -> Result<()> {
        let mut request = header(&one.entry.orig.src);
        write(&mut request, CTA_TUPLE_ORIG, &one.entry.orig, one.orig_zone);
        if let Some(status) = set.status {
            // The kernel refuses to take bits away.
            request.be32(CTA_STATUS, status | one.entry.status);
        }
        if let Some(timeout) = set.timeout_s {
            request.be32(CTA_TIMEOUT, timeout);
        }
        if let Some(mark) = set.mark {
            request.be32(CTA_MARK, mark);
        }
        if let Some(zone) = one.zone {
            request.be16(CTA_ZONE, zone);
        }
        self.order("update conntrack entry", NEW, 0, request)
    }

    /// Makes an entry; `EEXIST` if there is one. The inverse is [`Self::delete_entry`].
    pub fn create(&mut self, new: &CtNew) -> Result<()> {
        let mut request = header(&new.orig.src);
        write(&mut request, CTA_TUPLE_ORIG, &new.orig, None);
        write(&mut request, CTA_TUPLE_REPLY, &new.reply, None);
        request.be32(CTA_STATUS, new.status | CONFIRMED).be32(CTA_TIMEOUT, new.timeout_s);
        if let Some(state) = new.tcp_state {
            request.nest(CTA_PROTOINFO, |info| {
                info.nest(1, |tcp| _ = tcp.u8(1, state));
            });
        }
        if let Some(mark) = new.mark {
            request.be32(CTA_MARK, mark);
        }
        if let Some(zone) = new.zone {
            request.be16(CTA_ZONE, zone);
        }
        self.order("create conntrack entry", NEW, NLM_F_CREATE | NLM_F_EXCL, request)
    }

    fn order(&mut self, what: &str, kind: u16, flags: u16, request: Builder) -> Result<()> {
        let payload = request.finish()?;
        self.socket.ack(kind, flags, &payload).map_err(ChangeError::netlink(what))
    }
}

/// A tuple; ICMP keeps its identifier, type and code where others have ports.
fn write(request: &mut Builder, direction: u16, tuple: &CtTuple, zone: Option<u16>) {
    let (from, to) = if tuple.src.is_ipv4() { (1, 2) } else { (3, 4) };
    request.nest(direction, |nest| {
        nest.nest(1, |ip| _ = ip.ip(from, tuple.src).ip(to, tuple.dst));
        nest.nest(2, |inside| {
            inside.u8(1, tuple.proto);
            let [kind, code] = tuple.dport.to_be_bytes();
            match tuple.proto {
                1 => inside.be16(4, tuple.sport).u8(5, kind).u8(6, code),
                58 => inside.be16(7, tuple.sport).u8(8, kind).u8(9, code),
                _ => inside.be16(2, tuple.sport).be16(3, tuple.dport),
            };
        });
        if let Some(zone) = zone {
            nest.be16(3, zone);
        }
    });
}
