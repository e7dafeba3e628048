//! The shapes of network the cases use. Addresses come from the documentation ranges only.
//!
//! Every shape has IPv4 and IPv6, and a service named `web` that repeats what it hears on TCP and UDP port
//! 8080 of `server`.

use crate::error::Result;
use crate::lab::Lab;
use netwhy_change::nft::{Hook, Nft, Table};
use netwhy_change::route::Route;

/// A shape of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// `client` 203.0.113.1 — `server` 203.0.113.2, one cable; 2001:db8:1::1 and ::2.
    TwoHosts,
    /// `client` 198.51.100.2 — `router` — `server` 203.0.113.2; 2001:db8:1::2 and 2001:db8:2::2.
    ClientRouterServer,
    /// `client` 198.51.100.2 — `near` 192.0.2.1 — `far` 192.0.2.2 — `server` 203.0.113.2; the middle is
    /// 2001:db8:3::/64.
    TwoRouters,
    /// `client` 198.51.100.2 behind `router`, which masquerades IPv4 to 203.0.113.1; `server` 203.0.113.2
    /// knows no way to 198.51.100.0/24.
    NatGateway,
    /// `client` 203.0.113.1, `server` .2 and `other` .3 on the bridge `br0` of `switch`.
    Bridge,
}

/// The service every topology has.
const WEB: [&str; 2] = ["tcp://[::]:8080", "udp://[::]:8080"];

impl Topology {
    /// Builds it, with everything working.
    pub fn build(self, lab: &mut Lab) -> Result<()> {
        match self {
            Topology::TwoHosts => two_hosts(lab)?,
            Topology::ClientRouterServer => client_router_server(lab)?,
            Topology::TwoRouters => two_routers(lab)?,
            Topology::NatGateway => nat_gateway(lab)?,
            Topology::Bridge => bridge(lab)?,
        }
        lab.serve("server", "web", "echo", &WEB)?;
        lab.settle()
    }

    /// The name people read.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Topology::TwoHosts => "two hosts",
            Topology::ClientRouterServer => "client, router, server",
            Topology::TwoRouters => "two routers",
            Topology::NatGateway => "NAT gateway",
            Topology::Bridge => "bridge with three hosts",
        }
    }
}

/// Gives a device an IPv4 and an IPv6 address.
fn addresses(lab: &mut Lab, node: &str, device: &str, v4: &str, v6: &str) -> Result<()> {
    let node = lab.node(node)?;
    node.addr_add(device, v4)?;
    node.addr_add(device, v6)
}

/// Sets a node's default routes.
fn defaults(lab: &mut Lab, node: &str, v4: &str, v6: &str) -> Result<()> {
    let node = lab.node(node)?;
    node.route_add(Route::to("0.0.0.0/0")?.via(v4)?)?;
    node.route_add(Route::to("::/0")?.via(v6)?)
}

fn forwarding(lab: &mut Lab, node: &str) -> Result<()> {
    let node = lab.node(node)?;
    node.sysctl("net.ipv4.ip_forward", "1")?;
    node.sysctl("net.ipv6.conf.all.forwarding", "1")
}

fn two_hosts(lab: &mut Lab) -> Result<()> {
    lab.add_node("client")?;
    lab.add_node("server")?;
    lab.cable(("client", "eth0"), ("server", "eth0"))?;
    addresses(lab, "client", "eth0", "203.0.113.1/24", "2001:db8:1::1/64")?;
    addresses(lab, "server", "eth0", "203.0.113.2/24", "2001:db8:1::2/64")
}

fn client_router_server(lab: &mut Lab) -> Result<()> {
    routed(lab)?;
    defaults(lab, "server", "203.0.113.1", "2001:db8:2::1")
}

/// Client, router and server, where the server knows only its own network.
fn routed(lab: &mut Lab) -> Result<()> {
    for node in ["client", "router", "server"] {
        lab.add_node(node)?;
    }
    forwarding(lab, "router")?;
    lab.cable(("client", "eth0"), ("router", "eth0"))?;
    lab.cable(("router", "eth1"), ("server", "eth0"))?;
    addresses(lab, "client", "eth0", "198.51.100.2/24", "2001:db8:1::2/64")?;
    addresses(lab, "router", "eth0", "198.51.100.1/24", "2001:db8:1::1/64")?;
    addresses(lab, "router", "eth1", "203.0.113.1/24", "2001:db8:2::1/64")?;
    addresses(lab, "server", "eth0", "203.0.113.2/24", "2001:db8:2::2/64")?;
    defaults(lab, "client", "198.51.100.1", "2001:db8:1::1")
}

fn nat_gateway(lab: &mut Lab) -> Result<()> {
    routed(lab)?;
    lab.node("server")?.route_add(Route::to("::/0")?.via("2001:db8:2::1")?)?;
    Nft::new(Table::Ip, "nat")
        .nat("postrouting", Hook::Postrouting, 100)
        .rule("postrouting", |r| r.oif("eth1").masquerade())
        .commit(lab.node("router")?)?;
    Ok(())
}

fn two_routers(lab: &mut Lab) -> Result<()> {
    for node in ["client", "near", "far", "server"] {
        lab.add_node(node)?;
    }
    forwarding(lab, "near")?;
    forwarding(lab, "far")?;
    lab.cable(("client", "eth0"), ("near", "eth0"))?;
    lab.cable(("near", "eth1"), ("far", "eth0"))?;
    lab.cable(("far", "eth1"), ("server", "eth0"))?;
    addresses(lab, "client", "eth0", "198.51.100.2/24", "2001:db8:1::2/64")?;
    addresses(lab, "near", "eth0", "198.51.100.1/24", "2001:db8:1::1/64")?;
    addresses(lab, "near", "eth1", "192.0.2.1/24", "2001:db8:3::1/64")?;
    addresses(lab, "far", "eth0", "192.0.2.2/24", "2001:db8:3::2/64")?;
    addresses(lab, "far", "eth1", "203.0.113.1/24", "2001:db8:2::1/64")?;
    addresses(lab, "server", "eth0", "203.0.113.2/24", "2001:db8:2::2/64")?;
    defaults(lab, "client", "198.51.100.1", "2001:db8:1::1")?;
    defaults(lab, "server", "203.0.113.1", "2001:db8:2::1")?;
    let near = lab.node("near")?;
    near.route_add(Route::to("203.0.113.0/24")?.via("192.0.2.2")?)?;
    near.route_add(Route::to("2001:db8:2::/64")?.via("2001:db8:3::2")?)?;
    let far = lab.node("far")?;
    far.route_add(Route::to("198.51.100.0/24")?.via("192.0.2.1")?)?;
    far.route_add(Route::to("2001:db8:1::/64")?.via("2001:db8:3::1")?)
}

fn bridge(lab: &mut Lab) -> Result<()> {
    lab.add_node("switch")?;
    let switch = lab.node("switch")?;
    switch.bridge_add("br0")?;
    switch.link_up("br0")?;
    for (number, name) in [(1, "client"), (2, "server"), (3, "other")] {
        lab.add_node(name)?;
        let port = format!("port{number}");
        lab.cable((name, "eth0"), ("switch", &port))?;
        lab.node("switch")?.link_master(&port, Some("br0"))?;
        let (v4, v6) = (format!("203.0.113.{number}/24"), format!("2001:db8:1::{number}/64"));
        addresses(lab, name, "eth0", &v4, &v6)?;
    }
    Ok(())
}
