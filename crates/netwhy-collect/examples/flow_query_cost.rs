//! What the questions about one flow cost on an idle host and on one with 100,000 TCP sockets and 200,000
//! connection-tracking entries: `cargo run --release --example flow_query_cost`.
//!
//! Runs as root in a network namespace of its own; other processes hold the sockets, at most 20,000
//! descriptors each. Prints both times and their ratio for each question.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use netwhy_collect::Collector;
use netwhy_facts::question::Role;
use netwhy_facts::{Flow, Proto};
use netwhy_sys::netlink::{Protocol, Socket};
use netwhy_sys::{clock, netns};
use netwhy_wire::netlink::Builder;

const SOCKETS: usize = 100_000;
const ENTRIES: u32 = 200_000;
/// Connections one process holds both ends of.
const PER_PROCESS: usize = 8_500;
/// The service that is asked about; its address is held by this process alone.
const SERVICE: &str = "127.0.0.1:8080";
/// A service whose connections the holders hold: asked about as the busy one.
const BUSY_PORT: u16 = 9000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, number] = &arguments[..]
        && word == "hold"
    {
        return hold(number.parse().expect("a number"));
    }
    netns::in_new_netns(measure).expect("needs root to make a network namespace");
}

/// Holds connections to an address of its own until its input ends.
fn hold(number: u8) {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 1, number, 1), BUSY_PORT)).expect("bind");
    let target = listener.local_addr().expect("address");
    let mut held = Vec::new();
    for _ in 0..PER_PROCESS {
        held.push(TcpStream::connect(target).expect("connect"));
        held.push(listener.accept().expect("accept").0);
    }
    println!("{}", held.len());
    std::io::stdout().flush().expect("standard output");
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// The median of fifteen runs, in microseconds of CPU time, the kernel's included: netlink does its work while
/// the asker waits, so on a machine with nothing else to do this is how long it takes.
fn median(mut work: impl FnMut()) -> u128 {
    let mut times: Vec<u128> = (0..15)
        .map(|_| {
            let start = clock::cpu_time();
            work();
            (clock::cpu_time() - start).as_micros()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn flow(target: SocketAddr, source: Option<SocketAddr>) -> Flow {
    Flow {
        proto: Proto::Tcp,
        src: source.map(|source| source.ip()),
        sport: source.map(|source| source.port()),
        dst: target.ip(),
        dport: target.port(),
        mark: 0,
        uid: None,
        dev: None,
    }
}

fn measure() {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(up.is_ok_and(|status| status.success()), "ip link set lo up");
    let tracked = "add table ip t; add chain ip t c { type filter hook output priority 0; }; add rule ip t c ct state new counter";
    let tracking = Command::new("nft").arg(tracked).status();
    assert!(tracking.is_ok_and(|status| status.success()), "nft");
    let listener = TcpListener::bind(SERVICE).expect("bind");
    let client = TcpStream::connect(SERVICE).expect("connect");
    let served = listener.accept().expect("accept").0;
    let questions = Questions {
        collector: Collector::here().expect("collector"),
        target: SERVICE.parse().expect("address"),
        source: client.local_addr().expect("address"),
    };
    let idle = questions.ask();
    let children = load();
    let busy = questions.ask();
    println!("{:<58} {:>9} {:>9} {:>6}", "question (median of 15)", "idle us", "busy us", "ratio");
    for ((name, before), (_, after)) in idle.iter().zip(&busy) {
        println!("{name:<58} {before:>9} {after:>9} {:>6.2}", *after as f64 / (*before).max(1) as f64);
    }
    let sum = |all: &[(&str, u128)]| all.iter().take(WHOLE).map(|(_, time)| time).sum::<u128>();
    let (before, after) = (sum(&idle), sum(&busy));
    println!(
        "{:<58} {before:>9} {after:>9} {:>6.2}",
        "a question about one flow: the first six",
        after as f64 / before as f64
    );
    drop((served, children));
}

/// How many of the questions make up one about a flow whose source port is known.
const WHOLE: usize = 6;

struct Questions {
    collector: Collector,
    target: SocketAddr,
    source: SocketAddr,
}

impl Questions {
    fn ask(&self) -> Vec<(&'static str, u128)> {
        let collector = &self.collector;
        let exact = flow(self.target, Some(self.source));
        let open = flow(self.target, None);
        let (local, remote) = (pair(self.target), pair(self.source));
        let cases: [(&'static str, &dyn Fn()); 9] = [
            ("listeners on a port, with owners", &|| drop(collector.sockets(&open, Role::Transit))),
            ("a socket by its ends, with owners", &|| {
                drop(collector.socket_for(Proto::Tcp, local, remote, 0))
            }),
            ("tracked entry by its tuple", &|| drop(collector.ct_entries(&exact))),
            ("tracking: size, limit, statistics, settings", &|| drop(collector.conntrack())),
            ("nftables ruleset", &|| drop(collector.nft())),
            ("listeners in other namespaces", &|| drop(collector.foreign_sockets(&open))),
            ("connections to a target, counted (one pass over all)", &|| {
                drop(collector.sockets(&exact, Role::Client))
            }),
            ("connections of a port, counted (one pass over all)", &|| {
                drop(collector.sockets(&exact, Role::Inbound))
            }),
            ("tracked entries without source port (one pass over all)", &|| {
                drop(collector.ct_entries(&open))
            }),
        ];
        cases.into_iter().map(|(name, ask)| (name, median(ask))).collect()
    }
}

fn pair(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip(), address.port())
}

/// A process that holds sockets, ended when dropped.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        // Its input ends, and so does it.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn load() -> Vec<Holder> {
    let program = std::env::current_exe().expect("own path");
    let start = Instant::now();
    let count = SOCKETS.div_ceil(2 * PER_PROCESS);
    let mut holders: Vec<Holder> = (0..count)
        .map(|number| {
            let mut command = Command::new(&program);
            command.args(["hold", &number.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
            Holder(command.spawn().expect("start a holder"))
        })
        .collect();
    let mut sockets = 0;
    for holder in &mut holders {
        let mut line = String::new();
        let output = holder.0.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("its word");
        sockets += line.trim().parse::<usize>().expect("a number");
    }
    let mut socket = Socket::open(Protocol::Netfilter).expect("netlink");
    for number in 0..ENTRIES {
        track(&mut socket, number);
    }
    let count = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").unwrap_or_default();
    println!(
        "{sockets} sockets in {} processes, {} entries, made in {:.1} s",
        holders.len(),
        count.trim(),
        start.elapsed().as_secs_f64()
    );
    holders
}

/// Makes an entry of its own: IPCTNL_MSG_CT_NEW with both tuples, a timeout, and an established state.
fn track(socket: &mut Socket, number: u32) {
    let source = Ipv4Addr::from(0x0a00_0000 + number / 50_000);
    let port = 1024 + (number % 50_000) as u16;
    let target = Ipv4Addr::new(198, 51, 100, 1);
    let mut message = Builder::with_header(&[2, 0, 0, 0]);
    let mut tuple = |kind, src: Ipv4Addr, dst: Ipv4Addr, sport, dport| {
        message.nest(kind, |tuple| {
            tuple.nest(1, |ip| _ = ip.ip(1, src.into()).ip(2, dst.into()));
            tuple.nest(2, |proto| _ = proto.u8(1, 6).be16(2, sport).be16(3, dport));
        });
    };
    tuple(1, source, target, port, 443);
    tuple(2, target, source, 443, port);
    message.be32(7, 3600).be32(3, 2 | 4 | 8).nest(4, |info| {
        info.nest(1, |tcp| _ = tcp.u8(1, 3));
    });
    socket.ack(1 << 8, 0x600, &message.finish().expect("short")).expect("IPCTNL_MSG_CT_NEW");
}
