//! The network of the test: a host `m` whose kernel is asked, and the outside `w` that holds the other ends
//! of its three cables. Packets go in as frames or from m's own sockets; what comes out is captured.

use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netwhy_sys::ioctl;
use netwhy_sys::netns::{self, Netns, NetnsRef};
use netwhy_sys::packet::{Capture, Config, Direction, Layer, Sender};
use netwhy_sys::socket::{ListenOptions, listen_tcp, listen_udp};
use netwhy_wire::packet::ethernet::Ethernet;

/// m's devices and, in the same order, their peers outside.
pub(crate) const INSIDE: [&str; 3] = ["in0", "out0", "out1"];
pub(crate) const OUTSIDE: [&str; 3] = ["c0", "s0", "s1"];
/// EtherType of the frames that prove that everything before them was handled.
const SENTINEL: u16 = 0x88b5;

/// Addresses of m: device, address, prefix.
pub(crate) const OWN: [(&str, &str); 6] = [
    ("in0", "198.51.100.1/24"),
    ("out0", "203.0.113.1/26"),
    ("out1", "203.0.113.65/26"),
    ("in0", "2001:db8:1::1/64"),
    ("out0", "2001:db8:2::1/64"),
    ("out1", "2001:db8:3::1/64"),
];
/// Hosts outside: index of the device they are behind, address.
pub(crate) const HOSTS: [(usize, &str); 13] = [
    (0, "198.51.100.2"),
    (0, "198.51.100.3"),
    (0, "198.51.100.77"),
    (1, "203.0.113.2"),
    (1, "203.0.113.3"),
    (2, "203.0.113.66"),
    (2, "203.0.113.67"),
    (0, "2001:db8:1::2"),
    (0, "2001:db8:1::77"),
    (1, "2001:db8:2::2"),
    (1, "2001:db8:2::3"),
    (2, "2001:db8:3::2"),
    (2, "2001:db8:3::3"),
];

/// Runs a program on a script in the calling thread's namespace; panics with what it said.
pub(crate) fn tool(program: &str, args: &[&str], script: &str) {
    if let Err(said) = try_tool(program, args, script) {
        panic!("{program} {args:?}: {said}\n{script}");
    }
}

/// As `tool`, with the error for the caller.
pub(crate) fn try_tool(program: &str, args: &[&str], script: &str) -> Result<(), String> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    child.stdin.take().unwrap().write_all(script.as_bytes()).map_err(|e| e.to_string())?;
    let out = child.wait_with_output().map_err(|e| e.to_string())?;
    if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
}

pub(crate) fn sysctl(name: &str, value: &str) {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    // What an older kernel lacks does not matter to the test.
    if std::path::Path::new(&path).exists() {
        std::fs::write(&path, value).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
}

/// A frame that was captured outside.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    /// Index into `OUTSIDE`.
    pub(crate) at: usize,
    /// From the network header on.
    pub(crate) packet: Vec<u8>,
}

/// Sockets that wait in m.
pub(crate) struct Services {
    #[allow(dead_code, reason = "they only have to be there")]
    tcp: Vec<TcpListener>,
    pub(crate) udp: Vec<UdpSocket>,
}

pub(crate) struct Field {
    pub(crate) m: Netns,
    w: Netns,
    macs: [[u8; 6]; 3],
    peer_macs: [[u8; 6]; 3],
    captures: Vec<Capture>,
    /// Frames from outside into m.
    senders: Vec<Sender>,
    /// Frames from m's devices outward, for sentinels.
    sentinels: Vec<Sender>,
    pub(crate) services: Services,
    round: u32,
}

fn mac_of(dev: &str) -> [u8; 6] {
    let text = std::process::Command::new("ip").args(["-o", "link", "show", dev]).output().unwrap().stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    let mac = text.split("link/ether ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let bytes: Vec<u8> = mac.split(':').map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

impl Field {
    /// Builds it. Everything ends with the handles.
    pub(crate) fn build() -> Result<Self, netwhy_sys::SysError> {
        let m = netns::in_new_netns(|| NetnsRef::Current.open())??;
        let w = netns::in_new_netns(|| NetnsRef::Current.open())??;
        let pid = std::process::id();
        // The outside's namespace by a path that `ip` can open: a descriptor of this process.
        let fd = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&w));
        let outside = format!("/proc/{pid}/fd/{fd}");
        m.run(|| {
            sysctl("net.ipv6.conf.all.addr_gen_mode", "1");
            sysctl("net.ipv6.conf.default.addr_gen_mode", "1");
            sysctl("net.ipv6.conf.default.accept_dad", "0");
            let mut script = String::from("link set lo up\n");
            for (a, b) in INSIDE.iter().zip(OUTSIDE) {
                script.push_str(&format!(
                    "link add {a} type veth peer name {b}\nlink set {b} netns {outside}\n"
                ));
                script.push_str(&format!("link set {a} up\n"));
            }
            tool("ip", &["-batch", "-"], &script);
        })?;
        let peer_macs = w.run(|| {
            let mut script = String::new();
            for dev in OUTSIDE {
                sysctl(&format!("net.ipv6.conf.{dev}.disable_ipv6"), "1");
                sysctl(&format!("net.ipv4.conf.{dev}.arp_ignore"), "8");
                script.push_str(&format!("link set {dev} up\n"));
            }
            tool("ip", &["-batch", "-"], &script);
            OUTSIDE.map(mac_of)
        })?;
        let macs = m.run(|| {
            let mut script = String::new();
            for (dev, address) in OWN {
                let nodad = if address.contains("::") { " nodad" } else { "" };
                script.push_str(&format!("addr add {address} dev {dev}{nodad}\n"));
            }
            for (at, host) in HOSTS {
                let mac = peer_macs[at].map(|b| format!("{b:02x}")).join(":");
                let dev = INSIDE[at];
                script.push_str(&format!("neigh add {host} lladdr {mac} dev {dev} nud permanent\n"));
            }
            // The way back to the client, whatever main says: see `routes`.
            script.push_str("route add 198.51.100.0/24 dev in0 table 99\n");
            script.push_str("route add 2001:db8:1::/64 dev in0 table 99\n");
            script.push_str("route add default via 203.0.113.2 dev out0\n");
            script.push_str("route add default via 2001:db8:2::2 dev out0\n");
            tool("ip", &["-batch", "-"], &script);
            for (name, value) in [
                ("net.ipv4.icmp_ratelimit", "0"),
                ("net.ipv4.icmp_ratemask", "0"),
                ("net.ipv6.icmp.ratelimit", "0"),
                ("net.ipv4.icmp_msgs_per_sec", "1000000"),
                ("net.ipv4.icmp_msgs_burst", "1000000"),
                ("net.ipv4.tcp_synack_retries", "0"),
                ("net.ipv4.tcp_max_syn_backlog", "65536"),
                ("net.core.somaxconn", "65536"),
                ("net.ipv4.tcp_syncookies", "0"),
                ("net.ipv4.ping_group_range", "0 2147483647"),
            ] {
                sysctl(name, value);
            }
            INSIDE.map(mac_of)
        })?;
        let services = m.run(services)?;
        let (captures, senders) = w.run(|| {
            let mut captures = Vec::new();
            let mut senders = Vec::new();
            for dev in OUTSIDE {
                let ifindex = ioctl::index_of(dev)?;
                captures.push(Capture::open(&Config {
                    ifindex: Some(ifindex),
                    ignore_outgoing: true,
                    snap_length: 2048,
                    block_timeout: Duration::from_millis(1),
                    blocks: 32,
                    ..Config::default()
                })?);
                senders.push(Sender::open(ifindex, Layer::Link)?);
            }
            Ok::<_, netwhy_sys::SysError>((captures, senders))
        })??;
        let sentinels = m.run(|| {
            INSIDE
                .iter()
                .map(|dev| Sender::open(ioctl::index_of(dev)?, Layer::Link))
                .collect::<Result<Vec<_>, _>>()
        })??;
        Ok(Field { m, w, macs, peer_macs, captures, senders, sentinels, services, round: 0 })
    }

    /// Sends a packet into m by one of its cables.
    pub(crate) fn inject(&self, at: usize, v6: bool, packet: &[u8]) {
        let ethertype = if v6 { 0x86dd } else { 0x0800 };
        let mut frame = Vec::with_capacity(14 + packet.len());
        frame.extend(self.macs[at]);
        frame.extend(self.peer_macs[at]);
        frame.extend(u16::to_be_bytes(ethertype));
        frame.extend(packet);
        self.senders[at].send(&frame, ethertype, &self.macs[at]).unwrap();
    }

    /// The outside's hardware address of a cable, as facts hold it.
    pub(crate) fn peer_mac(&self, at: usize) -> Vec<u8> {
        self.peer_macs[at].to_vec()
    }
    /// m's own.
    pub(crate) fn own_mac(&self, at: usize) -> Vec<u8> {
        self.macs[at].to_vec()
    }

    /// Waits until everything that was sent has been handled, and returns what came out.
    ///
    /// All receiving happens on one processor in the order of arrival, so that a sentinel sent after a packet
    /// arrives after that packet's next hop began. As many rounds as a packet and its answer have hops.
    pub(crate) fn settle(&mut self) -> Vec<Got> {
        let mut got = Vec::new();
        for _ in 0..4 {
            self.round += 1;
            let mut frame = vec![0xff; 6];
            frame.extend([2, 0, 0, 0, 0, 9]);
            frame.extend(SENTINEL.to_be_bytes());
            frame.extend(self.round.to_be_bytes());
            frame.resize(60, 0);
            for sender in &self.sentinels {
                sender.send(&frame, SENTINEL, &[0xff; 6]).unwrap();
            }
            let deadline = Instant::now() + Duration::from_secs(10);
            for (at, capture) in self.captures.iter_mut().enumerate() {
                loop {
                    let frame = capture.next(deadline).unwrap().expect("a sentinel within ten seconds");
                    if frame.direction == Direction::Outgoing {
                        continue;
                    }
                    let Ok(ethernet) = Ethernet::parse(frame.data) else { continue };
                    if ethernet.ethertype == SENTINEL {
                        if ethernet.payload.get(..4) == Some(&self.round.to_be_bytes()) {
                            break;
                        }
                        continue;
                    }
                    if matches!(ethernet.ethertype, 0x0800 | 0x86dd) {
                        got.push(Got { at, packet: ethernet.payload.to_vec() });
                    }
                }
            }
        }
        got
    }

    /// Keeps the outside alive as long as the field.
    pub(crate) fn outside(&self) -> &Netns {
        &self.w
    }
}

/// Listeners of m: wildcard and specific, both families, one behind loopback only.
fn services() -> Services {
    let plain = ListenOptions { backlog: 65535, ..ListenOptions::default() };
    let at = |address: &str, port: u16| SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
    let dual = ListenOptions { v6_only: Some(false), ..plain };
    let only6 = ListenOptions { v6_only: Some(true), ..plain };
    let tcp = [
        (at("::", 22), dual),
        (at("::", 8080), dual),
        (at("0.0.0.0", 80), plain),
        (at("198.51.100.1", 443), plain),
        (at("::", 443), only6),
        (at("127.0.0.1", 1000), plain),
        (at("2001:db8:1::1", 1000), plain),
        (at("::", 2000), ListenOptions { device: Some("in0"), ..dual }),
    ];
    let udp = [
        (at("::", 53), dual),
        (at("0.0.0.0", 80), plain),
        (at("198.51.100.1", 443), plain),
        (at("::", 8080), only6),
        (at("127.0.0.1", 1000), plain),
        (at("::", 2000), ListenOptions { device: Some("in0"), ..dual }),
    ];
    Services {
        tcp: tcp.into_iter().map(|(a, o)| listen_tcp(a, o).unwrap()).collect(),
        udp: udp
            .into_iter()
            .map(|(a, o)| {
                let s = listen_udp(a, o).unwrap();
                s.set_nonblocking(true).unwrap();
                s
            })
            .collect(),
    }
}
