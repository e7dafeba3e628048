//! A node's network, changed through `netwhy-change`: every order goes over a socket that was opened inside
//! the node. What is here only names the node in errors.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use netwhy_change::addr::NODAD;
use netwhy_change::conntrack::ConntrackWriter;
use netwhy_change::ipt::{self, IptRule};
use netwhy_change::nft::{Element, KeyType, Netfilter, NftWriter, Policy, Table};
use netwhy_change::route::Route;
use netwhy_change::rule::Rule;
use netwhy_change::{ChangeError, RouteWriter};
use netwhy_sys::Errno;
use netwhy_sys::bpf::Program;
use netwhy_sys::netlink::Socket;

use crate::error::{LabError, Result};
use crate::node::Node;

/// Joins two nodes with a cable: a device in each, not yet up.
pub fn veth(one: &mut Node, device: &str, other: &Node, peer: &str) -> Result<()> {
    one.write(|writer| writer.veth_add(device, peer, other.netns.as_fd()))?;
    one.steer(device)?;
    other.steer(peer)
}

impl Netfilter for Node {
    type Error = LabError;

    fn socket(&mut self) -> Result<&mut Socket> {
        self.netfilter()
    }
}

/// Methods of [`Node`] that are those of [`RouteWriter`].
macro_rules! route {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $kind:ty),*) -> $returns:ty;)*) => {
        impl Node {$(
            $(#[$doc])*
            pub fn $name(&mut self, $($arg: $kind),*) -> Result<$returns> {
                self.write(|writer| writer.$name($($arg),*))
            }
        )*}
    };
}

route! {
    /// The index of a device.
    index(device: &str) -> u32;
    /// The hardware address of a device.
    hardware_address(device: &str) -> String;
    /// Adds a bridge.
    bridge_add(device: &str) -> ();
    /// Turns the spanning tree of a bridge on or off.
    bridge_stp(device: &str, on: bool) -> ();
    /// Adds a macvlan device in bridge mode.
    macvlan_add(device: &str, lower: &str) -> ();
    /// Adds a vxlan device towards one remote host.
    vxlan_add(device: &str, vni: u32, local: &str, remote: &str, port: u16) -> ();
    /// Removes a device.
    link_del(device: &str) -> ();
    /// Sets a device up.
    link_up(device: &str) -> ();
    /// Sets a device down.
    link_down(device: &str) -> ();
    /// Lets a device ask for hardware addresses, or not.
    link_arp(device: &str, on: bool) -> ();
    /// Sets a device's MTU in bytes.
    link_mtu(device: &str, bytes: u32) -> ();
    /// Makes a device send one segment at a time. Larger ones pass a cable of the lab whatever the MTU at its
    /// other end.
    link_single_segments(device: &str) -> ();
    /// Sets a device's hardware address.
    link_address(device: &str, address: &str) -> ();
    /// Makes a device a port of a bridge, or of none.
    link_master(device: &str, bridge: Option<&str>) -> ();
    /// Sets the state of a bridge port: 0 disabled, 1 listening, 2 learning, 3 forwarding, 4 blocking.
    bridge_port_state(port: &str, state: u8) -> ();
    /// Adds an address with `IFA_F_` flags.
    addr_add_flags(device: &str, address: &str, flags: u32) -> ();
    /// Removes an address.
    addr_del(device: &str, address: &str) -> ();
    /// Adds or changes a neighbour entry.
    neigh_set(device: &str, address: &str, hardware: &str, state: &str) -> ();
    /// Removes a neighbour entry.
    neigh_del(device: &str, address: &str) -> ();
    /// Adds a route; fails if there is one with the same key.
    route_add(route: Route) -> ();
    /// Adds a route or takes the place of the one with the same key.
    route_replace(route: Route) -> ();
    /// Removes the first route that fits.
    route_del(route: Route) -> ();
    /// Adds a nexthop object that swallows everything (IPv4).
    nexthop_blackhole(id: u32) -> ();
    /// Adds a policy rule.
    rule_add(rule: &Rule) -> ();
    /// Removes a policy rule that is like this one in all that is said.
    rule_del(rule: &Rule) -> ();
    /// Adds the clsact qdisc to a device.
    clsact_add(device: &str) -> ();
    /// Removes the filters of a priority; 0 is all of them.
    filter_del(device: &str, at: u32, priority: u16) -> ();
    /// A token bucket as the root qdisc: bytes a second, bytes in the bucket, bytes that may wait.
    tbf_add(device: &str, rate: u32, bucket: u32, limit: u32) -> ();
    /// Removes a qdisc.
    qdisc_del(device: &str, parent: u32) -> ();
}

impl Node {
    /// Writes through the node's route socket, and names the node in an error.
    fn write<T>(&mut self, work: impl FnOnce(&mut RouteWriter<'_>) -> Result<T, ChangeError>) -> Result<T> {
        work(&mut RouteWriter::new(&mut self.route)).map_err(|error| named(&self.name, error))
    }

    /// As [`Self::write`], through its netfilter socket.
    fn write_nft<T>(&mut self, work: impl FnOnce(&mut NftWriter<'_>) -> Result<T, ChangeError>) -> Result<T> {
        Ok(work(&mut NftWriter::new(self.netfilter()?))?)
    }

    fn write_conntrack<T>(
        &mut self,
        work: impl FnOnce(&mut ConntrackWriter<'_>) -> Result<T, ChangeError>,
    ) -> Result<T> {
        let result = work(&mut ConntrackWriter::new(self.netfilter()?));
        result.map_err(|error| named(&self.name, error))
    }

    /// Adds an address (`203.0.113.1/24`); IPv6 without duplicate detection, so that it works at once.
    pub fn addr_add(&mut self, device: &str, address: &str) -> Result<()> {
        self.addr_add_flags(device, address, NODAD)?;
        if address.contains(':') {
            // On a device that is down it does not come into use, and need not.
            self.settle(Duration::from_millis(500));
        }
        Ok(())
    }

    /// Attaches an XDP program in generic mode: it stays until it is taken off.
    pub fn xdp_set(&mut self, device: &str, program: Option<&Program>) -> Result<()> {
        self.write(|writer| writer.xdp_set(device, program.map(AsFd::as_fd)))
    }

    /// Adds a classic BPF filter (direct action) at a device's ingress or egress.
    pub fn filter_bpf_add(&mut self, device: &str, at: u32, priority: u16, program: &Program) -> Result<()> {
        self.write(|writer| writer.filter_bpf_add(device, at, priority, program.as_fd(), "lab"))
    }

    /// Adds an established TCP entry, or a UDP one that has seen an answer, as if the flow were there.
    /// `reply_from` is where answers come from: elsewhere than `destination` under destination NAT.
    pub fn conntrack_add(
        &mut self,
        proto: u8,
        source: SocketAddr,
        destination: SocketAddr,
        reply_from: SocketAddr,
    ) -> Result<()> {
        self.write_conntrack(|writer| writer.add(proto, source, destination, reply_from))
    }

    /// Removes one entry by its original direction.
    pub fn conntrack_del(&mut self, proto: u8, source: SocketAddr, destination: SocketAddr) -> Result<()> {
        self.write_conntrack(|writer| writer.delete(proto, source, destination))
    }

    /// Empties the table.
    pub fn conntrack_flush(&mut self) -> Result<()> {
        self.write_conntrack(|writer| writer.flush())
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

    /// Removes a rule.
    pub fn nft_delete_rule(&mut self, table: Table, name: &str, chain: &str, handle: u64) -> Result<()> {
        self.write_nft(|writer| writer.delete_rule(table, name, chain, handle))
    }

    /// Removes all rules of a chain.
    pub fn nft_flush_chain(&mut self, table: Table, name: &str, chain: &str) -> Result<()> {
        self.write_nft(|writer| writer.flush_chain(table, name, chain))
    }

    /// Removes a table.
    pub fn nft_delete_table(&mut self, table: Table, name: &str) -> Result<()> {
        self.write_nft(|writer| writer.delete_table(table, name))
    }

    /// Changes the policy of a base chain.
    pub fn nft_policy(&mut self, table: Table, name: &str, chain: &str, policy: Policy) -> Result<()> {
        self.write_nft(|writer| writer.policy(table, name, chain, policy))
    }

    /// Removes elements of a set.
    pub fn nft_delete_elements(
        &mut self,
        table: Table,
        name: &str,
        set: &str,
        keys: &[KeyType],
        list: &[Element],
    ) -> Result<()> {
        self.write_nft(|writer| writer.delete_elements(table, name, set, keys, list))
    }

    /// Puts a legacy rule at place `number` (from 1) of a chain, or at its end; returns its place. `command`
    /// is `iptables` or `ip6tables`.
    pub fn ipt_insert(
        &self,
        command: &str,
        table: &str,
        chain: &str,
        number: Option<usize>,
        rule: &IptRule,
    ) -> Result<u32> {
        self.inside(|| Ok(ipt::insert(command, table, chain, number, rule)?))
    }

    /// Removes legacy rule `number` (from 1) of a chain.
    pub fn ipt_delete(&self, command: &str, table: &str, chain: &str, number: usize) -> Result<()> {
        self.inside(|| Ok(ipt::delete(command, table, chain, number)?))
    }

    /// Removes the first legacy rule of a chain that is like this one.
    pub fn ipt_delete_like(&self, command: &str, table: &str, chain: &str, rule: &IptRule) -> Result<()> {
        self.inside(|| Ok(ipt::delete_like(command, table, chain, rule)?))
    }

    /// Sets the policy of a built-in chain of a legacy table.
    pub fn ipt_policy(&self, command: &str, table: &str, chain: &str, accept: bool) -> Result<()> {
        self.inside(|| Ok(ipt::policy(command, table, chain, accept)?))
    }

    /// Adds a chain to a legacy table.
    pub fn ipt_chain(&self, command: &str, table: &str, chain: &str) -> Result<()> {
        self.inside(|| Ok(ipt::new_chain(command, table, chain)?))
    }
}

/// Says in which node a change failed.
fn named(node: &str, error: ChangeError) -> LabError {
    match error {
        ChangeError::Netlink { what, error } => LabError::Netlink { what: format!("{node}: {what}"), error },
        error => error.into(),
    }
}
