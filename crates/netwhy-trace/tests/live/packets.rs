//! Tools about packets, names, devices and the scheduler.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use netwhy_change::nft::{Hook, Nft, Policy, Table};
use netwhy_sys::netlink::{Protocol, Socket};

use super::more::until_done;
use super::net::{CLIENT, Net, SERVER, Seen, has_argument, has_event, kernel, trace};
use super::tcp::exchange;

fn pid() -> String {
    std::process::id().to_string()
}

fn client(net: &Net) -> String {
    net.client.id().inode.to_string()
}

/// The number in a row of a table: found by words, taken by place.
fn number(seen: &Seen, words: &[&str], at: usize) -> u64 {
    let line = seen.line(words).unwrap_or_else(|| panic!("{words:?}: {}", seen.text()));
    line[at].parse().unwrap_or_else(|_| panic!("{line:?}"))
}

/// A question for `name`, type A, with this id.
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend(label.bytes());
    }
    out.extend([0, 0, 1, 0, 1]);
    out
}

#[test]
fn dnslatency_shows_name_time_and_code_and_a_query_sent_again() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let server = net.at_server(|| UdpSocket::bind((SERVER, 53)).unwrap());
    let work = || {
        let client = net.at_client(|| UdpSocket::bind((CLIENT, 0)).unwrap());
        let ask = question(7, "www.example.com");
        client.send_to(&ask, (SERVER, 53)).unwrap();
        client.send_to(&ask, (SERVER, 53)).unwrap();
        let mut buffer = [0; 512];
        let (n, from) = server.recv_from(&mut buffer).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        buffer[2] |= 0x80;
        buffer[3] = 3;
        server.send_to(&buffer[..n], from).unwrap();
        client.recv_from(&mut buffer).unwrap();
    };
    let seen = trace(&kernel, "dnslatency", &["--netns", &client(&net)], work, |seen| {
        seen.line(&[&pid(), SERVER, "NXDOMAIN", "A", "www.example.com"]).is_some()
            && seen.line(&[&pid(), SERVER, "RETRY", "A", "www.example.com"]).is_some()
    });
    let line = seen.line(&["NXDOMAIN"]).unwrap();
    assert!(line[4].parse::<f64>().unwrap() >= 20.0, "{line:?}");
}

#[test]
fn sockstat_adds_up_bytes_calls_and_errors() {
    let Some(kernel) = kernel() else { return };
    if !has_event(&kernel, "sock_send_length") {
        return;
    }
    let net = Net::new();
    let done = AtomicBool::new(false);
    let work = until_done(&done, || {
        let server = net.at_server(|| UdpSocket::bind((SERVER, 0)).unwrap());
        let client = net.at_client(|| UdpSocket::bind((CLIENT, 0)).unwrap());
        for _ in 0..4 {
            client.send_to(&[0; 1024], server.local_addr().unwrap()).unwrap();
            server.recv_from(&mut [0; 2048]).unwrap();
        }
        // More than a datagram holds.
        client.send_to(&[0; 70_000], server.local_addr().unwrap()).unwrap_err();
    });
    let seen = trace(&kernel, "sockstat", &["-C", "-p", &pid(), "1", "2"], work, |seen| {
        done.load(Ordering::Acquire) && seen.line(&[&pid(), "INET", "UDP"]).is_some()
    });
    // Two intervals at most: together they have it all.
    let total = |at: usize| -> u64 {
        let rows = seen.text();
        let rows = rows.lines().filter(|line| line.contains(" UDP "));
        rows.map(|line| line.split_whitespace().rev().nth(4 - at).unwrap().parse::<u64>().unwrap()).sum()
    };
    let text = seen.text();
    let row = seen.line(&[&pid(), "INET", "UDP"]).unwrap();
    assert_eq!(row.len(), 9, "{row:?}");
    assert!((4..=5).contains(&total(1)) || total(1) >= 4, "bytes sent: {text}");
    assert!(total(3) >= 4 && total(2) >= 4, "calls: {text}");
    assert!(total(4) >= 1, "the datagram that was too long: {text}");
}

#[test]
fn sofdsnoop_names_a_file_that_is_passed() {
    let Some(kernel) = kernel() else { return };
    let path = std::env::temp_dir().join(format!("netwhy-passed-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let (a, b) = UnixStream::pair().unwrap();
    let fd = file.as_raw_fd().to_string();
    let work = || {
        netwhy_sys::passing::send(&a, &file).unwrap();
        drop(netwhy_sys::passing::take(&b).unwrap());
    };
    trace(&kernel, "sofdsnoop", &["-p", &pid()], work, |seen| {
        seen.line(&["SEND", &a.as_raw_fd().to_string(), &fd, &name]).is_some()
            && seen.line(&["RECV", &b.as_raw_fd().to_string(), &name]).is_some()
    });
    std::fs::remove_file(path).unwrap();
}

#[test]
fn netqtop_counts_packets_by_queue_and_size() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let done = AtomicBool::new(false);
    let work = until_done(&done, || {
        let server = net.at_server(|| UdpSocket::bind((SERVER, 0)).unwrap());
        let client = net.at_client(|| UdpSocket::bind((CLIENT, 0)).unwrap());
        for _ in 0..10 {
            client.send_to(&[0; 1000], server.local_addr().unwrap()).unwrap();
        }
    });
    let seen = trace(&kernel, "netqtop", &["-n", "eth0", "-i", "1", "-c", "2"], work, |seen| {
        done.load(Ordering::Acquire) && seen.line(&["eth0", "TX", "0"]).is_some()
    });
    assert!(number(&seen, &["eth0", "TX", "0"], 3) >= 10, "{}", seen.text());
    assert!(number(&seen, &["eth0", "TX", "0"], 8) >= 10, "{}", seen.text());
    assert!(seen.line(&["eth0", "RX"]).is_some(), "{}", seen.text());
    assert!(!seen.text().contains("\nlo "), "another device: {}", seen.text());
}

#[test]
fn softirqs_count_time_and_events_of_net_rx() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let done = AtomicBool::new(false);
    let work = || {
        for _ in 0..5 {
            exchange(&net, SERVER, 1000, 1000);
        }
    };
    let over = |_: &Seen| done.load(Ordering::Acquire);
    let seen = trace(&kernel, "softirqs", &["-N"], until_done(&done, work), over);
    assert!(number(&seen, &["net_rx"], 1) > 0, "{}", seen.text());
    done.store(false, Ordering::Release);
    let seen = trace(&kernel, "softirqs", &["-C"], until_done(&done, work), over);
    assert!(number(&seen, &["net_rx"], 1) >= 10, "{}", seen.text());
    done.store(false, Ordering::Release);
    let seen = trace(&kernel, "softirqs", &["-d"], until_done(&done, work), over);
    assert!(seen.line(&["softirq", "=", "net_rx"]).is_some(), "{}", seen.text());
}

#[test]
fn hardirqs_show_a_handler_or_nothing_but_the_heading() {
    let Some(kernel) = kernel() else { return };
    let seen =
        trace(&kernel, "hardirqs", &["-C", "1", "1"], || (), |seen| seen.text().contains("TOTAL_count"));
    // Which devices interrupt is the machine's affair; every row has a name and a number above zero.
    for line in seen.text().lines().skip_while(|line| !line.contains("TOTAL_count")).skip(1) {
        let Some(last) = line.split_whitespace().last() else { continue };
        assert!(last.parse::<u64>().unwrap() > 0, "{line}");
    }
}

/// Waits until a thread of this process sleeps in a receiving system call.
fn wait_for_sleep(tid: u32) {
    // recvfrom, on x86-64 and arm64.
    let calls = ["45 ", "207 "];
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        let now = std::fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).unwrap_or_default();
        if calls.iter().any(|call| now.starts_with(call)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the reader does not wait");
}

/// The reader sleeps in its system call until the writer writes.
fn sleep_in_receive(net: &Net) {
    let listener = net.at_server(|| TcpListener::bind((SERVER, 0)).unwrap());
    let mut client = net.at_client(|| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let (mut server, _) = listener.accept().unwrap();
    std::thread::scope(|scope| {
        let (say, hear) = std::sync::mpsc::channel();
        scope.spawn(move || {
            say.send(netwhy_sys::process::thread_id()).unwrap();
            server.read_exact(&mut [0; 1]).unwrap();
        });
        wait_for_sleep(hear.recv().unwrap());
        std::thread::sleep(Duration::from_millis(60));
        client.write_all(&[1]).unwrap();
    });
}

#[test]
fn offcputime_shows_where_a_reader_of_a_socket_waits() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let done = AtomicBool::new(false);
    let work = until_done(&done, || sleep_in_receive(&net));
    let args = ["--socket", "-p", &pid(), "-m", "40000"];
    let seen = trace(&kernel, "offcputime", &args, work, |_| done.load(Ordering::Acquire));
    let text = seen.text();
    assert!(text.contains("\ttcp_recvmsg"), "{text}");
    assert!(number(&seen, &[&pid()], 2) >= 40_000, "{text}");
}

#[test]
fn runqlat_counts_a_reader_that_was_woken() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let done = AtomicBool::new(false);
    let work = until_done(&done, || sleep_in_receive(&net));
    let args = ["--socket", "-P", "-p", &pid()];
    let seen = trace(&kernel, "runqlat", &args, work, |_| done.load(Ordering::Acquire));
    assert!(seen.text().contains(&format!("pid = {}\n", pid())), "{}", seen.text());
}

#[test]
fn netrecv_and_netsend_time_packets() {
    let Some(kernel) = kernel() else { return };
    if !has_event(&kernel, "sock_recv_length") {
        return;
    }
    let net = Net::new();
    let server = net.at_server(|| UdpSocket::bind((SERVER, 0)).unwrap());
    let port = server.local_addr().unwrap().port();
    let work = || {
        let client = net.at_client(|| UdpSocket::bind((CLIENT, 0)).unwrap());
        client.send_to(&[0; 10], (SERVER, port)).unwrap();
        std::thread::sleep(Duration::from_millis(30));
        server.recv_from(&mut [0; 16]).unwrap();
    };
    let (to, ports) = (format!("{SERVER}:{port}"), port.to_string());
    let seen = trace(&kernel, "netrecv", &["-P", &ports, "20"], work, |seen| {
        seen.line(&[&pid(), "UDP", &to]).is_some()
    });
    let line = seen.line(&[&to]).unwrap();
    assert!(line.last().unwrap().parse::<f64>().unwrap() >= 20.0, "{line:?}");
    trace(&kernel, "netsend", &["-P", &ports, "0"], work, |seen| {
        seen.line(&["eth0", "UDP", &to, "queue"]).is_some()
    });
}

#[test]
fn skbdrop_counts_by_reason_and_place_and_shows_lines() {
    let Some(kernel) = kernel() else { return };
    if !has_argument(&kernel, "kfree_skb", "reason") {
        return;
    }
    let net = Net::new();
    net.at_server(|| {
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        Nft::new(Table::Inet, "t")
            .base("in", Hook::Input, 0, Policy::Accept)
            .rule("in", |rule| rule.udp_dport(4444).drop())
            .commit(&mut socket)
            .unwrap();
    });
    let send = || {
        net.at_client(|| {
            let socket = UdpSocket::bind((CLIENT, 0)).unwrap();
            for _ in 0..3 {
                socket.send_to(&[0; 10], (SERVER, 4444)).unwrap();
            }
        });
    };
    let done = AtomicBool::new(false);
    let seen =
        trace(&kernel, "skbdrop", &["-P", "4444"], until_done(&done, send), |_| done.load(Ordering::Acquire));
    assert_eq!(number(&seen, &["NETFILTER_DROP", "nft_do_chain", "eth0", "IPv4", "UDP"], 5), 3);
    done.store(false, Ordering::Release);
    let other = ["--filter", "udp dst port 5555"];
    let seen = trace(&kernel, "skbdrop", &other, until_done(&done, send), |_| done.load(Ordering::Acquire));
    assert!(!seen.text().contains("NETFILTER_DROP"), "{}", seen.text());
    let to = format!("{SERVER}:4444");
    let args = ["-l", "-k", "--filter", "dst host 198.51.100.2 and udp[4:2] = 18"];
    let seen = trace(&kernel, "skbdrop", &args, send, |seen| {
        seen.line(&["eth0", "UDP", &to, "38", "NETFILTER_DROP", "nft_do_chain"]).is_some()
    });
    assert!(seen.text().contains("\tnft_do_chain"), "{}", seen.text());
}

#[test]
fn icmp_shows_the_error_sent_and_the_error_that_arrives() {
    let Some(kernel) = kernel() else { return };
    if !has_event(&kernel, "icmp_send") {
        return;
    }
    let net = Net::new();
    let work = || {
        net.at_client(|| {
            let socket = UdpSocket::bind((CLIENT, 0)).unwrap();
            socket.connect((SERVER, 4444)).unwrap();
            socket.send(&[1]).unwrap();
            socket.recv(&mut [0; 1]).unwrap_err();
        });
    };
    let closed = format!("{SERVER}:4444");
    trace(&kernel, "icmp", &["-P", "4444"], work, |seen| {
        seen.line(&["sent", "UDP", &closed, "port-unreachable", "-"]).is_some()
            && seen.line(&["error", "UDP", &closed, "-", "ECONNREFUSED"]).is_some()
    });
}

#[test]
fn neigh_shows_a_neighbour_that_is_found() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let work = || {
        exchange(&net, SERVER, 1, 1);
        exchange(&net, "2001:db8:1::2", 1, 1);
    };
    let seen = trace(&kernel, "neigh", &["-n", "eth0", "--netns", &client(&net)], work, |seen| {
        seen.line(&["update", "eth0", SERVER, "REACHABLE"]).is_some()
            && seen.line(&["update", "eth0", "2001:db8:1::2", "REACHABLE"]).is_some()
    });
    assert!(seen.text().contains(':'), "{}", seen.text());
}

#[test]
fn fib_shows_what_a_lookup_found_and_what_not() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let work = || {
        exchange(&net, SERVER, 1, 1);
        net.at_client(|| TcpStream::connect(("203.0.113.9", 9)).unwrap_err());
    };
    trace(&kernel, "fib", &["-p", &pid()], work, |seen| {
        seen.line(&[&pid(), "254", SERVER, "0", "eth0"]).is_some()
            && seen.line(&[&pid(), "203.0.113.9", "EAGAIN", "-"]).is_some()
    });
}

#[test]
fn gethostlatency_shows_the_name_a_program_waits_for() {
    let Some(kernel) = kernel() else { return };
    let work = || {
        use std::net::ToSocketAddrs;
        let _ = ("localhost", 80).to_socket_addrs().unwrap().next();
    };
    let seen = trace(&kernel, "gethostlatency", &["-p", &pid()], work, |seen| {
        seen.line(&[&pid(), "localhost"]).is_some()
    });
    let line = seen.line(&["localhost"]).unwrap();
    assert!(line[line.len() - 2].parse::<f64>().unwrap() > 0.0, "{line:?}");
}
