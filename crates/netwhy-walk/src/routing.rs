//! Routing decisions: for packets made here (with the choice of a source) and for packets that arrive
//! (with the checks of their source), compared with the kernel's own answers.

use std::net::IpAddr;

use netwhy_facts::route::{FibAnswer, FibKey, FibResult, FibRoute, RouteType};
use netwhy_facts::{Family, IpNet, Locus};

use crate::fib::{self, Found, Lookup, Query};
use crate::packet::Packet;
use crate::path::{Action, End, Stage};
use crate::skb::Skb;
use crate::walk::Walk;

/// The route attached to a packet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dst {
    pub(crate) kind: DstKind,
    pub(crate) oif: u32,
    /// For a local destination the device that holds it: what a socket bound to a device is held against.
    pub(crate) held_by: u32,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) mtu: Option<u32>,
    pub(crate) prefsrc: Option<IpAddr>,
    pub(crate) locus: Option<Locus>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DstKind {
    Local,
    Unicast,
    /// Broadcast and multicast: delivered here and sent.
    Many,
}

/// The FIB question of a packet made here.
pub(crate) fn output_key(p: &Packet) -> FibKey {
    let ports = p.proto == 6 || p.proto == 17;
    FibKey {
        dst: p.dst,
        src: (!p.src.is_unspecified()).then_some(p.src),
        iif: None,
        oif: p.oif,
        mark: p.mark,
        uid: p.uid,
        tos: p.tos,
        ip_proto: Some(p.proto),
        sport: ports.then_some(p.sport),
        dport: ports.then_some(p.dport),
    }
}

/// The FIB question of a packet that arrives.
pub(crate) fn input_key(p: &Packet, iif: u32) -> FibKey {
    FibKey { iif: Some(iif), oif: None, uid: None, ..output_key(p) }
}

fn query(key: &FibKey) -> Query {
    Query {
        dst: key.dst,
        src: key.src,
        iif: key.iif,
        oif: key.oif,
        mark: key.mark,
        // What arrives counts as the superuser's.
        uid: if key.iif.is_some() { Some(0) } else { key.uid },
        tos: key.tos,
        proto: key.ip_proto,
        sport: key.sport,
        dport: key.dport,
        ignore_linkdown: false,
    }
}

/// errno of a denying route or rule.
fn errno_of(kind: RouteType, by_rule: bool) -> &'static str {
    match kind {
        RouteType::Blackhole => "EINVAL",
        RouteType::Prohibit => "EACCES",
        _ if by_rule => "ENETUNREACH",
        _ => "EHOSTUNREACH",
    }
}

impl<'a> Walk<'a, '_> {
    /// The kernel's own answer to a question, when the collector asked it. Remembers the question.
    fn kernel_answer(&mut self, key: &FibKey) -> Option<&'a FibAnswer> {
        if !self.keys.contains(key) {
            self.keys.push(key.clone());
        }
        self.w.fib.and_then(|f| f.find(key))
    }

    /// Routes a packet made here. `None` in the error place of `reroute` keeps the source fixed.
    pub(crate) fn route_output(&mut self, skb: &mut Skb, stage_text: &str) -> Result<Dst, End> {
        let key = output_key(&skb.p);
        let answer = self.kernel_answer(&key);
        let own = self.own_output(&key);
        let decided = match answer {
            Some(answer) => self.merge_output(&key, own, answer),
            None => own,
        };
        let dst = match decided.and_then(|dst| self.loopback_stays(&key, dst)) {
            Ok(dst) => dst,
            Err(stop) => return Err(self.unroutable(stop, &key)),
        };
        if skb.p.src.is_unspecified()
            && let Some(src) = dst.prefsrc
        {
            skb.p.src = src;
        }
        let mut text = format!("{stage_text}{}", self.dst_text(&dst));
        if skb.p.src.is_unspecified() {
            text.push_str(", no source address");
        } else {
            text.push_str(&format!(", source {}", skb.p.src));
        }
        self.step(Stage::Routing, text, dst.locus.clone(), Action::Pass);
        skb.nexthop = Some(dst.gateway.unwrap_or(skb.p.dst));
        skb.mtu = dst.mtu;
        Ok(dst)
    }

    /// A loopback source leaves only through loopback, unless the device allows it.
    fn loopback_stays(&self, key: &FibKey, dst: Dst) -> Result<Dst, Stop> {
        let looped = matches!(key.src, Some(IpAddr::V4(a)) if a.is_loopback());
        if !looped || self.w.link(dst.oif).is_none_or(|l| l.is_loopback()) {
            return Ok(dst);
        }
        let dev = self.w.dev_name(dst.oif);
        if self.w.conf4_max(&dev, "route_localnet") != 0 {
            return Ok(dst);
        }
        let name = format!("net.ipv4.conf.{}.route_localnet", dev.replace('.', "/"));
        Err(Stop::Error { error: "EINVAL".into(), locus: Some(Locus::Sysctl { name, value: "0".into() }) })
    }

    /// The route in words.
    pub(crate) fn dst_text(&self, dst: &Dst) -> String {
        let via = dst.gateway.map(|g| format!(" via {g}")).unwrap_or_default();
        match dst.kind {
            DstKind::Local => format!("local, dev {}", self.w.dev_name(dst.oif)),
            _ => format!("route{via} dev {}", self.w.dev_name(dst.oif)),
        }
    }

    fn unroutable(&mut self, stop: Stop, key: &FibKey) -> End {
        match stop {
            Stop::Unknown(what) => {
                self.step(
                    Stage::Routing,
                    format!("insufficient information: {what}"),
                    None,
                    Action::Unknown { what: what.clone() },
                );
                End::Insufficient { what, locus: None }
            }
            Stop::Error { error, locus } => {
                let locus = locus.unwrap_or(Locus::MissingRoute { table: 254, dst: key.dst });
                self.step(
                    Stage::Routing,
                    format!("no way to {}: {error}", key.dst),
                    Some(locus.clone()),
                    Action::Reject { with: error.clone() },
                );
                End::Unroutable { locus, error }
            }
        }
    }

    fn own_output(&mut self, key: &FibKey) -> Result<Dst, Stop> {
        let family = Family::of(&key.dst);
        if let (Some(src), Family::Inet) = (key.src, family)
            && self.w.addresses.is_some()
            && self.w.holder(&src).is_none()
            && !self.w.is_local(&src)
        {
            return Err(Stop::Error {
                error: "EINVAL".into(),
                locus: Some(Locus::MissingAddress { address: src }),
            });
        }
        if let Some(oif) = key.oif {
            match self.w.link(oif) {
                Some(link) if !link.is_up() => {
                    return Err(Stop::Error {
                        error: "ENETUNREACH".into(),
                        locus: Some(Locus::Link { dev: link.name.clone(), index: oif }),
                    });
                }
                None if self.w.links.is_some() => {
                    return Err(Stop::Error { error: "ENODEV".into(), locus: None });
                }
                _ => {}
            }
        }
        match fib::lookup(self.w, &query(key)) {
            Lookup::Found(found) => Ok(self.dst_of(key, found)),
            Lookup::Unknown(what) => Err(Stop::Unknown(what)),
            // A bound IPv4 socket without a route takes its target to be on the link.
            Lookup::None { .. } | Lookup::Denied { .. }
                if family == Family::Inet && key.oif.is_some_and(|o| self.w.vrf_of(o).is_none()) =>
            {
                let oif = key.oif.unwrap_or_default();
                self.assume(format!(
                    "bound to {} without a route to {}: the kernel takes it to be on the link",
                    self.w.dev_name(oif),
                    key.dst
                ));
                let prefsrc = key.src.or_else(|| select_addr4(self, oif, None, 253));
                Ok(Dst {
                    kind: DstKind::Unicast,
                    oif,
                    held_by: oif,
                    gateway: None,
                    mtu: None,
                    prefsrc,
                    locus: None,
                })
            }
            Lookup::None { table } => Err(Stop::Error {
                error: "ENETUNREACH".into(),
                locus: Some(Locus::MissingRoute { table, dst: key.dst }),
            }),
            Lookup::Denied { kind, locus, by_rule } => {
                Err(Stop::Error { error: errno_of(kind, by_rule).into(), locus: Some(locus) })
            }
        }
    }

    /// The destination a found route gives, with the source the kernel would choose.
    fn dst_of(&mut self, key: &FibKey, found: Found<'a>) -> Dst {
        let Found { route, hops } = found;
        let locus = Some(fib::route_locus(self.w, route));
        let hop = if hops.len() > 1 {
            let names: Vec<String> = hops.iter().map(|h| fib::route_text(self.w, route, Some(h))).collect();
            let n = self.choose(
                hops.len(),
                format!("which next hop of {} the kernel's hash picks ({})", route.dst, names.join(", ")),
                locus.clone(),
                Stage::Routing,
            );
            hops.get(n).cloned()
        } else {
            hops.first().cloned()
        };
        let oif = hop.as_ref().and_then(|h| h.oif).or(key.oif).unwrap_or_else(|| self.w.lo());
        let gateway = hop.as_ref().and_then(|h| h.gateway);
        match route.kind {
            RouteType::Local | RouteType::Anycast => {
                let prefsrc = route.prefsrc.or(Some(key.dst));
                let out = self.w.vrf_of(oif).map_or_else(|| self.w.lo(), |v| v.index);
                Dst { kind: DstKind::Local, oif: out, held_by: oif, gateway: None, mtu: None, prefsrc, locus }
            }
            _ => {
                let prefsrc = key.src.or(route.prefsrc).or_else(|| match key.dst {
                    IpAddr::V4(_) => select_addr4(self, oif, gateway.filter(IpAddr::is_ipv4), route.scope),
                    IpAddr::V6(_) => select_addr6(self, oif, &key.dst),
                });
                let many = matches!(route.kind, RouteType::Broadcast | RouteType::Multicast);
                Dst {
                    kind: if many { DstKind::Many } else { DstKind::Unicast },
                    oif,
                    held_by: oif,
                    gateway,
                    mtu: route.mtu,
                    prefsrc,
                    locus,
                }
            }
        }
    }

    /// Puts the kernel's answer in the place of our own, and says so when they differ.
    fn merge_output(
        &mut self,
        key: &FibKey,
        own: Result<Dst, Stop>,
        answer: &FibAnswer,
    ) -> Result<Dst, Stop> {
        match &answer.result {
            FibResult::Route(r) => {
                let kernel = self.dst_of_answer(key, r);
                match own {
                    Ok(own) => {
                        if own.oif != kernel.oif || own.gateway != kernel.gateway || own.kind != kernel.kind {
                            self.assume(format!(
                                "the kernel answers {} for {}, the tables as read say {}",
                                self.dst_text(&kernel),
                                key.dst,
                                self.dst_text(&own)
                            ));
                            return Ok(kernel);
                        }
                        Ok(Dst { locus: own.locus.or(kernel.locus.clone()), ..kernel })
                    }
                    Err(stop) => {
                        if !matches!(stop, Stop::Unknown(_)) {
                            self.assume(format!(
                                "the kernel answers {} for {}, the tables as read say {}",
                                self.dst_text(&kernel),
                                key.dst,
                                stop.words()
                            ));
                        }
                        Ok(kernel)
                    }
                }
            }
            FibResult::Error { name, .. } => {
                let locus = match &own {
                    Err(Stop::Error { error, locus }) if error == name => locus.clone(),
                    Err(Stop::Unknown(_)) => None,
                    other => {
                        let ours = match other {
                            Ok(d) => self.dst_text(d),
                            Err(s) => s.words(),
                        };
                        self.assume(format!(
                            "the kernel answers {name} for {}, the tables as read say {ours}",
                            key.dst
                        ));
                        None
                    }
                };
                Err(Stop::Error { error: name.clone(), locus })
            }
        }
    }

    fn dst_of_answer(&self, key: &FibKey, r: &FibRoute) -> Dst {
        let kind = match r.kind {
            RouteType::Local | RouteType::Anycast => DstKind::Local,
            RouteType::Broadcast | RouteType::Multicast => DstKind::Many,
            _ => DstKind::Unicast,
        };
        let locus = r.matched.as_ref().map(|m| fib::route_locus(self.w, m)).or_else(|| {
            Some(Locus::Route {
                table: r.table,
                dst: IpNet::new(key.dst, Family::of(&key.dst).bits()),
                dev: r.oif.map(|i| self.w.dev_name(i)),
                gateway: r.gateway,
                route_type: r.kind.name(),
                metric: 0,
            })
        });
        let oif = r.oif.unwrap_or_else(|| self.w.lo());
        let oif = if kind == DstKind::Local && key.iif.is_none() && self.w.vrf_of(oif).is_none() {
            self.w.lo()
        } else {
            oif
        };
        let held_by = self.w.holder(&key.dst).map_or(oif, |a| a.ifindex);
        Dst {
            kind,
            oif,
            held_by,
            gateway: r.gateway,
            mtu: r.mtu,
            prefsrc: key.src.or(r.prefsrc).or((kind == DstKind::Local).then_some(key.dst)),
            locus,
        }
    }

    /// Routes a packet that arrived on `iif`: local, forwarded, or the end of it.
    pub(crate) fn route_input(&mut self, skb: &mut Skb, iif: u32) -> Result<Dst, End> {
        let decided = if skb.v6() { self.own_input6(skb, iif) } else { self.own_input4(skb, iif) };
        let key = input_key(&skb.p, iif);
        if !skb.src_unknown
            && let Some(answer) = self.kernel_answer(&key)
        {
            self.compare_input(&key, &decided, answer);
        }
        let dst = match decided {
            Ok(dst) => dst,
            Err(stop) => {
                let (text, action) = match &stop {
                    End::Unroutable { error, .. } => {
                        (format!("refused: {error}"), Action::Reject { with: error.clone() })
                    }
                    End::Insufficient { what, .. } => {
                        (format!("insufficient information: {what}"), Action::Unknown { what: what.clone() })
                    }
                    End::Dropped { locus } => {
                        (format!("dropped by {}", crate::text::locus_text(locus)), Action::Drop)
                    }
                    other => (crate::text::end_text(other), Action::Drop),
                };
                let locus = match &stop {
                    End::Unroutable { locus, .. } | End::Dropped { locus } => Some(locus.clone()),
                    _ => None,
                };
                let rp = matches!(&locus, Some(Locus::Sysctl { name, .. }) if name.ends_with("rp_filter"));
                self.step(if rp { Stage::RpFilter } else { Stage::Routing }, text, locus, action);
                return Err(stop);
            }
        };
        let text = self.dst_text(&dst);
        self.step(Stage::Routing, text, dst.locus.clone(), Action::Pass);
        skb.nexthop = Some(dst.gateway.unwrap_or(skb.p.dst));
        skb.mtu = dst.mtu;
        Ok(dst)
    }

    fn compare_input(&mut self, key: &FibKey, own: &Result<Dst, End>, answer: &FibAnswer) {
        let kernel = match &answer.result {
            FibResult::Route(r) => Ok(self.dst_of_answer(key, r)),
            FibResult::Error { name, .. } => Err(name.clone()),
        };
        let differ = match (&kernel, own) {
            (Ok(k), Ok(o)) => {
                k.kind != o.kind || (o.kind == DstKind::Unicast && (k.oif != o.oif || k.gateway != o.gateway))
            }
            (Err(_), Err(_)) => false,
            (_, Err(End::Insufficient { .. })) => false,
            _ => true,
        };
        if differ {
            let kernel = match &kernel {
                Ok(k) => self.dst_text(k),
                Err(e) => e.clone(),
            };
            let own = match own {
                Ok(o) => self.dst_text(o),
                Err(e) => crate::text::end_text(e),
            };
            self.assume(format!(
                "the kernel answers {kernel} for a packet from {} to {}, the tables as read say {own}",
                key.src.map(|s| s.to_string()).unwrap_or_default(),
                key.dst
            ));
        }
    }

    fn own_input4(&mut self, skb: &Skb, iif: u32) -> Result<Dst, End> {
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (skb.p.src, skb.p.dst) else {
            return Err(End::Insufficient { what: "mixed families".into(), locus: None });
        };
        let dev = self.w.dev_name(iif);
        let sysctl_end = |name: String, value: i64| End::Dropped {
            locus: Locus::Sysctl { name, value: value.to_string() },
        };
        let martian = |address: IpAddr, dev: &str| End::Dropped {
            locus: Locus::Address { dev: dev.to_string(), address, prefix: 32 },
        };
        let known_src = !skb.src_unknown;
        if known_src && (src.is_multicast() || src.is_broadcast() || src.octets()[0] == 0) {
            return Err(martian(skb.p.src, &dev));
        }
        if dst.is_broadcast() {
            return Ok(Dst {
                kind: DstKind::Local,
                oif: iif,
                held_by: iif,
                gateway: None,
                mtu: None,
                prefsrc: None,
                locus: None,
            });
        }
        if dst.octets()[0] == 0 {
            return Err(martian(skb.p.dst, &dev));
        }
        let is_lo = self.w.link(iif).is_some_and(|l| l.is_loopback());
        let localnet = self.w.conf4_max(&dev, "route_localnet");
        if (dst.is_loopback() || (known_src && src.is_loopback())) && localnet == 0 && !is_lo {
            return Err(sysctl_end(format!("net.ipv4.conf.{}.route_localnet", dev.replace('.', "/")), 0));
        }
        let mut key = input_key(&skb.p, iif);
        if skb.src_unknown {
            key.src = None;
        }
        let forwarding = self.w.conf(Family::Inet, &dev, "forwarding");
        let off = forwarding == Some(0);
        let forward_off = |w: &crate::world::World<'_>| {
            let name = if w.sysctl("net.ipv4.ip_forward") == Some(0) {
                "net.ipv4.ip_forward".to_string()
            } else {
                format!("net.ipv4.conf.{}.forwarding", dev.replace('.', "/"))
            };
            End::Unroutable {
                locus: Locus::Sysctl { name, value: "0".into() },
                error: "not forwarded (dropped silently)".into(),
            }
        };
        let found = match fib::lookup(self.w, &query(&key)) {
            Lookup::Found(found) => found,
            Lookup::Unknown(what) => return Err(End::Insufficient { what, locus: None }),
            // With forwarding off every failed lookup is one of an address that is not here.
            Lookup::None { .. } | Lookup::Denied { .. } if off => return Err(forward_off(self.w)),
            Lookup::None { table } => {
                return Err(End::Unroutable {
                    locus: Locus::MissingRoute { table, dst: key.dst },
                    error: "icmp net-unreachable".into(),
                });
            }
            Lookup::Denied { kind, locus, by_rule } => {
                return Err(match kind {
                    RouteType::Blackhole => End::Dropped { locus },
                    RouteType::Prohibit => End::Unroutable { locus, error: "icmp admin-prohibited".into() },
                    _ if by_rule => End::Unroutable { locus, error: "icmp net-unreachable".into() },
                    _ => End::Unroutable { locus, error: "icmp host-unreachable".into() },
                });
            }
        };
        if found.route.kind == RouteType::Broadcast {
            self.validate_source(skb, iif, None)?;
            let locus = Some(fib::route_locus(self.w, found.route));
            return Ok(Dst {
                kind: DstKind::Local,
                oif: iif,
                held_by: iif,
                gateway: None,
                mtu: None,
                prefsrc: None,
                locus,
            });
        }
        if found.route.kind == RouteType::Local {
            self.validate_source(skb, iif, None)?;
            return Ok(self.dst_of(&key, found));
        }
        if off {
            return Err(forward_off(self.w));
        }
        if forwarding.is_none() {
            self.assume(format!("whether {dev} forwards was not read; taken as yes"));
        }
        if found.route.kind != RouteType::Unicast {
            return Err(End::Dropped { locus: fib::route_locus(self.w, found.route) });
        }
        let dst = self.dst_of(&key, found);
        self.validate_source(skb, iif, Some(dst.oif))?;
        Ok(dst)
    }

    /// fib_validate_source: reverse path filter and own addresses as a source.
    fn validate_source(&mut self, skb: &Skb, iif: u32, oif: Option<u32>) -> Result<(), End> {
        if skb.src_unknown {
            self.assume("the source is not named (--from): reverse path filtering was not evaluated".into());
            return Ok(());
        }
        let dev = self.w.dev_name(iif);
        let dev_key = dev.replace('.', "/");
        let all = self.w.conf(Family::Inet, "all", "rp_filter").unwrap_or(0);
        let own = self.w.conf(Family::Inet, &dev, "rp_filter").unwrap_or(0);
        let rpf = all.max(own);
        let rp_name = if all >= own {
            "net.ipv4.conf.all.rp_filter".to_string()
        } else {
            format!("net.ipv4.conf.{dev_key}.rp_filter")
        };
        let accept_local = self.w.conf4_max(&dev, "accept_local") != 0;
        let local_src = End::Dropped {
            locus: Locus::Sysctl { name: format!("net.ipv4.conf.{dev_key}.accept_local"), value: "0".into() },
        };
        let redirects = self.w.conf4_max(&dev, "send_redirects") != 0;
        let custom_rules = self.w.rules.is_some_and(|r| {
            r.0.iter().any(|r| {
                r.family == Family::Inet
                    && !matches!(
                        (r.priority, r.action),
                        (0, netwhy_facts::route::RuleAction::Table(255))
                            | (32766, netwhy_facts::route::RuleAction::Table(254))
                            | (32767, netwhy_facts::route::RuleAction::Table(253))
                    )
            })
        });
        if rpf == 0 && (oif != Some(iif) || !redirects) {
            if accept_local {
                return Ok(());
            }
            if !custom_rules && !self.custom_local_routes() {
                return if self.w.holder(&skb.p.src).is_some() { Err(local_src) } else { Ok(()) };
            }
        }
        let vmark = self.w.conf4_max(&dev, "src_valid_mark") != 0;
        let mut q = Query {
            src: Some(skb.p.dst),
            iif: oif,
            mark: if vmark { skb.p.mark } else { 0 },
            uid: Some(0),
            tos: skb.p.tos,
            ..Query::to(skb.p.src)
        };
        if custom_rules {
            let ports = skb.p.proto == 6 || skb.p.proto == 17;
            q.proto = Some(skb.p.proto);
            q.sport = ports.then_some(skb.p.dport);
            q.dport = ports.then_some(skb.p.sport);
        }
        let rp_end = End::Dropped { locus: Locus::Sysctl { name: rp_name, value: rpf.to_string() } };
        let no_addr = !self.w.addresses().iter().any(|a| a.ifindex == iif && a.addr.is_ipv4());
        match fib::lookup(self.w, &q) {
            Lookup::Unknown(what) => return Err(End::Insufficient { what, locus: None }),
            Lookup::None { .. } | Lookup::Denied { .. } => {
                return if rpf != 0 { Err(rp_end) } else { Ok(()) };
            }
            Lookup::Found(found) => {
                match found.route.kind {
                    RouteType::Unicast => {}
                    RouteType::Local if accept_local => {}
                    _ => return Err(local_src),
                }
                if found.hops.iter().any(|h| h.oif == Some(iif)) {
                    return Ok(());
                }
                if no_addr {
                    return if rpf != 0 { Err(rp_end) } else { Ok(()) };
                }
                if rpf == 1 {
                    return Err(rp_end);
                }
            }
        }
        Ok(())
    }

    /// Local routes beyond those the kernel makes for addresses.
    fn custom_local_routes(&self) -> bool {
        self.w.routes.is_some_and(|r| {
            r.routes.iter().any(|r| {
                r.family == Family::Inet && r.kind == RouteType::Local && (r.table != 255 || r.protocol != 2)
            })
        })
    }

    fn own_input6(&mut self, skb: &Skb, iif: u32) -> Result<Dst, End> {
        let (IpAddr::V6(src), IpAddr::V6(dst)) = (skb.p.src, skb.p.dst) else {
            return Err(End::Insufficient { what: "mixed families".into(), locus: None });
        };
        let dev = self.w.dev_name(iif);
        let is_lo = self.w.link(iif).is_some_and(|l| l.is_loopback());
        let bad = |address: IpAddr| End::Dropped {
            locus: Locus::Address { dev: dev.clone(), address, prefix: 128 },
        };
        if !is_lo && (dst.is_loopback() || (!skb.src_unknown && src.is_loopback())) {
            return Err(bad(if dst.is_loopback() { skb.p.dst } else { skb.p.src }));
        }
        if !skb.src_unknown && src.is_multicast() {
            return Err(bad(skb.p.src));
        }
        if self.w.conf(Family::Inet6, &dev, "disable_ipv6") == Some(1) {
            return Err(End::Dropped {
                locus: Locus::Sysctl {
                    name: format!("net.ipv6.conf.{}.disable_ipv6", dev.replace('.', "/")),
                    value: "1".into(),
                },
            });
        }
        let mut key = input_key(&skb.p, iif);
        if skb.src_unknown {
            key.src = None;
        }
        if dst.is_multicast() {
            return Ok(Dst {
                kind: DstKind::Local,
                oif: iif,
                held_by: iif,
                gateway: None,
                mtu: None,
                prefsrc: None,
                locus: None,
            });
        }
        let found = match fib::lookup(self.w, &query(&key)) {
            Lookup::Found(found) => found,
            Lookup::Unknown(what) => return Err(End::Insufficient { what, locus: None }),
            Lookup::None { table } => {
                return Err(End::Unroutable {
                    locus: Locus::MissingRoute { table, dst: key.dst },
                    error: "icmpv6 no-route".into(),
                });
            }
            Lookup::Denied { kind, locus, .. } => {
                return Err(match kind {
                    RouteType::Blackhole => End::Dropped { locus },
                    RouteType::Prohibit => End::Unroutable { locus, error: "icmpv6 admin-prohibited".into() },
                    _ => End::Unroutable { locus, error: "icmpv6 no-route".into() },
                });
            }
        };
        if found.route.kind == RouteType::Local || found.route.kind == RouteType::Anycast {
            return Ok(self.dst_of(&key, found));
        }
        let all = self.w.conf(Family::Inet6, "all", "forwarding");
        let force = self.w.conf(Family::Inet6, &dev, "force_forwarding").unwrap_or(0);
        if all == Some(0) && force == 0 {
            return Err(End::Unroutable {
                locus: Locus::Sysctl { name: "net.ipv6.conf.all.forwarding".into(), value: "0".into() },
                error: "not forwarded (dropped silently)".into(),
            });
        }
        if all.is_none() {
            self.assume("whether IPv6 is forwarded was not read; taken as yes".into());
        }
        Ok(self.dst_of(&key, found))
    }
}

/// Why there is no route.
#[derive(Debug, Clone)]
pub(crate) enum Stop {
    Error { error: String, locus: Option<Locus> },
    Unknown(String),
}

impl Stop {
    fn words(&self) -> String {
        match self {
            Self::Error { error, .. } => error.clone(),
            Self::Unknown(what) => what.clone(),
        }
    }
}

/// inet_select_addr: the primary address of the device that shares the gateway's subnet, else its first, else any.
pub(crate) fn select_addr4(
    walk: &Walk<'_, '_>,
    oif: u32,
    toward: Option<IpAddr>,
    scope: u8,
) -> Option<IpAddr> {
    let usable =
        |a: &&netwhy_facts::address::Address| a.addr.is_ipv4() && !a.is_secondary() && a.scope <= scope;
    let own: Vec<_> = walk.w.addresses().iter().filter(|a| a.ifindex == oif).filter(usable).collect();
    if let Some(to) = toward
        && let Some(a) = own.iter().find(|a| IpNet::new(a.peer.unwrap_or(a.addr), a.prefix).contains(&to))
    {
        return Some(a.addr);
    }
    if let Some(a) = own.first() {
        return Some(a.addr);
    }
    // Another device of the same layer-3 domain lends its address.
    let domain = walk.w.vrf_of(oif).map(|v| v.index);
    walk.w
        .addresses()
        .iter()
        .filter(|a| a.scope != 253 && walk.w.vrf_of(a.ifindex).map(|v| v.index) == domain)
        .find(usable)
        .map(|a| a.addr)
}

/// RFC 6724 source selection over this host's addresses, as far as facts say.
pub(crate) fn select_addr6(walk: &Walk<'_, '_>, oif: u32, dst: &IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(dst) = dst else { return None };
    let dst_scope = scope6(dst);
    let mut best: Option<([i64; 6], std::net::Ipv6Addr)> = None;
    for a in walk.w.addresses() {
        let IpAddr::V6(addr) = a.addr else { continue };
        if (a.is_tentative() && !a.is_optimistic()) || a.is_dadfailed() {
            continue;
        }
        let scope = scope6(&addr);
        if oif != 0 && a.ifindex != oif && (dst_scope <= 2 || scope <= 2) {
            continue;
        }
        // Rules 1, 2, 3, 5, 6, 8 in order; larger is better.
        let rule2 = if scope >= dst_scope { 100 - i64::from(scope) } else { i64::from(scope) - 100 };
        let score = [
            i64::from(addr == *dst),
            rule2,
            i64::from(!a.is_deprecated()),
            i64::from(a.ifindex == oif),
            i64::from(label6(&addr) == label6(dst)),
            i64::from((u128::from(addr) ^ u128::from(*dst)).leading_zeros().min(a.prefix.into())),
        ];
        if best.as_ref().is_none_or(|(b, _)| score > *b) {
            best = Some((score, addr));
        }
    }
    best.map(|(_, a)| IpAddr::V6(a))
}

fn scope6(a: &std::net::Ipv6Addr) -> u8 {
    if a.is_multicast() {
        return a.octets()[1] & 0x0f;
    }
    if a.is_loopback() || (a.segments()[0] & 0xffc0) == 0xfe80 {
        return 2;
    }
    if (a.segments()[0] & 0xffc0) == 0xfec0 { 5 } else { 14 }
}

fn label6(a: &std::net::Ipv6Addr) -> u8 {
    let s = a.segments();
    match s {
        [0, 0, 0, 0, 0, 0, 0, 1] => 0,
        [0, 0, 0, 0, 0, 0xffff, ..] => 4,
        [0, 0, 0, 0, 0, 0, ..] => 3,
        [0x2002, ..] => 2,
        [0x2001, 0, ..] => 5,
        [0x3ffe, ..] => 12,
        [x, ..] if x & 0xfe00 == 0xfc00 => 13,
        [x, ..] if x & 0xffc0 == 0xfec0 => 11,
        _ => 1,
    }
}
