//! `netwhy pwru` follows packets.

use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use netwhy_bpf::kernel::Kernel;
use netwhy_change::nft::{Hook, Nft, Policy, Table};
use netwhy_sys::netlink::{Protocol, Socket};
use netwhy_trace::pwru;

use super::net::{CLIENT, Net, SERVER, Seen, has_argument, kernel};

/// As `trace`, for pwru.
fn follow(
    kernel: &Kernel,
    words: &str,
    work: impl FnOnce() + Send,
    enough: impl Fn(&Seen) -> bool + Send + Sync,
) -> Seen {
    let args: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let (ask, _) = pwru::parse(&args).unwrap();
    let (spec, events, _) = pwru::compile(&ask, kernel).unwrap_or_else(|error| panic!("{error}"));
    assert!(events >= 10, "{events} tracepoints with a packet");
    let seen = Seen::default();
    std::thread::scope(|scope| {
        let (seen, enough) = (&seen, &enough);
        let (mut work, mut out) = (Some(work), seen);
        let ready = || {
            let (end, keep) = std::io::pipe()?;
            let work = work.take();
            scope.spawn(move || {
                if let Some(work) = work {
                    work();
                }
                let begun = Instant::now();
                while !enough(seen) && begun.elapsed() < Duration::from_secs(15) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                drop(keep);
            });
            Ok(Some(end.into()))
        };
        let (_, lost) =
            pwru::run(&ask, &spec, kernel, &mut out, ready).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(lost, 0);
    });
    assert!(enough(&seen), "{words}:\n{}", seen.text());
    seen
}

#[test]
fn a_segment_is_followed_over_a_veth_pair_to_the_rule_that_drops_it() {
    let Some(kernel) = kernel() else { return };
    if !has_argument(&kernel, "kfree_skb", "reason") {
        return;
    }
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
            TcpStream::connect_timeout(&target, Duration::from_millis(50)).unwrap_err();
        });
    };
    let (client, server) = (net.client.id().inode.to_string(), net.server.id().inode.to_string());
    let dropped = ["kfree_skb", "DROP(NETFILTER_DROP)", "in", "nft_do_chain"];
    let words = "--output-tcp-flags dst host 198.51.100.2 and tcp dst port 4444";
    let seen = follow(&kernel, words, work, |seen| seen.line(&["kfree_skb", "(SYN)"]).is_some());
    let text = seen.text();
    let sent = seen.line(&["1", &client, "net_dev_queue", "(SYN)"]).unwrap_or_else(|| panic!("{text}"));
    assert!(sent.iter().any(|word| word.starts_with("eth0:")), "{sent:?}");
    assert!(seen.line(&["1", &server, "netif_receive_skb", "(SYN)"]).is_some(), "the same packet: {text}");
    let end = seen.line(&["1", "kfree_skb", "(SYN)"]).unwrap_or_else(|| panic!("{text}"));
    assert!(dropped.iter().all(|word| end.iter().any(|have| have == word)), "{end:?}");
    let tuple = format!("->{SERVER}:4444(tcp)");
    assert!(sent.iter().any(|word| word.starts_with(CLIENT) && word.ends_with(&tuple)), "{sent:?}");
}

#[test]
fn a_packet_is_followed_through_address_translation() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    net.at_server(|| {
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        Nft::new(Table::Ip, "t")
            .nat("in", Hook::Prerouting, -100)
            .rule("in", |rule| rule.udp_dport(5353).dnat(SERVER, Some(4444)))
            .commit(&mut socket)
            .unwrap();
    });
    let work = || {
        net.at_client(|| UdpSocket::bind((CLIENT, 0)).unwrap().send_to(&[1; 10], (SERVER, 5353)).unwrap());
    };
    // What is matched is the packet before it is translated; nobody listens where it is sent on to.
    let client = net.client.id().inode;
    let words = format!("--filter-netns {client} udp dst port 5353");
    let seen = follow(&kernel, &words, work, |seen| seen.line(&["1", "kfree_skb"]).is_some());
    let text = seen.text();
    assert!(seen.line(&["1", &client.to_string(), "net_dev_queue"]).is_some(), "{text}");
    let end = seen.line(&["1", "kfree_skb"]).unwrap();
    assert!(end.iter().any(|word| word.ends_with(&format!("->{SERVER}:4444(udp)"))), "{text}");
}

#[test]
fn json_has_every_step_with_its_packet_and_point() {
    let Some(kernel) = kernel() else { return };
    let net = Net::new();
    let work = || {
        net.at_client(|| UdpSocket::bind((CLIENT, 0)).unwrap().send_to(&[7; 9], (SERVER, 4444)).unwrap());
    };
    let words = "--output-json --output-skb --output-stack udp and port 4444";
    let seen = follow(&kernel, words, work, |seen| seen.text().contains("\"func\":\"kfree_skb\""));
    for line in seen.text().lines() {
        let step: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(step["packet"].is_u64() && step["func"].is_string() && step["stack"].is_array(), "{step}");
        assert_eq!(step["flow"]["dport"], 4444, "{step}");
    }
    let last = seen.text();
    let last: serde_json::Value =
        serde_json::from_str(last.lines().find(|l| l.contains("kfree_skb")).unwrap()).unwrap();
    assert!(last["verdict"].as_str().unwrap().starts_with("DROP("), "{last}");
    assert!(last["stack"].as_array().unwrap().iter().any(|f| f.as_str().unwrap().contains("udp")), "{last}");
}
