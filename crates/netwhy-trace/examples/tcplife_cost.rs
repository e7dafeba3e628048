//! What `netwhy tcplife` costs under many short connections: `cargo xtask bench tcplife`.
//!
//! Ten seconds of ten thousand connections a second over the loopback of a private namespace, seen at both ends. The
//! tool runs as a process of its own that says at its end what it has used.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netwhy_change::RouteWriter;
use netwhy_sys::netlink::{Protocol, Socket};
use netwhy_sys::netns::{self, in_new_netns};
use netwhy_sys::signal::Signal;

const RATE: u32 = 10_000;
const SECONDS: u32 = 10;
const WORKERS: u32 = 2;
/// Destinations: each has ephemeral ports of its own, so that none is waited for.
const HOSTS: u32 = 16;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = args.split_first()
        && first == "tool"
    {
        let code = netwhy_trace::run::main("tcplife", rest);
        eprintln!("cpu {}", netwhy_sys::clock::cpu_time().as_micros());
        std::process::exit(i32::from(code));
    }
    match in_new_netns(measure) {
        Ok(()) => {}
        Err(error) => println!("skipped: {error}"),
    }
}

fn measure() {
    let mut socket = Socket::open(Protocol::Route).unwrap();
    RouteWriter::new(&mut socket).link_up("lo").unwrap();
    let inode = netns::current().unwrap().inode.to_string();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["tool", "-s", "--netns", &inode])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next();
    let before = netwhy_sys::clock::cpu_time();
    let (made, took, shown) = std::thread::scope(|scope| {
        // Reads what the tool writes, so that it never waits for its reader.
        let reader = scope.spawn(move || lines.count());
        let begun = Instant::now();
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        let made: u32 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        let took = begun.elapsed();
        // The last ends of connections come after their last packets.
        std::thread::sleep(Duration::from_millis(500));
        netwhy_sys::process::kill(child.id(), Signal::INT).unwrap();
        (made, took, reader.join().unwrap())
    });
    let load = netwhy_sys::clock::cpu_time() - before;
    let mut said = String::new();
    let mut lost = 0;
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
        if let Some(cpu) = line.strip_prefix("cpu ") {
            said = cpu.to_owned();
        } else {
            lost += 1;
            println!("tcplife said: {line}");
        }
    }
    child.wait().unwrap();
    let cpu: f64 = said.parse::<f64>().unwrap() / 1e6;
    let seconds = took.as_secs_f64();
    println!(
        "connections                  {made} in {seconds:.1} s ({:.0} a second)",
        f64::from(made) / seconds
    );
    println!("sessions shown               {shown} of {} (both ends)", 2 * made);
    println!("losses reported              {lost}");
    println!(
        "CPU of tcplife               {:.1} % of a core ({:.2} us a session)",
        100.0 * cpu / seconds,
        cpu * 1e6 / shown as f64
    );
    println!("CPU of the load itself       {:.0} % of a core", 100.0 * load.as_secs_f64() / seconds);
}

/// Its share of the connections, both ends in one thread: how many it has made.
fn work() -> u32 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (rate, begun, mut made) = (RATE / WORKERS, Instant::now(), 0_u32);
    // A machine that cannot make so many is not waited for.
    while made < rate * SECONDS && begun.elapsed() < Duration::from_secs(u64::from(2 * SECONDS)) {
        let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as u32;
        for _ in 0..due.min(rate * SECONDS).saturating_sub(made).min(200) {
            let host = Ipv4Addr::new(127, 0, 1, (made % HOSTS) as u8 + 1);
            let client = TcpStream::connect(SocketAddr::from((host, port))).unwrap();
            drop(listener.accept().unwrap());
            drop(client);
            made += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    made
}
