//! Routes of all tables (RTM_GETROUTE), and next to it the rules, nexthops and answers.

mod fib;
mod nexthop;
mod rule;

use std::net::IpAddr;
use std::ops::ControlFlow;

use netwhy_facts::route::{Hop, Route, RouteType, Routes};
use netwhy_facts::{Family, IpNet, Reading};
use netwhy_sys::netlink::Protocol;
use netwhy_wire::netlink::{Attribute, AttributeError, Attributes, Fixed, Problem};

pub use fib::{Answer, decode_answer};
pub use nexthop::decode_nexthop;
pub use rule::decode_rule;

use crate::collector::Collector;
use crate::decode::{Decoded, header, structure};
use crate::error::CollectError;

const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
/// `struct rtmsg`.
const HEADER: usize = 12;
/// Routes kept per family. A table of the whole Internet is not needed to answer for one flow.
const BOUND: usize = 5_000;
/// `USER_HZ`: the unit of times the kernel gives to user space, whatever it runs at itself.
pub(crate) const USER_HZ: u32 = 100;

pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_INET6: u8 = 10;

impl Collector {
    /// Routes of all tables and both families; at most 5,000 each, and then not called complete.
    pub fn routes(&self) -> Reading<Routes> {
        self.routes_bounded(BOUND)
    }

    /// As [`Self::routes`], with another bound per family.
    pub fn routes_bounded(&self, bound: usize) -> Reading<Routes> {
        Self::reading("RTM_GETROUTE", "access to the network namespace", || {
            let mut routes = Routes { routes: Vec::new(), complete: true };
            for family in [AF_INET, AF_INET6] {
                let mut request = [0; HEADER];
                request[0] = family;
                let wrong = CollectError::attribute("RTM_GETROUTE");
                let result = self.dump_bounded(
                    Protocol::Route,
                    RTM_GETROUTE,
                    &request,
                    |all: &mut Vec<Route>, kind, payload| {
                        if kind == RTM_NEWROUTE
                            && let Some(route) = decode_route(payload).map_err(&wrong)?
                        {
                            if all.len() == bound {
                                return Ok(ControlFlow::Break(()));
                            }
                            all.push(route);
                        }
                        Ok(ControlFlow::Continue(()))
                    },
                );
                match result {
                    Ok((found, complete)) => {
                        routes.routes.extend(found);
                        routes.complete &= complete;
                    }
                    // A kernel without IPv6 has no IPv6 routes, and that is all of them.
                    Err(error) if family == AF_INET6 && lacks_family(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(routes)
        })
    }
}

/// Whether the kernel has no such family (it was built or booted without IPv6).
pub(crate) fn lacks_family(error: &CollectError) -> bool {
    error.errno().is_some_and(|errno| errno.is_unsupported())
}

/// One route from an RTM_NEWROUTE message (uapi `linux/rtnetlink.h`, RTA_*); `None` if it is neither IPv4 nor
/// IPv6, or a cached copy (RTM_F_CLONED) that old kernels put into listings.
pub fn decode_route(payload: &[u8]) -> Decoded<Option<Route>> {
    let fixed = header(payload, HEADER)?;
    if fixed.u32(8).unwrap_or(0) & RTM_F_CLONED != 0 {
        return Ok(None);
    }
    Ok(decode_any_route(payload)?.map(|decoded| decoded.route))
}

/// `RTM_F_CLONED`.
const RTM_F_CLONED: u32 = 0x200;

/// A route and what only an answer to a question has.
pub(crate) struct AnyRoute {
    pub(crate) route: Route,
    /// `rta_error` of RTA_CACHEINFO, positive.
    pub(crate) error: i32,
}

pub(crate) fn decode_any_route(payload: &[u8]) -> Decoded<Option<AnyRoute>> {
    let fixed = header(payload, HEADER)?;
    let family = match fixed.u8(0) {
        Some(AF_INET) => Family::Inet,
        Some(AF_INET6) => Family::Inet6,
        _ => return Ok(None),
    };
    let byte = |offset| fixed.u8(offset).unwrap_or(0);
    let (dst_len, src_len) = (byte(1), byte(2));
    let flags = fixed.u32(8).unwrap_or(0);
    let mut route = Route {
        family,
        dst: IpNet { addr: IpNet::any(family).addr, len: dst_len.min(family.bits()) },
        src: None,
        // RTA_TABLE, when there, holds numbers beyond a byte.
        table: byte(4).into(),
        kind: RouteType::from_number(byte(7)),
        scope: byte(6),
        protocol: byte(5),
        priority: 0,
        tos: byte(3),
        prefsrc: None,
        hops: Vec::new(),
        nhid: None,
        mtu: None,
        advmss: None,
        flags,
        encap: None,
        pref: None,
        expires_s: None,
    };
    let mut hop = Hop { oif: None, gateway: None, weight: 1, flags: flags & 0xff };
    let mut error = 0;
    for attribute in Attributes::after(payload, HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            1 => route.dst = IpNet::new(address(&attribute, family)?, dst_len),
            2 => route.src = Some(IpNet::new(address(&attribute, family)?, src_len)),
            4 => hop.oif = Some(attribute.u32()?),
            5 => hop.gateway = Some(address(&attribute, family)?),
            6 => route.priority = attribute.u32()?,
            7 => route.prefsrc = Some(address(&attribute, family)?),
            8 => metrics(&attribute, &mut route)?,
            9 => route.hops = multipath(&attribute, family)?,
            12 => {
                let cache = structure(&attribute, 16)?;
                let expires = cache.i32(8).unwrap_or(0);
                route.expires_s = u32::try_from(expires).ok().filter(|t| *t > 0).map(|t| t / USER_HZ);
                error = cache.i32(12).unwrap_or(0).saturating_abs();
            }
            15 => route.table = attribute.u32()?,
            18 => hop.gateway = via(&attribute)?,
            20 => route.pref = Some(attribute.u8()?),
            21 => route.encap = Some(attribute.u16()?),
            30 => route.nhid = Some(attribute.u32()?),
            _ => {}
        }
    }
    let single = hop.oif.is_some() || hop.gateway.is_some();
    let delivers = !matches!(
        route.kind,
        RouteType::Blackhole | RouteType::Unreachable | RouteType::Prohibit | RouteType::Throw
    );
    // IPv6 writes the loopback device into routes that refuse; nothing goes there.
    if !delivers {
        route.hops.clear();
    } else if route.hops.is_empty() && single {
        route.hops.push(hop);
    }
    Ok(Some(AnyRoute { route, error }))
}

/// An address that must be of the route's family.
fn address(attribute: &Attribute<'_>, family: Family) -> Decoded<IpAddr> {
    match family {
        Family::Inet => attribute.ipv4().map(IpAddr::V4),
        Family::Inet6 => attribute.ipv6().map(IpAddr::V6),
    }
}

/// RTA_VIA, `struct rtvia`: a family number and an address of that family, for a gateway of the other one.
fn via(attribute: &Attribute<'_>) -> Decoded<Option<IpAddr>> {
    let fixed = structure(attribute, 2)?;
    let short = |want| AttributeError {
        kind: attribute.kind,
        offset: attribute.offset,
        problem: Problem::Length { want, got: attribute.payload.len() },
    };
    match fixed.u16(0) {
        Some(2) => Ok(Some(IpAddr::from(fixed.array::<4>(2).ok_or_else(|| short(6))?))),
        Some(10) => Ok(Some(IpAddr::from(fixed.array::<16>(2).ok_or_else(|| short(18))?))),
        _ => Ok(None),
    }
}

/// RTA_METRICS: RTAX_MTU and RTAX_ADVMSS.
fn metrics(nest: &Attribute<'_>, route: &mut Route) -> Decoded<()> {
    for attribute in nest.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            2 => route.mtu = Some(attribute.u32()?),
            8 => route.advmss = Some(attribute.u32()?),
            _ => {}
        }
    }
    Ok(())
}

/// RTA_MULTIPATH: `struct rtnexthop` {u16 length, u8 flags, u8 weight - 1, i32 device} and attributes, repeated.
fn multipath(attribute: &Attribute<'_>, family: Family) -> Decoded<Vec<Hop>> {
    const NEXTHOP: usize = 8;
    let broken = |declared, available| AttributeError {
        kind: attribute.kind,
        offset: attribute.offset,
        problem: Problem::Truncated { declared, available },
    };
    let mut rest = attribute.payload;
    let mut hops = Vec::new();
    while !rest.is_empty() {
        let fixed = Fixed(rest);
        let declared = usize::from(fixed.u16(0).unwrap_or(0));
        let one = rest.get(..declared).filter(|_| declared >= NEXTHOP);
        let one = one.ok_or_else(|| broken(declared, rest.len()))?;
        let mut hop = Hop {
            oif: fixed.u32(4).filter(|index| *index != 0),
            gateway: None,
            weight: u32::from(fixed.u8(3).unwrap_or(0)) + 1,
            flags: fixed.u8(2).unwrap_or(0).into(),
        };
        for inner in Attributes::after(one, NEXTHOP) {
            let inner = inner?;
            match inner.kind {
                5 => hop.gateway = Some(address(&inner, family)?),
                18 => hop.gateway = via(&inner)?,
                _ => {}
            }
        }
        hops.push(hop);
        rest = rest.get(declared.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Ok(hops)
}
