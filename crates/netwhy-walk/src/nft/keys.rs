//! What `meta`, `ct`, `rt`, `socket` and `fib` expressions read.

use std::net::IpAddr;

use netwhy_facts::route::RouteType;

use crate::bits::Bits;
use crate::fib::{self, Lookup, Query};
use crate::hooks::Hook;
use crate::skb::{CtInfo, CtSlot, Skb};
use crate::walk::Walk;

/// A value, or the reason why the rule does not match (`NFT_BREAK`).
pub(crate) type Value = Option<Bits>;

fn name16(name: &str) -> Bits {
    let mut b = [0u8; 16];
    for (slot, c) in b.iter_mut().zip(name.bytes().take(15)) {
        *slot = c;
    }
    Bits::known(&b)
}

fn host16(v: u16) -> Bits {
    Bits::known(&v.to_ne_bytes())
}

fn octets(a: &IpAddr) -> Vec<u8> {
    match a {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

impl<'a> Walk<'a, '_> {
    /// `meta`: NFT_META_*.
    pub(crate) fn meta(&self, skb: &Skb, hook: &Hook, key: u32) -> Value {
        let dev = |index: Option<u32>| index.and_then(|i| self.w.link(i));
        Some(match key {
            0 => Bits::host32(skb.p.len + if hook.with_link_header && skb.has_mac { 14 } else { 0 }),
            1 => Bits::known(if skb.v6() { &[0x86, 0xdd] } else { &[0x08, 0x00] }),
            2 => Bits::host32(skb.priority),
            3 => Bits::host32(skb.p.mark),
            4 => Bits::host32(hook.iif.unwrap_or(0)),
            5 => Bits::host32(hook.oif.unwrap_or(0)),
            6 => name16(&hook.iif.map(|i| self.w.dev_name(i)).unwrap_or_default()),
            7 => name16(&hook.oif.map(|i| self.w.dev_name(i)).unwrap_or_default()),
            8 => host16(dev(hook.iif)?.hw_type),
            9 => host16(dev(hook.oif)?.hw_type),
            10 | 11 => {
                if !skb.has_sk {
                    return None;
                }
                let id = if key == 10 { skb.p.uid } else { skb.p.gid };
                match id {
                    Some(id) => Bits::host32(id),
                    None => Bits::unknown(
                        4,
                        if key == 10 { "the sender's user id" } else { "the sender's group id" },
                    ),
                }
            }
            12 => Bits::known(&[0]),
            15 => Bits::known(&[if skb.v6() { 10 } else { 2 }]),
            16 => Bits::known(&[skb.p.proto]),
            17 | 18 => {
                let index = if key == 17 { skb.physin.or(hook.iif) } else { skb.physout.or(hook.oif) };
                let master = self.w.link(dev(index)?.master?)?;
                name16(&master.name)
            }
            19 => Bits::known(&[skb.pkttype]),
            20 => Bits::unknown(4, "the CPU that handles the packet"),
            21 | 22 => {
                dev(if key == 21 { hook.iif } else { hook.oif })?;
                Bits::unknown(4, "the device's group")
            }
            23 => {
                if !skb.has_sk {
                    return None;
                }
                Bits::unknown(4, "the sender's net_cls cgroup")
            }
            24 => Bits::unknown(4, "a random number"),
            // No policy applied on this walk.
            25 => Bits::known(&[0]),
            26 => name16(dev(hook.iif)?.kind.as_deref()?),
            27 => name16(dev(hook.oif)?.kind.as_deref()?),
            30 => Bits::unknown(8, "the time of day"),
            31 => Bits::unknown(1, "the day of the week"),
            32 => Bits::unknown(4, "the hour"),
            33 => Bits::host32(self.slave_of_vrf(hook.iif).unwrap_or(0)),
            34 => name16(&self.slave_of_vrf(hook.iif).map(|i| self.w.dev_name(i)).unwrap_or_default()),
            other => Bits::unknown(4, format!("meta key {other}")),
        })
    }

    fn slave_of_vrf(&self, iif: Option<u32>) -> Option<u32> {
        let link = self.w.link(iif?)?;
        let master = self.w.link(link.master?)?;
        master.vrf_table.map(|_| link.index)
    }

    /// `ct`: NFT_CT_*.
    pub(crate) fn ct_key(&self, skb: &Skb, key: u32, dir: Option<u8>) -> Value {
        let conn = match &skb.ct {
            CtSlot::Entry(c) => c,
            slot => {
                // Without an entry only the state has a value.
                return (key == 0).then(|| Bits::host32(if *slot == CtSlot::Untracked { 64 } else { 1 }));
            }
        };
        let tuple = conn.tuple(match dir {
            Some(d) => d != 0,
            None => conn.reply,
        });
        // An address of the other family is not there.
        if (matches!(key, 19 | 20) && skb.v6()) || (matches!(key, 21 | 22) && !skb.v6()) {
            return None;
        }
        Some(match key {
            0 => Bits::host32(match conn.info {
                CtInfo::Established => 2,
                CtInfo::Related => 4,
                CtInfo::New => 8,
            }),
            1 => Bits::known(&[u8::from(conn.reply)]),
            2 => {
                let mut status = conn.entry.status;
                if conn.src_done {
                    status |= 0x80;
                }
                if conn.dst_done {
                    status |= 0x100;
                }
                Bits::host32(status)
            }
            3 if conn.mark_known => Bits::host32(conn.entry.mark),
            3 => Bits::unknown(4, "the connection's mark"),
            5 if conn.fresh => Bits::host32(0),
            5 => Bits::unknown(4, "the connection's remaining lifetime"),
            6 => Bits::unknown(16, "the connection's helper"),
            7 => Bits::known(&[if skb.v6() { 10 } else { 2 }]),
            8 | 19 | 21 => Bits::known(&octets(&tuple.src)),
            9 | 20 | 22 => Bits::known(&octets(&tuple.dst)),
            10 => Bits::known(&[tuple.proto]),
            11 => Bits::known(&tuple.sport.to_be_bytes()),
            12 => Bits::known(&tuple.dport.to_be_bytes()),
            13 => Bits::unknown(16, "the connection's labels"),
            14 => Bits::unknown(8, "the connection's packet count"),
            15 => Bits::unknown(8, "the connection's byte count"),
            16 => Bits::unknown(8, "the connection's bytes per packet"),
            17 => host16(conn.entry.zone),
            other => Bits::unknown(4, format!("ct key {other}")),
        })
    }

    /// `fib`: `result` 1 oif, 2 oifname, 3 type.
    pub(crate) fn fib_key(&self, skb: &Skb, hook: &Hook, result: u32, flags: u32) -> Value {
        let (saddr, mark, by_iif, by_oif, present) =
            (flags & 1 != 0, flags & 4 != 0, flags & 8 != 0, flags & 16 != 0, flags & 32 != 0);
        if saddr && skb.src_unknown {
            return Some(Bits::unknown(if result == 2 { 16 } else { 4 }, "the source address"));
        }
        let addr = if saddr { skb.p.src } else { skb.p.dst };
        let dev = if by_iif {
            hook.iif
        } else if by_oif {
            hook.oif
        } else {
            None
        };
        if result == 3 {
            let kind = self.w.addr_type(&addr, dev);
            let kind = match kind {
                RouteType::Unicast if skb.v6() => match self.fib6_type(&addr) {
                    // Local, but on another device than the one asked for.
                    RouteType::Local if dev.is_some() => RouteType::Unicast,
                    other => other,
                },
                kind => kind,
            };
            return Some(Bits::host32(type_number(kind)));
        }
        let store = |index: Option<u32>| -> Bits {
            if present {
                return Bits::known(&[u8::from(index.is_some())]);
            }
            if result == 2 {
                name16(&index.map(|i| self.w.dev_name(i)).unwrap_or_default())
            } else {
                Bits::host32(index.unwrap_or(0))
            }
        };
        let on_lo = hook.iif.and_then(|i| self.w.link(i)).is_some_and(|l| l.is_loopback());
        if hook.num == 0 && on_lo {
            return Some(store(hook.iif));
        }
        let other = if saddr { skb.p.dst } else { skb.p.src };
        let mut q = Query {
            src: Some(other),
            uid: Some(0),
            tos: skb.p.tos,
            ignore_linkdown: true,
            ..Query::to(addr)
        };
        if mark {
            q.mark = skb.p.mark;
        }
        if saddr && hook.num == 2 && by_iif {
            q.iif = hook.oif;
        }
        if skb.v6() {
            q.oif = dev;
        }
        match fib::lookup(self.w, &q) {
            Lookup::Found(f) if f.route.kind == RouteType::Local => Some(store(None)),
            Lookup::Found(f) => match dev {
                Some(d) if f.hops.iter().any(|h| h.oif == Some(d)) => Some(store(Some(d))),
                Some(_) => Some(store(None)),
                None if f.hops.len() == 1 => Some(store(f.hops.first().and_then(|h| h.oif))),
                None => {
                    Some(Bits::unknown(if result == 2 { 16 } else { 4 }, "which next hop the kernel picks"))
                }
            },
            Lookup::Unknown(why) => Some(Bits::unknown(if result == 2 { 16 } else { 4 }, why)),
            _ => Some(store(None)),
        }
    }

    /// The type of an IPv6 address that is not local: what a lookup answers.
    fn fib6_type(&self, addr: &IpAddr) -> RouteType {
        match fib::lookup(self.w, &Query::to(*addr)) {
            Lookup::Found(f) => f.route.kind,
            Lookup::Denied { kind, .. } => kind,
            _ => RouteType::Unreachable,
        }
    }

    /// `rt`: NFT_RT_*.
    pub(crate) fn rt_key(&self, skb: &Skb, key: u32) -> Value {
        Some(match key {
            0 => Bits::unknown(4, "the route's realm"),
            1 if !skb.v6() => Bits::known(&octets(&skb.nexthop?)),
            2 if skb.v6() => Bits::known(&octets(&skb.nexthop?)),
            1 | 2 => return None,
            3 => Bits::unknown(2, "the route's TCP MSS"),
            4 => Bits::known(&[0]),
            other => Bits::unknown(4, format!("rt key {other}")),
        })
    }

    /// `socket`: NFT_SOCKET_*.
    pub(crate) fn socket_key(&self, skb: &Skb, hook: &Hook, key: u32) -> Value {
        let found = self.find_socket(skb, hook.iif)?;
        Some(match key {
            0 => Bits::unknown(1, "whether the socket is transparent"),
            1 => match found.mark {
                Some(mark) => Bits::host32(mark),
                None => Bits::unknown(4, "the socket's mark"),
            },
            2 => Bits::known(&[u8::from(found.is_wildcard())]),
            _ => Bits::unknown(8, "the socket's cgroup"),
        })
    }
}

/// RTN_* of a type.
pub(crate) fn type_number(kind: RouteType) -> u32 {
    match kind {
        RouteType::Unspec => 0,
        RouteType::Unicast => 1,
        RouteType::Local => 2,
        RouteType::Broadcast => 3,
        RouteType::Anycast => 4,
        RouteType::Multicast => 5,
        RouteType::Blackhole => 6,
        RouteType::Unreachable => 7,
        RouteType::Prohibit => 8,
        RouteType::Throw => 9,
        RouteType::Nat => 10,
        RouteType::Other(n) => n.into(),
    }
}
