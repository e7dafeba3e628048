//! What tests that need namespaces share.

use std::os::fd::{AsFd, AsRawFd};

use crate::caps;
use crate::ioctl;
use crate::netlink::{NLM_F_CREATE, NLM_F_EXCL, Protocol, Socket};
use crate::netns;

/// What became of a test that needs a network namespace of its own.
pub(crate) enum NewNet<T> {
    Here(T),
    Skipped,
}

/// Runs `test` in a network namespace that lives as long as it does. Without the privilege to make one the
/// test is skipped, and says so; as root with full capabilities a skip is a failure.
pub(crate) fn new_netns<T: Send>(test: impl FnOnce() -> T + Send) -> NewNet<T> {
    match netns::in_new_netns(test) {
        Ok(value) => NewNet::Here(value),
        Err(error) => {
            let able = caps::effective().is_ok_and(|held| held.has(caps::Capability::SysAdmin));
            assert!(!able, "could not make a network namespace: {error}");
            println!("skipped: needs CAP_SYS_ADMIN to make a network namespace ({error})");
            NewNet::Skipped
        }
    }
}

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;

/// Appends one netlink attribute.
pub(crate) fn attribute(run: &mut Vec<u8>, kind: u16, value: &[u8]) {
    run.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
    run.extend_from_slice(&kind.to_ne_bytes());
    run.extend_from_slice(value);
    run.resize(run.len().next_multiple_of(4), 0);
}

/// The request for a veth pair: IFLA_IFNAME, IFLA_LINKINFO { IFLA_INFO_KIND "veth", IFLA_INFO_DATA {
/// VETH_INFO_PEER { ifinfomsg, IFLA_IFNAME } } }.
pub(crate) fn veth(name: &str, peer: &str) -> Vec<u8> {
    let mut other = vec![0; 16];
    attribute(&mut other, 3, format!("{peer}\0").as_bytes());
    let mut data = Vec::new();
    attribute(&mut data, 1, &other);
    let mut info = Vec::new();
    attribute(&mut info, 1, b"veth\0");
    attribute(&mut info, 2, &data);
    let mut payload = vec![0; 16];
    attribute(&mut payload, 3, format!("{name}\0").as_bytes());
    attribute(&mut payload, 18, &info);
    payload
}

/// Makes a veth pair, both ends up. Returns both numbers.
pub(crate) fn make_veth(name: &str, peer: &str) -> (u32, u32) {
    let mut socket = Socket::open(Protocol::Route).unwrap();
    socket.ack(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &veth(name, peer)).unwrap();
    let ends = (ioctl::index_of(name).unwrap(), ioctl::index_of(peer).unwrap());
    set_up(ends.0);
    set_up(ends.1);
    ends
}

/// Moves a device to another namespace (IFLA_NET_NS_FD).
pub(crate) fn move_link(ifindex: u32, to: &netns::Netns) {
    change_link(ifindex, 28, &to.as_fd().as_raw_fd().to_ne_bytes());
}

/// Sets a device's MTU (IFLA_MTU).
pub(crate) fn set_mtu(ifindex: u32, mtu: u32) {
    change_link(ifindex, 4, &mtu.to_ne_bytes());
}

fn change_link(ifindex: u32, kind: u16, value: &[u8]) {
    let mut payload = vec![0; 16];
    payload[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    attribute(&mut payload, kind, value);
    Socket::open(Protocol::Route).unwrap().ack(RTM_NEWLINK, 0, &payload).unwrap();
}

/// `ip route add default via`: struct rtmsg, RTA_GATEWAY.
pub(crate) fn add_default_route(gateway: [u8; 4]) {
    // Family, prefix lengths, service, table main, protocol boot, scope universe, unicast, flags.
    let mut payload = vec![libc::AF_INET as u8, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    attribute(&mut payload, 5, &gateway);
    Socket::open(Protocol::Route).unwrap().ack(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &payload).unwrap();
}

/// `ip link set up`: struct ifinfomsg with flag and change mask IFF_UP.
pub(crate) fn set_up(ifindex: u32) {
    let mut payload = vec![0; 16];
    payload[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    payload[8..12].copy_from_slice(&1u32.to_ne_bytes());
    payload[12..16].copy_from_slice(&1u32.to_ne_bytes());
    Socket::open(Protocol::Route).unwrap().ack(RTM_NEWLINK, 0, &payload).unwrap();
}

/// `ip address add`, IPv4: struct ifaddrmsg, IFA_LOCAL and IFA_ADDRESS.
pub(crate) fn add_address(ifindex: u32, address: [u8; 4], prefix: u8) {
    let mut payload = vec![libc::AF_INET as u8, prefix, 0, 0];
    payload.extend_from_slice(&ifindex.to_ne_bytes());
    attribute(&mut payload, 2, &address);
    attribute(&mut payload, 1, &address);
    Socket::open(Protocol::Route).unwrap().ack(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &payload).unwrap();
}
