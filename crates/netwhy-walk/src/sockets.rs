//! Which socket of this host takes the packet.

use std::net::IpAddr;

use netwhy_facts::socket::Socket;
use netwhy_facts::{Family, Locus, Proto};

use crate::packet::CtHypothesis;
use crate::path::{Action, End, Stage};
use crate::skb::Skb;
use crate::walk::Walk;

/// The IPv4 address inside a mapped one.
fn plain(a: &IpAddr) -> IpAddr {
    match a {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(*a, IpAddr::V4),
        v4 => *v4,
    }
}

/// Whether a socket of this family and address can take packets to `dst`, and whether the address is exact.
fn takes(s: &Socket, dst: &IpAddr) -> Option<bool> {
    let local = plain(&s.local);
    if local.is_unspecified() {
        if s.family == Family::Inet6 {
            // An unspecified IPv6 socket serves IPv4 too unless it says otherwise.
            if dst.is_ipv4() && s.v6only == Some(true) {
                return None;
            }
            return Some(false);
        }
        return dst.is_ipv4().then_some(false);
    }
    (local == *dst).then_some(true)
}

/// The locus of a socket.
pub(crate) fn socket_locus(s: &Socket) -> Locus {
    let owner = s.owners.value().and_then(|o| o.first());
    let remote = (s.rport != 0).then(|| std::net::SocketAddr::new(s.remote, s.rport).to_string());
    Locus::Socket {
        proto: s.proto,
        local: s.local_text(),
        remote,
        inode: s.inode,
        pid: owner.map(|o| o.pid),
        process: owner.map(|o| o.comm.clone()),
    }
}

impl<'a> Walk<'a, '_> {
    fn sockets_of(&self, proto: u8, port: u16) -> impl Iterator<Item = &'a Socket> + use<'a> {
        let want = if proto == 6 { Proto::Tcp } else { Proto::Udp };
        let known = self.w.sockets.map(|s| s.sockets.as_slice()).unwrap_or_default();
        known.iter().filter(move |s| s.proto == want && s.lport == port && s.netns == 0)
    }

    fn device_fits(&self, s: &Socket, iif: Option<u32>) -> bool {
        if s.ifindex == 0 {
            // Without tcp_l3mdev_accept a socket outside of a VRF does not see packets of one.
            return true;
        }
        let vrf = iif.and_then(|i| self.w.vrf_of(i)).map(|v| v.index);
        Some(s.ifindex) == iif || Some(s.ifindex) == vrf
    }

    /// The socket the kernel's lookup would choose for the packet as it is.
    pub(crate) fn find_socket(&self, skb: &Skb, iif: Option<u32>) -> Option<&'a Socket> {
        self.lookup_socket(skb, iif, &skb.p.dst, skb.p.dport)
    }

    fn lookup_socket(&self, skb: &Skb, iif: Option<u32>, dst: &IpAddr, port: u16) -> Option<&'a Socket> {
        let p = &skb.p;
        let connected = |s: &Socket| s.rport != 0;
        let exact_pair =
            |s: &Socket| s.rport == p.sport && plain(&s.remote) == p.src && plain(&s.local) == *dst;
        match p.proto {
            6 => {
                let pair = self.sockets_of(6, port).find(|s| {
                    connected(s)
                        && s.state != "TIME-WAIT"
                        && exact_pair(s)
                        && !skb.src_unknown
                        && self.device_fits(s, iif)
                });
                if pair.is_some() {
                    return pair;
                }
                self.sockets_of(6, port)
                    .filter(|s| s.state == "LISTEN" && self.device_fits(s, iif))
                    .filter_map(|s| takes(s, dst).map(|exact| (exact, s)))
                    .max_by_key(|(exact, s)| (*exact, s.ifindex != 0, s.family == Family::of(dst)))
                    .map(|(_, s)| s)
            }
            17 => self
                .sockets_of(17, port)
                .filter(|s| self.device_fits(s, iif))
                .filter(|s| !connected(s) || (s.rport == p.sport && plain(&s.remote) == p.src))
                .filter_map(|s| takes(s, dst).map(|exact| (exact, s)))
                .max_by_key(|(exact, s)| {
                    let score = u32::from(connected(s)) * 8
                        + u32::from(s.ifindex != 0) * 4
                        + u32::from(s.family == Family::of(dst));
                    (*exact, score)
                })
                .map(|(_, s)| s),
            _ => None,
        }
    }

    /// The end of a packet delivered to this host.
    pub(crate) fn deliver(&mut self, skb: &mut Skb, iif: u32) -> End {
        match skb.p.proto {
            1 | 58 => self.deliver_icmp(skb),
            6 | 17 => self.deliver_transport(skb, iif),
            other => {
                let what = format!("which socket takes protocol {other}");
                self.step(Stage::SocketLookup, what.clone(), None, Action::Unknown { what: what.clone() });
                End::Insufficient { what, locus: None }
            }
        }
    }

    fn deliver_icmp(&mut self, skb: &Skb) -> End {
        let (echo, setting) = if skb.v6() {
            (skb.p.icmp_type == 128, "net.ipv6.icmp.echo_ignore_all")
        } else {
            (skb.p.icmp_type == 8, "net.ipv4.icmp_echo_ignore_all")
        };
        if echo && self.w.sysctl(setting) == Some(1) {
            let locus = Locus::Sysctl { name: setting.into(), value: "1".into() };
            self.step(
                Stage::SocketLookup,
                "echo requests are ignored".into(),
                Some(locus.clone()),
                Action::Drop,
            );
            return End::Dropped { locus };
        }
        let detail = if echo { "the kernel answers echo requests" } else { "taken by the waiting ping" };
        let locus = Locus::Host { detail: detail.into() };
        self.step(Stage::SocketLookup, detail.into(), None, Action::Deliver);
        End::Delivered { locus }
    }

    fn deliver_transport(&mut self, skb: &Skb, iif: u32) -> End {
        let proto = if skb.p.proto == 6 { Proto::Tcp } else { Proto::Udp };
        let assigned = skb.tproxy;
        let (dst, port) = assigned.unwrap_or((skb.p.dst, skb.p.dport));
        let waits = self.waiting.as_ref().is_some_and(|w| {
            (w.src, w.sport) == (skb.p.dst, skb.p.dport) && (w.dst, w.dport) == (skb.p.src, skb.p.sport)
        });
        // A listener takes only what opens a connection; the rest of a connection has a socket of its own.
        let opens = skb.p.proto != 6
            || skb.p.tcp_flags & 0x17 == 0x02
            || (skb.p.ct == CtHypothesis::Established && skb.p.tcp_flags & 0x02 == 0);
        let found = self.lookup_socket(skb, Some(iif), &dst, port).filter(|s| opens || s.state != "LISTEN");
        if let Some(s) = found {
            let twins = self
                .sockets_of(skb.p.proto, port)
                .filter(|o| {
                    o.local == s.local && o.state == s.state && o.rport == s.rport && o.ifindex == s.ifindex
                })
                .count();
            let locus = socket_locus(s);
            let mut text = format!("socket {} {}", proto.name(), s.local_text());
            if twins > 1 {
                text.push_str(&format!(", one of {twins} that share the port"));
            }
            self.step(Stage::SocketLookup, text, Some(locus.clone()), Action::Deliver);
            return End::Delivered { locus };
        }
        if waits {
            let local = std::net::SocketAddr::new(dst, port).to_string();
            let remote = Some(std::net::SocketAddr::new(skb.p.src, skb.p.sport).to_string());
            let locus = Locus::Socket { proto, local, remote, inode: 0, pid: None, process: None };
            self.step(
                Stage::SocketLookup,
                "the socket that asked".into(),
                Some(locus.clone()),
                Action::Deliver,
            );
            return End::Delivered { locus };
        }
        if self.w.sockets.is_none() || (port != self.asked_port && !self.ports_read.contains(&port)) {
            let what = format!("the sockets of port {port} were not read");
            self.step(
                Stage::SocketLookup,
                format!("insufficient information: {what}"),
                None,
                Action::Unknown { what: what.clone() },
            );
            return End::Insufficient { what, locus: None };
        }
        let locus = Locus::MissingListener { proto, address: dst, port };
        let with = if skb.p.proto == 6 {
            "tcp reset".to_string()
        } else if skb.v6() {
            "icmpv6 port-unreachable".to_string()
        } else {
            "icmp port-unreachable".to_string()
        };
        self.step(
            Stage::SocketLookup,
            format!("no {} socket takes {}", proto.name(), std::net::SocketAddr::new(dst, port)),
            Some(locus.clone()),
            Action::Reject { with },
        );
        End::NoSocket { locus }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netwhy_facts::Reading;

    fn listener(local: &str, family: Family, v6only: Option<bool>) -> Socket {
        Socket {
            proto: Proto::Tcp,
            family,
            local: local.parse().unwrap(),
            lport: 80,
            remote: if family == Family::Inet { "0.0.0.0" } else { "::" }.parse().unwrap(),
            rport: 0,
            state: "LISTEN".into(),
            ifindex: 0,
            inode: 1,
            uid: 0,
            cookie: 0,
            rqueue: 0,
            wqueue: 0,
            v6only,
            mark: None,
            cgroup_id: None,
            shutdown: None,
            congestion: None,
            mem: None,
            tcp: None,
            filter: None,
            owners: Reading::NotAsked,
            netns: 0,
        }
    }

    #[test]
    fn an_ipv6_wildcard_serves_ipv4_unless_it_is_v6only() {
        let v4: IpAddr = "198.51.100.1".parse().unwrap();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(takes(&listener("::", Family::Inet6, Some(false)), &v4), Some(false));
        assert_eq!(takes(&listener("::", Family::Inet6, Some(true)), &v4), None);
        assert_eq!(takes(&listener("::", Family::Inet6, Some(true)), &v6), Some(false));
        assert_eq!(takes(&listener("0.0.0.0", Family::Inet, None), &v6), None);
        assert_eq!(takes(&listener("198.51.100.1", Family::Inet, None), &v4), Some(true));
        assert_eq!(takes(&listener("127.0.0.1", Family::Inet, None), &v4), None);
        assert_eq!(takes(&listener("::ffff:198.51.100.1", Family::Inet6, None), &v4), Some(true));
    }
}
