//! The other tools about connections.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use netwhy_change::nft::{Hook, Nft, Policy, Table};
use netwhy_sys::netlink::{Protocol, Socket};

use super::net::{CLIENT, Net, SERVER, has_event, kernel, trace};
use super::tcp::exchange;

fn pid() -> String {
    std::process::id().to_string()
}

/// Work, and whether it is done: for what is shown at the end only.
pub(crate) fn until_done<'a>(
    done: &'a AtomicBool,
    work: impl FnOnce() + Send + 'a,
) -> impl FnOnce() + Send + 'a {
    move || {
        work();
        done.store(true, Ordering::Release);
    }
}

/// The server ignores what comes to this port.
fn ignore_port(net: &Net, port: u16) {
    net.at_server(|| {
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        Nft::new(Table::Inet, "t")
            .base("in", Hook::Input, 0, Policy::Accept)
            .rule("in", |rule| rule.tcp_dport(port).drop())
            .commit(&mut socket)
            .unwrap();
    });
}

#[test]
fn tcpaccept_shows_who_accepted_from_where() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let netns = net.server.id().inode.to_string();
    let ports = OnceLock::new();
    let work = || ports.set(exchange(&net, SERVER, 1, 1)).unwrap();
    trace(&kernel, "tcpaccept", &["--netns", &netns], work, |seen| {
        let Some((local, port)) = ports.get() else { return false };
        seen.line(&[&pid(), "4", CLIENT, &local.to_string(), SERVER, &port.to_string()]).is_some()
    });
}

#[test]
fn tcpconnlat_times_answers_and_keeps_quiet_below_the_least() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let netns = net.client.id().inode.to_string();
    let ports = OnceLock::new();
    let work = || ports.set(exchange(&net, SERVER, 1, 1)).unwrap();
    let found = |seen: &super::net::Seen| {
        let (local, port) = ports.get()?;
        seen.line(&[&pid(), "4", CLIENT, &local.to_string(), SERVER, &port.to_string(), "0"])
    };
    let seen = trace(&kernel, "tcpconnlat", &["-L", "--netns", &netns], work, |seen| found(seen).is_some());
    let line = found(&seen).unwrap();
    let ms: f64 = line[7].parse().unwrap();
    assert!((0.0..10_000.0).contains(&ms), "{line:?}");
    // A minute is more than any of these takes.
    let done = AtomicBool::new(false);
    let work = until_done(&done, || {
        exchange(&net, SERVER, 1, 1);
    });
    let seen = trace(&kernel, "tcpconnlat", &["60000"], work, |_| done.load(Ordering::Acquire));
    assert_eq!(seen.text().lines().count(), 1, "{}", seen.text());
}

#[test]
fn tcpretrans_shows_a_syn_sent_again_and_counts_by_flow() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let netns = net.client.id().inode.to_string();
    ignore_port(&net, 4444);
    let work = || {
        net.at_client(|| {
            let target = "198.51.100.2:4444".parse().unwrap();
            TcpStream::connect_timeout(&target, Duration::from_millis(1500)).unwrap_err();
        });
    };
    let to = "198.51.100.2:4444";
    trace(&kernel, "tcpretrans", &["--netns", &netns], work, |seen| {
        seen.line(&["4", "R>", to, "SYN_SENT", "SYN"]).is_some()
    });
    let done = AtomicBool::new(false);
    let seen = trace(&kernel, "tcpretrans", &["-c", "--netns", &netns], until_done(&done, work), |_| {
        done.load(Ordering::Acquire)
    });
    let counted = seen.line(&[to]).unwrap_or_else(|| panic!("{}", seen.text()));
    assert!(counted[2].parse::<u64>().unwrap() >= 1, "{counted:?}");
}

#[test]
fn tcpstates_follows_a_connection_to_its_end() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let ports = OnceLock::new();
    let work = || ports.set(exchange(&net, SERVER, 1, 1)).unwrap();
    let netns = net.client.id().inode.to_string();
    let found = |seen: &super::net::Seen, old: &str, new: &str| {
        let port = ports.get().map(|(_, port)| port.to_string())?;
        seen.line(&[CLIENT, SERVER, &port, old, "->", new])
    };
    let seen = trace(&kernel, "tcpstates", &["--netns", &netns], work, |seen| {
        found(seen, "CLOSE", "SYN_SENT").is_some()
            && found(seen, "SYN_SENT", "ESTABLISHED").is_some()
            && found(seen, "ESTABLISHED", "FIN_WAIT1").is_some()
            && found(seen, "FIN_WAIT2", "CLOSE").is_some()
    });
    let line = found(&seen, "ESTABLISHED", "FIN_WAIT1").unwrap();
    assert!(line.last().unwrap().parse::<f64>().unwrap() > 0.0, "{line:?}");
}

#[test]
fn tcptracer_shows_open_accept_and_close() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let ports = OnceLock::new();
    let work = || ports.set(exchange(&net, SERVER, 1, 1)).unwrap();
    trace(&kernel, "tcptracer", &["-p", &pid()], work, |seen| {
        let Some((local, port)) = ports.get() else { return false };
        let (local, port) = (local.to_string(), port.to_string());
        seen.line(&["C", &pid(), "4", CLIENT, SERVER, &local, &port]).is_some()
            && seen.line(&["A", &pid(), "4", SERVER, CLIENT, &port, &local]).is_some()
            && seen.line(&["X", &pid(), "4", CLIENT, SERVER, &local, &port]).is_some()
            && seen.line(&["X", &pid(), "4", SERVER, CLIENT, &port, &local]).is_some()
    });
}

#[test]
fn tcprtt_counts_round_trips_by_remote_address() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let done = AtomicBool::new(false);
    let work = until_done(&done, || {
        exchange(&net, SERVER, 5000, 5000);
    });
    let netns = net.client.id().inode.to_string();
    let seen = trace(&kernel, "tcprtt", &["-B", "--netns", &netns], work, |_| done.load(Ordering::Acquire));
    let text = seen.text();
    assert!(seen.line(&["Remote", "Address", "=", SERVER]).is_some(), "{text}");
    let counted: u64 = text
        .lines()
        .filter(|line| line.contains("->"))
        .map(|line| line.split(':').nth(1).unwrap().split('|').next().unwrap().trim().parse::<u64>().unwrap())
        .sum();
    assert!(counted > 0, "{text}");
}

#[test]
fn tcpsynbl_counts_a_queue_that_fills() {
    let Some(kernel) = kernel() else { return };
    if !has_event(&kernel, "sk_data_ready") {
        return;
    }
    let net = Net::new();
    let done = AtomicBool::new(false);
    let listener = net.at_server(|| TcpListener::bind((SERVER, 0)).unwrap());
    let port = listener.local_addr().unwrap().port();
    let work = until_done(&done, || {
        net.at_client(|| {
            // Nobody accepts: each finds one more before it.
            let all: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect((SERVER, port)).unwrap()).collect();
            drop(all);
        });
    });
    let args = ["-P", &port.to_string()];
    let seen = trace(&kernel, "tcpsynbl", &args, work, |_| done.load(Ordering::Acquire));
    // The standard library listens with 4096 at most; the system may limit it.
    assert!(seen.text().contains("backlog_max = "), "{}", seen.text());
    let counted: Vec<String> = seen.line(&["0", "->", "1"]).unwrap();
    assert_eq!(counted[4], "1", "{}", seen.text());
    assert_eq!(seen.line(&["2", "->", "3"]).unwrap()[4], "2", "{}", seen.text());
    assert_eq!(seen.line(&["4", "->", "7"]).unwrap()[4], "2", "{}", seen.text());
}

#[test]
fn tcpcong_adds_up_the_time_in_each_state() {
    let Some(kernel) = kernel() else { return };
    if !has_event(&kernel, "tcp_cong_state_set") {
        return;
    }
    let net = Net::new();
    let done = AtomicBool::new(false);
    let listener = net.at_server(|| TcpListener::bind((SERVER, 0)).unwrap());
    let port = listener.local_addr().unwrap().port();
    let work = until_done(&done, || {
        let mut client = net.at_client(|| TcpStream::connect((SERVER, port)).unwrap());
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(&[1; 100]).unwrap();
        server.read_exact(&mut [0; 100]).unwrap();
        ignore_port(&net, port);
        client.write_all(&[2; 100]).unwrap();
        // The timer runs out: the connection takes it for a loss.
        std::thread::sleep(Duration::from_millis(900));
    });
    let args = ["-R", &port.to_string()];
    let seen = trace(&kernel, "tcpcong", &args, work, |_| done.load(Ordering::Acquire));
    let line = seen.line(&[&format!("{SERVER}:{port}")]).unwrap_or_else(|| panic!("{}", seen.text()));
    assert!(line.last().unwrap().parse::<u64>().unwrap() >= 1, "{line:?}");
}

#[test]
fn solisten_shows_a_socket_that_listens() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let port = OnceLock::new();
    let work = || {
        let listener = net.at_server(|| TcpListener::bind((SERVER, 0)).unwrap());
        port.set(listener.local_addr().unwrap().port().to_string()).unwrap();
    };
    let seen = trace(&kernel, "solisten", &["-p", &pid()], work, |seen| {
        port.get().is_some_and(|port| seen.line(&[&pid(), "TCPv4", port, SERVER]).is_some())
    });
    let line = seen.line(&["TCPv4", port.get().unwrap(), SERVER]).unwrap();
    assert!(line[3].parse::<u32>().unwrap() >= 128, "the backlog: {line:?}");
}

#[test]
fn udpconnect_and_bindsnoop_show_a_datagram_socket() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let port = OnceLock::new();
    let work = || {
        net.at_client(|| {
            let socket = UdpSocket::bind((CLIENT, 0)).unwrap();
            socket.connect((SERVER, 53)).unwrap();
            let _ = port.set(socket.local_addr().unwrap().port().to_string());
        });
    };
    trace(&kernel, "udpconnect", &["-P", "53", "-p", &pid()], work, |seen| {
        port.get().is_some_and(|port| seen.line(&[&pid(), "4", CLIENT, port, SERVER, "53", "0"]).is_some())
    });
    let bound = OnceLock::new();
    let work = || {
        net.at_client(|| {
            let socket = UdpSocket::bind((CLIENT, 0)).unwrap();
            bound.set(socket.local_addr().unwrap().port().to_string()).unwrap();
            UdpSocket::bind((SERVER, 0)).unwrap_err();
        });
    };
    trace(&kernel, "bindsnoop", &["-E", "-p", &pid()], work, |seen| {
        bound.get().is_some_and(|port| seen.line(&[&pid(), "0", "UDP", port, CLIENT]).is_some())
            && seen.line(&[&pid(), "EADDRNOTAVAIL", "UDP"]).is_some()
    });
}

#[test]
fn tcptop_adds_up_bytes_by_connection_and_process() {
    let Some(kernel) = kernel() else { return };
    if !has_event(&kernel, "sock_send_length") {
        return;
    }
    let net = Net::new();
    let ports = OnceLock::new();
    let work = || ports.set(exchange(&net, SERVER, 50_000, 700_000)).unwrap();
    let found = |seen: &super::net::Seen| {
        let (local, port) = ports.get()?;
        let (near, far) = (format!("{CLIENT}:{local}"), format!("{SERVER}:{port}"));
        let client = seen.line(&[&pid(), &near, &far])?;
        let server = seen.line(&[&pid(), &far, &near])?;
        Some((client, server))
    };
    let seen = trace(&kernel, "tcptop", &["-C", "1", "3"], work, |seen| {
        found(seen).is_some() || seen.text().matches("loadavg").count() >= 3
    });
    let (client, server) = found(&seen).unwrap_or_else(|| panic!("{}", seen.text()));
    // The bytes may be parted between two intervals.
    let kb = |line: &[String], at: usize| line[at].parse::<u64>().unwrap();
    assert!(kb(&client, 4) <= 683 && kb(&client, 5) <= 48, "{client:?}");
    assert!(kb(&client, 4) > 0 && kb(&server, 5) > 0, "{client:?} {server:?}");
}

#[test]
fn tcppktlat_shows_data_that_waits_for_its_reader() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let listener = net.at_server(|| TcpListener::bind((SERVER, 0)).unwrap());
    let port = listener.local_addr().unwrap().port();
    let work = || {
        let mut client = net.at_client(|| TcpStream::connect((SERVER, port)).unwrap());
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(&[1; 100]).unwrap();
        std::thread::sleep(Duration::from_millis(60));
        server.read_exact(&mut [0; 100]).unwrap();
    };
    let args = ["-L", &port.to_string(), "50000"];
    let seen =
        trace(&kernel, "tcppktlat", &args, work, |seen| seen.line(&[&pid(), SERVER, CLIENT]).is_some());
    let line = seen.line(&[&pid(), SERVER, CLIENT]).unwrap();
    assert!(line[6].parse::<f64>().unwrap() >= 50.0, "{line:?}");
}

#[test]
fn tcprst_shows_resets_sent_and_received() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let listener = net.at_server(|| TcpListener::bind((SERVER, 0)).unwrap());
    let port = listener.local_addr().unwrap().port();
    let work = || {
        net.at_client(|| TcpStream::connect((SERVER, 9)).unwrap_err());
        // Closed with bytes unread: the kernel resets.
        let mut client = net.at_client(|| TcpStream::connect((SERVER, port)).unwrap());
        let (server, _) = listener.accept().unwrap();
        client.write_all(&[1; 100]).unwrap();
        server.peek(&mut [0; 100]).unwrap();
        drop(server);
        let _ = client.read(&mut [0; 1]);
    };
    let (closed, open) = (format!("{SERVER}:9"), format!("{SERVER}:{port}"));
    trace(&kernel, "tcprst", &[], work, |seen| {
        seen.line(&["out", &closed, "-"]).is_some() && seen.line(&["in", &open, "ESTABLISHED"]).is_some()
    });
}
