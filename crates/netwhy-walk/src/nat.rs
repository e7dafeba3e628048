//! Address and port translation on the tracking entry, and on the packet.

use std::net::IpAddr;

use netwhy_facts::conntrack::CtTuple;

use crate::hooks::{Hook, INPUT, OUTPUT, POSTROUTING, PREROUTING};
use crate::path::{Action, Stage};
use crate::skb::{Conn, CtSlot, Skb, invert, is_icmp};
use crate::walk::Walk;

/// Which end is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manip {
    Src,
    Dst,
}

impl Manip {
    /// HOOK2MANIP.
    pub(crate) fn of_hook(hook: u32) -> Self {
        if matches!(hook, POSTROUTING | INPUT) { Self::Src } else { Self::Dst }
    }
    pub(crate) fn done(self, conn: &Conn) -> bool {
        if self == Self::Src { conn.src_done } else { conn.dst_done }
    }
    pub(crate) fn set_done(self, conn: &mut Conn) {
        if self == Self::Src { conn.src_done = true } else { conn.dst_done = true }
    }
}

/// What a rule asks for (struct nf_nat_range2).
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Range {
    /// NF_NAT_RANGE_*: 1 addresses, 2 ports, 4 random, 8 persistent, 16 fully random, 32 offset, 64 netmap.
    pub(crate) flags: u32,
    pub(crate) addr_min: Option<IpAddr>,
    pub(crate) addr_max: Option<IpAddr>,
    pub(crate) port_min: Option<u16>,
    pub(crate) port_max: Option<u16>,
}

/// NF_NAT_RANGE_NETMAP: the part of the address outside of the range's mask is kept.
fn netmap(old: IpAddr, min: IpAddr, max: IpAddr) -> Option<IpAddr> {
    match (old, min, max) {
        (IpAddr::V4(o), IpAddr::V4(a), IpAddr::V4(b)) => {
            let mask = !(u32::from(a) ^ u32::from(b));
            Some(IpAddr::from(((u32::from(a) & mask) | (u32::from(o) & !mask)).to_be_bytes()))
        }
        (IpAddr::V6(o), IpAddr::V6(a), IpAddr::V6(b)) => {
            let mask = !(u128::from(a) ^ u128::from(b));
            Some(IpAddr::from(((u128::from(a) & mask) | (u128::from(o) & !mask)).to_be_bytes()))
        }
        _ => None,
    }
}

impl<'a> Walk<'a, '_> {
    /// nf_nat_setup_info: fixes the translation of a fresh entry. The error says what cannot be known.
    pub(crate) fn setup_nat(
        &mut self,
        skb: &mut Skb,
        hook: &Hook,
        manip: Manip,
        range: &Range,
    ) -> Result<(), String> {
        if Manip::of_hook(hook.num) != manip {
            return Err("a translation at a hook that does not do it".into());
        }
        let CtSlot::Entry(conn) = &skb.ct else { return Ok(()) };
        if manip.done(conn) {
            return Ok(());
        }
        let mut conn = conn.clone();
        let before = invert(&conn.entry.reply);
        let mut now: CtTuple = before.clone();
        let (addr, port) = match manip {
            Manip::Src => (now.src, now.sport),
            Manip::Dst => (now.dst, now.dport),
        };
        let mut new_addr = addr;
        if let Some(min) = range.addr_min {
            let max = range.addr_max.unwrap_or(min);
            if range.flags & 64 != 0 {
                new_addr = netmap(addr, min, max).ok_or("a translation between families")?;
            } else if min == max {
                new_addr = min;
            } else {
                let inside = in_range(&addr, &min, &max);
                if !inside {
                    self.assume(format!("of the addresses {min}-{max}, the kernel's hash picks {min}"));
                    new_addr = min;
                } else if manip == Manip::Dst {
                    self.assume(format!("of the addresses {min}-{max}, the kernel's hash keeps {addr}"));
                }
            }
            if new_addr.is_ipv4() != addr.is_ipv4() {
                return Err("a translation between families".into());
            }
        }
        let mut new_port = port;
        if let Some(min) = range.port_min
            && !is_icmp(now.proto)
        {
            let max = range.port_max.unwrap_or(min);
            if range.flags & 32 != 0 {
                new_port = min.wrapping_add(port.wrapping_sub(max));
            } else if min == max {
                new_port = min;
            } else if manip == Manip::Dst {
                // A destination is spread over the range; a source keeps its port when it lies inside.
                if !(min..=max).contains(&port) {
                    self.assume(format!("of the ports {min}-{max}, the kernel picks {min}"));
                    new_port = min;
                }
            } else if !(min..=max).contains(&port) {
                new_port = min;
            }
        }
        match manip {
            Manip::Src => (now.src, now.sport) = (new_addr, new_port),
            Manip::Dst => (now.dst, now.dport) = (new_addr, new_port),
        }
        if now != before {
            conn.entry.reply = invert(&now);
            conn.entry.status |= if manip == Manip::Src { 16 } else { 32 };
        }
        manip.set_done(&mut conn);
        skb.ct = CtSlot::Entry(conn);
        Ok(())
    }

    /// nf_nat_packet: applies the entry's translation to the packet at this hook.
    pub(crate) fn nat_packet(&mut self, skb: &mut Skb, manip: Manip) {
        let CtSlot::Entry(conn) = &skb.ct else { return };
        let mut bit = if manip == Manip::Src { 16 } else { 32 };
        if conn.reply {
            bit ^= 48;
        }
        if conn.entry.status & bit == 0 {
            return;
        }
        let target = invert(conn.tuple(!conn.reply));
        let icmp = is_icmp(skb.p.proto);
        let same = match manip {
            Manip::Src => (skb.p.src, skb.p.sport) == (target.src, target.sport),
            Manip::Dst => skb.p.dst == target.dst && (icmp || skb.p.dport == target.dport),
        };
        // On its second pass through loopback the packet has been changed already.
        if same {
            return;
        }
        let what = match manip {
            Manip::Src => {
                let old = end_text(skb.p.src, skb.p.sport, icmp);
                skb.p.src = target.src;
                skb.src_unknown = false;
                skb.p.sport = target.sport;
                format!("source {old} becomes {}", end_text(skb.p.src, skb.p.sport, icmp))
            }
            Manip::Dst => {
                let old = end_text(skb.p.dst, skb.p.dport, icmp);
                skb.p.dst = target.dst;
                if icmp {
                    skb.p.sport = target.sport;
                } else {
                    skb.p.dport = target.dport;
                }
                format!("destination {old} becomes {}", end_text(skb.p.dst, skb.p.dport, icmp))
            }
        };
        self.step(Stage::Nat, what.clone(), None, Action::Changed { what });
    }

    /// Whether the entry moves this packet's destination, which makes a locally made packet be routed again.
    pub(crate) fn nat_moved(&self, skb: &Skb) -> bool {
        match &skb.ct {
            CtSlot::Entry(c) => c.tuple(c.reply).dst != c.tuple(!c.reply).src,
            _ => false,
        }
    }

    /// The address masquerading takes: the one of the outgoing device toward the next hop.
    pub(crate) fn masquerade_address(&mut self, skb: &Skb, hook: &Hook) -> Option<IpAddr> {
        let oif = hook.oif?;
        let toward = skb.nexthop.unwrap_or(skb.p.dst);
        if skb.v6() {
            crate::routing::select_addr6(self, oif, &skb.p.dst)
        } else {
            crate::routing::select_addr4(self, oif, Some(toward).filter(IpAddr::is_ipv4), 0)
        }
    }

    /// The address `redirect` sends to: loopback for packets made here, the arriving device's own otherwise.
    pub(crate) fn redirect_address(&mut self, skb: &Skb, hook: &Hook) -> Option<IpAddr> {
        if hook.num == OUTPUT {
            return Some(if skb.v6() {
                IpAddr::from(std::net::Ipv6Addr::LOCALHOST)
            } else {
                IpAddr::from(std::net::Ipv4Addr::LOCALHOST)
            });
        }
        if hook.num != PREROUTING {
            return None;
        }
        let iif = hook.iif?;
        let mut own = self.w.addresses().iter().filter(|a| a.ifindex == iif && a.addr.is_ipv6() == skb.v6());
        if skb.v6() {
            let link_local = matches!(skb.p.dst, IpAddr::V6(d) if d.segments()[0] & 0xffc0 == 0xfe80);
            let usable = |a: &&netwhy_facts::address::Address| {
                !a.is_tentative() && !a.is_dadfailed() && (a.scope == 253) == link_local
            };
            return own.find(usable).map(|a| a.addr);
        }
        own.next().map(|a| a.addr)
    }
}

fn in_range(a: &IpAddr, min: &IpAddr, max: &IpAddr) -> bool {
    match (a, min, max) {
        (IpAddr::V4(a), IpAddr::V4(b), IpAddr::V4(c)) => (b..=c).contains(&a),
        (IpAddr::V6(a), IpAddr::V6(b), IpAddr::V6(c)) => (b..=c).contains(&a),
        _ => false,
    }
}

fn end_text(addr: IpAddr, port: u16, icmp: bool) -> String {
    if icmp { addr.to_string() } else { std::net::SocketAddr::new(addr, port).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netmap_keeps_the_host_part() {
        let ip = |s: &str| s.parse::<IpAddr>().unwrap();
        assert_eq!(
            netmap(ip("198.51.100.77"), ip("203.0.113.0"), ip("203.0.113.255")),
            Some(ip("203.0.113.77"))
        );
        assert_eq!(netmap(ip("198.51.100.77"), ip("::"), ip("::1")), None);
    }
}
