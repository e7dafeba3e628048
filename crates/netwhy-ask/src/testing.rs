//! Namespaces with wires between them, for tests. Nothing is left behind: a namespace ends with its last handle.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use netwhy_sys::caps::{self, Capability};
use netwhy_sys::ioctl;
use netwhy_sys::netlink::{NLM_F_CREATE, NLM_F_EXCL, Protocol, Socket};
use netwhy_sys::netns::{self, Netns, NetnsRef};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;

/// A new namespace with loopback up. `None`: not for this user, and said so; with the privilege it must work.
pub(crate) fn namespace() -> Option<Netns> {
    match netns::in_new_netns(|| {
        set_up(1);
        // Link-local addresses are usable at once, without waiting for somebody to object.
        sysctl("net.ipv6.conf.default.accept_dad", "0");
        NetnsRef::Current.open().unwrap()
    }) {
        Ok(namespace) => Some(namespace),
        Err(error) => {
            let able = caps::effective().is_ok_and(|held| held.has(Capability::SysAdmin));
            assert!(!able, "could not make a network namespace: {error}");
            println!("skipped: needs CAP_SYS_ADMIN to make a network namespace ({error})");
            None
        }
    }
}

/// A wire: `name` here and `other` there, both up.
pub(crate) fn wire(here: &Netns, name: &str, there: &Netns, other: &str) {
    here.run(|| {
        // struct ifinfomsg, IFLA_IFNAME, IFLA_LINKINFO { IFLA_INFO_KIND, IFLA_INFO_DATA { VETH_INFO_PEER } }.
        let mut peer = vec![0; 16];
        attribute(&mut peer, 3, format!("{other}\0").as_bytes());
        attribute(&mut peer, 28, &there.as_fd().as_raw_fd().to_ne_bytes());
        let (mut data, mut info, mut link) = (Vec::new(), Vec::new(), vec![0; 16]);
        attribute(&mut data, 1, &peer);
        attribute(&mut info, 1, b"veth\0");
        attribute(&mut info, 2, &data);
        attribute(&mut link, 3, format!("{name}\0").as_bytes());
        attribute(&mut link, 18, &info);
        request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link);
        set_up(ioctl::index_of(name).unwrap());
    })
    .unwrap();
    there.run(|| set_up(ioctl::index_of(other).unwrap())).unwrap();
}

/// `ip link set up`, in the calling thread's namespace.
pub(crate) fn set_up(ifindex: u32) {
    let mut link = vec![0; 16];
    link[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    link[8..12].copy_from_slice(&1u32.to_ne_bytes());
    link[12..16].copy_from_slice(&1u32.to_ne_bytes());
    request(RTM_NEWLINK, 0, &link);
}

/// `ip link set mtu`.
pub(crate) fn set_mtu(dev: &str, mtu: u32) {
    let mut link = vec![0; 16];
    link[4..8].copy_from_slice(&ioctl::index_of(dev).unwrap().to_ne_bytes());
    attribute(&mut link, 4, &mtu.to_ne_bytes());
    request(RTM_NEWLINK, 0, &link);
}

/// `ip address add ADDRESS/PREFIX dev DEV nodad`.
pub(crate) fn address(dev: &str, address: &str, prefix: u8) {
    let address: IpAddr = address.parse().unwrap();
    // IFA_F_NODAD: usable at once.
    let mut payload = vec![family(address), prefix, 2, 0];
    payload.extend(ioctl::index_of(dev).unwrap().to_ne_bytes());
    attribute(&mut payload, 2, &octets(address));
    attribute(&mut payload, 1, &octets(address));
    request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &payload);
}

/// `ip route add DST/PREFIX via GATEWAY`.
pub(crate) fn route(dst: &str, prefix: u8, gateway: &str) {
    let (dst, gateway): (IpAddr, IpAddr) = (dst.parse().unwrap(), gateway.parse().unwrap());
    // struct rtmsg: family, lengths, tos, table main, protocol static, scope universe, unicast.
    let mut payload = vec![family(dst), prefix, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
    attribute(&mut payload, 1, &octets(dst));
    attribute(&mut payload, 5, &octets(gateway));
    request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &payload);
}

/// Writes a setting of the calling thread's namespace, by its name with dots.
pub(crate) fn sysctl(name: &str, value: &str) {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// A client, a router and a server: 198.51.100.1 -- .254 | 203.0.113.254 -- 203.0.113.1, and the same with
/// 2001:db8:1:: and 2001:db8:2::. Devices are `c`, `rc`, `rs`, `s`.
pub(crate) struct Routed {
    pub(crate) client: Netns,
    pub(crate) router: Netns,
    pub(crate) server: Netns,
}

pub(crate) fn routed() -> Option<Routed> {
    let net = Routed { client: namespace()?, router: namespace()?, server: namespace()? };
    wire(&net.client, "c", &net.router, "rc");
    wire(&net.router, "rs", &net.server, "s");
    net.client
        .run(|| {
            address("c", "198.51.100.1", 24);
            address("c", "2001:db8:1::1", 64);
            route("203.0.113.0", 24, "198.51.100.254");
            route("2001:db8:2::", 64, "2001:db8:1::254");
        })
        .unwrap();
    net.router
        .run(|| {
            address("rc", "198.51.100.254", 24);
            address("rc", "2001:db8:1::254", 64);
            address("rs", "203.0.113.254", 24);
            address("rs", "2001:db8:2::254", 64);
            sysctl("net.ipv4.ip_forward", "1");
            sysctl("net.ipv6.conf.all.forwarding", "1");
        })
        .unwrap();
    net.server
        .run(|| {
            address("s", "203.0.113.1", 24);
            address("s", "2001:db8:2::1", 64);
            route("198.51.100.0", 24, "203.0.113.254");
            route("2001:db8:1::", 64, "2001:db8:2::254");
        })
        .unwrap();
    Some(net)
}

fn request(kind: u16, flags: u16, payload: &[u8]) {
    Socket::open(Protocol::Route).unwrap().ack(kind, flags, payload).unwrap();
}

fn attribute(run: &mut Vec<u8>, kind: u16, value: &[u8]) {
    run.extend((4 + value.len() as u16).to_ne_bytes());
    run.extend(kind.to_ne_bytes());
    run.extend(value);
    run.resize(run.len().next_multiple_of(4), 0);
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { 2 } else { 10 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Hands `count` damaged versions of `base` to `use_it`: bytes changed, cut, repeated, in a fixed sequence.
pub(crate) fn mutations(base: &[u8], count: u32, mut use_it: impl FnMut(&[u8])) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below.max(1)
    };
    for _ in 0..count {
        let mut bytes = base.to_vec();
        for _ in 0..=next(3) {
            if bytes.is_empty() {
                break;
            }
            let at = next(bytes.len());
            match next(6) {
                0 => bytes[at] ^= 1 << next(8),
                1 => bytes[at] = next(256) as u8,
                2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xc0, 0xff][next(6)],
                3 => bytes.truncate(at),
                4 => bytes.insert(at, next(256) as u8),
                _ => {
                    let piece = bytes[at..].to_vec();
                    bytes.extend(piece);
                }
            }
        }
        use_it(&bytes);
    }
}

/// Loads a ruleset with nft(8) into the calling thread's namespace. `false`: there is no nft, and said so.
pub(crate) fn nft(rules: &str) -> bool {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let spawned = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            println!("skipped: cannot run nft ({error})");
            return false;
        }
    };
    child.stdin.take().unwrap().write_all(format!("{rules}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    true
}

/// A bridge `name` in `here` with `ports` and one more wire to `other` in `there`. `false`: no bridges on this
/// kernel, and said so.
pub(crate) fn bridge(here: &Netns, name: &str, ports: &[&str], there: &Netns, other: &str) -> bool {
    wire(here, "bp", there, other);
    here.run(|| {
        let (mut info, mut link) = (Vec::new(), vec![0; 16]);
        attribute(&mut info, 1, b"bridge\0");
        attribute(&mut link, 3, format!("{name}\0").as_bytes());
        attribute(&mut link, 18, &info);
        let mut socket = Socket::open(Protocol::Route).unwrap();
        if let Err(error) = socket.ack(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link) {
            println!("skipped: cannot make a bridge ({error})");
            return false;
        }
        let index = ioctl::index_of(name).unwrap();
        set_up(index);
        for port in ports.iter().copied().chain(["bp"]) {
            // IFLA_MASTER.
            let mut link = vec![0; 16];
            link[4..8].copy_from_slice(&ioctl::index_of(port).unwrap().to_ne_bytes());
            attribute(&mut link, 10, &index.to_ne_bytes());
            request(RTM_NEWLINK, 0, &link);
        }
        true
    })
    .unwrap()
}
