//! Tools about TCP connections.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use netwhy_change::nft::{Hook, Nft, Policy, Table};
use netwhy_sys::netlink::{Protocol, Socket};

use super::net::{CLIENT, Net, SERVER, kernel, trace};

/// The command of the threads of this test, as the kernel knows it.
fn comm() -> String {
    std::fs::read_to_string("/proc/thread-self/comm").unwrap().trim().to_owned()
}

/// One connection from the client, with bytes both ways; the server closes last. Ports of both.
pub(crate) fn exchange(net: &Net, address: &str, up: usize, down: usize) -> (u16, u16) {
    let listener = net.at_server(|| TcpListener::bind((address, 0)).unwrap());
    let port = listener.local_addr().unwrap().port();
    let mut client = net.at_client(|| TcpStream::connect((address, port)).unwrap());
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&vec![1; up]).unwrap();
    server.read_exact(&mut vec![0; up]).unwrap();
    server.write_all(&vec![2; down]).unwrap();
    client.read_exact(&mut vec![0; down]).unwrap();
    let local = client.local_addr().unwrap().port();
    drop(client);
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
    drop(server);
    (local, port)
}

fn id(netns: &netwhy_sys::netns::Netns) -> String {
    netns.id().inode.to_string()
}

#[test]
fn tcpconnect_shows_success_refusal_and_silence_with_the_local_port() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let netns = id(&net.client);
    let (local, port, dark) = (std::sync::OnceLock::new(), std::sync::OnceLock::new(), 4444);
    net.at_server(|| {
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        Nft::new(Table::Inet, "t")
            .base("in", Hook::Input, 0, Policy::Accept)
            .rule("in", |rule| rule.tcp_dport(dark).drop())
            .commit(&mut socket)
            .unwrap();
    });
    let work = || {
        let (l, p) = exchange(&net, SERVER, 1, 1);
        local.set(l.to_string()).unwrap();
        port.set(p.to_string()).unwrap();
        net.at_client(|| TcpStream::connect((SERVER, 9)).unwrap_err());
        // The kernel goes on trying while this one waits.
        net.at_client(|| {
            let target = std::net::SocketAddr::from(([198, 51, 100, 2], dark));
            TcpStream::connect_timeout(&target, std::time::Duration::from_millis(2500)).unwrap_err()
        });
    };
    let dark = dark.to_string();
    let me = comm();
    let pid = std::process::id().to_string();
    let seen = trace(&kernel, "tcpconnect", &["-L", "--netns", &netns], work, |seen| {
        let (Some(local), Some(port)) = (local.get(), port.get()) else { return false };
        seen.line(&[&pid, "4", CLIENT, local, SERVER, port, "0"]).is_some()
            && seen.line(&[&pid, "4", CLIENT, SERVER, "9", "ECONNREFUSED"]).is_some()
            && seen.line(&[&pid, "4", CLIENT, SERVER, &dark, "EALREADY"]).is_some()
    });
    let refused = seen.line(&[SERVER, "9", "ECONNREFUSED"]).unwrap();
    assert_ne!(refused[4], "0", "the local port of a connection that failed: {refused:?}");
    assert!(!me.is_empty());
}

#[test]
fn tcpconnect_filters_and_counts() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let netns = id(&net.client);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = net.at_server(|| TcpListener::bind((SERVER, 8080)).unwrap());
    let work = || {
        net.at_client(|| {
            for _ in 0..3 {
                TcpStream::connect(wanted.local_addr().unwrap()).unwrap();
            }
            TcpStream::connect((SERVER, 9)).unwrap_err();
        });
        TcpStream::connect(other.local_addr().unwrap()).unwrap();
    };
    // The table is shown when it ends: nothing to wait for.
    let done = std::sync::atomic::AtomicBool::new(false);
    let work = || {
        work();
        done.store(true, std::sync::atomic::Ordering::Release);
    };
    let args = ["-c", "-P", "8080,8081", "--netns", &netns];
    let seen = trace(&kernel, "tcpconnect", &args, work, |_| done.load(std::sync::atomic::Ordering::Acquire));
    assert!(seen.line(&["LADDR", "RADDR", "RPORT", "CONNECTS"]).is_some(), "{}", seen.text());
    assert_eq!(seen.line(&[SERVER]).unwrap(), [CLIENT, SERVER, "8080", "3"]);
    let lines = seen.text().lines().filter(|line| line.contains(SERVER)).count();
    assert_eq!(lines, 1, "{}", seen.text());
}

#[test]
fn tcplife_shows_both_ends_with_bytes_and_time() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let ports = std::sync::OnceLock::new();
    let work = || ports.set(exchange(&net, "2001:db8:1::2", 5000, 300_000)).unwrap();
    let pid = std::process::id().to_string();
    let found = |seen: &super::net::Seen| {
        let (local, port) = ports.get()?;
        let (local, port) = (local.to_string(), port.to_string());
        let near = seen.line(&[&pid, "2001:db8:1::1", &local, "2001:db8:1::2", &port])?;
        let far = seen.line(&[&pid, "2001:db8:1::2", &port, "2001:db8:1::1", &local])?;
        Some((near, far))
    };
    let seen = trace(&kernel, "tcplife", &["-6"], work, |seen| found(seen).is_some());
    let (near, far) = found(&seen).unwrap();
    assert_eq!(near[6..8], ["4", "292"], "{near:?}");
    assert_eq!(far[6..8], ["292", "4"], "{far:?}");
    let ms: f64 = near[8].parse().unwrap();
    assert!((0.0..15_000.0).contains(&ms) && near.len() == 9, "{near:?}");
}

#[test]
fn tcpdrop_names_reason_place_and_stack_of_a_segment_a_rule_drops() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    net.at_server(|| {
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        Nft::new(Table::Inet, "t")
            .base("in", Hook::Input, 0, Policy::Accept)
            .rule("in", |rule| rule.tcp_dport(4444).drop())
            .commit(&mut socket)
            .unwrap();
    });
    let work = || {
        net.at_client(|| {
            let target = "198.51.100.2:4444".parse().unwrap();
            TcpStream::connect_timeout(&target, std::time::Duration::from_millis(50)).unwrap_err()
        });
    };
    let to = format!("{SERVER}:4444");
    let seen = trace(&kernel, "tcpdrop", &["-4", "-P", "4444"], work, |seen| seen.line(&[&to]).is_some());
    if kernel_has_reasons(&kernel) {
        assert!(
            seen.line(&["4", ">", &to, "(SYN)", "NETFILTER_DROP", "nft_do_chain"]).is_some(),
            "{}",
            seen.text()
        );
    }
    let text = seen.text();
    let first = text.lines().find(|line| line.starts_with('\t')).unwrap();
    assert!(!first.contains("bpf"), "the stack begins where the kernel dropped: {text}");
    assert!(text.contains("\tnft_do_chain"), "{text}");
}

fn kernel_has_reasons(kernel: &netwhy_bpf::kernel::Kernel) -> bool {
    use netwhy_lang::types::Types;
    kernel.raw_tracepoint("kfree_skb").is_some_and(|s| s.params.iter().any(|p| p.name == "reason"))
}

/// Lets nothing through until the gate opens.
struct Gate<'a>(Vec<u8>, &'a std::sync::atomic::AtomicBool);

impl Write for Gate<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        while !self.1.load(std::sync::atomic::Ordering::Acquire) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn records_that_find_no_room_are_counted_and_said() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let tool = netwhy_trace::tools::find("tcpstates").unwrap();
    let args = ["--json".to_owned(), "--netns".to_owned(), id(&net.client)];
    let call = netwhy_trace::options::parse(&tool, &args).unwrap();
    let spec = netwhy_trace::run::compile(&tool, &call, &kernel).unwrap_or_else(|error| panic!("{error}"));
    let open = AtomicBool::new(true);
    let mut out = Gate(Vec::new(), &open);
    std::thread::scope(|scope| {
        let (net, open) = (&net, &open);
        let ready = || {
            let (end, keep) = std::io::pipe()?;
            open.store(false, Ordering::Release);
            scope.spawn(move || {
                let listener = net.at_server(|| TcpListener::bind((SERVER, 0)).unwrap());
                // More than a ring of a megabyte holds: each connection changes state several times.
                net.at_client(|| {
                    for _ in 0..3000 {
                        drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
                        drop(listener.accept().unwrap());
                    }
                });
                open.store(true, Ordering::Release);
                drop(keep);
            });
            Ok(Some(end.into()))
        };
        netwhy_trace::run::run(&tool, &call, &spec, &kernel, &mut out, ready).unwrap();
    });
    let text = String::from_utf8(out.0).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let lost = last["lost"].as_u64().unwrap_or_else(|| panic!("nothing was lost: {last}"));
    assert!(lost > 0);
    // What was not lost was shown: connect, its answer, and the end of each.
    let shown = text.lines().filter(|line| line.contains("\"new\"")).count() as u64;
    assert!(shown > 1000 && shown + lost >= 3 * 3000, "{shown} shown, {lost} lost");
}

#[test]
fn an_ipv4_address_inside_of_ipv6_is_shown_and_filtered_as_what_it_is() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let listener = net.at_server(|| TcpListener::bind((SERVER, 0)).unwrap());
    let port = listener.local_addr().unwrap().port();
    let mapped: std::net::SocketAddr = format!("[::ffff:{SERVER}]:{port}").parse().unwrap();
    let work = || drop(net.at_client(|| TcpStream::connect(mapped).unwrap()));
    let netns = id(&net.client);
    let port = port.to_string();
    let seen = trace(&kernel, "tcpconnect", &["-4", "--netns", &netns], work, |seen| {
        seen.line(&["4", CLIENT, SERVER, &port, "0"]).is_some()
    });
    assert!(!seen.text().contains("ffff"), "{}", seen.text());
}
