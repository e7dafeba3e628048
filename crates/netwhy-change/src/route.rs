//! Routes (rtnetlink `RTM_NEWROUTE`, uapi `linux/rtnetlink.h`).

use std::net::IpAddr;

use netwhy_facts::{Family, IpNet};
use netwhy_sys::netlink::{NLM_F_CREATE, NLM_F_REPLACE};
use netwhy_wire::netlink::Builder;

use crate::words::{AF_INET, AF_INET6, CREATE, ip, prefix};
use crate::{ChangeError, Result, RouteWriter};

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_NH_ID: u16 = 30;
const RTM_NEWNEXTHOP: u16 = 104;
const NHA_ID: u16 = 1;
const NHA_BLACKHOLE: u16 = 4;
const RTAX_MTU: u16 = 2;
const RTNH_F_ONLINK: u32 = 4;
const RTPROT_STATIC: u8 = 4;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_NOWHERE: u8 = 255;

/// The type of a route, as `ip route` writes it, and its number (`RTN_*`).
pub const TYPES: [(&str, u8); 8] = [
    ("unicast", 1),
    ("local", 2),
    ("broadcast", 3),
    ("anycast", 4),
    ("blackhole", 6),
    ("unreachable", 7),
    ("prohibit", 8),
    ("throw", 9),
];

/// A route to be added or removed.
#[derive(Debug, Clone)]
pub struct Route {
    dst: IpNet,
    kind: u8,
    table: u32,
    via: Option<IpAddr>,
    dev: Option<String>,
    src: Option<IpAddr>,
    metric: Option<u32>,
    mtu: Option<u32>,
    onlink: bool,
    hops: Vec<(Option<IpAddr>, String, u8)>,
    nexthop: Option<u32>,
}

impl Route {
    /// A route to a prefix (`203.0.113.0/24`, `0.0.0.0/0`, `::/0`), unicast, in the main table.
    pub fn to(dst: &str) -> Result<Self> {
        Ok(Self::to_net(prefix(dst)?))
    }

    /// As [`Self::to`].
    #[must_use]
    pub fn to_net(dst: IpNet) -> Self {
        Route {
            dst,
            kind: 1,
            table: 254,
            via: None,
            dev: None,
            src: None,
            metric: None,
            mtu: None,
            onlink: false,
            hops: Vec::new(),
            nexthop: None,
        }
    }

    /// The gateway.
    pub fn via(mut self, gateway: &str) -> Result<Self> {
        self.via = Some(ip(gateway)?);
        Ok(self)
    }

    /// The device.
    #[must_use]
    pub fn dev(mut self, device: &str) -> Self {
        self.dev = Some(device.to_owned());
        self
    }

    /// The preferred source address.
    pub fn src(mut self, address: &str) -> Result<Self> {
        self.src = Some(ip(address)?);
        Ok(self)
    }

    /// The type by its name: `blackhole`, `unreachable`, `prohibit` ...
    pub fn kind(mut self, name: &str) -> Result<Self> {
        let found = TYPES.iter().find(|(word, _)| *word == name);
        self.kind = found.ok_or_else(|| ChangeError::Usage(format!("{name} is not a type of route")))?.1;
        Ok(self)
    }

    /// The table.
    #[must_use]
    pub const fn table(mut self, table: u32) -> Self {
        self.table = table;
        self
    }

    /// The metric.
    #[must_use]
    pub const fn metric(mut self, metric: u32) -> Self {
        self.metric = Some(metric);
        self
    }

    /// The MTU in the route.
    #[must_use]
    pub const fn mtu(mut self, bytes: u32) -> Self {
        self.mtu = Some(bytes);
        self
    }

    /// The gateway is taken to be on the link.
    #[must_use]
    pub const fn onlink(mut self) -> Self {
        self.onlink = true;
        self
    }

    /// One of several next hops.
    pub fn hop(self, gateway: Option<&str>, device: &str) -> Result<Self> {
        self.weighted_hop(gateway, device, 1)
    }

    /// One of several next hops, with its share of the flows (1 to 255).
    pub fn weighted_hop(mut self, gateway: Option<&str>, device: &str, weight: u8) -> Result<Self> {
        self.hops.push((gateway.map(ip).transpose()?, device.to_owned(), weight));
        Ok(self)
    }

    /// A nexthop object in place of gateway and device.
    #[must_use]
    pub const fn nexthop(mut self, id: u32) -> Self {
        self.nexthop = Some(id);
        self
    }

    fn message(&self, writer: &mut RouteWriter<'_>, deleting: bool) -> Result<Builder> {
        let family = if Family::of(&self.dst.addr) == Family::Inet { AF_INET } else { AF_INET6 };
        let scope = match (family, self.kind) {
            (AF_INET, _) if deleting => SCOPE_NOWHERE,
            (AF_INET, 1)
                if self.via.is_none()
                    && self.hops.iter().all(|hop| hop.0.is_none())
                    && self.nexthop.is_none() =>
            {
                SCOPE_LINK
            }
            (AF_INET, 2) => 254,
            _ => SCOPE_UNIVERSE,
        };
        let protocol = if deleting { 0 } else { RTPROT_STATIC };
        // Deleting by what identifies the route; type 0 matches any.
        let mut header = [family, self.dst.len, 0, 0, 0, protocol, scope, self.kind, 0, 0, 0, 0];
        header[4] = u8::try_from(self.table).unwrap_or(0);
        let flags = if self.onlink { RTNH_F_ONLINK } else { 0 };
        header[8..].copy_from_slice(&flags.to_ne_bytes());
        let mut message = Builder::with_header(&header);
        message.ip(RTA_DST, self.dst.addr).u32(RTA_TABLE, self.table);
        if let Some(via) = self.via {
            message.ip(RTA_GATEWAY, via);
        }
        if let Some(dev) = &self.dev {
            message.u32(RTA_OIF, writer.index(dev)?);
        }
        if let Some(src) = self.src {
            message.ip(RTA_PREFSRC, src);
        }
        if let Some(metric) = self.metric {
            message.u32(RTA_PRIORITY, metric);
        }
        if let Some(mtu) = self.mtu {
            message.nest(RTA_METRICS, |metrics| {
                metrics.u32(RTAX_MTU, mtu);
            });
        }
        if let Some(id) = self.nexthop {
            message.u32(RTA_NH_ID, id);
        }
        if !self.hops.is_empty() {
            let mut indexed = Vec::new();
            for (via, dev, weight) in &self.hops {
                indexed.push((*via, writer.index(dev)?, weight.saturating_sub(1)));
            }
            let nest = message.begin(RTA_MULTIPATH);
            for (via, index, extra) in indexed {
                // struct rtnexthop: length, flags, weight - 1, index; then attributes.
                let mut hop = Builder::new();
                if let Some(via) = via {
                    hop.ip(RTA_GATEWAY, via);
                }
                let attributes = hop.finish()?;
                let length = u16::try_from(8 + attributes.len()).unwrap_or(u16::MAX);
                message
                    .raw(&length.to_ne_bytes())
                    .raw(&[0, extra])
                    .raw(&index.to_ne_bytes())
                    .raw(&attributes);
            }
            message.end(nest);
        }
        Ok(message)
    }
}

impl RouteWriter<'_> {
    /// Adds a route; fails if there is one with the same key.
    pub fn route_add(&mut self, route: Route) -> Result<()> {
        let message = route.message(self, false)?;
        self.order(format!("add route {}", route.dst), RTM_NEWROUTE, CREATE, message)
    }

    /// Adds a route or takes the place of the one with the same key.
    pub fn route_replace(&mut self, route: Route) -> Result<()> {
        let message = route.message(self, false)?;
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        self.order(format!("replace route {}", route.dst), RTM_NEWROUTE, flags, message)
    }

    /// Adds a nexthop object that swallows everything (IPv4).
    pub fn nexthop_blackhole(&mut self, id: u32) -> Result<()> {
        // struct nhmsg: family, scope, protocol, reserved, flags.
        let mut message = Builder::with_header(&[AF_INET, 0, RTPROT_STATIC, 0, 0, 0, 0, 0]);
        message.u32(NHA_ID, id).flag(NHA_BLACKHOLE);
        self.order(format!("add nexthop {id}"), RTM_NEWNEXTHOP, CREATE, message)
    }

    /// Removes the first route that fits.
    pub fn route_del(&mut self, route: Route) -> Result<()> {
        let message = route.message(self, true)?;
        self.order(format!("delete route {}", route.dst), RTM_DELROUTE, 0, message)
    }
}
